"""
The page as its source: what a parser finds in it. What a browser makes of it is tested next door.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.comparison.compare import compare
from harness.finetuning import EpochLoss, Finetuned
from harness.renderers.html.case_data import case_data, embedded_cases
from harness.renderers.html.render import render
from harness.reports.report import Asked, Report, RunView
from harness.testing.reports import REPORTS, hostile_reports

VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """
    Tags with their attributes, and the text of each element that holds text alone.
    """

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert tag == self.open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def content(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


def data_of(source: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', source, re.S)
    return dict(json.loads(text))


@pytest.fixture(scope="module", params=list(REPORTS))
def source(request: pytest.FixtureRequest) -> str:
    """
    The page of each kind of report in turn; its pictures are drawn once.
    """
    return render(REPORTS[request.param]())


@pytest.fixture(scope="module")
def harmless() -> list[Counter[str]]:
    """
    How many elements of each kind the pages have whose text is harmless.
    """
    return [elements(report) for report in hostile_reports("harmless")]


def elements(report: Report) -> Counter[str]:
    return Counter(tag for tag, _ in Page(render(report)).tags)


def test_every_element_is_closed_and_every_id_is_there_once(source: str):
    page = Page(source)

    assert [] == page.open
    ids = Counter(found["id"] for _, found in page.tags if "id" in found)
    assert [] == [name for name, count in ids.items() if count > 1]


def test_every_link_leads_to_a_part_of_the_page(source: str):
    page = Page(source)
    ids = {found.get("id") for _, found in page.tags}
    links = [found["href"] for _, found in page.tags if "href" in found]

    assert links
    assert [] == [link for link in links if link is None or link[1:] not in ids]


def test_nothing_is_loaded_from_elsewhere(source: str):
    page = Page(source)

    assert [] == [tag for tag, found in page.tags if "src" in found or "srcset" in found]
    assert not {"link", "iframe", "img", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert "@import" not in source
    assert "url(" not in re.sub(r"url\(#[0-9a-f-]+\)", "", source)


def test_the_policy_allows_the_one_script_and_the_one_style_sheet(gate_report: Report):
    source = render(gate_report)
    page = Page(source)
    (policy,) = [
        found["content"]
        for found in page.content("meta")
        if found.get("http-equiv") == "Content-Security-Policy"
    ]

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    (style,) = re.findall(r"<style>(.*?)</style>", source, re.S)
    (code,) = re.findall(r"<script>(.*?)</script>", source, re.S)
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest(code)}'; "
        f"style-src 'sha256-{digest(style)}'; base-uri 'none'; form-action 'none'"
    )


def test_no_attribute_holds_style_or_script(source: str):
    found = [
        (tag, name)
        for tag, attributes in Page(source).tags
        for name in attributes
        if name == "style" or name.startswith("on")
    ]

    assert [] == found


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
        "<!--<script>",
        "]]></title></style></svg><svg onload=alert(1)>",
        '"><b onclick=alert(1)>',
    ],
)
def test_hostile_text_opens_no_element(text: str, harmless: list[Counter[str]]):
    for report, expected in zip(hostile_reports(text), harmless, strict=True):
        assert expected == elements(report)


def test_the_data_says_of_each_case_what_the_runs_say(gate_report: Report):
    cases = {row["id"]: row for row in data_of(render(gate_report))["cases"]}

    for place, run in enumerate(gate_report.runs):
        for case in run.record.cases:
            assert case.status == cases[case.id]["runs"][place]["status"]
    assert gate_report.verdict is not None
    for kind in ("broken", "fixed"):
        flipped = {name for name, row in cases.items() if row.get("flip") == kind}
        assert set(getattr(gate_report.verdict, kind)) == flipped
    assert [None, "correct"] == [run and run["status"] for run in cases["new"]["runs"]]


def test_numbers_in_arguments_are_not_rounded_by_the_browser(run_report: Report):
    run = run_report.new
    case = run.record.cases[0]
    calls = ({"tool": "t", "arguments": {"n": 2**60 + 1}},)
    changed = replace(case, turns=(replace(case.turns[0], calls=calls),))
    record = replace(run.record, cases=(changed,))

    data = case_data(replace(run_report, runs=(replace(run, record=record),)), 100)

    assert [["t", [["n", "1152921504606846977"]]]] == data["cases"][0]["runs"][0]["turns"][0][
        "calls"
    ]


def test_expectations_are_shown_in_each_form(run_report: Report):
    call = {"tool": "search", "arguments": {"query": {"contains_any": ["a"]}}}
    forms: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        (
            {"calls": [call], "order": "strict", "extra_calls": "allow", "forbid": ["rm"]},
            [
                {
                    "calls": [["search", [["query", '{"contains_any":["a"]}']]]],
                    "rules": "in this order; others may follow; never rm",
                }
            ],
        ),
        (
            {"abstain": True, "text": {"minLength": 3}},
            [{"abstain": True, "text": '{"minLength":3}'}],
        ),
        (
            {"any_of": [{"abstain": True}, {"calls": [{"tool": "t"}]}]},
            [{"abstain": True}, {"calls": [["t", []]]}],
        ),
    ]
    for given, shown in forms:
        asked = (Asked(role="tool", text="the result", expected=given),)
        run = replace(run_report.new, turns={"c00": asked})
        data = case_data(replace(run_report, runs=(run,)), 100)

        assert [{"role": "tool", "text": "the result", "expected": shown}] == data["cases"][0][
            "turns"
        ]


def test_long_answers_are_cut_alike_until_the_page_is_small_enough(run_report: Report):
    run = run_report.new
    long = replace(run_report, runs=(replace(run, answers=dict.fromkeys(run.answers, "<" * 9000)),))

    text = embedded_cases(long, budget=200_000)

    assert len(text.encode()) <= 200_000
    raws = {
        turn["raw"]
        for row in json.loads(text)["cases"]
        for turn in row["runs"][0]["turns"]
        if "raw" in turn
    }
    (raw,) = raws
    assert raw.startswith("<" * 500)
    assert "more" in raw or "characters)" in raw


def test_of_many_cases_those_that_decide_are_there_in_full_and_the_others_as_columns(
    gate_report: Report, monkeypatch: pytest.MonkeyPatch
):
    whole = case_data(gate_report, 100)
    monkeypatch.setattr("harness.renderers.html.case_data.ALL", 10)
    data = case_data(gate_report, 100)
    rest = data["rest"]

    def decides(row: dict[str, Any]) -> bool:
        statuses = [run and run["status"] for run in row["runs"]]
        return statuses != ["correct", "correct"] or bool(row.get("changed"))

    others = [row for row in whole["cases"] if not decides(row)]
    assert [row for row in whole["cases"] if decides(row)] == data["cases"]
    assert [row["id"] for row in others] == rest["ids"]
    assert [row["tags"] for row in others] == [
        rest["tags"]["values"][code] for code in rest["tags"]["codes"]
    ]
    for place in (0, 1):
        assert [row["runs"][place]["status"] for row in others] == [
            data["statuses"][code] for code in rest["statuses"][place]
        ]
    assert "left_out" not in rest


def test_what_decides_most_comes_before_what_has_no_room(
    gate_report: Report, monkeypatch: pytest.MonkeyPatch
):
    for name, many in (("ALL", 1), ("MOST", 3), ("LISTED", 2)):
        monkeypatch.setattr(f"harness.renderers.html.case_data.{name}", many)
    whole = len(gate_report.new.record.cases) + 1  # one is in the old run alone
    data = case_data(gate_report, 100)

    assert 3 == len(data["cases"])
    assert all("flip" in row or "must" in row for row in data["cases"])
    assert 2 == len(data["rest"]["ids"])
    assert whole - 5 == data["rest"]["left_out"]


def test_what_is_not_there_is_said_in_a_sentence(gate_report: Report):
    texts = " ".join(Page(render(gate_report)).texts["p"])

    assert "No answer was timed" in texts
    assert "No answer has a margin" in texts
    assert "No training log was found for these checkpoints" in texts


def test_a_training_shows_its_curves(gate_report: Report, tmp_path: Any):
    trained = Finetuned(
        folder=tmp_path,
        digest="sha256:0",
        losses=(EpochLoss(epoch=1, train=2.0, valid=2.5), EpochLoss(epoch=2, train=1.0, valid=1.5)),
        kept_epoch=2,
        seconds=12.0,
    )
    new = replace(gate_report.new, training=trained)

    source = render(replace(gate_report, runs=(gate_report.old, new)))

    assert 'aria-label="Training by epoch"' in source
    assert "the weights are those after epoch 2" in source


def test_margins_are_drawn_and_the_least_sure_named(gate_report: Report):
    def with_margins(run: RunView, margin: float) -> RunView:
        cases = [
            replace(case, turns=tuple(replace(turn, margin=margin + n) for turn in case.turns))
            for n, case in enumerate(run.record.cases)
        ]
        return replace(run, record=replace(run.record, cases=tuple(cases)))

    old, new = with_margins(gate_report.old, 3.0), with_margins(gate_report.new, 1.5)
    compared = compare(old.record, new.record)

    source = render(Report(title="t", runs=(old, new), comparison=compared))

    part = source.partition('<section id="margins"')[2].partition("</section>")[0]
    assert "<svg" in part
    assert "median of" in part


def test_each_run_has_its_column(side_report: Report):
    heads = Page(render(side_report)).texts["bdi"]

    assert {"one", "two", "three"} <= set(heads)
    assert ["one", "two", "three"] == data_of(render(side_report))["runs"]
