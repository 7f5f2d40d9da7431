"""
run.json: one spelling, read back whole.
"""

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.backends.base import Generation
from harness.canonical import digest
from harness.errors import RecordError
from harness.provenance import Environment
from harness.runs.record import (
    MetricValue,
    RunRecord,
    Selection,
    decode,
    encode,
    is_intact,
    is_sealed,
    with_interval,
)
from harness.runs.serving import Serving
from harness.scoring.metrics import Counts, Quantile
from harness.scoring.results import (
    FINDINGS,
    PRECEDENCE,
    SECOND_CALL_KINDS,
    CaseResult,
    Change,
    Execution,
    Finding,
    TurnResult,
)

from ..builders import answer, attempt, calls, case, judge, record

SCHEMA = Draft202012Validator(
    json.loads((resources.files("harness") / "schemas" / "run.json").read_text("utf-8"))
)
TEXT = st.text(max_size=8)
JSON = st.none() | st.booleans() | st.integers() | TEXT | st.lists(st.integers(), max_size=2)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
NUMBERS = st.none() | st.floats(0, 1e9) | st.integers(0, 9)
TURNS = st.builds(
    TurnResult,
    expects=st.sampled_from(["calls", "abstain", "either"]),
    follows_result=st.booleans(),
    calls=st.lists(st.fixed_dictionaries({"tool": TEXT, "arguments": OBJECTS}), max_size=2).map(
        tuple
    ),
    findings=st.lists(
        st.builds(
            Finding,
            code=st.sampled_from(sorted(FINDINGS)),
            detail=TEXT,
            kind=st.none() | st.sampled_from(SECOND_CALL_KINDS),
            call=st.none() | st.integers(0, 9),
        ),
        max_size=2,
    ).map(tuple),
    status=st.sampled_from(PRECEDENCE),
    status_lenient=st.sampled_from(PRECEDENCE),
    pairs=st.just(()),
    finish_reason=st.none() | TEXT,
    output_tokens=st.none() | st.integers(0, 999),
    latency_ms=NUMBERS,
    ttft_ms=NUMBERS,
    margin=st.none() | st.floats(-9, 9),
)
SCORES = st.none() | st.floats(0, 1) | st.integers(0, 1)
FLAGS = st.none() | st.booleans()
EXECUTIONS = st.builds(
    Execution,
    stop=st.sampled_from(["answered", "step_limit", "repeated_step", "error"]),
    steps=st.lists(TURNS, max_size=2).map(tuple),
    findings=st.lists(
        st.builds(Finding, code=st.sampled_from(sorted(FINDINGS)), detail=TEXT), max_size=2
    ).map(tuple),
    called=st.booleans(),
    said=st.booleans(),
    relevant=st.none() | st.integers(0, 3),
    found=FLAGS,
    recall=SCORES,
    reciprocal_rank=SCORES,
    ndcg=SCORES,
    answered=FLAGS,
    reached=FLAGS,
    changes=st.lists(
        st.builds(
            Change,
            table=TEXT,
            row=TEXT,
            kind=st.sampled_from(["changed", "added", "removed"]),
            column=st.none() | TEXT,
            old=JSON,
            new=JSON,
        ),
        max_size=2,
    ).map(tuple),
)
CASES = st.builds(
    CaseResult,
    id=st.text(min_size=1, max_size=8),
    repeat=st.integers(0, 3),
    digest=TEXT.map(digest),
    group=st.none() | TEXT,
    tags=st.lists(TEXT, max_size=2).map(tuple),
    must_pass=st.booleans(),
    quarantined=st.booleans(),
    forbids_extra_calls=st.booleans(),
    turns=st.lists(TURNS, min_size=1, max_size=2).map(tuple),
    executed=st.none() | EXECUTIONS,
)
RECORDS = st.builds(
    lambda cases, environment, selection, confusion: record(
        environment=Environment(extra=environment),
        selection=selection,
        cases=tuple(cases),
        confusion=confusion,
    ),
    st.lists(CASES, max_size=3),
    OBJECTS,
    st.builds(
        Selection,
        limit=st.none() | st.integers(1, 9),
        tags=st.lists(TEXT, max_size=2).map(tuple),
        complete=st.booleans(),
    ),
    st.dictionaries(TEXT, st.dictionaries(TEXT, st.integers(1, 9), max_size=2), max_size=2),
)

TOY = record(judge(case(calls("A"), tags=("plain",)), answer(attempt("A"), attempt("B"))))


def changed(**changes: Any) -> str:
    """
    Return the text of a run.json with some keys set, or removed where None.
    """
    data = {**json.loads(encode(TOY)), **changes}
    return json.dumps({key: value for key, value in data.items() if value is not None})


