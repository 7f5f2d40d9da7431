"""
Foreign files imported again into a suite that was edited since: ``harness suite import --update``.

The suite's folder has `IMPORTED`, the cases as they were imported, so that edits of the suite can
be told from edits of the sources (`harness.importers.writing.merging`). Cases are merged by id, and
no case is ever removed. Lines of the suite that do not change are not touched.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.diagnostics import Places, Problem, Steps, raise_problems
from harness.documents import read_document
from harness.errors import StoreError, UsageError, boundary
from harness.files import write_text
from harness.importers.base import Imported, ImportedCase
from harness.importers.writing.merging import ABSENT, merge
from harness.messages import Tool
from harness.suites.build import build
from harness.suites.files import SUITE_FILE, read_suite
from harness.suites.parse import as_document
from harness.suites.suite import Suite
from harness.suites.validate import validate

IMPORTED = "imported.jsonl"
"""The cases of a suite as they were imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """
    What became of a suite.
    """

    folder: Path
    suite: Suite
    added: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    """The cases the sources changed, and which of their parts."""
    kept: tuple[Problem, ...]
    """What the sources changed too and the suite keeps as it was edited."""
    gone: tuple[str, ...]
    """The cases that the sources have no longer; the suite keeps them."""
    removed: tuple[str, ...]
    """The cases that were removed from the suite by hand; they are not added again."""
    notes: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cases:
    """
    The file of a suite's cases.
    """

    file: Path
    lines: list[str]
    rows: list[dict[str, Any]]
    numbers: list[int]
    """The line of each row, from 1."""


def update_suite(folder: Path, imported: Imported) -> Updated:
    """
    Merge *imported* into the suite in *folder*.

    Raises:
        SuiteError: if the suite cannot be read, or would not be valid; nothing is written then.
        UsageError: if its cases or those of the sources cannot be merged by id.
    """
    reading = read_suite(folder, check_release=False)
    raise_problems(reading.problems)
    suite = reading.suite
    assert suite is not None
    settings = read_document(folder / SUITE_FILE).value
    here = _cases(folder, settings)
    for case in imported.cases:
        if case.numbered:
            place = case.file if case.line is None else f"{case.file}:{case.line}"
            raise UsageError(f"{place}: this row has no id of its own, by which --update merges")
    base = _imported(folder)
    now = {case.row["id"]: case for case in imported.cases}
    there = {row["id"]: index for index, row in enumerate(here.rows)}
    rows, places = list(here.rows), [(str(here.file), line) for line in here.numbers]
    changed: dict[str, tuple[str, ...]] = {}
    kept: list[Problem] = []
    added, removed = [], []
    for identity, case in now.items():
        if identity in there:
            index = there[identity]
            merged = merge(None if base is None else base.get(identity), case.row, rows[index])
            kept += _kept(case, places[index], merged.kept)
            parts = _parts(rows[index], merged.row)
            if parts:
                rows[index], changed[identity] = dict(merged.row), parts
        elif base is not None and identity in base:
            removed.append(identity)
        else:
            added.append(identity)
            rows.append(dict(case.row))
            places.append((case.file, case.line or 1))
    known = there if base is None else base
    gone = tuple(identity for identity in known if identity in there and identity not in now)
    tools, tool_notes = _tools(folder, settings, imported)
    updated = _checked(suite, rows, places, tools)
    with boundary(StoreError, f"{folder}: cannot be written"):
        if isinstance(tools, list) and tools != list(suite.document["tools"]):
            text = json.dumps(tools, indent=1, ensure_ascii=False) + "\n"
            write_text(folder / settings["tools"], text)
        if changed or added:
            _write(here, rows, changed)
        # Last: until then another update finds what it found now. What is gone stays known as
        # imported, so that it is named again until somebody removes it.
        still = [base[identity] for identity in gone] if base is not None else []
        write_text(folder / IMPORTED, lines([*(case.row for case in imported.cases), *still]))
    return Updated(
        folder=folder,
        suite=updated,
        added=tuple(added),
        changed=changed,
        kept=tuple(kept),
        gone=gone,
        removed=tuple(removed),
        notes=(*imported.notes, *tool_notes, *([] if base is not None else [_unknown(folder)])),
    )


def lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """
    Return *rows* as JSON lines.
    """
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _unknown(folder: Path) -> Problem:
    text = (
        "not there, so it is not known what was edited since the import: cases keep all that "
        "differs, and only new ones are added. From now on it is there"
    )
    return Problem(file=str(folder / IMPORTED), line=None, message=text)


def _cases(folder: Path, settings: Mapping[str, Any]) -> _Cases:
    name = settings["cases"]
    if not isinstance(name, str) or not name.endswith(".jsonl"):
        raise UsageError(
            f"{folder / SUITE_FILE}: --update needs the cases in a file of JSON lines beside it, "
            'such as "cases: cases.jsonl"'
        )
    file = folder / name
    document = read_document(file)
    numbers = [document.places.find((index,))[1] or 1 for index in range(len(document.value))]
    text = file.read_bytes().decode("utf-8")
    return _Cases(file=file, lines=text.split("\n"), rows=document.value, numbers=numbers)


def _imported(folder: Path) -> dict[str, dict[str, Any]] | None:
    file = folder / IMPORTED
    if not file.is_file():
        return None
    document = read_document(file)
    raise_problems(document.problems)
    rows = document.value or []
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise UsageError(
                f"{file}:{document.places.find((index,))[1]}: not a case; restore the file from "
                "git, or remove it and every difference is kept"
            )
    return {row["id"]: row for row in rows}


def _kept(
    case: ImportedCase, place: tuple[str, int], kept: Sequence[tuple[Steps, Any, Any]]
) -> list[Problem]:
    file, line = place
    source = f"{case.file}:{case.line}" if case.line else case.file
    return [
        Problem(
            file=file,
            line=line,
            message=f"case {case.row['id']!r}: {_path(steps)} stays {_shown(mine)}; {source} has "
            f"{_shown(theirs)}",
        )
        for steps, theirs, mine in kept
    ]


def _path(steps: Steps) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.lstrip(".")


def _shown(value: Any) -> str:
    return "left out" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def _parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    keys = dict.fromkeys([*before, *after])
    return tuple(
        key for key in keys if _shown(before.get(key, ABSENT)) != _shown(after.get(key, ABSENT))
    )


def _tools(
    folder: Path, settings: Mapping[str, Any], imported: Imported
) -> tuple[Any, list[Problem]]:
    """
    Return the suite's tools and those of the sources it does not have, as a list.
    """
    given = settings["tools"]
    declared = read_document(folder / given).value if isinstance(given, str) else given
    have = {tool.name: tool for tool in map(Tool.from_schema, declared)}
    new, notes = [], []
    for tool in map(Tool.from_schema, imported.tools):
        if tool.name not in have:
            new.append(dict(tool.schema))
        elif tool.schema != have[tool.name].schema:
            text = f"tool {tool.name!r} stays as it is here; the sources declare it otherwise"
            notes.append(Problem(file=str(folder / given), line=None, message=text))
    if new and not isinstance(given, str):
        raise UsageError(
            f"{folder / SUITE_FILE}: the sources declare {new[0]['function']['name']!r}, which the "
            "suite does not; add it there, as its tools are written inline"
        )
    return [*declared, *new], notes


def _checked(
    suite: Suite, rows: Sequence[Any], places: Sequence[tuple[str, int]], tools: Any
) -> Suite:
    document = {**suite.document, "tools": tools, "cases": list(rows)}
    known = Places.of(*places[0])
    for index, place in enumerate(places):
        known.known["cases", index] = place
    whole = as_document(document, known)
    raise_problems(validate(whole))
    return build(whole.value)


def _write(here: _Cases, rows: Sequence[Mapping[str, Any]], changed: Mapping[str, Any]) -> None:
    text = list(here.lines)
    for row, number in zip(rows, here.numbers, strict=False):
        if row["id"] in changed:
            end = "\r" if text[number - 1].endswith("\r") else ""
            text[number - 1] = json.dumps(row, ensure_ascii=False) + end
    whole = "\n".join(text)
    if not whole.endswith("\n"):
        whole += "\n"
    write_text(here.file, whole + lines(rows[len(here.rows) :]))
