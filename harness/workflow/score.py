"""
Judging stored text again with another suite, dialect or scorer: ``harness score``.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Literal

from harness.backends.replay import ReplayBackend, by_key
from harness.canonical import canonical_json, digest
from harness.checkpoints.reference import Reference
from harness.dialects.registry import dialect as find_dialect
from harness.dialects.registry import own_template, spoken_by
from harness.environments.opening import open_environment
from harness.errors import StoreError, TranscriptError, UsageError
from harness.lazy import Lazily
from harness.provenance import date_today
from harness.runs.judging import judged_lines
from harness.runs.record import SuiteReference, make_record
from harness.runs.runner import with_opened
from harness.runs.store import StoredRun, gap_in_repeats, read_transcripts_by_key
from harness.runs.verify import check_how_made
from harness.runs.writer import all_or_nothing, start_run
from harness.scoring.arms import armed_cases
from harness.scoring.score import only
from harness.suites.files import load_suite
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript
from harness.workflow.join import join
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import Project, open_project
from harness.workflow.run import RunPlan, run_opened

_GROUP = 1024
# How many transcripts are written at once.


def score(
    source: Path,
    suite: str | None = None,
    *,
    match: Literal["prompt"] | None = None,
    project: Project | None = None,
    dialect: str | None = None,
    tool_names: str | None = None,
    opened: str | None = None,
    environment: str | None = None,
    workers: int = 1,
    out: Path | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> StoredRun:
    """
    Judge the stored text of a run, or of a transcript file, again.

    A run's text is judged by *suite*, or by the run's own copy of its suite; its checkpoint,
    backend, environment and times stay what they were. A bare transcript file is a replay, and says
    no suite; with *match* its answers are joined to cases by what was asked
    (`harness.workflow.join`). *tool_names* says in which style the model was shown its tools, and
    *opened* with which text the prompts had begun the answers (``"<think>\\n"``), where the run or
    the file does not say so itself. The calls of an executed suite are run again; *environment*
    names the code that may be run for it. At most so many *workers*, processes, judge
    (`harness.runs.judging`).

    Raises:
        UsageError: if a case now asks something else than its stored answer replied to, a file of
            transcripts comes without a suite, or a run with *match*.
        TranscriptError: if repeats of a transcript file have a gap, nothing can be joined, or a
            call no longer returns what is stored.
    """
    project = project or open_project()
    today = today or date_today()
    if source.is_file() and source.name != "run.json":
        if suite is None:
            raise UsageError(f"{source} does not say of which suite it is; add --suite SUITE")
        whole = load_suite(project.suite(suite), today=today)
        options = RunOptions(
            dialect=dialect,
            tool_names=tool_names,
            opened=opened,
            environment=environment,
        )
        return _replayed(
            source, whole, options, match, project, out, progress or Progress(), workers
        )
    if match is not None:
        raise UsageError(f"{source} is a run, whose answers name their cases; drop --match")
    stored = project.run(str(source))
    check_how_made(stored)
    copy = stored.suite()
    if suite is None:
        then = stored.record.suite
        # A copy that was edited since was never released.
        whole = replace(copy, released=then.released and copy.digest == then.digest)
    else:
        whole = load_suite(project.suite(suite), today=today)
    kept = read_transcripts_by_key(stored.folder)
    transcripts = Lazily(
        lambda: {key: key for key in kept}, lambda key: with_opened(kept[key], opened)
    )
    _check_same_questions(whole, copy, transcripts, stored)
    old = stored.record
    if dialect is None or dialect == old.checkpoint.dialect:
        reader = spoken_by(old.checkpoint)
    else:
        reader = find_dialect(dialect)
    answered = {key.case for key in transcripts}
    cases = whole.cases if old.selection.complete else only(whole.cases, answered)
    style = tool_names or old.backend.tool_names
    checkpoint = replace(
        old.checkpoint,
        dialect=reader.name,
        dialect_version=reader.version,
        response_template=own_template(reader),
    )
    record = make_record(
        judged_lines(
            armed_cases(whole, cases, old.backend.arm),
            transcripts,
            reader,
            style,
            environment=open_environment(whole, environment),
            max_steps=whole.max_steps,
            workers=workers,
        ),
        suite=SuiteReference.of(whole),
        selection=replace(
            old.selection, complete=old.selection.complete and len(cases) == len(whole.cases)
        ),
        checkpoint=checkpoint,
        backend=replace(old.backend, tool_names=style),
        generation=old.generation,
        environment=old.environment,
        started=old.started,
        finished=old.finished,
    )
    folder = out or project.fresh_folder(whole.name, old.checkpoint.reference)
    plan = {"score": digest(str(stored.folder))}
    with all_or_nothing(folder), start_run(folder, suite=whole.text, plan=plan) as new:
        waiting = iter(transcripts.values())
        while group := list(islice(waiting, _GROUP)):
            new.append(group)
        return new.finish(record)


def _replayed(
    source: Path,
    suite: Suite,
    options: RunOptions,
    match: Literal["prompt"] | None,
    project: Project,
    out: Path | None,
    progress: Progress,
    workers: int,
) -> StoredRun:
    """
    Judge a transcript file as a run of a checkpoint that says what is in it.
    """
    opening = options.backend_options(suite, progress=progress)
    if match is None:
        answers = dict(by_key(source, opening.cases))
    else:
        joined = join(source, suite)
        for note in joined.notes:
            progress.notify(note)
        answers = joined.answers
    if gap := gap_in_repeats(answers):
        index, reason = gap
        number, _ = list(answers.values())[index]
        raise TranscriptError(f"{source}:{number}: {reason}")
    options = replace(options, repeats=1 + max((key.repeat for key in answers), default=0))
    reference = Reference(scheme="replay", target=str(source))
    transcripts = {key: transcript for key, (_, transcript) in answers.items()}
    replay = ReplayBackend.of(reference, transcripts, opening, once=True)
    del answers, transcripts
    folder = out or project.fresh_folder(suite.name, str(reference))
    plan = RunPlan.of(suite, options, project=project, out=folder)
    with (
        closing(replay) as backend,
        all_or_nothing(folder),
    ):
        return run_opened(plan, backend, progress, workers=workers)


def _check_same_questions(
    suite: Suite, copy: Suite, transcripts: Mapping[Key, Transcript], stored: StoredRun
) -> None:
    asked = {case.id: case for case in copy.cases}
    now_asked = {case.id: case for case in suite.cases}
    for identity in dict.fromkeys(key.case for key in transcripts):
        if identity not in now_asked:
            raise UsageError(
                f"{stored.folder}: it answers case {identity!r}, which suite {suite.name} "
                f"{suite.version} does not have"
            )
        if identity not in asked:
            raise StoreError(f"{stored.suite_path}: case {identity!r} is not in it")
        if _question(copy, asked[identity]) != _question(suite, now_asked[identity]):
            raise UsageError(
                f"{stored.folder}: case {identity!r} now asks something else than its stored "
                "answer replied to; run the checkpoint again"
            )


def _question(suite: Suite, case: Case) -> str:
    return canonical_json(
        {
            "messages": [[m.to_chat() for m in turn.messages] for turn in case.turns],
            "tools": [tool.schema for tool in case.tools],
            "declare_tools": suite.declare_tools,
        }
    )
