"""
Runs and baselines on disk: nothing stored is lost by an error or a kill.

A kill is played by leaving the files as it would: a line half written, a folder half swapped.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.canonical import as_written
from harness.errors import RecordError, StoreError, TranscriptError
from harness.files import write_text
from harness.runs.baselines import (
    baseline_history,
    digest_of_run,
    list_baselines,
    save_baseline,
)
from harness.runs.record import RunRecord
from harness.runs.store import (
    RUN,
    SUITE,
    TRANSCRIPTS,
    UNFINISHED,
    StoredRun,
    load_run,
    read_transcripts,
)
from harness.runs.swap import heal
from harness.runs.writer import LOCK, discard_run, start_run
from harness.transcript import Key, Transcript

from ..builders import answer, attempt, calls, case, judge, record, transcript

PLAN = {"checkpoint": "hf:org/name", "generation": {"seed": 0}}
SUITE_DOCUMENT = {"name": "toy", "cases": [1]}
FIRST, SECOND = transcript("one", key="a"), transcript("zwei ü\u2028\x85", key="b")
RIGHT, WRONG = (record(judge(case(calls("A")), answer(attempt(name)))) for name in "AB")


def start(folder: Path, **changes: Any) -> Any:
    given = {"suite": SUITE_DOCUMENT, "plan": PLAN, **changes}
    return start_run(folder, **{**given, "suite": as_written(given["suite"])})


def stored(folder: Path, made: RunRecord = RIGHT) -> StoredRun:
    with start(folder) as writer:
        writer.append([FIRST])
        writer.append([SECOND])
        return writer.finish(made)  # type: ignore[no-any-return]


def killed(folder: Path, left: bytes) -> None:
    """
    Leave a run of which *left* is all that was written of its transcripts.
    """
    with start(folder):
        pass
    (folder / TRANSCRIPTS).write_bytes(left)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def line(made: Transcript) -> bytes:
    return (json.dumps(made.to_json(), ensure_ascii=False) + "\n").encode()


# Runs.


def test_a_run_is_complete_once_run_json_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "run"
    with start(folder) as writer:
        assert frozenset() == writer.done
        assert [LOCK, SUITE, TRANSCRIPTS, UNFINISHED] == names(folder)
        writer.append([FIRST, SECOND])
        finished = writer.finish(RIGHT)

    assert [RUN, SUITE, TRANSCRIPTS] == names(folder)
    assert finished == load_run(folder)
    assert SUITE_DOCUMENT == json.loads(finished.suite_path.read_text("utf-8"))
    assert [FIRST, SECOND] == list(finished.transcripts())


def test_a_group_is_on_disk_before_the_next_is_asked(tmp_path: Path) -> None:
    with start(tmp_path / "run") as writer:
        writer.append([FIRST])

        assert [FIRST] == list(read_transcripts(tmp_path / "run" / TRANSCRIPTS))


@pytest.mark.parametrize("resume", [False, True])
def test_a_complete_run_is_never_written_over(tmp_path: Path, resume: bool) -> None:
    stored(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(StoreError, match="already holds a run"):
        start(tmp_path, resume=resume)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_run_killed_while_tidying_up_is_complete(tmp_path: Path) -> None:
    stored(tmp_path)
    write_text(tmp_path / UNFINISHED, json.dumps(PLAN))

    assert RIGHT.cases[0].id == load_run(tmp_path).record.cases[0].id
    with pytest.raises(StoreError, match="nothing to resume"):
        start(tmp_path, resume=True)


def test_a_folder_with_other_things_in_it_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(StoreError, match="not an empty folder"):
        start(tmp_path)
    with pytest.raises(StoreError, match="not an empty folder"):
        start(tmp_path / "notes.txt")
    assert ["notes.txt"] == names(tmp_path)


LEFTOVER = ".suite.json.k3_x9ab2"
"""As a process killed while it wrote suite.json leaves it."""


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("whole_suite", [False, True])
def test_what_a_run_killed_in_its_first_second_left_is_removed(
    tmp_path: Path, resume: bool, whole_suite: bool
) -> None:
    folder = tmp_path / "run"
    with start(folder):
        pass
    text = (folder / SUITE).read_text()
    for path in folder.iterdir():
        path.unlink()
    (folder / LEFTOVER).write_text(text[:20])
    if whole_suite:
        (folder / SUITE).write_text(text)

    with start(folder, resume=resume) as writer:
        writer.append([FIRST])
        writer.finish(RIGHT)

    assert [RUN, SUITE, TRANSCRIPTS] == names(folder)


def test_what_is_left_of_writing_run_json_is_removed_when_the_run_is_resumed(
    tmp_path: Path,
) -> None:
    killed(tmp_path, line(FIRST))
    (tmp_path / ".run.json.abcdefgh").write_text("{")

    with start(tmp_path, resume=True) as writer:
        assert {FIRST.key} == writer.done
        assert [LOCK, SUITE, TRANSCRIPTS, UNFINISHED] == names(tmp_path)


@pytest.mark.parametrize("name", [".suite.json", ".suite.json.bak", ".notes.k3_x9ab2", SUITE])
def test_what_only_looks_like_our_leftovers_is_in_the_way(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(StoreError, match="not an empty folder"):
        start(tmp_path)
    assert [name] == names(tmp_path)
    assert "mine" == (tmp_path / name).read_text()


def test_an_unfinished_run_is_continued_only_when_asked_to(tmp_path: Path) -> None:
    killed(tmp_path, line(FIRST))

    with pytest.raises(StoreError, match="--resume"):
        start(tmp_path)
    with pytest.raises(StoreError, match="unfinished; continue it with"):
        load_run(tmp_path)
    with start(tmp_path, resume=True) as writer:
        assert {Key("a")} == writer.done


def test_what_broke_is_asked_again_when_a_run_is_resumed(tmp_path: Path) -> None:
    """
    A server's bad minute is not an answer: it is not kept.
    """
    broken = Transcript(key=Key("b"), error="HTTP 503")
    with start(tmp_path / "run") as writer:
        writer.append([FIRST, broken])
    with start(tmp_path / "run", resume=True) as writer:
        assert {Key("a")} == writer.done
        writer.append([SECOND])

    assert [FIRST, SECOND] == list(read_transcripts(tmp_path / "run" / TRANSCRIPTS))


@pytest.mark.parametrize("resume", [False, True])
def test_two_processes_are_not_at_work_on_one_run(tmp_path: Path, resume: bool) -> None:
    with start(tmp_path / "run") as writer:
        writer.append([FIRST])
        with pytest.raises(StoreError, match="another process is writing" if resume else "resume"):
            start(tmp_path / "run", resume=resume)
        writer.append([SECOND])

    # The first one is through, so its answers are all there and the folder is free.
    with start(tmp_path / "run", resume=True) as again:
        assert {FIRST.key, SECOND.key} == again.done


def test_a_run_that_is_being_made_is_not_removed(tmp_path: Path) -> None:
    with start(tmp_path / "run") as writer:
        writer.append([FIRST])
        with pytest.raises(StoreError, match="another process is writing"):
            discard_run(tmp_path / "run")
        assert [FIRST] == list(read_transcripts(tmp_path / "run" / TRANSCRIPTS))

    discard_run(tmp_path / "run")
    assert [] == names(tmp_path / "run")
    discard_run(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_where_a_file_system_knows_no_locks_a_run_is_made_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", unknown)

    assert [FIRST, SECOND] == list(stored(tmp_path / "run").transcripts())


def test_a_run_with_an_answer_twice_is_continued(tmp_path: Path) -> None:
    killed(tmp_path, line(FIRST) + line(SECOND) + line(FIRST))

    with start(tmp_path, resume=True) as writer:
        assert {FIRST.key, SECOND.key} == writer.done
    assert [FIRST, SECOND] == list(read_transcripts(tmp_path / TRANSCRIPTS))


def test_to_resume_what_was_never_begun_begins_it(tmp_path: Path) -> None:
    with start(tmp_path / "run", resume=True) as writer:
        assert frozenset() == writer.done


@pytest.mark.parametrize("cut", range(0, len(line(FIRST) + line(SECOND)) + 1, 6))
def test_a_run_killed_anywhere_goes_on_to_the_same_bytes(tmp_path: Path, cut: int) -> None:
    folder = tmp_path / "killed"
    whole = line(FIRST) + line(SECOND)
    killed(folder, whole[:cut])

    with start(folder, resume=True) as writer:
        rest = [made for made in (FIRST, SECOND) if made.key not in writer.done]
        assert rest == [FIRST, SECOND][whole[:cut].count(b"\n") :]
        writer.append(rest)
        writer.finish(RIGHT)

    assert [FIRST, SECOND] == list(load_run(folder).transcripts())


@pytest.mark.parametrize("before", [b"", line(FIRST)])
def test_a_torn_line_may_be_long(tmp_path: Path, before: bytes) -> None:
    killed(tmp_path, before + b"x" * 200_000)

    with start(tmp_path, resume=True) as writer:
        assert before.count(b"\n") == len(writer.done)
    assert before == (tmp_path / TRANSCRIPTS).read_bytes()


def test_a_run_killed_before_its_first_answer_can_be_resumed(tmp_path: Path) -> None:
    killed(tmp_path, b"")
    (tmp_path / TRANSCRIPTS).unlink()

    with start(tmp_path, resume=True) as writer:
        assert frozenset() == writer.done


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"plan": {**PLAN, "generation": {"seed": 1}}}, "another generation;"),
        ({"plan": {"checkpoint": "hf:org/other"}}, "another checkpoint, generation;"),
        ({"suite": {**SUITE_DOCUMENT, "cases": [1, 2]}}, "another cases;"),
    ],
)
def test_a_run_goes_on_only_with_the_same_plan_and_suite(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    killed(tmp_path, line(FIRST) + b"torn")

    with pytest.raises(StoreError, match=named):
        start(tmp_path, resume=True, **changes)
    assert line(FIRST) + b"torn" == (tmp_path / TRANSCRIPTS).read_bytes()


@pytest.mark.parametrize("text", ["", "[1]"])
def test_a_plan_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    killed(tmp_path, b"")
    (tmp_path / UNFINISHED).write_text(text)

    with pytest.raises(StoreError, match=r"unfinished\.json: cannot be read"):
        start(tmp_path, resume=True)


def test_an_error_while_answering_keeps_what_was_answered(tmp_path: Path) -> None:
    def interrupted() -> None:
        with start(tmp_path) as writer:
            writer.append([FIRST])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    with start(tmp_path, resume=True) as writer:
        assert {FIRST.key} == writer.done


def test_no_run_here_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere: no run\.json here"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("left", [b"{", b"\xff"])
def test_a_run_json_that_cannot_be_read_is_an_error(tmp_path: Path, left: bytes) -> None:
    (tmp_path / RUN).write_bytes(left)

    with pytest.raises((RecordError, StoreError), match=r"run\.json"):
        load_run(tmp_path)


def test_a_run_may_be_named_by_its_run_json(tmp_path: Path) -> None:
    assert stored(tmp_path) == load_run(tmp_path / RUN)


@pytest.mark.parametrize("bad", [b"{\n", b"\xff\n", b"\n", b'{"case": "b"}\n'])
def test_a_bad_line_is_named(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / TRANSCRIPTS
    path.write_bytes(line(FIRST) + bad + line(SECOND))
    lines = read_transcripts(path)

    assert FIRST == next(lines)
    with pytest.raises(TranscriptError, match=r"transcripts\.jsonl:2: "):
        next(lines)


def test_transcripts_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        next(read_transcripts(tmp_path / TRANSCRIPTS))


def test_half_a_surrogate_pair_can_be_stored(tmp_path: Path) -> None:
    strange = transcript("\ud83d", key="a")
    with start(tmp_path) as writer:
        writer.append([strange])

    assert [strange] == list(read_transcripts(tmp_path / TRANSCRIPTS))


@pytest.mark.parametrize("text", ["plain", 'a "quoted" \\word', "\x1b[0m", "\ud83d", "\u2028"])
def test_answers_have_the_key_of_their_line(tmp_path: Path, text: str) -> None:
    odd = Key('c "1" \\', 2, 1, 3)
    made = [FIRST, transcript(text, key=odd), transcript("three", key=Key("d", turn=1)), SECOND]
    with start(tmp_path) as writer:
        writer.append(made)
        run = writer.finish(RIGHT)

    found = load_run(run.folder).answers()

    assert {each.key: each for each in made} == {key: found[key] for key in found}


# Files.


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "file.json"
    write_text(path, "old\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new\n")

    assert "old\n" == path.read_text()
    assert ["file.json"] == names(path.parent)


def test_a_file_is_there_whole_from_the_moment_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(self.read_text())
        assert not Path(target).exists()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_text(tmp_path / "file.json", "whole\n")

    assert ["whole\n"] == seen
    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    assert usual == (tmp_path / "file.json").stat().st_mode


def test_a_run_whose_record_could_not_be_written_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(tmp_path) as writer:
        writer.append([FIRST])
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", _gone)
            with pytest.raises(OSError, match="gone"):
                writer.finish(RIGHT)

    assert [SUITE, TRANSCRIPTS, UNFINISHED] == names(tmp_path)
    with start(tmp_path, resume=True) as again:
        assert {FIRST.key} == again.done


def _gone(*_: object) -> None:
    raise OSError("gone")


# Baselines.


def save(run: StoredRun, baselines: Path, **changes: Any) -> StoredRun:
    folder = baselines / run.record.suite.name / str(changes.get("name", "main"))
    heal(folder)
    return save_baseline(
        run,
        baselines,
        **{
            "name": "main",
            "saved": "2026-03-04T10:00:00+00:00",
            "reason": None,
            "instead_of": digest_of_run(folder),
            **changes,
        },
    )


@pytest.fixture
def runs(tmp_path: Path) -> tuple[StoredRun, StoredRun]:
    """
    Two runs of one suite, the first better.
    """
    return stored(tmp_path / "good"), stored(tmp_path / "bad", WRONG)


def test_a_baseline_is_a_copy_at_a_stable_path(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    run, _ = runs
    saved = save(run, tmp_path / "baselines")

    assert tmp_path / "baselines" / "toy" / "main" == saved.folder
    assert run.record.cases[0].status == saved.record.cases[0].status
    for part in (RUN, TRANSCRIPTS, SUITE):
        assert (run.folder / part).read_bytes() == (saved.folder / part).read_bytes()
    assert ["main"] == names(saved.folder.parent)
    assert [saved] == list_baselines(tmp_path / "baselines")


def test_a_baseline_remembers_every_run_it_ever_was(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    good, bad = runs
    save(good, tmp_path / "baselines", reason="line\u2028break\x85 and \n")
    saved = save(bad, tmp_path / "baselines", saved="2026-03-05T10:00:00+00:00")
    first, second = baseline_history(saved.folder)

    assert ("incorrect", 0.0) == (saved.record.cases[0].status, second["metrics"]["accuracy"])
    assert ("line\u2028break\x85 and \n", "good", 1.0) == (
        first["reason"],
        first["from"],
        first["metrics"]["accuracy"],
    )
    assert ["2026-03-04T10:00:00+00:00", "2026-03-05T10:00:00+00:00"] == [
        first["saved"],
        second["saved"],
    ]
    assert first["run"] != second["run"]


@pytest.mark.parametrize("entry", ["{", '{"metrics": NaN}', '{"metrics": {"accuracy": 1e999}}'])
def test_a_history_line_that_cannot_be_read_is_named(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun], entry: str
) -> None:
    saved = save(runs[0], tmp_path / "baselines")
    with (saved.folder / "history.jsonl").open("a") as stream:
        stream.write(f"{entry}\n")

    with pytest.raises(StoreError, match=r"history\.jsonl:2: "):
        baseline_history(saved.folder)


def test_a_run_that_changes_while_it_is_saved_is_no_baseline(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    saved = save(load_run(runs[1].folder), tmp_path / "baselines")
    before = (saved.folder / RUN).read_bytes()
    read = load_run(runs[0].folder)
    path = read.folder / RUN
    path.write_bytes(path.read_bytes().replace(b'"correct"', b'"Correct"', 1))

    with pytest.raises(StoreError, match=r"run\.json was changed while it was saved"):
        save(read, tmp_path / "baselines")

    assert before == (saved.folder / RUN).read_bytes()
    assert 1 == len(baseline_history(saved.folder))


def test_a_baseline_may_be_saved_again_from_itself(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    saved = save(runs[0], tmp_path / "baselines")
    again = save(saved, tmp_path / "baselines")

    assert saved == again
    assert 2 == len(baseline_history(again.folder))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", ".main.before"])
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun], name: str
) -> None:
    with pytest.raises(StoreError, match="cannot be a folder's name"):
        save(runs[0], tmp_path / "baselines", name=name)
    elsewhere = StoredRun(
        folder=runs[0].folder,
        record=record(suite=type(RIGHT.suite)(name=name, version="1", digest="sha256:")),
    )
    with pytest.raises(StoreError, match="cannot be a folder's name"):
        save(elsewhere, tmp_path / "baselines")


def test_a_run_that_cannot_be_copied_leaves_the_baseline_as_it_was(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    good, bad = runs
    saved = save(good, tmp_path / "baselines")
    (bad.folder / TRANSCRIPTS).unlink()

    with pytest.raises(StoreError, match=r"transcripts\.jsonl: cannot be read"):
        save(bad, tmp_path / "baselines")
    assert saved == load_run(saved.folder)
    assert ["main"] == names(saved.folder.parent)


@pytest.mark.parametrize(
    ("part", "left", "said"),
    [
        (TRANSCRIPTS, line(FIRST) + b'{"case": "b", "out', r"transcripts\.jsonl was changed"),
        (SUITE, b"{", r"suite\.json was changed"),
        (RUN, b"{}", r"run\.json was changed"),
    ],
)
def test_a_run_whose_evidence_cannot_be_read_replaces_no_baseline(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun], part: str, left: bytes, said: str
) -> None:
    good, bad = runs
    saved = save(good, tmp_path / "baselines")
    (bad.folder / part).write_bytes(left)

    with pytest.raises((StoreError, TranscriptError), match=said):
        save(bad, tmp_path / "baselines")
    assert saved == load_run(saved.folder)
    assert 2 == len(list(saved.transcripts()))


def test_a_history_without_a_last_line_break_is_continued(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    saved = save(runs[0], tmp_path / "baselines")
    history = saved.folder / "history.jsonl"
    history.write_text(history.read_text().rstrip())

    save(runs[1], tmp_path / "baselines")

    assert ["good", "bad"] == [entry["from"] for entry in baseline_history(saved.folder)]


def test_to_a_history_that_cannot_be_read_nothing_is_added(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    saved = save(runs[0], tmp_path / "baselines")
    (saved.folder / "history.jsonl").write_text("{\n")

    with pytest.raises(StoreError, match=r"history\.jsonl:1: "):
        save(runs[1], tmp_path / "baselines")
    assert saved == load_run(saved.folder)
    assert "{\n" == (saved.folder / "history.jsonl").read_text()


def test_what_others_laid_beside_a_baseline_stays(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    saved = save(runs[0], tmp_path / "baselines")
    (saved.folder / "NOTES.md").write_text("why\n")
    (saved.folder / "plots").mkdir()
    (saved.folder / "plots" / "loss.txt").write_text("1\n")

    save(runs[1], tmp_path / "baselines")

    assert "why\n" == (saved.folder / "NOTES.md").read_text()
    assert "1\n" == (saved.folder / "plots" / "loss.txt").read_text()


def test_a_baseline_behind_a_link_can_be_saved_again_and_again(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    saved = save(runs[0], tmp_path / "baselines")
    kept = saved.folder.rename(tmp_path / "kept")
    saved.folder.symlink_to(kept)

    for run in (*runs, runs[0]):
        save(run, tmp_path / "baselines")

    assert 4 == len(baseline_history(saved.folder))
    assert ["history", "main"] == names(saved.folder.parent)
    kept_runs = [load_run(path) for path in (saved.folder.parent / "history").iterdir()]
    assert [0.0, 1.0] == sorted(run.record.metrics["accuracy"].value or 0.0 for run in kept_runs)


def test_the_current_folder_is_a_run_like_any_other(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs[0].folder)

    assert runs[0].record == load_run(Path()).record


@pytest.mark.parametrize("step", ["load", "list", "save"])
def test_a_swap_killed_between_its_renames_is_healed(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun], step: str
) -> None:
    good, bad = runs
    saved = save(good, tmp_path / "baselines")
    before = saved.folder.with_name(".main.before")
    saved.folder.rename(before)

    if step == "load":
        assert saved == load_run(saved.folder)
    elif step == "list":
        assert [saved] == list_baselines(tmp_path / "baselines")
    else:
        assert 2 == len(baseline_history(save(bad, tmp_path / "baselines").folder))
    assert ["main"] == [name for name in names(saved.folder.parent) if name != "history"]


def test_a_swap_killed_before_it_was_tidied_up_hides_and_blocks_nothing(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun]
) -> None:
    good, bad = runs
    old = save(good, tmp_path / "baselines")
    left = old.folder.with_name(".main.before")
    old.folder.rename(left)
    (old.folder).mkdir()
    for part in left.iterdir():
        (old.folder / part.name).write_bytes(part.read_bytes())

    assert [old] == list_baselines(tmp_path / "baselines")
    saved = save(bad, tmp_path / "baselines")
    assert "incorrect" == saved.record.cases[0].status
    assert 2 == len(baseline_history(saved.folder))
    assert ["history", "main"] == names(saved.folder.parent)
    assert 1 == len(names(saved.folder.parent / "history"))


def test_an_interrupted_swap_loses_nothing(
    tmp_path: Path, runs: tuple[StoredRun, StoredRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = runs
    saved = save(good, tmp_path / "baselines")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "baseline":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(bad, tmp_path / "baselines")

    assert saved == load_run(saved.folder)


def test_no_baselines_is_an_empty_list(tmp_path: Path) -> None:
    assert [] == list_baselines(tmp_path / "baselines")
