"""
Finding dialects by name and by template, and reading transcripts with them.
"""

from importlib.metadata import EntryPoint

import pytest

from harness.dialects import registry
from harness.dialects.hermes import HERMES, Hermes
from harness.errors import DialectError

QWEN = (
    '{{- \'<tool_call>\\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}'
    "{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}"
)
GRANITE = "USER: {{ query }} ASSISTANT: <function_call> "
GEMMA = "'<start_function_call>call:' + f['name'] + '{' ... '<escape>' + argument + '<escape>'"


class Shouting(Hermes):
    name = "shouting"


SHOUTING = Shouting()


def _installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == "harness.dialects"
        return [EntryPoint(name, value, group) for name, value in points.items()]

    monkeypatch.setattr("harness.plugins.entry_points", entry_points)


def test_names_every_dialect():
    assert {"hermes", "mistral-v11", "native"} <= set(registry.names())
    assert list(registry.names()) == sorted(registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_finds_a_dialect_by_its_name(name: str):
    assert name == registry.dialect(name).name


def test_an_unknown_name_lists_the_choices():
    with pytest.raises(
        DialectError, match=r"did you mean 'hermes'.*functiongemma.* hermes.* native"
    ):
        registry.dialect("herms")


@pytest.mark.parametrize("template", ["", "{{ content }}", GRANITE + "</function_call>"])
def test_an_unknown_template_lists_the_choices(template: str):
    with pytest.raises(DialectError, match=r"--dialect: .*functiongemma, .*hermes"):
        registry.detect(template)


def test_a_template_of_two_formats_is_not_decided():
    with pytest.raises(DialectError, match="functiongemma and hermes"):
        registry.detect(QWEN + GEMMA)


def test_an_installed_package_adds_a_dialect(monkeypatch: pytest.MonkeyPatch):
    _installed(monkeypatch, shouting=f"{__name__}:SHOUTING")
    monkeypatch.setattr(
        "importlib.import_module", lambda _: __import__("types").SimpleNamespace(SHOUTING=SHOUTING)
    )

    assert "shouting" in registry.names()
    assert SHOUTING is registry.dialect("shouting")


def test_the_same_target_twice_is_one_dialect(monkeypatch: pytest.MonkeyPatch):
    _installed(monkeypatch, hermes="harness.dialects.hermes:HERMES")

    assert HERMES is registry.dialect("hermes")


def test_one_name_for_two_dialects_is_an_error(monkeypatch: pytest.MonkeyPatch):
    _installed(monkeypatch, hermes="elsewhere:HERMES")

    with pytest.raises(DialectError, match="elsewhere:HERMES"):
        registry.names()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:X", "cannot be loaded: No module"),
        ("harness.dialects.hermes:NOTHING", "cannot be loaded"),
        ("harness.dialects.hermes:HERMES", "no dialect called 'other'"),
        ("json:loads", "no dialect called 'other'"),
    ],
)
def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch, target: str, message: str):
    _installed(monkeypatch, other=target)

    with pytest.raises(DialectError, match=message):
        registry.dialect("other")
