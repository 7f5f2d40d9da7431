"""
Several checkpoints on several suites: ``harness matrix``.

Each checkpoint is opened once, and only if something is left to ask of it: a run is kept under the
digest of all that made it. The answers of the checkpoint before are its drafts: versions of one
model mostly say the same.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_type_hints

from harness.errors import (
    BackendError,
    CheckpointError,
    DialectError,
    ExitCode,
    MissingDependencyError,
    TemplateError,
    UsageError,
    boundary,
)
from harness.gating.ranking import Ranking
from harness.runs.store import RUN, StoredRun
from harness.suites.files import find_suites
from harness.wording import suggest
from harness.workflow.compare import compare_many
from harness.workflow.kept import content_named, judged_now, kept_in
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import Project, open_project
from harness.workflow.run import RunPlan, plan_of, run_plans

_OWN = frozenset({"draft", "failed", "reuse", "resume", "shard"})
"""What the matrix sets by itself, or what would make the runs no more comparable."""

_BROKEN = (CheckpointError, TemplateError, DialectError, BackendError, MissingDependencyError)
"""What is wrong with one checkpoint, and not with the file or with what is asked of all."""

_Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCheckpoint:
    """
    A row of the matrix.
    """

    name: str
    reference: str
    options: RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """
    What a matrix file asks for.
    """

    path: Path
    suites: tuple[str, ...]
    """Names or folders; empty for every suite of the project."""
    checkpoints: tuple[MatrixCheckpoint, ...]

    @property
    def name(self) -> str:
        """
        The name of its folder of runs.
        """
        return self.path.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """
    One checkpoint on one suite.
    """

    checkpoint: str
    suite: str
    run: StoredRun
    asked: bool
    """Whether it was asked now; else its run was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRuns:
    """
    A matrix, filled in.
    """

    name: str
    folder: Path
    checkpoints: tuple[str, ...]
    suites: tuple[str, ...]
    cells: Mapping[tuple[str, str], MatrixCell]
    """By checkpoint and suite."""
    rankings: Mapping[str, tuple[tuple[str, ...], Ranking]]
    """Of each suite with two runs: the checkpoints, the best first, and what tells them apart."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """The name of each checkpoint that could not be opened or broke, and why."""

    @property
    def exit(self) -> ExitCode:
        """
        0 where everything is filled in.
        """
        whole = len(self.cells) == len(self.checkpoints) * len(self.suites)
        return ExitCode.PASS if whole else ExitCode.ERROR


def read_matrix(path: Path) -> Matrix:
    """
    Read a matrix file.

    Raises:
        UsageError: naming the file and the key that is wrong.
    """
    with boundary(UsageError, f"{path}: cannot be read"):
        text = path.read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{path}: not valid TOML: {exc}") from exc
    _refuse_unknown(path, "", data, ("suites", "checkpoints", "options"))
    suites = data.get("suites", [])
    if not isinstance(suites, list) or not all(isinstance(each, str) and each for each in suites):
        raise UsageError(f"{path}: suites is a list of suites, by name or folder")
    common = data.get("options", {})
    if not isinstance(common, dict):
        raise UsageError(f"{path}: options is a table, such as [options]")
    rows = data.get("checkpoints", {})
    if not isinstance(rows, dict) or not rows:
        raise UsageError(
            f'{path}: name the checkpoints: [checkpoints], and a line each such as shipped = "REF"'
        )
    return Matrix(
        path=path,
        suites=tuple(suites),
        checkpoints=tuple(_checkpoint(path, name, row, common) for name, row in rows.items()),
    )


def _checkpoint(path: Path, name: str, row: Any, common: _Settings) -> MatrixCheckpoint:
    place = f"checkpoints.{name}"
    own = {"reference": row} if isinstance(row, str) else row
    if not isinstance(own, dict) or not isinstance(own.get("reference"), str):
        raise UsageError(f'{path}: {place} is a reference, or a table with reference = "REF"')
    if not name or any(sign in name for sign in "/\\") or name.startswith("."):
        raise UsageError(f"{path}: {name!r} cannot be the name of a folder; name it otherwise")
    settings = {key: value for key, value in own.items() if key != "reference"}
    options = _options(path, "options", common) | _options(path, place, settings)
    return MatrixCheckpoint(name=name, reference=own["reference"], options=RunOptions(**options))


def _options(path: Path, place: str, settings: _Settings) -> dict[str, Any]:
    types = get_type_hints(RunOptions)
    known = [each.name for each in fields(RunOptions) if each.name not in _OWN]
    _refuse_unknown(path, place, settings, known)
    found = {}
    for name, value in settings.items():
        kinds = get_args(types[name]) or (types[name],)
        if types[name] == tuple[str, ...]:
            sound = isinstance(value, list) and all(isinstance(each, str) for each in value)
            value = tuple(value) if sound else value
        else:
            sound = type(value) in kinds or (float in kinds and type(value) is int)
        if not sound:
            raise UsageError(f"{path}: {place}.{name}: {value!r} has the wrong type")
        found[name] = value
    return found


def _refuse_unknown(path: Path, place: str, found: _Settings, known: Sequence[str]) -> None:
    for key in found:
        if key not in known:
            where = f"{place}.{key}" if place else key
            raise UsageError(f"{path}: unknown key {where}{suggest(key, known)}")


def run_matrix(
    matrix: Matrix,
    *,
    project: Project | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> MatrixRuns:
    """
    Run every checkpoint of *matrix* on every suite, and rank them on each.

    Runs go to folders of *out*, by default of ``reports/matrix/NAME``; one that is there of the
    same weights, suite and settings is used again, and an unfinished one is resumed. A checkpoint
    that cannot be opened, or breaks, is skipped.

    Raises:
        UsageError: if there is no suite, or one is named twice.
        CheckpointError: if no checkpoint could be run.
        HarnessError: as `harness.run`, if it is about a suite or an option.
    """
    project, progress = project or open_project(), progress or Progress()
    suites = matrix.suites or tuple(str(folder) for folder in find_suites(project.suites))
    if not suites:
        raise UsageError(f"{matrix.path}: no suite: there is none in {project.suites}")
    folder = out or project.reports / "matrix" / matrix.name
    # Before anything is asked: what is wrong with any of them.
    rows = [(row, _plans(matrix, row, suites, project, today)) for row in matrix.checkpoints]
    cells: dict[tuple[str, str], MatrixCell] = {}
    skipped: dict[str, str] = {}
    before: dict[str, Path] = {}
    for row, plans in rows:
        try:
            for cell in _row(row, plans, folder, before, progress):
                cells[cell.checkpoint, cell.suite] = cell
                before[cell.suite] = cell.run.folder
        except _BROKEN as exc:
            skipped[row.name] = str(exc)
            progress.notify(f"{row.name}: skipped: {exc}")
    if not cells:
        name, why = next(iter(skipped.items()))
        raise CheckpointError(f"{matrix.path}: no checkpoint could be run: {name}: {why}")
    names = tuple(plan.suite.name for plan in rows[0][1])
    return MatrixRuns(
        name=matrix.name,
        folder=folder,
        checkpoints=tuple(row.name for row in matrix.checkpoints),
        suites=names,
        cells=cells,
        rankings={name: found for name in names if (found := _ranked(name, cells))},
        skipped=skipped,
    )


def _plans(
    matrix: Matrix,
    row: MatrixCheckpoint,
    suites: Sequence[str],
    project: Project,
    today: date | None,
) -> list[RunPlan]:
    plans: list[RunPlan] = []
    for suite in suites:
        plan = plan_of(suite, row.options, project=project, today=today)
        if any(plan.suite.name == other.suite.name for other in plans):
            raise UsageError(f"{matrix.path}: suite {plan.suite.name} is named twice")
        plans.append(plan)
    return plans


def _row(
    row: MatrixCheckpoint,
    plans: Sequence[RunPlan],
    folder: Path,
    before: Mapping[str, Path],
    progress: Progress,
) -> Iterator[MatrixCell]:
    """
    Yield the cells of one checkpoint: those that are there, then those that have to be asked.
    """
    content = content_named(row.reference)
    left: list[RunPlan] = []
    for plan in plans:
        suite = plan.suite.name
        made_of = content if content is not None else {"reference": row.reference}
        place = kept_in(folder / row.name, suite, made_of, plan)
        # Only of files is it known, before it is opened, that it is the same.
        if content is not None and (place / RUN).is_file():
            yield MatrixCell(checkpoint=row.name, suite=suite, run=judged_now(place), asked=False)
            continue
        draft = before.get(suite)
        options = replace(plan.options, reuse=True, draft=None if draft is None else str(draft))
        left.append(plan.with_drafts(options, out=place))
    if not left:
        progress.notify(f"{row.name}: everything is there")
        return
    there = {plan.out for plan in left if plan.out is not None and (plan.out / RUN).is_file()}
    stamps = {place: (place / RUN).stat().st_mtime_ns for place in there}
    # A file of answers may hold those to every suite of the matrix.
    stored_runs = run_plans(
        left, row.reference, suites=[plan.suite for plan in plans], progress=progress
    )
    for plan, stored in zip(left, stored_runs, strict=True):
        known = stamps.get(stored.folder) == (stored.folder / RUN).stat().st_mtime_ns
        yield MatrixCell(checkpoint=row.name, suite=plan.suite.name, run=stored, asked=not known)


def _ranked(
    suite: str, cells: Mapping[tuple[str, str], MatrixCell]
) -> tuple[tuple[str, ...], Ranking] | None:
    of_suite = {cell.run.folder: cell for (_, name), cell in cells.items() if name == suite}
    if len(of_suite) < 2:
        return None
    ordered, ranking = compare_many([cell.run for cell in of_suite.values()])
    return tuple(of_suite[run.folder].checkpoint for run in ordered), ranking
