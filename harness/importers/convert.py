"""
Foreign files -> a suite's folder: ``harness suite import``.

An importer reads; here its result is checked and written as a suite. A case that would not be valid
is left out with a note that names the line it comes from.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.diagnostics import Places, Problem
from harness.documents import write_yaml
from harness.errors import UsageError, boundary
from harness.files import write_folder
from harness.importers.base import Imported, ImportedCase, Sources
from harness.importers.registry import importer
from harness.suites.build import build
from harness.suites.files import SUITE_FILE
from harness.suites.parse import as_document
from harness.suites.release import NAME
from harness.suites.suite import Suite
from harness.suites.validate import validate

_FLAGS = {"rows": "files of rows"}
"""What each kind of file is called on the command line, if it has no flag of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSuite:
    """
    What was written, and what could not be carried over.
    """

    folder: Path
    suite: Suite
    training_rows: Mapping[str, int]
    """How many rows went into train.jsonl and valid.jsonl."""
    notes: tuple[Problem, ...]


def import_suite(
    format_name: str, sources: Sources, out: Path, *, name: str | None = None, today: date
) -> ImportedSuite:
    """
    Read *sources* with the importer called *format_name* and create the folder *out*.

    The suite is called *name*, by default like the folder.

    Raises:
        UsageError: if files are missing or not used by this format, nothing in them can be
            carried over, or the folder is in the way.
    """
    reader = importer(format_name)
    given = {kind: files for kind, files in sources.items() if files}
    for kind in given:
        if kind not in reader.takes:
            raise UsageError(f"format {format_name} takes no {_flag(kind)}")
    for kind, needed in reader.takes.items():
        if needed and kind not in given:
            raise UsageError(f"format {format_name} needs {_flag(kind)}")
    imported = reader.read(given, today)
    suite, cases, problems = _checked(imported, name or _name(out))
    notes = (*imported.notes, *problems)
    write_folder(out, _files(imported, suite, cases, notes, given, format_name))
    return ImportedSuite(
        folder=out,
        suite=suite,
        training_rows={
            kind: len(getattr(imported, kind))
            for kind in ("train", "valid")
            if getattr(imported, kind)
        },
        notes=notes,
    )


def _flag(kind: str) -> str:
    return _FLAGS.get(kind, f"--{kind}")


def _name(out: Path) -> str:
    with boundary(UsageError, f"cannot create {out}"):
        whole = out.resolve()
    plain = re.sub(r"[^a-z0-9]+", "-", whole.name.lower()).strip("-")
    return plain if NAME.fullmatch(plain) else "imported"


def _checked(
    imported: Imported, name: str
) -> tuple[Suite, tuple[ImportedCase, ...], tuple[Problem, ...]]:
    """
    Return the suite, its cases, and a note for each row that cannot be a case.
    """
    head = {
        "format": 1,
        "name": name,
        "version": "1.0.0",
        "description": imported.description,
        **({} if imported.license is None else {"license": imported.license}),
        "tools": list(imported.tools),
    }
    cases: Sequence[ImportedCase] = imported.cases
    left_out: list[Problem] = []
    suite, problems = _read(head, cases)
    if suite is None and cases:
        # Each by itself, which finds the faulty ones and takes longer.
        sound = []
        for case in cases:
            alone, found = _read(head, [case])
            if alone is not None:
                sound.append(case)
            left_out += [
                Problem(file=p.file, line=p.line, message=f"left out: {p.message}") for p in found
            ]
        cases = sound
        suite, problems = _read(head, cases) if cases else (None, tuple(left_out))
    if suite is None:
        # That there are no cases is worth saying only if no row says why.
        said = problems if left_out or not imported.notes else ()
        notes = (*imported.notes, *said)
        reasons = "".join(f"\n{note}" for note in notes)
        raise UsageError(f"nothing in these files can be a case of a suite{reasons}")
    return suite, tuple(cases), tuple(left_out)


def _read(
    head: Mapping[str, Any], cases: Sequence[ImportedCase]
) -> tuple[Suite | None, tuple[Problem, ...]]:
    first = cases[0] if cases else None
    places = Places.of(first.file if first else "these files", first.line if first else None)
    for index, case in enumerate(cases):
        places.known["cases", index] = (case.file, case.line)
    document = as_document({**head, "cases": [dict(case.row) for case in cases]}, places)
    problems = validate(document)
    return None if problems else build(document.value), problems


def _files(
    imported: Imported,
    suite: Suite,
    cases: Sequence[ImportedCase],
    notes: Sequence[Problem],
    given: Sources,
    format_name: str,
) -> dict[str, str]:
    settings = {
        key: suite.document[key]
        for key in ("format", "name", "version", "description", "license")
        if key in suite.document
    }
    settings |= {"tools": "tools.json", "cases": "cases.jsonl"}
    files = {
        SUITE_FILE: write_yaml(settings),
        "tools.json": json.dumps(list(imported.tools), indent=1, ensure_ascii=False) + "\n",
        "cases.jsonl": _lines([case.row for case in cases]),
        "README.md": _readme(suite, notes, given, format_name),
    }
    for kind in ("train", "valid"):
        if rows := getattr(imported, kind):
            files[f"{kind}.jsonl"] = _lines(rows)
    return files


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _readme(suite: Suite, notes: Sequence[Problem], given: Sources, format_name: str) -> str:
    files = ", ".join(file.name for paths in given.values() for file in paths)
    lines = [
        f"# {suite.name}",
        "",
        f"{suite.description} Imported by `harness suite import {format_name}` from {files}.",
        "",
        f"## Not carried over unchanged: {len(notes) or 'nothing'}",
        "",
    ]
    lines += [
        f"- {Path(note.file).name}:{note.line}: {note.message}".replace(":None:", ":")
        for note in notes
    ]
    return "\n".join(lines).rstrip() + "\n"
