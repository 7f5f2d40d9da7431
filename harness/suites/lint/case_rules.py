"""
Findings about one case: expectations that nothing meets, that everything meets, or that contradict
each other, and reference answers that do not meet them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from harness.constraints.constraint import Constraint
from harness.diagnostics import Steps
from harness.messages import Message
from harness.suites.lint.findings import Found
from harness.suites.lint.text_rules import free_text_findings
from harness.suites.lint.value_rules import value_findings
from harness.suites.suite import Abstention, Calls, Case, ExpectedCall, Turn

_NOTES = {"title", "description", "$comment", "examples", "default"}


def case_findings(case: Case) -> Iterator[Found]:
    """
    Yield everything wrong with *case*, by steps that begin at it.
    """
    several = len(case.turns) > 1
    for index, turn in enumerate(case.turns):
        steps: Steps = ("turns", index, "expect") if several else ("expect",)
        label = f"case {case.id!r}, turn {index + 1}" if several else f"case {case.id!r}"
        yield from _alternatives(turn, case, label, steps)
        for alternative in turn.expectation.alternatives:
            if isinstance(alternative, Abstention):
                yield from _abstention(alternative, case, label, steps)
                if alternative.text is not None:
                    where = f"{label}: the text of the answer"
                    yield from free_text_findings(
                        alternative.text, True, turn.messages, where, steps
                    )
            else:
                for call in alternative.calls:
                    yield from _call(call, case, turn, label, steps)
        if index + 1 < len(case.turns):
            reference = case.turns[index + 1].messages[len(turn.messages)]
            if not any(
                _meets(reference, alternative) for alternative in turn.expectation.alternatives
            ):
                text = f"{label}: the reference answer in `then` is not what the turn expects"
                yield ("turns", index, "then"), "reference_fails", text


def expectation_spec(turn: Turn) -> list[Any]:
    """
    Return what a turn expects as values that are equal if the expectations are.
    """
    return [_spec(alternative) for alternative in turn.expectation.alternatives]


# Alternatives beside each other.


def _alternatives(turn: Turn, case: Case, label: str, steps: Steps) -> Iterator[Found]:
    alternatives = turn.expectation.alternatives
    seen: list[Any] = []
    for alternative in alternatives:
        if _spec(alternative) in seen:
            yield steps, "no_effect", f"{label}: any_of holds the same alternative twice"
        seen.append(_spec(alternative))
    abstentions = [one for one in alternatives if isinstance(one, Abstention)]
    calls = [one for one in alternatives if isinstance(one, Calls)]
    if any(one.text is None for one in abstentions) and any(one.text for one in abstentions):
        text = (
            f"{label}: any_of accepts an answer without a call whatever it says, so the "
            "alternative with a text has no effect; keep one of the two"
        )
        yield steps, "no_effect", text
    for one in calls:
        for other in calls:
            for name in sorted({call.tool for call in other.calls} & set(one.forbid)):
                text = (
                    f"{label}: one alternative forbids {name!r} and another calls for it; "
                    "decide which is right"
                )
                yield steps, "contradiction", text
    free = {one.calls[0].tool for one in calls if _takes_any_call(one)}
    if free and free == {tool.name for tool in case.tools} and _any_text(abstentions):
        text = f"{label}: any call and no call are right, so nearly every answer passes"
        yield steps, "passes_all", text


def _takes_any_call(alternative: Calls) -> bool:
    """
    Return whether any single call of its tool is right, whatever the arguments and what follows.
    """
    only = alternative.calls[0]
    return (
        len(alternative.calls) == 1
        and alternative.extra_calls == "allow"
        and not alternative.forbid
        and only.other_arguments == "declared"
        and all(_accepts_all(constraint) for constraint in only.arguments.values())
    )


def _any_text(abstentions: list[Abstention]) -> bool:
    return any(one.text is None or _accepts_all_texts(one.text) for one in abstentions)


def _spec(alternative: Calls | Abstention) -> Any:
    if isinstance(alternative, Abstention):
        return alternative.text and ("abstain", alternative.text.spec)
    calls = [
        (call.tool, {name: c.spec for name, c in call.arguments.items()}, call.other_arguments)
        for call in alternative.calls
    ]
    return calls, alternative.order, alternative.extra_calls, alternative.forbid


# One alternative.


def _abstention(alternative: Abstention, case: Case, label: str, steps: Steps) -> Iterator[Found]:
    if not case.tools:
        text = f"{label}: expects no call and offers no tool, so nearly every answer passes"
        yield steps, "no_tools", text
    if alternative.text is not None and _accepts_all_texts(alternative.text):
        text = f"{label}: the constraint on the text accepts any text; remove it"
        yield steps, "no_effect", text


def _call(call: ExpectedCall, case: Case, turn: Turn, label: str, steps: Steps) -> Iterator[Found]:
    tool = next(tool for tool in case.tools if tool.name == call.tool)
    required = tool.parameters.get("required", ())
    for name, constraint in call.arguments.items():
        where = f"{label}: argument {name!r} of {tool.name!r}"
        if constraint.absent and name in required:
            text = f"{where} is required by the tool, so no answer without it can be right"
            yield steps, "required_absent", text
        if constraint.optional and _accepts_all(constraint):
            yield (
                steps,
                "no_effect",
                f"{where} may be left out or be anything; remove it",
            )
        if not constraint.absent:
            yield from value_findings(tool, name, constraint, where, steps)
            declared = tool.parameters.get("properties", {}).get(name, True)
            yield from free_text_findings(constraint, declared, turn.messages, where, steps)
    if call.other_arguments == "forbid":
        for name in required:
            if name not in call.arguments:
                text = (
                    f"{label}: argument {name!r} of {tool.name!r} is required by the tool and "
                    "other_arguments forbids it, so no answer can be right; list it"
                )
                yield steps, "required_absent", text


def _accepts_all(constraint: Constraint) -> bool:
    return not constraint.absent and not set(constraint.schema) - _NOTES


def _accepts_all_texts(constraint: Constraint) -> bool:
    said = {key: value for key, value in constraint.schema.items() if key not in _NOTES}
    kinds = said.pop("type", "string")
    empty = said.pop("pattern", "") in ("", "^", ".*", "^.*") and said.pop("minLength", 0) == 0
    return empty and not said and "string" in ([kinds] if isinstance(kinds, str) else kinds)


# The reference answer.


def _meets(reference: Message, alternative: Calls | Abstention) -> bool:
    """
    Return whether a reference answer meets the expectation; order is not compared.
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
