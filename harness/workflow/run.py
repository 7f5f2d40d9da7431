"""
A checkpoint asked, its answers judged and the run stored: ``harness run``.
"""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from harness.backends.base import Backend, Generation, Spread, Stability, Templated, Watched
from harness.canonical import digest
from harness.checkpoints.checkpoint import Checkpoint
from harness.dialects.registry import spoken_by
from harness.environments.opening import open_environment
from harness.errors import BackendError, StoreError, UsageError
from harness.provenance import Environment, date_today, environment, hardware, now, packages
from harness.runs.asking import Questions, ask, judge
from harness.runs.record import RunRecord, Selection, SuiteReference, make_record
from harness.runs.serving import Serving
from harness.runs.shards import Shard, part_of, read_shard
from harness.runs.store import RUN, UNFINISHED, StoredRun, load_run
from harness.runs.verify import verified
from harness.runs.writer import can_resume, discard_run, start_run
from harness.scoring.arms import REAL, armed_cases
from harness.scoring.cases import SCORER_VERSION
from harness.suites.files import load_suite
from harness.suites.selection import select
from harness.suites.suite import Case, Suite
from harness.transcript import Key
from harness.workflow.declarations import asked_otherwise, left_out
from harness.workflow.options import (
    Progress,
    RunOptions,
    generation_for,
    serving,
)
from harness.workflow.preflight import check
from harness.workflow.project import Project, open_project
from harness.workflow.spread import open_spread


