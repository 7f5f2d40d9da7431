"""
``harness doctor``: what is installed and what works.
"""

import json
from pathlib import Path

import pytest

from harness.cli.main import main


def test_doctor_finds_this_installation_in_order(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "-v"]) == 0
    said = capsys.readouterr().out

    for what in ("suite ask", "transformers", "dialect hermes", "cache"):
        assert f"ok  {what} " in said
    assert "BROKEN" not in said


def test_doctor_is_short_and_counts_what_is_fine(project: Path, capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["doctor"])

    lines = capsys.readouterr().out.splitlines()
    assert 14 >= len(lines)
    rows = {line.split()[1]: line.split(maxsplit=2)[2] for line in lines if line.startswith("ok")}
    assert "1; -v lists them" == rows["suites"]
    assert {"harness", "packages", "dialects", "cache", "machine"} <= set(rows)


def test_doctor_names_what_is_broken_however_short_it_is(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "suites" / "ask" / "suite.yaml").write_text("format: 1\n")

    assert 2 == main(["doctor"])

    (row,) = [line for line in capsys.readouterr().out.splitlines() if "BROKEN" in line]
    assert row.startswith("BROKEN  suite ask ")


def test_options_of_a_checkpoint_without_one_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    served = ["--tokenizer", "x", "--api-key-env", "Y", "--concurrency", "2"]
    assert 2 == main(["doctor", *served, "--request-timeout", "3", "--dialect", "hermes"])

    said = capsys.readouterr()
    assert "" == said.out
    assert (
        "--dialect, --tokenizer, --concurrency, --api-key-env, --request-timeout without a "
        "CHECKPOINT; name the one to check"
    ) in said.err


@pytest.mark.parametrize("option", [["--dialect", "hermes"], ["--concurrency", "1"]])
def test_one_option_of_a_checkpoint_without_one_is_refused(
    project: Path, option: list[str], capsys: pytest.CaptureFixture[str]
):
    assert 2 == main(["doctor", *option])

    assert f"{option[0]} without a CHECKPOINT; name the one to check" in capsys.readouterr().err


def test_doctor_tells_programs_everything(project: Path, capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["doctor", "--json", "-"])

    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    expected = {"what": "suite ask", "finding": "1.0.0, 120 cases", "broken": False}
    assert expected == found["suite ask"]
    assert "transformers" in found
