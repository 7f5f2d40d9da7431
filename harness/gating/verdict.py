"""
The verdict of a policy on a comparison, and the rule that decided it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, Protocol, TypeVar

from harness.comparison.accepted import Accepted
from harness.comparison.differences import Difference
from harness.comparison.export import ExportChange
from harness.errors import ExitCode

MetricWord = Literal["pass", "inconclusive", "not_comparable", "regressed", "not_measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """
    The verdict of one limit on one metric.
    """

    verdict: MetricWord
    reason: str
    """One sentence for people."""
    rule: str
    """The rule that decided, in words."""
    limit: str
    """As written in the policy."""
    old: float | None = None
    new: float | None = None
    """Over the pairs; the whole runs may differ."""
    delta: float | None = None
    """new - old."""
    low: float | None = None
    high: float | None = None
    """The two-sided 95 % interval of delta; None for lengths and times."""
    p: float | None = None
    """One-sided: of a loss this large if the models were equal."""
    p_adjusted: float | None = None
    """The same, adjusted for being one of several slices; None if the limit is tested by itself."""
    pairs: int = 0
    broken: int = 0
    fixed: int = 0
    """How many of the pairs got worse and better."""
    bound: float | None = None
    """The upper 95 % bound of the loss, for rates."""
    ratio: tuple[float, float, float] | None = None
    """new / old, answer by answer, with its 95 % interval, for times."""
    detectable: float | None = None
    """The smallest loss that so many pairs detect in 4 of 5 tries; None if none."""
    needed: int | None = None
    """About how many pairs would settle an inconclusive rate."""
    advisory: bool = False
    """Whether the overall verdict leaves this limit out."""


Word = Literal["regressed", "still_failing", "not_comparable", "inconclusive", "pass"]

WORST_FIRST: tuple[Word, ...] = (
    "regressed",
    "still_failing",
    "not_comparable",
    "inconclusive",
    "pass",
)
"""A regression that was shown counts, whatever else could not be compared. So does a case that must
pass and failed in both runs, which is not a regression but blocks all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """
    One finding, and the verdict it supports.
    """

    text: str
    """One sentence for people."""
    verdict: Word
    baseline: str | None = None
    """The baseline it is about; None if it is not about one, or the baseline has no name."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """
    Somebody's decision to let a regression through. The verdict stays what it is.
    """

    by: str
    reason: str
    when: str
    """ISO 8601."""

    def __str__(self) -> str:
        return f"overridden by {self.by} on {self.when[:10]}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    The verdict of a policy on a comparison, or on two: with the last release and with an anchor.
    """

    verdict: Word
    exit: ExitCode
    reasons: tuple[Reason, ...]
    """The deciding reason comes first."""
    notes: tuple[str, ...]
    """What else to know: what was left out, allowed, judged again."""
    metrics: Mapping[str, MetricVerdict]
    """One for each limit of the policy."""
    slices: Mapping[str, Mapping[str, MetricVerdict]]
    """Tag -> metric -> the verdict of that slice's limit."""
    broken: tuple[str, ...]
    fixed: tuple[str, ...]
    """Ids of the cases that were correct and no longer are, and the reverse."""
    must_pass_failed: tuple[str, ...]
    must_pass_still_failing: tuple[str, ...]
    """Those of `must_pass_failed` that failed in the baseline as well."""
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    quarantined: tuple[str, ...]
    differences: tuple[Difference, ...]
    accepted: tuple[Accepted, ...]
    """Cases of which a wrong answer was accepted; those that are unchanged are not in `broken`."""
    policy: str
    """The file or name of the policy."""
    date: date
    suite: str | None = None
    """What was asked; None if the runs have no name for it."""
    baseline: str | None = None
    """The name of the baseline that everything above except verdict and reasons is about."""
    anchor: "Verdict | None" = None
    """The verdict against the pinned baseline alone, if there is one."""
    override: Override | None = None
    """Why it does not block although it would."""
    export: ExportChange | None = None
    """What the export changed; None if it is not about one."""

    def to_json(self) -> dict[str, Any]:
        """
        Return the verdict in JSON types, its reasons as three lists of the same length.
        """
        data = {name: to_json(getattr(self, name)) for name in self.__slots__}
        return {
            **data,
            "reasons": [reason.text for reason in self.reasons],
            "speaks_for": [reason.verdict for reason in self.reasons],
            "against": [reason.baseline for reason in self.reasons],
        }

    def with_anchor(self, anchored: "Verdict") -> "Verdict":
        """
        Return this verdict, against the last release, combined with that against a pinned baseline.

        The worse of the two decides. Each reason says which baseline it is about; one that holds
        against both appears once.
        """
        same = {str(reason) for reason in self.reasons} & {str(each) for each in anchored.reasons}
        reasons = []
        for verdict, role in ((self, "the last release"), (anchored, "the anchor")):
            name = f" {verdict.baseline}" if verdict.baseline else ""
            for reason in verdict.reasons:
                if reason.text not in same:
                    reasons.append(replace(reason, text=f"against {role}{name}: {reason}"))
                elif verdict is self:
                    reasons.append(replace(reason, baseline=None))
        reasons.sort(key=lambda reason: WORST_FIRST.index(reason.verdict))
        worst = min(
            self, anchored, key=lambda each: (WORST_FIRST.index(each.verdict), -int(each.exit))
        )
        return replace(
            self,
            verdict=worst.verdict,
            exit=worst.exit,
            reasons=tuple(reasons),
            notes=(
                *self.notes,
                *(
                    f"against the anchor: {note}"
                    for note in anchored.notes
                    if note not in self.notes
                ),
            ),
            anchor=anchored,
        )


