"""
Foreign files -> a suite's folder: ``harness suite import``.

An importer reads; here its result is checked and written as a suite. A case that would not be valid
is left out with a note that names the line it comes from.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from harness.diagnostics import Places, Problem
from harness.documents import read_document, write_yaml
from harness.errors import UsageError, boundary
from harness.files import write_folder, write_text
from harness.importers.base import (
    Imported,
    ImportedCase,
    Importer,
    Sources,
    WithLimit,
    WithTemplate,
)
from harness.importers.registry import importer
from harness.importers.writing.update import IMPORTED, Updated, lines
from harness.importers.writing.update import update_suite as merge_into
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
    format_name: str,
    sources: Sources,
    out: Path,
    *,
    name: str | None = None,
    limit: int | None = None,
    today: date,
) -> ImportedSuite:
    """
    Read *sources* with the importer called *format_name* and create the folder *out*.

    The suite is called *name*, by default like the folder. *limit* is how many cases it may have at
    most, of a format that takes a limit.

    Raises:
        UsageError: if files are missing or not used by this format, nothing in them can be
            carried over, or the folder is in the way.
    """
    if (out / SUITE_FILE).is_file():
        raise UsageError(
            f"{out} already exists; merge these rows into it with --update, or choose another name"
        )
    reader, given = _reader(format_name, sources, limit)
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


def update_suite(
    format_name: str, sources: Sources, folder: Path, *, limit: int | None = None, today: date
) -> Updated:
    """
    Read *sources* as `import_suite` does and merge their cases by id into the suite in *folder*.

    Tools that are not given are those of the suite.

    Raises:
        UsageError, SuiteError: as `import_suite` and `harness.importers.writing.update` say;
            nothing is written then.
    """
    if not (folder / SUITE_FILE).is_file():
        raise UsageError(f"{folder} holds no suite to update; import it without --update first")
    for kind in ("train", "valid"):
        if sources.get(kind):
            raise UsageError(f"--update merges cases only; drop {_flag(kind)}")
    if not sources.get("tools") and "tools" in importer(format_name).takes:
        tools = read_document(folder / SUITE_FILE).value
        if isinstance(tools, dict) and isinstance(tools.get("tools"), str):
            sources = {**sources, "tools": (folder / tools["tools"],)}
    reader, given = _reader(format_name, sources, limit)
    imported = reader.read(given, today)
    _, sound, left_out = _sound(imported, _name(folder))
    whole = replace(imported, cases=sound, notes=(*imported.notes, *left_out))
    return merge_into(folder, whole)


def write_template(format_name: str, out: Path) -> tuple[Path, ...]:
    """
    Write the files that the importer called *format_name* has to start from into the folder *out*.

    Raises:
        UsageError: if it has none, or a file is there already.
    """
    reader = importer(format_name)
    if not isinstance(reader, WithTemplate):
        raise UsageError(f"format {format_name} has no template")
    files = {out / name: text for name, text in reader.template.items()}
    for file in files:
        if file.exists():
            raise UsageError(f"{file} is there already; choose another folder")
    with boundary(UsageError, f"cannot write into {out}"):
        for file, text in files.items():
            write_text(file, text)
    return tuple(files)


def _reader(format_name: str, sources: Sources, limit: int | None) -> tuple[Importer, Sources]:
    """
    Return the importer called *format_name* and the files it is given.
    """
    reader = importer(format_name)
    if limit is not None:
        if not isinstance(reader, WithLimit):
            raise UsageError(f"format {format_name} takes no --limit: all its rows become cases")
        reader = reader.limited(limit)
    given = {kind: files for kind, files in sources.items() if files}
    for kind in given:
        if kind not in reader.takes:
            raise UsageError(f"format {format_name} takes no {_flag(kind)}")
    for kind, needed in reader.takes.items():
        if needed and kind not in given:
            raise UsageError(f"format {format_name} needs {_flag(kind)}")
    return reader, given


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
    suite, cases, left_out = _sound(imported, name)
    if suite is None:
        # That there are no cases is worth saying only if no row says why.
        said = left_out or (() if imported.notes else _read(_head(imported, name), ())[1])
        reasons = "".join(f"\n{note}" for note in (*imported.notes, *said))
        raise UsageError(f"nothing in these files can be a case of a suite{reasons}")
    return suite, cases, left_out


def _sound(
    imported: Imported, name: str
) -> tuple[Suite | None, tuple[ImportedCase, ...], tuple[Problem, ...]]:
    """
    Return the suite of the cases that can be cases of one, these cases, and a note for each other.
    """
    head = _head(imported, name)
    suite, _ = _read(head, imported.cases)
    if suite is not None or not imported.cases:
        return suite, imported.cases, ()
    # Each by itself, which finds the faulty ones and takes longer.
    sound, left_out = [], []
    for case in imported.cases:
        alone, found = _read(head, [case])
        if alone is not None:
            sound.append(case)
        left_out += [
            Problem(file=p.file, line=p.line, message=f"left out: {p.message}") for p in found
        ]
    suite = _read(head, sound)[0] if sound else None
    return suite, tuple(sound), tuple(left_out)


def _head(imported: Imported, name: str) -> dict[str, Any]:
    return {
        "format": 1,
        "name": name,
        "version": "1.0.0",
        "description": imported.description,
        **({} if imported.license is None else {"license": imported.license}),
        "tools": list(imported.tools),
    }


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
    document = suite.document
    settings: dict[str, Any] = {
        key: document[key]
        for key in ("format", "name", "version", "description", "license")
        if key in document
    }
    settings |= {"tools": "tools.json", "cases": "cases.jsonl"}
    files = {
        SUITE_FILE: write_yaml(settings),
        "tools.json": json.dumps(list(imported.tools), indent=1, ensure_ascii=False) + "\n",
        "cases.jsonl": lines([case.row for case in cases]),
        IMPORTED: lines([case.row for case in cases]),
        "README.md": _readme(suite, notes, given, format_name),
    }
    for kind in ("train", "valid"):
        if rows := getattr(imported, kind):
            files[f"{kind}.jsonl"] = lines(rows)
    return files


def _readme(suite: Suite, notes: Sequence[Problem], given: Sources, format_name: str) -> str:
    files = ", ".join(file.name for paths in given.values() for file in paths)
    page = [
        f"# {suite.name}",
        "",
        f"{suite.description} Imported by `harness suite import {format_name}` from {files}.",
        "",
        f"## Not carried over unchanged: {len(notes) or 'nothing'}",
        "",
    ]
    page += [
        f"- {Path(note.file).name}:{note.line}: {note.message}".replace(":None:", ":")
        for note in notes
    ]
    return "\n".join(page).rstrip() + "\n"
