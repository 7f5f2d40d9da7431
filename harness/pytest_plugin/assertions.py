"""
One answer with ``assert_*`` helpers, for tests written in Python.

An assertion is an ``expect`` of a suite, judged by the scoring that suites are judged by, so the
two cannot disagree: every helper also fails where a call cannot be read, names a tool nobody
declared, or does not fit the schema its tool declares. A question, too, is read as a suite of one
case: what a test may ask is what a suite may ask.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.backends.base import Backend, Generation
from harness.canonical import canonical_json
from harness.dialects.base import Reading
from harness.dialects.registry import spoken_by
from harness.errors import BackendError, UsageError
from harness.messages import ToolCall
from harness.reports.blocks import plain
from harness.reports.conversation import conversation, faults
from harness.reports.escape import cut, line, visible
from harness.reports.format import call, calls, finding
from harness.reports.report import RunView
from harness.runs.runner import request
from harness.scoring.cases import score_turn
from harness.scoring.results import ARGUMENT_FAULTS, WARNINGS, CaseResult, Finding, TurnResult
from harness.scoring.score import reading_with
from harness.suites.parse import parse_suite
from harness.suites.suite import Abstention, Calls, Case, Expectation, Suite, Turn
from harness.transcript import Key, Transcript

ASKED = "asked"
"""The case id of a question that no suite holds."""

_WIDTH, _LABEL = 100, 10
_HEADING = 84
"""How many characters of the first finding begin a failure, which has all of them below."""
_ANSWER_LIMIT = 1000
"""How many characters of an answer a failure shows."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ToolCalls:
    """
    What a checkpoint answered to one question.
    """

    question: Mapping[str, Any]
    """A suite document whose one case was asked; what it expects means nothing."""
    case: Case
    """That case, read."""
    transcript: Transcript
    reading: Reading
    """The answer as a correct runtime would read it."""
    lenient: Reading

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """
        The readable calls, in order.
        """
        return tuple(
            ToolCall(name=attempt.name or "", arguments=attempt.arguments or {})
            for attempt in self.reading.attempts
            if attempt.readable
        )

    @property
    def text(self) -> str:
        """
        What the answer says outside its calls.
        """
        return self.reading.text

    @property
    def output(self) -> str:
        """
        The answer as it came; that of a server as JSON.
        """
        if self.transcript.message is not None:
            return canonical_json(self.transcript.message)
        return self.transcript.output or ""

    def __repr__(self) -> str:
        # pytest shows what a test's own helpers were called with.
        return f"<ToolCalls {self._made()}>"

    def assert_only(self, tool: str, /, **arguments: Any) -> None:
        """
        The answer is exactly one call: of *tool*, with *arguments*.

        Each argument is a constraint as in a suite: a bare value, or what `contains_any` and its
        like give. Arguments not named may be there if the tool declares them.

        Raises:
            AssertionError: showing prompt, raw answer, calls and findings.
            SuiteError: if the question offers no such tool, or the tool declares no such argument.
        """
        __tracebackhide__ = True
        self.assert_meets({"calls": [{"tool": tool, "arguments": arguments}]})

    def assert_called(self, tool: str, /, **arguments: Any) -> None:
        """
        One of the calls is of *tool* with *arguments*, whatever else is called.

        Raises:
            AssertionError, SuiteError: as `assert_only`.
        """
        __tracebackhide__ = True
        wanted = {"tool": tool, "arguments": arguments}
        self.assert_meets({"calls": [wanted], "extra_calls": "allow"})

    def assert_not_called(self, tool: str, /) -> None:
        """
        No call is of *tool*.

        Raises:
            AssertionError, SuiteError: as `assert_only`.
        """
        __tracebackhide__ = True
        self._expectation({"calls": [{"tool": tool}]})
        never = Calls(calls=(), extra_calls="allow", forbid=(tool,))
        self._check(Expectation(alternatives=(never, Abstention())), f"no call of {tool}")

    def assert_none(self, *, text: Any = None) -> None:
        """
        The answer holds no call, and its text meets the constraint *text* if one is given.

        Raises:
            AssertionError, SuiteError: as `assert_only`.
        """
        __tracebackhide__ = True
        said = {} if text is None else {"text": text}
        self.assert_meets({"abstain": True, **said})

    def assert_no_second_call(self) -> None:
        """
        The answer holds at most one call, unreadable ones counted.

        It says nothing about that one: `assert_called` does.

        Raises:
            AssertionError: as `assert_only`.
        """
        __tracebackhide__ = True
        if len(self.reading.attempts) < 2:
            return
        first = self.reading.attempts[0].name
        if first not in {tool.name for tool in self.case.tools}:
            said = f"extra_call: {len(self.reading.attempts)} calls"
            raise AssertionError(self._failure("at most one call", (), said))
        result = self._judge(self._expectation({"calls": [{"tool": first}]}))
        extra = [finding for finding in result.findings if finding.code == "extra_call"]
        shown = replace(result, findings=tuple(extra))
        raise AssertionError(self._failure("at most one call", (shown,)))

    def assert_meets(self, expect: Mapping[str, Any], /) -> None:
        """
        The answer meets *expect*, written as in a suite: several calls, their order, any_of.

        Raises:
            AssertionError, SuiteError: as `assert_only`.
        """
        __tracebackhide__ = True
        self._check(self._expectation(expect), spell_expected(expect))

    def _check(self, expectation: Expectation, expected: str) -> None:
        __tracebackhide__ = True
        result = self._judge(expectation)
        if result.status != "correct":
            raise AssertionError(self._failure(expected, (result,)))

    def _judge(self, expectation: Expectation) -> TurnResult:
        turn = replace(self.case.turns[0], expectation=expectation)
        return score_turn(
            turn, self.case.tools, self.transcript, lambda *_: (self.reading, self.lenient)
        )

    def _expectation(self, expect: Mapping[str, Any]) -> Expectation:
        (row,) = self.question["cases"]
        document = {**self.question, "cases": [{**row, "expect": expect}]}
        return parse_suite(document, "this assertion").cases[0].turns[0].expectation

    def _failure(
        self, expected: str, results: Sequence[TurnResult], said: str = "not as expected"
    ) -> str:
        fields = [
            ("prompt", self.case.prompt),
            ("expected", expected),
            ("answer", self.output),
            ("calls", self._made()),
        ]
        for result in results:
            fields += spell_findings(result)
        return "\n".join([_heading(results) or said, *failure_lines(fields)])

    def _made(self) -> str:
        made = [{"tool": made.name, "arguments": made.arguments} for made in self.calls]
        return plain(calls(made))


