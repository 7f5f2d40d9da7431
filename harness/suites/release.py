"""
Pin a version of a suite to its content: `harness suite release`.

A release writes three files beside suite.yaml. versions.json maps each version to the digest of its
content, and is written last, as its entry means that the release is complete. CHANGELOG.md lists
the ids of cases that were added, removed or changed. released-cases.json keeps the digest of each
case as last released, as a digest of the whole cannot tell which of them changed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from harness.diagnostics import raise_problems
from harness.documents import read_document, replace_yaml_text
from harness.errors import SuiteError, UsageError, boundary
from harness.files import write_text
from harness.suites.files import SUITE_FILE, VERSIONS_FILE, read_suite, read_versions
from harness.suites.suite import Suite

Part = Literal["major", "minor", "patch"]

CASES_FILE = "released-cases.json"
CHANGELOG_FILE = "CHANGELOG.md"

NAME = re.compile("[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""The names that schemas/suite.json allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    One version of a suite and how its cases differ from the release before it.
    """

    name: str
    version: str
    digest: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Cases with the same id and another question or expectation; comparisons leave them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """
    Released content that something was made with.
    """

    name: str
    version: str
    digest: str
    by: str
    """What was made with it, for people."""


def release(
    path: Path,
    *,
    part: Part | None = None,
    today: date | None = None,
    used: Sequence[Used] = (),
) -> Release:
    """
    Release the content of a suite under the version in its suite.yaml.

    With *part* that version is incremented first, with comments kept. *today* is the date in the
    changelog; a quarantine that has expired by then is refused. *used* is what is known of earlier
    releases beside versions.json, which may have been deleted.

    Raises:
        SuiteError: if the suite cannot be read.
        UsageError: if this version or this same content was released before.
    """
    folder = path.parent if path.name == SUITE_FILE else path
    reading = read_suite(folder, today=today, check_release=False)
    raise_problems(reading.problems)
    suite = reading.suite
    assert suite is not None
    versions = read_versions(folder)
    version = suite.version if part is None else _raised(suite.version, part)
    for known, content in versions.items():
        if content == suite.digest:
            raise UsageError(f"suite {suite.name}: this content is already released as {known}")
    hint = (
        "choose a part to increment: major, minor or patch"
        if part is None
        else (f"set a version in {folder / SUITE_FILE} that is higher than all released ones")
    )
    for each in used:
        if (each.name, each.version) == (suite.name, version) and each.digest != suite.digest:
            raise UsageError(
                f"suite {suite.name}: {version} was released with other content, with which "
                f"{each.by} was made; restore {VERSIONS_FILE}, or {hint}"
            )
    if version in versions:
        raise UsageError(f"suite {suite.name}: {version} was released with other content; {hint}")
    cases = {case.id: case.digest for case in suite.cases}
    before = _last_cases(folder)
    made = Release(
        name=suite.name,
        version=version,
        digest=suite.digest,
        added=tuple(name for name in cases if name not in before),
        removed=tuple(name for name in before if name not in cases),
        changed=tuple(name for name in cases if before.get(name, cases[name]) != cases[name]),
    )
    with boundary(SuiteError, f"{folder}: cannot write the release"):
        if part is not None:
            _set_version(folder / SUITE_FILE, version)
        _write_changelog(folder / CHANGELOG_FILE, suite, made, today, first=not versions)
        write_text(folder / CASES_FILE, _json({"version": version, "cases": cases}))
        write_text(folder / VERSIONS_FILE, _json({**versions, version: suite.digest}))
    return made


def _raised(version: str, part: Part) -> str:
    major, minor, patch = (int(number) for number in version.split("."))
    if part == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if part == "minor" else f"{major}.{minor}.{patch + 1}"


def _set_version(file: Path, version: str) -> None:
    """
    Replace the version in suite.yaml and change nothing else: comments are kept.
    """
    text = file.read_bytes().decode("utf-8")
    write_text(file, replace_yaml_text(text, "version", version))


def _last_cases(folder: Path) -> Mapping[str, str]:
    file = folder / CASES_FILE
    if not file.is_file():
        return {}
    source = read_document(file)
    raise_problems(source.problems)
    cases = source.value.get("cases") if isinstance(source.value, dict) else None
    if not isinstance(cases, dict):
        raise SuiteError(f'{file}:1: must hold "version" and "cases"; restore it from git')
    return cases


def _write_changelog(
    file: Path, suite: Suite, made: Release, today: date | None, *, first: bool
) -> None:
    """
    Put the entry of a release above the earlier ones, once: an interrupted release may run again.
    """
    title = f"# Changes of {suite.name}\n"
    text = file.read_bytes().decode("utf-8") if file.is_file() else title
    heading = f"## {made.version}"
    if re.search(rf"^{re.escape(heading)}\b", text, re.MULTILINE):
        return
    lines = [heading + (f" ({today.isoformat()})" if today else ""), ""]
    if first:
        lines.append(f"First release, {len(suite.cases)} cases.")
    else:
        for label, names in (
            ("Added", made.added),
            ("Removed", made.removed),
            ("Changed", made.changed),
        ):
            if names:
                lines.append(f"- {label} ({len(names)}): {', '.join(names)}")
        if len(lines) == 2:
            lines.append("- No case asks or expects anything else; tags, groups or settings do.")
    entry = "\n".join(lines) + "\n"
    before, mark, after = text.partition("\n## ")
    write_text(file, f"{before.rstrip()}\n\n{entry}" + (f"\n## {after}" if mark else ""))


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
