"""
One gate for every surface: Python, the command line, pytest and the demo.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.demo import gate_candidate
from harness.cli.main import main
from harness.errors import StoreError, UsageError
from harness.gating.decision import Gated
from harness.gating.policy import default_policy
from harness.gating.verdict import Verdict
from harness.runs.store import StoredRun, load_run
from harness.workflow.options import RunOptions
from harness.workflow.project import open_project

from .. import noisy
from ..builders import question, write_suite

pytest_plugins = ["pytester"]

COUNT = 120
POLICY = 'anchor = "v1"\n[limits]\naccuracy = "-3pp"\n'


def cases(start: int, stop: int) -> list[str]:
    return [f"c{number}" for number in range(start, stop)]


def checkpoint(name: str, **behaviour: Any) -> str:
    Path(f"{name}.json").write_text(json.dumps({"weights": name, **behaviour}))
    return f"noisy:{name}.json"


def made(name: str, **behaviour: Any) -> StoredRun:
    """
    A run, in batches, of a checkpoint that behaves so.
    """
    return harness.run("ask", checkpoint(name, **behaviour), out=Path("runs") / name)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite of 120 cases. The anchor v1 got all of them right; the last release, shipped, 12 wrong.
    """
    noisy.install(monkeypatch)
    write_suite(pytester.path, [question(name, tags=["short"]) for name in cases(0, COUNT)])
    for name, baseline, wrong in (("first", "v1", 0), ("last", "shipped", 12)):
        made(name, wrong=cases(0, wrong))
        assert 0 == main(["baseline", "save", f"runs/{name}", "--name", baseline])
    return pytester.path


# As the last release, but for eight cases that are wrong in a batch and right alone.
CANDIDATE = {"wrong": cases(0, 12), "wrong_batched": cases(12, 20)}


class _Gates:
    """
    A plugin that keeps what pytest's gate items came to.
    """

    def __init__(self) -> None:
        self.gated: list[Gated] = []

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if hasattr(item, "gated"):
            self.gated.append(item.gated)


def told(verdict: Verdict) -> dict[str, Any]:
    """
    A verdict in JSON, without where its policy was read: relative to here, or to pytest's rootdir.
    """
    data = verdict.to_json()
    assert data["anchor"] is not None
    return data | {"policy": None, "anchor": data["anchor"] | {"policy": None}}


def test_every_surface_gives_the_same_verdict(
    project: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
):
    """
    The policy names an anchor, and answers made in batches are decided again: both are part of the
    gate, on every surface.
    """
    (project / "gate.toml").write_text(POLICY)
    gates = _Gates()
    pytester.inline_run(
        "suites",
        *("--checkpoint", checkpoint("new", **CANDIDATE)),
        *("--harness-baseline", "shipped", "--harness-out", "runs", "-k", "gate"),
        plugins=[gates],
    )
    new, here = load_run(Path("runs/ask")), open_project()
    shipped, policy = here.baseline(new.record, "shipped"), here.policy()
    capsys.readouterr()
    code = main(["gate", "runs/ask", "--baseline", "shipped", "--json", "-"])
    command = json.loads(capsys.readouterr().out)
    command = command | {"policy": None, "anchor": command["anchor"] | {"policy": None}}

    assert (1, "regressed") == (code, command["verdict"])
    assert command["reasons"][0].startswith("against the anchor v1: accuracy fell")
    assert "8 of 8 were not confirmed at batch size 1" in command["notes"][0]
    for surface, gated in {
        "pytest": gates.gated[0],
        "python": harness.gate(shipped, new, policy),
        "python, by names": harness.gate("shipped", "runs/ask"),
        "demo": gate_candidate(here, shipped, new, policy, quiet=True),
    }.items():
        assert command == told(gated.verdict), surface