@settings(deadline=None, max_examples=30)
@given(RECORDS)
def test_a_record_survives_its_file(made: RunRecord) -> None:
    text = encode(made)

    assert made == decode(text, "run.json")
    assert text == encode(decode(text, "run.json"))


@settings(deadline=None, max_examples=30)
@given(RECORDS)
def test_the_file_is_what_the_shipped_schema_says(made: RunRecord) -> None:
    SCHEMA.validate(json.loads(encode(made)))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)


def test_equal_records_have_equal_bytes_whatever_the_order_of_their_keys() -> None:
    one = replace(TOY, environment=Environment(extra={"a": 1, "b": {"c": 2, "d": 3}}))
    two = replace(TOY, environment=Environment(extra={"b": {"d": 3, "c": 2}, "a": 1}))

    assert encode(one) == encode(two)


def test_the_file_has_one_key_and_one_case_a_line_in_canonical_json() -> None:
    lines = encode(record(*TOY.cases, *TOY.cases)).splitlines()
    keys = [line.split(":")[0] for line in lines if line[:1] == '"']

    assert sorted(keys) == keys
    assert 2 == sum(line.startswith('{"digest":') for line in lines)
    assert not any(": " in line or ", " in line for line in lines if "detail" not in line)


def test_a_file_holds_no_numbers_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(replace(TOY, environment=Environment(hardware={"load": float("nan")})))


@pytest.mark.parametrize("form", [1, 2, 3])
def test_the_format_of_the_contract_is_read(form: int) -> None:
    """
    Keys that the contract's example leaves out follow from those it has.
    """
    name = digest("x")
    example = {
        "format": form,
        "harness_version": "0.1.0",
        "scorer_version": 1,
        "suite": {"name": "tool-routing", "version": "1.0.0", "digest": name},
        "selection": {"limit": None, "tags": [], "complete": True},
        "checkpoint": {
            **{"reference": "hf:a/b", "weights": name, "adapter": None, "tokenizer": name},
            **{"template": name, "dialect": "hermes", "dialect_version": 1},
        },
        "backend": {"name": "transformers", "dtype": "float32", "batch": "auto"},
        "generation": {"max_new_tokens": 128, "do_sample": False, "seed": 0},
        "environment": {"python": "3.11", "packages": {}, "hardware": {}, "dirty": False},
        "metrics": {
            "accuracy": {
                **{"value": 0.9, "hits": 108, "eligible": 120, "low": 0.83, "high": 0.94},
                "higher_is_better": True,
            }
        },
        "cases": [
            {
                **{"id": "kb-001", "repeat": 0, "digest": name, "group": "hr", "tags": ["i"]},
                **{"must_pass": False, "quarantined": False},
                **{"status": "incorrect", "status_lenient": "correct"},
                "turns": [
                    {
                        "expects": "calls",
                        "calls": [{"tool": "search_google", "arguments": {"query": "..."}}],
                        "findings": [{"code": "wrong_tool", "detail": "...", "kind": None}],
                        **{"finish_reason": "stop", "output_tokens": 21, "latency_ms": None},
                        **{"ttft_ms": None, "margin": None},
                    }
                ],
            }
        ],
        "started": "2026-03-04T10:00:00+00:00",
        "finished": "2026-03-04T10:01:00+00:00",
    }
    if form == 3:
        example["digests"] = {"run": name, "suite": name, "transcripts": name}
    (read,) = decode(json.dumps(example), "run.json").cases

    assert ("incorrect", "correct") == (read.status, read.status_lenient)
    assert ("hr", ("i",), True) == (read.group, read.tags, read.scored)
    assert (21, "stop", False) == (
        read.turns[0].output_tokens,
        read.turns[0].finish_reason,
        read.turns[0].follows_result,
    )


BLOCKS = {
    "checkpoint": ({"licence": "mit"}, "dialect", "dialect_version"),
    "backend": ({"quantised": {"bits": 4}}, "dtype", "batch", "tool_names", "order"),
    "generation": ({"min_p": 0.1}, "max_new_tokens", "do_sample", "seed", "temperature"),
    "environment": ({"host": "a", "extra": 1}, "packages", "hardware", "dirty"),
}
"""Block of run.json -> keys that another writer may have put there, and some of its own."""


@pytest.mark.parametrize("block", BLOCKS)
def test_keys_of_another_writer_are_kept(block: str) -> None:
    foreign, *_ = BLOCKS[block]
    data = json.loads(encode(TOY))
    data[block] |= foreign

    read = decode(json.dumps(data), "run.json")

    assert foreign == getattr(read, block).extra
    data["digests"]["run"] = json.loads(encode(read))["digests"]["run"]
    assert data == json.loads(encode(read))