def ask(
    backend: Backend,
    messages: str | Sequence[Mapping[str, Any]],
    *,
    suite: Suite | None = None,
    tools: Sequence[Mapping[str, Any] | Callable[..., Any]] | None = None,
    system: str | None = None,
    generation: Generation,
) -> ToolCalls:
    """
    Ask one question: a prompt, or a conversation in the Hugging Face chat shape.

    Tools and system text are those of *suite* unless given here. A tool is an OpenAI function
    schema, or a Python function with type hints and a Google-style docstring. A question that
    *suite* holds, too, is asked under its case's id, so that stored text (``replay:``) answers it.

    Raises:
        UsageError: if neither suite nor tools are given.
        SuiteError: if a tool or a message is not what it should be.
        BackendError: if the answer could not be made; it is never judged.
    """
    if suite is None and not tools:
        raise UsageError("no tools to call: give suite=NAME, or tools=[...]")
    question = _question(messages, suite, tools, system)
    parsed = parse_suite(question, "this question")
    case = parsed.cases[0]
    key = Key(_identity(case, suite))
    transcripts = [
        transcript
        for group in backend.answer([request(parsed, case, key)], generation)
        for transcript in group
    ]
    if len(transcripts) != 1:
        raise BackendError(f"one question got {len(transcripts)} answers: {case.prompt!r}")
    transcript = transcripts[0]
    if transcript.error is not None:
        raise BackendError(f"no answer to {cut(case.prompt)!r}: {transcript.error}")
    reading, lenient = reading_with(spoken_by(backend.checkpoint))(transcript, case.tools)
    return ToolCalls(
        question=question, case=case, transcript=transcript, reading=reading, lenient=lenient
    )


def _question(
    messages: str | Sequence[Mapping[str, Any]],
    suite: Suite | None,
    tools: Sequence[Mapping[str, Any] | Callable[..., Any]] | None,
    system: str | None,
) -> dict[str, Any]:
    document = (
        {"format": 1, "name": ASKED, "version": "0.0.0"} if suite is None else dict(suite.document)
    )
    if tools is not None:
        document["tools"] = [_schema(tool) for tool in tools]
    if system is not None:
        document["system"] = system
    asked = {"prompt": messages} if isinstance(messages, str) else {"messages": list(messages)}
    return {**document, "cases": [{"id": ASKED, **asked, "expect": {"abstain": True}}]}


