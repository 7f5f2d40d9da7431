"""
Single changes accepted for a baseline: what a gate makes of them, now and later.
"""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.runs.accepted import ACCEPTED, read_accepted

from ..builders import question, write_suite

COUNT = 120
SHIPPED = Path("baselines/ask/shipped")


def answers(wrong: dict[int, str], twice: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """
    Answers to every case; those in *wrong* search outside, or say the text that does not begin with
    a letter.
    """
    rows = []
    for number in range(COUNT):
        said = wrong.get(number)
        name, given = ("inside", f"c{number}") if said is None else ("outside", said)
        call = {"type": "function", "function": {"name": name, "arguments": {"q": given}}}
        message: dict[str, Any] = {"tool_calls": [call, call] if number in twice else [call]}
        if said is not None and not said[:1].isalpha():
            message = {"content": said}
        rows.append({"case": f"c{number}", "message": message})
    return rows


def run(name: str, wrong: dict[int, str], **more: Any) -> str:
    rows = answers(wrong, **more)
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--checkpoint", f"replay:{name}.jsonl", "--out", name, "--quiet"]
    assert 0 == main(["run", "ask", *asked])
    return name


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A suite, the last case of which must pass, and a baseline in which the first is wrong.
    """
    monkeypatch.chdir(tmp_path)
    cases = [question(f"c{number}") for number in range(COUNT)]
    cases[-1]["must_pass"] = True
    write_suite(tmp_path, cases)
    assert 0 == main(["baseline", "save", run("good", {0: "x"}), "--name", "shipped"])
    return tmp_path


def accept(candidate: str, *cases: str, more: tuple[str, ...] = ()) -> int:
    words = ["--name", "shipped", "--reason", "asked for", *more]
    return int(main(["baseline", "accept", candidate, *words, "--cases", *cases]))


def gated(capsys: pytest.CaptureFixture[str], candidate: str, *more: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["gate", candidate, "--baseline", "shipped", "--json", "-", *more])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_accepted_answer_counts_as_unchanged_and_is_listed(capsys: pytest.CaptureFixture[str]):
    run("new", {0: "x", 5: "other", 6: "other", 7: "- No."})
    before = gated(capsys, "new")

    assert 0 == accept("new", "c5", "c7")
    after = gated(capsys, "new")

    assert ["c5", "c6", "c7"] == before["broken"]
    assert ["c6"] == after["broken"]
    assert before["metrics"]["accuracy"]["pairs"] == after["metrics"]["accuracy"]["pairs"] == COUNT
    assert (3, 1) == (
        before["metrics"]["accuracy"]["broken"],
        after["metrics"]["accuracy"]["broken"],
    )
    assert [
        {"case": case, "state": "unchanged", "reason": "asked for", "until": None}
        for case in ("c5", "c7")
    ] == after["accepted"]
    assert "2 cases accepted as it is and counted as unchanged: c5, c7" in after["notes"]


def test_what_is_accepted_is_a_line_a_case_beside_a_baseline_that_stays(
    capsys: pytest.CaptureFixture[str],
):
    before = {path.name: path.read_bytes() for path in SHIPPED.iterdir()}
    run("new", {0: "x", 5: "other"})
    capsys.readouterr()

    assert 0 == accept("new", "c5", more=("--until", "2099-12-31"))

    assert "accepted for ask/shipped: c5; 1 of 120 cases by now\n" == capsys.readouterr().out
    (row,) = [json.loads(line) for line in (SHIPPED / ACCEPTED).read_text().splitlines()]
    assert ("c5", "asked for", "2099-12-31") == (row["case"], row["reason"], row["until"])
    assert before == {
        path.name: path.read_bytes() for path in SHIPPED.iterdir() if path.name != ACCEPTED
    }


@pytest.mark.parametrize(
    "again", [{0: "x", 5: "third"}, {0: "x", 5: "- No."}, {0: "x", 5: "other ", 6: "y"}]
)
def test_an_accepted_case_that_changes_again_is_broken_again(
    capsys: pytest.CaptureFixture[str], again: dict[int, str]
):
    accept(run("new", {0: "x", 5: "other"}), "c5")

    found = gated(capsys, run("newer", again))

    assert "c5" in found["broken"]
    assert ["changed_again"] == [each["state"] for each in found["accepted"]]
    assert "1 case accepted once and changed again, so broken again: c5" in found["notes"]


def test_an_accepted_case_that_is_right_again_is_nothing_to_tell(
    capsys: pytest.CaptureFixture[str],
):
    accept(run("new", {0: "x", 5: "other"}), "c5")

    found = gated(capsys, run("newer", {0: "x"}))

    assert ([], []) == (found["broken"], found["accepted"])


def test_the_same_answer_of_another_checkpoint_is_accepted_as_well(
    capsys: pytest.CaptureFixture[str],
):
    accept(run("new", {0: "x", 5: "other"}), "c5")

    found = gated(capsys, run("newer", {0: "x", 5: "other", 8: "y"}))

    assert ["c8"] == found["broken"]


def test_an_acceptance_ends_with_its_last_day(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    accept(run("new", {0: "x", 5: "other"}), "c5", more=("--until", "2099-12-30"))

    def on(day: date) -> dict[str, Any]:
        for module in ("workflow.gate", "workflow.accept"):
            monkeypatch.setattr(f"harness.{module}.date_today", lambda: day)
        return gated(capsys, "new")

    last = date(2099, 12, 30)
    assert [] == on(last)["broken"]
    found = on(last + timedelta(days=1))
    assert ["c5"] == found["broken"]
    assert ["expired"] == [each["state"] for each in found["accepted"]]
    assert "1 case accepted until a day that has passed, so broken again: c5" in found["notes"]


def test_a_second_call_is_accepted_as_a_wrong_tool_is(capsys: pytest.CaptureFixture[str]):
    run("new", {0: "x"}, twice=(3,))
    assert 1 == gated(capsys, "new")["metrics"]["second_call_rate"]["broken"]

    assert 0 == accept("new", "c3")

    assert 0 == gated(capsys, "new")["metrics"]["second_call_rate"]["broken"]


def test_the_budget_bounds_all_that_was_accepted(capsys: pytest.CaptureFixture[str]):
    run("new", {0: "x", **dict.fromkeys(range(1, 6), "other")})
    assert 0 == accept("new", "c1", "c2", "c3")
    capsys.readouterr()

    assert 2 == accept("new", "c4", "c5")

    assert (
        "harness: 5 accepted cases of 120 would be over the budget of 3 points; accept the whole "
        "run with `harness baseline save`, or raise accepted_budget in the built-in policy\n"
    ) == capsys.readouterr().err
    assert ["c1", "c2", "c3"] == [each.case for each in read_accepted(SHIPPED)]
    Path("gate.toml").write_text('accepted_budget = "5pp"\n')
    assert 0 == accept("new", "c4", "c5")
    assert "pass" == gated(capsys, "new")["verdict"]
    Path("gate.toml").write_text('accepted_budget = "2pp"\n')
    found = gated(capsys, "new")
    assert "regressed" == found["verdict"]
    assert found["reasons"][0].startswith(
        "5 accepted cases of 120, and accepted_budget allows 2 points"
    )


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        (["c5", "c9"], "case 'c9' is not worse than in shipped, so there is nothing to accept; "
         "broken: c119, c5"),
        (["c0"], "case 'c0' is not worse than in shipped"),
        (["c5x"], "new has no case 'c5x'; did you mean 'c5'?"),
        (["c119"], "case 'c119' must pass, so no wrong answer to it can be accepted"),
    ],
)  # fmt: skip
def test_what_cannot_be_accepted_is_an_error_and_nothing_is(
    capsys: pytest.CaptureFixture[str], cases: list[str], said: str
):
    run("new", {0: "x", 5: "other", 119: "other"})
    capsys.readouterr()

    assert 2 == accept("new", *cases)

    assert said in capsys.readouterr().err
    assert not (SHIPPED / ACCEPTED).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cases", "c5", "--reason", " "], "why is it accepted?"),
        (["--cases", "c5", "--reason", "x", "--until", "2001-01-01"], "2001-01-01 has passed"),
        (["--cases", "c5", "--reason", "x", "--until", "soon"], "'soon' is not a date such as"),
        (["--reason", "x", "--until", "2099-01-01"], "--until is for single cases"),
    ],
)
def test_a_reason_and_a_day_to_come_are_needed(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    run("new", {0: "x", 5: "other"})

    assert 2 == main(["baseline", "accept", "new", "--name", "shipped", *words])
    assert said in capsys.readouterr().err


def test_without_cases_the_run_takes_the_baseline_s_place_and_nothing_stays_accepted(
    capsys: pytest.CaptureFixture[str],
):
    accept(run("new", {0: "x", 5: "other"}), "c5")

    words = ["--name", "shipped", "--reason", "all of it"]
    assert 0 == main(["baseline", "accept", "new", *words])

    found = gated(capsys, run("newer", {0: "x", 5: "other"}))
    assert ([], []) == (found["broken"], found["accepted"])
    (old,) = Path("baselines/ask/history").iterdir()
    assert ["c5"] == [each.case for each in read_accepted(old)]


def test_the_same_run_saved_again_keeps_what_was_accepted_for_it():
    accept(run("new", {0: "x", 5: "other"}), "c5")

    assert 0 == main(["baseline", "save", "good", "--name", "shipped"])

    assert ["c5"] == [each.case for each in read_accepted(SHIPPED)]


def test_a_case_that_asks_something_else_now_is_not_the_accepted_one(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    accept(run("new", {0: "x", 5: "other"}), "c5")
    changed = [question(f"c{number}", q="z" if number == 5 else None) for number in range(COUNT)]
    write_suite(project, changed, version="1.1.0")

    found = gated(capsys, run("newer", {0: "x", 5: "other"}))

    assert (["c5"], []) == (found["changed"], found["accepted"])


def test_every_form_of_report_lists_accepted_cases(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    accept(run("new", {0: "x", 5: "other", 6: "y"}), "c5", more=("--until", "2099-12-31"))
    forms = ["html", "markdown", "junit"]
    capsys.readouterr()

    files = [word for form in forms for word in (f"--{form}", f"gate.{form}")]
    main(["gate", "new", "--baseline", "shipped", "-v", *files])
    shown = {form: Path(f"gate.{form}").read_text("utf-8") for form in forms}
    shown["terminal"] = capsys.readouterr().out
    main(["gate", "new", "--baseline", "shipped"])
    shown["brief"] = capsys.readouterr().out
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, name)
    main(["gate", "new", "--baseline", "shipped", "--github"])
    shown["github"] = capsys.readouterr().out
    shown["github summary"] = Path("GITHUB_STEP_SUMMARY").read_text("utf-8")
    assert "accepted=1\n" in Path("GITHUB_OUTPUT").read_text("utf-8")

    for form, text in shown.items():
        assert "asked for" in text, form
        assert "c5" in text, form
    assert "incorrect; accepted until 2099-12-31: asked for" in shown["junit"]
    assert 1 == shown["junit"].count("<failure")


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"case": "c5"}', '{"case": 5, "question": "", "answer": "", "reason": "", '
             '"accepted": "", "until": null}']
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str], line: str):
    accept(run("new", {0: "x", 5: "other"}), "c5")
    with (SHIPPED / ACCEPTED).open("a") as file:
        file.write(line + "\n")
    capsys.readouterr()

    assert 2 == main(["gate", "new", "--baseline", "shipped"])

    assert f"{SHIPPED / ACCEPTED}:2: not an accepted change" in capsys.readouterr().err


def test_what_a_comment_asks_for_is_accepted(capsys: pytest.CaptureFixture[str]):
    run("new", {0: "x", 5: "other"})
    event = {
        "issue": {"number": 8, "pull_request": {}},
        "comment": {"body": "/harness accept c5 until 2099-01-01: as agreed"},
        "sender": {"login": "octocat"},
    }
    Path("event.json").write_text(json.dumps(event), "utf-8")

    words = ["baseline", "accept", "new", "--name", "shipped", "--event", "event.json"]
    assert 0 == main(words)

    (found,) = read_accepted(SHIPPED)
    assert ("as agreed (octocat on #8)", date(2099, 1, 1)) == (found.reason, found.until)
    assert 2 == main([*words, "--reason", "x"])
    assert "drop the rest, or --event" in capsys.readouterr().err
