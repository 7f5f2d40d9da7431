"""
Licences that a person has to accept: by the environment, or on the command line.
"""

import os

import pytest

from harness.checkpoints.licences import ACCEPTED, GEMMA, accept, check_accepted
from harness.cli.main import main
from harness.errors import CheckpointError, UsageError


@pytest.fixture(autouse=True)
def nothing_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that what a test accepts is undone.
    monkeypatch.setenv(ACCEPTED, "")


def test_nothing_is_accepted_unless_somebody_says_so():
    with pytest.raises(CheckpointError, match=r"read https://ai\.google\.dev/gemma/terms, then"):
        check_accepted(GEMMA, "embedded:x")


@pytest.mark.parametrize("named", ["gemma", "other, gemma"])
def test_the_environment_accepts(monkeypatch: pytest.MonkeyPatch, named: str):
    monkeypatch.setenv(ACCEPTED, named)

    check_accepted(GEMMA, "embedded:x")


def test_what_is_accepted_is_accepted_for_processes_started_from_here():
    accept("gemma")
    accept("gemma")

    check_accepted(GEMMA, "embedded:x")
    assert "gemma" == os.environ[ACCEPTED]


def test_an_unknown_licence_is_refused():
    with pytest.raises(UsageError, match="unknown licence 'gema' to accept"):
        accept("gema")


@pytest.mark.parametrize("command", ["run", "aa", "stack", "latency", "doctor", "finetune"])
def test_every_command_that_loads_a_checkpoint_can_accept(
    command: str, capsys: pytest.CaptureFixture[str]
):
    assert 0 == main([command, "--help"])
    assert "--accept-licence" in capsys.readouterr().out

    assert 2 == main([command, "--accept-licence", "mine"])
    assert "--accept-licence: unknown value 'mine'; choose from gemma" in capsys.readouterr().err


def test_the_command_line_accepts(capsys: pytest.CaptureFixture[str]):
    main(["doctor", "embedded:gemma3-270", "--accept-licence", "gemma"])

    check_accepted(GEMMA, "embedded:x")