@pytest.mark.parametrize(
    ("block", "key"), [(block, key) for block, (_, *keys) in BLOCKS.items() for key in keys]
)
def test_a_key_of_the_wrong_type_is_refused_by_name(block: str, key: str) -> None:
    data = json.loads(encode(TOY))
    data[block][key] = [1.5]

    with pytest.raises(RecordError, match=rf"^base/run\.json: at {block}/{key}: "):
        decode(json.dumps(data), "base/run.json")


def test_how_a_run_was_made_is_read_as_values() -> None:
    served = Serving(name="a", dtype="float32", batch=8, tool_names="dots-to-underscores", order=3)
    sampled = Generation(max_new_tokens=9, do_sample=True, temperature=0.7, top_p=0.9, top_k=5)
    checkpoint = replace(TOY.checkpoint, response_template="{}", not_shown=("f: n (enum)",))
    made = replace(TOY, backend=served, generation=sampled, checkpoint=checkpoint)

    read = decode(encode(made), "run.json")

    assert (served, sampled, checkpoint) == (read.backend, read.generation, read.checkpoint)


def test_what_a_run_did_not_ask_for_is_not_in_its_file() -> None:
    data = json.loads(encode(TOY))

    assert {"name", "dtype", "device", "batch", "attention"} == data["backend"].keys()
    assert {"max_new_tokens", "do_sample", "seed"} == data["generation"].keys()
    assert not {"response_template", "not_shown"} & data["checkpoint"].keys()


def test_a_later_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(RecordError, match=r"base/run.json: format 4 is newer .* upgrade harness"):
        decode(changed(format=4), "base/run.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("[]", 'not a run.json: it has no "format"'),
        ("{}", 'no "format"'),
        ('{"format": "1"}', 'no "format"'),
        ('{"format": 0}', 'no "format"'),
        (changed(format=True), "format"),
        (changed(format=1, digests=None, cases=[{"turns": 3}]), "cases/0"),
        (changed(cases=None), "cases"),
        (changed(cases=[{}]), "cases/0"),
        (changed(metrics={"accuracy": {"value": "high"}}), "metrics/accuracy"),
        (changed(scorer_version="1"), "scorer_version"),
        (changed(digests=None), "digests"),
        (changed(format=2), "digests"),
        (changed(digests={"run": digest("x"), "suite": digest("x")}), "digests"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_not_a_run_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(RecordError, match=rf"^base/run\.json: .*{reason}"):
        decode(text, "base/run.json")


def test_a_rate_has_an_interval_and_a_direction() -> None:
    metric = with_interval("accuracy", Counts(hits=108, eligible=120))

    # Wilson, z = 1.96: (108 + 1.9207) / 123.84 +- 1.96 * sqrt(108 * 12 / 120 + 0.9604) / 123.84
    assert 0.9 == metric.value
    assert (pytest.approx(0.8333, abs=1e-3), pytest.approx(0.9419, abs=1e-3)) == (
        metric.low,
        metric.high,
    )
    assert metric.higher_is_better
    assert not with_interval("second_call_rate", Counts(hits=0, eligible=1)).higher_is_better


def test_a_rate_over_nothing_has_no_value() -> None:
    assert (
        MetricValue(value=None, hits=0, eligible=0, low=None, high=None, higher_is_better=True)
    ) == with_interval("accuracy", Counts(hits=0, eligible=0))


def test_a_time_has_neither_hits_nor_interval() -> None:
    assert MetricValue(
        value=812.0, hits=None, eligible=24, low=None, high=None, higher_is_better=False
    ) == with_interval("latency_ms_p50", Quantile(value=812.0, eligible=24))


def test_errors_are_counted() -> None:
    assert 1 == record(*TOY.cases, judge(case(calls("A")), None)).errors


@settings(deadline=None, max_examples=30)
@given(RECORDS)
def test_a_record_read_typed_is_the_one_read_by_its_schema(made: RunRecord) -> None:
    text = encode(made)
    assert is_intact(text.encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.runs.record.is_intact", lambda data: False)
        by_schema = decode(text, "run.json")

    assert by_schema == decode(text, "run.json")


@settings(deadline=None, max_examples=30)
@given(RECORDS)
def test_stored_cases_are_looked_at_like_a_tuple(made: RunRecord) -> None:
    cases = tuple(made.cases)
    stored = decode(encode(made).replace("\n", "\r\n"), "run.json")

    assert is_sealed(stored)
    assert not is_sealed(made)
    assert len(cases) == len(stored.cases)
    assert cases == stored.cases
    assert cases == tuple(stored.cases)
    assert cases[1:] == stored.cases[1:]
    assert [cases[-1]] == [stored.cases[-1]] if cases else not stored.cases
    assert [(case.id, case.repeat) for case in cases] == list(stored.columns.keys)
    with pytest.raises(IndexError):
        stored.cases[len(cases)]
