"""
Finding dialects by name and by template.
"""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from harness.dialects import registry
from harness.dialects.hermes import Hermes
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


def test_an_installed_package_adds_a_dialect(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "shouting", SimpleNamespace(SHOUTING=SHOUTING))
    installed("harness.dialects", shouting="shouting:SHOUTING")

    assert "shouting" in registry.names()
    assert SHOUTING is registry.dialect("shouting")
    assert ["shouting"] == list(registry.added())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:X", "cannot be loaded: No module"),
        ("harness.dialects.hermes:NOTHING", "cannot be loaded"),
        ("harness.dialects.hermes:HERMES", "not a dialect of that name"),
        ("json:loads", "not a dialect of that name"),
    ],
)
def test_a_broken_package_is_named(installed: Callable[..., None], target: str, message: str):
    installed("harness.dialects", other=target)

    with pytest.raises(DialectError, match=f"'other'.*{message}"):
        registry.dialect("other")
