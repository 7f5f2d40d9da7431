"""
A baseline is never made worse, or lost, in silence.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.main import main
from harness.errors import StoreError
from harness.runs import baselines as store
from harness.runs.baselines import baseline_history, list_baselines, replaced_runs
from harness.runs.store import RUN, TRANSCRIPTS, StoredRun, load_run
from harness.runs.swap import heal

COUNT = 60


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite whose cases all expect no call.
    """
    monkeypatch.chdir(tmp_path)
    tool = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    cases = [
        {"id": f"c{n}", "prompt": f"Say {n}.", "expect": {"abstain": True}, "tags": [f"t{n % 2}"]}
        for n in range(COUNT)
    ]
    suite = {"format": 1, "name": "say", "version": "1.0.0", "tools": [tool], "cases": cases}
    folder = tmp_path / "suites" / "say"
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(json.dumps(suite))
    return tmp_path


def made(name: str, *, wrong: int = 0, errors: int = 0, **options: Any) -> StoredRun:
    """
    A run of which the first *wrong* cases are called for nothing, and the last *errors* broke.
    """
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    rows: list[dict[str, Any]] = [
        {
            "case": f"c{n}",
            "message": {"role": "assistant", "tool_calls": [call]}
            if n < wrong
            else {"role": "assistant", "content": f"{n}."},
        }
        for n in range(COUNT)
    ]
    for row in rows[COUNT - errors :]:
        row["error"] = "HTTP 503"
        del row["message"]
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = harness.RunOptions(**options)
    return harness.run("say", f"replay:{name}.jsonl", out=Path(name), options=chosen)


def save(run: str, *more: str) -> int:
    return main(["baseline", "save", run, "--name", "shipped", *more])


def put(run: StoredRun, baselines: Path, saved: str) -> StoredRun:
    """
    Save a run without the question whether it should be.
    """
    folder = baselines / "say" / "shipped"
    heal(folder)
    there = store.digest_of_run(folder)
    return store.save_baseline(
        run, baselines, "shipped", saved=saved, reason=None, instead_of=there
    )


def shipped() -> StoredRun:
    return load_run(Path("baselines/say/shipped"))


def kept() -> list[Path]:
    return replaced_runs(Path("baselines")).get(("say", "shipped"), [])


def wrong(run: StoredRun) -> int:
    return sum(case.status != "correct" for case in run.record.cases)


# Replacing


