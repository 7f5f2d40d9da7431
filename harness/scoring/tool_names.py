"""
Tools under the names that an API allows: ``--tool-names dots-to-underscores``.

Many APIs forbid dots in the names of functions, so a tool ``math.sqrt`` is shown to the model as
``math_sqrt``: in its declaration and in the calls of a history. The model's calls are mapped back
exactly, so any name it was not shown is undeclared, the real name included. Two tools that would
be shown under one name are an error: their calls would be indistinguishable.

Suites, stored conversations and the calls of a record keep the real names. The details of findings
quote the names the model saw; `Finding.call` says which call they are about.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.errors import UsageError
from harness.messages import Message, Tool
from harness.scoring.results import CaseResult, TurnResult
from harness.suites.suite import Abstention, Calls, Case, Expectation, Suite, Turn

STYLES: Mapping[str, Callable[[str], str]] = {
    "dots-to-underscores": lambda name: name.replace(".", "_"),
}
"""How each style writes the name of a tool."""


def shown_suite(suite: Suite, style: str | None) -> Suite:
    """
    Return *suite* with every case as the model sees it; without a style, unchanged.

    Raises:
        UsageError: for an unknown style, or two tools of a case that would have the same name.
    """
    if style is None:
        return suite
    return suite.with_cases(tuple(shown_case(case, style) for case in suite.cases))


def shown_case(case: Case, style: str | None) -> Case:
    """
    Return *case* with its tools, history and expectations under the names the model sees.

    Id and digest are unchanged: it is the same question.

    Raises:
        UsageError: as `shown_suite`.
    """
    if style is None:
        return case
    names = shown_names(case, style)
    return replace(
        case,
        tools=tuple(_tool(tool, names[tool.name]) for tool in case.tools),
        turns=tuple(
            Turn(
                messages=tuple(_message(message, names) for message in turn.messages),
                expectation=_expectation(turn.expectation, names),
            )
            for turn in case.turns
        ),
    )


def taken_back(result: CaseResult, case: Case, style: str | None) -> CaseResult:
    """
    Return the judgement of a shown case with the real names of *case* for the called tools.
    """
    if style is None:
        return result
    real = {shown: name for name, shown in shown_names(case, style).items()}
    executed = result.executed
    if executed is not None:
        steps = tuple(_turn(step, real) for step in executed.steps)
        executed = replace(executed, steps=steps)
    turns = tuple(_turn(turn, real) for turn in result.turns)
    return replace(result, turns=turns, executed=executed)


def shown_names(case: Case, style: str) -> dict[str, str]:
    """
    Return the names under which the tools of *case* are shown, by their real ones.

    Raises:
        UsageError: as `shown_suite`.
    """
    if style not in STYLES:
        raise UsageError(f"unknown style of tool names {style!r}; choose from {', '.join(STYLES)}")
    names: dict[str, str] = {}
    real: dict[str, str] = {}
    for tool in case.tools:
        shown = names[tool.name] = STYLES[style](tool.name)
        if real.setdefault(shown, tool.name) != tool.name:
            raise UsageError(
                f"case {case.id!r}: --tool-names {style} would show both {real[shown]!r} and "
                f"{tool.name!r} as {shown!r}; rename one, or run without it"
            )
    return names


def _tool(tool: Tool, name: str) -> Tool:
    function = {**tool.schema["function"], "name": name}
    return replace(tool, name=name, schema={**tool.schema, "function": function})


def _message(message: Message, names: Mapping[str, str]) -> Message:
    calls = tuple(
        replace(call, name=names.get(call.name, call.name)) for call in message.tool_calls
    )
    answered = message.name
    if message.role == "tool" and answered is not None:
        answered = names.get(answered, answered)
    return replace(message, tool_calls=calls, name=answered)


def _expectation(expectation: Expectation, names: Mapping[str, str]) -> Expectation:
    alternatives: Sequence[Calls | Abstention] = [
        alternative
        if isinstance(alternative, Abstention)
        else replace(
            alternative,
            calls=tuple(replace(call, tool=names[call.tool]) for call in alternative.calls),
            forbid=tuple(names[name] for name in alternative.forbid),
        )
        for alternative in expectation.alternatives
    ]
    return Expectation(alternatives=tuple(alternatives))


def _turn(turn: TurnResult, real: Mapping[str, str]) -> TurnResult:
    return replace(
        turn,
        calls=tuple({**call, "tool": real.get(call["tool"], call["tool"])} for call in turn.calls),
        pairs=tuple(
            (real.get(expected, expected), real.get(called, called))
            for expected, called in turn.pairs
        ),
    )
