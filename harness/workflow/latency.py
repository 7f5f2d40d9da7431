"""
Two checkpoints timed in alternation: which of them is faster, on whatever machine this is.

What a machine does at the moment (its clock, its neighbours, its temperature) is the largest part
of a time, and it is shared by answers made right after each other. So the two answer every case in
the order old, new, new, old in one process, the next case begins with the new one, and all that is
taken from it is the ratio of the two, case by case. A drift that is even over four answers cancels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from statistics import geometric_mean, median
from typing import Any, Literal

from harness.backends.base import Backend, BackendOptions, Generation, Request
from harness.backends.registry import open_backend
from harness.canonical import canonical_json
from harness.comparison.paired import PairedValues
from harness.errors import BackendError
from harness.gating.policy import Policy
from harness.gating.times import judge_alternated
from harness.provenance import date_today, hardware, now
from harness.runs.record import SuiteReference
from harness.runs.runner import latency_sample, request
from harness.scoring.metrics import METRICS, ms_per_token
from harness.scoring.tool_names import shown_suite
from harness.suites.files import load_suite
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript
from harness.wording import MetricVerdict, count, plain
from harness.workflow.project import Project, open_project
from harness.workflow.run import RunOptions, Watch, generation_for, suite_reference

Side = Literal["old", "new"]

TIMES = ("latency_ms_p50", "ttft_ms_p50", "ms_per_token_p50")
"""What is taken of every answer; see `METRICS`."""

SHORTEST_MS, LONGEST_MS = 1e-9, 1e15
"""No answer is timed beyond these: what divides or adds up such times would be no number."""

_ROUND: tuple[tuple[Side, ...], ...] = (("old", "new", "new", "old"), ("new", "old", "old", "new"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedAnswer:
    """
    The times of one answer.
    """

    latency_ms: float
    ttft_ms: float | None
    output_tokens: int | None

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for what no clock and no tokenizer gives.
        """
        for time in (self.latency_ms, self.ttft_ms):
            if time and not SHORTEST_MS <= time <= LONGEST_MS:
                raise ValueError(f"{time:g} ms is no time of an answer")
        if self.output_tokens is not None and not 0 <= self.output_tokens < 2**53:
            raise ValueError("an answer's output_tokens are no count of tokens")

    def value(self, name: str) -> float | None:
        """
        Give the time that the metric *name* is a median of.
        """
        if name == "latency_ms_p50":
            return self.latency_ms
        if name == "ttft_ms_p50":
            return self.ttft_ms
        return ms_per_token(self.latency_ms, self.ttft_ms, self.output_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedCase:
    """
    One case, answered by both checkpoints equally often, in alternation.
    """

    id: str
    old: tuple[TimedAnswer, ...]
    new: tuple[TimedAnswer, ...]

    def values(self, name: str) -> tuple[float, float] | None:
        """
        Give the old and the new time, each the geometric mean over the answers; None without one.
        """
        both = [[answer.value(name) for answer in side] for side in (self.old, self.new)]
        found = [[value for value in side if value is not None and value > 0] for side in both]
        if not all(side and len(side) == len(self.old) for side in found):
            return None
        return geometric_mean(found[0]), geometric_mean(found[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternation:
    """
    The times of two checkpoints on one suite, measured in alternation.
    """

    suite: SuiteReference
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    """The checkpoints, as run.json has them."""
    backend: Mapping[str, Any]
    """How the new one was run, as run.json has it."""
    generation: Mapping[str, Any]
    hardware: Mapping[str, Any]
    cases: tuple[TimedCase, ...]
    left_out: Mapping[str, str]
    """Cases without a time -> why."""
    measured: str
    """When it was begun, ISO 8601."""

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: for an infinity or NaN in what is told of the two: no report can hold one.
        """
        canonical_json(
            [asdict(self.suite), self.left_out, self.measured]
            + [dict(told) for told in (self.old, self.new, self.backend, self.generation)]
            + [dict(self.hardware)]
        )

    def paired(self, name: str) -> PairedValues:
        """
        Pair the time *name* case by case.
        """
        return _paired([both for case in self.cases if (both := case.values(name)) is not None])

    def tokens(self) -> PairedValues:
        """
        Pair the lengths of the answers, case by case, in tokens.
        """
        return _paired(
            [
                (float(old), float(new))
                for case in self.cases
                if (old := case.old[0].output_tokens) is not None
                and (new := case.new[0].output_tokens) is not None
            ]
        )


def _paired(values: Sequence[tuple[float, float]]) -> PairedValues:
    return PairedValues(
        old=median(old for old, _ in values) if values else None,
        new=median(new for _, new in values) if values else None,
        values=tuple(values),
    )


def judge_alternation(policy: Policy, measured: Alternation) -> dict[str, MetricVerdict]:
    """
    Hold every time that *policy* limits against its limit; times neither side has are left out.
    """
    found = {}
    for name in TIMES:
        if name not in policy.limits:
            continue
        limit, paired = policy.limits[name], measured.paired(name)
        if paired.pairs:
            found[name] = judge_alternated(name, limit, paired)
            if missing := len(measured.cases) - paired.pairs:
                reason = f"{found[name].reason}; {count(missing, 'case')} without this time"
                found[name] = replace(found[name], reason=reason)
        elif any(answer.value(name) for each in measured.cases for answer in each.old + each.new):
            found[name] = MetricVerdict(
                verdict="inconclusive",
                reason=f"{METRICS[name].title}: no case has this time on both sides",
                rule="inconclusive where only one side could be measured",
                limit=limit.text,
            )
    return found


def rows(measured: Alternation, metrics: Mapping[str, MetricVerdict]) -> list[list[str | None]]:
    """
    Spell each time for people: title, old and new median, ratio, its interval, limit, verdict.
    """
    found: list[list[str | None]] = []
    for name in TIMES:
        paired, judged = measured.paired(name), metrics.get(name)
        if not paired.pairs:
            continue
        ratio = None if judged is None else judged.ratio
        found.append(
            [
                METRICS[name].title,
                *(f"{plain(value)} ms" for value in paired.both),
                None if ratio is None else f"{ratio[0]:.3f}",
                None if ratio is None else f"{ratio[1]:.3f} to {ratio[2]:.3f}",
                None if judged is None else judged.limit,
                None if judged is None else judged.verdict,
            ]
        )
    if (tokens := measured.tokens()).pairs:
        found.append(["output tokens", *(plain(value) for value in tokens.both), *[None] * 4])
    return found


def alternate(
    suite: Suite,
    cases: Sequence[Case],
    old: Backend,
    new: Backend,
    generation: Generation,
    *,
    rounds: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[tuple[TimedCase, ...], dict[str, str]]:
    """
    Time both backends on the first turns of *cases*, *rounds* times old, new, new, old each.

    Every second round is new, old, old, new, so that neither is always the one that begins.

    Returns:
        The times of the cases that both answered every time, and why the others are left out.

    Raises:
        BackendError: if no case could be timed.
        UsageError: if a backend has no times (a replay).
    """
    asked = [
        request(suite, case, Key(case.id, repeat, 0))
        for case in cases
        for repeat in range(2 * rounds)
    ]
    takers = {
        "old": _in_turn(old.answer_alone(asked, generation), asked),
        "new": _in_turn(new.answer_alone(asked, generation), asked),
    }
    timed, left_out = [], {}
    for number, case in enumerate(cases):
        taken: dict[Side, list[Transcript]] = {"old": [], "new": []}
        for round_ in range(rounds):
            for side in _ROUND[(number * rounds + round_) % 2]:
                taken[side].append(next(takers[side]))
                progress(1)
        if why := _untimed(taken):
            left_out[case.id] = why
        else:
            timed.append(TimedCase(id=case.id, old=_times(taken["old"]), new=_times(taken["new"])))
    if not timed:
        raise BackendError(
            "no case could be timed"
            + "".join(f": {case}: {why}" for case, why in list(left_out.items())[:1])
        )
    return tuple(timed), left_out


def time_checkpoints(
    suite: str,
    old: str,
    new: str,
    *,
    project: Project | None = None,
    options: RunOptions | None = None,
    rounds: int = 1,
    watch: Watch | None = None,
    today: date | None = None,
) -> Alternation:
    """
    Open two checkpoints and time them on a suite: on all cases chosen, or 24 evenly spread ones.

    Of *options*, ``limit`` and ``tags`` choose cases, and those about a run (repeats, latency,
    batch size) say nothing here.

    Raises:
        HarnessError: of the kind that fits.
    """
    project = project or open_project()
    options, watch = options or RunOptions(), watch or Watch()
    whole = load_suite(project.suite(suite), today=today or date_today())
    chosen = whole.with_cases(whole.select(tags=options.tags, limit=options.limit))
    cases = chosen.cases if options.limit is not None else latency_sample(chosen.cases)
    generation = generation_for(whole, options)

    def opened(checkpoint: str) -> Backend:
        return open_backend(
            checkpoint,
            BackendOptions(
                device=options.device,
                dtype=options.dtype,
                batch_size=1,
                dialect=options.dialect,
                declares_tools=whole.declare_tools,
                progress=watch.progress,
                notify=watch.notify,
                cases=frozenset(case.id for case in whole.cases),
            ),
        )

    before = opened(old)
    try:
        after = opened(new)
        try:
            watch.expect(4 * rounds * len(cases))
            started = now()
            shown = shown_suite(whole.with_cases(cases), options.tool_names)
            timed, left_out = alternate(
                shown, shown.cases, before, after, generation, rounds=rounds, progress=watch.advance
            )
            return Alternation(
                suite=suite_reference(whole),
                old=before.checkpoint.to_json(),
                new=after.checkpoint.to_json(),
                backend=after.describe(),
                generation=generation.to_json(),
                hardware=hardware(),
                cases=timed,
                left_out=left_out,
                measured=started,
            )
        finally:
            after.close()
    finally:
        before.close()


def _in_turn(answers: Iterator[Transcript], asked: Sequence[Request]) -> Iterator[Transcript]:
    """
    Give the answers in the order they were asked for, making each only when it is wanted.

    A backend hands over first what it could not even ask.
    """
    early: dict[Key, Transcript] = {}
    for wanted in asked:
        while wanted.key not in early:
            answer = next(answers, None)
            if answer is None:
                raise BackendError(f"no answer for case {wanted.key.case}")
            early[answer.key] = answer
        yield early.pop(wanted.key)


def _untimed(taken: Mapping[Side, Sequence[Transcript]]) -> str | None:
    for side, answers in taken.items():
        for answer in answers:
            if answer.error is not None:
                return f"{side}: {answer.error}"
            if answer.timing is None or answer.timing.latency_ms is None:
                return f"{side}: the backend took no time"
    return None


def _times(answers: Sequence[Transcript]) -> tuple[TimedAnswer, ...]:
    return tuple(
        TimedAnswer(
            latency_ms=answer.timing.latency_ms,
            ttft_ms=answer.timing.ttft_ms,
            output_tokens=answer.output_tokens,
        )
        for answer in answers
        if answer.timing is not None and answer.timing.latency_ms is not None
    )
