"""
The lines of a run.json: canonical JSON, whatever a model wrote and a clock measured.
"""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.canonical import canonical_json
from harness.runs.cases import CaseLines, line
from harness.scoring.results import CaseResult, Finding, TurnResult

# Half a surrogate pair, too; a whole pair is one character in JSON.
TEXT = st.text(st.characters()) | st.sampled_from(["\ud83d", "a\ude00", "\x7f\u2028\x00"])
NUMBERS = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
WRITTEN = st.recursive(
    st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
FINDINGS = st.builds(Finding, code=TEXT, detail=TEXT, call=st.none() | st.integers(0, 9))
TURNS = st.builds(
    TurnResult,
    expects=st.just("calls"),
    follows_result=st.booleans(),
    calls=st.lists(
        st.fixed_dictionaries({"tool": TEXT, "arguments": st.dictionaries(TEXT, WRITTEN)}),
        max_size=2,
    ).map(tuple),
    findings=st.lists(FINDINGS, max_size=2).map(tuple),
    status=st.just("correct"),
    status_lenient=st.just("correct"),
    pairs=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
    finish_reason=st.none() | TEXT,
    output_tokens=st.none() | st.integers(0, 2**40),
    latency_ms=NUMBERS,
    ttft_ms=NUMBERS,
    margin=NUMBERS,
)


def a_case(*turns: TurnResult, **fields: object) -> CaseResult:
    given = {
        "id": "c",
        "repeat": 0,
        "digest": "sha256:0",
        "group": None,
        "tags": ("é", "x"),
        "must_pass": False,
        "quarantined": False,
        "forbids_extra_calls": True,
        "turns": turns,
    }
    return CaseResult(**{**given, **fields})  # type: ignore[arg-type]


def a_turn(**fields: object) -> TurnResult:
    given = {
        "expects": "calls",
        "follows_result": False,
        "calls": (),
        "findings": (),
        "status": "correct",
        "status_lenient": "correct",
    }
    return TurnResult(**{**given, **fields})  # type: ignore[arg-type]


@settings(deadline=None)
@given(TURNS, TEXT)
def test_a_line_is_canonical_and_reads_as_the_case_it_was(turn: TurnResult, name: str):
    case = a_case(turn, id=name)
    written = line(case)

    assert canonical_json(json.loads(written)).encode() == written
    assert [case] == list(CaseLines.read(written))


@pytest.mark.parametrize("milliseconds", [1e-05, 0.00012, 1e15, 1e16, 1.5e300, -0.0, 7, 2**70])
def test_times_of_every_size_are_spelled_as_python_does(milliseconds: float):
    written = line(a_case(a_turn(latency_ms=milliseconds))).decode()

    assert f'"latency_ms":{json.dumps(milliseconds)},' in written


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_is_never_written_as_nothing(number: float):
    with pytest.raises(ValueError, match="JSON"):
        line(a_case(a_turn(latency_ms=number)))
    with pytest.raises(ValueError, match="JSON"):
        line(a_case(a_turn(calls=({"tool": "t", "arguments": {"n": number}},))))


def test_what_json_does_not_have_is_refused():
    with pytest.raises(TypeError):
        line(a_case(a_turn(calls=({"tool": "t", "arguments": {"n": b"x"}},))))
