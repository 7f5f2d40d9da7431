"""
``harness suite import --update``: nothing that was edited in a suite is lost, and all is said.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.suites.files import load_suite
from tests.importers.examples import CHAT, TOOL, lines

HEAD = "id,prompt,tool,query,limit,tags\n"
ROWS = [
    "a,Find pears.,search,fresh pears,1,plain",
    "b,Find plums.,search,fresh plums,1,plain",
    "c,Find figs.,search,fresh figs,1,plain",
]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite that was imported from three rows.
    """
    monkeypatch.chdir(tmp_path)
    Path("tools.json").write_text(json.dumps([TOOL]), "utf-8")
    table(*ROWS)
    command = ["suite", "import", "sheet", "rows.csv", "--tools", "tools.json"]
    assert main([*command, "--out", "fruit"]) == 0
    return Path("fruit")


def table(*rows: str, head: str = HEAD) -> None:
    Path("rows.csv").write_text(head + "".join(f"{row}\n" for row in rows), "utf-8")


def update(capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    assert code == main(["suite", "import", "sheet", "rows.csv", "--out", "fruit", "--update"])
    said = capsys.readouterr()
    return said.err if code else said.out


def case(identity: str) -> dict[str, Any]:
    rows = map(json.loads, Path("fruit/cases.jsonl").read_text("utf-8").splitlines())
    found: dict[str, Any] = next(row for row in rows if row["id"] == identity)
    return found


def edit(identity: str, **keys: Any) -> None:
    file = Path("fruit/cases.jsonl")
    texts = file.read_text("utf-8").splitlines()
    rows = [json.loads(text) for text in texts]
    edited = [
        json.dumps({**row, **keys}) if row["id"] == identity else text
        for row, text in zip(rows, texts, strict=True)
    ]
    file.write_text("".join(f"{text}\n" for text in edited), "utf-8")


def wanted(query: Any, limit: Any = 1) -> dict[str, Any]:
    return {"calls": [{"tool": "search", "arguments": {"query": query, "limit": limit}}]}


LOOSE = {"contains_any": ["pears"]}


def test_what_was_loosened_by_hand_stays_beside_what_the_sheet_changed(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    quarantine = {"reason": "unclear", "until": "2099-01-01"}
    edit("a", expect=wanted(LOOSE), tags=["plain", "mine"], quarantine=quarantine)
    table("a,Find pears.,search,fresh pears,2,plain fruit", *ROWS[1:])

    said = update(capsys)

    assert "changed: a (tags, expect)\n" in said
    assert {
        "id": "a",
        "prompt": "Find pears.",
        "tags": ["plain", "mine", "fruit"],
        "expect": wanted(LOOSE, 2),
        "quarantine": quarantine,
    } == case("a")


def test_what_both_changed_stays_as_edited_and_both_values_are_said(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    edit("b", expect=wanted(LOOSE))
    table(ROWS[0], "b,Find plums.,search,ripe plums,1,plain", ROWS[2])

    said = update(capsys)

    assert (
        "edited here and kept: fruit/cases.jsonl:2: case 'b': "
        'expect.calls[0].arguments.query stays {"contains_any": ["pears"]}; '
        'rows.csv:3 has "ripe plums"\n'
    ) in said
    assert wanted(LOOSE) == case("b")["expect"]
    assert "kept: fruit" not in update(capsys), "said once, the sheet has not changed since"
    assert wanted(LOOSE) == case("b")["expect"]


def test_one_case_is_counted_as_one(suite: Path, capsys: pytest.CaptureFixture[str]):
    table(ROWS[0])
    capsys.readouterr()

    assert 0 == main(
        [*"suite import sheet rows.csv --tools fruit/tools.json".split(), "--out", "one"]
    )

    assert "made one: 1 case, 0 of them in quarantine" in capsys.readouterr().out


def test_new_rows_are_added_and_missing_ones_are_kept_and_named(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    before = Path("fruit/cases.jsonl").read_text("utf-8")
    table(*ROWS[:2], "d,Find limes.,search,limes,1,plain")

    said = update(capsys)

    assert "added: d\n" in said
    assert "gone from the source, kept here: c\n" in said
    assert "updated fruit: 4 cases, 1 added, 0 changed, 0 conflicts, 1 gone from the" in said
    after = Path("fruit/cases.jsonl").read_text("utf-8")
    assert after.startswith(before), "lines that do not change are not touched"
    assert "d" == json.loads(after.splitlines()[-1])["id"]
    assert "gone from the source, kept here: c\n" in update(capsys), "until it is removed here"
    Path("fruit/cases.jsonl").write_text(after.replace(before.splitlines()[2] + "\n", ""), "utf-8")
    assert update(capsys).startswith("updated fruit: 3 cases, 0 added")


def test_a_case_that_was_removed_by_hand_is_not_added_again(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    file = Path("fruit/cases.jsonl")
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")

    for _ in range(2):
        assert "removed here by hand, not added again: a\n" in update(capsys)
    assert ["b", "c"] == [each.id for each in load_suite(suite).cases]


def test_a_case_written_by_hand_is_neither_gone_nor_changed(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    mine = {"id": "mine", "prompt": "Hello!", "expect": {"abstain": True}}
    with Path("fruit/cases.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(mine))

    said = update(capsys)

    assert "mine" not in said
    assert mine == case("mine")


def test_without_knowing_the_import_everything_that_differs_stays(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    Path("fruit/imported.jsonl").unlink()
    table("a,Find pears.,search,ripe pears,1,plain", *ROWS[1:], "d,Find limes.,search,limes,1,x")

    said = update(capsys)

    assert "fruit/imported.jsonl: not there, so it is not known what was edited" in said
    assert 'stays "fresh pears"; rows.csv:2 has "ripe pears"' in said
    assert "fresh pears" == case("a")["expect"]["calls"][0]["arguments"]["query"]
    assert "added: d\n" in said


def test_tools_of_the_suite_stay_and_new_ones_are_added(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    other = {"type": "function", "function": {"name": "count", "description": "Count."}}
    changed = {**TOOL, "function": {**TOOL["function"], "description": "Search better."}}
    Path("more.json").write_text(json.dumps([changed, other]), "utf-8")
    table(*ROWS, "d,How many?,count,,,plain")
    capsys.readouterr()

    command = ["suite", "import", "sheet", "rows.csv", "--tools", "more.json", "--out", "fruit"]
    assert main([*command, "--update"]) == 0

    assert "tools.json: tool 'search' stays as it is here; the sources declare it otherwise" in (
        capsys.readouterr().out
    )
    assert [("search", "Search."), ("count", "Count.")] == [
        (tool.name, tool.description) for tool in load_suite(suite).tools
    ]


def test_rows_without_an_id_cannot_be_merged(suite: Path, capsys: pytest.CaptureFixture[str]):
    table("Find pears.,search", head="prompt,tool\n")

    assert "rows.csv:2: this row has no id of its own, by which --update merges" in update(
        capsys, 2
    )


def test_chat_rows_are_merged_by_id_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [{"id": f"chat-{number}", **row} for number, row in enumerate(CHAT)]
    file, out = tmp_path / "chat.jsonl", tmp_path / "suite"
    command = ["suite", "import", "chat-jsonl", str(file), "--out", str(out)]
    file.write_text(lines(rows[0]), "utf-8")
    assert main(command) == 0
    file.write_text(lines(*rows), "utf-8")

    assert main([*command, "--update"]) == 0

    assert "added: chat-1\n" in capsys.readouterr().out


def test_an_update_that_would_make_no_valid_suite_writes_nothing(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    """
    By hand the case offers one tool only, and now the sheet expects a call of another.
    """
    edit("a", tools=["search"])
    other = {"type": "function", "function": {"name": "count", "description": "Count."}}
    Path("more.json").write_text(json.dumps([TOOL, other]), "utf-8")
    table("a,Find pears.,count,,,plain", *ROWS[1:])
    before = {file.name: file.read_bytes() for file in suite.iterdir()}
    capsys.readouterr()

    command = ["suite", "import", "sheet", "rows.csv", "--tools", "more.json", "--out", "fruit"]
    assert main([*command, "--update"]) == 2

    assert "fruit/cases.jsonl:1: case 'a': expect.calls[0].tool is 'count', a tool the case" in (
        capsys.readouterr().err
    )
    assert before == {file.name: file.read_bytes() for file in suite.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "nowhere"], "nowhere holds no suite to update; import it without --update"),
        (["--out", "fruit", "--name", "x"], "--update keeps the suite's name; drop --name"),
    ],
)
def test_an_update_is_of_a_suite_that_is_there(
    suite: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
):
    assert main(["suite", "import", "sheet", "rows.csv", "--update", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_cases_written_inline_cannot_be_merged(suite: Path, capsys: pytest.CaptureFixture[str]):
    file = suite / "suite.yaml"
    inline = json.dumps([{"id": "a", "prompt": "x", "expect": {"abstain": True}}])
    file.write_text(file.read_text("utf-8").replace("cases.jsonl", inline), "utf-8")

    assert "--update needs the cases in a file of JSON lines beside it" in update(capsys, 2)


def test_a_damaged_record_of_the_import_is_named_by_line(
    suite: Path, capsys: pytest.CaptureFixture[str]
):
    file = suite / "imported.jsonl"
    file.write_text(file.read_text("utf-8") + "[]\n", "utf-8")

    assert "imported.jsonl:4: not a case; restore the file from git" in update(capsys, 2)
