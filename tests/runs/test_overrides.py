"""
A regression that somebody lets through: exit 0, and it is said for good.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from harness.cli.main import main
from harness.errors import UsageError
from harness.gating.verdict import Override
from harness.runs.overrides import read_overrides
from harness.workflow.request import read_override

from ..builders import question, write_suite

CI = Path(__file__).parents[2] / "docs" / "ci"
WHY = ("--override", "agreed in #812", "--override-by", "ann")
SAID = "overridden by ann on 20"


def make(name: str, suite: str, wrong: int) -> None:
    rows = []
    for number in range(120):
        tool = "outside" if number < wrong else "inside"
        call = {"function": {"name": tool, "arguments": {"q": str(number)}}}
        rows.append({"case": f"c{number}", "message": {"tool_calls": [call]}})
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--checkpoint", "replay:answers.jsonl", "--out", f"{name}/{suite}", "--quiet"]
    assert 0 == main(["run", suite, *asked])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for suite in ("ask", "tell"):
        cases = [question(f"c{k}", q=f"{k}", prompt=f"{suite} {k}") for k in range(120)]
        write_suite(tmp_path, cases, name=suite)
        make("old", suite, 0)
        assert 0 == main(["baseline", "save", f"old/{suite}", "--name", "shipped"])
        make("worse", suite, 20 if suite == "ask" else 0)
        make("same", suite, 0)
    return tmp_path


def gated(capsys: pytest.CaptureFixture[str], *asked: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["gate", *asked, "--baseline", "shipped", "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_the_verdict_stays_and_the_exit_code_does_not(capsys: pytest.CaptureFixture[str]):
    code, plain = gated(capsys, "worse/ask")
    assert (1, None) == (code, plain["override"])

    code, found = gated(capsys, "worse/ask", *WHY)
    override = found.pop("override")
    assert (0, 0, "regressed") == (code, found["exit"], found["verdict"])
    assert ("ann", "agreed in #812") == (override["by"], override["reason"])
    assert plain["reasons"] == found["reasons"]
    # It is asked for each time: what was overridden once blocks again.
    assert 1 == gated(capsys, "worse/ask")[0]


def test_every_form_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, name)
    files = {name: f"f.{name}" for name in ("html", "markdown", "junit", "comment")}
    for run in ("worse/ask", "worse"):
        Path("GITHUB_OUTPUT").unlink(missing_ok=True)
        forms = [word for name, file in files.items() for word in (f"--{name}", file)]
        capsys.readouterr()
        assert 0 == main(["gate", run, "--baseline", "shipped", "--github", *forms, *WHY])
        shown = capsys.readouterr().out
        assert SAID in shown
        assert SAID in shown.splitlines()[-1]
        assert shown.splitlines()[-1].startswith("regressed, overridden after ")
        assert "::error" not in shown
        assert SAID in Path("GITHUB_OUTPUT").read_text()
        for name in ("html", "markdown", "comment"):
            text = Path(files[name]).read_text("utf-8")
            assert SAID in text.replace("Overridden", "overridden")
            assert "regressed, overridden" in text
        root = ElementTree.parse(files["junit"]).getroot()
        [gate] = [each for each in root.iter("testcase") if each.get("name") in ("gate", "release")
                  and each.find("system-out") is not None
                  and SAID in str(each.findtext("system-out"))]  # fmt: skip
        assert gate.find("failure") is None


def test_explain_names_it(capsys: pytest.CaptureFixture[str]):
    main(["gate", "worse/ask", "--baseline", "shipped", "--explain", *WHY])

    assert "  overridden by ann" in capsys.readouterr().out


@pytest.mark.parametrize("run", ["same/ask", "same"])
def test_a_pass_has_nothing_to_override(run: str, capsys: pytest.CaptureFixture[str]):
    code, found = gated(capsys, run, *WHY)

    assert (0, "pass", None) == (code, found["verdict"], found["override"])
    assert "nothing to override: pass (agreed in #812, ann)" in found["notes"]
    assert [] == read_overrides(Path("same/ask"))


def test_what_is_not_comparable_is_never_overridden(capsys: pytest.CaptureFixture[str]):
    Path("gate.toml").write_text("[suites.ask]\n[suites.other]\n")
    code, found = gated(capsys, "same", *WHY)
    assert (3, "not_comparable", None) == (code, found["verdict"], found["override"])

    # Nor is it where another suite regressed, which is let through.
    code, found = gated(capsys, "worse", *WHY)
    assert (3, 3, "regressed") == (code, found["exit"], found["verdict"])
    assert "ann" == found["override"]["by"]


def test_a_usage_error_is_never_overridden(capsys: pytest.CaptureFixture[str]):
    assert 2 == main(["gate", "worse/ask", "--baseline", "none", *WHY])
    for asked in (WHY[:2], WHY[2:], ("--override", " ", *WHY[2:])):
        assert 2 == main(["gate", "worse/ask", "--baseline", "shipped", *asked])
        assert "who overrides the gate, and why?" in capsys.readouterr().err
    assert [] == read_overrides(Path("worse/ask"))


def test_the_run_keeps_it_and_the_history_of_its_baseline_has_it(
    capsys: pytest.CaptureFixture[str],
):
    for _ in range(2):
        gated(capsys, "worse", *WHY)
    noted = read_overrides(Path("worse/ask"))
    assert {("ann", "regressed", "shipped")} == {
        (row["by"], row["verdict"], row["baseline"]) for row in noted
    }
    assert noted[0]["because"].startswith("accuracy fell")
    # The other suite passed.
    assert [] == read_overrides(Path("worse/tell"))

    save = ["baseline", "save", "worse/ask", "--name", "shipped", "--replace", "--reason", "as is"]
    assert 0 == main(save)
    capsys.readouterr()
    assert 0 == main(["baseline", "history", "ask/shipped"])
    assert f"as is; {SAID}" in capsys.readouterr().out
    assert 0 == main(["baseline", "show", "ask/shipped"])
    assert "  overridden by ann on 20" in capsys.readouterr().out
    # The next run has its own.
    assert 0 == main(["baseline", "save", "same/ask", "--name", "shipped", "--replace"])
    assert not Path("baselines/ask/shipped/overrides.jsonl").exists()


def test_a_line_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]):
    Path("worse/ask/overrides.jsonl").write_text('{"by": "ann"}\n')

    assert 2 == main(["gate", "worse/ask", "--baseline", "shipped", *WHY])
    assert "overrides.jsonl:1: not an override" in capsys.readouterr().err


# What GitHub sends

SENT = {
    "action": "labeled",
    "label": {"name": "harness-override"},
    "pull_request": {"number": 7, "title": "Ask\n back", "updated_at": "2026-11-30T14:00:00Z"},
    "sender": {"login": "ann"},
}
LISTED = {
    "event": "labeled",
    "label": {"name": "harness-override"},
    "actor": {"login": "ann"},
    "created_at": "2026-11-30T14:00:00Z",
}
COMMENTED = {
    "action": "created",
    "issue": {"number": 7, "pull_request": {}},
    "comment": {"body": "/harness accept: x"},
    "sender": {"login": "ann"},
}


def override_of(event: Any, *label: str) -> Override:
    Path("event.json").write_text(json.dumps(event))
    return read_override(Path("event.json"), *label)


def test_a_label_overrides_in_the_name_of_who_set_it():
    when = "2026-11-30T14:00:00Z"
    of = Override(by="ann", reason="Ask back (label harness-override on #7)", when=when)

    assert of == override_of(SENT)
    assert of == override_of({**LISTED, "pull_request": SENT["pull_request"]})
    assert "label harness-override" == override_of(LISTED).reason
    named = override_of({**SENT, "label": {"name": "ship-it"}}, "ship-it")
    assert "Ask back (label ship-it on #7)" == named.reason


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({**SENT, "action": "unlabeled"}, "'harness-override' was unlabeled"),
        ({**LISTED, "event": "unlabeled"}, "'harness-override' was unlabeled"),
        ({**SENT, "label": {"name": "bug"}}, "the label 'bug' was labeled"),
        ({**SENT, "sender": None}, "not an event of a label"),
        (COMMENTED, "not an event of a label"),
        ([], "not an event of a label"),
    ],
)
def test_another_event_overrides_nothing(event: Any, said: str):
    with pytest.raises(UsageError, match=said):
        override_of(event)


def test_the_gate_reads_the_event(capsys: pytest.CaptureFixture[str]):
    Path("event.json").write_text(json.dumps(SENT))
    code, found = gated(capsys, "worse/ask", "--override-event", "event.json")

    assert (0, "ann") == (code, found["override"]["by"])
    assert "2026-11-30T14:00:00Z" == found["override"]["when"]
    capsys.readouterr()
    both = ["--override-event", "event.json", *WHY]
    assert 2 == main(["gate", "worse/ask", "--baseline", "shipped", *both])
    assert "--override-event says who overrides and why" in capsys.readouterr().err


GH = """\
#!{python}
import json, sys
given = sys.argv[1:]
if given[0] == "pr":
    open("called", "a").write(" ".join(given) + chr(10))
