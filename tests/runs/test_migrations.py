"""
Runs of earlier formats: read, migrated, and gated as before.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.canonical import digest
from harness.dialects.base import Attempt
from harness.runs.record import Digests, decode, encode, with_interval
from harness.runs.rescore import rejudge
from harness.runs.store import RUN, load_run
from harness.scoring.metrics import measure
from harness.scoring.results import CaseResult, TurnResult

from ..builders import abstain, answer, attempt, calls, case, judge, malformed, record, unfinished

BASELINES = Path(__file__).parents[2] / "baselines"
STORED = sorted(path.parent for path in BASELINES.glob(f"*/*/{RUN}"))

DIGESTS = Digests(suite=digest("suite"), transcripts=digest("transcripts"))


def as_format_1(*cases: CaseResult) -> str:
    """
    Return the run.json that format 1 had of *cases*.
    """
    data = json.loads(encode(record(*cases, digests=None)))
    for result in data["cases"]:
        for turn in result["turns"]:
            del turn["pairs"]
            for finding in turn["findings"]:
                del finding["call"]
    return json.dumps({**data, "format": 1})


def migrated(*attempts: Attempt, expected: Any = None) -> TurnResult:
    """
    Return the judgement of *attempts* as it comes out of a run.json of format 1.
    """
    result = judge(case(expected or calls("A")), answer(*attempts))
    return decode(as_format_1(result), "run.json").cases[0].turns[0]


def began_rightly(turn: TurnResult) -> bool:
    """
    Format 1's rule for whether the first calls were the expected ones: by counting.
    """
    kinds = {
        "undeclared_tool": "undeclared_tool",
        "malformed_call": "malformed",
        "unfinished_call": "unfinished",
    }
    codes = Counter(finding.code for finding in turn.findings)
    extra = Counter(each.kind for each in turn.findings if each.code == "extra_call")
    return (
        turn.expects == "calls"
        and not codes.keys() & {"no_call", "wrong_tool", "missing_call"}
        and all(codes[code] == extra[kind] for code, kind in kinds.items())
    )


A, B, Z = attempt("A"), attempt("B"), attempt("Z")
ATTEMPTS = st.lists(
    st.sampled_from([A, B, Z, attempt("A", x=1), malformed("A"), malformed(), unfinished()]),
    max_size=5,
)
EXPECTED = st.sampled_from(
    [
        calls("A"),
        calls("A", "A"),
        calls("A", "B"),
        calls("A", "B", order="strict"),
        calls("A", extra_calls="allow"),
        abstain(),
    ]
)


@pytest.mark.parametrize(
    ("attempts", "expected", "found"),
    [
        # One call: every finding but those about the turn is about it.
        ((B,), calls("A"), [("wrong_tool", 0)]),
        ((malformed(),), calls("A"), [("malformed_call", 0)]),
        ((B,), calls("A", "B"), [("missing_call", None)]),
        ((), calls("A"), [("no_call", None)]),
        # More: the extra ones are the last.
        ((A, Z), calls("A"), [("undeclared_tool", 1), ("extra_call", 1)]),
        ((A, B, malformed()), calls("A"),
         [("malformed_call", 2), ("extra_call", 1), ("extra_call", 2)]),
        # Which of two undeclared ones is the extra one follows from its being the last.
        ((Z, Z), calls("A"),
         [("undeclared_tool", None), ("undeclared_tool", 1), ("extra_call", 1)]),
        # Where none was expected each is one too many.
        ((A, B), abstain(), [("unexpected_call", 0), ("unexpected_call", 1)]),
        # Unknown.
        ((A, Z), calls("A", "B"), [("undeclared_tool", None)]),
    ],
)  # fmt: skip
def test_format_1_is_given_the_calls_that_it_tells_of(
    attempts: Sequence[Attempt], expected: Any, found: list[tuple[str, int | None]]
) -> None:
    turn = migrated(*attempts, expected=expected)

    assert found == [(finding.code, finding.call) for finding in turn.findings]


@settings(deadline=None)
@given(ATTEMPTS, EXPECTED)
def test_format_1_says_of_the_first_calls_what_it_always_said(
    attempts: list[Attempt], expected: Any
) -> None:
    turn = migrated(*attempts, expected=expected)

    assert began_rightly(turn) == turn.made_expected_calls
    assert judge(case(expected), answer(*attempts)).turns[0].second_call_kinds == (
        turn.second_call_kinds
    )


def test_a_migrated_run_is_of_format_2_until_it_is_stored_with_digests() -> None:
    read = decode(as_format_1(judge(case(calls("A")), answer(A, B))), "run.json")

    for form, made in ((2, read), (3, replace(read, digests=DIGESTS))):
        assert form == json.loads(encode(made))["format"]
        assert made == decode(encode(made), "run.json")


# The baselines of this repository


def test_baselines_of_format_1_are_committed() -> None:
    """
    What follows is about them: where all are made anew, some have to be kept for it.
    """
    assert 1 in {json.loads((path / RUN).read_text("utf-8"))["format"] for path in STORED}


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_committed_baseline_measures_and_pairs_as_it_did(path: Path) -> None:
    """
    Its metrics were counted when it was made, by the harness of then.
    """
    text = json.loads((path / RUN).read_text("utf-8"))
    record = load_run(path).record

    counted = {name: with_interval(name, found) for name, found in measure(record.cases).items()}

    # There are metrics now that there were not then.
    assert {name: counted[name] for name in record.metrics} == record.metrics
    for turn in (turn for result in record.cases for turn in result.turns):
        assert began_rightly(turn) == turn.made_expected_calls
    for block in ("checkpoint", "backend", "generation", "environment"):
        assert text[block] == getattr(record, block).to_json()
    assert record == decode(encode(record), RUN)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_committed_baseline_names_the_calls_that_its_text_does(path: Path) -> None:
    """
    Judged again from its text, a run has the same findings but for what dialects have learned
    since, and they are about the calls that migrating names.
    """
    stored = load_run(path)
    checked = 0

    for old, new in zip(stored.record.cases, rejudge(stored).record.cases, strict=True):
        for was, now in zip(old.turns, new.turns, strict=True):
            found = [replace(each, call=None) for each in now.findings]
            if [replace(each, call=None) for each in was.findings] == found:
                checked += 1
                for kept, made in zip(was.findings, now.findings, strict=True):
                    assert kept.call in (None, made.call)

    # Two models often write a call without its tag, which was text once.
    assert checked > 0.5 * sum(len(result.turns) for result in stored.record.cases)
