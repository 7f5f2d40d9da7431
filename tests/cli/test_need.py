"""
``harness need``: how many cases a question needs.
"""

import pytest

from harness.cli.main import main


@pytest.mark.parametrize("text", ["3pp", "3%", "0.03"])
def test_need_says_how_many_cases_a_question_needs(text: str, capsys: pytest.CaptureFixture[str]):
    assert main(["need", "--drop", text, "--discordance", "5%"]) == 0
    said = capsys.readouterr().out

    assert "548 cases" in said
    assert "344 cases" in said
