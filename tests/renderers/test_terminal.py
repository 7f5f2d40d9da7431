import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from wcwidth import wcswidth

from harness.renderers.terminal import HEIGHT, render, render_brief
from harness.reports.report import Report
from harness.testing.reports import REPORTS
from harness.transcript import Key


def section(text: str, title: str) -> str:
    """
    Return what is below *title*, up to the next blank line.
    """
    _, found, rest = text.partition(f"\n{title}")
    assert found, f"no section {title}"
    return rest.partition("\n\n")[0]


def row(text: str, name: str) -> list[str]:
    """
    Return the cells of the first table row that begins with *name*.
    """
    line = next(line.strip() for line in text.split("\n") if line.strip().startswith(f"{name}  "))
    return re.split(r" {2,}", line)


def test_the_verdict_comes_first_in_one_sentence(gate_report: Report):
    title, _, verdict = render(gate_report).split("\n")[:3]

    assert gate_report.verdict is not None
    assert "the gate" == title
    assert verdict.startswith("regressed: ")
    assert gate_report.verdict.reasons[0].text.startswith(verdict.removeprefix("regressed: ")[:40])


def test_every_reason_and_note_is_said(gate_report: Report):
    text = " ".join(render(gate_report).split())

    assert gate_report.verdict is not None
    for sentence in (*map(str, gate_report.verdict.reasons), *gate_report.verdict.notes):
        assert " ".join(sentence.split()) in text


def test_numbers_are_those_of_the_record(run_report: Report):
    metrics = run_report.new.record.metrics
    text = section(render(run_report), "Metrics")

    for name, title in (("accuracy", "accuracy"), ("second_call_rate", "second calls")):
        metric = metrics[name]
        assert metric.value is not None
        assert metric.low is not None
        assert metric.high is not None
        assert [
            title,
            f"{metric.value:.1%}",
            f"{metric.hits}/{metric.eligible}",
            f"{100 * metric.low:.1f}–{100 * metric.high:.1f}%",
        ] == row(text, title)
    assert ["output tokens p50", "21", str(metrics["output_tokens_p50"].eligible)] == row(
        text, "output tokens p50"
    )


def test_metrics_over_nothing_are_named_and_have_no_value(run_report: Report):
    text = section(render(run_report), "Metrics")

    assert "Nothing to count: calls after a result, rightly no call, latency p50" in text


def test_compared_numbers_are_those_of_the_verdict(gate_report: Report):
    assert gate_report.verdict is not None
    judged = gate_report.verdict.metrics["accuracy"]
    assert judged.old is not None
    assert judged.new is not None
    assert judged.delta is not None

    cells = row(section(render(gate_report), "Metrics"), "accuracy")

    assert [
        "accuracy",
        str(judged.pairs),
        f"{judged.old:.1%}",
        f"{judged.new:.1%}",
        f"{100 * judged.delta:+.1f} pp",
    ] == cells[:5]
    assert ["-3pp", "regressed"] == cells[6:]


def test_failures_show_prompt_answer_and_findings(run_report: Report):
    text = section(render(run_report), "Not correct")

    assert "c00  incorrect" in text
    assert "asked   prompt of c00" in text
    assert 'called  google(query="leave")' in text
    assert "wrong   wrong_tool: expected search_kb" in text


def test_what_must_pass_comes_first_and_quarantine_is_left_out(run_report: Report):
    text = section(render(run_report), "Not correct")

    assert "c11  incorrect, must pass" == text.split("\n")[1].strip()
    assert "asleep" not in text


def test_an_answer_that_cannot_be_read_is_shown_as_it_came(run_report: Report):
    text = section(render(run_report), "Not correct")

    assert "answered  answer to c09" in text


def test_a_broken_answer_says_what_broke(run_report: Report):
    text = section(render(run_report), "Not correct")

    assert "c10  error" in text
    assert "broke  out of memory" in text