def run(
    suite: str,
    checkpoint: str,
    *,
    project: Project | None = None,
    out: Path | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> StoredRun:
    """
    Run *checkpoint* on a suite, judge it and store it, in a fresh folder of *project* or in *out*.

    *project* defaults to that of the current folder. Quarantines expire by the date *today*
    (default: today's).

    Raises:
        HarnessError: of the kind that fits, before anything is judged.
    """
    project = project or open_project()
    options, progress = options or RunOptions(), progress or Progress()
    plan = plan_of(suite, options, project=project, out=out, today=today)
    opening = options.backend_options(plan.suite, progress=progress)
    with closing(open_spread(checkpoint, opening, options)) as backend:
        return _run(plan, backend, progress)


def run_each(
    suites: Sequence[str],
    checkpoint: str,
    *,
    project: Project | None = None,
    out: Path | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Iterator[StoredRun]:
    """
    Open *checkpoint* once and run it on each of *suites*; yield each run once it is stored.

    Runs go to folders named by their suites in *out*, or to fresh ones of *project*; otherwise as
    `run`.

    Raises:
        UsageError: if no suite is named, or two have one name.
        HarnessError: as `run`, and before anything is asked if it is about a suite.
    """
    project = project or open_project()
    options, progress = options or RunOptions(), progress or Progress()
    plans: list[RunPlan] = []
    for suite in suites:
        plan = plan_of(suite, options, project=project, today=today)
        name = plan.suite.name
        if any(each.suite.name == name for each in plans):
            raise UsageError(f"suite {name} is named twice")
        folder = None if out is None else out / name
        # What was killed had not begun the later ones.
        begun = folder is not None and folder.exists()
        plan = replace(plan, options=replace(options, resume=options.resume and begun))
        plans.append(replace(plan, out=folder))
    if not plans:
        raise UsageError("no suite to run")
    yield from run_plans(plans, checkpoint, progress=progress)


def run_plans(
    plans: Sequence["RunPlan"],
    checkpoint: str,
    *,
    suites: Sequence[Suite] = (),
    progress: Progress,
) -> Iterator[StoredRun]:
    """
    Open *checkpoint* once, by the options of the first of *plans*, and run it by each; yield each
    run once it is stored. *suites* are all that it may answer, if that is more than theirs.

    Raises:
        HarnessError: as `run`.
    """
    options = plans[0].options
    suites = suites or [plan.suite for plan in plans]
    opening = options.backend_options(*suites, progress=progress)
    with closing(open_spread(checkpoint, opening, options)) as backend:
        for plan in plans:
            yield _run(plan, backend, progress)


def plan_of(
    suite: str,
    options: RunOptions,
    *,
    project: Project,
    out: Path | None = None,
    today: date | None = None,
) -> "RunPlan":
    """
    Return the plan for a suite, by name or folder, with the drafts that *options* name.

    Raises:
        SuiteError: if it is not valid.
        UsageError, StoreError: as `RunPlan.of`, or if there is no such suite or draft.
    """
    whole = load_suite(project.suite(suite), today=today or date_today())
    return RunPlan.of(whole, options, project=project, out=out).with_drafts(options, out=out)


def _run(plan: "RunPlan", backend: Backend, progress: Progress) -> StoredRun:
    folder = plan.out or plan.project.fresh_folder(plan.suite.name, backend.checkpoint.reference)
    try:
        return run_opened(replace(plan, out=folder), backend, progress)
    except (KeyboardInterrupt, BackendError):
        if (folder / UNFINISHED).is_file():
            progress.notify(
                f"{folder}: unfinished; the same command with "
                f"--out {shlex.quote(str(folder))} --resume continues it"
            )
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """
    What a checkpoint is asked, how, and where its run goes.
    """

    project: Project
    suite: Suite
    """The whole suite."""
    cases: tuple[Case, ...]
    """The cases of it that are asked."""
    generation: Generation
    options: RunOptions
    out: Path | None = None
    """The run's folder; None: a fresh one of the project."""
    shard: Shard | None = None
    """Which part these are of all that the options choose."""
    drafts: Mapping[Key, str] = field(default_factory=dict)
    """Earlier answers for the backend to verify. They change how long a run takes and nothing of
    what it gives, so no record names them."""

    @classmethod
    def of(
        cls, suite: Suite, options: RunOptions, *, project: Project, out: Path | None = None
    ) -> Self:
        """
        Return the plan for the cases and the generation settings that *options* choose.

        Raises:
            UsageError: for an unknown tag, case, shard or generation setting, or if no case is
                chosen.
            StoreError: if the run whose failures are asked is missing.
        """
        cases = select(suite, options.choice, _failed(project, suite.name, options))
        shard = None
        if options.shard is not None:
            part, of = read_shard(options.shard, os.environ)
            shard = Shard.of_run(part, of, cases)
            cases = part_of(cases, part, of)
        return cls(
            project=project,
            suite=suite,
            cases=cases,
            generation=generation_for(suite, options),
            options=options,
            out=out,
            shard=shard,
        )

    def with_drafts(self, options: RunOptions, *, out: Path | None) -> Self:
        """
        Return this plan by *options* that choose the same cases, to *out*, with the drafts that
        they name.

        Raises:
            StoreError: if there is no such run.
        """
        drafts = _drafts(self.project, self.suite.name, options)
        return replace(self, options=options, out=out, drafts=drafts)


def run_opened(
    plan: RunPlan, backend: Backend, progress: Progress, *, workers: int = 1
) -> StoredRun:
    """
    Ask an opened checkpoint what *plan* says, judge the answers and store the run. *workers* are
    the processes that judge (`harness.runs.judging`).

    Raises:
        StoreError: if the run's folder is in the way.
        BackendError: if the backend breaks; what was answered is kept and can be resumed.
    """
    options, whole = plan.options, plan.suite
    world = open_environment(whole, options.environment)
    plan = replace(plan, cases=armed_cases(whole, plan.cases, options.arm))
    if options.opened is not None and isinstance(backend, Templated):
        raise UsageError(
            "opened is for answers whose prompts are unknown; this checkpoint's own template says "
            "how they end"
        )
    questions = Questions(
        suite=whole,
        cases=plan.cases,
        generation=plan.generation,
        world=world,
        tool_names=options.tool_names,
        repeats=options.repeats,
        latency=options.latency,
        order=options.order,
        opened=options.opened,
        drafts=plan.drafts,
    )
    shown = questions.shown
    checkpoint = replace(backend.checkpoint, not_shown=left_out(backend, shown))
    made_with = _made_with(plan, backend, checkpoint)
    begun_with = {
        "suite": whole.digest,
        "cases": digest([case.digest for case in plan.cases]),
        "checkpoint": checkpoint.to_json(),
        "backend": made_with["backend"].to_json(),
        "generation": plan.generation.to_json(),
        "repeats": options.repeats,
        "packages": packages(),
        **({"opened": options.opened} if options.opened is not None else {}),
        **({"arm": options.arm} if options.arm not in (None, REAL) else {}),
        # Some of the first answers are timed: a run that was begun without is not resumed.
        **({"latency": True} if options.latency else {}),
    }
    if checkpoint.not_shown:
        progress.notify(
            f"{checkpoint.reference}: its chat template does not show all of the suite's tools: "
            f"{'; '.join(checkpoint.not_shown)}"
        )
    if otherwise := asked_otherwise(backend.checkpoint.reference, shown):
        progress.notify(otherwise)
    if options.latency:
        # Fail before a folder is begun, and in the way, if the backend cannot be timed.
        backend.answer_alone((), plan.generation)
    folder = plan.out or plan.project.fresh_folder(whole.name, backend.checkpoint.reference)
    resume = options.resume
    if resume and (folder / RUN).is_file():
        return _complete(folder, made_with, options, progress)
    if options.reuse:
        if (kept := _reusable(folder, made_with, options, backend)) is not None:
            progress.notify(f"{folder}: still valid, used again")
            return kept
        resume = can_resume(folder, suite=whole.text, plan=begun_with)
        if not resume:
            discard_run(folder)
    noise = check(backend, shown, progress) if options.preflight else None
    started = now()
    with start_run(folder, suite=whole.text, plan=begun_with, resume=resume) as writer:
        dialect = spoken_by(checkpoint)
        ask(
            questions,
            backend,
            dialect,
            writer,
            notify=progress.notify,
            expect=progress.expect,
            advance=progress.advance,
        )
        made_with["backend"] = _changed(made_with["backend"], backend, progress)
        results = judge(questions, writer, dialect, workers=workers)
        return writer.finish(
            make_record(
                results,
                **made_with,
                environment=_environment(plan, backend, noise),
                started=started,
                finished=now(),
            )
        )


def _environment(plan: RunPlan, backend: Backend, noise: Stability | None) -> Environment:
    """
    Return where a run is made, with how stable the answers of its server were just before.
    """
    here = environment(plan.project.root)
    if isinstance(backend, Spread):
        here = replace(here, hardware=backend.hardware())
    return here if noise is None else replace(here, extra={"noise": noise.to_json()})


def _made_with(plan: RunPlan, backend: Backend, checkpoint: Checkpoint) -> dict[str, Any]:
    """
    Return what of a record is known before anything is answered.
    """
    options = plan.options
    return {
        "suite": SuiteReference.of(plan.suite),
        "selection": Selection.of(
            options.choice,
            complete=len(plan.cases) == len(plan.suite.cases),
            shard=plan.shard,
        ),
        "checkpoint": checkpoint,
        "backend": serving(backend, options),
        "generation": plan.generation,
    }


def _changed(served: Serving, backend: Backend, progress: Progress) -> Serving:
    """
    Return how *backend* was run, with what has changed about it meanwhile.
    """
    changed = list(backend.changes()) if isinstance(backend, Watched) else []
    if not changed:
        return served
    progress.notify(
        f"the server changed during the run, which can be compared with nothing: {changed[0]}"
    )
    server = {**served.extra.get("server", {}), "changed": changed}
    return replace(served, extra={**served.extra, "server": server})


def _failed(project: Project, suite: str, options: RunOptions) -> frozenset[str] | None:
    """
    Return the ids of the cases that failed in the run that *options* name; None if they name none.
    """
    if options.failed is None:
        return None
    record = verified(project.run(options.failed, suite)).record
    if record.suite.name != suite:
        raise UsageError(f"{options.failed} is a run of suite {record.suite.name}, not of {suite}")
    failed = frozenset(
        case.id for case in record.cases if case.status != "correct" and not case.quarantined
    )
    if not failed:
        raise UsageError(f"no case failed in {options.failed}: there is nothing to ask again")
    return failed


def _drafts(project: Project, suite: str, options: RunOptions) -> dict[Key, str]:
    """
    Return the answers to verify: those of the run's own repeat, else of the first.
    """
    if options.draft is None:
        return {}
    stored = project.run(options.draft, suite)
    said = {each.key: each.output for each in stored.transcripts() if each.output is not None}
    for key in [key for key in said if key.repeat == 0]:
        for repeat in range(1, options.repeats):
            said.setdefault(key._replace(repeat=repeat), said[key])
    return said


def _complete(
    folder: Path, made_with: Mapping[str, Any], options: RunOptions, progress: Progress
) -> StoredRun:
    """
    Return the complete run in *folder*, of which nothing is left to resume.

    Raises:
        StoreError: if it was made otherwise than it would be now.
    """
    stored = verified(load_run(folder))
    if apart := _apart(stored.record, made_with, options):
        raise StoreError(
            f"{folder} already holds a complete run, made with another {apart[0]}; choose another "
            "--out"
        )
    progress.notify(f"{folder}: complete already, nothing to resume")
    return stored


def _apart(record: RunRecord, made_with: Mapping[str, Any], options: RunOptions) -> list[str]:
    """
    Return in what a run differs from one that would be made now.
    """
    apart = [name for name, value in made_with.items() if getattr(record, name) != value]
    if {case.repeat for case in record.cases} != set(range(options.repeats)):
        apart.append("number of repeats")
    if options.latency and not record.metrics["latency_ms_p50"].eligible:
        apart.append("latency")
    return apart


def _reusable(
    folder: Path, made_with: Mapping[str, Any], options: RunOptions, backend: Backend
) -> StoredRun | None:
    """
    Return the complete run in *folder* if running again would only make it again.
    """
    if not (folder / RUN).is_file():
        return None
    stored = load_run(folder)
    record = stored.record
    same = (
        not _apart(record, made_with, options)
        and record.scorer_version == SCORER_VERSION
        and record.environment.packages == packages()
        and record.environment.hardware
        == (backend.hardware() if isinstance(backend, Spread) else hardware())
    )
    return verified(stored) if same else None