def test_in_python_the_policy_is_the_projects_unless_another_is_given(project: Path):
    (project / "gate.toml").write_text('[limits]\naccuracy = "-50pp"\n')
    new = made("new", wrong=cases(0, 40))

    assert "pass" == harness.gate("shipped", new).verdict.verdict
    assert "regressed" == harness.gate("shipped", new, default_policy()).verdict.verdict
    (project / "strict.toml").write_text('[limits]\naccuracy = "-1pp"\n')
    assert "regressed" == harness.gate("shipped", new, Path("strict.toml")).verdict.verdict


def test_an_anchor_can_be_named_beside_the_policy(project: Path):
    policy = replace(default_policy(), anchor="v0")
    new = made("new", wrong=cases(0, 12))

    with pytest.raises(StoreError, match="has no baseline 'v0'"):
        harness.gate("shipped", new, policy)
    found = harness.gate("shipped", new, policy, anchor="v1").verdict
    assert found.anchor is not None
    assert ("shipped", "v1") == (found.baseline, found.anchor.baseline)


def test_an_anchor_that_is_the_baseline_is_held_against_once(project: Path):
    new = made("new", wrong=cases(0, 12))
    shipped = load_run(project / "baselines" / "ask" / "shipped")

    assert harness.gate(shipped, new, anchor="shipped").verdict.anchor is None


def test_notes_say_how_old_a_baseline_is_and_what_was_accepted_since(project: Path):
    new = made("new", wrong=cases(0, 12))
    file = project / "baselines" / "ask" / "v1" / "history.jsonl"
    entry = json.loads(file.read_text("utf-8"))
    saved = datetime.fromisoformat(entry["saved"])
    entry["saved"] = (saved - timedelta(days=9)).isoformat()
    file.write_text(json.dumps(entry) + "\n", "utf-8")

    def notes(days: int) -> list[str]:
        day = saved.date() + timedelta(days=days)
        gated = harness.gate("shipped", new, default_policy(), anchor="v1", today=day)
        return [note for note in gated.verdict.notes if "accepted" in note]

    anchor = "against the anchor: v1 was accepted {} days ago, and 1 other run of its suite since"
    assert [anchor.format(38)] == notes(29)
    assert ["shipped was accepted 30 days ago", anchor.format(39)] == notes(30)


@pytest.mark.parametrize("name", ["v1", "shipped"])
@pytest.mark.parametrize("text", ["{", '"saved": 7', "2026-01-01"])
def test_a_history_that_cannot_be_read_is_nothing_to_a_verdict(project: Path, name: str, text: str):
    new = made("new", wrong=cases(0, 12))
    file = project / "baselines" / "ask" / name / "history.jsonl"
    entry = json.loads(file.read_text("utf-8"))
    whole = json.dumps({**entry, "saved": text}) if text[0] == "2" else text
    file.write_text(whole + "\n", "utf-8")

    assert "pass" == harness.gate("shipped", new).verdict.verdict


def test_a_candidate_that_is_better_beyond_chance_should_become_the_baseline(project: Path):
    def proposed(wrong: int) -> list[str]:
        new = made(f"new-{wrong}", wrong=cases(0, wrong))
        notes = harness.gate("shipped", new).verdict.notes
        return [note for note in notes if "makes this run the baseline" in note]

    assert [] == proposed(9)
    assert [] == proposed(12)
    (note,) = proposed(2)
    assert note.startswith(
        "better by 8.3 points, beyond chance (p 0.00098): while the baseline stays"
    )


def test_without_a_recheck_nothing_is_asked_again(project: Path):
    new = made("new", **CANDIDATE)
    noisy.asked.clear()

    assert "regressed" == harness.gate("shipped", new, recheck=False).verdict.verdict
    assert [] == noisy.asked
    assert "pass" == harness.gate("shipped", new, recheck=True).verdict.verdict


def test_runs_can_be_named_by_folder(project: Path):
    made("new", wrong=cases(0, 12))

    assert "regressed" == harness.gate(Path("runs/first"), Path("runs/new")).verdict.verdict
    assert "pass" == harness.gate(Path("runs/last"), "runs/new").verdict.verdict


