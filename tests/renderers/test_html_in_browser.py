"""
The page as a person meets it in headless Chromium, from stored answers to clicks.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.finetuning.curves import Curve, Panel, Point
from harness.renderers.html.render import render, render_sheet
from harness.reports.blocks import Paragraph, Quote, Section, Table
from harness.reports.matrix import sheet_of_matrix
from harness.reports.report import Report
from harness.reports.sheet import Sheet
from harness.testing.reports import REPORTS
from harness.testing.texts import HOSTILE
from tests.reports.test_matrix import made

TREE = Path(__file__).parents[2]
DESKTOP, TABLET, PHONE = (
    {"width": width, "height": height} for width, height in ((1280, 900), (1024, 768), (390, 844))
)
SIZES = pytest.mark.parametrize("size", [DESKTOP, TABLET, PHONE], ids=["1280", "1024", "390"])


SHEET = Sheet(
    title="Checkpoints of <b>one</b> training",
    summary=(Paragraph(text=("keep ", Quote("checkpoint-40")), mood="title"),),
    panels=(
        Panel(
            label="loss",
            curves=(
                Curve(
                    label="training loss",
                    points=tuple(Point(at=10 * n, value=5 - n) for n in range(5)),
                ),
            ),
        ),
        Panel(
            label="share of cases",
            curves=(
                Curve(
                    label="accuracy",
                    points=tuple(
                        Point(at=10 * n, value=n / 5, low=n / 6, high=n / 4) for n in range(5)
                    ),
                    level=0.5,
                ),
            ),
            share=True,
        ),
    ),
    along="step",
    marked=40,
    marked_as="the checkpoint to keep",
    caption="Bands are 95% intervals.",
    sections=(
        Section(
            title="Each checkpoint",
            blocks=(
                Table(
                    header=("checkpoint", "accuracy", "second calls", "malformed", "loss", "gate"),
                    rows=tuple(
                        (
                            Quote(f"checkpoint-{10 * n}"),
                            *["92.5% (80.1–97.4%)"] * 3,
                            "0.1234",
                            "inconclusive",
                        )
                        for n in range(5)
                    ),
                ),
            ),
        ),
    ),
)


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The demo's questions with the report on a candidate: it calls the other tool in twelve cases
    that were right, and is right in two of the twenty that were not. Two runs are beside it.
    """
    folder = tmp_path_factory.mktemp("gated")
    suite = folder / "suites" / "asked"
    suite.mkdir(parents=True)
    source = TREE / "suites" / "tool-routing"
    lines = (source / "cases.jsonl").read_text("utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if "demo" in case["tags"]]
    (suite / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases), "utf-8")
    tools = json.loads((source / "tools.json").read_text("utf-8"))
    head = {"format": 1, "name": "asked", "version": "1.2.3", "cases": "cases.jsonl"}
    (suite / "suite.yaml").write_text(json.dumps({**head, "tools": tools}), "utf-8")

    root = ["--root", str(folder)]
    names = [case["id"] for case in cases]
    for run, wrong in (("old", names[:20]), ("new", [*names[2:20], *names[20::3][:12]])):
        rows = [_answer(case, place, case["id"] in wrong) for place, case in enumerate(cases)]
        answers = folder / f"{run}.jsonl"
        answers.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        ask = ["run", "asked", "--checkpoint", f"replay:{answers}", "--dialect", "hermes"]
        assert main([*ask, "--out", str(folder / run), "--quiet", *root]) == 0
    save = ["baseline", "save", str(folder / "old"), "--name", "shipped", "--reason", "a test"]
    assert main([*save, *root]) == 0
    gate = ["gate", str(folder / "new"), "--baseline", "shipped", *root]
    assert main([*gate, "--html", str(folder / "report.html")]) == 1
    return folder


PAGES = (
    *("gate", "comparison", "run", "side by side", "latency", "many tools", "anchor"),
    *("conversations", "end states"),
)
"""A page of each kind; those that differ by what they hold are last."""


