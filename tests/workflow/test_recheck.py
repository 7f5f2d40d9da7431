"""
What would block a release is decided again at batch size 1: both sides, once, and on the record.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.gating.decision import Gated
from harness.gating.policy import read_policy
from harness.reports.build import report_gate
from harness.runs.baselines import save_baseline
from harness.runs.store import StoredRun, load_run
from harness.transcript import Key
from harness.workflow import run as workflow
from harness.workflow.gate import gate, gate_release
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import open_project

from .. import noisy
from ..builders import question, write_suite

COUNT = 120


def cases(start: int, stop: int) -> list[str]:
    return [f"c{number}" for number in range(start, stop)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite of 120 cases, and a file for a checkpoint that gets all of them right as the baseline.
    """
    noisy.install(monkeypatch)
    write_suite(tmp_path, map(question, cases(0, COUNT)))
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path, "old")
    run("old", batch_size=None)
    accept("old")
    return tmp_path


def accept(name: str) -> None:
    """
    Make a run the baseline, in place of the one that is there.
    """
    to_replace = ["--replace", "--reason", "a test"]
    assert 0 == main(["baseline", "save", f"runs/{name}", "--name", "shipped", *to_replace])


def last_must_pass(root: Path) -> None:
    rows = [question(name) for name in cases(0, COUNT - 1)]
    write_suite(root, [*rows, question(f"c{COUNT - 1}", must_pass=True)])


def checkpoint(root: Path, name: str, **behaviour: Any) -> None:
    (root / f"{name}.json").write_text(json.dumps({"weights": name, **behaviour}))


def run(name: str, *, batch_size: int | None = None, **options: Any) -> StoredRun:
    return workflow.run(
        "ask",
        f"noisy:{name}.json",
        out=Path("runs") / name,
        options=RunOptions(batch_size=batch_size, **options),
    )


def gated(new: StoredRun, **more: Any) -> Gated:
    return gate("shipped", new, **{"recheck": True, **more})


def test_flips_that_do_not_stand_at_batch_size_1_do_not_block(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    assert "regressed" == gated(new, recheck=False).verdict.verdict
    found = gated(new)

    assert "pass" == found.verdict.verdict
    assert () == found.verdict.broken
    assert (
        "decided again at batch size 1: 10 flips, 10 for the worse and 0 for the better; "
        "10 of 10 were not confirmed at batch size 1 (10 for the worse, 0 for the better)"
    ) == found.verdict.notes[0]


def test_flips_that_stand_block(project: Path):
    checkpoint(project, "new", wrong=cases(0, 10), wrong_batched=cases(10, 13))
    found = gated(run("new"))

    assert "regressed" == found.verdict.verdict
    assert set(cases(0, 10)) == set(found.verdict.broken)
    assert "3 of 13 were not confirmed" in found.verdict.notes[0]


def test_more_flips_than_batching_makes_are_a_change_and_not_asked_again(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 33))
    noisy.asked.clear()
    new = run("new")
    before = len(noisy.asked)
    found = gated(new)

    assert "regressed" == found.verdict.verdict
    assert before == len(noisy.asked)
    assert (
        "not decided again at batch size 1: 33 flips of 120 answers are more than batching makes"
    ) in found.verdict.notes


def test_only_what_changed_is_asked_and_each_alone_of_both(project: Path):
    checkpoint(project, "new", wrong=cases(0, 10))
    new = run("new")
    noisy.asked.clear()
    gated(new)

    assert [(model, [name]) for model in ("old", "new") for name in cases(0, 10)] == noisy.asked


def test_the_fixed_are_asked_like_the_broken(project: Path):
    """
    The baseline got c100 to c109 wrong. In a batch the candidate gets four of them right, which it
    does not alone: chance is taken from the winners, too.
    """
    checkpoint(project, "weak", wrong=cases(100, 110))
    run("weak")
    accept("weak")
    checkpoint(
        project, "new", wrong=[*cases(0, 20), *cases(100, 110)], right_batched=cases(100, 104)
    )
    new = run("new")
    noisy.asked.clear()
    found = gated(new)

    assert {*cases(0, 20), *cases(100, 104)} == {name for _, [name] in noisy.asked}
    assert (20, 0) == (len(found.verdict.broken), len(found.verdict.fixed))
    assert "(0 for the worse, 4 for the better)" in found.verdict.notes[0]


def test_the_bad_luck_of_the_baseline_is_undone_like_that_of_the_candidate(project: Path):
    """
    Chance spoils answers of both; those it spoils in the baseline look fixed. To undo it in the
    candidate alone would leave 9 fixed, though nothing was fixed, to outweigh 8 that are lost.
    """
    checkpoint(project, "unlucky", wrong_batched=cases(100, 109))
    run("unlucky")
    accept("unlucky")
    checkpoint(project, "new", wrong=cases(0, 8), wrong_batched=cases(10, 22))
    found = gated(run("new"))

    assert "regressed" == found.verdict.verdict
    assert (set(cases(0, 8)), ()) == (set(found.verdict.broken), found.verdict.fixed)
    assert (
        "21 of 29 were not confirmed at batch size 1 (12 for the worse, 9 for the better)"
        in found.verdict.notes[0]
    )