elif given[1].endswith("/events"):
    # As gh does with --jq: one value a line.
    import subprocess
    rows = open("listed.json").read()
    sys.stdout.write(subprocess.run(
        ["jq", "-c", given[given.index("--jq") + 1]], input=rows, text=True, capture_output=True
    ).stdout)
else:
    assert given[1] == "repos/org/models/collaborators/ann/permission"
    print(open("permission").read())
"""


@pytest.fixture
def look(tmp_path: Path) -> Any:
    """
    Run the step of docs/ci/github.yml that looks for the label, with a stand-in for ``gh``.
    """
    job = YAML(typ="safe").load((CI / "github.yml").read_text("utf-8"))["jobs"]["gate"]
    [step] = [each for each in job["steps"] if each.get("id") == "override"]
    (tmp_path / "gh").write_text(GH.format(python=sys.executable))
    (tmp_path / "gh").chmod(0o755)

    def run(listed: list[Any], *, permission: str = "write", action: str = "labeled") -> str:
        Path("listed.json").write_text(json.dumps(listed))
        Path("permission").write_text(permission)
        Path("event.json").write_text(json.dumps({**SENT, "action": action}))
        Path("output").write_text("")
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": "output",
            "GITHUB_EVENT_PATH": "event.json",
            "GH_REPO": "org/models",
            "NUMBER": "7",
            "ACTION": action,
            "LABEL": step["env"]["LABEL"],
        }
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        subprocess.run(script, env=environment, check=True, cwd=tmp_path)
        found = Path("output").read_text()
        return found.removeprefix("event=").strip()

    return run


def test_the_job_takes_the_label_of_somebody_with_write_access(look: Any):
    other = {**LISTED, "label": {"name": "bug"}}
    event = look([{"event": "merged"}, LISTED, other])

    assert "Ask back (label harness-override on #7)" == read_override(Path(event)).reason
    assert event == look([LISTED], permission="admin")
    assert "" == look([LISTED], permission="read")
    assert "" == look([LISTED], permission="triage")


def test_the_job_overrides_nothing_without_the_label_or_after_a_new_commit(look: Any):
    assert "" == look([])
    assert "" == look([LISTED, {**LISTED, "event": "unlabeled"}], action="unlabeled")
    assert not Path("called").exists()
    assert "" == look([LISTED], action="synchronize")
    assert "pr edit 7 --remove-label harness-override\n" == Path("called").read_text()
