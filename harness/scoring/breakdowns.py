"""
CaseResults -> counts of what was called: tool by tool, and second calls by kind.
"""

from collections.abc import Iterable, Mapping

from harness.scoring.results import CaseResult

Confusion = Mapping[str, Mapping[str, int]]
"""Expected tool -> what was called for it -> how often."""


def confusion(results: Iterable[CaseResult]) -> dict[str, dict[str, int]]:
    """
    Count expected tool x called tool over the scored cases, as `Confusion` says.
    """
    matrix: dict[str, dict[str, int]] = {}
    for case in results:
        if not case.scored:
            continue
        for turn in case.turns:
            for expected, called in turn.pairs:
                row = matrix.setdefault(expected, {})
                row[called] = row.get(called, 0) + 1
    return matrix


def second_calls(results: Iterable[CaseResult]) -> dict[str, int]:
    """
    Count scored cases with a second call by the kind of the first one that should not be there.
    """
    kinds: dict[str, int] = {}
    for case in results:
        if case.scored and case.forbids_extra_calls and (found := case.second_call_kinds):
            kinds[found[0]] = kinds.get(found[0], 0) + 1
    return kinds
