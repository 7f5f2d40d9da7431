"""
Finding dialects by name and by template, and reading transcripts with them.
"""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from harness.dialects import registry
from harness.dialects.functiongemma import FUNCTIONGEMMA
from harness.dialects.granite20b import GRANITE_20B
from harness.dialects.hermes import HERMES, Hermes
from harness.dialects.native import NATIVE
from harness.dialects.pythonic import PYTHONIC
from harness.errors import DialectError
from harness.transcript import Key, Transcript

QWEN = (
    '{{- \'<tool_call>\\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}'
    "{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}"
)
QWEN_CODER = "<tool_call>\\n<function=' + tool_call.name + '>\\n {{ arguments }} \"name\""
GLM = '<tool_call>{{ tc.name }}<arg_key>{{ k }}</arg_key> arguments "name"'
GRANITE = "USER: {{ query }} ASSISTANT: <function_call> "
LLAMA = (
    "should be in the format of [func_name1(params_name1=params_value1, ...), func_name2(params)]"
)
GEMMA = "'<start_function_call>call:' + f['name'] + '{' ... '<escape>' + argument + '<escape>'"
CALL = '<tool_call>{"name": "f", "arguments": {"q": "a"}}</tool_call>'
FENCED = '```json\n{"name": "f", "arguments": {"q": "a"}}\n```'


class Shouting(Hermes):
    name = "shouting"


SHOUTING = Shouting()


def _installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == "harness.dialects"
        return [EntryPoint(name, value, group) for name, value in points.items()]

    monkeypatch.setattr("harness.families.entry_points", entry_points)


def _transcript(**fields: Any) -> Transcript:
    return Transcript(key=Key("c-1"), **fields)


def test_names_every_dialect():
    assert {"functiongemma", "granite-20b", "hermes", "native", "pythonic"} <= set(registry.names())
    assert list(registry.names()) == sorted(registry.names())


@pytest.mark.parametrize(
    "member", [FUNCTIONGEMMA, GRANITE_20B, HERMES, NATIVE, PYTHONIC], ids=lambda one: one.name
)
def test_finds_a_dialect_by_its_name(member: Any):
    assert member is registry.dialect(member.name)


def test_an_unknown_name_lists_the_choices():
    with pytest.raises(
        DialectError, match=r"did you mean 'hermes'.*functiongemma, granite-20b, hermes, native"
    ):
        registry.dialect("herms")


@pytest.mark.parametrize(
    ("template", "member"),
    [(QWEN, HERMES), (GEMMA, FUNCTIONGEMMA), (GRANITE, GRANITE_20B), (LLAMA, PYTHONIC)],
)
def test_a_template_tells_its_dialect(template: str, member: Any):
    assert member is registry.detect(template)


@pytest.mark.parametrize(
    "template",
    ["", "{{ content }}", QWEN_CODER, GLM, "<|tool_call|>", GRANITE + "</function_call>"],
)
def test_an_unknown_template_lists_the_choices(template: str):
    with pytest.raises(DialectError, match="--dialect: functiongemma, granite-20b, hermes"):
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


def test_raw_output_is_read_by_the_dialect():
    reading = registry.read(HERMES, _transcript(output=CALL))

    assert HERMES.read(CALL) == reading
    assert ["f"] == [attempt.name for attempt in reading.attempts]


def test_a_lenient_reading_is_asked_for():
    assert () == registry.read(HERMES, _transcript(output=FENCED)).attempts
    assert ["f"] == [
        attempt.name
        for attempt in registry.read(HERMES, _transcript(output=FENCED), lenient=True).attempts
    ]


def test_a_message_with_calls_is_native_whatever_the_dialect():
    message = {"content": CALL, "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}

    reading = registry.read(HERMES, _transcript(message=message))

    assert ["g"] == [attempt.name for attempt in reading.attempts]


def test_a_call_left_in_the_content_is_read_by_the_dialect():
    reading = registry.read(HERMES, _transcript(message={"content": CALL, "tool_calls": []}))

    assert ["f"] == [attempt.name for attempt in reading.attempts]


def test_native_takes_content_as_text():
    reading = registry.read(NATIVE, _transcript(message={"content": CALL}))

    assert ((), CALL) == (reading.attempts, reading.text)


def test_the_finish_reason_reaches_the_reader():
    message = {"tool_calls": [{"function": {"name": "g", "arguments": ""}}]}

    reading = registry.read(HERMES, _transcript(message=message, finish_reason="length"))

    assert reading.attempts[0].unfinished


@pytest.mark.parametrize("lenient", [False, True])
def test_an_error_is_never_read(lenient: bool):
    with pytest.raises(ValueError, match=r"c-1.*timed out"):
        registry.read(HERMES, _transcript(error="timed out"), lenient=lenient)