@pytest.fixture(scope="module")
def pages(gated: Path) -> dict[str, Path]:
    """
    The pages of `PAGES`, most of them on the runs of `gated`.
    """
    folder, baselines = gated / "pages", TREE / "baselines"
    folder.mkdir()
    old, new = gated / "old", gated / "new"
    long = gated / "org-name-of-a-candidate-with-a-long-name-2026-11-30"
    timed = gated / "timed"
    shutil.copytree(new, long)
    rows = [json.loads(line) for line in (gated / "new.jsonl").read_text("utf-8").splitlines()]
    for place, row in enumerate(rows):
        row |= {"latency_ms": 12_345.6 + place, "ttft_ms": 1234.5}
    (gated / "timed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    ask = ["run", "asked", "--checkpoint", f"replay:{gated / 'timed.jsonl'}", "--dialect", "hermes"]
    assert main([*ask, "--out", str(timed), "--quiet", "--root", str(gated)]) == 0
    tools = baselines / "tool-confusion"
    commands = {
        "comparison": ["compare", old, new],
        "run": ["report", new],
        "side by side": ["compare", old, new, long],
        "latency": ["compare", timed, new],
        "many tools": ["compare", tools / "smollm2-135m", tools / "smollm2-135m-tuned"],
    }
    made = {"gate": gated / "report.html"}
    for name, command in commands.items():
        made[name] = folder / f"{name.replace(' ', '-')}.html"
        assert main([*map(str, command), "--html", str(made[name])]) == 0
    for name, suite in (("conversations", "rag-kb"), ("end states", "phone-state")):
        made[name] = _executed(folder, suite)
    made["anchor"] = folder / "anchor.html"
    made["anchor"].write_text(render(REPORTS["anchored gate"]()), "utf-8")
    return made


def _executed(folder: Path, name: str) -> Path:
    """
    Gate right answers of an executed suite in which every ninth case that calls was made wrong: it
    searches for something else, or changes what nobody asked for.
    """
    wrong = {
        "rag-kb": ("search_knowledge_base", {"query": "who waters the plants"}),
        "phone-state": ("set_alarm", {"time": "03:33"}),
    }[name]
    source = TREE / "suites" / name
    lines = (source / "second-reading.jsonl").read_text("utf-8").splitlines()
    old = [json.loads(line) for line in lines]
    called = [row["case"] for row in old if row["step"] == 0 and "tool_calls" in row["message"]]
    function = {"name": wrong[0], "arguments": json.dumps(wrong[1])}
    call = {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}
    new = [
        {**row, "message": call} if row["step"] == 0 and row["case"] in called[::9] else row
        for row in old
    ]
    for side, rows in (("old", old), ("new", new)):
        answers = folder / f"{name}-{side}.jsonl"
        answers.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        ask = ["run", str(source), "--checkpoint", f"replay:{answers}", "--quiet"]
        assert main([*ask, "--out", str(folder / f"{name}-{side}")]) == 0
    page = folder / f"{name}.html"
    sides = [str(folder / f"{name}-{side}") for side in ("old", "new")]
    assert main(["compare", *sides, "--html", str(page)]) == 0
    return page


def _answer(case: dict[str, Any], place: int, wrong: bool) -> dict[str, Any]:
    """
    Answer by the expected tool, or by the other one; every fifth answer is timed.
    """
    tools = ["search_google", "search_knowledge_base"]
    tool = case["expect"]["calls"][0]["tool"]
    if wrong:
        tools.remove(tool)
        (tool,) = tools
    call = json.dumps({"name": tool, "arguments": {"query": case["prompt"]}})
    row = {"case": case["id"], "output": f"<tool_call>\n{call}\n</tool_call><|im_end|>"}
    timed = {"latency_ms": 900.5 + place, "ttft_ms": 100.0} if place % 5 == 0 else {}
    return {**row, "output_tokens": 20 + place % 17, **timed}


def shown_ids(page: Any) -> list[str]:
    return list(page.locator("#rows tr.case .name").all_inner_texts())


def test_the_first_screen_says_the_verdict_and_what_was_compared(
    gated: Path, visit: Callable[..., Any]
):
    page = visit(gated / "report.html")

    assert page.locator("header .word").inner_text().lower() == "regressed"
    assert "accuracy fell from 83.3% to 75.0%" in page.locator("header .mood").inner_text()
    facts = page.locator("#runs").inner_text()
    for said in ("asked 1.2.3", "replay:", "old.jsonl", "shipped", "cores"):
        assert said in facts
    assert page.locator("#metrics svg").get_attribute("aria-label")


def test_the_numbers_are_those_of_run_json(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html")
    old = json.loads((gated / "old" / "run.json").read_text("utf-8"))
    new = json.loads((gated / "new" / "run.json").read_text("utf-8"))

    rows = page.locator("#metrics tbody tr").all()
    cells = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}
    for name, title in (("accuracy", "accuracy"), ("tool_accuracy", "right tool")):
        was, now = (run["metrics"][name]["value"] for run in (old, new))
        assert [f"{was:.1%}", f"{now:.1%}"] == cells[title][1:3]
    for label, run in zip(("old", "new"), (old, new), strict=True):
        matrix = page.locator(f"#confusion figure:has(figcaption:text-is('{label}'))")
        called = matrix.locator("thead th").all_inner_texts()[1:]
        for row in matrix.locator("tbody tr").all():
            counts = [text.replace("·", "0") for text in row.locator("td").all_inner_texts()]
            counted = run["confusion"][row.locator("th").inner_text()]
            assert [str(counted.get(tool, 0)) for tool in called] == counts
    statuses = {case["id"]: case["status"] for case in new["cases"]}
    for row in page.locator("#rows tr.case").all():
        name, badges = row.locator(".name").inner_text(), row.locator(".badge").all_inner_texts()
        assert statuses[name] == badges[1]


def test_flips_show_the_broken_first_and_mark_what_differs(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html")

    assert page.locator("#flips h3").all_inner_texts() == ["Broken (12)", "Fixed (2)"]
    first = page.locator("#broken .flip").first
    assert first.locator(".badge").all_inner_texts()[:2] == ["correct", "incorrect"]
    labels = first.locator(".answer > .label").all_inner_texts()
    assert [label.split()[0] for label in labels] == ["expected", "old", "new"]
    assert first.locator("mark").all_inner_texts() == ["search_knowledge_base", "search_google"]
    raw = first.locator("details.raw pre").last
    assert not raw.is_visible()
    first.locator("details.raw summary").last.click()
    assert raw.inner_text().endswith("</tool_call><|im_end|>")


def test_cases_are_searched_filtered_sorted_and_opened(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html")
    assert page.locator("#count").inner_text() == "120 answers"

    page.locator("#status").select_option("broken")
    assert page.locator("#count").inner_text() == "12 of 120 answers"
    assert set(page.locator("#rows tr.case td .badge.broken").all_inner_texts()) == {"broken"}
    page.locator("#tag").select_option("internal")
    internal = shown_ids(page)
    assert internal
    assert all(name.startswith("kb-") for name in internal)
    page.get_by_role("button", name="Clear").click()
    page.locator("#finding").select_option("wrong_tool")
    assert set(page.locator("#rows tr.case").locator(".badge.correct").all_inner_texts()) <= {
        "correct"
    }
    page.get_by_role("button", name="Clear").click()
    page.locator("#search").fill("bereavement leave")
    assert "kb-003" in shown_ids(page)
    page.locator("#search").fill("no such words anywhere")
    assert page.locator("#count").inner_text() == "0 of 120 answers"
    page.locator("#search").fill("")

    tokens = page.get_by_role("button", name="Tokens")
    tokens.click()
    numbers = [
        int(n) for n in page.locator("#rows tr.case .number:nth-of-type(6)").all_inner_texts()
    ]
    assert numbers
    assert numbers == sorted(numbers, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Tokens")
    tokens.click()
    assert page.locator("th[aria-sort=ascending]").count() == 1

    page.get_by_role("button", name="Case").click()
    assert shown_ids(page)[:2] == ["kb-001", "kb-002"]
    page.get_by_role("button", name="Open kb-002").click()
    detail = page.locator("#rows tr.detail")
    assert "sick notes" in detail.inner_text()
    page.get_by_role("button", name="Close kb-002").click()
    assert detail.count() == 0
    page.get_by_role("button", name="Next").click()
    assert page.locator("#page").inner_text() == "Page 2 of 3"


def test_cases_of_a_large_run_are_found_and_say_where_their_answers_are(
    gated: Path, tmp_path: Path, visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("harness.renderers.html.case_data.ALL", 10)
    file = tmp_path / "large.html"
    command = ["compare", str(gated / "old"), str(gated / "new"), "--html", str(file)]
    assert main([*command, "--root", str(gated)]) == 0
    many = len(json.loads((gated / "new" / "run.json").read_text("utf-8"))["cases"])
    page = visit(file)

    assert f"{many} answers" == page.locator("#count").inner_text()
    page.select_option("#status", "correct")
    right = page.locator("#rows tr.case").last
    right.locator("button.toggle").click()
    assert "harness explain" in page.locator("#rows tr.detail").inner_text()


def test_every_case_has_a_link_of_its_own(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html")
    page.goto((gated / "report.html").as_uri() + "#case=web-050")

    assert page.locator("#rows tr.opened .name").inner_text() == "web-050"
    assert page.locator("#rows tr.opened .name").is_visible()
    link = page.locator("#broken h4 a").first
    link.click()
    assert link.inner_text() in page.locator("#rows tr.opened .name").all_inner_texts()


@SIZES
def test_the_conversation_of_a_broken_case_is_read_step_by_step(
    pages: dict[str, Path], visit: Callable[..., Any], size: dict[str, int]
):
    page = visit(pages["conversations"], viewport=size)
    flip = page.locator("#broken .flip").first
    steps = flip.locator(".answer").all_inner_texts()

    assert 6 == len(steps)
    assert "annual leave days full-time employee" in steps[0]
    assert "returned leave-days-2026 (relevant), leave-days-2024" in steps[0]
    assert "who waters the plants" in steps[1]
    assert "(relevant)" not in steps[1]
    assert "Full-time employees have 29 days of paid leave a year." in steps[2]
    assert "no call that can be read" not in steps[2]
    assert "a relevant document was found: yes" in steps[4]
    assert "no_relevant_document" in steps[5]

    flip.locator("h4 a").click()
    opened = page.locator("#rows tr.detail").first.locator(".answer")
    opened.nth(len(steps) - 1).wait_for()
    assert steps == opened.all_inner_texts()
    raw = opened.nth(2).locator("details.raw")
    raw.locator("summary").click()
    assert raw.locator("pre").is_visible()


def test_the_funnel_and_end_states_are_tables(pages: dict[str, Path], visit: Callable[..., Any]):
    found = visit(pages["conversations"]).locator("#funnel tr:has(th:text-is('found')) td")
    states = visit(pages["end states"]).locator("#states tbody tr:has-text('power-cut-1')")

    assert ["192/192", "177/192"] == [found.nth(0).inner_text(), found.nth(3).inner_text()]
    assert ["switches torch on", "false", "true", "unchanged"] == (
        states.last.locator("td").all_inner_texts()
    )


def test_everything_can_be_done_from_the_keyboard(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html")
    press = page.keyboard.press

    def until(wanted: str, key: str = "Tab") -> None:
        for _ in range(300):
            press(key)
            if page.evaluate(f"document.activeElement.matches({json.dumps(wanted)})"):
                return
        pytest.fail(f"{wanted} cannot be reached by {key}")

    press("Tab")
    assert page.locator(".skip").evaluate("each => each === document.activeElement")
    press("Enter")
    until("#search")
    page.keyboard.type("kb-0")
    until("#status")
    page.keyboard.type("broken")
    assert page.locator("#rows tr.case").count() == 12
    until("#rows th button")
    press("Enter")
    assert page.locator("th[aria-sort]").count() == 1
    until("#rows .toggle")
    press("Enter")
    assert page.locator("#rows tr.detail").count() == 1
    until("#rows details.raw summary")
    press("Enter")
    assert page.locator("#rows details.raw[open]").count() == 1
    until("#provenance summary")
    press("Space")
    assert page.locator("#provenance table").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@SIZES
def test_nobody_is_shut_out(
    gated: Path, visit: Callable[..., Any], scheme: str, size: dict[str, int]
):
    """
    axe-core finds nothing serious, everything opened.
    """
    page = visit(gated / "report.html", color_scheme=scheme, viewport=size, bypass_csp=True)

    assert [] == serious(page)


@pytest.mark.parametrize("name", PAGES[1:])
def test_nobody_is_shut_out_of_any_page(
    pages: dict[str, Path], visit: Callable[..., Any], name: str
):
    page = visit(pages[name], viewport=PHONE, bypass_csp=True)

    assert [] == serious(page)


def serious(page: Any) -> list[tuple[str, str]]:
    """
    Return what axe-core finds serious on *page*, everything opened.
    """
    open_all(page)
    return serious_as_it_is(page)


def serious_as_it_is(page: Any) -> list[tuple[str, str]]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def open_all(page: Any) -> None:
    page.locator("#rows .toggle").first.click()
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


OUT_OF_SIGHT = """() => {
  const width = document.documentElement.clientWidth, found = [];
  const said = (why, node) => found.push(
    [why, node.closest("section, header").id, node.textContent.trim().slice(0, 40)].join(": "));
  const shown = (node) => {
    const box = node.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && box.right > 0;
  };
  if (document.documentElement.scrollWidth > width) found.push("the page scrolls sideways");
  for (const node of document.querySelectorAll(".scroll"))
    if (shown(node) && node.scrollWidth > node.clientWidth + 1) said("scrolls sideways", node);
  for (const node of document.querySelectorAll("th, td, .chart text, figcaption, .badge")) {
    if (!shown(node)) continue;
    const box = node.getBoundingClientRect();
    const frame = (node.closest("svg, section, header")).getBoundingClientRect();
    const right = Math.min(width, frame.right + 1);
    if (box.right > right || box.left < frame.left - 1) said("cut off", node);
    const clips = getComputedStyle(node).overflowX !== "visible";
    if (clips && node.scrollWidth > node.clientWidth + 1) said("clipped", node);
  }
  return found;
}"""
"""Every table, cell, chart label and badge that does not fit, everything opened."""


@SIZES
@pytest.mark.parametrize("name", PAGES)
def test_every_table_fits_its_screen(
    pages: dict[str, Path], visit: Callable[..., Any], name: str, size: dict[str, int]
):
    page = visit(pages[name], viewport=size)
    open_all(page)

    assert page.locator("#rows tr.case").count() > 10
    assert [] == page.evaluate(OUT_OF_SIGHT)


@SIZES
def test_a_page_of_curves_fits_its_screen_and_says_what_it_draws(
    visit: Callable[..., Any], size: dict[str, int]
):
    page = visit(render_sheet(SHEET), viewport=size, bypass_csp=True)

    picture = page.locator("#curves svg").first
    assert "loss by step" == picture.get_attribute("aria-label")
    assert picture.bounding_box()["width"] <= size["width"]
    assert "training loss" in picture.text_content()
    assert page.get_by_role("heading", level=1).text_content() == SHEET.title
    assert [] == page.evaluate(OUT_OF_SIGHT)
    assert [] == serious_as_it_is(page)


@SIZES
def test_a_page_of_many_suites_fits_its_screen_and_draws_nothing(
    visit: Callable[..., Any], size: dict[str, int]
):
    names = [f"step-{number}00-of-the-second-try" for number in range(5)]
    suites = ["tool-routing", "policies", "orders", "web", "abstention", "parallel-calls", "dates"]
    sheet = sheet_of_matrix(made([*names, "gone"], suites, missing=["gone"]))
    page = visit(render_sheet(sheet), viewport=size, bypass_csp=True)

    assert 0 == page.locator("#curves").count()
    assert 1 + len(suites) + 1 == page.locator("table").count()
    assert page.get_by_role("heading", level=1).text_content() == sheet.title
    assert [] == page.evaluate(OUT_OF_SIGHT)
    assert [] == serious_as_it_is(page)


def test_a_table_on_a_phone_says_what_each_number_is(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html", viewport=PHONE)
    row = page.locator("#metrics tbody tr").first

    labels = row.locator("td").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell, '::before').content)"
    )
    heads = page.locator("#metrics thead th").all_text_contents()
    assert [f'"{head} "' for head in heads[1:]] == [label.replace('" "', " ") for label in labels]
    assert "verdict" == heads[-1]
    assert row.locator("td").last.is_visible()


def test_print_shows_what_is_read_and_no_controls(gated: Path, visit: Callable[..., Any]):
    page = visit(gated / "report.html")
    page.emulate_media(media="print")

    assert not page.locator("#filters").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("#broken .flip").first.is_visible()
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_changes_nothing(
    text: str, visit: Callable[..., Any], hostile_reports: Callable[[str], list[Report]]
):
    """
    No script runs, no element appears, no hidden character reaches the page, whatever is opened.
    """
    report = hostile_reports(text)[0]
    page = visit(render(report))
    for toggle in page.locator("#rows .toggle").all():
        toggle.click()
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")

    assert page.locator("script").count() == 2
    assert page.locator("img, iframe, object, embed, link, base, form form").count() == 0
    assert page.locator("#rows tr.case").count() == 6
    shown = page.evaluate("document.body.innerText")
    assert [] == sorted({char for char in shown if not char.isprintable() and char not in "\n\t"})
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]


def test_a_report_on_several_runs_and_on_one_works_too(
    visit: Callable[..., Any], side_report: Report, run_report: Report
):
    for report, columns in ((side_report, ["one", "two", "three"]), (run_report, ["Status"])):
        page = visit(render(report))

        heads = [head.lower() for head in page.locator("#rows thead th").all_inner_texts()]
        assert [name.lower() for name in columns] == heads[3 : 3 + len(columns)]
        page.locator("#rows .toggle").first.click()
        assert page.locator("#rows tr.detail").count() == 1


def test_the_sample_in_the_tree_opens(visit: Callable[..., Any]):
    page = visit(TREE / "reports" / "sample" / "demo.html")

    assert page.locator("header .word").inner_text().lower() == "pass"
    page.locator("#status").select_option("fixed")
    assert page.locator("#rows tr.case").count() > 0
