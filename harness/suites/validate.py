"""
All problems of a suite document, with file and line.

The second of three passes. `harness.suites.files` reads a document, `harness.suites.build` makes a
`Suite` of a valid one.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from harness.diagnostics import Flaw, Places, Problem, Steps, in_order, placed
from harness.documents import Document
from harness.messages import Tool
from harness.suites.environment import FILES, case_flaws, environment_flaws, kind_flaws
from harness.suites.outcome import KEYS, outcome_flaws
from harness.suites.schema import named, shape_flaws
from harness.suites.tools import by_name, tool_flaws, tools
from harness.suites.turns import turn_flaws

_SETTINGS: set[Steps] = {("system",), ("system_role",), ("declare_tools",), ("environment",)}


def validate(document: Document, *, today: date | None = None) -> tuple[Problem, ...]:
    """
    Return the problems of a self-contained document, those of its reading first.

    With *today*, an expired quarantine is one.
    """
    flaws = _flaws(document, today) if document.value is not None else ()
    return in_order((*document.problems, *placed(flaws, document.places)))


def _flaws(document: Document, today: date | None) -> Iterator[Flaw]:
    value = document.value
    if not isinstance(value, dict):
        yield (), "must hold format, name, version, tools and cases"
        return
    shape = list(shape_flaws(value))
    yield from shape
    files = [part for part in ("tools", "cases") if isinstance(value.get(part), str)]
    if files:
        if not document.problems:  # which would say why the file could not take its place
            for part in files:
                yield (part,), f"{part} must be the list itself here, not the name of a file"
        return
    broken = {steps[: 2 if steps[0] in ("tools", "cases") else 1] for steps, _ in shape if steps}
    world = value.get("environment")
    if world is None and "max_steps" in value:
        yield ("max_steps",), "max_steps is for suites with an environment"
    if world is not None and ("environment",) not in broken:
        wrong_kind = list(kind_flaws(world, ("environment",)))
        yield from named(value, wrong_kind)
        if wrong_kind or _unread(world):
            broken.add(("environment",))
    if "tools" not in value or ("tools",) in broken:
        return
    wrong = list(tool_flaws(value["tools"], ("tools",)))
    yield from named(value, (flaw for flaw in wrong if flaw[0][:2] not in broken))
    sound_world = ("environment",) not in broken and not wrong
    if world is not None and sound_world:
        offered = by_name(tools(value["tools"], {}))
        wrong = list(environment_flaws(world, ("environment",), offered))
        yield from named(value, wrong)
    # Cases depend on tools and settings: wrong ones would be reported once per case.
    if wrong or "cases" not in value or broken & {("cases",), *_SETTINGS}:
        return
    sound = {
        index: row for index, row in enumerate(value["cases"]) if ("cases", index) not in broken
    }
    yield from named(value, _id_flaws(sound, document.places))
    offered = by_name(tools(value["tools"], {}))
    for index, row in sound.items():
        at = ("cases", index)
        yield from named(value, _case_flaws(row, at, offered, today))
        if world is None:
            yield from named(value, _not_executed(row, at))
        elif "turns" in row:
            yield from named(value, [((*at, "turns"), "are not executed; use expect")])
        else:
            wrong = list(outcome_flaws(row, at))
            yield from named(value, wrong)
            if sound_world and not wrong:
                yield from named(value, case_flaws(world, row, at))


def _unread(world: Mapping[str, Any]) -> bool:
    """
    Return whether the name of a file is left in an environment: its reading says why.
    """
    return any(isinstance(value, str) and value.endswith(FILES) for value in world.values())


def _not_executed(row: Mapping[str, Any], steps: Steps) -> Iterator[Flaw]:
    for key in KEYS:
        if key in row:
            yield (*steps, key), "is for suites with an environment, which suite.yaml does not name"


def _id_flaws(rows: Mapping[int, Mapping[str, Any]], places: Places) -> Iterator[Flaw]:
    first: dict[str, int] = {}
    for index, row in rows.items():
        earlier = first.setdefault(row["id"], index)
        if earlier != index:
            file, line = places.find(("cases", earlier))
            place = file if line is None else f"{file}:{line}"
            yield ("cases", index, "id"), f"is the id of an earlier case too ({place})"


def _case_flaws(
    row: Mapping[str, Any], steps: Steps, offered: Mapping[str, Tool], today: date | None
) -> Iterator[Flaw]:
    if "tools" in row:
        at = (*steps, "tools")
        wrong = list(tool_flaws(row["tools"], at, offered))
        yield from wrong
        left_out = {flaw[len(at)] for flaw, _ in wrong}
        entries = [entry for index, entry in enumerate(row["tools"]) if index not in left_out]
        offered = by_name(tools(entries, offered))
    yield from turn_flaws(row, steps, offered)
    if "quarantine" in row:
        yield from _quarantine_flaws(row["quarantine"], (*steps, "quarantine", "until"), today)


def _quarantine_flaws(given: Mapping[str, Any], steps: Steps, today: date | None) -> Iterator[Flaw]:
    try:
        until = date.fromisoformat(given["until"])
    except ValueError:
        yield steps, f"is {given['until']!r}, which is not a date"
        return
    if today is not None and until < today:
        yield (
            steps,
            f"has passed ({until}: {given['reason']}); take the case out of quarantine, fix or "
            "remove it, or set a later date",
        )
