"""
Two checkpoints timed in alternation: which of them is faster, on whatever machine this is.

What a machine does at the moment (its clock, its neighbours, its temperature) is the largest part
of a time, and it is shared by answers made right after each other. So the two answer every case in
the order old, new, new, old in one process, the next case begins with the new one, and all that is
taken from it is the ratio of the two, case by case. A drift that is even over four answers cancels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from harness.backends.base import Backend, Generation, Request
from harness.backends.registry import open_backend
from harness.errors import BackendError, ExitCode
from harness.gating.alternation import (
    Alternation,
    Side,
    TimedAnswer,
    TimedCase,
    judge_alternation,
)
from harness.gating.gate import exit_code
from harness.gating.policy import Policy
from harness.gating.verdict import MetricVerdict, Word, to_json, worst
from harness.provenance import date_today, hardware, now
from harness.runs.runner import latency_sample, request
from harness.scoring.tool_names import shown_suite
from harness.suites.files import load_suite
from harness.suites.selection import select
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript
from harness.workflow.options import (
    Progress,
    RunOptions,
    generation_for,
    serving,
    suite_reference,
)
from harness.workflow.project import Project, open_project

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
    verdict: Word
    exit: ExitCode

    def to_json(self) -> dict[str, Any]:
        """
        Return the verdict in JSON types, with what was measured and on which machine.
        """
        measured = self.measured
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
    progress: Progress | None = None,
    today: date | None = None,
) -> Alternation:
    """
    Open two checkpoints and time them on a suite.

    The tags and the limit of *options* choose the cases; without a limit, 24 evenly spread ones.
    What is about a run (repeats, order, latency, batch size) is ignored.

    Raises:
        HarnessError: of the kind that fits.
    """
    project = project or open_project()
    options, progress = options or RunOptions(), progress or Progress()
    whole = load_suite(project.suite(suite), today=today or date_today())
    chosen = select(whole, options.choice)
    cases = chosen if options.limit is not None else latency_sample(chosen)
    generation = generation_for(whole, options)
    options = replace(options, batch_size=1, order=None)
    opening = options.backend_options(whole, progress=progress)
    with (
        closing(open_backend(old, opening)) as before,
        closing(open_backend(new, opening)) as after,
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
        return Alternation(
            suite=suite_reference(whole),
            old=before.checkpoint.to_json(),
            new=after.checkpoint.to_json(),
            backend=serving(after, options).to_json(),
            generation=generation.to_json(),
            hardware=hardware(),
            cases=timed,
            left_out=left_out,
            measured=started,
        )


def judge_times(measured: Alternation, policy: Policy) -> JudgedTimes:
    """
    Judge measured times by *policy*; the worst verdict decides.
    """
    metrics = judge_alternation(policy, measured)
    verdict = worst(metric.verdict for metric in metrics.values())
    return JudgedTimes(
        measured=measured,
        policy=policy,
        metrics=metrics,
        verdict=verdict,
        exit=exit_code(verdict, policy),
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
