"""
What a case expects, read from the shape that schemas/case.json has found right.

======================  ========================================================================
key                     meaning
======================  ========================================================================
``calls``               the calls an answer must hold, each once
``tool``                of a call: its tool, one the case offers
``arguments``           of a call: a constraint for each argument (`harness.constraints.constraint`)
``other_arguments``     ``declared``: arguments not listed may be there if the tool declares them;
                        ``forbid``: they may not
``order``               ``any``, or ``strict``: the calls must come in the order they are listed
``extra_calls``         ``forbid``, or ``allow``: calls beyond those listed may be there, too
``forbid``              tools that must not be called, not even where extra calls are allowed
``abstain: true``       no call may be there, nor an attempt at one
``text``                beside ``abstain``: a constraint on the text of the answer
``any_of``              alternatives: the one with the fewest findings counts, the first on a tie
======================  ========================================================================

The first value is the default. Expectations stand in ``expect``, or one in each entry of ``turns``;
a case may offer other tools than its suite by ``tools``.

Sources: calls in any order are BFCL's parallel categories, ``abstain`` is its irrelevance category
(Berkeley Function Calling Leaderboard, ``ast_checker.py`` and ``eval_runner.py``); ``any_of`` is
JSON Schema's word. The other keys are this project's.
"""

from collections.abc import Callable, Mapping
from typing import Any

from harness.constraints.constraint import Constraint, compile_constraint
from harness.diagnostics import Steps, suggest
from harness.messages import Tool
from harness.suites.suite import Abstention, Calls, Expectation, ExpectedCall

Note = Callable[[Steps, str], None]
"""Takes what is wrong with the part at some steps."""

NOT_OFFERED = "a tool the case does not offer"


def read_expectation(
    given: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool], note: Note
) -> Expectation:
    """
    Read one ``expect``; an ``any_of`` inside an ``any_of`` adds its alternatives in place.
    """
    return Expectation(alternatives=tuple(_alternatives(given, steps, tools, note)))


def _alternatives(
    given: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool], note: Note
) -> list[Calls | Abstention]:
    if "any_of" in given:
        return [
            alternative
            for index, inner in enumerate(given["any_of"])
            for alternative in _alternatives(inner, (*steps, "any_of", index), tools, note)
        ]
    if "abstain" in given:
        at = (*steps, "text")
        return [Abstention(text=_constraint(given["text"], at, note) if "text" in given else None)]
    calls = tuple(
        _call(call, (*steps, "calls", index), tools, note)
        for index, call in enumerate(given["calls"])
    )
    forbid = tuple(given.get("forbid", ()))
    for index, name in enumerate(forbid):
        at = (*steps, "forbid", index)
        if name not in tools:
            note(at, f"names {name!r}, {NOT_OFFERED}{suggest(name, tools)}")
        elif name in {call.tool for call in calls}:
            note(at, f"names {name!r}, which the same expectation calls for")
    return [
        Calls(
            calls=calls,
            order=given.get("order", "any"),
            extra_calls=given.get("extra_calls", "forbid"),
            forbid=forbid,
        )
    ]


def _call(
    given: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool], note: Note
) -> ExpectedCall:
    name = given["tool"]
    tool = tools.get(name)
    if tool is None:
        note((*steps, "tool"), f"is {name!r}, {NOT_OFFERED}{suggest(name, tools)}")
    arguments = {}
    for argument, spec in given.get("arguments", {}).items():
        at = (*steps, "arguments", argument)
        constraint = _constraint(spec, at, note)
        if constraint is None:
            continue
        arguments[argument] = constraint
        if tool is not None and not constraint.absent and not _takes(tool, argument):
            known = tool.parameters.get("properties", {})
            note(at, f"is no argument that {name!r} declares{suggest(argument, known)}")
    return ExpectedCall(
        tool=name,
        arguments=arguments,
        other_arguments=given.get("other_arguments", "declared"),
    )


def _constraint(spec: Any, steps: Steps, note: Note) -> Constraint | None:
    try:
        return compile_constraint(spec)
    except ValueError as exc:
        note(steps, f"is no constraint: {exc}")
        return None


def _takes(tool: Tool, argument: str) -> bool:
    """
    Whether a tool declares an argument, by name or by saying that it takes names of any kind.
    """
    parameters = tool.parameters
    if argument in parameters.get("properties", {}):
        return True
    return bool(parameters.get("additionalProperties")) or "patternProperties" in parameters
