"""
run.json of earlier formats -> the format of today, one step at a time.

Format 2: a finding has a ``call``, the position of the call it is about.

Format 3: ``digests`` of the transcripts, of the suite and of run.json itself, and the ``pairs`` of
each turn that the confusion matrix counts.
"""

from collections.abc import Callable, Mapping
from typing import Any

FORMAT = 3
FORMAT_WITHOUT_DIGESTS = 2

_OF_THE_TURN = {"no_call", "missing_call", "wrong_order", "wrong_text", "repaired"}
_ONE_A_CALL = {"unexpected_call", "call_after_result", "extra_call"}
_UNREADABLE = {"malformed_call", "unfinished_call"}
_EXPLAINED_BY = {
    "undeclared_tool": "undeclared_tool",
    "malformed": "malformed_call",
    "unfinished": "unfinished_call",
}
"""Kind of an extra call -> the finding that the same call has too."""


def migrated(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return *data*, a valid run.json of any format up to `FORMAT`, in that format.
    """
    for form in range(data["format"], FORMAT):
        data = _STEPS[form](data)
    return data


def _name_calls(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Format 1 to 2. What format 1 tells of the calls behind its findings is this, and no more: in an
    answer with one call every finding but those about the turn is about it. In a longer one, calls
    that should not be there come in order, as do the findings that explain them, and are the last
    ones (except for an extra call that fits worse than a later one of the same tool). For the rest
    ``call`` stays None.

    Enough for the same verdicts: the first calls of an answer were the expected ones in format 1 if
    every undeclared tool and unreadable call was that of an extra call.
    """
    cases = [
        {**case, "turns": [{**turn, "findings": _with_calls(turn)} for turn in case["turns"]]}
        for case in data["cases"]
    ]
    return {**data, "format": 2, "cases": cases}


def _with_calls(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    findings = [{**finding, "call": None} for finding in turn["findings"]]
    many = len(turn["calls"]) + sum(each["code"] in _UNREADABLE for each in findings)
    if many == 1:
        for each in findings:
            each["call"] = None if each["code"] in _OF_THE_TURN else 0
        return findings
    extra = [each for each in findings if each["code"] in _ONE_A_CALL]
    for call, each in enumerate(extra, start=many - len(extra)):
        each["call"] = call
    for kind, code in _EXPLAINED_BY.items():
        of_kind = [each for each in extra if each["kind"] == kind]
        explaining = [each for each in findings if each["code"] == code]
        for each, why in zip(reversed(of_kind), reversed(explaining), strict=False):
            why["call"] = each["call"]
    return findings


def _without_digests(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Format 2 to 3. What a run was judged from is not known: `harness.runs.verify` judges it again.
    """
    return {**data, "format": 3, "digests": None}


_STEPS: Mapping[int, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    1: _name_calls,
    2: _without_digests,
}
"""From a format to the next."""
