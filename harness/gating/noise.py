"""
Runs of one checkpoint against itself -> how many answers differ without a cause, and what a gate
can detect despite that.

Discordance is the share of cases with another outcome although nothing that matters was changed. It
is a floor: two equally good checkpoints differ on more cases than one does from itself.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.gating.evidence import FEWEST_GROUPS
from harness.gating.policy import Policy
from harness.gating.power import cases_to_clear, cases_to_detect
from harness.gating.verdict import Verdict, Word
from harness.runs.record import RunRecord
from harness.scoring.results import CaseResult
from harness.stats import (
    design_effect,
    smallest_detectable_drop,
    wilson,
)
from harness.transcript import Key, Transcript

Kind = Literal["repeat", "batch", "order", "seed"]

KINDS: Mapping[Kind, str] = {
    "repeat": "nothing",
    "batch": "batch size",
    "order": "order of cases",
    "seed": "seed",
}
"""What a run of each kind changes about the first run."""

USUAL_DISCORDANCE = 0.05
"""The median in reruns of public models under good conditions: usual between equally good
checkpoints. `harness need` uses it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """
    A run with the text of its answers.
    """

    name: str
    record: RunRecord
    transcripts: Mapping[Key, Transcript]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """
    How many pairs of answers to the same question differ.
    """

    differing: int
    pairs: int
    low: float | None
    high: float | None
    """The 95 % Wilson interval of the share, over its design effect; None without a pair."""

    @property
    def share(self) -> float | None:
        """
        The share that differs; None without a pair.
        """
        return self.differing / self.pairs if self.pairs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """
    How runs of one kind differ from the first run.
    """

    kind: Kind
    runs: tuple[str, ...]
    flips: Discordance
    """Right in one run and wrong in the other: what a gate on accuracy counts as a change."""
    status: Discordance
    calls: Discordance
    """Which tools were called with which arguments, in which order."""
    text: Discordance
    """The raw answer."""
    flipped: tuple[str, ...]
    """The cases that are right in one run and wrong in the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfGate:
    """
    The shipped gate on two runs of one checkpoint: a regression here is a false alarm.
    """

    kind: Kind
    old: str
    new: str
    verdict: Word
    reason: str
    """The sentence that decided."""
    broken: int
    fixed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """
    What a gate on accuracy can detect if this share of cases flips without a cause.
    """

    discordance: float
    source: str
    """Where the share is from, in words."""
    detectable: float | None
    """The smallest true drop detected in 4 of 5 tries with these cases; None if there is none."""
    to_detect: int | None
    to_clear: int | None
    """How many cases detect a drop of the policy's margin, and how many clear an equal checkpoint
    of it, each in 4 of 5 tries; None if the policy has no margin for accuracy."""


def measure(kind: Kind, first: Answered, others: Sequence[Answered]) -> Noise:
    """
    Return how runs of one kind differ from the first run, case by case.

    Cases that are not scored in both (they broke, or are quarantined) are left out.
    """
    pairs = [pair for other in others for pair in _pairs(first, other)]
    flipped = [(was.status == "correct") != (now.status == "correct") for was, now, *_ in pairs]
    cases = [was for was, *_ in pairs]
    return Noise(
        kind=kind,
        runs=tuple(other.name for other in others),
        flips=_discordance(cases, flipped),
        status=_discordance(cases, [was.status != now.status for was, now, *_ in pairs]),
        calls=_discordance(cases, [_calls(was) != _calls(now) for was, now, *_ in pairs]),
        text=_discordance(cases, [then != now for *_, then, now in pairs]),
        flipped=tuple(
            dict.fromkeys(case.id for case, flip in zip(cases, flipped, strict=True) if flip)
        ),
    )


def self_gate(kind: Kind, old: str, new: str, verdict: Verdict) -> SelfGate:
    """
    Return what a self-test reports of a verdict on two runs of one checkpoint.
    """
    return SelfGate(
        kind=kind,
        old=old,
        new=new,
        verdict=verdict.verdict,
        reason=str(verdict.reasons[0]),
        broken=len(verdict.broken),
        fixed=len(verdict.fixed),
    )


def sensitivities(noises: Collection[Noise], policy: Policy, cases: int) -> tuple[Sensitivity, ...]:
    """
    Return what *policy* can detect in the accuracy of *cases* scored cases.

    For the measured noise (the kind with most), for the upper end of its interval, and for what is
    usual between two different checkpoints.
    """
    measured = [noise for noise in noises if noise.flips.pairs]
    if not measured:
        return ()
    most = max(measured, key=lambda noise: (noise.flips.share or 0.0, noise.flips.high or 0.0))
    shares = [
        (most.flips.share or 0.0, "measured"),
        (most.flips.high or 0.0, "upper end of its 95% interval"),
        (USUAL_DISCORDANCE, "usual between equally good checkpoints"),
    ]
    limit = policy.limits.get("accuracy")
    margin = limit.margin if limit is not None and limit.margin > 0 else None
    return tuple(
        Sensitivity(
            discordance=share,
            source=source,
            detectable=smallest_detectable_drop(cases, share, alpha=policy.alpha),
            to_detect=None
            if margin is None
            else cases_to_detect(margin, share, alpha=policy.alpha),
            to_clear=None if margin is None else cases_to_clear(margin, share),
        )
        for share, source in shares
    )


def sentences(gates: Collection[SelfGate], policy: Policy) -> list[str]:
    """
    Return in words how the gate judged runs that cannot have got worse.
    """
    alarms = [each for each in gates if each.verdict == "regressed"]
    said = [
        f"{len(alarms) or 'none'} of {len(gates)} gates of the checkpoint against itself "
        f"{'was a false alarm' if len(alarms) < 2 else 'were false alarms'}; each limit may raise "
        f"one in at most {100 * policy.alpha:g} of 100"
    ]
    said += [f"false alarm: {each.new} against {each.old}: {each.reason}" for each in alarms]
    return said


def to_json(value: Any) -> Any:
    """
    Return values of this module in JSON types.
    """
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Discordance):
        return _fields(value) | {"share": value.share}
    return _fields(value) if isinstance(value, Noise | SelfGate | Sensitivity) else value


def _fields(value: Any) -> dict[str, Any]:
    return {name: to_json(getattr(value, name)) for name in value.__slots__}


_Texts = list[str | Mapping[str, Any] | None]
_Pair = tuple[CaseResult, CaseResult, _Texts, _Texts]


def _pairs(first: Answered, other: Answered) -> Iterable[_Pair]:
    then = {(case.id, case.repeat): case for case in first.record.cases}
    for case in other.record.cases:
        was = then.get((case.id, case.repeat))
        if was is not None and was.scored and case.scored:
            yield was, case, _texts(first, case), _texts(other, case)


def _texts(run: Answered, case: CaseResult) -> _Texts:
    keys = (Key(case.id, case.repeat, turn) for turn in range(len(case.turns)))
    found = (run.transcripts[key] for key in keys)
    return [answer.said for answer in found]


def _calls(case: CaseResult) -> list[Any]:
    return [turn.calls for turn in case.turns]


def _discordance(cases: Sequence[CaseResult], differs: Sequence[bool]) -> Discordance:
    n, differing = len(cases), sum(differs)
    if not n:
        return Discordance(differing=0, pairs=0, low=None, high=None)
    # The independent units are those of the gate: groups, or cases if there are few groups.
    groups = [case.id if case.group is None else f"group {case.group}" for case in cases]
    names = groups if len(set(groups)) >= FEWEST_GROUPS else [case.id for case in cases]
    units: dict[str, list[int]] = {}
    for name, differ in zip(names, differs, strict=True):
        counts = units.setdefault(name, [0, 0])
        counts[0] += differ
        counts[1] += 1
    sums, sizes = zip(*units.values(), strict=True)
    if differing in (0, n):
        # Nothing to estimate from: answers to a case that all agree are one piece of evidence.
        effect = n / len({case.id for case in cases})
    else:
        effect = design_effect(sums, sizes, differing)
    low, high = wilson(differing, n, effect=effect)
    return Discordance(differing=differing, pairs=n, low=low, high=high)