def test_a_slice_of_a_tag_that_no_case_has_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "gate.toml").write_text('[slices.shrot]\naccuracy = "-3pp"\n')
    made("candidate", **CANDIDATE)

    assert 2 == main(["gate", "runs/candidate", "--baseline", "shipped"])
    assert "[slices.shrot]: no case of these runs has this tag; did you mean 'short'?" in (
        capsys.readouterr().err
    )


def test_nothing_changed_is_a_verdict_of_its_own_kind(project: Path):
    """
    In one group of 120 cases nothing can be ruled out, unless every answer is the same.
    """
    write_suite(project, [question(name, group="one") for name in cases(0, COUNT)])
    policy = harness.read_policy('[limits]\naccuracy = "-3pp"', "test")
    hermes = RunOptions(dialect="hermes")
    text = (made("one").folder / "transcripts.jsonl").read_text()
    runs = []
    spaced = text.replace("</tool_call>", " </tool_call>", 1)
    for name, said in (("a", text), ("b", text), ("c", spaced)):
        Path(f"{name}.jsonl").write_text(said)
        runs.append(
            harness.run("ask", f"replay:{name}.jsonl", out=Path(f"runs/{name}"), options=hermes)
        )

    same, other = (harness.gate(runs[0], new, policy, recheck=False).verdict for new in runs[1:])

    assert "pass" == same.verdict
    assert "nothing changed: every answer is the same to the token" in same.reasons[0].text
    assert "inconclusive" == other.verdict


@pytest.mark.parametrize("lost", ["removed", "added", "changed", "broke"])
def test_what_was_not_compared_is_not_said_to_be_unchanged(project: Path, lost: str):
    """
    One common case of 120 passed as "every answer is the same to the token".
    """
    policy = harness.read_policy('[limits]\naccuracy = "-3pp"', "test")
    hermes = RunOptions(dialect="hermes")
    lines = (made("one").folder / "transcripts.jsonl").read_text().splitlines()
    names = list(cases(0, COUNT))

    def run(name: str, asked: list[str], **tags: Any) -> StoredRun:
        write_suite(project, [question(each, group="one", **tags.get(each, {})) for each in asked])
        said = [line for line in lines if json.loads(line)["case"] in asked]
        if name == "new" and lost == "broke":
            said[0] = json.dumps({"case": names[0], "error": "out of memory"})
        Path(f"{name}.jsonl").write_text("\n".join(said))
        return harness.run("ask", f"replay:{name}.jsonl", out=Path(f"runs/{name}"), options=hermes)

    old = run("old", names[1:] if lost == "added" else names)
    if lost == "changed":
        changed = {names[0]: {"prompt": "another question altogether"}}
        new = run("new", names, **changed)
    else:
        new = run("new", names[:-1] if lost == "removed" else names)

    verdict = harness.gate(old, new, policy, recheck=False).verdict

    assert "inconclusive" == verdict.verdict
    assert all("same to the token" not in reason.text for reason in verdict.reasons)


@pytest.mark.parametrize(
    "field",
    [
        "backend",
        "backend.dtype",
        "dtype",
        "backend.server",
        "backend.server.kind",
        "fingerprints",
        "backend.tool_names",
        "generation.top_p",
        "suite.name",
        "checkpoint.response_template",
    ],
)
def test_a_field_that_runs_can_differ_in_may_be_allowed_though_these_do_not_have_it(
    project: Path, field: str
):
    run = load_run(Path("runs/first"))

    assert "pass" == harness.gate("v1", run, allow=[field]).verdict.verdict


def test_a_field_that_no_run_can_differ_in_is_not_allowed_in_silence(project: Path):
    run = load_run(Path("runs/first"))

    with pytest.raises(UsageError, match=r"unknown field 'foo' to allow; choose from "):
        harness.gate("v1", run, allow=["foo"])


def test_what_only_one_of_the_runs_says_of_its_backend_may_be_allowed(project: Path):
    run = load_run(Path("runs/first"))
    backend = replace(run.record.backend, extra={"quantization": "int4"})
    other = replace(run, record=replace(run.record, backend=backend))

    gated = harness.gate("v1", other, allow=["quantization"], recheck=False)

    assert "pass" == gated.verdict.verdict
