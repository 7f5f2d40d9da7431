"""
A suite given as a value, not as files: one self-contained document, tools and cases inline.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from harness.diagnostics import Flaw, Places, Problem, placed, raise_problems
from harness.documents import TOO_DEEP, Document, unstorable_parts
from harness.suites.build import build
from harness.suites.schema import spell
from harness.suites.suite import Suite
from harness.suites.validate import validate


def parse_suite(value: Mapping[str, Any], source: str) -> Suite:
    """
    Return the suite that *value* describes; *source* names it in errors.

    Raises:
        SuiteError: listing the problems.
    """
    document = as_document(value, Places.of(source))
    raise_problems(validate(document))
    return build(document.value)


def as_document(value: Any, places: Places, problems: Iterable[Problem] = ()) -> Document:
    """
    Return a copy of *value* as a document of JSON types; its value is None if there are others.

    Keys keep their order, as a chat template shows tools in that order.
    """
    flaws = [_spelled(value, flaw) for flaw in unstorable_parts(value)]
    copy = None
    if not flaws:
        try:
            copy = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False))
        except (TypeError, ValueError) as exc:
            flaws = [((), f"only JSON types can be stored: {exc}")]
    return Document(value=copy, places=places, problems=(*problems, *placed(flaws, places)))


def _spelled(value: Any, flaw: Flaw) -> Flaw:
    steps, reason = flaw
    # The full path would be long to read; the place has the line.
    where = spell(value, steps[:2] if reason == TOO_DEEP else steps).rstrip(":")
    return steps, f"{where}: {reason}" if where else reason
