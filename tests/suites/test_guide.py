"""
docs/first-suite.md, followed to the letter: every command prints what the page shows.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from harness.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "first-suite.md").read_text("utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def _fix_the_spreadsheet() -> None:
    """
    Do by hand what section 3 asks for.
    """
    file = Path("rows.csv")
    text = file.read_text("utf-8").replace(",now,", ",today,")
    text = text.replace("the laundry is done,,", '"{""contains_any"": [""laundry""]}",,')
    before, _, after = text.rpartition("Thanks!")
    file.write_text(f"{before}Good night{after}", "utf-8")


def _edit_the_cases(block: str) -> None:
    """
    Put the rows of a block in the place of those with their ids.
    """
    file = Path("suites/home/cases.jsonl")
    texts = [*file.read_text("utf-8").splitlines(), *block.splitlines()]
    rows = {json.loads(text)["id"]: text for text in texts}
    file.write_text("".join(f"{text}\n" for text in rows.values()), "utf-8")


def _follow(block: str, capsys: pytest.CaptureFixture[str]) -> str:
    """
    Run the commands of a block, and give it as a terminal would show it.
    """
    shown = []
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        words = shlex.split(command)
        main(words[1:])
        shown.append(f"$ {command}\n{capsys.readouterr().out}")
    return "".join(shown)


def test_the_guide_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    rows, added = _blocks("csv")
    tools, loosened = _blocks("json")
    imported, checked, again, whole, released, raised = _blocks("console")
    Path("rows.csv").write_text(rows, "utf-8")
    Path("tools.json").write_text(tools, "utf-8")

    assert imported == _follow(imported, capsys)
    assert checked == _follow(checked, capsys)
    _fix_the_spreadsheet()
    assert again == _follow(again, capsys)
    _edit_the_cases(loosened)
    assert whole == _follow(whole, capsys)
    assert released == _follow(released, capsys)
    with Path("rows.csv").open("a", encoding="utf-8") as sheet:
        sheet.write(added)
    assert raised == _follow(raised, capsys)
    for line in loosened.splitlines():
        assert line in Path("suites/home/cases.jsonl").read_text("utf-8"), "after an update, too"
    (changes,) = _blocks("markdown")
    undated = re.compile(r"\(\d{4}-\d\d-\d\d\)")
    written = Path("suites/home/CHANGELOG.md").read_text("utf-8")
    assert undated.sub("", changes) == undated.sub("", written)
