"""
``harness matrix``: every checkpoint on every suite, opened once, and nothing asked twice.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness.workflow.run as running
from harness.cli.main import main
from harness.errors import CheckpointError, SuiteError, UsageError
from harness.runs.store import load_run
from harness.workflow.matrix import MatrixRuns, read_matrix, run_matrix
from tests import spread
from tests.builders import question, write_suite

FILE = """
suites = ["ask", "more"]

[checkpoints]
shipped = "replay:shipped.jsonl"
candidate = {reference = "replay:candidate.jsonl"}
function = "python:tests.spread:answer"

[options]
limit = 20
"""


def answers(name: str, wrong: int, **suites: int) -> None:
    """
    Write answers to so many cases of *suites*, of which the first *wrong* call the wrong tool.
    """
    rows = []
    for suite, count in (suites or {"c": 60, "m": 30}).items():
        for number in range(count):
            tool = "outside" if number < wrong else "inside"
            given = json.dumps({"q": f"{suite}{number:03}"})
            call = {"type": "function", "function": {"name": tool, "arguments": given}}
            row = {"case": f"{suite}{number:03}", "message": {"role": "assistant"}}
            row["message"] |= {"tool_calls": [call]}
            rows += [row, *([{**row, "turn": 1}] if suite == "c" and number % 11 == 0 else [])]
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """
    Make a project with two suites, and return which checkpoints were opened since.
    """
    monkeypatch.chdir(tmp_path)
    spread.write(tmp_path, 60)
    write_suite(tmp_path, [question(f"m{n:03}") for n in range(30)], name="more")
    answers("shipped", 2)
    answers("candidate", 15)
    Path("matrix.toml").write_text(FILE)
    seen: list[str] = []
    open_spread = running.open_spread

    def noted(text: str, *rest: Any) -> Any:
        seen.append(text)
        return open_spread(text, *rest)

    monkeypatch.setattr(running, "open_spread", noted)
    return seen


def fill(**settings: Any) -> MatrixRuns:
    return run_matrix(read_matrix(Path("matrix.toml")), **settings)


def test_each_checkpoint_is_opened_once_and_what_is_there_is_not_asked_again(opened: list[str]):
    first = fill()

    assert [
        "replay:shipped.jsonl",
        "replay:candidate.jsonl",
        "python:tests.spread:answer",
    ] == opened
    assert 6 == len(first.cells)
    assert all(cell.asked for cell in first.cells.values())
    assert {20} == {len(cell.run.record.cases) for cell in first.cells.values()}
    folders = {path: path.stat().st_mtime_ns for path in Path("reports").rglob("run.json")}
    assert 6 == len(folders)

    opened.clear()
    again = fill()

    # Of a function it is not known before it is opened that it is the same.
    assert ["python:tests.spread:answer"] == opened
    assert not any(cell.asked for cell in again.cells.values())
    assert folders == {path: path.stat().st_mtime_ns for path in Path("reports").rglob("run.json")}


def test_what_has_changed_is_asked_again_and_only_that(opened: list[str]):
    first = fill()
    opened.clear()
    answers("candidate", 3)
    write_suite(Path(), [question(f"m{n:03}") for n in range(31)], name="more")

    again = fill()

    assert {
        ("shipped", "more"),
        ("candidate", "ask"),
        ("candidate", "more"),
        ("function", "more"),
    } == {key for key, cell in again.cells.items() if cell.asked}
    # What was made of other weights or another suite is kept.
    assert all((cell.run.folder / "run.json").is_file() for cell in first.cells.values())


def test_the_answers_of_the_checkpoint_before_are_drafts(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
):
    drafts = []
    opened_run = running.run_opened

    def noted(plan: Any, *rest: Any) -> Any:
        drafts.append((plan.suite.name, plan.options.draft, len(plan.drafts)))
        return opened_run(plan, *rest)

    monkeypatch.setattr(running, "run_opened", noted)
    found = fill()

    folder = {key: str(cell.run.folder) for key, cell in found.cells.items()}
    assert [("ask", None, 0), ("more", None, 0)] == drafts[:2]
    assert [folder["shipped", "ask"], folder["shipped", "more"]] == [
        each[1] for each in drafts[2:4]
    ]
    assert folder["candidate", "ask"] == drafts[4][1]


def test_a_run_that_was_interrupted_is_resumed(opened: list[str]):
    text = FILE.replace("tests.spread:answer", "tests.spread:interrupted").replace("20", "60")
    Path("matrix.toml").write_text(text)
    with pytest.raises(KeyboardInterrupt):
        fill()
    (unfinished,) = Path("reports").rglob("unfinished.json")
    kept = (unfinished.parent / "transcripts.jsonl").read_bytes()
    assert kept

    found = fill()

    assert found.cells["function", "ask"].run.folder == unfinished.parent
    assert (unfinished.parent / "transcripts.jsonl").read_bytes().startswith(kept)
    assert {"shipped", "candidate"} == {
        name for (name, _), cell in found.cells.items() if not cell.asked
    }


def test_checkpoints_are_ranked_on_each_suite(opened: list[str]):
    found = fill()

    names, ranking = found.rankings["more"]
    assert "shipped" == names[0]
    # One of the twenty broke by the function, and is counted for nobody.
    assert (19, 17) == (ranking.answers, ranking.places[0].correct)
    assert () == ranking.places[0].alike
    assert 0 == found.exit


def test_a_checkpoint_that_cannot_be_opened_is_skipped(
    opened: list[str], capsys: pytest.CaptureFixture[str]
):
    Path("matrix.toml").write_text(FILE.replace("tests.spread:answer", "nowhere:answer"))

    assert 2 == main(["matrix", "matrix.toml", "--json", "-", "--quiet"])

    found = json.loads(capsys.readouterr().out)
    assert ["function"] == list(found["skipped"])
    assert "nowhere" in found["skipped"]["function"]
    assert 4 == len(found["cells"])
    assert ["shipped", "candidate"] == [each["checkpoint"] for each in found["order"]["more"]]

    Path("matrix.toml").write_text('suites = ["ask"]\n[checkpoints]\na = "python:nowhere:f"\n')
    with pytest.raises(CheckpointError, match="no checkpoint could be run: a: "):
        fill()


def test_an_edited_run_is_found_out_before_it_is_used_again(
    opened: list[str], capsys: pytest.CaptureFixture[str]
):
    cell = fill().cells["shipped", "ask"]
    path = cell.run.folder / "transcripts.jsonl"
    path.write_text(path.read_text().replace("outside", "inside", 1))

    assert 2 == main(["matrix", "matrix.toml"])
    assert "was changed after the run was judged" in capsys.readouterr().err


def test_the_command_writes_one_page_in_every_form(
    opened: list[str], capsys: pytest.CaptureFixture[str]
):
    command = ["matrix", "matrix.toml", "--out", "out", "--html", "page.html"]
    assert 0 == main([*command, "--markdown", "page.md", "--json", "page.json"])
    shown = capsys.readouterr().out

    assert "3 checkpoints on 2 suites: 6 of 6 runs asked now" in shown
    for text in (shown, Path("page.md").read_text(), Path("page.html").read_text()):
        for word in ("shipped", "candidate", "function", "ask", "more", "best is"):
            assert word in text
    data = json.loads(Path("page.json").read_text())
    for cell in data["cells"]:
        record = load_run(Path(cell["run"])).record
        assert record.metrics["accuracy"].value == cell["metrics"]["accuracy"]["value"]
        assert Path("out") in Path(cell["run"]).parents


def test_settings_of_one_checkpoint_overrule_those_of_all(opened: list[str]):
    answers("alone", 0, c=60)
    Path("matrix.toml").write_text(
        'suites = ["ask"]\n[options]\nlimit = 7\nseed = 1\n[checkpoints.one]\n'
        'reference = "replay:alone.jsonl"\nlimit = 5\ntags = []\n'
    )

    found = fill()

    assert {5} == {len(cell.run.record.cases) for cell in found.cells.values()}
    assert 1 == found.cells["one", "ask"].run.record.generation.seed
    assert {} == found.rankings


def test_every_suite_of_the_project_is_run_where_none_is_named(opened: list[str]):
    Path("matrix.toml").write_text('[checkpoints]\none = "replay:shipped.jsonl"\n')
    assert ("ask", "more") == fill().suites

    shutil.rmtree("suites")
    with pytest.raises(UsageError, match="no suite"):
        fill()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("suites = [", "matrix.toml: not valid TOML"),
        ("sweets = []", r"unknown key sweets.*suites"),
        ("suites = 'ask'", "suites is a list"),
        ("options = 3\n", "options is a table"),
        ("suites = ['ask']", "name the checkpoints"),
        ("[checkpoints]\na = 3", "checkpoints.a is a reference"),
        ("[checkpoints]\na = {dtype = 'float32'}", "checkpoints.a is a reference"),
        ("[checkpoints]\n'../a' = 'x'", "cannot be the name of a folder"),
        ("[checkpoints]\na = 'x'\n[options]\nlimits = 3", r"unknown key options.limits.*limit"),
        ("[checkpoints]\na = 'x'\n[options]\nlimit = '3'", "options.limit: '3' has the wrong type"),
        ("[checkpoints]\na = 'x'\n[options]\ntags = 'x'", "options.tags: 'x' has the wrong type"),
        ("[checkpoints]\na = 'x'\n[options]\nshard = '1/2'", "unknown key options.shard"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "matrix.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=said):
        read_matrix(path)


def test_what_is_wrong_with_a_suite_is_said_before_anything_is_asked(opened: list[str]):
    Path("matrix.toml").write_text(FILE.replace('"more"', '"ask"'))
    with pytest.raises(UsageError, match="suite ask is named twice"):
        fill()
    Path("matrix.toml").write_text(FILE)
    Path("suites/more/cases.jsonl").write_text("{}\n")
    with pytest.raises(SuiteError):
        fill()
    assert [] == opened