def test_the_run_is_not_altered_and_the_answers_stand_beside_it(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    before = {path.name: path.read_bytes() for path in new.folder.iterdir()}
    gated(new)
    again = load_run(new.folder.with_name("new-batch-1"))

    assert before == {path.name: path.read_bytes() for path in new.folder.iterdir()}
    assert 1 == again.record.backend.batch
    assert cases(0, 10) == [case.id for case in again.record.cases]
    assert not again.record.selection.complete


def test_the_report_shows_the_answers_that_decided(project: Path):
    checkpoint(project, "new", wrong=cases(0, 10), wrong_batched=cases(10, 12))
    found = gated(run("new"))
    shown = report_gate(found).new.answers

    assert "inside" in shown[Key("c10")]
    assert "outside" in shown[Key("c0")]
    assert {Key(name) for name in cases(0, 12)} == set(found.new_again) == set(found.old_again)


def test_a_decision_is_taken_again_and_never_made_again(project: Path):
    """
    A gate that asks until it likes the answer would find one: the first decision holds.
    """
    checkpoint(project, "new", wrong=cases(0, 10))
    new = run("new")
    first = gated(new)
    noisy.asked.clear()
    # The same weights by their digest, but now it would answer otherwise.
    checkpoint(project, "new")
    second = gated(new)
    unasked = gated(new, recheck=None)

    assert [] == noisy.asked
    assert first.verdict == unasked.verdict
    assert first.verdict == second.verdict


def test_against_another_baseline_only_the_rest_is_asked(project: Path):
    checkpoint(project, "new", wrong=cases(0, 20))
    new = run("new")
    gated(new)
    checkpoint(project, "weak", wrong=cases(100, 110))
    run("weak")
    accept("weak")
    noisy.asked.clear()
    found = gated(new)

    # Of the other baseline all that changed, of the candidate what had not changed before.
    assert [("weak", [name]) for name in [*cases(0, 20), *cases(100, 110)]] + [
        ("new", [name]) for name in cases(100, 110)
    ] == noisy.asked
    assert new.folder.with_name("new-batch-1-2").is_dir()
    assert 30 == len(found.new_again)


def test_what_would_not_block_is_not_asked_again(project: Path):
    checkpoint(project, "new", wrong=cases(0, 2))
    new = run("new")
    noisy.asked.clear()
    found = gated(new)

    assert "inconclusive" == found.verdict.verdict
    assert [] == noisy.asked
    assert not any("batch size 1" in note for note in found.verdict.notes)


def test_what_was_answered_alone_is_decided(project: Path):
    for name, wrong in (("alone", []), ("new", cases(0, 10))):
        checkpoint(project, name, wrong=wrong)
        run(name, batch_size=1)
    accept("alone")
    noisy.asked.clear()
    found = gated(load_run(Path("runs/new")))

    assert "regressed" == found.verdict.verdict
    assert [] == noisy.asked
    assert not any("batch size 1" in note for note in found.verdict.notes)


def test_beside_one_that_was_answered_alone_only_the_other_is_asked(project: Path):
    checkpoint(project, "new", wrong=cases(0, 10))
    new = run("new", batch_size=1)
    noisy.asked.clear()
    gated(new, allow=["batch"])

    assert [("old", [name]) for name in cases(0, 10)] == noisy.asked


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: path.write_text('{"weights": "retrained"}'), "its weights differ"),
        (
            lambda path: path.write_text('{"weights": "new", "dtype": "float16"}'),
            "backend.dtype was float32 and is float16",
        ),
    ],
    ids=["gone", "another checkpoint", "another dtype"],
)
def test_where_the_checkpoint_cannot_be_asked_the_verdict_is_kept_and_says_why(
    project: Path, change: Any, reason: str
):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    change(project / "new.json")
    noisy.asked.clear()
    found = gated(new)

    assert "regressed" == found.verdict.verdict
    assert found.verdict.notes[0].startswith(
        "not decided again at batch size 1, as the candidate cannot be asked: "
    )
    assert reason in found.verdict.notes[0]
    assert {"old"} == {name for name, _ in noisy.asked}


def test_a_run_that_another_program_sampled_in_its_own_way_is_not_asked_again(project: Path):
    """
    What it was asked with is not known here, so answers made here would be of another run.
    """
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    generation = replace(new.record.generation, extra={"min_p": 0.1})
    old = load_run(Path("baselines/ask/shipped"))
    old, new = (
        replace(each, record=replace(each.record, generation=generation)) for each in (old, new)
    )

    found = gate(old, new)

    assert "regressed" == found.verdict.verdict
    assert "generation.min_p is unknown here" in found.verdict.notes[0]


