"""
A replay: every wrong line is an error with its place, every missing one an error of its case.
"""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends.base import BackendOptions, Generation, Request
from harness.backends.replay import ReplayBackend, answer_of, read_lines, read_transcripts
from harness.checkpoints.reference import Reference
from harness.errors import DialectError, HarnessError, TranscriptError
from harness.messages import Message
from harness.transcript import Key, Timing, Transcript

SAID = {"role": "assistant", "content": "Hi."}


def opened(path: Path, **options: Any) -> ReplayBackend:
    return ReplayBackend.open(
        Reference(scheme="replay", target=str(path)), BackendOptions(**options)
    )


def written(path: Path, *lines: object) -> Path:
    text = "".join((ln if isinstance(ln, str) else json.dumps(ln)) + "\n" for ln in lines)
    path.write_text(text, encoding="utf-8")
    return path


def ask(backend: ReplayBackend, *keys: Key) -> list[Transcript]:
    requests = [
        Request(key=key, messages=(Message(role="user", content="?"),), tools=()) for key in keys
    ]
    return [each for group in backend.answer(requests, Generation()) for each in group]


def test_answers_come_from_their_lines(tmp_path: Path):
    path = written(
        tmp_path / "a.jsonl",
        {"case": "b", "turn": 1, "output": "two", "latency_ms": 5, "ttft_ms": 2, "other": [1]},
        "",
        {"case": "a", "repeat": 1, "error": "boom"},
        {"case": "b", "message": SAID},
    )

    assert [
        Transcript(key=Key("b"), message=SAID),
        Transcript(key=Key("b", 0, 1), output="two", timing=Timing(latency_ms=5.0, ttft_ms=2.0)),
        Transcript(key=Key("a", 1), error="boom"),
    ] == ask(opened(path, dialect="hermes"), Key("b"), Key("b", 0, 1), Key("a", 1))


def test_a_case_without_a_line_is_an_error_of_that_case(tmp_path: Path):
    path = written(tmp_path / "a.jsonl", {"case": "a", "message": SAID})

    [missing] = ask(opened(path), Key("a", 0, 2))

    assert f"no line for case 'a', turn 3 in replay:{path}" == missing.error


def test_a_gzipped_file_reads_the_same(tmp_path: Path):
    path = written(tmp_path / "a.jsonl", {"case": "a", "output": "naïve \u2028 text"})
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))

    [plain] = ask(opened(path, dialect="hermes"), Key("a"))
    assert [plain] == ask(opened(packed, dialect="hermes"), Key("a"))
    assert "naïve \u2028 text" == plain.output


def test_a_gzipped_list_reads_as_its_lines_do(tmp_path: Path):
    rows = [{"case": "a", "message": SAID}, {"case": "b", "error": "x"}]
    lines = written(tmp_path / "a.jsonl", *rows)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(rows, indent=1).encode()))
    keys = Key("a"), Key("b")

    assert ask(opened(lines), *keys) == ask(opened(tmp_path / "a.json.gz"), *keys)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"case": "a"'], ":1: Expecting"),
        ([{"case": "a", "message": SAID}, "[]"], ":2: a transcript is an object"),
        ([{"message": SAID}], ':1: a transcript needs "case"'),
        ([{"case": "a"}], ":1: case 'a': give exactly one of output, message and error, not none"),
        ([{"case": "a", "output": "x", "error": "y"}], ":1: .*not output and error"),
        (
            [{"case": "a", "turn": 1, "error": "x"}, "", {"case": "a", "turn": 1, "output": "y"}],
            ':3: {"case":"a","repeat":0,"turn":1} already has an answer on line 1',
        ),
        ([{"case": "a", "error": "x"}, {"case": "z", "error": "x"}], ":2: case 'z' is not in the"),
    ],
)
def test_a_wrong_line_is_named_by_file_and_line(tmp_path: Path, lines: list[object], said: str):
    path = written(tmp_path / "a.jsonl", *lines)

    with pytest.raises(TranscriptError, match=said) as caught:
        opened(path, dialect="hermes", cases=frozenset({"a", "b"}))

    assert str(caught.value).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", b"no gzip"),
        ("a.jsonl.gz", gzip.compress(b'{"case": "a", "error": "x"}\n' * 99)[:-20]),
        ("a.json.gz", gzip.compress(b'[\n{"case": "a", "error": "x"}\n]' + b" " * 9999)[:-9]),
        ("a.jsonl", b'{"case": "\xff"}'),
    ],
    ids=["no gzip", "cut gzip", "cut list", "no utf-8"],
)
def test_a_file_that_cannot_be_decoded_is_an_error(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(TranscriptError, match=name):
        opened(tmp_path / name, dialect="hermes")


ODD = st.sampled_from([None, 0, 7, -1, 5.0, True, "", "x", [], {"content": "x"}, 2**53, 1e300])
KEYS = "case custom_id output message error response opened repeat turn output_tokens margin usage"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS.split()), ODD))
def test_a_line_read_at_once_is_the_answer_read_key_by_key(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]
):
    file = tmp_path_factory.mktemp("odd") / "answers.jsonl"
    path = written(file, {"case": "a", "output": "x", **row})
    try:
        expected = answer_of(path, next(read_lines(path)))
    except TranscriptError as exc:
        with pytest.raises(TranscriptError, match=re.escape(str(exc))):
            read_transcripts(path)
    else:
        assert [expected] == list(read_transcripts(path).values())


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(TranscriptError, match=r"none\.jsonl cannot be read"):
        opened(tmp_path / "none.jsonl")


def test_messages_are_native_and_raw_output_needs_a_dialect(tmp_path: Path):
    messages = written(
        tmp_path / "m.jsonl", {"case": "a", "message": SAID}, {"case": "b", "error": "x"}
    )
    raw = written(tmp_path / "r.jsonl", {"case": "a", "output": "x"})

    assert "native" == opened(messages).checkpoint.dialect
    assert "hermes" == opened(raw, dialect="hermes").checkpoint.dialect
    with pytest.raises(DialectError, match=r"choose one with --dialect: .*functiongemma, .*hermes"):
        opened(raw)
    with pytest.raises(HarnessError):
        opened(raw, dialect="klingon")


def test_two_files_are_two_checkpoints_and_a_copy_is_the_same(tmp_path: Path):
    one = written(tmp_path / "1.jsonl", {"case": "a", "message": SAID})
    same = written(tmp_path / "2.jsonl", {"case": "a", "message": SAID})
    other = written(tmp_path / "3.jsonl", {"case": "a", "message": {**SAID, "content": "Ho."}})

    assert opened(one).checkpoint.weights == opened(same).checkpoint.weights
    assert opened(one).checkpoint.weights != opened(other).checkpoint.weights


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "a.jsonl.gz"
    lines = (json.dumps({"case": name, "output": name * 40}) + "\n" for name in "abcdefgh")
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return path


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_a_damaged_byte_of_a_gzipped_file_is_an_error_that_names_it_or_changes_nothing(
    packed: Path, place: float, byte: int
):
    whole = packed.read_bytes()
    read = read_transcripts(packed)
    position = int(place * len(whole))
    damaged = packed.with_name("damaged.jsonl.gz")
    damaged.write_bytes(whole[:position] + bytes([byte]) + whole[position + 1 :])
    found: dict[Key, Transcript] | str
    try:
        found = read_transcripts(damaged)
    except HarnessError as error:
        found = str(error)
    assert str(damaged) in found if isinstance(found, str) else read == found
