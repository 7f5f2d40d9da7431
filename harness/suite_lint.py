"""
What is wrong with a suite though it can be read: `harness suite check`.

Every load error is a finding too, so that one command tells all. That the content was never
released is no finding; `SuiteSummary.released` says it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

from harness.canonical import canonical_json
from harness.constraints import Constraint
from harness.messages import Message, Tool
from harness.suite import Abstention, Calls, Case, ExpectedCall, Suite
from harness.suite_files import SUITE_FILE, read_suite
from harness.suite_similar import normalized, similar_pairs
from harness.suite_source import Places, Steps, read_source

WITHIN_SUITE = 0.6
"""From here two prompts are one template filled twice ("Play the song Jolene in the kitchen" and
"... in the bathroom" are at 0.61): they pass and fail together, so intervals hold only if they
share a group."""

AGAINST_TRAINING = 0.5
"""Stricter, as a tuned model may repeat what it was shown: a case near a training row measures
memory."""

TRAINING_FILES = ("train.jsonl", "valid.jsonl")

LintCode = Literal[
    "invalid",
    "impossible_value",
    "unreachable_value",
    "required_absent",
    "required_undeclared",
    "no_effect",
    "no_tools",
    "reference_fails",
    "duplicate_prompt",
    "near_duplicate",
    "near_training",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """
    One thing an author should mend.
    """

    file: str
    line: int | None
    code: LintCode
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.code}: {self.message}"


Found = tuple[Steps, LintCode, str]
"""A finding before its line is looked up."""


def check(path: Path, today: date) -> list[LintFinding]:
    """
    Give everything that is wrong with a suite, each file by line; empty if it is clean.
    """
    reading = read_suite(path, today=today)
    folder = path.parent if path.name == SUITE_FILE else path
    findings = [
        LintFinding(file=problem.file, line=problem.line, code="invalid", message=problem.message)
        for problem in reading.problems
    ]
    rows, unread = _training_texts(folder)
    if reading.suite is not None:
        suite, places = reading.suite, reading.places
        found = [*_settings(suite), *_tools(suite), *_near_training(suite, rows)]
        found += _duplicates(suite, places)
        for index, case in enumerate(suite.cases):
            found += ((("cases", index, *at), code, text) for at, code, text in _case(case))
        findings += [_placed(places, *entry) for entry in found]
    findings += unread
    files = list(dict.fromkeys(finding.file for finding in findings))
    return sorted(findings, key=lambda finding: (files.index(finding.file), finding.line or 0))


def _placed(places: Places, steps: Steps, code: LintCode, message: str) -> LintFinding:
    file, line = places.find(steps)
    return LintFinding(file=file, line=line, code=code, message=message)


# The suite as a whole.


def _settings(suite: Suite) -> Iterator[Found]:
    if not suite.generation.get("do_sample", False):
        for name in ("temperature", "top_p", "top_k"):
            if name in suite.generation:
                text = f"{name} changes nothing while do_sample is not true; remove it"
                yield ("generation", name), "no_effect", text


def _tools(suite: Suite) -> Iterator[Found]:
    declared = suite.tools[: len(suite.document["tools"])]
    for index, tool in enumerate(declared):
        yield from _undeclared(tool, ("tools", index))
    for index, case in enumerate(suite.cases):
        for tool in case.tools:
            if tool not in declared:
                yield from _undeclared(tool, ("cases", index, "tools"))


def _undeclared(tool: Tool, steps: Steps) -> Iterator[Found]:
    known = tool.parameters.get("properties", {})
    for name in tool.parameters.get("required", ()):
        if name not in known:
            text = f"tool {tool.name!r} requires {name!r}, which it does not declare"
            yield steps, "required_undeclared", text


def _near_training(suite: Suite, rows: Sequence[tuple[str, str]]) -> Iterator[Found]:
    prompts = [case.prompt for case in suite.cases]
    for pair in similar_pairs(prompts, [text for _, text in rows], threshold=AGAINST_TRAINING):
        case, (place, _) = suite.cases[pair.left], rows[pair.right]
        text = (
            f"case {case.id!r} is {pair.similarity:.2f} similar to a training row ({place}); "
            f"below {AGAINST_TRAINING} it tests more than memory"
        )
        yield ("cases", pair.left), "near_training", text


def _duplicates(suite: Suite, places: Places) -> Iterator[Found]:
    texts = [_conversation(case) for case in suite.cases]
    for one, two, similarity in similar_pairs(texts, threshold=WITHIN_SUITE):
        first, second = suite.cases[one], suite.cases[two]
        file, line = places.find(("cases", one))
        other = f"case {first.id!r} ({file if line is None else f'{file}:{line}'})"
        same = normalized(texts[one]) == normalized(texts[two])
        if same and first.tools == second.tools:
            text = f"case {second.id!r} asks what {other} asks, with the same tools; keep one"
            yield ("cases", two), "duplicate_prompt", text
        elif first.group is None or first.group != second.group:
            text = (
                f"case {second.id!r} is {similarity:.2f} similar to {other}; "
                "put both into one group, or rewrite one"
            )
            yield ("cases", two), "near_duplicate", text


def _conversation(case: Case) -> str:
    """
    Give what makes a case's first question its own: all but the system message, as text.
    """
    said = []
    for message in case.turns[0].messages:
        if message.role not in ("system", "developer"):
            calls = [canonical_json([call.name, call.arguments]) for call in message.tool_calls]
            said += [message.content or "", *calls]
    return " ".join(said)


def _training_texts(folder: Path) -> tuple[list[tuple[str, str]], list[LintFinding]]:
    """
    Give each thing a user says in a training row with its ``file:line``, and what cannot be read.
    """
    texts: list[tuple[str, str]] = []
    findings: list[LintFinding] = []
    for file in (folder / name for name in TRAINING_FILES):
        if not file.is_file():
            continue
        source = read_source(file)
        findings += [
            LintFinding(
                file=problem.file, line=problem.line, code="invalid", message=problem.message
            )
            for problem in source.problems
        ]
        for index, row in enumerate(source.value or ()):
            _, line = source.places.find((index,))
            said = _user_texts(row)
            texts += ((f"{file.name}:{line}", text) for text in said)
            if not said:
                text = 'a training row needs "messages" in which a user says something'
                findings.append(
                    LintFinding(file=str(file), line=line, code="invalid", message=text)
                )
    return texts, findings


def _user_texts(row: Any) -> list[str]:
    messages = row.get("messages") if isinstance(row, Mapping) else None
    return [
        message["content"]
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message, Mapping)
        and message.get("role") == "user"
        and isinstance(message.get("content"), str)
    ]


# One case. Steps begin at the case.


def _case(case: Case) -> Iterator[Found]:
    several = len(case.turns) > 1
    for index, turn in enumerate(case.turns):
        steps: Steps = ("turns", index, "expect") if several else ("expect",)
        label = f"case {case.id!r}, turn {index}" if several else f"case {case.id!r}"
        seen: list[Any] = []
        for alternative in turn.expectation.alternatives:
            if _spec(alternative) in seen:
                yield steps, "no_effect", f"{label}: any_of holds the same alternative twice"
            seen.append(_spec(alternative))
            if isinstance(alternative, Abstention):
                yield from _abstention(alternative, case, label, steps)
            else:
                for call in alternative.calls:
                    yield from _call(call, case, label, steps)
        if index + 1 < len(case.turns):
            reference = case.turns[index + 1].messages[len(turn.messages)]
            if not any(
                _meets(reference, alternative) for alternative in turn.expectation.alternatives
            ):
                text = f"{label}: the reference answer in `then` is not what the turn expects"
                yield ("turns", index, "then"), "reference_fails", text


def _spec(alternative: Calls | Abstention) -> Any:
    if isinstance(alternative, Abstention):
        return alternative.text and ("abstain", alternative.text.spec)
    calls = [
        (call.tool, {name: c.spec for name, c in call.arguments.items()}, call.other_arguments)
        for call in alternative.calls
    ]
    return calls, alternative.order, alternative.extra_calls, alternative.forbid


def _abstention(alternative: Abstention, case: Case, label: str, steps: Steps) -> Iterator[Found]:
    if not case.tools:
        text = f"{label}: expects no call and offers no tool, so nearly every answer passes"
        yield steps, "no_tools", text
    if alternative.text is not None and _accepts_all(alternative.text):
        text = f"{label}: the constraint on the text accepts every text; remove it"
        yield steps, "no_effect", text


def _call(call: ExpectedCall, case: Case, label: str, steps: Steps) -> Iterator[Found]:
    tool = next(tool for tool in case.tools if tool.name == call.tool)
    for name, constraint in call.arguments.items():
        where = f"{label}: argument {name!r} of {tool.name!r}"
        if constraint.absent and name in tool.parameters.get("required", ()):
            text = f"{where} is required by the tool, so no answer without it is right"
            yield steps, "required_absent", text
        if constraint.optional and _accepts_all(constraint):
            yield steps, "no_effect", f"{where} may be left out or be anything; remove it"
        if not constraint.absent and name in tool.parameters.get("properties", {}):
            yield from _values(tool, name, constraint, where, steps)


def _values(
    tool: Tool, name: str, constraint: Constraint, where: str, steps: Steps
) -> Iterator[Found]:
    """
    Compare the finite sets of values: what the constraint names, and what the tool allows.
    """
    declared = tool.parameters["properties"][name]
    # Evolved from the whole schema, so that "#/$defs/..." is found from there.
    validator = Draft202012Validator(tool.parameters).evolve(schema=declared)
    named = _finite(constraint.schema)
    refused = [value for value in named if not validator.is_valid(value)]
    if named and len(refused) == len(named):
        error = next(iter(validator.iter_errors(refused[0])))
        text = f"{where} can never be right: the tool's own schema says {error.message}"
        yield steps, "impossible_value", text
        return
    for value in refused:
        text = f"{where}: the tool's own schema refuses {canonical_json(value)}; remove it"
        yield steps, "unreachable_value", text
    allowed = _finite(declared) if isinstance(declared, Mapping) else []
    if not named and allowed and all(constraint.check(value) for value in allowed):
        text = f"{where} can never be right: no value of the tool's enum meets the constraint"
        yield steps, "impossible_value", text


def _finite(schema: Mapping[str, Any]) -> list[Any]:
    """
    List the only values a schema may accept, where it names them; else give an empty list.
    """
    if "const" in schema:
        return [schema["const"]]
    return list(schema.get("enum", ()))


def _accepts_all(constraint: Constraint) -> bool:
    notes = {"title", "description", "$comment", "examples", "default"}
    return not constraint.absent and not set(constraint.schema) - notes


def _meets(reference: Message, alternative: Calls | Abstention) -> bool:
    """
    Whether a reference answer is one the expectation could have in mind; order is not compared.
    """
    calls = list(reference.tool_calls)
    if isinstance(alternative, Abstention):
        text = alternative.text
        return not calls and (text is None or not text.check(reference.content or ""))
    called = Counter(call.name for call in calls)
    expected = Counter(call.tool for call in alternative.calls)
    enough = called == expected or (alternative.extra_calls == "allow" and called >= expected)
    return enough and all(
        any(_fits(call.arguments, wanted) for call in calls if call.name == wanted.tool)
        for wanted in alternative.calls
    )


def _fits(arguments: Mapping[str, Any], wanted: ExpectedCall) -> bool:
    for name, constraint in wanted.arguments.items():
        if name in arguments:
            if constraint.absent or constraint.check(arguments[name]):
                return False
        elif not constraint.absent and not constraint.optional:
            return False
    return wanted.other_arguments == "declared" or set(arguments) <= set(wanted.arguments)