def _schema(tool: Mapping[str, Any] | Callable[..., Any]) -> Mapping[str, Any]:
    if isinstance(tool, Mapping):
        return tool
    from harness.messages import tools_from_functions

    return tools_from_functions([tool])[0].schema


def _identity(asked: Case, suite: Suite | None) -> str:
    for case in suite.cases if suite is not None else ():
        if case.turns[0].messages == asked.turns[0].messages and case.tools == asked.tools:
            return case.id
    return ASKED


def explain_case(
    case: Case,
    row: Mapping[str, Any],
    result: CaseResult,
    run: RunView,
    place: str,
) -> str:
    """
    Return in full why a suite's case is not correct; *row* is the case as written at *place*.
    """
    fields = [("case", place)]
    if result.executed is not None:
        found = [each for each in result.findings if each.code not in WARNINGS]
        heading = f"{found[0].code}: {found[0].detail}" if found else result.status
        fields.append(("prompt", case.prompt))
        fields += [(name, plain(text)) for name, text in conversation(run, result)]
        fields += [("wrong", plain(text)) for text in faults(result)]
        must = " (it must pass)" if case.must_pass else ""
        return "\n".join([line(cut(heading)) + must, *failure_lines(fields)])
    heading = _heading(result.turns) or result.status
    expected = [row["expect"]] if "expect" in row else [turn["expect"] for turn in row["turns"]]
    for index, (turn, judged) in enumerate(zip(case.turns, result.turns, strict=True)):
        if judged.status == "correct":
            continue
        key = Key(case.id, result.repeat, index)
        if len(case.turns) > 1:
            fields.append(("turn", f"{index + 1} of {len(case.turns)}"))
        fields.append(("prompt", _last_said(turn)))
        if judged.status == "error":
            heading = line(cut(f"no answer: {run.errors.get(key, 'it is missing')}"))
            continue
        fields += [
            ("expected", spell_expected(expected[index])),
            ("answer", run.answers[key]),
            ("calls", plain(calls(judged.calls))),
            *spell_findings(judged),
        ]
    must = " (it must pass)" if case.must_pass else ""
    return "\n".join([heading + must, *failure_lines(fields)])


def _heading(turns: Iterable[TurnResult]) -> str | None:
    """
    Return the first finding in one line, its code first, and how many more there are.
    """
    found = [(turn, each) for turn in turns for each in turn.findings if each.code not in WARNINGS]
    if not found:
        return None
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    first = line(_spell_first(*found[0]))
    return (first if len(first) <= _HEADING else f"{first[:_HEADING]}…") + more


def _spell_first(turn: TurnResult, found: Finding) -> str:
    if found.code in ARGUMENT_FAULTS:
        for made in turn.calls:
            # Which tool is told below; this line is cut to the width of a terminal.
            detail = found.detail.removeprefix(f"{made['tool']}.")
            if detail != found.detail:
                return f"{found.code}: {detail.replace(': ', ' ', 1)}"
    return f"{found.code}: {found.detail}"


def _last_said(turn: Turn) -> str:
    said = [message.content for message in turn.messages if message.role == "user"]
    return (said[-1] if said else None) or ""


def failure_lines(fields: Iterable[tuple[str, str]]) -> list[str]:
    """
    Lay out what a failed test shows: a label, then text made harmless and wrapped.
    """
    lines = []
    for label, text in fields:
        shown = visible(cut(text, _ANSWER_LIMIT)) or "(empty)"
        first, *rest = textwrap.wrap(
            shown, _WIDTH - _LABEL, break_on_hyphens=False, replace_whitespace=False
        ) or ["(blank)"]
        lines.append(f"{label:<{_LABEL}}{first}")
        lines += [" " * _LABEL + line for line in rest]
    return lines


def spell_findings(result: TurnResult) -> Iterator[tuple[str, str]]:
    """
    Spell what was wrong with an answer, a field a finding.
    """
    for found in result.findings:
        yield "finding", plain(finding(found))


def spell_expected(expect: Mapping[str, Any]) -> str:
    """
    Spell an ``expect`` of a suite in words.
    """
    if "any_of" in expect:
        return "; or ".join(spell_expected(inner) for inner in expect["any_of"])
    if "abstain" in expect:
        text = f", and text that meets {canonical_json(expect['text'])}" if "text" in expect else ""
        return f"no call{text}"
    between = ", then " if expect.get("order") == "strict" else " and "
    wanted = between.join(call(entry) for entry in expect["calls"])
    others = "" if expect.get("extra_calls") == "allow" else ", and nothing else"
    never = f", never {', '.join(expect['forbid'])}" if expect.get("forbid") else ""
    return f"{wanted}{others}{never}"
