"""
Suites on disk: find them, read them, and say what is wrong with them, file and line.

A suite is a folder with suite.yaml, which names its tools and cases or holds them; versions.json
beside it says what was released. A run keeps its own copy as one document, suite.json.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.diagnostics import Places, Problem, Problems, raise_problems, suggest
from harness.documents import read_document
from harness.errors import UsageError
from harness.suites.parse import parse_document
from harness.suites.schema import check_shape
from harness.suites.suite import Suite

SUITE_FILE = "suite.yaml"
VERSIONS_FILE = "versions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What came of reading a suite: a suite, or the problems that leave none.
    """

    suite: Suite | None
    problems: tuple[Problem, ...]
    places: Places
    """Lines by the steps of the self-contained document, cases inline."""


def load_suite(path: Path, *, today: date | None = None) -> Suite:
    """
    Read the suite in a folder, or of a suite.yaml.

    With *today*, a quarantine that has run out is an error.

    Raises:
        SuiteError: listing what is wrong, ``file:line: reason`` on each line.
    """
    reading = read_suite(path, today=today)
    raise_problems(reading.problems)
    assert reading.suite is not None
    return reading.suite


def load_suite_copy(path: Path) -> Suite:
    """
    Read a run's suite.json, the suite as it was: neither its date nor its releases are checked.

    Raises:
        SuiteError: listing what is wrong.
    """
    source = read_document(path)
    problems = Problems(places=source.places, found=list(source.problems))
    suite = parse_document(source.value, problems) if source.value is not None else None
    raise_problems(problems.in_order())
    assert suite is not None
    return suite


def read_suite(path: Path, *, today: date | None = None, check_release: bool = True) -> Reading:
    """
    Read a suite and keep what is wrong with it, with the lines of its parts.

    Without *check_release* content may differ from its released version, as it does while a new
    release is being made.
    """
    folder = path.parent if path.name == SUITE_FILE else path
    source = read_document(folder / SUITE_FILE)
    problems = Problems(places=source.places, found=list(source.problems))
    document = source.value
    if document is not None and not isinstance(document, dict):
        problems.add((), "must hold format, name, version, tools and cases")
    elif document is not None:
        whole = [_inline(document, part, folder, problems) for part in ("tools", "cases")]
        versions = _versions(folder, problems)
        if not all(whole):
            check_shape(document, problems)
        else:
            suite = parse_document(
                document, problems, versions=versions if check_release else None, today=today
            )
            if not problems.found:
                return Reading(suite=suite, problems=(), places=problems.places)
    return Reading(suite=None, problems=tuple(problems.in_order()), places=problems.places)


def read_versions(folder: Path) -> dict[str, str]:
    """
    Read versions.json: each released version's digest. Empty if nothing was released.

    Raises:
        SuiteError: if it is not a mapping of versions to digests.
    """
    problems = Problems(places=Places.of(str(folder / VERSIONS_FILE), 1))
    versions = _versions(folder, problems)
    raise_problems(problems.in_order())
    return versions


def find_suites(root: Path) -> list[Path]:
    """
    Give the folders directly under *root* that hold a suite.yaml, by name.
    """
    return sorted(file.parent for file in root.glob(f"*/{SUITE_FILE}"))


def suite_path(text: str, root: Path) -> Path:
    """
    Find a suite by its folder, its suite.yaml, or its name under *root*.

    Raises:
        UsageError: naming the suites there are.
    """
    for candidate in (Path(text), root / text):
        if candidate.name == SUITE_FILE and candidate.is_file():
            return candidate.parent
        if (candidate / SUITE_FILE).is_file():
            return candidate
    names = [folder.name for folder in find_suites(root)]
    raise UsageError(
        f"no suite {text!r}: no folder with a {SUITE_FILE}, no name under {root}"
        f"{suggest(text, names)}"
    )


def _inline(document: dict[str, Any], part: str, folder: Path, problems: Problems) -> bool:
    """
    Put the list a file holds in the place of its name; whether the rest can be read.
    """
    name = document.get(part)
    if not isinstance(name, str):
        return True
    file = folder / name
    if not file.is_file():
        problems.add((part,), f"{part}: there is no file {name!r} beside this one")
        return False
    source = read_document(file)
    problems.places.graft(source.places, (part,))
    problems.found.extend(source.problems)
    if source.value is None:
        return False
    if not isinstance(source.value, list):
        problems.add((part,), f"{part}: the file must hold a list")
        return False
    document[part] = source.value
    return True


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _versions(folder: Path, problems: Problems) -> dict[str, str]:
    file = folder / VERSIONS_FILE
    if not file.is_file():
        return {}
    source = read_document(file)
    problems.found.extend(source.problems)
    if source.value is None:
        return {}
    if isinstance(source.value, dict) and all(
        isinstance(found, str) and _DIGEST.fullmatch(found) for found in source.value.values()
    ):
        return source.value
    message = 'must map versions to digests, {"1.0.0": "sha256:..."}; restore it from git'
    problems.found.append(Problem(file=str(file), line=1, message=message))
    return {}
