"""
What was stored is judged as it is read: an answer that cannot be read has its file and line.
"""

from pathlib import Path

import pytest

from harness.backends.base import Generation
from harness.dialects.registry import dialect
from harness.errors import TranscriptError
from harness.runs.asking import Questions, judge
from harness.runs.writer import start_run
from harness.transcript import Key, Transcript

from ..builders import calls, case, suite


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Transcript(key=Key("b"), output="x", output_tokens=-1), "must be a whole number from 0"),
        (Transcript(key=Key("a"), output="x"), "already has an answer on line 1"),
    ],
)
def test_what_a_backend_stored_and_nobody_can_read_is_named(
    tmp_path: Path, bad: Transcript, reason: str
):
    asked = suite(case(calls("A"), id="a"), case(calls("A"), id="b"))
    questions = Questions(suite=asked, cases=asked.cases, generation=Generation())
    with start_run(tmp_path / "run", suite=asked.text, plan={}) as writer:
        writer.append([Transcript(key=Key("a"), output="x"), bad])

        with pytest.raises(TranscriptError, match=f"transcripts.jsonl:2: .*{reason}"):
            judge(questions, writer, dialect("hermes"))
