"""
Judging in several processes: the same lines, and the same errors.
"""

import multiprocessing
import os
import time
from dataclasses import replace

import pytest

from harness.dialects.registry import dialect
from harness.errors import StoreError, TranscriptError
from harness.runs import judging
from harness.runs.judging import judged_lines
from harness.scoring import score
from harness.suites.suite import Case
from harness.transcript import Key, Transcript

from ..builders import calls, case

CASES = [case(calls("A"), id=f"c{number}") for number in range(7)]
CALL = '<tool_call>{"name": "%s", "arguments": {}}</tool_call>'
ANSWERS = {
    key: Transcript(
        key=key, output=f'<tool_call>{{"name": "{name}", "arguments": {{}}}}</tool_call>'
    )
    for number, name in enumerate("ABAABBA")
    for repeat in (0, 1)
    for key in [Key(f"c{number}", repeat)]
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "FEWEST", 2)


@pytest.mark.parametrize("workers", [2, 3, 9])
def test_several_processes_write_the_lines_of_one(workers: int):
    alone = judged_lines(CASES, ANSWERS, dialect("hermes"))
    together = judged_lines(CASES, ANSWERS, dialect("hermes"), workers=workers)

    assert 14 == len(alone)
    assert {"correct", "incorrect"} == {each.status for each in alone}
    assert alone.text == together.text
    assert alone == together
    assert alone.columns.keys == together.columns.keys


def test_an_error_of_a_process_is_that_of_judging(monkeypatch: pytest.MonkeyPatch):
    def judged(cases: list[Case], *_: object, **__: object):
        if cases[-1] is CASES[-1]:
            raise TranscriptError("c6: it returned something else")
        return []

    monkeypatch.setattr(judging, "judged", judged)

    with pytest.raises(TranscriptError, match="c6: it returned something else"):
        judged_lines(CASES, ANSWERS, dialect("hermes"), workers=2)


def test_the_first_error_in_the_order_of_cases_counts(monkeypatch: pytest.MonkeyPatch):
    def judged(cases: list[Case], *_: object, **__: object):
        raise TranscriptError(f"{cases[0].id}: it returned something else")

    monkeypatch.setattr(judging, "judged", judged)

    with pytest.raises(TranscriptError, match="c0: it returned something else"):
        judged_lines(CASES, ANSWERS, dialect("hermes"), workers=3)
    assert [] == multiprocessing.active_children()


def test_a_process_that_is_killed_is_an_error(monkeypatch: pytest.MonkeyPatch):
    def judged(cases: list[Case], *_: object, **__: object):
        if cases[-1] is CASES[-1]:
            raise SystemExit(3)
        return []

    monkeypatch.setattr(judging, "judged", judged)

    with pytest.raises(StoreError, match=r"ended by itself \(3\); --workers 1 judges in one"):
        judged_lines(CASES, ANSWERS, dialect("hermes"), workers=2)


def test_an_interrupt_ends_every_process(monkeypatch: pytest.MonkeyPatch):
    def judged(cases: list[Case], *_: object, **__: object):
        if cases[0] is CASES[0]:
            raise KeyboardInterrupt
        time.sleep(60)

    monkeypatch.setattr(judging, "judged", judged)

    with pytest.raises(KeyboardInterrupt):
        judged_lines(CASES, ANSWERS, dialect("hermes"), workers=3)
    assert [] == multiprocessing.active_children()


def test_equal_answers_to_equal_cases_are_judged_once(monkeypatch: pytest.MonkeyPatch):
    read: list[str | None] = []
    reading = score.reading_with

    def counting(spoken: object):
        both = reading(spoken)

        def once(transcript: Transcript, tools: object):
            read.append(transcript.output)
            return both(transcript, tools)

        return once

    monkeypatch.setattr(score, "reading_with", counting)
    answers = {
        key: Transcript(key=key, output=each.output, output_tokens=place)
        for place, (key, each) in enumerate(ANSWERS.items())
    }
    equal = [replace(each, digest="sha256:same") for each in CASES]
    score.judge(CASES, answers, dialect("hermes"))
    assert 7 == len(read), "each case is answered twice alike"
    results = score.judge(equal, answers, dialect("hermes"))

    assert 9 == len(read), "all cases are equal, and there are two answers"
    assert list(range(14)) == [case.turns[0].output_tokens for case in results]
    monkeypatch.undo()
    alone = [score.judge([one], answers, dialect("hermes")) for one in equal]
    assert results == [result for some in alone for result in some]


def test_a_process_that_is_killed_while_it_answers_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judging.Connection, "send_bytes", lambda *_: os._exit(9))

    with pytest.raises(StoreError, match="ended by itself"):
        judged_lines(CASES, ANSWERS, dialect("hermes"), workers=2)
