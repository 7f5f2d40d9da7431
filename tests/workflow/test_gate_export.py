"""
The gate of an export against what it was made of: scripted runs, in another precision.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.main import main
from harness.gating.decision import Gated
from harness.gating.policy import read_policy
from harness.gating.verdict import Verdict
from harness.runs.store import StoredRun
from harness.workflow.options import RunOptions

from .. import noisy
from ..builders import question, write_suite

pytest_plugins = ["pytester"]

COUNT = 120


def cases(start: int, stop: int) -> list[str]:
    return [f"c{number}" for number in range(start, stop)]


def made(name: str, options: RunOptions | None = None, **behaviour: Any) -> StoredRun:
    """
    A run of a checkpoint that behaves so; ``dtype`` is what it says of its precision.
    """
    Path(f"{name}.json").write_text(json.dumps({"weights": name, **behaviour}))
    return harness.run("ask", f"noisy:{name}.json", out=Path("runs") / name, options=options)


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredRun:
    """
    A run of the float parent: 120 cases, four of them wrong.
    """
    noisy.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, [question(name, tags=["short"]) for name in cases(0, COUNT)])
    return made("parent", wrong=cases(0, 4))


def export(wrong: list[str], name: str = "export", **behaviour: Any) -> StoredRun:
    return made(name, wrong=wrong, dtype="Q4_1", **behaviour)


def gated(old: StoredRun, new: StoredRun, **options: Any) -> Verdict:
    found: Gated = harness.gate(old.folder, new.folder, **({"export": True} | options))
    return found.verdict


def test_an_export_that_answers_as_its_parent_passes(parent: StoredRun):
    verdict = gated(parent, export(cases(0, 4)))

    assert "pass" == verdict.verdict
    assert {"-1pp"} == {verdict.metrics["accuracy"].limit}


def test_without_saying_that_it_is_one_it_is_not_comparable(parent: StoredRun):
    verdict = gated(parent, export(cases(0, 4)), export=False)

    assert "not_comparable" == verdict.verdict
    assert "backend.dtype was float32 and is Q4_1" in verdict.reasons[0].text


def test_a_damaged_export_is_regressed(parent: StoredRun):
    verdict = gated(parent, export(cases(0, 12)))

    assert ("regressed", 1) == (verdict.verdict, int(verdict.exit))
    assert cases(4, 12) == sorted(verdict.broken, key=lambda name: int(name[1:]))


def test_what_differs_on_purpose_is_named(parent: StoredRun):
    verdict = gated(parent, export(cases(0, 4)))

    assert "an export differs on purpose in: backend.dtype was float32 and is Q4_1" in verdict.notes
    effects = {each.field: each.effect for each in verdict.differences}
    assert "exported" == effects["backend.dtype"]


def test_what_was_asked_may_not_differ(parent: StoredRun):
    verdict = gated(parent, export(cases(0, 4), options=RunOptions(max_new_tokens=64)))

    assert "not_comparable" == verdict.verdict
    assert "generation.max_new_tokens" in verdict.reasons[0].text


def test_a_point_more_than_one_is_not_let_through(parent: StoredRun):
    """
    Two of 120 cases lost: within what a release may lose, and not within what an export may.
    """
    release = gated(parent, made("next", wrong=cases(0, 6)), export=False)
    verdict = gated(parent, export(cases(0, 6)))

    assert 0.03 > -release.metrics["accuracy"].delta  # type: ignore[operator]
    assert "inconclusive" == verdict.metrics["accuracy"].verdict
    assert "1 point" in verdict.metrics["accuracy"].reason


def test_lengths_and_times_are_not_gated(parent: StoredRun):
    assert {
        "accuracy",
        "second_call_rate",
        "call_after_result_rate",
        "unsupported_rate",
        "collateral_rate",
    } >= gated(parent, export(cases(0, 4))).metrics.keys()


def test_a_policy_of_exports_has_their_limits_and_may_have_its_own(parent: StoredRun):
    text = 'kind = "export"\nalpha = 0.01\n'

    policy, own = (
        read_policy(more, "gate.toml")
        for more in (text, f'{text}[limits]\naccuracy = "-2pp"\n[slices.short]\naccuracy = "-2pp"')
    )

    assert "-1pp" == policy.limits["accuracy"].text
    assert {"accuracy": "-2pp"} == {name: limit.text for name, limit in own.limits.items()}
    assert own == own.of_export()
    assert "pass" == gated(parent, export(cases(0, 4)), policy=policy, export=False).verdict


def test_a_policy_of_releases_lends_an_export_its_alpha_and_no_limits(parent: StoredRun):
    text = 'alpha = 0.01\nanchor = "v1"\n[limits]\naccuracy = "-9pp"\n[slices.short]\n'

    policy = read_policy(f'{text}accuracy = "-9pp"', "gate.toml").of_export()

    assert ("export", 0.01, None) == (policy.kind, policy.alpha, policy.anchor)
    assert "-1pp" == policy.limits["accuracy"].text
    assert {} == policy.slices


def test_the_command_gates_an_export(parent: StoredRun, capsys: pytest.CaptureFixture[str]):
    export(cases(0, 12))

    code = main(["gate", "runs/export", "--baseline", "runs/parent", "--export", "--json", "-"])

    verdict = json.loads(capsys.readouterr().out)
    assert (1, "regressed") == (code, verdict["verdict"])
    assert "the built-in policy, for an export" == verdict["policy"]


def test_a_policy_file_makes_the_command_gate_exports(
    parent: StoredRun, capsys: pytest.CaptureFixture[str]
):
    export(cases(0, 4))
    Path("gate.toml").write_text('kind = "export"\n')

    assert 0 == main(["gate", "runs/export", "--baseline", "runs/parent", "--json", "-"])
    assert "pass" == json.loads(capsys.readouterr().out)["verdict"]


@pytest.mark.parametrize(("kind", "outcomes"), [("export", (1, 0)), ("release", (0, 1))])
def test_pytests_gate_is_that_of_an_export_if_the_policy_says_so(
    monkeypatch: pytest.MonkeyPatch,
    pytester: pytest.Pytester,
    kind: str,
    outcomes: tuple[int, int],
):
    noisy.install(monkeypatch)
    write_suite(pytester.path, [question(name) for name in cases(0, COUNT)])
    made("parent", wrong=cases(0, 4))
    assert 0 == main(["baseline", "save", "runs/parent", "--name", "parent"])
    Path("export.json").write_text(
        json.dumps({"weights": "export", "wrong": cases(0, 4), "dtype": "Q8_0"})
    )
    Path("gate.toml").write_text(f'kind = "{kind}"\n')

    result = pytester.inline_run(
        "suites",
        *("--checkpoint", "noisy:export.json"),
        *("--harness-baseline", "parent", "--harness-out", "runs", "-k", "gate"),
    )

    passed, _, failed = result.countoutcomes()
    assert outcomes == (passed, failed)
