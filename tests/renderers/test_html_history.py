"""
The releases of baselines as pages: from runs on disk, and as a person meets them in a browser.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.cli.main import main
from harness.gating.flaky import State, Strip
from harness.gating.verdict import Override
from harness.renderers.html import badge
from harness.renderers.html.history import render_history, render_index
from harness.reports.history import Acceptance
from harness.reports.timeline import Released, Timeline, timeline
from harness.workflow.project import open_project

from ..builders import question, write_suite

TODAY = date(2026, 11, 30)
MEGABYTE = 1_000_000


def release(
    wrong: str,
    *,
    names: str = "abcdefgh",
    save: bool = True,
    version: str = "1.0.0",
    **changes: dict[str, Any],
) -> str:
    """
    Run the cases *names* with wrong answers to those in *wrong*, and accept the run.
    """
    cases = [question(name, prompt=f"ask {name}", **changes.get(name, {})) for name in names]
    write_suite(Path(), cases, version=version)
    rows = []
    for name in names:
        tool = "outside" if name in wrong else "inside"
        asked = changes.get(name, {}).get("q", name)
        call = {"function": {"name": tool, "arguments": {"q": asked}}}
        rows.append({"case": name, "message": {"tool_calls": [call]}})
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = f"runs/{len(list(Path().glob('runs/*')))}"
    made = ["--checkpoint", "replay:answers.jsonl", "--out", out, "--quiet"]
    assert 0 == main(["run", "ask", *made])
    if save:
        reason = ["--reason", f"<b>{wrong or 'good'}</b>"]
        assert 0 == main(["baseline", "save", out, "--name", "shipped", "--replace", *reason])
    return out


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read() -> Timeline:
    project = open_project()
    return timeline(project.accepted("shipped"), project.policy())


def states() -> dict[str, str]:
    letters = {"right": "R", "wrong": "W", "accepted": "A", "quarantined": "Q", "absent": "-"}
    return {strip.case: "".join(map(letters.get, strip.states)) for strip in read().strips}  # type: ignore[arg-type]


def test_each_case_has_a_strip_over_all_releases(project: Path):
    held = {"quarantine": {"reason": "asks twice", "until": "2099-01-01"}}
    release("a")
    candidate = release("ab", save=False)
    accept = ["--name", "shipped", "--cases", "b", "--reason", "as agreed"]
    Path("gate.toml").write_text('accepted_budget = "20pp"\n')
    assert 0 == main(["baseline", "accept", candidate, *accept])
    save = ["baseline", "save", candidate, "--name", "shipped", "--replace", "--reason", "x"]
    assert 0 == main(save)
    release("b", names="abcdefgi", version="1.1.0", c=held)

    assert {"a": "WWR", "b": "RAW", "c": "RRQ", "d": "RRR", "h": "RR-", "i": "--R"} == {
        name: strip for name, strip in states().items() if name in "abcdhi"
    }
    found = read()
    # What was accepted for one baseline is wrong in the next.
    assert [(None, None), (1, 0), (0, 1)] == [(each.broken, each.fixed) for each in found.released]
    assert (7, 2) == (found.cases, len({each.suite_digest for each in found.released}))


def test_a_case_that_is_asked_anew_begins_anew(project: Path):
    for wrong in ("a", "", "a"):
        release(wrong)
    release("", a={"q": "other words"})
    [strip] = [each for each in read().strips if each.case == "a"]

    assert ((3,), 0, False) == (strip.asked_anew, strip.flips, strip.flaky)


def test_a_release_whose_run_was_pruned_keeps_its_metrics(project: Path):
    for wrong in ("", "a", "ab"):
        release(wrong)
    assert 0 == main(["baseline", "prune", "--keep", "1"])

    assert "-RW" == states()["b"]
    found = read()
    assert [1.0, 0.875, 0.75] == [each.acceptance.metrics["accuracy"] for each in found.released]
    assert [None, None, 1] == [each.broken for each in found.released]


def test_the_pages_are_written_and_hold_nothing_foreign(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    for wrong in ("a", "", "a", ""):
        release(wrong)
    assert 0 == main(["baseline", "history", "--html", "site", "--metric", "no_call_rate"])

    page = Path("site/ask/shipped/index.html").read_text("utf-8")
    assert "<b>" not in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=.?(https?:|//)", page)
    assert ["accuracy by release", "second calls by release", "no call by release"] == re.findall(
        r'aria-label="([^"]+ by release)"', page
    )
    assert "Not measured in any release: latency" in page
    # The flaky ones come first, with a line for the suite.
    flaky = page[page.index('id="flaky"') : page.index('id="all"')]
    assert "Flaky cases (1)" in flaky
    assert "3 flips in 4 releases" in flaky
    line = re.search(r"<code>(.*)</code>", flaky)
    assert line is not None
    proposed = json.loads("{" + line[1].replace("&#34;", '"') + "}")["quarantine"]
    assert "flaky: 3 flips in 4 releases" == proposed["reason"]
    assert proposed["until"] > date.today().isoformat()  # noqa: DTZ011 - as the command has it
    assert "wrong 1, right 2, wrong 3, right 4" in flaky
    index = Path("site/index.html").read_text("utf-8")
    assert 'href="ask/shipped/index.html"' in index
    assert "wrote: site/index.html" in capsys.readouterr().err


def test_a_baseline_without_a_history_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    release("")
    Path("baselines/ask/shipped/history.jsonl").unlink()

    assert 2 == main(["baseline", "history", "--html", "site"])
    assert "shipped has no history.jsonl" in capsys.readouterr().err


# The badge


def badges(found: Timeline) -> tuple[dict[str, Any], ElementTree.Element]:
    return json.loads(badge.shields(found)), ElementTree.fromstring(badge.svg(found))


def test_a_badge_says_verdict_cases_date_and_version(project: Path):
    release("")
    release("")
    day = read().last.acceptance.saved.date()
    data, picture = badges(read())

    # Eight cases show nothing, unless every answer is the same.
    said = f"pass, 8 cases, {day}"
    assert {"schemaVersion": 1, "label": "ask 1.0.0", "message": said, "color": "brightgreen"} == (
        data
    )
    assert f"ask 1.0.0: {said}" == picture.get("aria-label")
    assert ["ask 1.0.0", said] == [
        each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [(["abcdef"], "accepted"), (["", "abcdef"], "regressed"), (["", "a"], "inconclusive")],
)
def test_a_badge_does_not_say_pass_where_nothing_passed(project: Path, wrong: list[str], word: str):
    for each in wrong:
        release(each)

    data, _ = badges(read())
    assert word == data["message"].split(",")[0]
    assert data["color"] != "brightgreen"


def test_a_badge_says_that_a_regression_was_overridden(project: Path):
    release("")
    worse = release("abcdef", save=False)
    why = ["--override", "agreed", "--override-by", "ann"]
    assert 0 == main(["gate", worse, "--baseline", "shipped", *why])
    save = ["baseline", "save", worse, "--name", "shipped", "--replace", "--reason", "agreed"]
    assert 0 == main(save)

    assert badges(read())[0]["message"].startswith("overridden, 8 cases")
    assert "overridden by ann" in render_history(read(), (), today=TODAY)


def test_a_badge_holds_hostile_names():
    data, picture = badges(synthetic(2, 3, suite='"><script>&\x1b[31m\u202e'))

    assert "<script" in data["label"]
    assert "\x1b" not in data["label"]
    assert "<script" in str(picture.get("aria-label"))


# In a browser


def synthetic(releases: int, cases: int, suite: str = "tool-routing") -> Timeline:
    """
    Return a timeline of many cases of which some flip, some are held back and some are new.
    """

    def state(case: int, place: int) -> State:
        if case % 40 == 7:
            return "right" if (place + case) % 3 else "wrong"
        if case % 31 == 3:
            return "wrong" if place < case % 20 else "right"
        if case % 97 == 5:
            return "quarantined"
        if case % 53 == 2 and place == releases - 1:
            return "accepted"
        if case % 203 == 9 and place == 4:
            return "broke"
        return "absent" if case % 11 == 1 and place < releases // 2 else "right"

    first = datetime(2026, 1, 10, 12, tzinfo=UTC)
    return Timeline(
        suite=suite,
        name="shipped",
        released=tuple(
            Released(
                acceptance=Acceptance(
                    baseline=f"{suite}/shipped",
                    saved=first + timedelta(days=16 * place),
                    checkpoint=f"hf:org/a-model-with-quite-a-long-name-{place}",
                    suite_version="1.0.0" if place < releases // 2 else "1.1.0",
                    reason="the new wording was agreed in #812" if place % 3 == 0 else None,
                    metrics={
                        "accuracy": 0.9 + 0.003 * (place % 7),
                        "second_call_rate": 0.02 + 0.001 * (place % 4),
                        "latency_ms_p50": 812.0 + 12 * (place % 5),
                    },
                    intervals={
                        "accuracy": (0.88 + 0.003 * (place % 7), 0.93 + 0.003 * (place % 7)),
                        "second_call_rate": (0.01, 0.04),
                    },
                    overrides=(
                        (Override(by="ann", reason="agreed", when="2026-05-04T12:00:00Z"),)
                        if place == 3
                        else ()
                    ),
                ),
                suite_digest="a" if place < releases // 2 else "b",
                broken=place % 5 if place else None,
                fixed=place % 4 if place else None,
            )
            for place in range(releases)
        ),
        strips=tuple(
            Strip(
                case=f"routing-question-{case:04}",
                states=tuple(state(case, place) for place in range(releases)),
                asked_anew=(releases // 2,) if case % 61 == 8 else (),
                must_pass=case == 47,
            )
            for case in range(cases)
        ),
        cases=cases - cases // 97,
        verdict=None,
    )


def test_twenty_releases_of_1300_cases_fit_in_five_megabytes():
    page = render_history(synthetic(20, 1300), (), today=TODAY)

    assert 5 * MEGABYTE > len(page.encode())
    assert 1300 <= page.count('<svg class="strip"')


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 1024, 390])
def test_nobody_is_shut_out(visit: Callable[..., Any], scheme: str, width: int):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = synthetic(20, 150)
    pages = (render_history(found, (), today=TODAY), render_index([("a.html", found)]))
    for text in pages:
        size = {"width": width, "height": 900}
        page = visit(text, color_scheme=scheme, viewport=size, bypass_csp=True)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        broken = axe.Axe().run(page).response["violations"]

        assert [] == [each["id"] for each in broken if each["impact"] in ("serious", "critical")]
        # Nothing is wider than the screen.
        assert width >= page.evaluate("document.documentElement.scrollWidth")
