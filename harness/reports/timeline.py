"""
One baseline over its releases: what was accepted when, and what became of each case.

Everything is read from disk: the baseline's history, and the runs that are still under
``history/`` beside it. A release whose run was pruned has its metrics and no cases.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.errors import HarnessError, StoreError
from harness.gating.decision import decide
from harness.gating.flaky import State, Strip, flaky_first
from harness.gating.policy import Policy
from harness.gating.verdict import Verdict
from harness.reports.history import Acceptance, acceptances
from harness.runs.accepted import read_accepted
from harness.runs.baselines import REPLACED, baseline_history, digest_of_run
from harness.runs.rescore import rejudge
from harness.runs.store import HISTORY, StoredRun, load_run
from harness.runs.verify import verified
from harness.workflow.accepted import with_accepted
from harness.workflow.compare import compare
from harness.workflow.project import holds_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """
    One run that was accepted.
    """

    acceptance: Acceptance
    suite_digest: str
    broken: int | None = None
    fixed: int | None = None
    """Cases that went wrong or right since the release before; None without both runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """
    One baseline over its releases.
    """

    suite: str
    name: str
    released: tuple[Released, ...]
    """The first one first."""
    strips: tuple[Strip, ...]
    """In the order of the last release, then those that are gone."""
    cases: int
    """How many cases count in the last release."""
    verdict: Verdict | None
    """On the last release against the one before it, by the policy of today; None if that is gone,
    or there is none."""

    @property
    def last(self) -> Released:
        """
        The release that is the baseline now.
        """
        return self.released[-1]

    @property
    def flaky(self) -> list[Strip]:
        """
        The cases that should be put aside, those that flip most first.
        """
        return flaky_first(self.strips)

    @property
    def word(self) -> str:
        """
        The verdict in a word, or two; "accepted" where there is none.
        """
        if self.last.acceptance.overrides:
            return "overridden"
        return "accepted" if self.verdict is None else self.verdict.verdict.replace("_", " ")


def timeline(baseline: StoredRun, policy: Policy) -> Timeline:
    """
    Return the releases of the *baseline*; the last one is gated by *policy* once more.

    Raises:
        StoreError: if its history cannot be read, or a run does not follow from its evidence.
    """
    entries = baseline_history(baseline.folder)
    if not entries:
        raise StoreError(
            f"{baseline.folder} has no {HISTORY}: save it with `harness baseline save`"
        )
    folders = _folders(baseline.folder)
    found = [folders.get(str(entry["run"])) for entry in entries]
    runs = _judged_alike({folder: verified(load_run(folder)) for folder in found if folder})
    kept = [None if folder is None else runs[folder] for folder in found]
    strips = _strips(kept)
    record = baseline.record
    return Timeline(
        suite=record.suite.name,
        name=baseline.folder.name,
        released=tuple(
            Released(
                acceptance=acceptance,
                suite_digest=str(entry["suite"]["digest"]),
                broken=_moved(strips, kept, place, ("right",), ("wrong", "accepted")),
                fixed=_moved(strips, kept, place, ("wrong", "accepted"), ("right",)),
            )
            for place, (acceptance, entry) in enumerate(
                zip(acceptances([baseline]), entries, strict=True)
            )
        ),
        strips=tuple(strips),
        cases=len({case.id for case in record.cases if case.scored}),
        verdict=_verdict(kept, policy.of_suite(record.suite.name), entries[-1]["saved"]),
    )


def _folders(baseline: Path) -> dict[str, Path]:
    """
    Return the folders that may hold a release of *baseline*, by the digest of their run.
    """
    places = [*sorted((baseline.parent / REPLACED).glob(f"{baseline.name}-*")), baseline]
    return {str(digest_of_run(each)): each for each in places if holds_run(each)}


def _judged_alike(runs: Mapping[Path, StoredRun]) -> Mapping[Path, StoredRun]:
    ways = {
        (run.record.scorer_version, run.record.checkpoint.dialect_version) for run in runs.values()
    }
    return {folder: rejudge(run) for folder, run in runs.items()} if len(ways) > 1 else runs


def _verdict(kept: Sequence[StoredRun | None], policy: Policy, saved: str) -> Verdict | None:
    if len(kept) < 2 or kept[-2] is None or kept[-1] is None:
        return None
    day = date.fromisoformat(saved[:10])
    try:
        return decide(compare(kept[-2], kept[-1], today=day), policy, today=day).verdict
    except HarnessError:
        return None  # Such as a slice of the policy that this suite has no case of.


def _strips(kept: Sequence[StoredRun | None]) -> list[Strip]:
    of_runs = [{} if run is None else dict(_outcomes(run)) for run in kept]
    accepted = [
        {} if not place else _accepted(kept[place - 1], kept[place]) for place in range(len(kept))
    ]
    names = dict.fromkeys(name for outcomes in reversed(of_runs) for name in outcomes)
    strips = []
    for name in names:
        states: list[State] = []
        anew: list[int] = []
        digest: str | None = None
        for place, outcomes in enumerate(of_runs):
            found = outcomes.get(name)
            if found is None:
                states.append("absent")
                continue
            if digest is not None and found.digest != digest:
                anew.append(place)
            digest = found.digest
            taken = found.state == "wrong" and name in accepted[place]
            states.append("accepted" if taken else found.state)
        last = of_runs[-1].get(name)
        strips.append(
            Strip(
                case=name,
                states=tuple(states),
                asked_anew=tuple(anew),
                must_pass=last is not None and last.must_pass,
                undecided=last is not None and last.undecided,
            )
        )
    return strips


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    digest: str
    state: State
    undecided: bool
    must_pass: bool


def _outcomes(run: StoredRun) -> Iterator[tuple[str, _Outcome]]:
    """
    Yield what became of each case: it is right if all its repeats are.
    """
    columns = run.record.columns
    rights = columns.correct.tolist()
    held = columns.ways.flags(lambda case: case.quarantined).tolist()
    broke = columns.ways.flags(lambda case: case.status == "error").tolist()
    must = columns.ways.flags(lambda case: case.must_pass).tolist()
    for name, places in columns.places.items():
        answered = [rights[place] for place in places if not broke[place]]
        state: State = "right" if all(answered) else "wrong"
        if held[places[0]]:
            state = "quarantined"
        elif not answered:
            state = "broke"
        yield (
            name,
            _Outcome(
                digest=columns.digests[places[0]],
                state=state,
                undecided=len(set(answered)) > 1,
                must_pass=must[places[0]],
            ),
        )


def _accepted(old: StoredRun | None, new: StoredRun | None) -> frozenset[str]:
    """
    Return the cases of which a wrong answer in *new* was accepted for the baseline *old*.
    """
    if old is None or new is None or not (acceptances := read_accepted(old.folder)):
        return frozenset()
    # They held on the day; today they may have expired.
    day = min(date.fromisoformat(each.accepted[:10]) for each in acceptances)
    _, found = with_accepted(old.record, new, acceptances, day)
    return frozenset(each.case for each in found if each.state == "unchanged")


def _moved(
    strips: Sequence[Strip],
    kept: Sequence[StoredRun | None],
    place: int,
    was: Sequence[State],
    now: Sequence[State],
) -> int | None:
    """
    Return how many cases went from *was* to *now* in the release at *place*; None without its run
    and the one before.
    """
    if not place or kept[place - 1] is None or kept[place] is None:
        return None
    return sum(
        strip.states[place - 1] in was
        and strip.states[place] in now
        and place not in strip.asked_anew
        for strip in strips
    )
