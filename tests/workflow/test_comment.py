"""
One comment on a pull request, made through ``gh``: here a script that keeps comments in a file.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.renderers.comment import render
from harness.testing.reports import REPORTS, hostile_reports
from harness.workflow.comment import KEPT, MARKER, Place, put_comment

GH = """\
#!{python}
import json, pathlib, sys
store = pathlib.Path({store!r})
state = json.loads(store.read_text())
path, options = sys.argv[2], sys.argv[3:]
if state.get("refuse"):
    sys.exit("HTTP 403: Resource not accessible by integration")
if "POST" in options or "PATCH" in options:
    sent = json.load(sys.stdin)
    state["calls"].append([path, sent])
    if path.endswith("check-runs"):
        pass
    elif "PATCH" in options:
        number = int(path.rsplit("/", 1)[1])
        [row] = [row for row in state["comments"] if row["id"] == number]
        row["body"] = sent["body"]
    else:
        state["comments"].append({{"id": 100 + len(state["comments"]), "body": sent["body"]}})
    store.write_text(json.dumps(state))
    print("{{}}")
else:
    for row in state["comments"]:
        print(json.dumps(row))
"""

PLACE = Place(repository="org/models", number=7)
PASS, ALERT = (f"{MARKER} verdict={word} -->\nsaid" for word in ("pass", "regressed"))


class Pull:
    """
    A pull request with its comments.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.write(comments=[{"id": 3, "body": "Looks good\nto me"}], calls=[])

    def write(self, **state: Any) -> None:
        self.store.write_text(json.dumps(state))

    @property
    def state(self) -> Any:
        return json.loads(self.store.read_text())

    @property
    def bodies(self) -> list[str]:
        return [row["body"] for row in self.state["comments"]]


