"""
What is wrong with a suite as a whole: settings and tools, cases that are alike, and a make-up that
lets a blind answer look good or statistics mislead.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import canonical_json
from harness.constraints.schema import schema_validator
from harness.diagnostics import Places, Steps
from harness.messages import Tool
from harness.suites.lint.case_rules import expectation_spec
from harness.suites.lint.findings import Found
from harness.suites.lint.similarity import Near, near, normalized
from harness.suites.suite import Abstention, Calls, Case, Suite

WITHIN_SUITE = 0.6
"""From here two prompts are one template filled twice ("Play the song Jolene in the kitchen" and
"... in the bathroom" are at 0.61): they pass and fail together, so intervals hold only if they
share a group."""

AGAINST_TRAINING = 0.5
"""Stricter, as a tuned model may repeat what it was shown: a case near a training row measures
memory."""

BALANCED_FROM = 20
"""Turns from which the labels of a suite are looked at: fewer are an example or a beginning."""

LARGEST_SHARE = 0.75
"""A suite may expect the same of at most this part of its turns."""

LARGE_GROUP = 5
"""The number of cases from which a group is large. The statistics draw groups: with a group of five
next to groups of one, a single template outweighs five independent cases."""


def suite_findings(
    suite: Suite, places: Places, rows: Sequence[tuple[str, str]]
) -> Iterator[Found]:
    """
    Yield everything wrong with *suite* as a whole; *rows* are places and texts of training rows.
    """
    yield from _settings(suite)
    yield from _tools(suite)
    yield from _near_training(suite, rows)
    yield from _duplicates(suite, places)
    yield from _labels(suite)
    yield from _groups(suite)
    yield from _proposed(suite)


def _settings(suite: Suite) -> Iterator[Found]:
    if not suite.generation.get("do_sample", False):
        for name in ("temperature", "top_p", "top_k"):
            if name in suite.generation:
                text = f"{name} has no effect while do_sample is not true; remove it"
                yield ("generation", name), "no_effect", text


# Tools.


def _tools(suite: Suite) -> Iterator[Found]:
    declared = suite.tools[: len(suite.document["tools"])]
    for index, tool in enumerate(declared):
        yield from _tool(tool, ("tools", index))
    for index, case in enumerate(suite.cases):
        for tool in case.tools:
            if tool not in declared:
                yield from _tool(tool, ("cases", index, "tools"))


def _tool(tool: Tool, steps: Steps) -> Iterator[Found]:
    known = tool.parameters.get("properties", {})
    for name in tool.parameters.get("required", ()):
        if name not in known:
            text = f"tool {tool.name!r} requires {name!r}, which it does not declare"
            yield steps, "required_undeclared", text
    for name, schema in known.items():
        if isinstance(schema, Mapping) and "enum" in schema:
            whole = schema_validator(tool.parameters)
            validator = whole.evolve(schema=schema)
            for value in schema["enum"]:
                if (error := next(validator.iter_errors(value), None)) is not None:
                    text = (
                        f"tool {tool.name!r}: {name!r} lists {canonical_json(value)} in its enum, "
                        f"which its own schema rejects: {error.message}"
                    )
                    yield steps, "unreachable_value", text
    for place in _nullable(tool.parameters, ""):
        text = (
            f'tool {tool.name!r}: {place} says "nullable", which is OpenAPI\'s word and not JSON '
            'Schema\'s; write "null" into its "type"'
        )
        yield steps, "nullable", text


def _nullable(schema: Any, place: str) -> Iterator[str]:
    """
    Yield the place of every part of *schema* with the keyword ``nullable``; *place* is its own.
    """
    if isinstance(schema, Mapping):
        if isinstance(schema.get("nullable"), bool):
            yield place or "parameters"
        for key, part in schema.items():
            if key not in ("const", "enum", "default", "examples"):
                yield from _nullable(part, f"{place}.{key}" if place else str(key))
    elif isinstance(schema, list):
        for index, part in enumerate(schema):
            yield from _nullable(part, f"{place}[{index}]")


# Cases that are alike. Each case names only the nearest of many: one fix may do for all.


def _near_training(suite: Suite, rows: Sequence[tuple[str, str]]) -> Iterator[Found]:
    prompts = [case.prompt for case in suite.cases]
    for found in near(prompts, [text for _, text in rows], threshold=AGAINST_TRAINING):
        place, _ = rows[found.other]
        text = (
            f"case {suite.cases[found.position].id!r} is {found.similarity:.2f} similar to a "
            f"training row ({place}){_more(found)}; below {AGAINST_TRAINING} it tests more than "
            "memory"
        )
        yield ("cases", found.position), "near_training", text


def _duplicates(suite: Suite, places: Places) -> Iterator[Found]:
    texts = [_conversation(case) for case in suite.cases]
    same = dict(_same(suite, [normalized(text) for text in texts]))
    alike = {
        found.position: found
        for found in near(texts, threshold=WITHIN_SUITE, aside=_asked_knowingly(suite))
    }
    for index in sorted({*same, *alike}):
        case = suite.cases[index]
        if index in same:
            other = suite.cases[same[index]]
            asks = f"case {case.id!r} asks what {_named(suite, same[index], places)} asks"
            if _specs(case) == _specs(other):
                text = f"{asks}, with the same tools; keep one"
                yield ("cases", index), "duplicate_prompt", text
            else:
                text = f"{asks}, with the same tools, but expects otherwise; decide which is right"
                yield ("cases", index), "contradiction", text
        else:
            found = alike[index]
            text = (
                f"case {case.id!r} is {found.similarity:.2f} similar to "
                f"{_named(suite, found.other, places)}{_more(found)}; "
                "put both into one group, or rewrite one"
            )
            yield ("cases", index), "near_duplicate", text


def _same(suite: Suite, plain: Sequence[str]) -> Iterator[tuple[int, int]]:
    """
    Yield each case that asks what an earlier one asks, with the same tools, and the first of those.
    """
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(plain):
        tools = suite.cases[index].tools
        earlier = (other for other in seen[text] if suite.cases[other].tools == tools)
        if (other := next(earlier, None)) is not None:
            yield index, other
        else:
            seen[text].append(index)


def _asked_knowingly(suite: Suite) -> Callable[[int], Any]:
    """
    Return which cases have the group of a case: that they are alike is known.
    """
    import numpy as np

    names = {case.group: number for number, case in enumerate(suite.cases)}
    groups = np.array([-1 if c.group is None else names[c.group] for c in suite.cases])
    return lambda position: (groups == groups[position]) & (groups >= 0)


def _specs(case: Case) -> list[Any]:
    return [expectation_spec(turn) for turn in case.turns]


def _named(suite: Suite, index: int, places: Places) -> str:
    file, line = places.find(("cases", index))
    return f"case {suite.cases[index].id!r} ({file if line is None else f'{file}:{line}'})"


def _more(found: Near) -> str:
    return f" and near {found.similar - 1} more" if found.similar > 1 else ""


def _conversation(case: Case) -> str:
    """
    Return what makes a case's first question its own: all but the system message, as text.
    """
    said = []
    for message in case.turns[0].messages:
        if message.role not in ("system", "developer"):
            calls = [canonical_json([call.name, call.arguments]) for call in message.tool_calls]
            said += [message.content or "", *calls]
    return " ".join(said)


# The make-up.


def _labels(suite: Suite) -> Iterator[Found]:
    turns = [
        turn
        for case in suite.cases
        for turn in case.turns
        if case.counts and turn.expectation.alternatives
    ]
    labels = Counter(
        label
        for turn in turns
        for label in {_label(alternative) for alternative in turn.expectation.alternatives}
    )
    if len(turns) < BALANCED_FROM:
        return
    label, count = labels.most_common(1)[0]
    if count > LARGEST_SHARE * len(turns):
        text = (
            f"{count} of {len(turns)} answers are right with {label}, so a model that does "
            f"nothing else looks good; add cases that expect something else, until it is at most "
            f"{100 * LARGEST_SHARE:g}%"
        )
        yield ("cases",), "unbalanced", text


def _label(alternative: Calls | Abstention) -> str:
    if isinstance(alternative, Abstention):
        return "no call"
    return "a call of " + " and ".join(sorted(call.tool for call in alternative.calls))


def _groups(suite: Suite) -> Iterator[Found]:
    sizes = Counter(case.group for case in suite.cases if case.group is not None)
    lone = [
        index
        for index, case in enumerate(suite.cases)
        if case.group is None or sizes[case.group] == 1
    ]
    if not lone or not sizes:
        return
    group, size = sizes.most_common(1)[0]
    if size >= LARGE_GROUP:
        names = ", ".join(repr(suite.cases[index].id) for index in lone[:3])
        rest = f" and {len(lone) - 3} more" if len(lone) > 3 else ""
        many = "1 case is" if len(lone) == 1 else f"{len(lone)} cases are"
        text = (
            f"{many} alone in a group ({names}{rest}), next to group {group!r} of {size}; the "
            "statistics draw groups, so give each case its group, or split the large one"
        )
        yield ("cases", lone[0]), "lone_cases", text


def _proposed(suite: Suite) -> Iterator[Found]:
    proposed = [index for index, case in enumerate(suite.cases) if case.proposed]
    if proposed:
        text = (
            f"{len(proposed)} of {len(suite.cases)} cases are proposed and never gated: what each "
            'expects is what a model answered once; read it, put it right and remove "status"'
        )
        yield ("cases", proposed[0], "status"), "proposed", text
