"""
Assertions on one answer: what passes, what fails, and that they judge as suites do.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.base import Generation, Request
from harness.checkpoints.checkpoint import Checkpoint
from harness.constraints.constraint import absent, contains_any, optional
from harness.dialects.registry import dialect
from harness.errors import BackendError, HarnessError, SuiteError, UsageError
from harness.messages import ToolCall
from harness.pytest_plugin.assertions import ASKED, ToolCalls, ask, spell_expected
from harness.scoring.cases import score_case
from harness.scoring.score import reading_with
from harness.suites.parse import parse_suite
from harness.transcript import Transcript

KNOWLEDGE, WEB = "search_knowledge_base", "search_google"
QUERY = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["query"],
}
TOOLS = [{"name": KNOWLEDGE, "parameters": QUERY}, {"name": WEB, "parameters": QUERY}]
DOCUMENT = {
    "format": 1,
    "name": "routing",
    "version": "1.0.0",
    "system": "Pick a tool.",
    "tools": TOOLS,
    "cases": [{"id": "kb-001", "prompt": "leave?", "expect": {"abstain": True}}],
}


class Canned:
    """
    Answers everything with one text and remembers what it was asked.
    """

    checkpoint = Checkpoint(reference="canned", dialect="hermes", dialect_version=1)

    def __init__(self, output: str | None = None, **other: Any) -> None:
        self.given = {"output": output, **other}
        self.asked: list[Request] = []

    def describe(self) -> Mapping[str, Any]:
        return {"name": "canned"}

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        self.asked += requests
        yield [Transcript(key=request.key, **self.given) for request in requests]

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        raise NotImplementedError

    def close(self) -> None:
        pass


def called(*calls: tuple[str, Mapping[str, Any]]) -> str:
    """
    What a model that speaks Hermes writes for *calls*.
    """
    return dialect("hermes").render([ToolCall(name=name, arguments=args) for name, args in calls])


def answered(output: str, **asking: Any) -> ToolCalls:
    return ask(Canned(output), "leave?", **{"tools": TOOLS, **asking}, generation=Generation())


LEAVE = (KNOWLEDGE, {"query": "parental leave"})
GOOGLE = (WEB, {"query": "weather"})
CUT = called(LEAVE)[:-30]


def test_a_call_as_expected_passes_every_assertion_it_should():
    calls = answered(called(LEAVE))

    calls.assert_only(KNOWLEDGE, query=contains_any("vacation", "leave"))
    calls.assert_only(KNOWLEDGE, query="parental leave", limit=optional(3))
    calls.assert_called(KNOWLEDGE)
    calls.assert_not_called(WEB)
    calls.assert_no_second_call()
    calls.assert_meets({"calls": [{"tool": KNOWLEDGE, "arguments": {"limit": absent()}}]})


def test_an_answer_can_be_looked_at():
    calls = answered(called(LEAVE))

    assert (ToolCall(name=KNOWLEDGE, arguments={"query": "parental leave"}),) == calls.calls
    assert called(LEAVE) == calls.output
    assert "Hello." == answered("Hello.<|im_end|>").text


def test_abstention_passes_and_may_constrain_the_text():
    calls = answered("You have 12 days.<|im_end|>")

    calls.assert_none()
    calls.assert_none(text=contains_any("days"))
    calls.assert_not_called(KNOWLEDGE)
    calls.assert_no_second_call()


@pytest.mark.parametrize(
    ("output", "assertion", "finding"),
    [
        (called(GOOGLE), lambda c: c.assert_only(KNOWLEDGE), "wrong_tool"),
        (called(LEAVE), lambda c: c.assert_only(KNOWLEDGE, query="x"), "wrong_value"),
        (called(LEAVE), lambda c: c.assert_only(KNOWLEDGE, limit=3), "missing_argument"),
        (called(LEAVE, GOOGLE), lambda c: c.assert_only(KNOWLEDGE), "extra_call (other_tool)"),
        (called(LEAVE, LEAVE), lambda c: c.assert_no_second_call(), "extra_call (duplicate)"),
        (called(GOOGLE), lambda c: c.assert_called(KNOWLEDGE), "missing_call"),
        ("No.", lambda c: c.assert_called(KNOWLEDGE), "no_call"),
        (called(LEAVE, GOOGLE), lambda c: c.assert_not_called(WEB), "forbidden_tool"),
        (called(LEAVE), lambda c: c.assert_none(), "unexpected_call"),
        ("Hello.", lambda c: c.assert_none(text=contains_any("days")), "wrong_text"),
        (CUT, lambda c: c.assert_called(KNOWLEDGE), "unfinished_call"),
        (CUT, lambda c: c.assert_none(), "unfinished_call"),
        (CUT, lambda c: c.assert_not_called(WEB), "unfinished_call"),
        (called(("rm", {})), lambda c: c.assert_not_called(WEB), "undeclared_tool"),
        (called((KNOWLEDGE, {})), lambda c: c.assert_called(KNOWLEDGE), "schema_violation"),
        (
            called(GOOGLE, LEAVE),
            lambda c: c.assert_meets(
                {"calls": [{"tool": KNOWLEDGE}, {"tool": WEB}], "order": "strict"}
            ),
            "wrong_order",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "<" not in value else "",
)
def test_a_wrong_answer_fails_and_names_the_finding(output: str, assertion: Any, finding: str):
    with pytest.raises(AssertionError) as failure:
        assertion(answered(output))

    assert str(failure.value).startswith(finding.partition(" ")[0] + ": ")
    assert f"finding   {finding}: " in str(failure.value)


def test_calls_besides_the_one_asked_for_are_allowed_by_assert_called():
    answered(called(GOOGLE, LEAVE)).assert_called(KNOWLEDGE, query=contains_any("leave"))


def test_a_second_call_counts_even_if_it_or_the_first_cannot_be_read():
    for output in (called(LEAVE).removesuffix("<|im_end|>") + CUT, called(("rm", {}), LEAVE)):
        with pytest.raises(AssertionError, match=r"^extra_call: [^$]+at most one call"):
            answered(output).assert_no_second_call()


@pytest.mark.parametrize(
    ("arguments", "wanted", "said"),
    [
        ({"query": "D4478"}, {"query": "D4487"}, "wrong_value: query 'D4478' is not 'D4487'"),
        ({"query": "x"}, {"query": "x", "limit": 3}, "missing_argument: limit is missing"),
        (
            {"query": 'KNOWLEDGE.limit: "x"'},
            {"query": "y"},
            "wrong_value: query 'KNOWLEDGE.limit: \"x\"' is not 'y'",
        ),
        (
            {"query": "a\nb\x1b", "limit": "x"},
            {"query": "y"},
            "wrong_value: query 'a\\nb\\x1b' is not 'y' (and 1 more)",
        ),
    ],
)
def test_the_first_line_of_a_failure_is_code_and_case(
    arguments: dict[str, Any], wanted: dict[str, Any], said: str
):
    with pytest.raises(AssertionError) as failure:
        answered(called((KNOWLEDGE, arguments))).assert_only(KNOWLEDGE, **wanted)

    assert said == str(failure.value).splitlines()[0]


def test_an_answer_is_represented_by_its_calls():
    assert f'<ToolCalls {KNOWLEDGE}(query="parental leave")>' == repr(answered(called(LEAVE)))


@given(st.lists(st.sampled_from([LEAVE, GOOGLE, (KNOWLEDGE, {"limit": "x"})]), max_size=4))
def test_a_second_call_is_what_scoring_counts_as_one(calls: list[tuple[str, dict[str, Any]]]):
    """
    Where the expected call came first, the assertion and the metric second_call_rate agree.
    """
    found = answered(called(*calls) if calls else "No.")
    first = calls[0][0] if calls else KNOWLEDGE
    row = {"id": "a", "prompt": "leave?", "expect": {"calls": [{"tool": first}]}}
    case = parse_suite({**DOCUMENT, "cases": [row]}, "a test").cases[0]
    counted = score_case(case, [found.transcript], reading_with(dialect("hermes")))
    try:
        found.assert_no_second_call()
        failed = False
    except AssertionError:
        failed = True

    assert bool(counted.second_call_kinds) is failed


def test_a_failure_shows_prompt_expectation_answer_and_calls():
    with pytest.raises(AssertionError) as failure:
        answered(called(GOOGLE)).assert_only(KNOWLEDGE, query=contains_any("leave"))
    lines = str(failure.value).splitlines()

    assert lines[0].startswith(f"wrong_tool: expected {KNOWLEDGE}, called {WEB}(")
    assert "prompt    leave?" == lines[1]
    assert lines[2].startswith(f'expected  {KNOWLEDGE}(query={{"contains_any":["leave"]}})')
    assert any(line.startswith("answer    <tool_call>") for line in lines)
    assert f'calls     {WEB}(query="weather")' in lines


def test_a_failure_shows_foreign_text_harmless_short_and_in_narrow_lines():
    with pytest.raises(AssertionError) as failure:
        answered("\x1b[31m" + "so many words " * 500).assert_called(KNOWLEDGE)
    text = str(failure.value)

    assert "\x1b" not in text
    assert "\\x1b[31m" in text
    assert "characters)" in text
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 30


@pytest.mark.parametrize(
    ("assertion", "message"),
    [
        (lambda c: c.assert_only("search_gogle"), "did you mean 'search_google'"),
        (lambda c: c.assert_not_called("nothing"), "a tool the case does not offer"),
        (lambda c: c.assert_called(WEB, qeury="x"), "did you mean 'query'"),
        (lambda c: c.assert_called(WEB, query={"holds": "x"}), 'unknown keyword "holds"'),
        (lambda c: c.assert_meets({"cals": []}), "cals"),
        (lambda c: c.assert_none(text={"containsany": ["x"]}), "unknown keyword"),
    ],
)
def test_a_misspelt_assertion_is_an_error_and_never_passes(assertion: Any, message: str):
    with pytest.raises(SuiteError, match=message):
        assertion(answered("Hello."))


def test_tools_and_system_text_come_from_the_suite_unless_given():
    suite = parse_suite(DOCUMENT, "a test")
    backend = Canned("Hello.")
    ask(backend, "hi", suite=suite, generation=Generation())
    ask(backend, "hi", suite=suite, tools=TOOLS[:1], system="Be brief.", generation=Generation())
    first, second = backend.asked

    assert [KNOWLEDGE, WEB] == [tool.name for tool in first.tools]
    assert ["Pick a tool.", "hi"] == [message.content for message in first.messages]
    assert [KNOWLEDGE] == [tool.name for tool in second.tools]
    assert ["Be brief.", "hi"] == [message.content for message in second.messages]


def test_tools_that_are_trained_in_are_judged_by_and_not_shown():
    suite = parse_suite({**DOCUMENT, "declare_tools": False}, "a test")
    backend = Canned(called(LEAVE))
    ask(backend, "leave?", suite=suite, generation=Generation()).assert_only(KNOWLEDGE)

    assert () == backend.asked[0].tools


def test_a_question_the_suite_holds_is_asked_under_its_case_id():
    """
    Only so can stored text answer it.
    """
    suite = parse_suite(DOCUMENT, "a test")
    backend = Canned("Hello.")
    for prompt, tools in (("leave?", None), ("another?", None), ("leave?", TOOLS[:1])):
        ask(backend, prompt, suite=suite, tools=tools, generation=Generation())

    assert ["kb-001", ASKED, ASKED] == [request.key.case for request in backend.asked]


def test_a_conversation_can_be_asked_and_a_call_after_its_result_is_told_apart():
    messages = [
        {"role": "user", "content": "leave?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": WEB, "arguments": {}}}]},
        {"role": "tool", "content": "12 days"},
    ]
    backend = Canned(called(LEAVE))
    calls = ask(backend, messages, tools=TOOLS, generation=Generation())

    with pytest.raises(AssertionError, match="call_after_result"):
        calls.assert_none()


def test_a_tool_can_be_a_python_function():
    def book(room: str, hours: int) -> str:
        """
        Book a room.

        Args:
            room: Which one.
            hours: For how long.
        """
        return f"{room} {hours}"

    calls = answered(called(("book", {"room": "A", "hours": 2})), tools=[book])

    calls.assert_only("book", room="A", hours=2)


def test_an_answer_of_a_server_is_read_and_shown():
    message = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": WEB, "arguments": '{"query": "x"}'}}],
    }
    calls = ask(Canned(message=message), "x?", tools=TOOLS, generation=Generation())

    calls.assert_only(WEB, query="x")
    assert message == json.loads(calls.output)


@pytest.mark.parametrize(
    ("messages", "asking", "error", "message"),
    [
        ("hi", {}, UsageError, "give suite=NAME, or tools"),
        ("hi", {"tools": [{"description": "nameless"}]}, SuiteError, "name"),
        (
            "hi",
            {"tools": [{"name": "f", "paramters": {}}]},
            SuiteError,
            r"this question: tools\[0\]\.paramters is not a key of a tool; did you mean 'param",
        ),
        ([{"role": "narrator", "content": "x"}], {"tools": TOOLS}, SuiteError, "role"),
        ("", {"tools": TOOLS}, SuiteError, "prompt"),
    ],
)
def test_a_question_that_cannot_be_asked_is_an_error(
    messages: Any, asking: dict[str, Any], error: type[HarnessError], message: str
):
    with pytest.raises(error, match=message):
        ask(Canned("Hello."), messages, **asking, generation=Generation())


def test_an_answer_that_could_not_be_made_is_an_error_and_never_judged():
    with pytest.raises(BackendError, match="no answer to 'hi': out of memory"):
        ask(Canned(error="out of memory"), "hi", tools=TOOLS, generation=Generation())


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"abstain": True}, "no call"),
        ({"abstain": True, "text": "hi"}, 'no call, and text that meets "hi"'),
        ({"calls": [{"tool": "a"}, {"tool": "b"}]}, "a() and b(), and nothing else"),
        (
            {"calls": [{"tool": "a"}, {"tool": "b"}], "order": "strict", "extra_calls": "allow"},
            "a(), then b()",
        ),
        (
            {"any_of": [{"calls": [{"tool": "a"}], "forbid": ["b"]}, {"abstain": True}]},
            "a(), and nothing else, never b; or no call",
        ),
    ],
)
def test_an_expectation_is_spelt_in_words(expect: dict[str, Any], words: str):
    assert words == spell_expected(expect)
