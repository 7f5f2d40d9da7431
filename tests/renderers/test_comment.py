"""
Comments as people read them, compared with files: `python -m tests.comments` writes those.
"""

import pytest

from harness.renderers.comment import render
from harness.testing.reports import WRONG, case, gated, turn, view
from harness.workflow.comment import MARKER

from ..comments import COMMENTS, FOLDER


@pytest.mark.parametrize("name", COMMENTS)
def test_a_comment_reads_as_it_was_reviewed(name: str):
    wanted = (FOLDER / f"{name}.md").read_text("utf-8")

    assert wanted == render(COMMENTS[name]()), "python -m tests.comments writes them anew"
    # What is shown is not folded as well.
    tables = [row for row in wanted.splitlines() if row.startswith("| metric |")]
    assert len(tables) == (2 if name == "two-suites" else 1)
    assert 60_000 > len(wanted)


def test_no_file_is_left_of_a_comment_that_is_gone():
    assert {f"{name}.md" for name in COMMENTS} == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize(
    ("name", "alert", "word"),
    [
        ("pass", "NOTE", "pass"),
        ("regressed", "CAUTION", "regressed"),
        ("inconclusive", "WARNING", "inconclusive"),
        ("not-comparable", "WARNING", "not comparable"),
        ("overridden", "WARNING", "regressed, overridden"),
        ("two-suites", "CAUTION", "regressed"),
    ],
)
def test_the_alert_comes_first(name: str, alert: str, word: str):
    marker, said = (FOLDER / f"{name}.md").read_text("utf-8").split("\n\n")[:2]

    assert marker.startswith(MARKER)
    assert said.startswith(f"> [!{alert}]\n> **{word}**: ")


def test_two_suites_are_beside_each_other_in_one_comment():
    text = (FOLDER / "two-suites.md").read_text("utf-8")
    table = text[: text.index("#### Broken (12 cases, 10 of them shown)")]

    rows = [row for row in table.splitlines() if row.startswith("| `")]
    assert [["`routing`", "required", "regressed"], ["`abstention`", "required", "pass"]] == [
        row.strip("| ").split(" | ")[:3] for row in rows
    ]
    assert 1 == text.count(MARKER)
    assert 1 == text.count("| suite |")
    assert "<summary>routing: regressed</summary>" in text
    assert "<summary>abstention: pass</summary>" in text


def test_a_comment_on_many_broken_cases_with_long_answers_fits():
    calls = ({"tool": "google", "arguments": {"query": "leave " * 400}},)
    wrong = turn("incorrect", *WRONG.findings, calls=calls)
    names = [f"case-{number:04}" for number in range(1300)]
    old = view("shipped", [case(name) for name in names])
    third = [case(each, *([wrong] if k % 3 == 0 else [])) for k, each in enumerate(names)]
    new = view("candidate", third)
    text = render(gated(old, new))

    assert 60_000 > len(text)
    assert "#### Broken (434 cases, 10 of them shown)" in text
    assert 10 == text[: text.index("<details>")].count("\n- **`case-")
