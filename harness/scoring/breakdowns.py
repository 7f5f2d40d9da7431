"""
CaseResults -> counts of what was called: tool by tool, and second calls by kind.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from harness.scoring.columns import Columns
from harness.scoring.results import CaseResult

if TYPE_CHECKING:
    from harness.scoring.columns import Bools, Ints

Confusion = Mapping[str, Mapping[str, int]]
"""Expected tool -> what was called for it -> how often."""


def confusion(results: Iterable[CaseResult] | Columns) -> dict[str, dict[str, int]]:
    """
    Count expected tool x called tool over the scored cases, as `Confusion` says.
    """
    cases = results if isinstance(results, Columns) else Columns(results)
    return confusion_of(cases, cases.scored)


def confusion_of(cases: Columns, which: "Bools | Ints") -> dict[str, dict[str, int]]:
    """
    Count the same over those of *cases* that *which* has: a flag for each, or places.
    """
    matrix: dict[str, dict[str, int]] = {}
    for place, many in Counter(cases.pairs.codes[which].tolist()).items():
        for expected, called in cases.pairs.values[place]:
            row = matrix.setdefault(expected, {})
            row[called] = row.get(called, 0) + many
    return matrix


def second_calls(cases: Columns) -> dict[str, int]:
    """
    Count scored cases with a second call by the kind of the first one that should not be there.
    """
    kinds: dict[str, int] = {}
    for case, many in cases.judged(lambda case: case.scored and case.forbids_extra_calls):
        if found := case.second_call_kinds:
            kinds[found[0]] = kinds.get(found[0], 0) + many
    return kinds