def test_where_the_baseline_cannot_be_asked_the_candidate_is_not_either(project: Path):
    """
    Else the candidate's bad luck would be undone and the baseline's would stay.
    """
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    (project / "old.json").unlink()
    noisy.asked.clear()
    found = gated(new)

    assert "regressed" == found.verdict.verdict
    assert "as the baseline cannot be asked: " in found.verdict.notes[0]
    assert [] == noisy.asked
    assert ({}, {}) == (found.old_again, found.new_again)


def test_a_case_that_breaks_when_asked_again_keeps_its_answer(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 10), broken_alone=cases(0, 10))
    found = gated(run("new"))

    assert "regressed" == found.verdict.verdict
    assert set(cases(0, 10)) == set(found.verdict.broken)


def test_a_case_that_must_pass_is_decided_again(project: Path):
    last_must_pass(project)
    checkpoint(project, "new", wrong_batched=["c119"])
    new = run("new")
    assert ("c119",) == gated(new, recheck=False).verdict.must_pass_failed
    found = gated(new)

    assert "pass" == found.verdict.verdict
    assert "of 1 case that must pass and failed, 0 still do" in found.verdict.notes[0]


def test_of_runs_that_are_not_comparable_only_what_must_pass_is_decided_again(project: Path):
    last_must_pass(project)
    checkpoint(project, "new", wrong=cases(0, 10), wrong_batched=["c119"])
    new = run("new", max_new_tokens=64)
    noisy.asked.clear()
    found = gated(new)

    assert [("old", ["c119"]), ("new", ["c119"])] == noisy.asked
    assert "not_comparable" == found.verdict.verdict


def test_all_repeats_are_decided_again(project: Path):
    checkpoint(project, "old3")
    run("old3", repeats=3)
    accept("old3")
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    found = gated(run("new", repeats=3))

    all_of_them = {Key(name, repeat) for name in cases(0, 10) for repeat in range(3)}
    assert all_of_them == set(found.new_again) == set(found.old_again)
    assert "pass" == found.verdict.verdict


def test_a_candidate_among_the_baselines_leaves_no_baseline_behind(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    saved = save_baseline(
        run("new"),
        project / "baselines",
        "candidate",
        saved="2026-01-01",
        reason=None,
        instead_of=None,
    )
    found = gated(saved)

    assert "pass" == found.verdict.verdict
    assert ["candidate", "shipped"] == sorted(open_project().baseline_names("ask"))
    for name in ("candidate", "shipped"):
        assert (project / "reports" / "ask" / f"{name}-batch-1" / "run.json").is_file()


def test_it_is_said_before_it_is_done(project: Path):
    checkpoint(project, "new", wrong=cases(0, 10))
    said: list[str] = []
    gated(run("new"), progress=Progress(notify=said.append))

    assert "regressed: 10 cases to be decided again at batch size 1 before this blocks" == said[0]


def test_a_gate_of_stored_runs_opens_no_checkpoint_and_says_what_it_could_ask(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    noisy.asked.clear()
    for name in ("old", "new"):
        (project / f"{name}.json").unlink()  # whoever opened it would fail
    found = gated(new, recheck=None)

    assert "regressed" == found.verdict.verdict
    assert [] == noisy.asked
    assert (
        "not decided again at batch size 1: 10 cases (c0, c1, c2, c3, c4, c5, c6, c7 and 2 more) "
        "could be; --recheck, or recheck = true in the policy, loads noisy:old.json and "
        "noisy:new.json to ask them"
    ) == found.verdict.notes[0]


def test_a_policy_asks_for_the_recheck_and_can_be_overruled(project: Path):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    new = run("new")
    policy = read_policy("recheck = true", "gate.toml")

    assert "regressed" == gated(new, policy=policy, recheck=False).verdict.verdict
    assert not Path("runs/new-batch-1").exists()
    assert "pass" == gated(new, policy=policy, recheck=None).verdict.verdict


def test_the_command_rechecks_if_told_to(project: Path, capsys: pytest.CaptureFixture[str]):
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    run("new")
    gate = ["gate", "runs/new", "--baseline", "shipped"]

    assert main(gate) == 1
    assert main([*gate, "--no-recheck"]) == 1
    assert not Path("runs/new-batch-1").exists()
    capsys.readouterr()
    assert main([*gate, "--recheck", "-v"]) == 0
    out, err = capsys.readouterr()
    assert "10 of 10 were not confirmed" in " ".join(out.split())
    assert "to be decided again at batch size 1" in err


def test_a_release_says_of_both_baselines_what_was_decided_again(project: Path):
    checkpoint(project, "first")
    pinned = [
        "baseline",
        "save",
        str(run("first").folder),
        "--name",
        "pinned",
        "--reason",
        "a test",
    ]
    assert 0 == main(pinned)
    checkpoint(project, "new", wrong_batched=cases(0, 10))
    found = gate_release([run("new")], "shipped", anchor="pinned", recheck=True)

    assert "pass" == found.release.verdict
    notes = found.suites["ask"].verdict.notes
    again = "decided again at batch size 1: 10 flips"
    assert 1 == sum(note.startswith(again) for note in notes)
    assert 1 == sum(note.startswith(f"against the anchor: {again}") for note in notes)
