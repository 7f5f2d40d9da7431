"""
Executed suites from the command line: agents and what is found, judging again, replay, resuming.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.runs import judging
from harness.runs.store import load_run
from tests import agents


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    agents.write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(agent: str, out: str | None = None, *more: str, suite: str = "kb") -> Path:
    reference = agent if ":" in agent else f"python:tests.agents:{agent}"
    folder = out or f"run-{agent}"
    command = ["run", suite, "--checkpoint", reference, "--out", folder, "--quiet", *more]
    assert 0 == main(command)
    return Path(folder)


def findings(folder: Path) -> dict[str, list[str]]:
    record = load_run(folder).record
    return {case.id: sorted(each.code for each in case.findings) for case in record.cases}


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        ("right", []),
        ("wrong_query", ["no_relevant_document", "wrong_answer"]),
        ("loops", ["repeated_step", "wrong_answer"]),
        ("never_stops", ["step_limit", "wrong_answer"]),
        ("unknown_tool", ["no_relevant_document", "undeclared_tool", "wrong_answer"]),
        (
            "bad_arguments",
            [
                *("no_relevant_document", "schema_violation"),
                *("unexpected_argument", "wrong_answer"),
            ],
        ),
        ("never_calls", ["no_call", "no_relevant_document", "wrong_answer"]),
        ("invents", ["unsupported_fact", "unsupported_fact"]),
    ],
)
def test_each_agent_has_its_findings(project: Path, agent: str, found: list[str]):
    judged = findings(run(agent))

    assert found == judged["leave"]
    assert found or "correct" == load_run(Path("run-right")).record.cases[0].status


def test_what_came_of_a_case_is_in_the_record(project: Path):
    result = load_run(run("right")).record.cases[0]

    assert result.executed is not None
    assert ("answered", True, True, True) == (
        result.executed.stop,
        result.executed.called,
        result.executed.found,
        result.executed.answered,
    )
    assert (1.0, 1.0, 1.0) == (
        result.executed.recall,
        result.executed.reciprocal_rank,
        result.executed.ndcg,
    )
    assert 1 == len(result.executed.steps)


def test_two_processes_judge_executed_cases_as_one_does(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(judging, "FEWEST", 1)
    run("invents")
    for workers in ("1", "2"):
        again = ["score", "run-invents", "--out", workers, "--workers", workers, "--quiet"]
        assert 0 == main(again)

    alone, together = (Path(name, "run.json").read_bytes() for name in ("1", "2"))
    assert alone == together
    assert 2 == len(load_run(Path("2")).record.cases)


def test_a_result_that_differs_is_found_by_each_of_two_processes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(judging, "FEWEST", 1)
    path = run("right") / "transcripts.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    told = [place for place, line in enumerate(lines) if '"results"' in line]
    lines[told[-1]] = lines[told[-1]].replace('"text":"', '"text":"Not ', 1)
    path.write_text("".join(lines), "utf-8")
    said = []
    for workers in ("1", "2"):
        capsys.readouterr()
        assert 2 == main(["score", "run-right", "--workers", workers, "--quiet"])
        said.append(capsys.readouterr().err)

    assert said[0] == said[1]
    assert "'lunch'" in said[0]


def test_a_step_that_breaks_is_an_error_of_its_case(project: Path):
    record = load_run(run("breaks")).record

    assert {"leave": "error", "lunch": "correct"} == {case.id: case.status for case in record.cases}
    assert ["no_call"] != findings(Path("run-breaks"))["leave"]


def test_judging_again_runs_the_calls_again_and_finds_the_same(project: Path):
    first = run("right")
    assert 0 == main(["score", str(first), "--out", "again", "--quiet"])

    assert (first / "transcripts.jsonl").read_text() == Path("again/transcripts.jsonl").read_text()
    assert load_run(first).record.cases == load_run(Path("again")).record.cases


def test_judging_again_refuses_a_result_that_differs(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run("right")
    agents.write_suite(project, corpus=[{**agents.CORPUS[0], "text": "Ask."}, *agents.CORPUS[1:]])

    assert 2 == main(["score", "run-right", "--suite", "kb", "--out", "again", "--quiet"])
    said = "case 'leave', step 0: call 1 no longer returns what is stored"
    assert said in capsys.readouterr().err
    assert not Path("again").exists()


def test_a_corpus_that_changed_makes_runs_not_comparable(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    old = run("right", "old")
    agents.write_suite(project, corpus=[*agents.CORPUS, {"id": "new", "text": "Tea is free."}])
    new = run("right", "new")

    assert 0 == main(["baseline", "save", str(old), "--name", "main"])
    capsys.readouterr()
    assert 3 == main(["gate", str(new), "--baseline", "main"])
    assert "suite.environment" in capsys.readouterr().out


def test_a_replay_holds_the_answers_and_makes_the_results_again(project: Path):
    first = run("right")
    lines = [json.loads(line) for line in (first / "transcripts.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("results", None)
    Path("answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    again = run("replay:answers.jsonl", "replayed")

    assert (first / "transcripts.jsonl").read_text() == (again / "transcripts.jsonl").read_text()
    assert load_run(first).record.cases == load_run(again).record.cases


def test_a_replay_without_a_step_is_an_error_that_names_it(project: Path):
    row = {"case": "leave", "message": agents.call("search", query="leave")}
    other = {"case": "lunch", "message": agents.say("It is free.")}
    Path("answers.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")

    folder = run("replay:answers.jsonl", "replayed")

    (_, second, *_) = [
        json.loads(line) for line in (folder / "transcripts.jsonl").read_text().splitlines()
    ]
    assert "no line for case 'leave', step 1" in second["error"]


def test_a_run_killed_between_waves_is_resumed(project: Path, monkeypatch: pytest.MonkeyPatch):
    whole, right = run("right"), agents.right
    made: list[int] = []

    def dies(messages: Any, tools: Any) -> Any:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(1)
        return right(messages, tools)

    monkeypatch.setattr(agents, "right", dies)
    command = ["run", "kb", "--checkpoint", "python:tests.agents:right", "--out", "killed"]
    assert 0 != main([*command, "--quiet"])
    assert 3 == len(Path("killed/transcripts.jsonl").read_text().splitlines())
    monkeypatch.setattr(agents, "right", right)
    assert 0 == main([*command, "--resume", "--quiet"])

    for name in ("transcripts.jsonl", "suite.json"):
        assert (whole / name).read_text() == (Path("killed") / name).read_text()
    assert load_run(whole).record.cases == load_run(Path("killed")).record.cases


def test_repeats_are_executed_apart(project: Path):
    folder = run("right", "twice", "--repeats", "2")

    assert ["leave", "leave", "lunch", "lunch"] == [
        case.id for case in load_run(folder).record.cases
    ]
    assert 8 == len((folder / "transcripts.jsonl").read_text().splitlines())


PHONE = {
    "format": 1,
    "name": "phone",
    "version": "1.0.0",
    "tools": [
        {
            "name": name,
            "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}},
        }
        for name in ("set.wifi", "set.torch")
    ],
    "environment": {
        "kind": "tables",
        "state": {"settings": [{"id": "wifi", "on": False}, {"id": "torch", "on": False}]},
        "operations": {
            f"set.{name}": {"update": "settings", "where": {"id": name}, "set": {"on": "{on}"}}
            for name in ("wifi", "torch")
        },
    },
    "cases": [
        {
            "id": "wifi",
            "prompt": "Wi-Fi on.",
            "goal": {"settings": {"changed": {"wifi": {"on": True}}}},
        }
    ],
}


@pytest.mark.parametrize(
    ("calls", "found", "reached"),
    [
        ([agents.call("set_wifi", on=True)], [], True),
        ([agents.call("set_torch", on=True)], ["collateral_change", "goal_missed"], False),
        (
            [agents.call("set_wifi", on=True), agents.call("set_torch", on=True)],
            ["collateral_change"],
            True,
        ),
        ([], ["goal_missed"], False),
    ],
)
def test_an_end_state_is_judged_and_what_changed_beside_it(
    project: Path, calls: list[Any], found: list[str], reached: bool
):
    folder = project / "suites" / "phone"
    folder.mkdir()
    (folder / "suite.yaml").write_text(json.dumps(PHONE))
    rows = [
        {"case": "wifi", "step": step, "message": message}
        for step, message in enumerate([*calls, agents.say("Done.")])
    ]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    style = ("--tool-names", "dots-to-underscores")

    stored = run("replay:answers.jsonl", "phone", *style, suite="phone")

    (result,) = load_run(stored).record.cases
    assert found == sorted(each.code for each in result.findings)
    assert result.executed is not None
    assert reached is result.executed.reached
    if calls:
        assert result.turns[0].calls[0]["tool"].startswith("set.")
        assert [("settings", "changed", "on", False, True)] * len(result.executed.changes) == [
            (each.table, each.kind, each.column, each.old, each.new)
            for each in result.executed.changes
        ]


def test_python_code_runs_only_if_it_is_named(project: Path, capsys: pytest.CaptureFixture[str]):
    target = "tests.environments.test_contract:Light"
    folder = project / "suites" / "lamp"
    folder.mkdir()
    suite = {
        **PHONE,
        "name": "lamp",
        "tools": [{**PHONE["tools"][0], "name": "switch"}],  # type: ignore[index]
        "environment": {"kind": "python", "target": target},
        "cases": [
            {"id": "on", "prompt": "On.", "goal": {"lamps": {"changed": {"1": {"on": True}}}}}
        ],
    }
    (folder / "suite.yaml").write_text(json.dumps(suite))
    rows = [agents.call("switch", on=True), agents.say("Done.")]
    lines = [{"case": "on", "step": step, "message": row} for step, row in enumerate(rows)]
    Path("answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    command = ["run", "lamp", "--checkpoint", "replay:answers.jsonl", "--out", "no", "--quiet"]
    assert 2 == main(command)
    assert f"--environment {target}" in capsys.readouterr().err

    stored = run("replay:answers.jsonl", "yes", "--environment", target, suite="lamp")
    assert "correct" == load_run(stored).record.cases[0].status
    assert 2 == main(["score", "yes", "--out", "again", "--quiet"])
    assert 0 == main(["score", "yes", "--environment", target, "--out", "again", "--quiet"])
    assert Path("again/run.json").exists()


def test_arms_are_recorded_judged_again_and_not_comparable_with_the_real_one(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    real = run("right")
    closed = run("never_calls", "closed", "--arm", "closed-book")
    golden = run("reads", "golden", "--arm", "golden")

    assert "golden" == load_run(golden).record.backend.arm
    assert [True, True] == [
        case.executed is not None and bool(case.executed.answered)
        for case in load_run(golden).record.cases
    ]
    assert ["wrong_answer"] == findings(closed)["leave"]
    assert 0 == main(["score", str(golden), "--out", "again", "--quiet"])
    assert load_run(golden).record.cases == load_run(Path("again")).record.cases
    assert 0 == main(["baseline", "save", str(real), "--name", "main"])
    capsys.readouterr()
    assert 3 == main(["gate", str(golden), "--baseline", "main"])
    assert "backend.arm" in capsys.readouterr().out