@pytest.fixture
def pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pull:
    found = Pull(tmp_path / "comments.json")
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "gh"
    script.write_text(GH.format(python=sys.executable, store=str(found.store)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return found


def test_there_is_one_comment_and_it_is_updated(pull: Pull):
    assert "created" == put_comment(ALERT, PLACE)
    assert "updated" == put_comment(PASS, PLACE)
    assert ["Looks good\nto me", PASS] == pull.bodies


def test_what_was_overridden_stays_in_the_comment(pull: Pull):
    said = f"Overridden by ann on 2026-11-30: agreed {KEPT}"
    put_comment(f"{ALERT}\n\n{said}\n", PLACE)
    put_comment(PASS, PLACE)
    put_comment(ALERT, PLACE)

    assert f"{ALERT}\n{said}\n" == pull.bodies[-1]
    put_comment(f"{PASS}\n\n{said}\n", PLACE)
    assert 1 == pull.bodies[-1].count(said)


def test_what_is_kept_leaves_room_for_what_is_new(pull: Pull):
    lines = [f"Overridden {number}: {'x' * 20_000} {KEPT}" for number in range(3)]
    put_comment("\n".join([ALERT, *lines]), PLACE)
    put_comment(f"{PASS}{'y' * 30_000}", PLACE)

    assert 65_536 > len(pull.bodies[-1])
    assert "Overridden 2" in pull.bodies[-1]
    assert "Overridden 1" not in pull.bodies[-1]


def test_only_on_alert_a_pass_makes_none_but_takes_an_old_alarm_back(pull: Pull):
    assert "left out" == put_comment(PASS, PLACE, only_on_alert=True)
    assert 1 == len(pull.bodies)
    assert "created" == put_comment(ALERT, PLACE, only_on_alert=True)
    assert "updated" == put_comment(PASS, PLACE, only_on_alert=True)
    assert PASS == pull.bodies[-1]


def test_a_fork_is_told_where_the_report_is(pull: Pull):
    pull.write(comments=[], calls=[], refuse=True)

    with pytest.raises(UsageError, match=r"HTTP 403.*its step's summary has the report"):
        put_comment(ALERT, PLACE)


def test_what_is_not_a_comment_of_ours_is_not_posted(pull: Pull):
    with pytest.raises(UsageError, match="not a comment of `harness gate --comment`"):
        put_comment("# anything", PLACE)
    with pytest.raises(UsageError, match="'models' is not a repository"):
        put_comment(PASS, Place(repository="models", number=7))


def test_without_gh_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(UsageError, match="gh, GitHub's client, is not installed"):
        put_comment(PASS, PLACE)


def test_each_suite_has_a_check_of_its_own(
    pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_REPOSITORY", "org/models")
    Path("c.md").write_text(ALERT)
    reasons = ["because"]
    suites = {
        "good": {"tier": "required", "verdict": "pass", "exit": 0, "reasons": reasons},
        "bad": {"tier": "required", "verdict": "regressed", "exit": 1, "reasons": reasons},
        "unsure": {"tier": "required", "verdict": "inconclusive", "exit": 0, "reasons": reasons},
        "gone": {"tier": "required", "verdict": "not_comparable", "reasons": reasons},
        "aside": {"tier": "advisory", "verdict": "regressed", "exit": 1, "reasons": reasons},
    }
    verdict = {"verdict": "regressed", "exit": 1, "reasons": reasons, "suites": suites}
    Path("v.json").write_text(json.dumps(verdict))
    asked = ["comment", "c.md", "--pull-request", "7", "--checks", "v.json", "--commit", "abc"]

    assert 0 == main(asked)
    checks = [sent for path, sent in pull.state["calls"] if path == "repos/org/models/check-runs"]
    assert {
        "harness: good": "success",
        "harness: bad": "failure",
        "harness: unsure": "neutral",
        "harness: gone": "failure",
        "harness: aside": "neutral",
    } == {check["name"]: check["conclusion"] for check in checks}
    assert {"abc"} == {check["head_sha"] for check in checks}

    Path("v.json").write_text(json.dumps({**suites["good"], "suite": "solo"}))
    assert 0 == main(asked)
    assert "harness: solo" == pull.state["calls"][-1][1]["name"]

    override = {"by": "ann", "reason": "agreed", "when": "2026-11-30T14:00:00Z"}
    Path("v.json").write_text(json.dumps({**verdict, "exit": 0, "override": override}))
    assert 0 == main(asked)
    last = [sent for path, sent in pull.state["calls"] if path.endswith("check-runs")][6:]
    checked = {check["name"].removeprefix("harness: "): check for check in last}
    assert ["success", "neutral", "failure"] == [
        checked[name]["conclusion"] for name in ("good", "bad", "gone")
    ]
    assert "- overridden by ann: agreed\n- because" == checked["bad"]["output"]["summary"]


def test_without_a_pull_request_the_comment_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "c.md"
    file.write_text(ALERT)

    assert 0 == main(["comment", str(file)])
    assert ALERT == capsys.readouterr().out
    assert 2 == main(["comment", str(tmp_path / "none.md")])
    assert "cannot be read" in capsys.readouterr().err


def test_the_alert_comes_first_then_the_table_then_ten_broken_cases():
    text = render(REPORTS["release"]())

    assert text.startswith(f"{MARKER} verdict=regressed -->\n\n> [!CAUTION]\n> **regressed**: ")
    table, broken = text.index("| suite |"), text.index("#### Broken (")
    assert table < broken < text.index("<details>")
    shown = text[broken : text.index("<details>")]
    assert 10 == shown.count("\n- **")
    assert "bad: " in shown


def test_a_gate_of_one_suite_has_the_same_form():
    text = render(REPORTS["gate"]())

    assert "> [!CAUTION]" in text
    assert "| metric |" in text[: text.index("<details>")]


@pytest.mark.parametrize("kind", list(REPORTS))
def test_a_comment_fits(kind: str):
    assert len(render(REPORTS[kind]())) < 60_000


def test_nothing_foreign_ends_the_marker_or_the_alert():
    for report in hostile_reports("--> \n\n# x <!-- toolcall-harness"):
        marker, alert, *_ = render(report).split("\n\n")
        assert marker.startswith(MARKER)
        assert marker.endswith("-->")
        assert marker.count("-->") == 1
        assert 2 == len(alert.splitlines()) or report.verdict is None
