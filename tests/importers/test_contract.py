"""
What every importer promises (`harness.importers.base.Importer`), held for all of them.
"""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.importers.base import Importer
from harness.importers.convert import import_suite
from harness.importers.registry import importer, names
from harness.suites.files import load_suite

from .examples import SOURCES, write

TODAY = date(2026, 11, 22)


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """
    Yield the way to every value inside *value*.
    """
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in inside:
        yield (*before, key)
        yield from paths(one, (*before, key))


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


def test_every_importer_has_an_example():
    assert set(names()) == set(SOURCES)


@pytest.mark.parametrize("name", names())
class TestEveryImporter:
    def test_is_an_importer_of_its_name(self, name: str):
        assert isinstance(importer(name), Importer)
        assert name == importer(name).name

    def test_makes_a_suite_that_loads(self, name: str, tmp_path: Path):
        made = import_suite(name, write(tmp_path, SOURCES[name]), tmp_path / "out", today=TODAY)

        loaded = load_suite(tmp_path / "out", today=TODAY)
        assert made.suite.digest == loaded.digest
        assert loaded.cases
        assert () == made.notes

    def test_gives_the_same_value_twice(self, name: str, tmp_path: Path):
        sources = write(tmp_path, SOURCES[name])

        assert importer(name).read(sources, TODAY) == importer(name).read(sources, TODAY)

    def test_notes_a_line_that_cannot_be_read_and_goes_on(self, name: str, tmp_path: Path):
        sources = write(tmp_path, SOURCES[name])
        kind = next(iter(importer(name).takes))
        (file,) = sources[kind]
        whole = importer(name).read(sources, TODAY)
        file.write_text('{"no JSON\n7\n' + file.read_text("utf-8"), "utf-8")

        spoiled = importer(name).read(sources, TODAY)

        assert [case.row for case in whole.cases] == [case.row for case in spoiled.cases]
        assert [(str(file), 1), (str(file), 2)] == [(n.file, n.line) for n in spoiled.notes]

    def test_notes_a_key_it_does_not_know(self, name: str, tmp_path: Path):
        sources = write(tmp_path, SOURCES[name])
        (file,) = sources[next(iter(importer(name).takes))]
        file.write_text(file.read_text("utf-8").replace("{", '{"mood": "glad", ', 1), "utf-8")

        notes = importer(name).read(sources, TODAY).notes

        assert [f"{file}:1: 'mood' has no place in a suite and is left out (1 row)"] == [
            str(note) for note in notes
        ]

    def test_a_value_of_another_shape_anywhere_never_stops_the_import(
        self, name: str, tmp_path: Path
    ):
        """
        It is read, or its row is left out with a note that names its line.
        """
        sources = write(tmp_path, SOURCES[name])
        kind = next(iter(importer(name).takes))
        (file,) = sources[kind]
        rows = [json.loads(text) for text in file.read_text("utf-8").splitlines()]
        for row in rows:
            for path in list(paths(row)):
                for odd in (None, 7, '"x"', [[1]], {"a": {"b": None}}):
                    spoiled = replaced(row, path, odd)
                    file.write_text(
                        "".join(json.dumps(one) + "\n" for one in (spoiled, *rows)), "utf-8"
                    )
                    try:
                        imported = importer(name).read(sources, TODAY)
                    except UsageError as error:
                        assert str(file) in str(error)  # noqa: PT017
                        continue
                    assert imported.cases, (path, odd)
                    assert all(note.file and note.line for note in imported.notes), (path, odd)

    def test_a_missing_file_is_an_error_that_names_it(self, name: str, tmp_path: Path):
        sources = write(tmp_path, SOURCES[name])
        kind = next(iter(importer(name).takes))

        with pytest.raises(UsageError, match=r"gone\.jsonl cannot be read"):
            importer(name).read({**sources, kind: (tmp_path / "gone.jsonl",)}, TODAY)


def test_an_unknown_format_lists_the_choices():
    with pytest.raises(UsageError, match=r"did you mean 'bfcl'.*bfcl, chat-jsonl, mobile-actions"):
        importer("bfc")


def test_what_is_not_an_importer_is_refused(installed: Callable[..., None]):
    installed("harness.importers", odd="harness.importers.base:QUARANTINED_FOR")

    with pytest.raises(UsageError, match="not a format of that name"):
        importer("odd")
