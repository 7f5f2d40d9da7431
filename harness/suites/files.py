"""
Suites on disk: find them, read them, and report their problems with file and line.

A suite is a folder with suite.yaml, which contains or names its tools and cases; versions.json
beside it records releases. A run keeps its own copy (`harness.suites.copies`).

A suite is loaded in three passes: its files are read into one document here,
`harness.suites.validate` finds the problems of the document, and `harness.suites.build` makes a
suite of a valid one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Any

from harness.diagnostics import Flaw, Places, Problem, Steps, in_order, placed, raise_problems
from harness.documents import MAX_DEPTH, Document, deeper_than, read_document
from harness.errors import UsageError
from harness.suites.build import build
from harness.suites.environment import FILES, complete
from harness.suites.parse import as_document
from harness.suites.suite import Suite
from harness.suites.validate import validate
from harness.wording import suggest

SUITE_FILE = "suite.yaml"
VERSIONS_FILE = "versions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteReading:
    """
    The result of reading a suite: a suite, or the problems that prevented it.
    """

    suite: Suite | None
    problems: tuple[Problem, ...]
    places: Places
    """File and line of each part of the self-contained document, cases inline."""


def load_suite(path: Path, *, today: date | None = None) -> Suite:
    """
    Read the suite in a folder, or of a suite.yaml.

    With *today*, an expired quarantine is an error.

    Raises:
        SuiteError: listing the problems, ``file:line: reason`` on each line.
    """
    reading = read_suite(path, today=today)
    raise_problems(reading.problems)
    assert reading.suite is not None
    return reading.suite


def read_suite(
    path: Path, *, today: date | None = None, check_release: bool = True
) -> SuiteReading:
    """
    Read a suite and return it with its problems and the lines of its parts.

    Without *check_release* content may differ from its released version, as it does while a new
    release is being made.
    """
    folder = path.parent if path.name == SUITE_FILE else path
    versions = _read_versions(folder)
    document = _read_folder(folder)
    document = replace(document, problems=(*document.problems, *versions.problems))
    problems = validate(document, today=today)
    suite = None if problems else build(document.value, let_go=True)
    if suite is not None and check_release:
        problems = in_order(placed(_release_flaws(suite, versions.value), document.places))
        suite = None if problems else replace(suite, released=suite.version in versions.value)
    return SuiteReading(suite=suite, problems=problems, places=document.places)


def read_versions(folder: Path) -> dict[str, str]:
    """
    Return the digest of each released version, from versions.json. Empty if nothing was released.

    Raises:
        SuiteError: if it is not a mapping of versions to digests.
    """
    versions = _read_versions(folder)
    raise_problems(versions.problems)
    found: dict[str, str] = versions.value
    return found


def find_suites(root: Path) -> list[Path]:
    """
    Return the folders directly under *root* that hold a suite.yaml, by name.
    """
    found = (file.parent for file in root.glob(f"*/{SUITE_FILE}"))
    # A hidden one is a draft that a killed `harness.files.write_folder` left.
    return sorted(folder for folder in found if not folder.name.startswith("."))


def suite_path(text: str, root: Path) -> Path:
    """
    Find a suite by its folder, its suite.yaml, or its name under *root*.

    Raises:
        UsageError: if there is none.
    """
    for candidate in (Path(text), root / text):
        if candidate.name == SUITE_FILE and candidate.is_file():
            return candidate.parent
        if (candidate / SUITE_FILE).is_file():
            return candidate
    names = [folder.name for folder in find_suites(root)]
    raise UsageError(
        f"unknown suite {text!r}: not a folder with a {SUITE_FILE}, nor a name under {root}"
        f"{suggest(text, names)}"
    )


def _read_folder(folder: Path) -> Document:
    """
    Read suite.yaml, with the names of files replaced by the lists in them.

    The name of a file that cannot be read is kept.
    """
    head = read_document(folder / SUITE_FILE)
    if not isinstance(head.value, dict):
        return head
    value, problems = dict(head.value), [*head.problems]
    deep = False
    for part in ("tools", "cases"):
        if isinstance(name := value.get(part), str):
            inner = _read_part(folder, (part,), name, head.places, list)
            problems += inner.problems
            head.places.graft(inner.places, (part,))
            if inner.value is not None:
                value[part] = inner.value
                deep |= _deeper(inner, 1)
    if isinstance(world := value.get("environment"), dict):
        value["environment"] = world = dict(world)
        for key, name in world.items():
            if not isinstance(name, str) or not name.endswith(FILES):
                continue
            inner = _read_part(folder, ("environment", key), name, head.places, dict | list)
            problems += inner.problems
            head.places.graft(inner.places, ("environment", key))
            if inner.value is not None:
                world[key] = inner.value
                deep |= _deeper(inner, 2)
        value["environment"] = complete(world)
    if deep:  # though none of the files was
        return as_document(value, head.places, problems)
    return Document(value=value, places=head.places, problems=tuple(problems))


def _read_part(
    folder: Path, part: Steps, name: str, places: Places, kind: type | UnionType
) -> Document:
    missing = Places.of(*places.find(part))
    spelled = ".".join(map(str, part))
    if not (folder / name).is_file():
        return _refused(missing, f"{spelled}: no file {name!r} beside this one")
    inner = read_document(folder / name)
    if inner.value is not None and not isinstance(inner.value, kind):
        what = "a list" if kind is list else "a list or an object"
        return _refused(inner.places, f"{spelled}: the file must hold {what}")
    return inner


def _deeper(part: Document, above: int) -> bool:
    """
    Return whether *part* is nested too deep below so many levels.
    """
    left = MAX_DEPTH - above
    return part.levels > left and deeper_than(left, part.value)


def _refused(places: Places, message: str) -> Document:
    return Document(value=None, places=places, problems=tuple(placed([((), message)], places)))


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _read_versions(folder: Path) -> Document:
    file = folder / VERSIONS_FILE
    if not file.is_file():
        return Document(value={}, places=Places.of(str(file)))
    versions = read_document(file)
    if versions.problems or (
        isinstance(versions.value, dict)
        and all(
            isinstance(each, str) and _DIGEST.fullmatch(each) for each in versions.value.values()
        )
    ):
        return versions
    message = 'must map versions to digests, {"1.0.0": "sha256:..."}; restore it from git'
    return _refused(Places.of(str(file), 1), message)


def _release_flaws(suite: Suite, versions: Mapping[str, Any]) -> Iterator[Flaw]:
    if versions.get(suite.version, suite.digest) != suite.digest:
        yield (
            ("version",),
            f"version {suite.version} was released with other content; undo the edits, or give "
            f"them a version of their own with `harness suite release {suite.name} --patch` "
            "(--minor, --major)",
        )
