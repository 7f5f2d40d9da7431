"""
Two checkpoints timed in alternation: which of them is faster, on whatever machine this is.

What a machine does at the moment (its clock, its neighbours, its temperature) is the largest part
of a time, and it is shared by answers made right after each other. So the two answer every case in
the order old, new, new, old in one process, the next case begins with the new one, and all that is
taken from it is the ratio of the two, case by case. A drift that is even over four answers cancels.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from harness.backends.base import (
    Backend,
    BackendOptions,
    Generation,
    Loadable,
    Request,
    Watched,
)
from harness.backends.registry import open_backend
from harness.checkpoints.reference import is_served
from harness.comparison.differences import names_of_fields
from harness.errors import BackendError, ExitCode, UsageError
from harness.gating.alternation import (
    Alternation,
    Load,
    LoadedSide,
    Side,
    TimedAnswer,
    TimedCase,
    judge_alternation,
    judge_load,
)
from harness.gating.gate import exit_code
from harness.gating.policy import Policy
from harness.gating.verdict import MetricVerdict, Word, to_json, worst
from harness.provenance import date_today, hardware, now
from harness.runs.record import SuiteReference
from harness.runs.runner import latency_sample, request
from harness.scoring.tool_names import shown_suite
from harness.suites.files import load_suite
from harness.suites.selection import select
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript
from harness.wording import suggest
from harness.workflow.options import (
    Progress,
    RunOptions,
    generation_for,
    serving,
)
from harness.workflow.project import Project, open_project

_FILLS = 4
# How often a block of requests under load fills all places.

_ROUND: tuple[tuple[Side, ...], ...] = (("old", "new", "new", "old"), ("new", "old", "old", "new"))


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTimes:
    """
    What a policy makes of the times of two checkpoints.
    """

    measured: Alternation
    policy: Policy
    metrics: Mapping[str, MetricVerdict]
    """The times that the policy limits."""
    under_load: Mapping[str, MetricVerdict]
    """The same under load: advisory."""
    verdict: Word
    exit: ExitCode

    def to_json(self) -> dict[str, Any]:
        """
        Return the verdict in JSON types, with what was measured and on which machine.
        """
        measured, load = self.measured, self.measured.load
        under_load = (
            {}
            if load is None
            else {
                "load": {
                    "concurrency": load.concurrency,
                    "old": _summed(load.old),
                    "new": _summed(load.new),
                    "metrics": to_json(self.under_load),
                }
            }
        )
        return {
            "verdict": self.verdict,
            "exit": int(self.exit),
            "metrics": to_json(self.metrics),
            "suite": {"name": measured.suite.name, "version": measured.suite.version},
            "old": dict(measured.old),
            "new": dict(measured.new),
            "cases": len(measured.cases),
            "left_out": dict(measured.left_out),
            "hardware": dict(measured.hardware),
            "policy": self.policy.source,
            **({} if measured.advisory is None else {"advisory": measured.advisory}),
            **under_load,
        }


def _summed(side: LoadedSide) -> dict[str, Any]:
    return {
        "answers": len(side.answers),
        "failed": side.failed,
        "seconds": side.seconds,
        "answers_per_s": side.answers_per_s,
        "output_tokens_per_s": side.tokens_per_s,
        **side.times(),
    }


def alternate(
    suite: Suite,
    cases: Sequence[Case],
    old: Backend,
    new: Backend,
    generation: Generation,
    *,
    rounds: int = 1,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[tuple[TimedCase, ...], dict[str, str]]:
    """
    Time both backends on the first turns of *cases*, *rounds* times old, new, new, old each.

    Every second round is new, old, old, new, so that neither is always the one that begins.

    Returns:
        The times of the cases that both answered every time, and why the others are left out.

    Raises:
        BackendError: if no case could be timed.
        UsageError: if a backend cannot be timed (a replay).
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
                advance(1)
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
    load: int | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Alternation:
    """
    Open two checkpoints and time them on a suite.

    The tags and the limit of *options* choose the cases; without a limit, 24 evenly spread ones.
    What is about a run (repeats, order, latency, batch size) is ignored. With *load*, two servers
    are timed with so many requests in flight as well.

    Raises:
        HarnessError: of the kind that fits.
    """
    project = project or open_project()
    options, progress = options or RunOptions(), progress or Progress()
    whole = load_suite(project.suite(suite), today=today or date_today())
    chosen = select(whole, options.choice)
    cases = chosen if options.limit is not None else latency_sample(chosen)
    generation = generation_for(whole, options)
    if load is not None and not (is_served(old) and is_served(new)):
        raise UsageError("--load N is for two models behind URLs, openai: or completions:")
    options = replace(options, batch_size=load or 1, order=None)
    mixed = is_served(old) != is_served(new)
    with (
        closing(open_backend(old, _opening(old, options, whole, progress, mixed))) as before,
        closing(open_backend(new, _opening(new, options, whole, progress, mixed))) as after,
    ):
        progress.expect(4 * rounds * len(cases))
        started = now()
        shown = shown_suite(whole.with_cases(cases), options.tool_names)
        timed, left_out = alternate(
            shown,
            shown.cases,
            before,
            after,
            generation,
            rounds=rounds,
            advance=progress.advance,
        )
        loaded = (
            None
            if load is None
            else _under_load(shown, before, after, generation, load, rounds, progress)
        )
        return Alternation(
            suite=SuiteReference.of(whole),
            old=before.checkpoint.to_json(),
            new=after.checkpoint.to_json(),
            backend=_alone(after, options),
            old_backend=_alone(before, options),
            became=_became(before, after),
            load=loaded,
            generation=generation.to_json(),
            hardware=hardware(),
            cases=timed,
            left_out=left_out,
            measured=started,
        )


