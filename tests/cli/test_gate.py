"""
``harness gate``: the verdict on two runs, and its exit code.
"""

import json
from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import COUNT, answers, run, save, verdict


def test_an_equal_run_passes(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run(project, "old", answers()) == 0
    save("old")
    assert run(project, "new", answers()) == 0
    code, found = verdict(capsys, "new")

    assert (0, "pass", 0) == (code, found["verdict"], found["exit"])
    assert [] == found["broken"]
    assert COUNT == found["metrics"]["accuracy"]["pairs"]


def test_a_worse_run_is_regressed_and_its_cases_are_named(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    code, found = verdict(capsys, "new")

    assert (1, "regressed") == (code, found["verdict"])
    assert sorted(f"c{number}" for number in range(10)) == sorted(found["broken"])
    assert any("accuracy" in reason for reason in found["reasons"])


def test_three_new_second_calls_are_a_regression_of_their_own(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(second=3))
    code, found = verdict(capsys, "new")

    assert code == 1
    assert found["metrics"]["second_call_rate"]["verdict"] == "regressed"
    assert found["metrics"]["accuracy"]["verdict"] == "inconclusive"


def test_too_many_errors_are_inconclusive_and_never_exit_0(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(errors=5))

    for policy in ("", 'on_inconclusive = "block"\n'):
        (project / "gate.toml").write_text(policy)
        code, found = verdict(capsys, "new")
        assert (3, "inconclusive") == (code, found["verdict"])


def test_another_generation_is_not_comparable_unless_allowed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(), "--max-new-tokens", "64")
    assert (3, "not_comparable") == (lambda code, found: (code, found["verdict"]))(
        *verdict(capsys, "new")
    )

    assert (0, "pass") == (lambda code, found: (code, found["verdict"]))(
        *verdict(capsys, "new", "--allow-mismatch", "generation")
    )


def test_part_of_a_suite_never_passes(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(), "--tags", "even")
    code, found = verdict(capsys, "new")

    assert (0, "inconclusive") == (code, found["verdict"])
    assert COUNT // 2 == found["metrics"]["accuracy"]["pairs"]


def test_an_inconclusive_gate_that_only_warns_says_so_last(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=2))
    warns = 'exit 0: inconclusive only warns here; on_inconclusive = "block" stops it'
    gate = ["gate", "new", "--baseline", "shipped"]
    capsys.readouterr()

    assert 0 == main(gate)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f" s, {warns}")
    assert 0 == main([*gate, "--explain"])
    assert capsys.readouterr().out.splitlines()[-1].endswith(f" s, {warns}")
    assert 0 == main([*gate, "--json", "-"])
    printed, aside = capsys.readouterr()
    assert "inconclusive" == json.loads(printed)["verdict"]
    assert aside.splitlines()[-1].endswith(f" s, {warns}")

    (project / "gate.toml").write_text('on_inconclusive = "block"\n')
    assert 3 == main(gate)
    assert "only warns" not in capsys.readouterr().out
    run(project, "same", answers())
    assert 0 == main(["gate", "same", "--baseline", "shipped"])
    assert "only warns" not in capsys.readouterr().out


def test_a_gate_without_a_baseline_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "new", answers())
    capsys.readouterr()

    assert main(["gate", "new", "--baseline", "shiped"]) == 2
    error = capsys.readouterr().err
    assert "has no baseline 'shiped'" in error
    assert "harness baseline save" in error


def test_an_anchor_is_gated_beside_the_last_release(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    The last release has lost what the candidate has; the anchor has not.
    """
    for name, wrong, baseline in (("first", 0, "v1"), ("last", 10, "shipped")):
        run(project, name, answers(wrong=wrong))
        assert main(["baseline", "save", name, "--name", baseline]) == 0
    run(project, "new", answers(wrong=10))

    assert (0, "pass") == (lambda code, found: (code, found["verdict"]))(*verdict(capsys, "new"))
    code, found = verdict(capsys, "new", "--anchor", "v1")
    assert (1, "regressed", "shipped") == (code, found["verdict"], found["baseline"])
    assert "v1" == found["against"][0]
    assert found["reasons"][0].startswith("against the anchor v1: accuracy fell")
    assert ("regressed", "v1") == (found["anchor"]["verdict"], found["anchor"]["baseline"])
    (project / "gate.toml").write_text('anchor = "v1"\n')
    assert 1 == verdict(capsys, "new")[0]
    assert 0 == verdict(capsys, "new", "--anchor", "shipped")[0]
    assert 2 == main(["gate", "new", "--baseline", "shipped", "--anchor", "v0"])
    assert "has no baseline 'v0'" in capsys.readouterr().err


def test_a_slice_of_the_policy_blocks_and_explain_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    rows = answers()
    for wrong in range(0, 16, 2):
        rows[wrong] = answers(wrong=16)[wrong]
    run(project, "new", rows)
    (project / "gate.toml").write_text(
        '[limits]\naccuracy = "-15pp"\n[slices.even]\naccuracy = "-5pp"\n'
    )

    code, found = verdict(capsys, "new")
    main(["gate", "new", "--baseline", "shipped", "--explain", "-v"])
    told = capsys.readouterr().out

    assert (1, "pass") == (code, found["metrics"]["accuracy"]["verdict"])
    assert "regressed" == found["slices"]["even"]["accuracy"]["verdict"]
    assert 'slice even: accuracy = "-5pp": regressed' in told
    assert "Slices with limits" in told
