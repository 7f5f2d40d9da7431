"""
Every saved checkpoint of a training, judged: ``harness checkpoints``.

A trainer saves ``checkpoint-N`` after N steps, whole weights or an adapter, and tells of them the
loss only. Here each answers the suite, with the answers of the one before as drafts: two
checkpoints of one training mostly say the same. A run is kept under the digest of all that made
it, so that what was judged once is not asked again.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from harness.checkpoints.locate import Located, locate
from harness.checkpoints.reference import parse_reference
from harness.errors import (
    BackendError,
    CheckpointError,
    DialectError,
    ExitCode,
    TemplateError,
    UsageError,
    boundary,
)
from harness.gating.decision import Gated
from harness.gating.policy import Policy
from harness.gating.selection import earliest_as_good
from harness.gating.verdict import Verdict
from harness.provenance import date_today
from harness.runs.store import RUN, StoredRun, load_run
from harness.scoring.metrics import RATES
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.wording import count, suggest
from harness.workflow.gate import gate
from harness.workflow.kept import content_of, judged_now, kept_in
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import Project, open_project
from harness.workflow.run import RunPlan, run

STATE = "trainer_state.json"
"""Written by transformers' Trainer after all else of a checkpoint."""

UNREADABLE = (CheckpointError, TemplateError, DialectError, BackendError)
"""What is wrong with one checkpoint, and not with what is asked of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """
    One checkpoint that a trainer saved.
    """

    folder: Path
    step: int

    @property
    def name(self) -> str:
        """
        The name of its folder.
        """
        return self.folder.name


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCheckpoint:
    """
    One checkpoint with the run of its answers.
    """

    name: str
    step: int
    run: StoredRun
    verdict: Verdict | None
    """Against the baseline, if there is one."""
    asked: bool
    """Whether it was asked now; else its run was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLog:
    """
    What the trainer logged: losses by step.
    """

    train: tuple[tuple[float, float], ...] = ()
    valid: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCheckpoints:
    """
    The checkpoints of a training, in the order of their steps.
    """

    folder: Path
    suite: str
    by: str
    """The rate by which the best one is found."""
    judged: tuple[JudgedCheckpoint, ...]
    skipped: Mapping[str, str]
    """The name of each checkpoint that could not be judged, and why."""
    baseline: StoredRun | None = None
    log: TrainingLog = field(default_factory=TrainingLog)

    @property
    def best(self) -> JudgedCheckpoint | None:
        """
        The earliest one that is not worse than the best (`harness.gating.selection`).
        """
        place = earliest_as_good([each.run.record for each in self.judged], self.by)
        return None if place is None else self.judged[place]

    @property
    def highest(self) -> JudgedCheckpoint | None:
        """
        The one with the best figure, whatever that is worth; the first of equal ones.
        """
        sign = 1 if RATES[self.by].higher_is_better else -1
        known = [
            (sign * value, each)
            for each in self.judged
            if (value := each.run.record.metrics[self.by].value) is not None
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else None

    @property
    def passing(self) -> JudgedCheckpoint | None:
        """
        The first one that passes the gate.
        """
        return next((e for e in self.judged if e.verdict and e.verdict.verdict == "pass"), None)

    @property
    def least_loss(self) -> JudgedCheckpoint | None:
        """
        The one that the least validation loss would keep, if the trainer logged that.
        """
        losses = dict(self.log.valid)
        known = [(losses[each.step], each) for each in self.judged if each.step in losses]
        return min(known, key=lambda pair: pair[0])[1] if known else None

    @property
    def exit(self) -> ExitCode:
        """
        0 where one passes the gate or there is no baseline; else what the gate says of the best.
        """
        best = self.best
        if self.baseline is None or self.passing or best is None or best.verdict is None:
            return ExitCode.PASS
        return best.verdict.exit


def judge_checkpoints(
    folder: Path,
    suite: str,
    *,
    project: Project | None = None,
    baseline: str | None = None,
    policy: Policy | Path | None = None,
    by: str = "accuracy",
    out: Path | None = None,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> JudgedCheckpoints:
    """
    Run every ``checkpoint-N`` in *folder* on a suite and judge it, against *baseline* if one is
    named (as `harness.gate` names it).

    The runs go to folders of *out*, by default of ``reports/SUITE/checkpoints``; one that is there
    of the same weights, suite and settings is used again. A checkpoint that cannot be read is
    skipped.

    Raises:
        UsageError: if there is no checkpoint, or *by* is not a rate.
        StoreError: if there is no such baseline.
        CheckpointError: if none could be judged.
    """
    judging = Judging.of(
        suite, project=project, baseline=baseline, policy=policy, by=by, out=out, options=options,
        progress=progress, today=today,
    )  # fmt: skip
    found = saved_in(folder)
    if not found:
        raise UsageError(
            f"{folder} holds no checkpoint-N; name the folder that the trainer saves to"
        )
    for each in found:
        judging.add(each)
    return judging.result(folder)


def watch_checkpoints(
    folder: Path,
    judging: "Judging",
    *,
    seconds: float = 10.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[JudgedCheckpoints]:
    """
    Yield what is known after each checkpoint that a running trainer saves to *folder*, until the
    trainer's state says that it was the last one.

    A folder is judged once its `STATE` is there, which is written last; without one, once nothing
    in it has changed between two looks, *seconds* apart.
    """
    seen: dict[Path, tuple[Any, ...]] = {}
    done: set[Path] = set()
    while True:
        over = False
        for each in saved_in(folder) if folder.is_dir() else ():
            if each.folder in done:
                continue
            look = _look(each.folder)
            whole = (each.folder / STATE).is_file() or (
                bool(look) and seen.get(each.folder) == look
            )
            seen[each.folder] = look
            if not whole:
                continue
            done.add(each.folder)
            over = _is_last(each.folder)
            judging.add(each)
            if judging.judged:
                yield judging.result(folder)
        if over:
            return
        sleep(seconds)


def saved_in(folder: Path) -> list[Saved]:
    """
    Return the checkpoints in *folder* by their steps.
    """
    found = []
    for path in folder.glob("checkpoint-*") if folder.is_dir() else ():
        step = path.name.removeprefix("checkpoint-")
        if path.is_dir() and step.isdecimal():
            found.append(Saved(folder=path, step=int(step)))
    return sorted(found, key=lambda each: each.step)


class Judging:
    """
    Checkpoints asked one after the other, each with the answers before it as drafts.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        project: Project,
        baseline: StoredRun | None,
        policy: Policy | Path | None,
        by: str,
        out: Path,
        options: RunOptions,
        progress: Progress,
        today: date,
        place: str,
    ) -> None:
        self.suite = suite
        self.judged: list[JudgedCheckpoint] = []
        self.skipped: dict[str, str] = {}
        self.baseline = baseline
        self._project, self._policy, self._by = project, policy, by
        self._out, self._options, self._progress, self._today = out, options, progress, today
        self._place = place
        self._said = baseline.folder if baseline is not None else None

    @classmethod
    def of(
        cls,
        suite: str,
        *,
        project: Project | None = None,
        baseline: str | None = None,
        policy: Policy | Path | None = None,
        by: str = "accuracy",
        out: Path | None = None,
        options: RunOptions | None = None,
        progress: Progress | None = None,
        today: date | None = None,
    ) -> "Judging":
        """
        Return what judges checkpoints as `judge_checkpoints` says.
        """
        if by not in RATES:
            raise UsageError(f"{by!r} is not a rate to select by{suggest(by, RATES)}")
        project = project or open_project()
        today = today or date_today()
        place = str(project.suite(suite))
        whole = load_suite(Path(place), today=today)
        held = None if baseline is None else load_run(project.baseline_of(whole.name, baseline))
        return cls(
            whole,
            project=project,
            baseline=held,
            policy=policy,
            by=by,
            out=out or project.reports / whole.name / "checkpoints",
            options=options or RunOptions(),
            progress=progress or Progress(),
            today=today,
            place=place,
        )

    def add(self, saved: Saved) -> None:
        """
        Judge one more checkpoint, or note why it is skipped.
        """
        try:
            stored, asked = self.run_of(saved)
        except UNREADABLE as exc:
            self.skipped[saved.name] = str(exc)
            self._progress.notify(f"{saved.name}: skipped: {exc}")
            return
        verdict = None
        if self.baseline is not None:
            verdict = self.gated(stored, self._policy, self.baseline).verdict
        self.judged.append(
            JudgedCheckpoint(
                name=saved.name, step=saved.step, run=stored, verdict=verdict, asked=asked
            )
        )

    def run_of(self, saved: Saved, cases: tuple[str, ...] = ()) -> tuple[StoredRun, bool]:
        """
        Return the run of a checkpoint, of all that is asked or of *cases* alone, and whether it was
        asked for it now.

        Raises:
            CheckpointError: if it is cut off, or cannot be loaded.
            HarnessError: of another kind, as `harness.run`.
        """
        located = locate(parse_reference(str(saved.folder)))
        check_whole(located)
        for chosen in dict.fromkeys(((), cases)):
            options = replace(self._options, cases=chosen or self._options.cases)
            folder = self._folder(saved, located, options)
            if (folder / RUN).is_file():
                self._said = folder
                return judged_now(folder), False
        draft = None if self._said is None else str(self._said)
        stored = run(
            self._place,
            str(saved.folder),
            project=self._project,
            out=folder,
            options=replace(options, draft=draft, reuse=True),
            progress=self._progress,
            today=self._today,
        )
        self._said = stored.folder
        return stored, True

    def gated(self, new: StoredRun, policy: Policy | Path | None, old: StoredRun) -> Gated:
        """
        Return the verdict on a run against *old*. Nothing is decided again: a gate of the chosen
        checkpoint may do that.
        """
        return gate(old, new, policy, project=self._project, recheck=False, today=self._today)

    def result(self, folder: Path) -> JudgedCheckpoints:
        """
        Return what is known of the checkpoints in *folder* by now.

        Raises:
            CheckpointError: if none could be judged.
        """
        if not self.judged:
            name, why = next(iter(self.skipped.items()))
            others = len(self.skipped) - 1
            also = f" (and {count(others, 'other')})" if others else ""
            raise CheckpointError(f"no checkpoint in {folder} could be judged: {name}{also}: {why}")
        return JudgedCheckpoints(
            folder=folder,
            suite=self.suite.name,
            by=self._by,
            judged=tuple(sorted(self.judged, key=lambda each: each.step)),
            skipped=dict(self.skipped),
            baseline=self.baseline,
            log=training_log(each.folder for each in saved_in(folder)),
        )

    def _folder(self, saved: Saved, located: Located, options: RunOptions) -> Path:
        plan = RunPlan.of(self.suite, options, project=self._project)
        return kept_in(self._out, saved.name, content_of(located), plan)


def check_whole(located: Located) -> None:
    """
    Refuse a checkpoint whose weights were not written to the end, before a model is built of them.

    Raises:
        CheckpointError: naming the file.
    """
    from safetensors import SafetensorError, safe_open

    for folder, stem in ((located.adapter, "adapter_model"), (located.folder, "model")):
        if folder is None or located.gguf is not None:
            continue
        for index in folder.glob(f"{stem}*.safetensors.index.json"):
            with boundary(CheckpointError, f"{index}: cannot be read"):
                named = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            if missing := sorted(name for name in named if not (folder / name).is_file()):
                raise CheckpointError(f"{folder / missing[0]}: is missing")
        for file in sorted(folder.glob(f"{stem}*.safetensors")):
            try:
                with safe_open(file, "np"):
                    pass
            except (SafetensorError, OSError) as exc:
                raise CheckpointError(f"{file}: cut off or damaged: {exc}") from exc


def training_log(checkpoints: Iterable[Path]) -> TrainingLog:
    """
    Return what the trainer logged up to the last of *checkpoints* whose state can be read.
    """
    for folder in reversed(list(checkpoints)):
        history = _state(folder).get("log_history")
        if isinstance(history, list):
            return TrainingLog(train=_logged(history, "loss"), valid=_logged(history, "eval_loss"))
    return TrainingLog()


def _logged(history: Sequence[Any], name: str) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(entry["step"]), float(entry[name]))
        for entry in history
        if isinstance(entry, dict)
        and isinstance(entry.get("step"), int | float)
        and isinstance(entry.get(name), int | float)
    )


def _state(folder: Path) -> Mapping[str, Any]:
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # It adds to what is shown, and decides nothing.
        return {}
    return state if isinstance(state, dict) else {}


def _is_last(folder: Path) -> bool:
    state = _state(folder)
    step, last = state.get("global_step"), state.get("max_steps")
    return isinstance(step, int) and isinstance(last, int) and 0 < last <= step


def _look(folder: Path) -> tuple[Any, ...]:
    found = []
    for file in sorted(folder.rglob("*")):
        status = file.stat()
        found.append((file.name, status.st_size, status.st_mtime_ns))
    return tuple(found)
