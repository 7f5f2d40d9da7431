"""
``harness compare``: checkpoints side by side.
"""

from pathlib import Path

import pytest

from harness.cli.main import main

from .conftest import answers, run


def test_compare_shows_any_number_side_by_side(project: Path, capsys: pytest.CaptureFixture[str]):
    for name, wrong in (("one", 0), ("two", 5), ("three", 9)):
        run(project, name, answers(wrong=wrong))
    capsys.readouterr()
    assert main(["compare", "one", "two", "three"]) == 0
    text = capsys.readouterr().out

    for name in ("one", "two", "three"):
        assert name in text
    assert "100.0%" in text
    assert "92.5%" in text
