"""
The commands as a user meets them: exit codes, one clear line for what is wrong, files written.
"""

import asyncio
import gzip
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"The tool {name}.",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
        },
    }
    for name in ("inside", "outside")
]
COUNT = 120


def answers(wrong: int = 0, second: int = 0, errors: int = 0) -> list[dict[str, Any]]:
    """
    Answers to every case: the first *wrong* by the wrong tool, the last *second* called twice.
    """
    rows = []
    for number in range(COUNT):
        calls = [("outside" if number < wrong else "inside", {"q": f"{number}"})]
        if number >= COUNT - second:
            calls.append(("outside", {"q": "again"}))
        message = {
            "role": "assistant",
            "tool_calls": [
                {"type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
                for name, given in calls
            ],
        }
        rows.append({"case": f"c{number}", "message": message})
        if number < errors:
            rows[-1] = {"case": f"c{number}", "error": "HTTP 503"}
    return rows


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "suites" / "ask"
    folder.mkdir(parents=True)
    suite = {"format": 1, "name": "ask", "version": "1.0.0", "tools": TOOLS, "cases": "cases.jsonl"}
    (folder / "suite.yaml").write_text(json.dumps(suite))
    (folder / "cases.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "id": f"c{number}",
                    "prompt": f"Ask inside about matter {number}.",
                    "tags": ["even" if number % 2 == 0 else "odd"],
                    "expect": {"calls": [{"tool": "inside", "arguments": {"q": f"{number}"}}]},
                }
            )
            + "\n"
            for number in range(COUNT)
        )
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(project: Path, name: str, rows: list[dict[str, Any]], *more: str) -> int:
    (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reference = f"replay:{name}.jsonl"
    return main(["run", "ask", "--checkpoint", reference, "--out", name, "--quiet", *more])


def save(name: str) -> None:
    assert main(["baseline", "save", name, "--name", "shipped", "--reason", "a test"]) == 0


def verdict(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["gate", *arguments, "--baseline", "shipped", "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_an_equal_run_passes(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run(project, "old", answers()) == 0
    save("old")
    assert run(project, "new", answers()) == 0
    code, found = verdict(capsys, "new")

    assert (0, "pass", 0) == (code, found["verdict"], found["exit"])
    assert [] == found["broken"]
    assert COUNT == found["metrics"]["accuracy"]["pairs"]


def test_a_worse_run_is_regressed_and_its_cases_are_named(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    code, found = verdict(capsys, "new")

    assert (1, "regressed") == (code, found["verdict"])
    assert sorted(f"c{number}" for number in range(10)) == sorted(found["broken"])
    assert any("accuracy" in reason for reason in found["reasons"])


def test_three_new_second_calls_are_a_regression_of_their_own(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(second=3))
    code, found = verdict(capsys, "new")

    assert code == 1
    assert found["metrics"]["second_call_rate"]["verdict"] == "regressed"
    assert found["metrics"]["accuracy"]["verdict"] == "inconclusive"


def test_too_many_errors_are_inconclusive_and_blocked_where_the_policy_blocks(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(errors=5))
    assert (0, "inconclusive") == (lambda code, found: (code, found["verdict"]))(
        *verdict(capsys, "new")
    )
    (project / "gate.toml").write_text('on_inconclusive = "block"\n')

    assert (3, "inconclusive") == (lambda code, found: (code, found["verdict"]))(
        *verdict(capsys, "new")
    )


def test_another_generation_is_not_comparable_unless_allowed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(), "--max-new-tokens", "64")
    assert (3, "not_comparable") == (lambda code, found: (code, found["verdict"]))(
        *verdict(capsys, "new")
    )

    assert (0, "pass") == (lambda code, found: (code, found["verdict"]))(
        *verdict(capsys, "new", "--allow-mismatch", "generation")
    )


def test_part_of_a_suite_never_passes(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(), "--tags", "even")
    code, found = verdict(capsys, "new")

    assert (0, "inconclusive") == (code, found["verdict"])
    assert COUNT // 2 == found["metrics"]["accuracy"]["pairs"]


def test_a_gate_without_a_baseline_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "new", answers())
    capsys.readouterr()

    assert main(["gate", "new", "--baseline", "shiped"]) == 2
    error = capsys.readouterr().err
    assert "has no baseline 'shiped'" in error
    assert "harness baseline save" in error


def test_an_anchor_is_gated_beside_the_last_release(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    The last release has lost what the candidate has; the anchor has not.
    """
    for name, wrong, baseline in (("first", 0, "v1"), ("last", 10, "shipped")):
        run(project, name, answers(wrong=wrong))
        assert main(["baseline", "save", name, "--name", baseline]) == 0
    run(project, "new", answers(wrong=10))

    assert (0, "pass") == (lambda code, found: (code, found["verdict"]))(*verdict(capsys, "new"))
    code, found = verdict(capsys, "new", "--anchor", "v1")
    assert (1, "regressed", "shipped") == (code, found["verdict"], found["baseline"])
    assert "v1" == found["against"][0]
    assert found["reasons"][0].startswith("against the anchor v1: accuracy fell")
    assert ("regressed", "v1") == (found["anchor"]["verdict"], found["anchor"]["baseline"])
    (project / "gate.toml").write_text('anchor = "v1"\n')
    assert 1 == verdict(capsys, "new")[0]
    assert 0 == verdict(capsys, "new", "--anchor", "shipped")[0]
    assert 2 == main(["gate", "new", "--baseline", "shipped", "--anchor", "v0"])
    assert "has no baseline 'v0'" in capsys.readouterr().err


def test_a_slice_of_the_policy_blocks_and_explain_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    rows = answers()
    for wrong in range(0, 16, 2):
        rows[wrong] = answers(wrong=16)[wrong]
    run(project, "new", rows)
    (project / "gate.toml").write_text(
        '[limits]\naccuracy = "-15pp"\n[slices.even]\naccuracy = "-5pp"\n'
    )

    code, found = verdict(capsys, "new")
    main(["gate", "new", "--baseline", "shipped", "--explain"])
    told = capsys.readouterr().out

    assert (1, "pass") == (code, found["metrics"]["accuracy"]["verdict"])
    assert "regressed" == found["slices"]["even"]["accuracy"]["verdict"]
    assert 'slice even: accuracy = "-5pp": regressed' in told
    assert "Slices with limits" in told


def test_reports_are_written_and_well_formed(project: Path):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    files = ["--markdown", "r.md", "--junit", "r.xml", "--json", "r.json"]
    assert main(["gate", "new", "--baseline", "shipped", "--explain", *files]) == 1

    assert "c3" in (project / "r.md").read_text("utf-8")
    assert json.loads((project / "r.json").read_text("utf-8"))["verdict"] == "regressed"
    suites = ET.parse(project / "r.xml").getroot()
    assert 10 <= len(suites.findall(".//failure")) <= 11


def test_a_page_is_written_for_gate_compare_and_one_run(project: Path):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    run(project, "third", answers(second=2))

    assert main(["gate", "new", "--baseline", "shipped", "--html", "gate.html"]) == 1
    assert main(["compare", "old", "new", "third", "--html", "three.html"]) == 0
    assert main(["report", "new", "--html", "one.html"]) == 0

    for name, said in (("gate", "regressed"), ("three", "side by side"), ("one", "on ask 1.0.0")):
        page = (project / f"{name}.html").read_text("utf-8")
        assert page.startswith("<!doctype html>")
        assert said in page


def test_one_run_is_exported_for_other_projects(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "new", answers(wrong=10))
    capsys.readouterr()

    assert main(["report", "new", "--lm-eval", "results.json", "--model-index", "-"]) == 0

    results = json.loads((project / "results.json").read_text("utf-8"))
    assert 110 / 120 == results["results"]["ask"]["accuracy,none"]
    assert capsys.readouterr().out.startswith("---\nmodel-index:\n")


def test_github_is_told_in_summary_outputs_and_annotations(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    run(project, "old", answers())
    save("old")
    run(project, "new", answers(wrong=10))
    for name in ("summary", "output"):
        (project / name).write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(project / "output"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    capsys.readouterr()

    assert main(["gate", "new", "--baseline", "shipped", "--github"]) == 1

    assert (project / "summary").read_text("utf-8").startswith("before\n### ")
    output = (project / "output").read_text("utf-8").splitlines()
    assert ["before", "verdict=regressed", "exit=1"] == output[:3]
    assert {"broken=10", "fixed=0"} <= set(output)
    lines = capsys.readouterr().out.splitlines()
    assert 10 == sum(line.startswith("::error title=") for line in lines)


def test_what_a_model_wrote_is_no_command_to_github(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    The runner obeys a line that begins with ``::``; between stop and resume it obeys none.
    """
    rows = answers()
    message = {"role": "assistant", "content": "::set-output name=verdict::pass"}
    rows[0] = {"case": "c0", "message": message}
    run(project, "old", rows)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    capsys.readouterr()

    assert main(["report", "old"]) == 0

    lines = capsys.readouterr().out.splitlines()
    stop, resume = lines[0], lines[-1]
    assert stop.startswith("::stop-commands::")
    assert resume == f"::{stop.removeprefix('::stop-commands::')}::"
    assert len(resume) > 20


def test_github_can_be_told_only_in_a_step_of_it(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    run(project, "old", answers())

    assert main(["report", "old", "--github"]) == 2
    assert "$GITHUB_STEP_SUMMARY is not set" in capsys.readouterr().err


def test_score_judges_stored_text_again_without_changing_it(project: Path):
    run(project, "old", answers(wrong=10))
    before = {path.name: path.read_bytes() for path in (project / "old").iterdir()}
    assert main(["score", "old", "--suite", "ask", "--out", "again", "--quiet"]) == 0

    assert before == {path.name: path.read_bytes() for path in (project / "old").iterdir()}
    old, again = (
        json.loads((project / name / "run.json").read_text("utf-8")) for name in ("old", "again")
    )
    assert old == again


def test_score_takes_a_transcript_file(project: Path):
    run(project, "old", answers(wrong=10))
    source = "old/transcripts.jsonl"
    assert main(["score", source, "--suite", "ask", "--out", "again", "--quiet"]) == 0

    old, again = (
        json.loads((project / name / "run.json").read_text("utf-8")) for name in ("old", "again")
    )
    assert old["cases"] == again["cases"]
    assert old["metrics"] == again["metrics"]


def test_score_refuses_answers_to_another_question(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    cases = project / "suites" / "ask" / "cases.jsonl"
    cases.write_text(cases.read_text().replace("about matter 7.", "about another matter."))

    assert main(["score", "old", "--suite", "ask", "--quiet"]) == 2
    assert "'c7' now asks something else" in capsys.readouterr().err


def test_the_same_run_twice_is_the_same_bytes_but_for_times(project: Path):
    for name in ("one", "two"):
        rows = answers(wrong=3)
        (project / "same.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        run_it = ["run", "ask", "--checkpoint", "replay:same.jsonl", "--out", name, "--quiet"]
        assert main(run_it) == 0
    one, two = (
        [
            line
            for line in (project / name / "run.json").read_text("utf-8").splitlines()
            if not line.startswith(('"started"', '"finished"'))
        ]
        for name in ("one", "two")
    )

    assert one == two


def test_a_line_for_an_unknown_case_is_an_error_by_name(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    rows = [*answers(), {"case": "c999", "output": "x"}]

    assert run(project, "new", rows, "--dialect", "hermes") == 2
    error = capsys.readouterr().err
    assert "new.jsonl:121" in error
    assert "c999" in error


def test_a_run_in_which_every_case_broke_judged_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(project, "new", answers(errors=COUNT)) == 2
    assert "nothing was judged" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback_and_is_no_verdict(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    Exit code 1 says regressed; a crash of the harness must not.
    """
    monkeypatch.setattr("harness.workflow.project.open_project", lambda _: 1 / 0)

    assert main(["compare", "a", "b"]) == 2
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "bug" in error


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, SystemExit])
def test_what_is_no_exception_is_no_verdict_either(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
):
    def broken(_: object) -> None:
        raise kind(1)

    monkeypatch.setattr("harness.workflow.project.open_project", broken)

    assert main(["compare", "a", "b"]) == 2
    assert kind.__name__ in capsys.readouterr().err


def test_a_report_goes_into_a_file_and_nowhere_else(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    save("old")
    (project / "folder").mkdir()
    assert main(["gate", "old", "--baseline", "shipped", "--json", "folder"]) == 2
    assert "folder is a folder" in capsys.readouterr().err
    (project / "real.json").write_text("")
    (project / "link.json").symlink_to("real.json")
    assert main(["gate", "old", "--baseline", "ask/shipped", "--json", "link.json"]) == 0

    assert (project / "link.json").is_symlink()
    assert json.loads((project / "real.json").read_text("utf-8"))["verdict"] == "pass"
    assert main(["gate", "old", "--baseline", "shipped", "--json", "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("message", [{"role": "user", "content": "x"}, {"error": "overloaded"}, {}])
def test_what_is_no_answer_is_refused_and_never_judged(
    project: Path, capsys: pytest.CaptureFixture[str], message: dict[str, Any]
):
    rows = answers()
    rows[4] = {"case": "c4", "message": message}

    assert run(project, "new", rows) == 2
    assert "new.jsonl:5" in capsys.readouterr().err


def test_a_number_beyond_all_others_is_refused_by_file_and_line(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    """
    Python reads 1e999 as an infinity, which no record can hold.
    """
    run(project, "old", answers())
    stored = project / "old" / "transcripts.jsonl"
    lines = stored.read_text("utf-8").splitlines()
    lines[4] = '{"case": "c4", "message": {"content": "x", "score": 1e999}}'
    for file in (stored, project / "huge.jsonl"):
        file.write_text("\n".join(lines) + "\n", "utf-8")

    for arguments, place in (
        (["score", "old", "--suite", "ask"], "transcripts.jsonl:5: 1e999 is beyond"),
        (["score", "huge.jsonl", "--suite", "ask"], "huge.jsonl:5: 1e999 is beyond"),
    ):
        assert main(arguments) == 2
        assert place in capsys.readouterr().err


def test_score_takes_all_repeats_of_a_file(project: Path):
    rows = [{**row, "repeat": repeat} for row in answers() for repeat in range(3)]
    (project / "three.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["score", "three.jsonl", "--suite", "ask", "--out", "again", "--quiet"]) == 0

    cases = json.loads((project / "again" / "run.json").read_text("utf-8"))["cases"]
    assert 3 * COUNT == len(cases)


@pytest.mark.parametrize("name", ["gap.jsonl", "gap.jsonl.gz"])
def test_repeats_with_a_gap_are_refused_by_file_and_line(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
):
    """
    One mistyped repeat must not be judged as two billion answers that are missing.
    """
    rows = answers()
    rows[4]["repeat"] = 2_000_000_000
    text = "\n".join(json.dumps(row) for row in rows).replace("\n", "\n\n", 1)
    (project / name).write_bytes(gzip.compress(text.encode()) if "gz" in name else text.encode())

    assert main(["score", name, "--suite", "ask", "--out", "again", "--quiet"]) == 2

    error = capsys.readouterr().err
    assert f"{name}:6: case 'c4' has repeat 2000000000, but no answer has repeat 1" in error
    assert not (project / "again").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repeat": 2_000_000_000}, ":5: case 'c4' has repeat 2000000000, but no"),
        ({"case": "c1"}, ":5: case 'c1', repeat 0, turn 0 has an answer on line 2 already"),
    ],
    ids=["gap", "twice"],
)
def test_damaged_evidence_of_a_run_is_named_in_words(
    project: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
):
    run(project, "old", answers())
    stored = project / "old" / "transcripts.jsonl"
    rows = [json.loads(line) for line in stored.read_text("utf-8").splitlines()]
    rows[4] |= change
    stored.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    capsys.readouterr()

    assert main(["score", "old", "--suite", "ask"]) == 2

    assert f"transcripts.jsonl{said}" in capsys.readouterr().err


def test_lines_nobody_asked_for_are_said(project: Path, capsys: pytest.CaptureFixture[str]):
    rows = [{**row, "repeat": repeat} for row in answers() for repeat in range(2)]
    (project / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["run", "ask", "--checkpoint", "replay:two.jsonl", "--out", "new"]) == 0

    assert f"{COUNT} lines" in capsys.readouterr().err


def test_a_case_without_a_line_is_an_error_result_not_a_wrong_one(project: Path):
    assert run(project, "new", answers()[:-1]) == 0
    cases = json.loads((project / "new" / "run.json").read_text("utf-8"))["cases"]

    assert ["error"] == [case["status"] for case in cases if case["id"] == f"c{COUNT - 1}"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "ask", "--checkpoint", "replay:none.jsonl"], "none.jsonl"),
        (["run", "aks", "--checkpoint", "replay:x"], "ask"),
        (["run", "ask", "--checkpoint", "no/such/folder"], "no/such/folder"),
        (["run", "ask", "--checkpoint", "python:no_such_module:f"], "no_such_module"),
        (["score", "nowhere", "--suite", "ask"], "nowhere"),
        (["compare", "a", "b"], "neither a run folder nor a baseline"),
        (["gate", "nowhere", "--baseline", "x"], "nowhere"),
        (["suite", "check", "nowhere"], "nowhere"),
        (["baseline", "show", "nowhere"], "nowhere"),
        (["run", "ask", "--checkpoint", "replay:x", "--root", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_clear_error_and_exit_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
):
    assert main([*arguments]) == 2
    error = capsys.readouterr().err

    assert part in error
    assert error.startswith("harness: ") or "\nharness: " in error
    assert "Traceback" not in error


def test_baselines_tell_when_from_what_and_why(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "old", answers())
    save("old")
    capsys.readouterr()
    assert main(["baseline", "list"]) == 0
    listed = capsys.readouterr().out
    assert main(["baseline", "history"]) == 0
    history = capsys.readouterr().out
    assert main(["baseline", "show", "shipped"]) == 0

    for text in (listed, history):
        assert "ask/shipped" in text
        assert "a test" in text
    assert "from old" in capsys.readouterr().out


def test_what_a_reason_holds_is_shown_and_not_obeyed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    run(project, "old", answers())
    reason = "fine\n::error::no\x1b[2J"
    assert main(["baseline", "save", "old", "--name", "shipped", "--reason", reason]) == 0
    capsys.readouterr()

    for arguments in (["list"], ["history"], ["show", "shipped"]):
        assert main(["baseline", *arguments]) == 0
        shown = capsys.readouterr().out
        assert r"fine⏎::error::no\x1b[2J" in shown
        assert "\x1b" not in shown


def test_what_a_suite_holds_is_shown_and_not_obeyed(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    file = project / "suites" / "ask" / "suite.yaml"
    suite = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**suite, "description": "x\n::error::no\x1b[2J"}), "utf-8")

    for arguments in (["list"], ["show", "ask"]):
        assert main(["suite", *arguments]) == 0
        shown = capsys.readouterr().out
        assert r"x⏎::error::no\x1b[2J" in shown
        assert "\x1b" not in shown


def test_a_replay_is_not_timed_and_nothing_is_begun(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(project, "new", answers(), "--latency") == 2
    assert "a replay cannot be timed" in capsys.readouterr().err
    assert not (project / "new").exists()


def test_explain_shows_what_was_sent_what_came_and_how_it_was_read(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    rows = answers()
    text = 'Sure! <tool_call>\n{"name": "outside", "arguments": {"q": "\\u001b[31m"}}\n</tool_call>'
    rows[3] = {"case": "c3", "output": text}
    run(project, "old", rows, "--dialect", "hermes")
    capsys.readouterr()
    assert main(["explain", "old", "c3"]) == 0
    said = capsys.readouterr().out

    assert said.startswith("c3: incorrect")
    for part in ("Ask inside about matter 3.", "read as hermes", "outside(", "wrong_tool", "Sure!"):
        assert part in said
    assert "\x1b" not in said
    assert main(["explain", "old", "c999"]) == 2


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


def test_a_new_suite_checks_clean_and_is_released(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    for arguments in (
        ["suite", "new", "mine"],
        ["suite", "check", "mine"],
        ["suite", "release", "mine"],
        ["suite", "show", "mine"],
        ["suite", "list"],
    ):
        assert main(arguments) == 0, arguments
    assert "mine" in capsys.readouterr().out
    cases = project / "suites" / "mine" / "cases.jsonl"
    cases.write_text(cases.read_text() + "{not json\n")

    assert main(["suite", "check", "mine"]) == 1
    assert "cases.jsonl:" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["3pp", "3%", "0.03"])
def test_need_says_how_many_cases_a_question_needs(text: str, capsys: pytest.CaptureFixture[str]):
    assert main(["need", "--drop", text, "--discordance", "5%"]) == 0
    said = capsys.readouterr().out

    assert "548 cases" in said
    assert "344 cases" in said


def test_doctor_finds_this_installation_in_order(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out

    assert "suite ask" in said
    assert "BROKEN" not in said
