"""
The template that a tokenizer brings along: what it reads and refuses, that it stays with the run.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checkpoints.checkpoint import Checkpoint
from harness.cli.main import main
from harness.dialects.registry import chosen, dialect, spoken_by
from harness.dialects.response_template import ResponseTemplate, of_tokenizer
from harness.errors import DialectError
from harness.messages import Tool
from harness.runs.store import load_run

HERMES: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "thinking": {"open": "<think>", "close": "</think>", "content": "text"},
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"\s*<\|im_end\|>", "content": "text"},
    },
}
FUNCTIONGEMMA: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<start_of_turn>model\n",
    "fields": {
        "tool_calls": {
            "open_pattern": r"<start_function_call>call:(?P<name>[^\s{<]+)",
            "close_pattern": r"<end_function_call>\s*",
            "repeats": True,
            "content": "json",
            "content_args": {
                "unquoted_keys": True,
                "string_delims": [["<escape>", "<escape>"]],
            },
            "transform": {
                "type": "function",
                "function": {"name": "{name}", "arguments": "{content}"},
            },
        },
        "content": {"close_pattern": r"\s*<end_of_turn>\s*", "content": "text"},
    },
}

CALL = '<tool_call>\n{"name": "f", "arguments": {"q": "a b", "n": 3}}\n</tool_call>'


def test_calls_and_text_are_read_with_their_places():
    output = f"Let me see. {CALL} and {CALL}<|im_end|>"
    reading = ResponseTemplate(HERMES).read(output)

    assert [("f", {"q": "a b", "n": 3})] * 2 == [(a.name, a.arguments) for a in reading.attempts]
    assert [output[a.start : a.end] for a in reading.attempts] == [a.raw for a in reading.attempts]
    assert "Let me see. and" == " ".join(reading.text.split())


def test_functiongemma_by_its_template():
    output = (
        "<start_function_call>call:f{q:<escape>a}b<escape>,n:3,tags:[<escape>x<escape>]}"
        "<end_function_call>"
    )
    [attempt] = ResponseTemplate(FUNCTIONGEMMA).read(output).attempts

    assert ("f", {"q": "a}b", "n": 3, "tags": ["x"]}) == (attempt.name, attempt.arguments)


def test_a_call_in_another_region_is_not_one():
    assert () == ResponseTemplate(HERMES).read(f"<think>{CALL}</think>Done.<|im_end|>").attempts


def test_one_malformed_call_leaves_its_siblings_alone():
    reading = ResponseTemplate(HERMES).read(f"<tool_call>{{oops}}</tool_call>{CALL}")

    assert [False, True] == [attempt.readable for attempt in reading.attempts]


@pytest.mark.parametrize(
    "body",
    [
        '"f"',
        "[1]",
        "{}",
        '{"name": "f"}',
        '{"name": 1, "arguments": {}}',
        '{"name": "f", "arguments": {"n": NaN}}',
        '{"name": "f", "arguments": {"n": 1e999}}',
        '{"name": "f", "arguments": {"n": 4, "n": 3}}',
        '{"name": "f", "arguments": {"q": "\\ud800"}}',
        '{"name": "\\ud800", "arguments": {}}',
    ],
)
def test_what_is_not_a_call_is_malformed(body: str):
    [attempt] = ResponseTemplate(HERMES).read(f"<tool_call>{body}</tool_call>").attempts

    assert not attempt.readable
    assert not attempt.unfinished


@pytest.mark.parametrize("cut", range(2, len(CALL)))
def test_a_call_that_is_cut_off_is_unfinished_even_if_its_json_is_complete(cut: int):
    [attempt] = ResponseTemplate(HERMES).read(f"Hm.\n{CALL[:cut]}").attempts

    assert (True, None) == (attempt.unfinished, attempt.arguments)


@given(st.text(alphabet='<>/_tol{}":ac|im ends[],\\\n', max_size=60) | st.text(max_size=40))
def test_any_text_is_read(output: str):
    reading = ResponseTemplate(HERMES).read(output)

    assert reading == ResponseTemplate(HERMES).read_leniently(output)
    for attempt in reading.attempts:
        assert output[attempt.start : attempt.end] == attempt.raw
        assert attempt.readable == (attempt.arguments is not None)


OPEN_ENDED: dict[str, Any] = {
    "start_anchor": "[INST]",
    "fields": {
        "tool_calls": {
            "open": "[TOOL_CALLS]",
            "content": "json",
        },
        "content": {"close": "</s>", "content": "text"},
    },
}


def test_calls_without_a_closing_delimiter_end_with_the_turn():
    template = ResponseTemplate(OPEN_ENDED)
    call = '[TOOL_CALLS][{"name": "f", "arguments": {}}]'

    for output in (f"{call}</s>", call):
        [attempt] = template.read(output).attempts
        assert ("f", {}, None) == (attempt.name, attempt.arguments, attempt.problem)
    [cut] = template.read(call[:-8]).attempts
    assert (True, None) == (cut.unfinished, cut.arguments)
    [broken] = template.read('[TOOL_CALLS][{"name": ]</s>').attempts
    assert (False, None) == (broken.unfinished, broken.arguments)


CODER: dict[str, Any] = {
    "start_anchor": "assistant",
    "fields": {
        "tool_calls": {
            "open_pattern": r"<tool_call>\s*<function=(?P<name>[^>]+)>",
            "close_pattern": r"</function>\s*</tool_call>",
            "repeats": True,
            "content": "xml-inline",
            "content_args": {
                "tag_pattern": r"<parameter=(?P<key>[^>]+)>\n?(?P<value>.*?)\n?</parameter>"
            },
            "transform": {
                "type": "function",
                "function": {"name": "{name}", "arguments": "{content}"},
            },
        },
        "content": {"close": "<|im_end|>", "content": "text"},
    },
}


def test_bare_text_is_typed_by_the_tools_schema_only():
    properties = {"n": {"type": "integer"}, "q": {"type": "string"}}
    tool = Tool.from_schema(
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {"type": "object", "properties": properties},
            },
        }
    )
    output = (
        "<tool_call>\n<function=f>\n<parameter=n>\n3\n</parameter>\n"
        "<parameter=q>\n007\n</parameter>\n</function>\n</tool_call><|im_end|>"
    )
    [attempt] = ResponseTemplate(CODER).read(output, [tool]).attempts
    [untyped] = ResponseTemplate(CODER).read(output).attempts

    assert {"n": 3, "q": "007"} == attempt.arguments
    assert ("n", "q") == attempt.by_schema
    assert {"n": "3", "q": "007"} == untyped.arguments


@pytest.mark.parametrize(
    ("pattern", "output", "begun"),
    [
        (r"(?:<\|end\|>)?\s*<\|call\|>(?P<name>\w+)", "No tool fits.<|end|>", False),
        (r"(?P<name>\w+)\[ARGS\]", "I cannot do that", False),
        (r"<call (?P<name>\w+)>", "Well. <ca", True),
        (r"\s*<call (?P<name>\w+)>", "Well. <call f", True),
        (r"<call (?P<name>\w+)>", "a <", False),
    ],
)
def test_only_fixed_characters_begin_a_call(pattern: str, output: str, begun: bool):
    field = HERMES["fields"]["tool_calls"] | {
        "open_pattern": pattern,
        "close": "</call>",
        "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
    }
    fields = {"tool_calls": field, "content": {"content": "text"}}
    attempts = ResponseTemplate({"start_anchor": "a", "fields": fields}).read(output).attempts

    assert begun == any(attempt.unfinished for attempt in attempts)


def test_an_opening_of_no_width_opens_at_the_very_beginning():
    field = {**OPEN_ENDED["fields"]["tool_calls"]}
    del field["open"]
    field["open_pattern"] = r'(?=\[\{"name")'
    fields = {**OPEN_ENDED["fields"], "tool_calls": field}
    reading = ResponseTemplate({**OPEN_ENDED, "fields": fields}).read(
        '[{"name": "f", "arguments": {}}]</s>'
    )

    assert ["f"] == [attempt.name for attempt in reading.attempts]


class Tokenizer:
    response_template = HERMES


def test_it_is_the_tokenizers_own_if_it_has_one():
    assert "response-template" == chosen("response-template", "", Tokenizer()).name
    with pytest.raises(DialectError, match="no response template"):
        of_tokenizer(object())
    with pytest.raises(DialectError, match=r"--dialect response-template:FILE"):
        dialect("response-template")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "which is a JSON object"),
        ("{}", "response_template.fields"),
        ('{"start_anchor": "a", "fields": {"content": {}}}', "no field 'tool_calls'"),
    ],
)
def test_a_file_that_holds_none_is_named(tmp_path: Path, text: str, says: str):
    path = tmp_path / "t.json"
    path.write_text(text)

    with pytest.raises(DialectError, match=says):
        dialect(f"response-template:{path}")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    schema = {"type": "object", "properties": {"q": {"type": "string"}, "n": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    expected = {"calls": [{"tool": "f", "arguments": {"q": "a b", "n": 3}}]}
    cases = [{"id": "c", "prompt": "Go.", "expect": expected}]
    suite = {"format": 1, "name": "s", "version": "1.0.0", "tools": [tool], "cases": cases}
    Path("suites/s").mkdir(parents=True)
    Path("suites/s/suite.yaml").write_text(json.dumps(suite))
    Path("r.jsonl").write_text(json.dumps({"case": "c", "output": f"{CALL}<|im_end|>"}) + "\n")
    # A tokenizer_config.json holds it under its name.
    Path("t.json").write_text(json.dumps({"response_template": HERMES}))
    return tmp_path


def test_a_run_without_its_template_is_told_so():
    with pytest.raises(DialectError, match="does not contain the response template"):
        spoken_by(Checkpoint(reference="x", dialect="response-template", dialect_version=1))


def test_a_run_keeps_the_template_it_was_read_with(project: Path):
    replay = ["run", "s", "--checkpoint", "replay:r.jsonl", "--quiet"]
    assert 0 == main([*replay, "--dialect", "response-template:t.json", "--out", "a"])
    Path("t.json").unlink()

    run = load_run(Path("a"))
    assert "correct" == run.record.cases[0].status
    [attempt] = spoken_by(run.record.checkpoint).read(CALL).attempts
    assert "f" == attempt.name
    # Judged again without the file, and by another dialect.
    assert 0 == main(["score", "a", "--suite", "s", "--out", "b"])
    assert "correct" == load_run(Path("b")).record.cases[0].status
    again = ["--suite", "s", "--dialect", "response-template", "--out", "d"]
    assert 0 == main(["score", "a", *again])
    assert 0 == main(["score", "a", "--suite", "s", "--dialect", "hermes", "--out", "c"])
    assert load_run(Path("c")).record.checkpoint.response_template is None


@pytest.mark.parametrize("blank", ["", "\n", " \n\t "])
def test_white_space_before_a_delimiter_belongs_to_it(blank: str):
    """
    As if its pattern were searched as it is written: ``\\s*`` is looked for backwards.
    """
    text = f"Well.{blank}{CALL}{blank}<|im_end|>"

    reading = ResponseTemplate(HERMES).read(text)

    (attempt,) = reading.attempts
    assert (blank + CALL, len("Well.")) == (attempt.raw, attempt.start)
    assert "Well." == reading.text


def test_a_pattern_without_end_is_a_problem_and_not_a_hang(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("harness.dialects.response_template._LONGEST_SECONDS", 0.05)
    slow = {**HERMES["fields"]["tool_calls"], "open_pattern": r"(?:a|a)*(?:a|aa)+b<tool_call>"}
    template = {**HERMES, "fields": {**HERMES["fields"], "tool_calls": slow}}

    (attempt,) = ResponseTemplate(template).read("a" * 5000).attempts

    assert "takes longer than 0.05 seconds" in str(attempt.problem)
