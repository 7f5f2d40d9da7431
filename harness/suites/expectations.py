"""
What a case expects: problems beyond its schema, and its value if there are none.

======================  ========================================================================
key                     meaning
======================  ========================================================================
``calls``               the calls an answer must contain, each once
``tool``                of a call: its tool, one the case offers
``arguments``           of a call: a constraint for each argument (`harness.constraints.constraint`)
``other_arguments``     ``declared``: arguments not listed may be there if the tool declares them;
                        ``forbid``: they may not
``order``               ``any``, or ``strict``: the calls must come in the order they are listed
``extra_calls``         ``forbid``, or ``allow``: further calls may be there
``forbid``              tools that must not be called, not even where extra calls are allowed
``abstain: true``       there must be no call and no attempt at one
``text``                with ``abstain``: a constraint on the text of the answer
``any_of``              alternatives: the one with the fewest findings counts, the first on a tie
======================  ========================================================================

The first value is the default. An expectation is in ``expect``, or in each entry of ``turns``;
a case may offer other tools than its suite by ``tools``.

Sources: calls in any order are BFCL's parallel categories, ``abstain`` is its irrelevance category
(Berkeley Function Calling Leaderboard, ``ast_checker.py`` and ``eval_runner.py``); ``any_of`` is
JSON Schema's keyword. The other keys are this project's.
"""

from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any

from harness.constraints.constraint import check_constraint, make_constraint
from harness.diagnostics import Flaw, Steps
from harness.messages import Tool
from harness.suites.suite import Abstention, Calls, Expectation, ExpectedCall
from harness.wording import suggest

NOT_OFFERED = "a tool the case does not offer"


def expectation_flaws(
    given: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool]
) -> Iterator[Flaw]:
    """
    Yield what is wrong with one ``expect`` of a case that offers *tools*.
    """
    if "any_of" in given:
        for index, inner in enumerate(given["any_of"]):
            yield from expectation_flaws(inner, (*steps, "any_of", index), tools)
    elif "abstain" in given:
        if "text" in given:
            yield from _constraint_flaws(given["text"], (*steps, "text"))
    else:
        for index, call in enumerate(given["calls"]):
            yield from _call_flaws(call, (*steps, "calls", index), tools)
        expected = {call["tool"] for call in given["calls"]}
        for index, name in enumerate(given.get("forbid", ())):
            at = (*steps, "forbid", index)
            if name not in tools:
                yield at, f"names {name!r}, {NOT_OFFERED}{suggest(name, tools)}"
            elif name in expected:
                yield at, f"names {name!r}, which the same expectation calls for"


def _call_flaws(
    given: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool]
) -> Iterator[Flaw]:
    name = given["tool"]
    tool = tools.get(name)
    if tool is None:
        yield (*steps, "tool"), f"is {name!r}, {NOT_OFFERED}{suggest(name, tools)}"
    for argument, spec in given.get("arguments", {}).items():
        at = (*steps, "arguments", argument)
        wrong = list(_constraint_flaws(spec, at))
        yield from wrong
        absent = isinstance(spec, Mapping) and spec.get("absent", False)
        if not wrong and tool is not None and not absent and not _takes(tool, argument):
            known = tool.parameters.get("properties", {})
            yield at, f"is not an argument that {name!r} declares{suggest(argument, known)}"


def _constraint_flaws(spec: Any, steps: Steps) -> Iterator[Flaw]:
    try:
        check_constraint(spec)
    except ValueError as exc:
        yield steps, f"is not a constraint: {exc}"


def _takes(tool: Tool, argument: str) -> bool:
    """
    Return whether a tool declares an argument, by name or by allowing arguments of any name.
    """
    parameters = tool.parameters
    if argument in parameters.get("properties", {}):
        return True
    return bool(parameters.get("additionalProperties")) or "patternProperties" in parameters


def expectation(given: Mapping[str, Any] | None) -> Expectation:
    """
    Return the value of a sound ``expect``, or of none; ``any_of`` inside ``any_of`` adds its
    alternatives in place.
    """
    return Expectation(alternatives=() if given is None else tuple(_alternatives(given)))


def _alternatives(given: Mapping[str, Any]) -> Iterator[Calls | Abstention]:
    if "any_of" in given:
        for inner in given["any_of"]:
            yield from _alternatives(inner)
    elif "abstain" in given:
        yield Abstention(text=make_constraint(given["text"]) if "text" in given else None)
    else:
        yield Calls(
            calls=tuple(_call(call) for call in given["calls"]),
            order=given.get("order", "any"),
            extra_calls=given.get("extra_calls", "forbid"),
            forbid=tuple(given.get("forbid", ())),
        )


def _call(given: Mapping[str, Any]) -> ExpectedCall:
    return ExpectedCall(
        tool=intern(given["tool"]),  # one text for a tool, not one a case
        arguments={
            name: make_constraint(spec) for name, spec in given.get("arguments", {}).items()
        },
        other_arguments=given.get("other_arguments", "declared"),
    )
