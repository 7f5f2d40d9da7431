"""
What every importer promises (`harness.importers.base.Importer`), as tests.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.importers.base import Importer, Sources
from harness.importers.registry import importer
from harness.importers.writing.convert import import_suite
from harness.suites.files import load_suite
from harness.testing.contract import Contract

TODAY = date(2026, 11, 22)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImporterSample:
    """
    An importer and a small source for it, which holds at least one case.
    """

    name: str
    files: Mapping[str, tuple[str, str]]
    """Kind of file -> its name and text, for each required kind."""
    json_lines: bool = True
    """Whether the first kind in `Importer.takes` is a file of JSON objects, one per line."""
    unreadable: str = '{"no JSON\n7\n'
    """Two lines that cannot be read."""
    head: int = 0
    """How many lines of the first kind of file come before its rows: 1 where they name columns."""

    @property
    def importer(self) -> Importer:
        """
        The importer itself.
        """
        return importer(self.name)

    @property
    def first(self) -> str:
        """
        The kind of file that tests change.
        """
        return next(iter(self.importer.takes))

    def write(self, folder: Path) -> dict[str, tuple[Path, ...]]:
        """
        Write the files; return the paths of each kind.
        """
        sources: dict[str, tuple[Path, ...]] = {}
        for kind, (name, text) in self.files.items():
            (folder / name).write_text(text, "utf-8")
            sources[kind] = (folder / name,)
        return sources


class ImporterContract(Contract):
    """
    Held by every importer. A subclass lists `ImporterSample` values in ``samples``.
    """

    def test_is_an_importer_of_its_name(self, sample: ImporterSample) -> None:
        assert isinstance(sample.importer, Importer)
        assert sample.name == sample.importer.name

    def test_takes_what_its_sample_has(self, sample: ImporterSample) -> None:
        needed = {kind for kind, must in sample.importer.takes.items() if must}

        assert needed <= set(sample.files) <= set(sample.importer.takes)

    def test_makes_a_suite_that_loads(self, sample: ImporterSample, tmp_path: Path) -> None:
        made = import_suite(sample.name, sample.write(tmp_path), tmp_path / "out", today=TODAY)

        loaded = load_suite(tmp_path / "out", today=TODAY)
        assert made.suite.digest == loaded.digest
        assert loaded.cases
        assert () == made.notes

    def test_gives_the_same_value_twice(self, sample: ImporterSample, tmp_path: Path) -> None:
        sources = sample.write(tmp_path)

        assert sample.importer.read(sources, TODAY) == sample.importer.read(sources, TODAY)

    def test_notes_a_line_that_cannot_be_read_and_goes_on(
        self, sample: ImporterSample, tmp_path: Path
    ) -> None:
        sources = sample.write(tmp_path)
        file = changed(sources, sample)
        whole = sample.importer.read(sources, TODAY)
        texts = file.read_text("utf-8").splitlines(keepends=True)
        texts.insert(sample.head, sample.unreadable)
        file.write_text("".join(texts), "utf-8")

        spoiled = sample.importer.read(sources, TODAY)

        assert [case.row for case in whole.cases] == [case.row for case in spoiled.cases]
        assert [(str(file), sample.head + 1), (str(file), sample.head + 2)] == [
            (note.file, note.line) for note in spoiled.notes
        ]

    def test_notes_a_key_it_does_not_know(self, sample: ImporterSample, tmp_path: Path) -> None:
        self.needs_json_lines(sample)
        sources = sample.write(tmp_path)
        file = changed(sources, sample)
        file.write_text(file.read_text("utf-8").replace("{", '{"mood": "glad", ', 1), "utf-8")

        notes = sample.importer.read(sources, TODAY).notes

        assert [f"{file}:1: 'mood' has no place in a suite and is left out (1 row)"] == [
            str(note) for note in notes
        ]

    def test_a_value_of_another_shape_anywhere_never_stops_the_import(
        self, sample: ImporterSample, tmp_path: Path
    ) -> None:
        """
        It is read, or its row is left out with a note that names its line.
        """
        self.needs_json_lines(sample)
        sources = sample.write(tmp_path)
        file = changed(sources, sample)
        rows = [json.loads(text) for text in file.read_text("utf-8").splitlines()]
        for row in rows:
            for path in list(paths(row)):
                for odd in (None, 7, '"x"', [[1]], {"a": {"b": None}}):
                    lines = (replaced(row, path, odd), *rows)
                    file.write_text("".join(json.dumps(one) + "\n" for one in lines), "utf-8")
                    try:
                        imported = sample.importer.read(sources, TODAY)
                    except UsageError as error:
                        assert str(file) in str(error)  # noqa: PT017
                        continue
                    assert imported.cases, (path, odd)
                    assert all(note.file and note.line for note in imported.notes), (path, odd)

    def test_a_missing_file_is_an_error_that_names_it(
        self, sample: ImporterSample, tmp_path: Path
    ) -> None:
        sources = sample.write(tmp_path)
        gone = {**sources, sample.first: (tmp_path / "gone.txt",)}

        with pytest.raises(UsageError, match=r"gone\.txt"):
            sample.importer.read(gone, TODAY)

    def needs_json_lines(self, sample: ImporterSample) -> None:
        """
        Skip a test that changes keys and values of JSON objects.
        """
        if not sample.json_lines:
            pytest.skip(f"{sample.name} is not read from JSON lines")


def changed(sources: Sources, sample: ImporterSample) -> Path:
    """
    Return the file that a test changes.
    """
    (file,) = sources[sample.first]
    return file


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """
    Yield the way to every value inside *value*.
    """
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, one in inside:
        yield (*before, key)
        yield from paths(one, (*before, key))


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """
    Return a copy of *value* with *odd* at *path*.
    """
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy
