"""
docs/first-suite.md, followed to the letter: every command prints what the page shows.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from harness.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "first-suite.md").read_text("utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def _mend_the_spreadsheet() -> None:
    """
    Do by hand what section 3 asks for.
    """
    file = Path("rows.csv")
    before, _, after = file.read_text("utf-8").replace('""now""', '""today""').rpartition("Thanks!")
    file.write_text(f"{before}Good night{after}", "utf-8")


def _edit_the_cases(block: str) -> None:
    """
    Put the rows of a block in the place of those with their ids, or at the end.
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
        if words[0] == "rm":
            shutil.rmtree(words[-1])
        else:
            main(words[1:])
        shown.append(f"$ {command}\n{capsys.readouterr().out}")
    return "".join(shown)


def test_the_guide_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (rows,) = _blocks("csv")
    tools, loosened, added = _blocks("json")
    imported, checked, again, whole, released, raised = _blocks("console")
    Path("rows.csv").write_text(rows, "utf-8")
    Path("tools.json").write_text(tools, "utf-8")

    assert imported == _follow(imported, capsys)
    assert checked == _follow(checked, capsys)
    _mend_the_spreadsheet()
    # The import repeats what was shown before; the page leaves it out.
    assert again.splitlines()[-1] == _follow(again, capsys).splitlines()[-1]
    _edit_the_cases(loosened)
    assert whole == _follow(whole, capsys)
    assert released == _follow(released, capsys)
    _edit_the_cases(added)
    assert raised == _follow(raised, capsys)
    (changes,) = _blocks("markdown")
    undated = re.compile(r"\(\d{4}-\d\d-\d\d\)")
    written = Path("suites/home/CHANGELOG.md").read_text("utf-8")
    assert undated.sub("", changes) == undated.sub("", written)