def test_a_worse_run_replaces_a_baseline_only_when_told_to_and_why(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    made("good", wrong=6)
    made("bad", wrong=20)
    assert 0 == save("good", "--reason", "the first")
    fell = (
        "shipped would be replaced: regressed: accuracy fell from 90.0% to 66.7% on 60 common cases"
    )
    capsys.readouterr()

    assert 2 == save("bad")
    said = capsys.readouterr().err
    assert said.startswith(f"harness: {fell}")
    assert said.endswith("; add --replace and --reason TEXT\n")
    assert 2 == save("bad", "--replace")
    said = capsys.readouterr().err
    assert said.startswith(f"harness: {fell}")
    assert said.endswith("; say why with --reason TEXT\n")
    assert 6 == wrong(shipped())

    assert 0 == save("bad", "--replace", "--reason", "the other one was a mistake")
    assert "shipped is replaced: regressed: accuracy fell" in capsys.readouterr().err
    assert 20 == wrong(shipped())
    (before,) = kept()
    assert 6 == wrong(load_run(before))
    assert ["the first", "the other one was a mistake"] == [
        entry["reason"] for entry in baseline_history(shipped().folder)
    ]


def test_a_better_run_replaces_a_baseline_with_replace_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    made("bad", wrong=20)
    made("good", wrong=6)
    assert 0 == save("bad")
    capsys.readouterr()

    assert 2 == save("good")
    said = capsys.readouterr().err
    assert said.startswith("harness: shipped would be replaced: ")
    assert "accuracy rose from 66.7% to 90.0%" in said
    assert said.endswith("; add --replace\n")
    assert 20 == wrong(shipped())
    assert 0 == save("good", "--replace")
    assert 6 == wrong(shipped())


def test_a_run_that_cannot_be_compared_replaces_a_baseline_only_with_a_reason(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    A gate that compares nothing does not show that the run is as good.
    """
    made("good")
    made("other", wrong=45, max_new_tokens=64)
    assert 0 == save("good")
    capsys.readouterr()

    assert 2 == save("other", "--replace")
    said = capsys.readouterr().err
    assert "would be replaced: not comparable: generation.max_new_tokens" in said
    assert said.endswith("say why with --reason TEXT\n")
    assert 2 == save("other", "--replace", "--reason", "  ")
    assert 0 == save("other", "--replace", "--reason", "shorter answers from now on")


def test_a_baseline_accepted_at_the_same_moment_is_not_replaced_unseen(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    good, bad = made("good"), made("bad", wrong=45)
    locked = store.save_baseline

    def another_first(run: StoredRun, *arguments: Any, **options: Any) -> StoredRun:
        monkeypatch.setattr(store, "save_baseline", locked)
        harness.save_baseline(good, Path("baselines"), "shipped")
        return locked(run, *arguments, **options)

    monkeypatch.setattr(store, "save_baseline", another_first)
    with pytest.raises(StoreError, match="another run was accepted at the same moment"):
        harness.save_baseline(bad, Path("baselines"), "shipped")

    assert good.record == shipped().record


def test_an_edited_baseline_has_no_figure_in_the_list(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    made("good")
    assert 0 == save("good")
    path = Path("baselines/say/shipped/run.json")
    path.write_text(path.read_text().replace('"value":1.0', '"value":0.99'))
    capsys.readouterr()

    assert 0 == main(["baseline", "list", "--json", "-"])

    said = capsys.readouterr()
    assert [None] == [each["accuracy"] for each in json.loads(said.out)]
    assert "note: baselines/say/shipped/run.json" in said.err


def test_the_same_run_replaces_nothing(project: Path):
    made("good")
    assert 0 == save("good")
    assert 0 == save("good", "--reason", "still in production")

    assert [] == kept()
    assert [None, "still in production"] == [
        entry["reason"] for entry in baseline_history(shipped().folder)
    ]


def test_the_policy_of_the_project_says_what_is_worse(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "gate.toml").write_text('[limits]\naccuracy = "-50pp"\n')
    made("good", wrong=6)
    made("bad", wrong=20)
    assert 0 == save("good")

    assert 0 == save("bad", "--replace")
    assert "shipped is replaced: pass: accuracy" in capsys.readouterr().err


def test_a_baseline_that_cannot_be_read_is_replaced_with_a_reason_and_kept(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    made("good")
    made("other", wrong=1)
    assert 0 == save("good")
    (shipped().folder / TRANSCRIPTS).write_text("")
    capsys.readouterr()

    assert 2 == save("other")
    assert (
        "shipped would be replaced: it cannot be compared: baselines/say/shipped/transcripts.jsonl "
        "was changed after the run was judged"
    ) in capsys.readouterr().err
    assert 0 == save("other", "--replace", "--reason", "the files were damaged")
    (before,) = kept()
    assert "" == (before / TRANSCRIPTS).read_text()


# What was not measured


@pytest.mark.parametrize(
    ("errors", "share"), [(2, "2 of 60 answers (3.3%)"), (COUNT, "60 of 60 answers (100.0%)")]
)
def test_a_run_of_which_much_broke_needs_its_own_flag(
    project: Path, capsys: pytest.CaptureFixture[str], errors: int, share: str
):
    made("broken", errors=errors)
    capsys.readouterr()

    assert 2 == save("broken")
    assert (
        f"harness: broken: {share} broke, and a baseline may have 2.0%; run it again, or accept it "
        "with --allow-errors\n"
    ) == capsys.readouterr().err
    assert [] == list_baselines(Path("baselines"))
    assert 0 == save("broken", "--allow-errors")


def test_a_few_broken_answers_are_accepted(project: Path):
    made("run", errors=1)

    assert 0 == save("run")


def test_a_run_of_a_part_needs_its_own_flag(project: Path, capsys: pytest.CaptureFixture[str]):
    made("part", limit=9)
    capsys.readouterr()

    assert 2 == save("part")
    assert (
        "harness: part: it was asked only a part of its suite, and no gate against it can pass; "
        "run the whole suite, or accept it with --allow-partial\n"
    ) == capsys.readouterr().err
    assert 0 == save("part", "--allow-partial")


def test_python_has_the_same_rules(project: Path):
    good, bad = made("good", wrong=6), made("bad", wrong=20)
    harness.save_baseline(good, Path("baselines"), "shipped")
    said: list[str] = []

    with pytest.raises(StoreError, match=r"^shipped would be replaced: regressed: accuracy fell"):
        harness.save_baseline(bad, Path("baselines"), "shipped", reason="why")
    with pytest.raises(StoreError, match="--allow-partial"):
        harness.save_baseline(made("part", limit=9), Path("baselines"), "other")
    saved = harness.save_baseline(
        bad,
        Path("baselines"),
        "shipped",
        reason="why",
        replace=True,
        progress=harness.Progress(notify=said.append),
    )
    assert 20 == wrong(saved)
    assert said[0].startswith("shipped is replaced: regressed: ")


# What is kept


def test_what_is_kept_is_not_a_baseline(project: Path, capsys: pytest.CaptureFixture[str]):
    made("good", wrong=6)
    made("bad", wrong=20)
    save("good")
    save("bad", "--replace", "--reason", "why")
    (before,) = kept()
    capsys.readouterr()

    assert 0 == main(["baseline", "list"])
    assert 1 == capsys.readouterr().out.count("say/")
    assert ["shipped"] == harness.open_project().baseline_names("say")
    assert 2 == main(["gate", "bad", "--baseline", before.name])
    assert f"suite say has no baseline '{before.name}'" in capsys.readouterr().err
    assert 2 == main(["baseline", "save", "good", "--name", "history"])
    assert "'history' is that of the folder of replaced runs" in capsys.readouterr().err
    # But it is a run like any other.
    assert 0 == main(["compare", str(before), "bad"])


def test_only_prune_deletes_what_is_kept(project: Path, capsys: pytest.CaptureFixture[str]):
    runs = [made(f"run{number}", wrong=number) for number in range(8)]
    for number, run in enumerate(runs):
        harness.save_baseline(
            run,
            Path("baselines"),
            "shipped",
            saved=f"2026-03-{number + 1:02}T10:00:00+00:00",
            reason="why",
            replace=True,
        )
    assert [6, 5, 4, 3, 2, 1, 0] == [wrong(load_run(folder)) for folder in kept()]
    capsys.readouterr()

    assert 0 == main(["baseline", "prune"])
    folder = Path("baselines/say/history")
    assert [
        f"deleted {folder / 'shipped-20260303-100000'}",
        f"deleted {folder / 'shipped-20260302-100000'}",
    ] == capsys.readouterr().out.splitlines()
    assert [6, 5, 4, 3, 2] == [wrong(load_run(each)) for each in kept()]
    assert 0 == main(["baseline", "prune"])
    assert "nothing to delete" in capsys.readouterr().out
    assert 0 == main(["baseline", "prune", "--keep", "1"])
    assert [6] == [wrong(load_run(each)) for each in kept()]
    assert 2 == main(["baseline", "prune", "--keep", "-1"])
    assert 7 == wrong(shipped())


def test_two_replaced_in_one_second_are_both_kept(project: Path):
    for number in range(3):
        run = made(f"run{number}", wrong=number)
        put(run, Path("baselines"), "2026-03-04")

    assert ["shipped-20260304-000000-2", "shipped-20260304-000000"] == [
        folder.name for folder in kept()
    ]
    assert [1, 0] == [wrong(load_run(folder)) for folder in kept()]


def test_a_removed_baseline_is_kept_and_can_be_had_back(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    made("good")
    save("good")
    capsys.readouterr()

    assert 0 == main(["baseline", "rm", "shipped"])
    (folder,) = kept()
    printed, aside = capsys.readouterr()
    assert f"baseline say/shipped removed; its run is kept: {folder}\n" == printed
    assert f"harness baseline save {folder} --name shipped" in aside
    assert [] == list_baselines(Path("baselines"))
    assert 0 == save(str(folder))
    assert 0 == wrong(shipped())
    assert 2 == main(["baseline", "rm", "shiped"])
    assert "no baseline 'shiped'" in capsys.readouterr().err
    # The folder of a suite's baselines is none itself.
    assert 2 == main(["baseline", "rm", "say"])
    assert 0 == wrong(shipped())


def test_a_removed_baseline_that_is_saved_again_has_the_history_it_had(project: Path):
    made("good")
    save("good", "--reason", "the first")
    main(["baseline", "rm", "shipped"])

    assert 0 == save(str(kept()[0]), "--reason", "back again")
    reasons = [entry["reason"] for entry in baseline_history(shipped().folder)]
    assert ["the first", "back again"] == reasons


def test_a_baseline_saved_under_a_second_name_begins_a_history_of_its_own(project: Path):
    made("good")
    save("good", "--reason", "the first")

    assert 0 == main(["baseline", "save", "shipped", "--name", "v1", "--reason", "a copy"])
    reasons = [entry["reason"] for entry in baseline_history(Path("baselines/say/v1"))]
    assert ["a copy"] == reasons


def test_a_baseline_that_cannot_be_read_can_be_removed(project: Path):
    made("good")
    save("good")
    (shipped().folder / RUN).write_text("{")

    assert 0 == main(["baseline", "rm", "say/shipped"])
    assert ["{"] == [(folder / RUN).read_text() for folder in kept()]


def test_a_renamed_baseline_keeps_its_history_and_replaces_none(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    made("good")
    made("other", wrong=1)
    save("good", "--reason", "the first")
    assert 0 == main(["baseline", "save", "other", "--name", "next"])
    capsys.readouterr()

    assert 2 == main(["baseline", "rename", "shipped", "next"])
    assert (
        "harness: baselines/say/next exists; nothing is replaced: `harness baseline rm next` "
        "removes it\n"
    ) == capsys.readouterr().err
    assert 2 == main(["baseline", "rename", "shipped", "shipped"])
    assert 2 == main(["baseline", "rename", "shipped", "../up"])
    assert 0 == main(["baseline", "rename", "say/shipped", "v1"])
    assert ["next", "v1"] == harness.open_project().baseline_names("say")
    (entry,) = baseline_history(Path("baselines/say/v1"))
    assert "the first" == entry["reason"]


@pytest.mark.parametrize("text", ["say/history/{}", "say/history", "history", "history/{}"])
@pytest.mark.parametrize("words", [["rm"], ["rename", "v1"]])
def test_what_is_kept_under_history_is_neither_removed_nor_renamed(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
):
    made("old")
    made("new", wrong=1)
    save("old")
    save("new", "--replace", "--reason", "a test")
    (folder,) = kept()
    capsys.readouterr()

    verb, *rest = words
    assert 2 == main(["baseline", verb, text.format(folder.name), *rest])
    assert [folder] == kept()
    if text.startswith("say/history/"):
        assert (
            f"harness: {folder} is not a baseline: under history/ is what baselines were before; "
            "`harness baseline save` makes it one again, `harness baseline prune` deletes\n"
        ) == capsys.readouterr().err


# Killed


def killed_after_its_swap() -> None:
    """
    Leave what a save that was killed before its clean-up does: the replaced run beside the new one.
    """
    made("old", wrong=1)
    made("new", wrong=2)
    save("old")
    folder = shipped().folder
    shutil.copytree(folder, folder.with_name(".shipped.before"))
    shutil.copytree("new", folder, dirs_exist_ok=True)


@pytest.mark.parametrize("name", ["shipped", "say/shipped"])
@pytest.mark.parametrize(
    "command",
    ["gate new --baseline {}", "compare {} new", "baseline show {}", "baseline rm {}",
     "baseline rename {} v1", "baseline history {}"],
)  # fmt: skip
def test_a_baseline_whose_save_was_killed_between_its_renames_is_found(
    project: Path, command: str, name: str
):
    made("old", wrong=1)
    made("new", wrong=1)
    save("old")
    shipped().folder.rename("baselines/say/.shipped.before")

    assert 0 == main([word.format(name) for word in command.split()])
    left = [*list_baselines(Path("baselines")), *map(load_run, kept())]
    assert [1] == [wrong(each) for each in left]


def test_a_baseline_whose_save_was_killed_is_among_the_names(project: Path):
    made("old", wrong=1)
    save("old")
    shipped().folder.rename("baselines/say/.shipped.before")

    assert ["shipped"] == harness.open_project().baseline_names("say")


def test_a_baseline_renamed_after_a_killed_save_does_not_bring_back_the_one_it_replaced(
    project: Path,
):
    killed_after_its_swap()

    assert 0 == main(["baseline", "rename", "shipped", "v1"])
    assert [("v1", 2)] == [
        (each.folder.name, wrong(each)) for each in list_baselines(Path("baselines"))
    ]
    assert [1] == [wrong(load_run(folder)) for folder in kept()]


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """
    Run *action* in a process that is killed before its file operation number *step*; return whether
    it got so far.
    """
    child = os.fork()
    if child == 0:
        seen = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            writing = event == "open" and arguments[1] is not None and "r" != str(arguments[1])
            if writing or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
                seen += 1
                if seen == step:
                    os._exit(9)

        sys.addaudithook(watch)
        try:
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("verb", ["save", "rm", "rename"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_baseline(project: Path, verb: str):
    old, new = made("old", wrong=1), made("new", wrong=2)
    step, results = 0, set()
    while True:
        step += 1
        root = project / f"at{step}" / "baselines"
        folder = root / "say" / "shipped"
        put(old, root, "2026-03-01")
        (folder / "NOTES.md").write_text("ours")
        action = {
            "save": partial(put, new, root, "2026-03-02"),
            "rm": partial(store.remove_baseline, folder, removed="2026-03-02"),
            "rename": partial(store.rename_baseline, folder, "v1", renamed="2026-03-02"),
        }[verb]
        got_there = not killed_at(step, action)

        found = [wrong(each) for each in list_baselines(root)]
        kept = [wrong(load_run(each)) for each in root.glob("*/history/*")]
        results.add((*found, "kept", *kept))
        if verb == "save":
            assert found in ([1], [2])
            # Whatever the kill left behind, the next one tidies up and loses nothing.
            again = put(new, root, "2026-03-03")
            assert (2, "ours") == (wrong(again), (folder / "NOTES.md").read_text())
            assert [1] == [wrong(load_run(each)) for each in root.glob("*/history/*")]
            assert {"shipped", "history"} == {each.name for each in folder.parent.iterdir()}
        else:
            assert [1] == [*found, *kept]
        if got_there:
            break
    assert step > 3
    assert 1 < len(results) or verb == "rename"
