"""
Comments on pull requests as they are to look, one file for each verdict.

``python -m tests.comments`` writes them; `tests/renderers/test_comment.py` compares them, so that a
change of how a comment reads is seen in review.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from harness.comparison.compare import compare
from harness.gating.policy import default_policy
from harness.gating.release import Entrant, gate_release
from harness.gating.verdict import Override, overridden
from harness.renderers.comment import render
from harness.reports.report import Report
from harness.runs.record import SuiteReference
from harness.runs.serving import Serving
from harness.testing.reports import REPORTS, SHA, WRONG, case, gated, view

FOLDER = Path(__file__).parent / "renderers" / "comments"
TODAY = date(2026, 11, 30)


def right(many: int, wrong: int = 0) -> list[object]:
    """
    Return so many judged cases, the first of which are wrong.
    """
    return [case(f"c{n:03}", *([WRONG] if n < wrong else [])) for n in range(many)]


def passed() -> Report:
    """
    A candidate that answers as its baseline does.
    """
    return gated(view("shipped", right(120)), view("candidate", right(120)))


def inconclusive() -> Report:
    """
    Two of forty cases broke, which may be chance.
    """
    return gated(view("shipped", right(40)), view("candidate", right(40, wrong=2)))


def not_comparable() -> Report:
    """
    The candidate was measured in another precision.
    """
    other = Serving(name="transformers", dtype="bfloat16")
    new = view("candidate", right(40), backend=other)
    return gated(view("shipped", right(40)), new)


def overruled() -> Report:
    """
    A regression that somebody let through.
    """
    report = REPORTS["gate"]()
    by = Override(by="ann", reason="agreed in #812", when="2026-11-30T14:00:00Z")
    assert report.verdict is not None
    return replace(report, verdict=overridden(report.verdict, by))


def side_by_side() -> Report:
    """
    Two suites with one verdict: one lost, one did not.
    """
    parts, entrants = {}, {}
    for name, wrong in (("routing", 12), ("abstention", 0)):
        suite = SuiteReference(name=name, version="1.0.0", digest=SHA)
        was = view("shipped", right(120), suite=suite)
        now = view("candidate", right(120, wrong), suite=suite)
        comparison = compare(was.record, now.record)
        entrants[name] = Entrant(comparison=comparison, baseline="shipped")
        parts[name] = (was, now, comparison)
    release = gate_release(default_policy(), entrants, TODAY)
    return Report(
        title="2 suites",
        runs=tuple(now for _, now, _ in parts.values()),
        release=release,
        parts=tuple(
            Report(
                title=name,
                runs=parts[name][:2],
                comparison=parts[name][2],
                verdict=each.verdict,
            )
            for name, each in release.suites.items()
        ),
    )


COMMENTS: dict[str, Callable[[], Report]] = {
    "pass": passed,
    "regressed": REPORTS["gate"],
    "inconclusive": inconclusive,
    "not-comparable": not_comparable,
    "overridden": overruled,
    "two-suites": side_by_side,
}


def main() -> None:
    """
    Write every comment.
    """
    FOLDER.mkdir(exist_ok=True)
    for name, report in COMMENTS.items():
        (FOLDER / f"{name}.md").write_text(render(report()), "utf-8")


if __name__ == "__main__":
    main()