def test_many_failures_are_cut_and_counted(run_report: Report):
    run = run_report.new
    bad = next(case for case in run.record.cases if case.status == "incorrect")
    many = tuple(replace(bad, id=f"bad{number:02}", must_pass=False) for number in range(25))
    report = replace(run_report, runs=(replace(run, record=replace(run.record, cases=many)),))

    text = render(report)

    assert "Not correct (25 answers)" in text
    assert "bad19" in text
    assert "bad20" not in text
    assert "… and 5 more" in text
    assert "harness explain RUN CASE" in text


def test_flips_are_all_named_broken_before_fixed(gate_report: Report):
    text = render(gate_report)
    broken, fixed = section(text, "Broken (11)"), section(text, "Fixed (1)")

    assert text.index("\nBroken") < text.index("\nFixed")
    for name in [f"c{number:02}" for number in (*range(10), 11)]:
        assert f"\n  {name}  correct → " in broken
    assert "fixed  incorrect → correct" in fixed
    assert "was wrong  wrong_tool: expected search_kb" in fixed


def test_a_flip_shows_both_answers(gate_report: Report):
    old, new = gate_report.runs
    old = replace(old, answers={**old.answers, Key("c00"): "the old one"})
    new = replace(new, answers={**new.answers, Key("c00"): "the new one\nin two lines"})

    text = section(render(replace(gate_report, runs=(old, new))), "Broken")

    assert "old    the old one" in text
    assert "new    the new one⏎in two lines" in text


def test_an_answer_not_at_hand_is_shown_by_its_calls(gate_report: Report):
    old, new = (replace(run, answers={}) for run in gate_report.runs)

    text = section(render(replace(gate_report, runs=(old, new))), "Broken")

    assert 'old    search_kb(query="leave")' in text
    assert 'new    google(query="leave")' in text


def test_a_long_answer_is_cut_visibly(gate_report: Report):
    old, new = gate_report.runs
    new = replace(new, answers={**new.answers, Key("c00"): "x" * 5300})

    assert "(+5,000 characters)" in " ".join(render(replace(gate_report, runs=(old, new))).split())


def test_what_could_not_be_paired_is_listed(gate_report: Report):
    text = render(gate_report)

    assert "new" == section(text, "Added cases (1)").strip()
    assert "gone" == section(text, "Removed cases (1)").strip()
    assert "c12" == section(text, "Changed cases (1)").strip()
    assert "asleep" == section(text, "Quarantined cases (1)").strip()
    assert "c11  incorrect, must pass" in section(text, "Must pass and did not (1)")


def test_second_calls_and_mixups_are_shown_old_and_new(gate_report: Report):
    text = render(gate_report)

    assert ["duplicate", "0", "1"] == row(section(text, "Second calls"), "duplicate")
    assert "New, second call:\n  c08" in section(text, "Second calls")
    assert "1 → 9" in row(section(text, "Confusion matrix"), "search_kb")


def test_differences_say_what_follows_from_them(gate_report: Report):
    assert "what is compared" in section(render(gate_report), "Differences")


def test_slices_and_the_anchor_have_tables_of_their_own(anchored_report: Report):
    text = render(anchored_report)
    verdict = anchored_report.verdict
    assert verdict is not None
    assert verdict.anchor is not None

    assert (
        "regressed: against the anchor v1: 1 case that must pass failed: c11; accuracy fell from "
        "96.6% to 62.1% on 29 common cases" in (" ".join(text.split()))
    )
    slices = text[text.index("Slices with limits") : text.index("Against the anchor")]
    row = next(line for line in slices.splitlines() if "plain" in line)
    assert ("-5pp", "inconclusive") == tuple(row.split()[-2:])
    anchor = text[text.index("\nAgainst the anchor") :]
    assert "Against the anchor v1: regressed; " in anchor
    assert all(name in anchor for name in verdict.anchor.broken)


def test_without_slices_and_anchor_there_is_no_table_for_them(gate_report: Report):
    assert "anchor" not in render(gate_report)
    assert "Slices" not in render(gate_report)


def test_a_comparison_without_a_verdict_counts_flips_first(comparison_report: Report):
    text = render(comparison_report)

    counts = "11 cases broken, 1 fixed: the paired test tells them apart (p 0.0034)."
    assert counts == text.split("\n")[2]
    assert "regressed" not in text


