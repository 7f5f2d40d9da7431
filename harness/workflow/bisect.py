"""
Between which two checkpoints of a training a case or a metric broke: ``harness checkpoints
--bisect``.

The first and the last are looked at, then one halfway between a good and a bad one, and so on: of n
checkpoints about log2 n are asked. A case is asked alone. What is good and bad in turns has several
such places; one of them is found.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from harness.errors import CheckpointError, UsageError
from harness.gating.policy import Policy, example_limit, read_policy
from harness.runs.store import StoredRun
from harness.scoring.metrics import METRICS
from harness.scoring.results import CaseResult
from harness.wording import suggest
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import Project, open_project
from harness.workflow.training_checkpoints import UNREADABLE, Judging, Saved, saved_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """
    What was found of one checkpoint, or of the baseline.
    """

    name: str
    broken: bool
    said: str
    """What is wrong with the answer, or what the gate says of the metric."""
    asked: bool
    """Whether it was asked for it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisected:
    """
    The last good checkpoint and the first bad one, side by side.
    """

    what: str
    """The case or the metric."""
    good: str | None
    """None if nothing good is known before the bad one."""
    bad: str | None
    """None if the last one is not broken."""
    looked: tuple[Looked, ...]
    """In the order in which they were looked at."""
    skipped: tuple[str, ...]
    """Those that could not be read."""
    checkpoints: int
    """How many there are."""

    @property
    def asked(self) -> int:
        """
        How many were asked for it now.
        """
        return sum(each.asked for each in self.looked)


def bisect_checkpoints(
    folder: Path,
    suite: str,
    what: str,
    *,
    project: Project | None = None,
    baseline: str | None = None,
    policy: Policy | Path | None = None,
    out: Path | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Bisected:
    """
    Return between which two checkpoints in *folder* the case or metric *what* broke.

    A case is broken where it is not answered correctly. A metric is broken where the gate says
    *regressed* of it, against *baseline*, or else against the first checkpoint; for a metric that
    the policy does not limit, by the limit that `harness init` suggests.

    Raises:
        UsageError: if there is no checkpoint, or *what* is neither a case of the suite nor a
            metric.
        PolicyError: for a metric that no policy limits.
        CheckpointError: if none can be read.
    """
    project = project or open_project()
    judging = Judging.of(
        suite,
        project=project,
        baseline=baseline,
        out=out,
        options=options,
        progress=progress,
        today=today,
    )
    saved = saved_in(folder)
    if not saved:
        raise UsageError(f"{folder} holds no checkpoint-N")
    cases = {case.id for case in judging.suite.cases}
    if what in cases:
        known = None if judging.baseline is None else _case(judging.baseline, what)
        looked = _Looking(saved, lambda each: _look_at_case(judging, each, what))
        good = None if known is None or known.status != "correct" else baseline
    elif what in METRICS:
        limited = _limiting(policy, project, judging.suite.name, what)
        looked = _Looking(saved, lambda each: _look_at_metric(judging, each, limited, what))
        good = baseline
    else:
        raise UsageError(
            f"{what!r} is neither a case of suite {judging.suite.name} nor a metric"
            f"{suggest(what, {*cases, *METRICS})}"
        )
    good, bad = looked.between(good)
    if not looked.looked:
        raise CheckpointError(f"no checkpoint in {folder} could be read: {looked.skipped[0]}")
    return Bisected(
        what=what,
        good=good,
        bad=bad,
        looked=tuple(looked.looked),
        skipped=tuple(looked.skipped),
        checkpoints=len(saved),
    )


class _Looking:
    """
    Checkpoints looked at one by one; those that cannot be read are passed over.
    """

    def __init__(self, saved: list[Saved], look: Callable[[Saved], Looked]) -> None:
        self._left = list(saved)
        self._look = look
        self.looked: list[Looked] = []
        self.skipped: list[str] = []

    def between(self, good: str | None) -> tuple[str | None, str | None]:
        """
        Return the last good and the first bad one; *good* is known to be so before the first.
        """
        if good is None:
            first = self._at(lambda left: 0)
            if first is None or first.broken:
                return None, None if first is None else first.name
            good = first.name
        last = self._at(lambda left: len(left) - 1)
        if last is None or not last.broken:
            return good, None
        bad = last.name
        while (middle := self._at(lambda left: len(left) // 2)) is not None:
            if middle.broken:
                bad = middle.name
            else:
                good = middle.name
        return good, bad

    def _at(self, place: Callable[[list[Saved]], int]) -> Looked | None:
        """
        Look at the one at *place* among those that are left, and keep those on the side of it where
        it can have broken; None if none is left.
        """
        while self._left:
            at = place(self._left)
            each = self._left[at]
            try:
                found = self._look(each)
            except UNREADABLE as exc:
                self.skipped.append(f"{each.name}: {exc}")
                del self._left[at]
                continue
            self.looked.append(found)
            self._left = self._left[:at] if found.broken else self._left[at + 1 :]
            return found
        return None


def _look_at_case(judging: Judging, each: Saved, what: str) -> Looked:
    stored, asked = judging.run_of(each, (what,))
    case = _case(stored, what)
    assert case is not None
    codes = dict.fromkeys(finding.code for finding in case.findings)
    return Looked(
        name=each.name,
        broken=case.status != "correct",
        said=": ".join(filter(None, [case.status, ", ".join(codes)])),
        asked=asked,
    )


def _case(stored: StoredRun, what: str) -> CaseResult | None:
    """
    Return what became of a case, in the worst of its repeats.
    """
    found = [case for case in stored.record.cases if case.id == what]
    return next((case for case in found if case.status != "correct"), found[0] if found else None)


def _look_at_metric(judging: Judging, each: Saved, policy: Policy, what: str) -> Looked:
    stored, asked = judging.run_of(each)
    # Without a baseline the first one that can be read is what the others are held against.
    judging.baseline = judging.baseline or stored
    verdict = judging.gated(stored, policy, judging.baseline).verdict
    metric = verdict.metrics[what]
    if metric.verdict == "not_comparable":
        raise UsageError(f"{each.name}: {metric.reason}")
    return Looked(
        name=each.name, broken=metric.verdict == "regressed", said=metric.reason, asked=asked
    )


def _limiting(policy: Policy | Path | None, project: Project, suite: str, what: str) -> Policy:
    """
    Return the policy with its limit on the metric *what* alone.
    """
    given = policy if isinstance(policy, Policy) else project.policy(policy)
    limit = given.of_suite(suite).limits.get(what)
    if limit is None:
        text = f'[limits]\n{what} = "{example_limit(METRICS[what])}"\n'
        limit = read_policy(text, f"--bisect {what}").limits[what]
    return replace(given, limits={what: limit}, slices={}, suites={})
