"""
Parts of a run, merged: the single run, or one line that says why not.
"""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import harness
from harness.cli.main import main
from harness.errors import StoreError, UsageError
from harness.runs.store import load_run
from harness.workflow.merge import merge
from tests import agents, spread
from tests.spread import run, timeless


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    spread.write(tmp_path, 60)
    return tmp_path


def parts(of: int, *more: str, checkpoint: str = "answer", name: str = "part") -> list[Path]:
    return [
        run(f"{name}{part}", "--shard", f"{part}/{of}", *more, checkpoint=checkpoint)
        for part in range(1, of + 1)
    ]


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_merged_parts_are_the_single_run_but_for_times(project: Path, of: int):
    whole = run("whole", "--repeats", "2")
    made = parts(of, "--repeats", "2")

    merged = merge(made[::-1], out=Path("merged"))

    assert {"run.json", "suite.json", "transcripts.jsonl"} == timeless(whole).keys()
    assert timeless(whole) == timeless(merged.folder)
    assert load_run(whole).record.metrics == merged.record.metrics
    assert harness.merge is merge


def test_a_part_that_was_interrupted_is_resumed_and_nothing_is_doubled(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    whole = run("whole", checkpoint="interrupted_never")
    command = ["run", "ask", "--checkpoint", "python:tests.spread:interrupted"]
    codes, folders = [], []
    for part in (1, 2, 3):
        out = Path(f"part{part}")
        folders.append(out)
        codes.append(main([*command, "--shard", f"{part}/3", "--out", str(out)]))
    assert [0, 0, 130] == sorted(codes)
    broken = folders[codes.index(130)]
    assert "--resume" in capsys.readouterr().err
    with pytest.raises(StoreError, match="unfinished"):
        merge(folders)
    number = codes.index(130) + 1

    assert 2 == main([*command, "--shard", f"{number % 3 + 1}/3", "--out", str(broken), "--resume"])
    assert "another cases" in capsys.readouterr().err
    assert 0 == main([*command, "--shard", f"{number}/3", "--out", str(broken), "--resume"])
    merged = merge(folders, out=Path("merged"))

    expected = timeless(whole)
    expected["run.json"] = expected["run.json"].replace(b"interrupted_never", b"interrupted")
    assert expected == timeless(merged.folder)


def test_executed_parts_merge_to_the_executed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    agents.write_suite(tmp_path)
    command = ["run", "kb", "--checkpoint", "python:tests.agents:right", "--quiet", "--out"]
    assert 0 == main([*command, "whole"])
    of = 2
    for part in (1, 2):
        assert 0 == main([*command, f"part{part}", "--shard", f"{part}/{of}"])

    merged = merge([Path("part1"), Path("part2")], out=Path("merged"))

    assert timeless(Path("whole")) == timeless(merged.folder)
    assert any(case.executed.steps for case in merged.record.cases if case.executed)


def test_stored_answers_are_replayed_in_parts_and_their_times_are_left_out(project: Path):
    whole = run("whole")
    rows = map(json.loads, (whole / "transcripts.jsonl").read_text().splitlines())
    timed = [{**row, "latency_ms": 5.0, "ttft_ms": 1.0} for row in rows if "error" not in row]
    Path("answers.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in timed).encode())
    )
    command = ["run", "ask", "--checkpoint", "replay:answers.jsonl.gz", "--quiet", "--out"]
    assert 0 == main([*command, "replayed"])
    for part in (1, 2):
        assert 0 == main([*command, f"part{part}", "--shard", f"{part}/2"])

    merged = merge([Path("part1"), Path("part2")], out=Path("merged"))

    single = load_run(Path("replayed")).record
    assert [5.0] == list({turn.latency_ms for turn in single.cases[0].turns})
    assert single.metrics["latency_ms_p50"].eligible > 0
    assert 0 == merged.record.metrics["latency_ms_p50"].eligible
    assert "latency_ms" not in (merged.folder / "transcripts.jsonl").read_text()
    untimed = {
        name: value
        for name, value in single.metrics.items()
        if not name.startswith(("lat", "ttft"))
    }
    assert untimed == {name: merged.record.metrics[name] for name in untimed}


def test_a_partial_merge_is_a_part_that_no_gate_passes_and_can_be_merged_again(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    whole = run("whole")
    assert 0 == main(["baseline", "save", "whole", "--name", "shipped"])
    one, two, three = parts(3)

    some = merge([three, one], partial=True, out=Path("some"))
    capsys.readouterr()
    main(["gate", "some", "--baseline", "shipped", "--json", "-"])
    assert "inconclusive" == json.loads(capsys.readouterr().out)["verdict"]

    assert not some.record.selection.complete
    assert some.record.selection.shard is not None
    assert (1, 3) == some.record.selection.shard.parts
    merged = merge([two, some.folder], out=Path("merged"))
    assert timeless(whole) == timeless(merged.folder)


def another_suite(project: Path) -> list[Path]:
    one = run("part1", "--shard", "1/2")
    spread.write(project, 61)
    return [one, run("part2", "--shard", "2/2")]


def edited_copy(project: Path) -> list[Path]:
    made = parts(2)
    path = made[1] / "suite.json"
    path.write_text(path.read_text().replace("Ask about 7.", "Ask about 8."))
    return made


def edited_answer(project: Path) -> list[Path]:
    made = parts(2)
    path = made[1] / "transcripts.jsonl"
    path.write_text(path.read_text().replace('"content":"', '"content":"x', 1))
    return made


def edited_record(project: Path) -> list[Path]:
    made = parts(2)
    path = made[1] / "run.json"
    path.write_text(path.read_text().replace('"parts":[2]', '"parts":[1]'))
    return made


def missing(project: Path) -> list[Path]:
    made = parts(3)
    return [made[0], made[2]]


def doubled(project: Path) -> list[Path]:
    made = parts(2)
    shutil.copytree(made[1], "again")
    return [*made, Path("again")]


def same_part_made_twice(project: Path) -> list[Path]:
    made = parts(2)
    return [*made, run("again", "--shard", "2/2", checkpoint="answer")]


def another_division(project: Path) -> list[Path]:
    return [run("part1", "--shard", "1/2"), run("part2", "--shard", "2/3")]


def another_checkpoint(project: Path) -> list[Path]:
    return [
        run("part1", "--shard", "1/2"),
        run("part2", "--shard", "2/2", checkpoint="interrupted_never"),
    ]


def another_generation(project: Path) -> list[Path]:
    return [
        run("part1", "--shard", "1/2"),
        run("part2", "--shard", "2/2", "--max-new-tokens", "3"),
    ]


def another_number_of_repeats(project: Path) -> list[Path]:
    return [run("part1", "--shard", "1/2"), run("part2", "--shard", "2/2", "--repeats", "2")]


def another_choice(project: Path) -> list[Path]:
    return [run("part1", "--shard", "1/2"), run("part2", "--shard", "2/2", "--limit", "50")]


def another_backend(project: Path) -> list[Path]:
    return [
        run("part1", "--shard", "1/2"),
        run("part2", "--shard", "2/2", "--tool-names", "dots-to-underscores"),
    ]


def a_whole_run(project: Path) -> list[Path]:
    return [run("part1", "--shard", "1/2"), run("part2")]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (another_suite, r"part2 was made with another suite \(digest\)"),
        (edited_copy, r"suite.json was changed after the run was judged"),
        (edited_answer, r"transcripts.jsonl was changed after the run was judged"),
        (edited_record, r"part2/run.json was changed"),
        (missing, r"part 2/3 missing"),
        (doubled, r"part 2/2 is given twice, in part2 and in again"),
        (same_part_made_twice, r"part 2/2 is given twice"),
        (another_division, r"another selection \(parts\)"),
        (another_checkpoint, r"another checkpoint \(reference\)"),
        (another_generation, r"another generation \(max_new_tokens\)"),
        (another_number_of_repeats, r"another number of repeats than part1"),
        (another_choice, r"another selection \(limit\)"),
        (another_backend, r"another backend \(tool_names\)"),
        (a_whole_run, r"part2 is a whole run"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_does_not_belong_together_is_refused_in_one_line(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[Path], list[Path]],
    said: str,
):
    made = broken(project)
    with pytest.raises(StoreError, match=said):
        merge(made, out=Path("merged"))
    capsys.readouterr()

    assert 2 == main(["merge", *map(str, made), "--out", "merged"])
    assert 1 == capsys.readouterr().err.count("\n")
    assert not Path("merged").exists()


def test_nothing_is_replaced_by_a_merge(project: Path, capsys: pytest.CaptureFixture[str]):
    parts(2)
    assert 0 == main(["merge", "part1", "part2", "--out", "merged", "--quiet"])
    before = timeless(Path("merged"))
    capsys.readouterr()

    assert 2 == main(["merge", "part1", "part2", "--out", "merged"])
    assert "no run is replaced" in capsys.readouterr().err
    assert before == timeless(Path("merged"))
    with pytest.raises(UsageError, match="no part"):
        merge([])


def test_a_part_says_that_it_is_one(project: Path, capsys: pytest.CaptureFixture[str]):
    command = ["run", "ask", "--checkpoint", "python:tests.spread:answer", "--out", "part"]
    assert 0 == main([*command, "--shard", "2/3", "--verbose"])
    assert "part 2 of 3" in capsys.readouterr().out
