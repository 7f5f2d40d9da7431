"""
The copy of its suite that a run keeps: suite.json, one self-contained document.

Neither its dates nor its releases are checked: it is the suite as it was. A copy that has the
digest which the run recorded is as it was written, so its problems are not looked for again, and
its cases can be built one by one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.diagnostics import raise_problems
from harness.documents import read_document
from harness.files import read_intact, read_stored
from harness.lazy import Lazily
from harness.suites.build import build, case_builder
from harness.suites.suite import Case, Suite
from harness.suites.validate import validate

if TYPE_CHECKING:
    import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedCase:
    """
    A case of a run's copy of its suite.
    """

    case: Case
    row: Mapping[str, Any]
    """As it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """
    Which suite a suite was made of (`harness.suites.vary`).
    """

    of: str
    """The suite's name."""
    version: str
    digest: str
    how: tuple[str, ...]
    """What was varied, in words."""
    seed: int


def load_suite_copy(path: Path, *, digest: str | None = None) -> Suite:
    """
    Return the suite of a suite.json that should have this *digest*.

    Raises:
        SuiteError: listing the problems of one that has not.
    """
    if (text := read_intact(path, digest)) is not None:
        return build(json.loads(text), let_go=True)
    document = read_document(path)
    raise_problems(validate(document))
    return build(document.value, let_go=True)


def copied_cases(path: Path, *, digest: str | None = None) -> Mapping[str, CopiedCase]:
    """
    Return the cases of a suite.json by id, built when they are looked at.

    Raises:
        SuiteError: listing the problems of one that has not this *digest*.
    """
    text = read_intact(path, digest)
    if text is None:
        suite = load_suite_copy(path)
        rows = suite.document["cases"]
        return {
            case.id: CopiedCase(case=case, row=row)
            for case, row in zip(suite.cases, rows, strict=True)
        }
    apart = cache(lambda: _apart(text))
    return Lazily(lambda: apart()[0], lambda row: apart()[1](row))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    id: str
    variant_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _MadeOf:
    cases: list[_Made]
    variant: Variant | None = None


def made_of(path: Path) -> tuple[Variant, Mapping[str, str]] | None:
    """
    Return which suite the one in a valid suite.json is a variant of, and the digests of the cases
    that its cases were made of, by id; None if it is no variant.
    """
    import msgspec

    found = msgspec.json.decode(read_stored(path), type=_MadeOf)
    if found.variant is None:
        return None
    return found.variant, {
        case.id: case.variant_of for case in found.cases if case.variant_of is not None
    }


def _apart(text: bytes) -> "tuple[Mapping[str, msgspec.Raw], Callable[[msgspec.Raw], CopiedCase]]":
    """
    Return the text of each case by its id, and what makes a case of it.
    """
    import msgspec

    parts = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    build_case = case_builder(
        {key: json.loads(bytes(parts[key])) for key in parts if key != "cases"}
    )

    def make(written: msgspec.Raw) -> CopiedCase:
        row = json.loads(bytes(written))
        return CopiedCase(case=build_case(row), row=row)

    named: Any = msgspec.defstruct("Named", [("id", str)], gc=False)
    ids = [each.id for each in msgspec.json.decode(parts["cases"], type=list[named])]
    rows = msgspec.json.decode(parts["cases"], type=list[msgspec.Raw])
    return dict(zip(ids, rows, strict=True)), make
