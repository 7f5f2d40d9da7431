"""
The rules for lengths: how much longer the answers got that are correct in both runs.

Lengths carry no noise of a machine, but answers differ from checkpoint to checkpoint, and most
of them in length. So a rise must be beyond chance, and worth something.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from harness.comparison.paired import PairedValues, Unit, rate_of
from harness.gating.evidence import p_value
from harness.gating.policy import Limit
from harness.gating.verdict import MetricVerdict, MetricWord
from harness.scoring.metrics import PERCENTILES
from harness.stats import Shift, hodges_lehmann
from harness.wording import chance, count, moved, percent, plain

LEAST_TOKENS = 8
"""A rise of fewer tokens is never too much, whatever its share: calls are short."""

SHARE = 0.2
"""The part of alpha that all limits on lengths take together."""

_ROUNDING = 1e-12
"""Of a ratio that went through logarithms: 110 of 100 tokens are a tenth more."""

_TYPICAL = (
    "regressed where the typical answer that is correct in both runs (Hodges-Lehmann, group by "
    "group) got longer by more than the limit and at least {least} tokens, and is longer beyond "
    "chance (signed ranks, p < {alpha:g}); pass where the upper 95% bound shows that it is not; "
    "else inconclusive"
)
_TAIL = (
    "regressed where the value over answers correct in both runs rose by more than the limit and "
    "at least {least} tokens, and more answers lie above that than before, beyond chance (paired "
    "test, p < {alpha:g}); inconclusive where only the first holds; else pass"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengthening:
    """
    How much longer the typical answer got, over units that vary independently.
    """

    ratio: float
    low: float | None
    high: float | None
    """The two-sided 90 % interval of the ratio: its ends are one-sided 95 % bounds."""
    tokens: float
    most_tokens: float | None
    """The rise in tokens and its upper 95 % bound."""


def lengthening(paired: PairedValues) -> Lengthening:
    """
    Return how much longer the typical answer got.

    A group, or a case with its repeats, is one value: the mean over its answers.

    Raises:
        ValueError: if there are no pairs.
    """
    ratio = hodges_lehmann(_by_unit(paired, _log_ratio), 0.90)
    tokens = hodges_lehmann(_by_unit(paired, lambda was, now: now - was), 0.90)
    return Lengthening(
        ratio=math.exp(ratio.estimate),
        low=None if ratio.low is None else math.exp(ratio.low),
        high=None if ratio.high is None else math.exp(ratio.high),
        tokens=tokens.estimate,
        most_tokens=tokens.high,
    )


def judge_lengths(
    name: str, limit: Limit, paired: PairedValues, alpha: float, many: int = 1
) -> MetricVerdict:
    """
    Return the verdict of *limit* on the length *name* over its pairs.

    *alpha* is the policy's, *many* how many limits on lengths it has: they share `SHARE` of it.

    Raises:
        ValueError: if there are no pairs.
    """
    level = SHARE * alpha / many
    found = lengthening(paired)
    if PERCENTILES[name].share != 0.5:
        word, says, rule = _judge_tail(limit, paired, level)
    else:
        word, says, rule = _judge_typical(limit, paired, level, found)
    old, new = paired.both
    ratio = None
    if found.low is not None and found.high is not None:
        ratio = (found.ratio, found.low, found.high)
    return MetricVerdict(
        verdict=word,
        reason=(
            f"{PERCENTILES[name].title} {moved(old, new, plain)} on "
            f"{count(paired.pairs, 'answer')} correct in both runs: {says}"
        ),
        rule=rule.format(alpha=level, least=LEAST_TOKENS),
        limit=limit.text,
        old=old,
        new=new,
        delta=new - old,
        pairs=paired.pairs,
        ratio=ratio,
        # So few right answers that nothing can be said of their lengths say nothing against them.
        advisory=word == "inconclusive" and ratio is None and not _beyond(found, limit),
    )


def _judge_typical(
    limit: Limit, paired: PairedValues, level: float, found: Lengthening
) -> tuple[MetricWord, str, str]:
    allowed = f"{percent(limit.margin)} or {LEAST_TOKENS} tokens are allowed"
    if all(was == now for was, now in paired.values):
        return "pass", "every answer is as long as before", _TYPICAL
    says = f"the typical answer {found.ratio:.2f} times as long"
    if found.low is None or found.high is None or found.most_tokens is None:
        few = f"too few for an interval ({count(len(paired.units), 'independent answer')})"
        return "inconclusive", f"{says}, {few}; {allowed}", _TYPICAL
    says += f" (90% interval {found.low:.2f} to {found.high:.2f}); {allowed}"
    if _beyond(found, limit) and _shown(paired, level):
        return "regressed", says, _TYPICAL
    if found.high <= 1 + limit.margin + _ROUNDING or found.most_tokens < LEAST_TOKENS:
        return "pass", says, _TYPICAL
    return "inconclusive", f"{says}, and more is not ruled out", _TYPICAL


def _beyond(found: Lengthening, limit: Limit) -> bool:
    return found.ratio > 1 + limit.margin + _ROUNDING and found.tokens >= LEAST_TOKENS


def _shown(paired: PairedValues, level: float) -> bool:
    """
    Return whether the answers got longer at all: the signed-rank test, inverted.
    """
    shift: Shift = hodges_lehmann(_by_unit(paired, _log_ratio), 1 - 2 * level)
    return shift.low is not None and shift.low > 0


def _judge_tail(limit: Limit, paired: PairedValues, level: float) -> tuple[MetricWord, str, str]:
    old, new = paired.both
    says = f"{percent(limit.margin)} or {LEAST_TOKENS} tokens more are allowed"

    def long(length: float) -> bool:
        return length > old * (1 + limit.margin) and length - old >= LEAST_TOKENS

    if not long(new):
        return "pass", says, _TAIL
    p = p_value(
        rate_of(
            Unit(
                name=f"answer {k}",
                broken=int(long(now) and not long(was)),
                fixed=int(long(was) and not long(now)),
                pairs=1,
                old_hits=int(long(was)),
                new_hits=int(long(now)),
                group=paired.groups[k] if paired.groups else None,
            )
            for k, (was, now) in enumerate(paired.values)
        )
    )
    says = f"more than the {says} ({chance(p)})"
    return ("regressed" if p < level else "inconclusive"), says, _TAIL


def _by_unit(paired: PairedValues, change: Callable[[float, float], float]) -> list[float]:
    """
    Return the mean change of each group.
    """
    known = {both: change(*both) for both in set(paired.values)}  # few differ
    if not paired.groups:
        return [known[both] for both in paired.values]
    return [fmean([known[both] for both in unit]) for unit in paired.units]


def _log_ratio(was: float, now: float) -> float:
    # An answer without a token counts as one of one token: it would have no ratio.
    return math.log(max(now, 1.0) / max(was, 1.0))
