"""
The steps the command line, the pytest plugin, the demo and Python users share.

run -> judge -> store -> compare -> gate. Each function is one step; none prints.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.backends.base import Backend, BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.canonical import digest
from harness.dialects.registry import spoken_by
from harness.provenance import date_today, environment, now, packages
from harness.runs.record import Selection, make_record
from harness.runs.runner import keys, latency_sample
from harness.runs.runner import run as ask
from harness.runs.store import RUN, StoredRun, load_run, read_transcripts_by_key
from harness.runs.writer import can_resume, discard_run, start_run
from harness.scoring.cases import SCORER_VERSION
from harness.scoring.score import judge
from harness.scoring.tool_names import shown_suite
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.transcript import Key
from harness.workflow.declarations import asked_otherwise
from harness.workflow.options import (
    Progress,
    RunOptions,
    generation_for,
    suite_reference,
    with_order,
    with_tool_names,
)
from harness.workflow.project import Project, open_project


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

    Without *project* it is that of the current folder; without *today*, by which quarantines
    expire, it is today.

    Raises:
        HarnessError: of the kind that fits, before anything is judged.
    """
    project = project or open_project()
    options, progress = options or RunOptions(), progress or Progress()
    whole = load_suite(project.suite(suite), today=today or date_today())
    chosen = whole.with_cases(whole.select(tags=options.tags, limit=options.limit))
    generation = generation_for(whole, options)
    drafts = _drafts(project, whole.name, options)
    backend = open_backend(
        checkpoint,
        BackendOptions(
            device=options.device,
            dtype=options.dtype,
            batch_size=options.batch_size,
            dialect=options.dialect,
            declares_tools=whole.declare_tools,
            progress=progress.bar,
            notify=progress.notify,
            cases=frozenset(case.id for case in whole.cases),
        ),
    )
    try:
        return run_opened(
            project, chosen, whole, backend, generation, out, options, progress, drafts
        )
    finally:
        backend.close()


def run_opened(
    project: Project,
    suite: Suite,
    whole: Suite,
    backend: Backend,
    generation: Generation,
    out: Path | None,
    options: RunOptions,
    progress: Progress,
    drafts: Mapping[Key, str] = MappingProxyType({}),
) -> StoredRun:
    """
    Run an opened checkpoint on *suite*, those cases of *whole* that were chosen.

    *drafts* change how long it takes and nothing of what it gives, so no record names them.

    Raises:
        StoreError: if *out* is in the way.
        BackendError: if the backend breaks; what was answered is kept and can be resumed.
    """
    head: dict[str, Any] = {
        "suite": suite_reference(whole),
        "selection": Selection(
            limit=options.limit, tags=options.tags, complete=len(suite.cases) == len(whole.cases)
        ),
        "checkpoint": backend.checkpoint.to_json(),
        "backend": with_order(
            with_tool_names(backend.describe(), options.tool_names), options.order
        ),
        "generation": generation.to_json(),
    }
    plan = {
        "suite": whole.digest,
        "cases": digest([case.digest for case in suite.cases]),
        "checkpoint": head["checkpoint"],
        "backend": head["backend"],
        "generation": head["generation"],
        "repeats": options.repeats,
        "packages": packages(),
        # Some of the first answers are timed: a run that was begun without is not resumed.
        **({"latency": True} if options.latency else {}),
    }
    shown = shown_suite(suite, options.tool_names)
    if otherwise := asked_otherwise(backend.checkpoint.reference, shown):
        progress.notify(otherwise)
    if options.latency:
        # One that cannot be timed says so here, before a folder is begun and in the way.
        backend.answer_alone((), generation)
    folder = out or project.fresh_folder(whole.name, backend.checkpoint.reference)
    resume = options.resume
    if options.reuse:
        if (kept := _reusable(folder, head, options)) is not None:
            progress.notify(f"{folder}: still valid, used again")
            return kept
        resume = can_resume(folder, suite=whole.document, plan=plan)
        if not resume:
            discard_run(folder)
    started = now()
    with start_run(folder, suite=whole.document, plan=plan, resume=resume) as writer:
        total = sum(1 for key in keys(suite.cases, options.repeats) if key not in writer.done)
        alone = latency_sample(suite.cases) if options.latency else ()
        progress.expect(total + sum(Key(case.id) not in writer.done for case in alone))
        if writer.done:
            progress.notify(f"resuming {folder}: {len(writer.done)} answers are there")
        ask(
            shown,
            backend,
            generation,
            writer.append,
            repeats=options.repeats,
            done=writer.done,
            latency=options.latency,
            order=options.order,
            drafts=drafts,
            progress=progress.advance,
        )
        dialect = spoken_by(backend.checkpoint.to_json())
        transcripts = read_transcripts_by_key(folder)
        results = judge(suite.cases, transcripts, dialect, options.tool_names)
        return writer.finish(
            make_record(
                results,
                **head,
                environment=environment(project.root),
                started=started,
                finished=now(),
            )
        )


def _drafts(project: Project, suite: str, options: RunOptions) -> dict[Key, str]:
    """
    Give the answers to be verified: those of the run's own repeat, else of the first.
    """
    if options.draft is None:
        return {}
    stored = project.run(options.draft, suite)
    said = {each.key: each.output for each in stored.transcripts() if each.output is not None}
    for key in [key for key in said if key.repeat == 0]:
        for repeat in range(1, options.repeats):
            said.setdefault(key._replace(repeat=repeat), said[key])
    return said


def _reusable(folder: Path, head: Mapping[str, Any], options: RunOptions) -> StoredRun | None:
    """
    Give the complete run in *folder* if running again would only make it again.
    """
    if not (folder / RUN).is_file():
        return None
    stored = load_run(folder)
    record = stored.record
    here = environment(folder)
    same = (
        all(getattr(record, name) == value for name, value in head.items())
        and record.scorer_version == SCORER_VERSION
        and record.environment.get("packages") == here["packages"]
        and record.environment.get("hardware") == here["hardware"]
        and {case.repeat for case in record.cases} == set(range(options.repeats))
        and bool(record.metrics["latency_ms_p50"].eligible) >= options.latency
    )
    return stored if same else None
