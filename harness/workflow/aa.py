"""
A checkpoint against itself: runs that differ only in what should not matter, each kept as evidence.

This measures the noise of a suite on a machine before a gate is trusted with it. The runs are made
and gated here; `harness.gating.noise` judges the noise.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from harness.backends.base import Backend
from harness.backends.registry import open_backend
from harness.errors import StoreError, UsageError
from harness.files import write_text
from harness.gating.decision import decide
from harness.gating.noise import (
    Answered,
    Kind,
    Noise,
    SelfGate,
    Sensitivity,
    measure,
    self_gate,
    sensitivities,
    to_json,
)
from harness.gating.policy import Policy, default_policy
from harness.provenance import date_today
from harness.runs.runner import keys
from harness.runs.store import StoredRun, read_transcripts_by_key
from harness.suites.files import load_suite
from harness.suites.selection import select
from harness.workflow.compare import compare
from harness.workflow.options import Progress, RunOptions, generation_for
from harness.workflow.project import Project, open_project
from harness.workflow.run import RunPlan, run_opened

BATCH_SIZES = (1, 5, None)
"""The batch sizes tried in addition to the first run's: alone, odd, and the backend's choice."""

REPORT = "noise.json"

_ALLOWED = ("backend.batch", "backend.order", "generation.seed")
# What the runs differ in on purpose; a gate would refuse it otherwise.


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """
    The result of running a checkpoint against itself.
    """

    folder: Path
    """The folder of the runs, and of this result as noise.json."""
    first: StoredRun
    cases: int
    """Scored cases of the first run."""
    noises: tuple[Noise, ...]
    gates: tuple[SelfGate, ...]
    sensitivities: tuple[Sensitivity, ...]
    policy: Policy
    notes: tuple[str, ...]
    """What was not tried, and why."""

    def to_json(self) -> dict[str, Any]:
        """
        Return the result in JSON types.
        """
        record = self.first.record
        return {
            "suite": {"name": record.suite.name, "version": record.suite.version},
            "checkpoint": record.checkpoint.to_json(),
            "backend": record.backend.to_json(),
            "hardware": dict(record.environment.hardware),
            "cases": self.cases,
            "policy": self.policy.source,
            "alpha": self.policy.alpha,
            "noise": to_json(self.noises),
            "gates": to_json(self.gates),
            "false_alarms": sum(each.verdict == "regressed" for each in self.gates),
            "sees": to_json(self.sensitivities),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variation:
    kind: Kind
    name: str
    options: RunOptions


def run_self_test(
    suite: str,
    checkpoint: str,
    *,
    project: Project | None = None,
    out: Path | None = None,
    options: RunOptions | None = None,
    policy: Policy | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> SelfTest:
    """
    Run *checkpoint* on a suite once and again with what should not matter changed, and compare.

    Beside the first run there are ``options.repeats`` runs that change nothing, as many in other
    orders, and where the suite samples as many with other seeds; and one for each other batch size.
    Every run is a run folder in *out*; each is gated against the first run, both ways round.

    Raises:
        UsageError: for a replay, which answers alike whatever is changed.
        StoreError: if *out* is in the way.
        HarnessError: as `workflow.run`.
    """
    project, progress = project or open_project(), progress or Progress()
    options, policy = options or RunOptions(), policy or default_policy()
    today = today or date_today()
    whole = load_suite(project.suite(suite), today=today)
    chosen = select(whole, options.choice)
    folder = out or project.fresh_folder(whole.name, f"aa-{checkpoint}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} is not an empty folder; choose another --out")

    def opened(size: int | None) -> AbstractContextManager[Backend]:
        opening = replace(options, batch_size=size).backend_options(whole, progress=progress)
        return closing(open_backend(checkpoint, opening))

    def answered(backend: Backend, name: str, how: RunOptions) -> StoredRun:
        plan = RunPlan.of(whole, how, project=project, out=folder / name)
        each = Progress(notify=progress.notify, advance=progress.advance)
        return run_opened(plan, backend, each)

    plain = replace(options, repeats=1, latency=False)
    generation = generation_for(whole, options)
    seed = generation.seed if generation.do_sample else None
    same_size = list(_same_size(plain, options.repeats, seed))
    made: list[tuple[_Variation, StoredRun]] = []
    with opened(options.batch_size) as backend:
        served = backend.describe()
        if served.get("name") == "replay":
            raise UsageError(
                f"{checkpoint} answers alike whatever is changed; give the checkpoint itself"
            )
        batched = served.get("batch") is not None
        sizes = [size for size in BATCH_SIZES if size != options.batch_size] if batched else []
        progress.expect(len(list(keys(chosen))) * (1 + len(same_size) + len(sizes)))
        first = answered(backend, "first", plain)
        made += [(each, answered(backend, each.name, each.options)) for each in same_size]
    for size in sizes:
        each = _Variation(
            kind="batch", name=f"batch-{size or 'auto'}", options=replace(plain, batch_size=size)
        )
        with opened(size) as backend:
            made.append((each, answered(backend, each.name, each.options)))
    notes = [] if batched else [f"other batch sizes: {served.get('name')} answers one at a time"]
    result = _judged(folder, first, made, policy, notes, today)
    write_text(folder / REPORT, spell(result))
    return result


def spell(result: SelfTest) -> str:
    """
    Return the text of noise.json.
    """
    return json.dumps(result.to_json(), indent=2, sort_keys=True, allow_nan=False) + "\n"


def _same_size(plain: RunOptions, repeats: int, seed: int | None) -> Iterator[_Variation]:
    """
    Yield the runs at the same batch size; those with other seeds only where there is a *seed*.
    """
    for number in range(1, repeats + 1):
        yield _Variation(kind="repeat", name=f"repeat-{number}", options=plain)
    for number in range(1, repeats + 1):
        yield _Variation(kind="order", name=f"order-{number}", options=replace(plain, order=number))
    if seed is not None:
        for number in range(1, repeats + 1):
            other = replace(plain, seed=seed + number)
            yield _Variation(kind="seed", name=f"seed-{seed + number}", options=other)


def _judged(
    folder: Path,
    first: StoredRun,
    made: list[tuple[_Variation, StoredRun]],
    policy: Policy,
    notes: list[str],
    today: date,
) -> SelfTest:
    was = _answered("first", first)
    by_kind: dict[Kind, list[Answered]] = {}
    gates = []
    for variation, run in made:
        by_kind.setdefault(variation.kind, []).append(_answered(variation.name, run))
        for old, new, names in (
            (first, run, ("first", variation.name)),
            (run, first, (variation.name, "first")),
        ):
            # As they are: an anchor, or answers made again, would hide the noise that is measured.
            gated = decide(compare(old, new), policy, allow=_ALLOWED, today=today)
            gates.append(self_gate(variation.kind, *names, gated.verdict))
    noises = tuple(measure(kind, was, others) for kind, others in by_kind.items())
    cases = sum(case.scored for case in first.record.cases)
    return SelfTest(
        folder=folder,
        first=first,
        cases=cases,
        noises=noises,
        gates=tuple(gates),
        sensitivities=sensitivities(noises, policy, cases),
        policy=policy,
        notes=tuple(notes),
    )


def _answered(name: str, run: StoredRun) -> Answered:
    return Answered(name=name, record=run.record, transcripts=read_transcripts_by_key(run.folder))
