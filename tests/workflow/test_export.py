"""
What an export changed, told apart by a run of the parent's weights on its engine: scripted runs.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.main import main
from harness.comparison.divergence import Logits
from harness.comparison.export import ExportChange, margin
from harness.errors import UsageError
from harness.gating.decision import Gated
from harness.renderers.registry import renderer
from harness.reports.build import report_gate
from harness.runs.store import StoredRun

from .. import noisy
from ..builders import question, write_suite

COUNT = 100


def cases(start: int, stop: int) -> list[str]:
    return [f"c{number}" for number in range(start, stop)]


def made(name: str, wrong: list[str], suite: str = "ask", **behaviour: Any) -> StoredRun:
    Path(f"{name}.json").write_text(json.dumps({"weights": name, "wrong": wrong, **behaviour}))
    return harness.run(suite, f"noisy:{name}.json", out=Path("runs") / name)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, [question(name, tags=["short"]) for name in cases(0, COUNT)])


@pytest.fixture
def runs() -> tuple[StoredRun, StoredRun, StoredRun]:
    """
    The parent, wrong in ten cases; on the engine two more are wrong and one is not any more; in the
    export it is 20.
    """
    return (
        made("parent", cases(0, 10)),
        made("control", [*cases(1, 10), *cases(20, 22)], dtype="F32"),
        made("export", [*cases(1, 10), *cases(20, 31)], dtype="Q4_1"),
    )


def gated(old: StoredRun, new: StoredRun, **options: Any) -> Gated:
    return harness.gate(old.folder, new.folder, **({"export": True} | options))


def change(found: Gated) -> ExportChange:
    assert found.verdict.export is not None
    return found.verdict.export


def test_every_changed_case_is_named_and_where_it_parts(runs: tuple[StoredRun, ...]):
    parent, _, export = runs

    found = change(gated(parent, export))

    assert (COUNT, 12) == (found.answers, found.changed_answers)
    assert ("c0", *cases(20, 31)) == found.changed
    assert {"c0": ("outside", "inside"), "c20": ("inside", "outside")} == {
        each.key.case: (each.old, each.new) for each in found.first.first[:2]
    }
    assert "12 of 100 answers are not those of the parent" in str(found)
    assert "--engine-control RUN" in str(found)


def test_a_control_tells_the_engine_from_the_quantisation(runs: tuple[StoredRun, ...]):
    parent, control, export = runs

    found = change(gated(parent, export, engine_control=[control]))

    assert found.control is not None
    assert (90, 89, 80) == (
        found.control.parent_right,
        found.control.right,
        found.control.export_right,
    )
    assert (-0.01, -0.09) == (
        round(found.control.by_engine, 6),
        round(found.control.by_quantisation, 6),
    )
    assert (12, 3) == (found.control.changed, found.control.changed_too)
    assert (
        "12 of 100 answers are not those of the parent; accuracy 90.0% for the parent, 89.0% with "
        "the parent's own weights on this engine (control: noisy F32), 80.0% for the export: of "
        "-10 points, -1 point by the engine and -9 points by quantisation; 3 of 12 changed "
        "answers change by the engine alone"
    ) == str(found)


def test_an_export_that_changed_nothing_says_so():
    parent, export = made("parent", cases(0, 3)), made("export", cases(0, 3), dtype="Q8_0")

    found = gated(parent, export)

    assert "all of 100 answers are those of the parent, to the token" == str(change(found))
    assert "pass" == found.verdict.verdict


def test_a_release_says_nothing_of_exports(runs: tuple[StoredRun, ...]):
    parent, *_ = runs

    assert harness.gate(parent.folder, made("next", cases(0, 9)).folder).verdict.export is None


def test_only_answers_that_all_three_scored_are_divided(runs: tuple[StoredRun, ...]):
    parent, _, export = runs
    Path("part.json").write_text(json.dumps({"weights": "part", "wrong": cases(1, 10)}))
    part = harness.run("ask", "noisy:part.json", out=Path("runs/part"), options=first(30))

    found = change(gated(parent, export, engine_control=[part]))

    assert found.control is not None
    assert (30, 20, 21, 11) == (
        found.control.answers,
        found.control.parent_right,
        found.control.right,
        found.control.export_right,
    )
    assert COUNT == found.answers


def first(count: int) -> Any:
    from harness.workflow.options import RunOptions

    return RunOptions(limit=count)


def test_a_control_on_another_engine_is_refused(
    runs: tuple[StoredRun, ...], monkeypatch: pytest.MonkeyPatch
):
    parent, _, export = runs
    describe = noisy.NoisyBackend.describe
    monkeypatch.setattr(
        noisy.NoisyBackend, "describe", lambda self: {**describe(self), "name": "other"}
    )
    other = made("other", [])

    with pytest.raises(UsageError, match="ran on other and the export on noisy"):
        gated(parent, export, engine_control=[other])


def test_the_export_is_no_control_of_itself(runs: tuple[StoredRun, ...]):
    parent, _, export = runs

    with pytest.raises(UsageError, match="ran the export itself"):
        gated(parent, export, engine_control=[export])


def test_a_control_of_another_suite_is_refused(runs: tuple[StoredRun, ...], tmp_path: Path):
    parent, control, export = runs

    with pytest.raises(UsageError, match="two engine controls are of suite ask"):
        gated(parent, export, engine_control=[control, parent])


@pytest.mark.parametrize("options", [{"engine_control": ["runs/control"]}, {"logits": True}])
def test_what_belongs_to_an_export_needs_one(runs: tuple[StoredRun, ...], options: dict[str, Any]):
    parent, _, export = runs

    with pytest.raises(UsageError, match="belong to the gate of an export: add --export"):
        gated(parent, export, export=False, **options)


def test_a_parent_that_does_not_tell_logits_is_said(runs: tuple[StoredRun, ...]):
    parent, _, export = runs

    found = change(gated(parent, export, logits=True))

    [why] = found.first.unknown
    assert "noisy:parent.json" in why
    assert all(margin(each) is None for each in found.first.first)


FORMS = ("terminal", "markdown", "html", "junit", "github", "json", "comment")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_what_the_engine_did(runs: tuple[StoredRun, ...], form: str):
    parent, control, export = runs
    found = gated(parent, export, engine_control=[control])

    text = " ".join(renderer(form)(report_gate(found)).split())

    assert "-1 point by the engine and -9 points by quantisation" in text.replace("\\", "")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html", "json"])
def test_forms_name_every_case_that_changed(runs: tuple[StoredRun, ...], form: str):
    parent, _, export = runs

    text = renderer(form)(report_gate(gated(parent, export)))

    assert all(name in text for name in ("c0", *cases(20, 31)))


def test_the_parents_margin_is_what_it_preferred_its_own_token_by(runs: tuple[StoredRun, ...]):
    from dataclasses import replace

    parent, _, export = runs
    found = gated(parent, export)
    told = change(found)
    [part, *_] = told.first.first
    part = replace(part, token=7, by_old=Logits(old=3.5, new=3.25))
    told = replace(told, first=replace(told.first, first=(part,)))
    shown = renderer("terminal")(
        report_gate(replace(found, verdict=replace(found.verdict, export=told)))
    )

    assert 0.25 == margin(part)
    assert "parent's margin" in shown
    assert "0.25" in shown
    assert 0.25 == told.to_json()["first"][0]["parents_margin"]


def test_the_command_says_it_in_the_short_form_too(
    runs: tuple[StoredRun, ...], capsys: pytest.CaptureFixture[str]
):
    command = ["gate", "runs/export", "--baseline", "runs/parent", "--export"]

    assert 1 == main([*command, "--engine-control", "runs/control"])

    said = " ".join(capsys.readouterr().out.split())
    assert "12 of 100 answers are not those of the parent" in said
    assert "-9 points by quantisation" in said
    assert "What the export changed" in said
    assert "may the export ship in place of its parent?" in said
    assert 2 == main([*command[:-1], "--logits"])
    assert "add --export" in capsys.readouterr().err
