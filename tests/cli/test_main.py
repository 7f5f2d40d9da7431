"""
What an error becomes: an exit code, and one clear line or a traceback.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run, save


def test_a_bug_keeps_its_traceback_and_is_not_a_verdict(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    Exit code 1 says regressed; a crash of the harness must not.
    """
    monkeypatch.setattr("harness.workflow.project.open_project", lambda _: 1 / 0)

    assert main(["compare", "a", "b"]) == 2
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "bug" in error


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, SystemExit])
def test_what_is_not_an_exception_is_not_a_verdict_either(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
):
    def broken(_: object) -> None:
        raise kind(1)

    monkeypatch.setattr("harness.workflow.project.open_project", broken)

    assert main(["compare", "a", "b"]) == 2
    assert kind.__name__ in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "ask", "--checkpoint", "replay:none.jsonl"], "none.jsonl"),
        (["run", "aks", "--checkpoint", "replay:x"], "ask"),
        (["run", "ask", "--checkpoint", "no/such/folder"], "no/such/folder"),
        (["run", "ask", "--checkpoint", "python:no_such_module:f"], "no_such_module"),
        (["score", "nowhere", "--suite", "ask"], "nowhere"),
        (["compare", "a", "b"], "neither a run folder nor a baseline"),
        (["gate", "nowhere", "--baseline", "x"], "nowhere"),
        (["suite", "check", "nowhere"], "nowhere"),
        (["baseline", "show", "nowhere"], "nowhere"),
        (["run", "ask", "--checkpoint", "replay:x", "--root", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_clear_error_and_exit_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
):
    assert main([*arguments]) == 2
    error = capsys.readouterr().err

    assert part in error
    assert error.startswith("harness: ") or "\nharness: " in error
    assert "Traceback" not in error


def loaded(*words: str) -> set[str]:
    """
    The modules that a command has loaded when it is done.
    """
    code = f"from harness.cli.main import main; main({words!r}); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_asking_for_help_imports_nothing_that_a_command_needs():
    """
    ``harness --help`` takes hardly longer than Python itself.
    """
    modules = loaded("--help")

    ours = {name for name in modules if name.startswith("harness.")}
    assert "harness.cli.gate" in ours
    light = {"harness.errors", "harness.reports", "harness.reports.escape", "harness.wording"}
    light |= {"harness.checkpoints", "harness.checkpoints.licences"}
    assert set() == {name for name in ours - light if not name.startswith("harness.cli")}
    assert set() == {"dataclasses", "importlib.metadata", "tabulate"} & modules


@pytest.mark.parametrize("words", [["gate"], ["report"], ["suite", "import"], ["run"]])
def test_the_help_of_a_command_imports_names_and_not_what_they_name(words: list[str]):
    modules = loaded(*words, "--help")

    assert set() == {"harness.reports.report", "harness.renderers.json", "jsonschema"} & modules
    assert set() == {"harness.importers.bfcl", "harness.workflow.run", "torch"} & modules


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "one", "one"],
        ["gate", "one", "--baseline", "shipped"],
        ["baseline", "save", "one", "--name", "next"],
        ["score", "one.jsonl", "--suite", "ask"],
    ],
    ids=" ".join,
)
def test_commands_on_stored_runs_import_no_model_and_no_validator_of_strange_files(
    project: Path, words: list[str]
):
    """
    Each of these packages takes a tenth of a second or more.
    """
    run(project, "one", answers())
    save("one")

    assert set() == {"jsonschema", "referencing", "torch", "transformers", "scipy"} & loaded(*words)


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (
            ["baseline", "save", "one", "--name", "next"],
            {"harness.comparison.compare", "harness.gating.gate"},
        ),
        (
            ["score", "one.jsonl", "--suite", "ask"],
            {"harness.finetuning.finetune", "harness.backends.transformers"},
        ),
    ],
)
def test_a_command_imports_nothing_of_what_others_do(
    project: Path, words: list[str], others: set[str]
):
    run(project, "one", answers())

    assert set() == others & loaded(*words)


COMMANDS = [
    ["--help"],
    ["gate", "--help"],
    ["--version"],
    ["explain", "one", "c0"],
    ["report", "one"],
    ["report", "one", "--json", "-"],
    ["compare", "one", "one"],
    ["baseline", "list"],
    ["baseline", "show", "shipped"],
    ["baseline", "history"],
    ["suite", "list"],
    ["suite", "show", "ask"],
    ["suite", "check", "ask"],
    ["need"],
]


def test_a_reader_that_stops_reading_stops_no_command(project: Path):
    """
    ``harness explain RUN CASE | head -n 1`` ends quietly, and by its own exit code.
    """
    run(project, "one", answers())
    save("one")
    program = """
import os, sys
from harness.cli.main import main
for words in {commands}:
    # A pipe that nobody reads any more.
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    os.close(writer)
    print(words, main(words), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program.format(commands=COMMANDS)], capture_output=True, text=True
    )

    said = done.stderr.splitlines()
    # The check has findings.
    codes = [(words, int("check" in words)) for words in COMMANDS]
    assert [f"{words} {code}" for words, code in codes] == [line for line in said if line[0] == "["]
    # The last line of a report that went to standard output.
    assert 1 == len(said) - len(COMMANDS)
    assert 0 == done.returncode


def test_a_broken_pipe_of_the_real_program_is_quiet(project: Path):
    run(project, "one", answers())
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "explain", "one", "c0"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)

    assert ("", 0) == (done.stderr, done.returncode)
