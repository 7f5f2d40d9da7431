"""
``harness score``: stored answers judged again, or refused by file and line.
"""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.runs import judging

from ..builders import question, write_suite
from .conftest import COUNT, answers, run


def test_score_judges_stored_text_again_without_changing_it(project: Path):
    run(project, "old", answers(wrong=10))
    before = {path.name: path.read_bytes() for path in (project / "old").iterdir()}
    assert main(["score", "old", "--suite", "ask", "--out", "again", "--quiet"]) == 0

    assert before == {path.name: path.read_bytes() for path in (project / "old").iterdir()}
    old, again = (
        json.loads((project / name / "run.json").read_text("utf-8")) for name in ("old", "again")
    )
    assert old == again


def test_answers_that_are_there_are_counted_as_ones_to_judge(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())

    assert 0 == main(["score", "old.jsonl", "--suite", "ask", "--out", "again"])

    assert f"ask: {COUNT} answers to judge\n" in capsys.readouterr().err


def test_score_takes_a_transcript_file(project: Path):
    run(project, "old", answers(wrong=10))
    source = "old/transcripts.jsonl"
    assert main(["score", source, "--suite", "ask", "--out", "again", "--quiet"]) == 0

    old, again = (
        json.loads((project / name / "run.json").read_text("utf-8")) for name in ("old", "again")
    )
    assert old["cases"] == again["cases"]
    assert old["metrics"] == again["metrics"]


