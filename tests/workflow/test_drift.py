"""
The accepted runs of a suite in a chain: which there are, in which order, and what they come to.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.runs.baselines import replaced_runs

from ..builders import question, write_suite

COUNT = 100


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path, [question(f"c{number}") for number in range(COUNT)])
    return tmp_path


def release(wrong: int, *, name: str = "shipped", said: str = "") -> None:
    """
    Accept a run in which the first cases are wrong.
    """
    rows = []
    for number in range(COUNT):
        tool = "outside" if number < wrong else "inside"
        call = {"type": "function", "function": {"name": tool, "arguments": {"q": f"c{number}"}}}
        rows.append({"case": f"c{number}", "message": {"content": said, "tool_calls": [call]}})
    file = Path(f"r{wrong}{said}.jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = f"runs/{wrong}{said}-{name}"
    assert 0 == main(["run", "ask", "--checkpoint", f"replay:{file}", "--out", run, "--quiet"])
    words = ["--name", name, "--replace", "--reason", "a test"]
    assert 0 == main(["baseline", "save", run, *words])


def dated() -> None:
    """
    Give the accepted runs times a day apart, in the order they were accepted.
    """
    kept = list(reversed(replaced_runs(Path("baselines")).get(("ask", "shipped"), [])))
    chain = [*kept, Path("baselines/ask/shipped")]
    for many, folder in enumerate(chain, start=1):
        rows = [json.loads(each) for each in (folder / "history.jsonl").read_text().splitlines()]
        for day, row in enumerate(rows, start=1):
            row["saved"] = f"2026-01-{day:02}T12:00:00+00:00"
        assert many == len(rows)
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def drifted(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = int(main(["drift", "--suite", "ask", "--json", "-", *more]))
    return code, json.loads(capsys.readouterr().out)


def test_a_chain_that_loses_a_little_each_time_drifts(capsys: pytest.CaptureFixture[str]):
    for wrong in (2, 4, 6, 8, 10):
        release(wrong)
    dated()

    code, found = drifted(capsys)

    assert (1, True, COUNT) == (code, found["drifts"], found["answers"])
    assert [98, 96, 94, 92, 90] == [each["right"] for each in found["releases"]]
    assert -0.02 == pytest.approx(found["per_release"])
    assert "shipped" == found["releases"][-1]["name"]
    assert 1 == main(["drift", "--suite", "ask"])
    assert "ask: drifts: 5 accepted runs over 100 common answers; it loses 2 points a release" in (
        capsys.readouterr().out
    )


def test_a_chain_of_equal_releases_does_not(capsys: pytest.CaptureFixture[str]):
    for said in ("", "a", "b", "c"):
        release(5, said=said)
    dated()

    code, found = drifted(capsys)

    assert (0, False, 4) == (code, found["drifts"], len(found["releases"]))


def test_a_run_that_was_accepted_twice_counts_once_and_a_name_is_a_chain_of_its_own(
    capsys: pytest.CaptureFixture[str],
):
    release(2)
    assert 0 == main(["baseline", "save", "runs/2-shipped", "--name", "v1"])
    release(4)

    assert 2 == len(drifted(capsys)[1]["releases"])
    assert [96] == [each["right"] for each in drifted(capsys, "--name", "shipped")[1]["releases"]
                    if each["name"] == "shipped"]  # fmt: skip


def test_only_questions_that_all_releases_were_asked_are_counted(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    release(2)
    write_suite(
        project,
        [question(f"c{number}", q="z" if number > 89 else None) for number in range(COUNT)],
        version="2.0.0",
    )
    release(4)

    code, found = drifted(capsys)

    assert (0, 90, None) == (code, found["answers"], found["p"])


def test_without_an_accepted_run_there_is_no_chain(capsys: pytest.CaptureFixture[str]):
    assert 2 == main(["drift", "--suite", "ask", "--name", "v9"])

    assert "no run of suite ask was accepted as v9: there is no chain" in capsys.readouterr().err
