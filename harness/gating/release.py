"""
The verdicts on several suites -> one verdict: may the candidate be released?

Suites that are required decide, the worst of them; suites that are advisory are judged and shown.
The limits of the required suites share alpha (`harness.gating.shares`), so that an equal checkpoint
is blocked no more often than by the gate of one suite.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from harness.comparison.compare import Comparison
from harness.errors import ExitCode
from harness.gating.gate import exit_code, gate, obstacles_to
from harness.gating.policy import Policy, Tier
from harness.gating.shares import Shares, share
from harness.gating.verdict import (
    WORST_FIRST,
    Override,
    Reason,
    Verdict,
    Word,
    limit_by_limit,
    to_json,
)
from harness.wording import count, named


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """
    One suite's comparison with the last release, and with the anchor where there is one.
    """

    comparison: Comparison
    baseline: str | None = None
    anchored: Comparison | None = None
    anchor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVerdict:
    """
    What a release's verdict has of one suite.
    """

    tier: Tier
    verdict: Verdict | None
    """None if there is no run of the suite."""

    @property
    def word(self) -> Word:
        """
        Its verdict in a word: without a run nothing can be compared.
        """
        return "not_comparable" if self.verdict is None else self.verdict.verdict

    @property
    def reason(self) -> str:
        """
        The sentence that decided.
        """
        return NO_RUN if self.verdict is None else self.verdict.reasons[0].text


NO_RUN = "no run of this suite, which the policy names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    The one verdict on several suites.
    """

    verdict: Word
    exit: ExitCode
    reasons: tuple[Reason, ...]
    """The deciding one comes first; each begins with its suite."""
    notes: tuple[str, ...]
    """What else to know: what advisory suites say, and how alpha is shared."""
    suites: Mapping[str, SuiteVerdict]
    """The required ones first, and of these the worst."""
    policy: str
    date: date
    override: Override | None = None
    """Why it does not block although it would."""

    def to_json(self) -> dict[str, Any]:
        """
        Return the verdict in JSON types.
        """
        return {
            "verdict": self.verdict,
            "exit": int(self.exit),
            "reasons": [reason.text for reason in self.reasons],
            "speaks_for": [reason.verdict for reason in self.reasons],
            "notes": list(self.notes),
            "suites": {
                name: {
                    "tier": each.tier,
                    **(
                        {"verdict": each.word, "reasons": [each.reason]}
                        if each.verdict is None
                        else each.verdict.to_json()
                    ),
                }
                for name, each in self.suites.items()
            },
            "policy": self.policy,
            "date": self.date.isoformat(),
            "override": to_json(self.override),
        }


def gate_release(
    policy: Policy,
    entrants: Mapping[str, Entrant],
    today: date,
    *,
    allow: Collection[str] = (),
) -> Release:
    """
    Return the verdict on several suites, each by its own limits.

    *entrants* are named by suite. A suite that the policy names and that is not among them is not
    comparable.
    """
    required = {name: each for name, each in entrants.items() if policy.tier(name) == "required"}
    shares = _shares(policy, {name: each.comparison for name, each in required.items()}, allow)
    anchored = {name: each.anchored for name, each in required.items() if each.anchored is not None}
    of_anchor = _shares(policy, anchored, allow)
    found: dict[str, SuiteVerdict] = {}
    for name, each in entrants.items():
        rules = policy.of_suite(name)
        verdict = gate(
            rules,
            each.comparison,
            today,
            allow=allow,
            baseline=each.baseline,
            shares=shares.get(name),
        )
        if each.anchored is not None:
            verdict = verdict.with_anchor(
                gate(
                    rules,
                    each.anchored,
                    today,
                    allow=allow,
                    baseline=each.anchor,
                    shares=of_anchor.get(name),
                )
            )
        verdict = replace(verdict, suite=name)
        found[name] = SuiteVerdict(tier=policy.tier(name), verdict=verdict)
    for name in policy.suites:
        found.setdefault(name, SuiteVerdict(tier=policy.tier(name), verdict=None))
    return _put_together(policy, found, today)


def explain(release: Release) -> list[str]:
    """
    Return which rule decided and why, one line each: first for the whole, then suite by suite.
    """
    lines = [
        f"{release.verdict} (exit {int(release.exit)}), {release.policy}: {release.reasons[0]}",
        *([str(release.override)] if release.override else []),
        f"rule: the worst of the required suites decides, in the order {', '.join(WORST_FIRST)}",
        *release.notes,
    ]
    for name, each in release.suites.items():
        lines.append(f"suite {name} ({each.tier})")
        said = [NO_RUN] if each.verdict is None else limit_by_limit(each.verdict)
        lines += (f"  {line}" for line in said)
    return lines


def _shares(
    policy: Policy, comparisons: Mapping[str, Comparison], allow: Collection[str]
) -> dict[str, Shares]:
    # What is not compared takes no alpha.
    return share(
        {
            name: (policy.of_suite(name), comparison)
            for name, comparison in comparisons.items()
            if not obstacles_to(comparison, allow)
        }
    )


def _put_together(policy: Policy, found: Mapping[str, SuiteVerdict], today: date) -> Release:
    order = sorted(
        found,
        key=lambda name: (found[name].tier != "required", WORST_FIRST.index(found[name].word)),
    )
    suites = {name: found[name] for name in order}
    required = {name: each for name, each in suites.items() if each.tier == "required"}
    reasons = [
        replace(reason, text=f"{name}: {reason.text}")
        for name, each in required.items()
        for reason in _reasons(each)
    ]
    reasons.sort(key=lambda reason: WORST_FIRST.index(reason.verdict))
    word: Word = reasons[0].verdict if reasons else "not_comparable"
    if not required:
        reasons = [Reason(text="no suite is required, so nothing decides", verdict=word)]
    elif word == "pass":
        said = f"{count(len(required), 'required suite')} passed: {named(list(required))}"
        reasons.insert(0, Reason(text=said, verdict=word))
    deciding = [
        exit_code(word, policy) if each.verdict is None else each.verdict.exit
        for each in required.values()
        if each.word == word
    ]
    return Release(
        verdict=word,
        exit=max(deciding, default=exit_code(word, policy)),
        reasons=tuple(reasons),
        notes=tuple(_notes(suites, len(required), policy)),
        suites=suites,
        policy=policy.source,
        date=today,
    )


def _notes(suites: Mapping[str, SuiteVerdict], required: int, policy: Policy) -> Iterator[str]:
    for name, each in suites.items():
        if each.tier == "advisory" and each.word != "pass":
            word = each.word.replace("_", " ")
            yield f"{name} is advisory and does not decide: {word}: {each.reason}"
    if required > 1:
        yield (
            f"the limits of {count(required, 'required suite')} share alpha {policy.alpha:g}: an "
            "equal checkpoint is blocked no more often than by one suite"
        )


def _reasons(each: SuiteVerdict) -> Sequence[Reason]:
    if each.verdict is None:
        return [Reason(text=NO_RUN, verdict="not_comparable")]
    return each.verdict.reasons