def test_side_by_side_has_a_column_for_each_run(side_report: Report):
    text = render(side_report)

    assert ["case", "prompt", "one", "two", "three"] == row(
        section(text, "Where they differ"), "case"
    )
    assert ["c00", "prompt of c00", "correct", "incorrect", "truncated"] == row(text, "c00")
    first = side_report.runs[0].record.metrics["accuracy"]
    assert first.value is not None
    shown = f"{first.value:.1%} ({first.hits}/{first.eligible})"
    assert shown == row(section(text, "Metrics"), "accuracy")[1]
    assert ["gone", "prompt of gone", "correct", "–", "–"] == row(text, "gone")
    assert "c20" in section(text, "Where they differ")
    assert "c12  prompt of c12  correct (another question)" in re.sub(" {2,}", "  ", text)


def test_lines_fit_the_width(run_report: Report, gate_report: Report, side_report: Report):
    for report in (run_report, gate_report, side_report):
        for width in (80, 100, 140):
            too_long = [
                line for line in render(report, width=width).split("\n") if len(line) > width
            ]
            assert [] == too_long


def test_colour_only_where_asked(hostile_reports: Callable[[str], list[Report]]):
    codes = re.compile("\x1b\\[(1|31|32|33|0)m")
    for report in hostile_reports("\x1b[35m"):
        painted = render(report, colour=True)

        assert "\x1b" not in render(report)
        assert render(report) == codes.sub("", painted)
        assert codes.search(painted)


def test_wide_letters_keep_their_columns(run_report: Report):
    run = run_report.new
    cases = [
        replace(case, tags=("漢字かな",) if n % 2 else ("plain",))
        for n, case in enumerate(run.record.cases)
    ]
    report = replace(
        run_report, runs=(replace(run, record=replace(run.record, cases=tuple(cases))),)
    )

    lines = section(render(report), "Accuracy by tag").splitlines()

    assert 1 == len({wcswidth(line) for line in lines if "%" in line or "---" in line})


def test_no_line_of_wide_letters_is_wider_than_the_screen(gate_report: Report):
    new = gate_report.new
    long = replace(new, answers=dict.fromkeys(new.answers, "漢字 " * 60 + "漢" * 90))
    text = render(replace(gate_report, runs=(gate_report.old, long)), width=80)

    assert 80 >= max(wcswidth(line) for line in text.splitlines())


def test_nothing_a_model_writes_is_a_command_to_a_ci_server(gate_report: Report):
    new = gate_report.new
    hostile = replace(new, answers=dict.fromkeys(new.answers, "##vso[task.complete]##[add-mask]x"))
    text = render(replace(gate_report, runs=(gate_report.old, hostile)))

    assert "##" not in text
    assert r"#\x23vso[task.complete]" in text


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", list(REPORTS))
def test_the_short_form_fits_a_screen(name: str, width: int):
    lines = render_brief(REPORTS[name](), width=width).splitlines()

    assert HEIGHT >= len(lines)
    assert all(width >= wcswidth(line) for line in lines)


@pytest.mark.parametrize("height", [28, 30, 33])
def test_the_short_form_lists_as_many_cases_as_fit(gate_report: Report, height: int):
    lines = render_brief(gate_report, height=height).splitlines()

    assert height >= len(lines)
    listed = sum(bool(re.match(r"  c\d\d  ", line)) for line in lines)
    (hidden,) = [line for line in lines if line.startswith("  … and ")]
    assert gate_report.comparison is not None
    broken = len(gate_report.comparison.rates["accuracy"].broken)
    assert broken == listed + int(hidden.split()[2])


@pytest.mark.parametrize("text", ["\x1b[35m", "\u202e", "\nx", "##vso[task.complete]", "漢字"])
def test_the_short_form_shows_foreign_text_and_obeys_none(
    text: str, hostile_reports: Callable[[str], list[Report]]
):
    codes = re.compile("\x1b\\[(1|31|32|33|0)m")
    for report in hostile_reports(text * 50):
        shown = render_brief(report)

        assert all(char.isprintable() or char == "\n" for char in shown)
        assert not re.search(r"##\w*\[", shown)
        assert shown == codes.sub("", render_brief(report, colour=True))
