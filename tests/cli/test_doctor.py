"""
``harness doctor``: what is installed and what works.
"""

from pathlib import Path

import pytest

from harness.cli.main import main


def test_doctor_finds_this_installation_in_order(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out

    assert "suite ask" in said
    assert "BROKEN" not in said
