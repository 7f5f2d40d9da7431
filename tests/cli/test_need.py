"""
``harness need``: how many cases a question needs.
"""

import pytest

from harness.cli.main import main


@pytest.mark.parametrize("text", ["3pp", "3%", "0.03"])
def test_need_says_how_many_cases_a_question_needs(text: str, capsys: pytest.CaptureFixture[str]):
    assert main(["need", "--drop", text, "--discordance", "5%"]) == 0
    said = capsys.readouterr().out

    assert "534 cases" in said
    assert "394 cases" in said


def test_need_says_what_several_suites_take(capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["need", "--suites", "7"])

    assert "7 suites gated one by one, each at alpha 5%, block an equal release in up to 30 of" in (
        capsys.readouterr().out
    )
    assert 2 == main(["need", "--suites", "none"])
