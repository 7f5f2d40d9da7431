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
from harness.suites.schema import named, shape_flaws
from harness.suites.tools import by_name, tool_flaws, tools
from harness.suites.turns import turn_flaws

_SETTINGS: set[Steps] = {("system",), ("system_role",), ("declare_tools",)}


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
    if "tools" not in value or ("tools",) in broken:
        return
    wrong = list(tool_flaws(value["tools"], ("tools",)))
    yield from named(value, (flaw for flaw in wrong if flaw[0][:2] not in broken))
    # Cases depend on tools and settings: wrong ones would be reported once per case.
    if wrong or "cases" not in value or broken & {("cases",), *_SETTINGS}:
        return
    sound = {
        index: row for index, row in enumerate(value["cases"]) if ("cases", index) not in broken
    }
    yield from named(value, _id_flaws(sound, document.places))
    offered = by_name(tools(value["tools"], {}))
    for index, row in sound.items():
        yield from named(value, _case_flaws(row, ("cases", index), offered, today))


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