class Decided(Protocol):
    """
    A verdict: on one suite, or on several.
    """

    @property
    def verdict(self) -> Word:
        """
        The verdict in a word.
        """

    @property
    def exit(self) -> ExitCode:
        """
        The exit code that follows.
        """

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """
        Why, the deciding one first.
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """
        What else to know.
        """

    @property
    def override(self) -> Override | None:
        """
        Why it does not block although it would; None if it is as decided.
        """


_Decided = TypeVar("_Decided", bound=Decided)


def overridden(verdict: _Decided, override: Override) -> _Decided:
    """
    Return *verdict* with exit code 0 where it would block for a regression, and who said so.

    Nothing else is overridden: where nothing was compared there is nothing to let through, so a
    release of which another suite is not comparable still blocks, with exit code 3.
    """
    if verdict.exit == ExitCode.REGRESSED:
        left = any(reason.verdict == "not_comparable" for reason in verdict.reasons)
        exit_code = ExitCode.UNDECIDED if left else ExitCode.PASS
        changes: dict[str, Any] = {"exit": exit_code, "override": override}
    else:
        said = f"nothing to override: {verdict.verdict.replace('_', ' ')}"
        changes = {"notes": (f"{said} ({override.reason}, {override.by})", *verdict.notes)}
    replaced: _Decided = replace(verdict, **changes)  # type: ignore[type-var]
    return replaced


def let_through(verdict: Decided) -> str | None:
    """
    Return a warning if a regression was overridden, or nothing was shown and the policy lets that
    through; else None.
    """
    if verdict.override is not None and verdict.exit == ExitCode.PASS:
        return f"exit 0: {verdict.override}"
    if verdict.verdict != "inconclusive" or verdict.exit != ExitCode.PASS:
        return None
    return 'exit 0: inconclusive only warns here; on_inconclusive = "block" stops it'


_MANY = (
    "one gate: each kind of limit may call an equal model worse in alpha of the gates, so seven "
    "suites gated one by one block an equal release in up to 30 of 100 at alpha 0.05; give "
    "`harness gate` one run of each, or see `harness need --suites 7`"
)


def explain(verdict: Verdict) -> list[str]:
    """
    Return which rule decided and why, one line each: first for the whole, then limit by limit.
    """
    lines = [
        f"{verdict.verdict} (exit {int(verdict.exit)}), {verdict.policy}: {verdict.reasons[0]}",
        *([str(verdict.override)] if verdict.override else []),
        *([str(verdict.export)] if verdict.export else []),
        f"rule: the worst decides, in the order {', '.join(WORST_FIRST)}",
        _MANY,
    ]
    return [*lines, *limit_by_limit(verdict)]


def limit_by_limit(verdict: Verdict) -> list[str]:
    """
    Return the rule that decided about each limit, against the anchor too if there is one.
    """
    if verdict.anchor is None:
        return list(_limit_by_limit(verdict))
    lines = []
    for side, role in ((verdict, "the last release"), (verdict.anchor, "the anchor")):
        lines.append(f"against {role}{f' {side.baseline}' if side.baseline else ''}")
        lines += (f"  {line}" for line in _limit_by_limit(side))
    return lines


def _limit_by_limit(verdict: Verdict) -> Iterator[str]:
    for failed in verdict.must_pass_failed:
        still = failed in verdict.must_pass_still_failing
        yield f"must_pass {failed}: {'still failing' if still else 'regressed'}"
    for name, metric in verdict.metrics.items():
        yield from _one(name, metric)
    for tag, metrics in verdict.slices.items():
        for name, metric in metrics.items():
            yield from _one(f"slice {tag}: {name}", metric)


def _one(name: str, metric: MetricVerdict) -> Iterator[str]:
    aside = ", without weight" if metric.advisory else ""
    yield f'{name} = "{metric.limit}": {metric.verdict}{aside}'
    yield f"  rule: {metric.rule}"
    yield f"  {metric.reason}"


def worst(words: Iterable[MetricWord]) -> Word:
    """
    Return the word that decides among *words*; inconclusive if there are none.
    """
    said = set(words)
    return next((word for word in WORST_FIRST if word in said), "inconclusive")


def to_json(value: Any) -> Any:
    """
    Return a verdict, or a part of one, in JSON types.
    """
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Verdict | ExportChange):
        return value.to_json()
    if isinstance(value, MetricVerdict | Difference | Accepted | Override):
        return {name: to_json(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, ExitCode):
        return int(value)
    return value.isoformat() if isinstance(value, date) else value
