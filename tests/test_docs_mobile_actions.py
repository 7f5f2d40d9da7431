"""
docs/mobile-actions.md: its commands are commands, and what needs neither hub nor weights is run, on
a small file of the same shape.
"""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.reference import parse_reference
from harness.cli.main import main, make_parser
from harness.suites.files import load_suite

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "mobile-actions.md").read_text("utf-8")
COMMANDS = [
    line
    for block in PAGE.split("```console\n")[1:]
    for line in block.partition("```")[0].splitlines()
    if line.startswith("harness ")
]
FUNCTIONS: dict[str, dict[str, str]] = {
    "turn_on_flashlight": {},
    "open_wifi_settings": {},
    "show_map": {"query": "What to look for."},
    "create_calendar_event": {"title": "What it is.", "datetime": "When it starts."},
}


def command(begin: str) -> list[str]:
    """
    Return the words of the one command of the page that begins so.
    """
    [found] = [line for line in COMMANDS if line.startswith(f"harness {begin}")]
    return shlex.split(found)[1:]


def declared(name: str, arguments: dict[str, str]) -> dict[str, Any]:
    # A table has every argument in every function, most of them null.
    everything = {argument for each in FUNCTIONS.values() for argument in each}
    properties = {
        argument: {"type": "STRING", "description": arguments[argument]}
        if argument in arguments
        else None
        for argument in sorted(everything)
    }
    parameters = {"type": "OBJECT", "properties": properties, "required": [*arguments] or None}
    return {"function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


def row(part: str, said: str, *calls: tuple[str, dict[str, str]]) -> dict[str, Any]:
    day = "Current date and time: 2026-10-14T10:30:00\nDay of week is Wednesday\n"
    told = f"{day}You are a model that can do function calling with the following functions\n"
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    return {
        "metadata": part,
        "tools": [declared(name, arguments) for name, arguments in FUNCTIONS.items()],
        "messages": [
            {"role": "developer", "content": told, "tool_calls": None},
            {"role": "user", "content": said, "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": made},
        ],
    }


def wanted(number: int) -> tuple[tuple[str, dict[str, str]], ...]:
    place = {"query": f"bakery {number}"}
    event = {"title": f"bread {number}", "datetime": "2026-10-15T09:00:00"}
    return (
        (("turn_on_flashlight", {}),),
        (("show_map", place),),
        (("show_map", place), ("create_calendar_event", event)),
    )[number % 3]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    The folder of a project, with the suite that the page's commands make of 60 rows.
    """
    monkeypatch.chdir(tmp_path)
    rows = [row("eval", f"Please see to number {n}.", *wanted(n)) for n in range(40)]
    rows += [row("train", f"And what of number {n}?", *wanted(n)) for n in range(40, 60)]
    Path("dataset.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    assert 0 == main(command("suite import"))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_can_be_given(line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HARNESS_ACCEPT_LICENCE", "")
    arguments = make_parser().parse_args(shlex.split(line)[1:])

    for name in ("checkpoint", "base"):
        if reference := getattr(arguments, name, None):
            parse_reference(reference)


def test_a_file_of_the_same_shape_becomes_a_suite_of_which_free_text_is_named(
    imported: Path, capsys: pytest.CaptureFixture[str]
):
    suite = load_suite(imported / "suites" / "mobile-actions")

    assert 40 == len(suite.cases)
    assert 20 == len((imported / "suites/mobile-actions/train.jsonl").read_text().splitlines())
    assert [*FUNCTIONS] == [tool.name for tool in suite.cases[0].tools]
    assert {"type": "object", "properties": {}} == suite.cases[0].tools[0].parameters
    capsys.readouterr()
    assert 1 == main(command("suite check"))
    said = [line for line in capsys.readouterr().out.splitlines() if "cases.jsonl:" in line]
    # The rows of this test are all worded alike.
    kinds = {line.split(": ")[1] for line in said}
    assert {"free_text", "near_duplicate"} == kinds
    assert {"'query' of 'show_map'", "'title' of 'create_calendar_event'"} == {
        line.partition("argument ")[2].partition(" must")[0] for line in said if "free_text" in line
    }


def written(calls: tuple[tuple[str, dict[str, str]], ...]) -> str:
    """
    Return what FunctionGemma writes before it stops.
    """
    return "".join(
        "<start_function_call>call:{}{{{}}}<end_function_call>".format(
            name, ",".join(f"{key}:<escape>{value}<escape>" for key, value in sorted(made.items()))
        )
        for name, made in calls
    )


def answer(folder: Path, name: str, wrong: range) -> None:
    """
    Write the answers of a phone, those *wrong* without their last argument or call.
    """
    rows = []
    for number, case in enumerate(load_suite(folder / "suites" / "mobile-actions").cases):
        calls = wanted(number)[:-1] if number in wrong else wanted(number)
        rows.append({"case": case.id, "output": written(calls), "finish_reason": "stop"})
    Path(name).write_text("".join(json.dumps(each) + "\n" for each in rows))


@pytest.mark.parametrize(("wrong", "verdict"), [(range(0), "pass"), (range(10), "regressed")])
def test_the_answers_of_a_phone_are_judged_and_gated_against_the_parent(
    imported: Path, capsys: pytest.CaptureFixture[str], wrong: range, verdict: str
):
    score, gate = command("score"), command("gate reports/phone")
    answer(imported, "parent.jsonl", range(0))
    parent = [
        {"phone.jsonl": "parent.jsonl", "reports/phone": "reports/parent"}.get(w, w) for w in score
    ]
    assert 0 == main(parent)
    answer(imported, "phone.jsonl", wrong)
    assert 0 == main(score)
    capsys.readouterr()

    code = main([*gate, "--json", "-"])

    found = json.loads(capsys.readouterr().out)
    assert (verdict, int(verdict != "pass")) == (found["verdict"], code)
    assert len(wrong) == found["export"]["changed_answers"]
    assert 1.0 == found["metrics"]["accuracy"]["old"]


@pytest.mark.model
def test_the_rows_can_be_learned(
    imported: Path, embedded_model: Path, capsys: pytest.CaptureFixture[str]
):
    check = command("finetune --check --suite mobile-actions")
    check[check.index("--base") + 1] = str(embedded_model)

    assert 0 == main([*check, "--max-length", "1024"]), capsys.readouterr().out


def test_the_figures_are_those_of_the_stored_runs():
    table = (ROOT / "docs" / "suite-results.md").read_text("utf-8")
    of_suite = table.partition("## device-actions ")[2].partition("\n## ")[0]
    [accuracy] = [line for line in of_suite.splitlines() if line.startswith("| accuracy")]
    before, _, after = (cell.strip() for cell in accuracy.split("|")[2:5])

    assert f"{before.split()[0]} % before" in PAGE
    assert f"{after.split()[0]} % after {after.partition(' ')[2]}" in PAGE
