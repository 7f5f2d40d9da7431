"""
Two stored runs compared, and the verdict on the new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from harness.comparison.compare import Comparison
from harness.comparison.differences import exported
from harness.gating.gate import gate
from harness.gating.notes import noise
from harness.gating.policy import Policy
from harness.gating.release import Release
from harness.gating.verdict import Verdict
from harness.runs.store import StoredRun
from harness.transcript import Key, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """
    Two runs as they were compared: judged again if they had been judged differently.
    """

    old: StoredRun
    new: StoredRun
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated(Compared):
    """
    Two runs compared, and the verdict on the new one.
    """

    verdict: Verdict
    old_again: Mapping[Key, Transcript] = field(default_factory=dict)
    new_again: Mapping[Key, Transcript] = field(default_factory=dict)
    """Answers at batch size 1 that replace the stored ones (`harness.workflow.recheck`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedRelease:
    """
    The runs of several suites, each with its verdict, and the one verdict on them all.
    """

    release: Release
    suites: Mapping[str, Gated]
    """Suite -> its runs and its verdict, by its share of alpha."""


def decide(
    compared: Compared,
    policy: Policy,
    *,
    allow: Sequence[str] = (),
    today: date,
) -> Gated:
    """
    Return the verdict of *policy* on two compared runs; fields in *allow* may differ, and for an
    export those in which it differs on purpose.
    """
    comparison = compared.comparison
    if policy.kind == "export":
        comparison = replace(comparison, differences=tuple(exported(comparison.differences)))
    verdict = gate(
        policy,
        comparison,
        today,
        allow=allow,
        baseline=compared.old.folder.name,
    )
    verdict = replace(verdict, suite=compared.new.record.suite.name)
    rate = comparison.rates["accuracy"]
    if rate.broken or rate.fixed:
        said = noise(compared.old.record, compared.new.record)
        verdict = replace(verdict, notes=(*verdict.notes, *said))
    return Gated(old=compared.old, new=compared.new, comparison=comparison, verdict=verdict)