def test_score_refuses_answers_to_another_question(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    cases = project / "suites" / "ask" / "cases.jsonl"
    cases.write_text(cases.read_text().replace("about matter 7.", "about another matter."))

    assert main(["score", "old", "--suite", "ask", "--quiet"]) == 2
    assert "'c7' now asks something else" in capsys.readouterr().err


def test_score_refuses_answers_to_a_question_with_other_declarations(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    suite = project / "suites" / "ask" / "suite.yaml"
    suite.write_text(json.dumps({**json.loads(suite.read_text()), "declare_tools": False}))

    assert 2 == main(["score", "old", "--suite", "ask", "--quiet"])
    assert "'c0' now asks something else" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["old", "old.jsonl"])
@pytest.mark.parametrize(
    "step", ["harness.scoring.score.score_case", "harness.runs.writer.RunWriter.finish"]
)
def test_an_interrupted_score_leaves_nothing_and_can_be_repeated(
    project: Path, monkeypatch: pytest.MonkeyPatch, source: str, step: str
):
    run(project, "old", answers())

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (project / "empty").mkdir()
    for out in ("again", "empty"):
        command = ["score", source, "--suite", "ask", "--out", out, "--quiet"]
        with monkeypatch.context() as patched:
            patched.setattr(step, interrupted)
            assert 130 == main(command)

        assert (out == "empty") == (project / out).exists()
        assert [] == list(project.glob(f"{out}/*"))
        assert 0 == main(command)


def test_a_refused_score_removes_nothing(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    log = project / "log" / "transcripts.jsonl"
    log.parent.mkdir()
    log.write_bytes((project / "old.jsonl").read_bytes())

    for source in ("old", str(log)):
        assert 2 == main(["score", source, "--suite", "ask", "--out", "log"])
        assert "log is not an empty folder" in capsys.readouterr().err
    assert (project / "old.jsonl").read_bytes() == log.read_bytes()


def test_a_score_into_an_unfinished_run_names_what_continues_it(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    (project / "begun").mkdir()
    (project / "begun" / "unfinished.json").write_text("{}")

    assert 2 == main(["score", "old", "--out", "begun"])
    assert (
        "begun holds an unfinished run; `harness run --resume` continues it, or choose another "
        "--out"
    ) in capsys.readouterr().err
    assert ["unfinished.json"] == [path.name for path in (project / "begun").iterdir()]


def test_a_number_beyond_all_others_is_refused_by_file_and_line(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    Python reads 1e999 as an infinity, which no record can hold.
    """
    run(project, "old", answers())
    stored = project / "old" / "transcripts.jsonl"
    lines = stored.read_text("utf-8").splitlines()
    lines[4] = '{"case": "c4", "message": {"content": "x", "score": 1e999}}'
    for file in (stored, project / "huge.jsonl"):
        file.write_text("\n".join(lines) + "\n", "utf-8")

    for arguments, place in (
        (["score", "old", "--suite", "ask"], "transcripts.jsonl:5: 1e999 is too large"),
        (["score", "huge.jsonl", "--suite", "ask"], "huge.jsonl:5: 1e999 is too large"),
    ):
        assert main(arguments) == 2
        assert place in capsys.readouterr().err


def test_score_takes_all_repeats_of_a_file(project: Path):
    rows = [{**row, "repeat": repeat} for row in answers() for repeat in range(3)]
    (project / "three.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["score", "three.jsonl", "--suite", "ask", "--out", "again", "--quiet"]) == 0

    cases = json.loads((project / "again" / "run.json").read_text("utf-8"))["cases"]
    assert 3 * COUNT == len(cases)


def test_two_processes_store_the_run_of_one(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judging, "FEWEST", 2)
    cases = [
        question(f"c{number}", q=f"{number}", prompt=f"Matter {number}.", group=f"g{number // 5}")
        for number in range(COUNT)
    ]
    write_suite(project, cases)
    rows = [{**row, "repeat": repeat} for repeat in (0, 1) for row in answers(5, 7, errors=3)]
    (project / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-4]))
    for workers in ("1", "2"):
        command = ["score", "two.jsonl", "--suite", "ask", "--out", workers, "--quiet"]
        assert 0 == main([*command, "--workers", workers])

    alone, together = (stored(project / name) for name in ("1", "2"))
    assert alone == together
    record = json.loads(alone["run.json"])
    assert {"correct", "incorrect", "error"} == {case["status"] for case in record["cases"]}
    assert {"g0", "g23"} < {case["group"] for case in record["cases"]}


def stored(folder: Path) -> dict[str, str]:
    """
    The files of a run but for when it was made.
    """
    files = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    when = r'("(?:started|finished)":)"[^"]*"'
    return {name: re.sub(when, r'\1""', text) for name, text in files.items()}


@pytest.mark.parametrize("name", ["gap.jsonl", "gap.jsonl.gz"])
def test_repeats_with_a_gap_are_refused_by_file_and_line(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
):
    """
    One mistyped repeat must not be judged as two billion answers that are missing.
    """
    rows = answers()
    rows[4]["repeat"] = 2_000_000_000
    text = "\n".join(json.dumps(row) for row in rows).replace("\n", "\n\n", 1)
    (project / name).write_bytes(gzip.compress(text.encode()) if "gz" in name else text.encode())

    assert main(["score", name, "--suite", "ask", "--out", "again", "--quiet"]) == 2

    error = capsys.readouterr().err
    assert f"{name}:6: case 'c4' has repeat 2000000000, but no answer has repeat 1" in error
    assert not (project / "again").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repeat": 2_000_000_000}, ":5: case 'c4' has repeat 2000000000, but no"),
        ({"case": "c1"}, ':5: {"case":"c1","repeat":0,"turn":0} already has an answer on line 2'),
    ],
    ids=["gap", "twice"],
)
def test_damaged_evidence_of_a_run_is_named_in_words(
    project: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
):
    run(project, "old", answers())
    stored = project / "old" / "transcripts.jsonl"
    rows = [json.loads(line) for line in stored.read_text("utf-8").splitlines()]
    rows[4] |= change
    stored.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    capsys.readouterr()

    assert main(["score", "old", "--suite", "ask"]) == 2

    assert f"transcripts.jsonl{said}" in capsys.readouterr().err


def test_a_run_is_judged_by_its_own_suite_where_none_is_named(project: Path):
    run(project, "old", answers(wrong=10))
    cases = project / "suites" / "ask" / "cases.jsonl"
    cases.write_text("".join(cases.read_text("utf-8").splitlines(keepends=True)[:3]), "utf-8")
    assert main(["score", "old", "--out", "again", "--quiet"]) == 0

    old, again = (
        json.loads((project / name / "run.json").read_text("utf-8")) for name in ("old", "again")
    )
    assert old == again


def test_a_copy_of_a_released_suite_that_was_edited_is_not_released(project: Path):
    assert 0 == main(["suite", "release", "ask"])
    run(project, "old", answers(wrong=10))
    assert 0 == main(["score", "old", "--out", "again", "--quiet"])
    copy = project / "again" / "suite.json"
    suite = json.loads(copy.read_text("utf-8"))
    suite["cases"][0]["quarantine"] = {"reason": "flaky", "until": "2100-01-01"}
    copy.write_text(json.dumps(suite), "utf-8")
    assert 0 == main(["score", "again", "--out", "edited", "--quiet"])

    released = [
        json.loads((project / name / "run.json").read_text("utf-8"))["suite"]["released"]
        for name in ("old", "again", "edited")
    ]
    assert [True, True, False] == released


def test_a_transcript_file_needs_a_suite(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())

    assert main(["score", "old.jsonl"]) == 2

    assert "old.jsonl does not say of which suite it is; add --suite SUITE" in (
        capsys.readouterr().err
    )


def test_raw_responses_are_judged_as_their_messages(project: Path):
    rows = [
        {
            "custom_id": row["case"],
            "response": {
                "status_code": 200,
                "body": {
                    "choices": [{"message": row["message"], "finish_reason": "tool_calls"}],
                    "usage": {"completion_tokens": 7},
                },
            },
        }
        for row in answers(wrong=10)
    ]
    (project / "batch.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["score", "batch.jsonl", "--suite", "ask", "--out", "again", "--quiet"]) == 0

    record = json.loads((project / "again" / "run.json").read_text("utf-8"))
    assert COUNT - 10 == record["metrics"]["accuracy"]["hits"]
    assert {7} == {case["turns"][0]["output_tokens"] for case in record["cases"]}


def by_prompt(project: Path, rows: list[dict[str, Any]]) -> None:
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"Ask inside about matter {row['case'][1:]}."}
            ],
            "response": {"choices": [{"message": row["message"]}]},
        }
        for row in rows
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (project / "log.jsonl").write_text(text, "utf-8")


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_log_is_joined_by_prompt_and_the_rest_is_listed(
    project: Path, capsys: pytest.CaptureFixture[str], quiet: list[str]
):
    """
    Also with --quiet: what was left out is a result.
    """
    by_prompt(project, [*answers(wrong=10)[:-1], {"case": "c777", "message": {"content": "x"}}])
    command = ["score", "log.jsonl", "--suite", "ask", "--match", "prompt", "--out", "again"]
    assert main([*command, *quiet]) == 0

    said = capsys.readouterr().err
    assert "log.jsonl:120: no case asks 'Ask inside about matter 777.'" in said
    assert f"1 case of {COUNT} without an answer, counted as errors: c119" in said
    record = json.loads((project / "again" / "run.json").read_text("utf-8"))
    assert (COUNT - 11, COUNT - 1) == tuple(
        record["metrics"]["accuracy"][name] for name in ("hits", "eligible")
    )


def test_a_run_is_not_joined_by_prompt(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())

    assert main(["score", "old", "--match", "prompt"]) == 2

    assert "is a run, whose answers name their cases; drop --match" in capsys.readouterr().err


def test_a_case_of_which_an_answer_is_missing_says_so_first(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    case = {
        "id": "two",
        "prompt": "Ask.",
        "turns": [
            {
                "expect": {"calls": [{"tool": "inside", "arguments": {"q": "x"}}]},
                "then": [
                    {"role": "assistant", "content": "Yes?"},
                    {"role": "user", "content": "?"},
                ],
            },
            {"expect": {"abstain": True}},
        ],
    }
    write_suite(project, [case])
    Path("half.jsonl").write_text('{"case": "two", "output": "hi"}\n')

    main(["score", "half.jsonl", "--suite", "ask", "--dialect", "hermes"])

    said = capsys.readouterr().out
    assert re.search(r"two +error: no line for case 'two', turn 2 in replay:half.jsonl", said), said