def _opening(
    text: str, options: RunOptions, suite: Suite, progress: Progress, mixed: bool
) -> BackendOptions:
    """
    Return how to open a checkpoint. Where only one of two is served (*mixed*), what only the other
    kind can have is left out.
    """
    opening = options.backend_options(suite, progress=progress)
    if not mixed:
        return opening
    if is_served(text):
        return replace(opening, device=None, dtype=None)
    return replace(
        opening, tokenizer=None, concurrency=None, api_key_env=None, request_timeout=None
    )


def _alone(backend: Backend, options: RunOptions) -> dict[str, Any]:
    block = serving(backend, options).to_json()
    # A server was opened for a load; timed alone, it got one request at a time.
    return block | {"batch": 1} if "server" in block else block


def _became(*backends: Backend) -> tuple[str, ...]:
    return tuple(
        change
        for backend in backends
        if isinstance(backend, Watched)
        for change in backend.changes()
    )


def _under_load(
    suite: Suite,
    old: Backend,
    new: Backend,
    generation: Generation,
    load: int,
    rounds: int,
    progress: Progress,
) -> Load:
    """
    Time both with *load* requests in flight, a block of requests each: old, new, new, old.
    """
    assert isinstance(old, Loadable)
    assert isinstance(new, Loadable)
    backends: Mapping[Side, Loadable] = {"old": old, "new": new}
    # A block is long enough for its beginning and its end to weigh little.
    repeats = max(1, -(-_FILLS * load // len(suite.cases)))
    asked = [
        request(suite, case, Key(case.id, repeat, 0))
        for repeat in range(repeats)
        for case in suite.cases
    ]
    progress.expect(4 * rounds * len(asked))
    answers: dict[Side, list[Transcript]] = {"old": [], "new": []}
    seconds: dict[Side, float] = {"old": 0.0, "new": 0.0}
    for round_ in range(rounds):
        for side in _ROUND[round_ % 2]:
            begun = time.perf_counter()
            for answer in backends[side].answer_under_load(asked, generation):
                answers[side].append(answer)
                progress.advance(1)
            seconds[side] += time.perf_counter() - begun
    return _loaded(load, suite.cases, answers, seconds)


def _loaded(
    load: int,
    cases: Sequence[Case],
    answers: Mapping[Side, Sequence[Transcript]],
    seconds: Mapping[Side, float],
) -> Load:
    by_case: dict[Side, dict[str, list[Transcript]]] = {"old": {}, "new": {}}
    for side, made in answers.items():
        for answer in made:
            by_case[side].setdefault(answer.key.case, []).append(answer)
    timed = []
    for case in cases:
        taken: dict[Side, list[Transcript]] = {
            side: by_case[side].get(case.id, []) for side in by_case
        }
        if not _untimed(taken):
            both = {side: _times(each) for side, each in taken.items()}
            timed.append(TimedCase(id=case.id, old=both["old"], new=both["new"]))
    sides = {
        side: LoadedSide(
            answers=_times([each for each in made if each.error is None]),
            failed=sum(each.error is not None for each in made),
            seconds=seconds[side],
        )
        for side, made in answers.items()
    }
    return Load(concurrency=load, old=sides["old"], new=sides["new"], cases=tuple(timed))


def judge_times(
    measured: Alternation, policy: Policy, *, allow: Collection[str] = ()
) -> JudgedTimes:
    """
    Judge measured times by *policy*; the worst verdict decides. Fields in *allow* may differ
    between servers. Times that are advisory decide nothing.

    Raises:
        UsageError: for a field to allow that no run has.
    """
    known = names_of_fields() if allow else frozenset()
    for name in allow:
        if name not in known:
            raise UsageError(f"unknown field {name!r} to allow{suggest(name, known)}")
    metrics = judge_alternation(policy, measured, allow)
    verdict = worst(metric.verdict for metric in metrics.values() if not metric.advisory)
    advisory = measured.advisory is not None
    return JudgedTimes(
        measured=measured,
        policy=policy,
        metrics=metrics,
        under_load={} if measured.load is None else judge_load(policy, measured.load),
        verdict=verdict,
        exit=ExitCode.PASS if advisory else exit_code(verdict, policy),
    )


def _in_turn(answers: Iterator[Transcript], asked: Sequence[Request]) -> Iterator[Transcript]:
    """
    Yield the answers in the order they were asked for, making each only when it is needed.

    A backend may give answers early: those that it could not even ask come first.
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
                return f"{side}: the backend measured no time"
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
