"""
Hold a run against the last release and against a pinned anchor: the worse verdict decides.

A release may lose a point that no single gate can tell from chance; after some releases the loss
against the last one is still small, and against the anchor it is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from harness.gating.decision import Gated, decide
from harness.gating.policy import Policy
from harness.runs.record import RunRecord
from harness.runs.store import StoredRun
from harness.workflow.compare import compare_runs
from harness.workflow.project import Project


def gate_anchored(
    gate_against: Callable[[StoredRun], Gated],
    record: RunRecord,
    *,
    project: Project,
    baseline: str,
    anchor: str | None,
) -> Gated:
    """
    Gate the run of *record* against *baseline* and, if one is named, against *anchor*.

    *gate_against* gates it against one of them. Without an anchor, or where it is the baseline,
    there is one verdict as ever.

    Raises:
        StoreError: if the suite has no such baseline; an anchor that is not there is no pass.
    """
    old = project.baseline(record, baseline)
    pinned = None if anchor is None else project.baseline(record, anchor)
    gated = gate_against(old)
    if pinned is None or pinned.folder == old.folder:
        return gated
    return replace(gated, verdict=gated.verdict.with_anchor(gate_against(pinned).verdict))


def gate_runs(
    old: StoredRun,
    new: StoredRun,
    policy: Policy | None = None,
    *,
    allow: Sequence[str] = (),
    today: date | None = None,
) -> Gated:
    """
    Hold *new* against *old*, by *policy* or the built-in one; fields in *allow* may differ.

    An anchor that the policy names is not looked for: `harness.workflow.gate` does that.
    """
    return decide(compare_runs(old, new), policy, allow=allow, today=today)
