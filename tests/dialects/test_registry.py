"""
Finding dialects by name and by template, and reading transcripts with them.
"""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from harness.dialects import registry
from harness.dialects.hermes import HERMES, Hermes
from harness.dialects.native import NATIVE
from harness.errors import DialectError
from harness.messages import Tool, ToolCall
from harness.transcript import Key, Transcript

from .forms import FORMS

QWEN = (
    '{{- \'<tool_call>\\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}'
    "{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}"
)
GRANITE = "USER: {{ query }} ASSISTANT: <function_call> "
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

    monkeypatch.setattr("harness.plugins.entry_points", entry_points)


def _transcript(**fields: Any) -> Transcript:
    return Transcript(key=Key("c-1"), **fields)


def _templates() -> list[Any]:
    """
    Minimal chat templates in each family's form: templates/<dialect>--<what>.jinja.
    """
    folder = Path(__file__).with_name("templates")
    return [
        pytest.param(path.read_text("utf-8"), path.name.split("--")[0], id=path.name)
        for path in sorted(folder.glob("*.jinja"))
    ]


@pytest.mark.parametrize(("template", "name"), _templates())
def test_a_template_tells_its_dialect(template: str, name: str):
    assert name == registry.detect(template).name


@pytest.mark.parametrize(("template", "name"), _templates())
def test_a_template_writes_what_its_dialect_reads(template: str, name: str):
    member = registry.dialect(name)
    asked = [{"role": "user", "content": "Weather in São Paulo?"}]
    calls = [
        {"name": "get_weather", "arguments": {"city": "São Paulo", "days": 3}},
        {"name": "now", "arguments": {}},
    ]
    try:
        member.render([ToolCall(**call) for call in calls])
    except ValueError:
        calls = calls[:1]  # an answer of this family holds one call
    tools = [
        {"name": "get_weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer"}}}},
        {"name": "now", "parameters": {"type": "object", "properties": {}}},
    ]  # fmt: skip
    made = {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "id": f"call{n:05}", "function": call} for n, call in enumerate(calls)
    ]}  # fmt: skip

    def rendered(messages: list[Any], *, prompt: bool) -> str:
        texts, _ = render_jinja_template(
            [messages],
            chat_template=template,
            tools=[{"type": "function", "function": tool} for tool in tools],
            add_generation_prompt=prompt,
            bos_token="<s>",
            eos_token="</s>",
        )
        return texts[0]

    prompt = rendered(asked, prompt=True)
    whole = rendered([*asked, made], prompt=False)
    reading = member.read(whole.removeprefix(prompt), [Tool.from_schema(tool) for tool in tools])

    assert whole.startswith(prompt)
    assert calls == [{"name": one.name, "arguments": one.arguments} for one in reading.attempts]
    assert reading.text == ""


def test_every_dialect_of_text_has_a_template():
    assert set(FORMS) == {values[1] for values in (one.values for one in _templates())}


def test_names_every_dialect():
    assert {*FORMS, "native"} <= set(registry.names())
    assert list(registry.names()) == sorted(registry.names())


@pytest.mark.parametrize("name", [*FORMS, "native"])
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
