"""
The parts of a report in reading order: what decides first, then evidence, settings last.

Terminal and Markdown both show these, so they always say the same.
"""

from harness.comparison.compare import Comparison
from harness.reports import changes, evidence, ranked, release, stack, tables
from harness.reports.blocks import Block, Listing, Names, Paragraph, Points, Section, Table
from harness.reports.format import plural
from harness.reports.funnel import funnel, states
from harness.reports.report import Report

FIRST = 20
"""How many failures a screen shows."""

FIRST_FIXED = 5
"""How many fixed cases: they block nothing, and there are many after training."""

_EXPLAIN = "run.json lists all of them; harness explain RUN CASE shows one in full."


def sections(report: Report) -> tuple[Section, ...]:
    """
    Return the parts of *report* that have something to show.
    """
    if report.release is not None:
        found = list(release.sections(report, report.release))
    elif report.comparison is not None:
        found = _compared(report, report.comparison)
    elif len(report.runs) > 1:
        found = _side_by_side(report)
    else:
        found = _one_run(report)
    return tuple(
        Section(title=section.title, blocks=kept, open=section.open)
        for section in found
        if (kept := tuple(block for block in section.blocks if says_something(block)))
    )


def _one_run(report: Report) -> list[Section]:
    run = report.new
    failed = evidence.failures(run)
    return [
        Section(title="", blocks=(tables.heads(report.runs, ("",)),)),
        Section(
            title="Metrics",
            blocks=(
                tables.metrics_of(run.record),
                Paragraph(text=tables.without_value([run.record])),
            ),
            open=True,
        ),
        Section(
            title="Right in k of k repeats (pass^k)",
            blocks=(tables.in_all_repeats(report.runs, ("pass^k",)),),
        ),
        Section(title="Called, found, answered", blocks=(funnel(report.runs, ("",)),), open=True),
        Section(title="Statuses", blocks=(tables.statuses(report.runs, ("cases",)),), open=True),
        Section(
            title="Second calls", blocks=(tables.second_calls_by_kind(report.runs, ("cases",)),)
        ),
        Section(title="Confusion matrix", blocks=(tables.confusion(None, run.record.confusion),)),
        Section(title="Accuracy by tag", blocks=(tables.accuracy_by_tag(run.record),)),
        Section(
            title=f"Not correct ({plural(len(failed), 'answer')})",
            blocks=(Listing(entries=failed, first=FIRST, more=_EXPLAIN),),
        ),
    ]


def _side_by_side(report: Report) -> list[Section]:
    runs = report.runs
    names = tables.columns(runs)
    differing = tables.disagreements(runs)
    ranking = report.ranking
    return [
        Section(title="", blocks=ranked.order(runs, ranking) if ranking else (), open=True),
        Section(title="The runs", blocks=(tables.heads(runs, [""] * len(runs)),)),
        Section(
            title="Metrics",
            blocks=(
                tables.metrics_side_by_side(runs),
                Paragraph(text=tables.without_value(run.record for run in runs)),
            ),
            open=True,
        ),
        Section(
            title="Right in k of k repeats (pass^k)",
            blocks=(tables.in_all_repeats(runs, names),),
        ),
        Section(title="Called, found, answered", blocks=(funnel(runs, names),)),
        Section(title="Paired tests", blocks=(ranked.p_values(runs, ranking),) if ranking else ()),
        Section(title="Statuses", blocks=(tables.statuses(runs, names),)),
        Section(title="Second calls", blocks=(tables.second_calls_by_kind(runs, names),)),
        Section(
            title=f"Where they differ ({plural(len(differing.rows), 'answer')})",
            blocks=(differing,) if differing.rows else (Paragraph(text="Nowhere."),),
        ),
    ]


def _compared(report: Report, comparison: Comparison) -> list[Section]:
    cost = report.stack
    # Each of them is listed under the part of the stack that lost it.
    broken = evidence.broken(report, comparison) if cost is None else ()
    fixed = evidence.fixed(report, comparison)
    more_fixed = len(fixed) > FIRST_FIXED
    must_pass = evidence.named(report, comparison.must_pass_failed)
    return [
        Section(title="", blocks=changes.summary(report, comparison), open=True),
        *(stack.sections(report, cost) if cost is not None else ()),
        Section(
            title="Metrics",
            blocks=(
                changes.metrics(comparison, report.verdict),
                *changes.notes(comparison, report.verdict),
            ),
            open=True,
        ),
        Section(
            title="Right in k of k repeats (pass^k)",
            blocks=(tables.in_all_repeats(report.runs, ("old", "new")),),
        ),
        Section(
            title="Called, found, answered",
            blocks=(funnel(report.runs, ("old", "new")),),
            open=True,
        ),
        Section(title="Slices with limits", blocks=(changes.slices(report.verdict),), open=True),
        Section(title="Against the anchor", blocks=changes.against_anchor(report.verdict)),
        Section(
            title=f"Must pass and did not ({len(must_pass)})", blocks=(Listing(entries=must_pass),)
        ),
        Section(title=f"Broken ({len(broken)})", blocks=(Listing(entries=broken),)),
        Section(
            title=f"Accepted ({len(comparison.accepted)})",
            blocks=(changes.accepted(comparison),),
            open=True,
        ),
        Section(
            title="End states of broken cases",
            blocks=(states(report, comparison.rates["accuracy"].broken),),
        ),
        Section(
            title="Second calls",
            blocks=(
                tables.second_calls_by_kind(report.runs, ("old", "new")),
                *changes.offenders(comparison),
            ),
        ),
        Section(
            title="Confusion matrix",
            blocks=(tables.confusion(comparison.old_confusion, comparison.new_confusion),),
        ),
        Section(title="Accuracy by tag", blocks=(changes.by_tag(comparison),)),
        Section(title="Answers that differ", blocks=changes.divergences(report.divergences)),
        Section(title="What the export changed", blocks=changes.departures(report.verdict)),
        Section(title="Margins", blocks=(changes.margins(comparison),)),
        Section(title="Statuses", blocks=(tables.statuses(report.runs, ("old", "new")),)),
        Section(
            title=f"Fixed ({len(fixed)})",
            blocks=(
                Listing(entries=fixed, first=FIRST_FIXED, more=_EXPLAIN),
                Names(names=tuple(entry.name for entry in fixed) if more_fixed else ()),
            ),
        ),
        Section(title="Differences", blocks=(changes.differences(comparison),)),
        *(
            Section(title=f"{title} ({len(names)})", blocks=(Names(names=names),))
            for title, names in (
                ("Added cases", comparison.added),
                ("Removed cases", comparison.removed),
                ("Changed cases", comparison.changed),
                ("Quarantined cases", comparison.quarantined),
                ("Must pass, and broke for infrastructure reasons", comparison.must_pass_unknown),
            )
        ),
        Section(title="The two runs", blocks=(tables.heads(report.runs, ("old", "new")),)),
    ]


def says_something(block: Block) -> bool:
    """
    Return whether there is anything in a block.
    """
    match block:
        case Paragraph():
            return bool(block.text)
        case Points():
            return bool(block.texts)
        case Table():
            return bool(block.rows)
        case Listing():
            return bool(block.entries)
        case Names():
            return bool(block.names)
