"""
What ``harness explain`` says of a case: the prompt as rendered, the answer, where it departs.
"""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.reports.explain import explain_case
from harness.runs.store import StoredRun, load_run
from harness.workflow import run as workflow
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import open_project

SUITE = {
    "format": 1,
    "name": "ask",
    "version": "1.0.0",
    "tools": [
        {"name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    ],
    "cases": [
        {"id": "c1", "prompt": "Look for a.", "expect": {"calls": [{"tool": "look"}]}},
    ],
}
CALL = '<tool_call>\n{"name": "look", "arguments": {"q": "a"}}\n</tool_call>'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "suites" / "ask"
    folder.mkdir(parents=True)
    (folder / "suite.yaml").write_text(json.dumps(SUITE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answered(project: Path, name: str, output: str) -> StoredRun:
    file = project / f"{name}.jsonl"
    file.write_text(json.dumps({"case": "c1", "output": output}) + "\n", encoding="utf-8")
    main(["run", "ask", "--checkpoint", f"replay:{file}", "--dialect", "hermes", "--out", name,
          "--quiet"])  # fmt: skip
    return open_project().run(name)


def test_without_a_tokenizer_the_messages_stand_and_why(project: Path):
    said = "\n".join(explain_case(answered(project, "old", CALL), "c1"))

    assert "user      Look for a." in said
    assert "rendered  unavailable: replay:" in said


@pytest.mark.model
def test_the_prompt_is_rendered_by_the_checkpoint_that_was_run(project: Path, tiny_model: Path):
    copy = project / "model"
    shutil.copytree(tiny_model, copy)
    workflow.run("ask", f"hf:{copy}", project=open_project(), out=project / "new")
    run = open_project().run("new")

    said = "\n".join(explain_case(run, "c1"))

    assert "<|im_start|>user" in said
    assert "<|im_start|>assistant" in said
    assert '"name": "look"' in said

    template = copy / "chat_template.jinja"
    template.write_text(template.read_text("utf-8") + "{# other #}", encoding="utf-8")
    assert "has changed since the run" in "\n".join(explain_case(run, "c1"))


def test_what_the_template_does_not_show_is_told_stored_and_explained(
    project: Path, tiny_model: Path
):
    copy = project / "model"
    shutil.copytree(tiny_model, copy)
    template = copy / "chat_template.jinja"
    sparse = template.read_text("utf-8").replace(
        "(tool.function if tool.function is defined else tool) | tojson",
        "{'name': tool.function.name, 'arguments': tool.function.parameters.properties | list}"
        " | tojson",
    )
    template.write_text(sparse, encoding="utf-8")
    said: list[str] = []
    workflow.run(
        "ask",
        f"hf:{copy}",
        project=open_project(),
        out=project / "new",
        progress=Progress(notify=said.append),
    )
    run = open_project().run("new")

    told = [line for line in said if "does not show all of the suite's tools" in line]
    assert 1 == len(told)
    assert told[0].endswith("look: q (type)")
    kept = json.loads((project / "new" / "run.json").read_text("utf-8"))["checkpoint"]["not_shown"]
    assert told[0].endswith("; ".join(kept))
    assert kept[0] in "\n".join(explain_case(run, "c1"))


def test_the_first_character_that_differs_where_there_is_no_tokenizer(project: Path):
    old = answered(project, "old", CALL)
    new = answered(project, "new", CALL.replace('"a"', '"b"'))

    said = "\n".join(explain_case(new, "c1", against=old))

    at = CALL.index('"a"') + 2
    assert f"the first character that differs is number {at}:" in said
    assert """it was 'a"}}""" in said
    assert """is 'b"}}""" in said
    assert "the same answer" in "\n".join(explain_case(old, "c1", against=old))


@pytest.mark.model
def test_the_first_token_that_differs_where_there_is_one(project: Path, tiny_model: Path):
    for name, length in (("old", 4), ("new", 6)):
        options = RunOptions(max_new_tokens=length)
        workflow.run("ask", f"hf:{tiny_model}", project=open_project(), out=project / name,
                     options=options)  # fmt: skip
    old, new = (open_project().run(name) for name in ("old", "new"))

    said = "\n".join(explain_case(new, "c1", against=old))

    assert "the first token that differs is number" in said
    assert "it was 'the end'" in said


def test_an_answer_that_goes_on_departs_where_the_other_ends(project: Path):
    old = answered(project, "old", CALL)
    new = answered(project, "new", CALL + "\nMore.")

    assert "it was 'the end'" in "\n".join(explain_case(new, "c1", against=old))


def test_colour_marks_what_was_read_as_what_and_nothing_else_gets_through(project: Path):
    output = f"Yes \x1b[2J{CALL} and <tool_call>[oops</tool_call> <tool_call>{{"
    run = answered(project, "old", output)

    plain = "\n".join(explain_case(run, "c1"))
    shown = "\n".join(explain_case(run, "c1", colour=True))

    assert "\x1b" not in plain
    assert "\x1b[2J" not in shown
    assert "\x1b[32m<tool_call>" in shown
    assert "\x1b[31m<tool_call>[oops" in shown
    assert "\x1b[33m<tool_call>{" in shown


def test_a_baseline_is_named_on_the_command_line(project: Path, capsys: pytest.CaptureFixture[str]):
    answered(project, "old", CALL)
    answered(project, "new", "No.")
    assert main(["baseline", "save", "old", "--name", "shipped"]) == 0
    capsys.readouterr()

    assert main(["explain", "new", "c1", "--baseline", "shipped"]) == 0

    assert "the first character that differs is number 1:" in capsys.readouterr().out


def test_a_run_judged_by_another_suite_than_its_own_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run = answered(project, "old", CALL)
    suite = json.loads(run.suite_path.read_text("utf-8"))
    case = suite["cases"][0]
    wanted = case.pop("expect")
    then = [{"role": "assistant", "content": "No."}, {"role": "user", "content": "And b."}]
    case["turns"] = [{"expect": wanted, "then": then}, {"expect": wanted}]
    run.suite_path.write_text(json.dumps(suite), "utf-8")
    capsys.readouterr()

    assert main(["explain", "old", "c1"]) == 2

    shown = capsys.readouterr()
    assert "has 1 turn in run.json and 2 in suite.json; judge it again with harness score" in (
        shown.err
    )
    assert shown.out == ""


def test_no_line_of_an_answer_is_a_command_to_github(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    The runner trims a line before it looks for ``::``.
    """
    answered(project, "old", "Well.\n::error::x")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    capsys.readouterr()

    assert main(["explain", "old", "c1"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("::stop-commands::")
    assert lines[-1] == f"::{lines[0].removeprefix('::stop-commands::')}::"
    assert any(line.strip() == "::error::x" for line in lines)


def test_an_unknown_case_is_an_error(project: Path):
    with pytest.raises(UsageError):
        list(explain_case(answered(project, "old", CALL), "c2"))


def test_turns_are_counted_from_one(project: Path):
    case = {**SUITE["cases"][0]}
    wanted = case.pop("expect")
    said = [{"role": "assistant", "content": "No."}, {"role": "user", "content": "And b."}]
    case["turns"] = [{"expect": wanted, "then": said}, {"expect": wanted}]
    suite = json.dumps({**SUITE, "cases": [case]})
    (project / "suites" / "ask" / "suite.yaml").write_text(suite, "utf-8")
    rows = [{"case": "c1", "turn": turn, "output": "No."} for turn in (0, 1)]
    (project / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--checkpoint", "replay:two.jsonl", "--dialect", "hermes", "--out", "two"]
    assert main(["run", "ask", *words]) == 0

    shown = list(explain_case(load_run(Path("two")), "c1"))

    assert ["turn 1", "turn 2"] == [line for line in shown if line.startswith("turn ")]
