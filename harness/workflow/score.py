"""
Judging stored text again with another suite, dialect or scorer: ``harness score``.
"""

import gzip
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path

from harness.backends.replay import read_transcripts as read_replay
from harness.canonical import canonical_json, digest
from harness.dialects.registry import dialect as find_dialect
from harness.dialects.registry import own_template, spoken_by
from harness.errors import StoreError, TranscriptError, UsageError
from harness.provenance import date_today
from harness.runs.record import make_record
from harness.runs.runner import with_opened
from harness.runs.store import StoredRun, gap_in_repeats, read_transcripts_by_key
from harness.runs.writer import start_run
from harness.scoring.score import judge, only
from harness.suites.files import load_suite, load_suite_copy
from harness.suites.suite import Case, Suite
from harness.transcript import Key, Transcript
from harness.workflow.options import Progress, RunOptions, suite_reference
from harness.workflow.project import Project, open_project
from harness.workflow.run import run


def score(
    source: Path,
    suite: str,
    *,
    project: Project | None = None,
    dialect: str | None = None,
    tool_names: str | None = None,
    opened: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> StoredRun:
    """
    Judge the stored text of a run, or of a transcript file, again.

    A run's text is judged by the suite given now; its checkpoint, backend, environment and times
    stay what they were. A bare transcript file is a replay. *tool_names* says in which style the
    model was shown its tools, and *opened* with which text the prompts had begun the answers
    (``"<think>\\n"``), where the run or the file does not say so itself.

    Raises:
        UsageError: if a case now asks something else than its stored answer replied to.
        TranscriptError: if repeats of a transcript file have a gap.
    """
    if source.is_file() and source.name != "run.json":
        repeats = _repeats(source)
        options = RunOptions(dialect=dialect, repeats=repeats, tool_names=tool_names, opened=opened)
        return run(
            suite,
            f"replay:{source}",
            project=project,
            out=out,
            options=options,
            progress=progress,
            today=today,
        )
    project = project or open_project()
    stored = project.run(str(source))
    whole = load_suite(project.suite(suite), today=today or date_today())
    asked = {case.id: case for case in load_suite_copy(stored.suite_path).cases}
    transcripts = {
        key: with_opened(each, opened)
        for key, each in read_transcripts_by_key(stored.folder).items()
    }
    _check_same_questions(whole, asked, transcripts, stored)
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
    folder = out or project.fresh_folder(whole.name, old.checkpoint.reference)
    with start_run(folder, suite=whole.document, plan={"score": digest(str(stored.folder))}) as new:
        new.append(list(transcripts.values()))
        return new.finish(
            make_record(
                judge(cases, transcripts, reader, style),
                suite=suite_reference(whole),
                selection=replace(
                    old.selection,
                    complete=old.selection.complete and len(cases) == len(whole.cases),
                ),
                checkpoint=checkpoint,
                backend=replace(old.backend, tool_names=style),
                generation=old.generation,
                environment=old.environment,
                started=old.started,
                finished=old.finished,
            )
        )


def _repeats(source: Path) -> int:
    """
    Count the repeats of a transcript file.
    """
    keys = read_replay(source)
    if gap := gap_in_repeats(keys):
        index, reason = gap
        raise TranscriptError(f"{source}:{_line(source, index)}: {reason}")
    return 1 + max((key.repeat for key in keys), default=0)


def _line(source: Path, index: int) -> int:
    """
    Return the number of the line with answer number *index*; blank lines hold none.
    """
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rb") as stream:
        filled = (
            number for number, line in enumerate(stream, start=1) if line.decode("utf-8").strip()
        )
        return next(islice(filled, index, None))


def _check_same_questions(
    suite: Suite,
    asked: Mapping[str, Case],
    transcripts: Mapping[Key, Transcript],
    stored: StoredRun,
) -> None:
    now_asked = {case.id: case for case in suite.cases}
    for identity in dict.fromkeys(key.case for key in transcripts):
        if identity not in now_asked:
            raise UsageError(
                f"{stored.folder}: it answers case {identity!r}, which suite {suite.name} "
                f"{suite.version} does not have"
            )
        if identity not in asked:
            raise StoreError(f"{stored.suite_path}: case {identity!r} is not in it")
        if _question(asked[identity]) != _question(now_asked[identity]):
            raise UsageError(
                f"{stored.folder}: case {identity!r} now asks something else than its stored "
                "answer replied to; run the checkpoint again"
            )


def _question(case: Case) -> str:
    return canonical_json(
        {
            "messages": [[m.to_chat() for m in turn.messages] for turn in case.turns],
            "tools": [tool.schema for tool in case.tools],
        }
    )
