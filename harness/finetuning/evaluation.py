"""
The suite asked while a model is trained: a callback for any trainer of transformers or TRL.

On each evaluation of the trainer the live model answers the suite through our engine, the answers
of the evaluation before as drafts. What the gate would measure is put beside the loss: into the
trainer's own metrics, so that it can choose the best model by them, and into its logs. Each
evaluation is stored as a run. Weights and random states are left as they were.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from harness.backends.base import Generation
from harness.canonical import digest
from harness.dialects.registry import spoken_by
from harness.environments.opening import open_environment
from harness.errors import StoreError, UsageError, boundary
from harness.files import write_text
from harness.finetuning.live import live_backend, weights_digest
from harness.provenance import environment, now, packages
from harness.runs.asking import Questions, ask, judge
from harness.runs.record import MetricValue, Selection, SuiteReference, make_record
from harness.runs.serving import Serving
from harness.runs.store import RUN, StoredRun, load_run
from harness.runs.writer import can_resume, discard_run, start_run
from harness.scoring.metrics import METRICS, RATES
from harness.suites.files import load_suite
from harness.suites.selection import Choice, Sample, select
from harness.suites.suite import Suite
from harness.transcript import Key
from harness.wording import percent

LIST = "evaluations.jsonl"
"""Beside the runs: which of them is of which step."""

LENGTH = "output_tokens_p50"
"""Beside all rates, what is put into the trainer's metrics."""

SPOKEN = ("tool_accuracy", "second_call_rate")
"""What the line about an evaluation says, if the suite has cases for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """
    Which run was made of the weights after which step.
    """

    step: int
    epoch: float
    run: str
    """The name of its folder."""


class ToolCallEvaluation:
    """
    A `transformers.TrainerCallback` that asks a suite on each evaluation of a trainer.

    *suite* is a suite or its folder; runs are written to *out*: ``epoch-03/``, or ``step-000120/``
    where the trainer evaluates by steps. *limit* asks a sample of so many cases, drawn by *seed*
    from each of the suite's slices alike. Every rate that the suite has cases for is in the
    trainer's metrics as ``eval_tool_accuracy``, ``eval_second_call_rate`` and so on, and the length
    of answers as ``eval_output_tokens_p50``.

    The weights that are evaluated twice are asked once. *allowed* names the code that an executed
    suite may run; *notify* gets a line for each evaluation.

    Raises:
        SuiteError: if the suite cannot be read.
        UsageError: if *limit* leaves no case; when training begins, if the trainer never evaluates,
            or an early-stopping callback comes before this one.
        StoreError: when training begins, if *out* has evaluations of another training.
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """
        Make it one of transformers' callbacks, which is not loaded before somebody trains.
        """
        kind: Any = cls
        made: Self = super().__new__(_as_callback(kind))
        return made

    def __init__(
        self,
        suite: Suite | str | Path,
        *,
        out: str | Path,
        limit: int | None = None,
        seed: int = 0,
        dialect: str | None = None,
        batch_size: int | None = None,
        allowed: str | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self.suite = suite if isinstance(suite, Suite) else load_suite(Path(suite))
        self.out = Path(out)
        self._choice = Choice(sample=None if limit is None else Sample(size=limit, seed=seed))
        if limit is not None and limit < 1:
            raise UsageError(f"a limit of {limit} leaves no case; it must be 1 or more")
        self.cases = select(self.suite, self._choice)
        self._generation = Generation.of(self.suite.generation)
        self._world = open_environment(self.suite, allowed)
        self._dialect, self._batch_size = dialect, batch_size
        self._notify = notify or _say
        self._evaluations: list[Evaluation] = []
        self._runs: dict[str, StoredRun] = {}
        """By the digest of the weights that were asked."""
        self._logged: int | None = None

    @property
    def evaluations(self) -> tuple[tuple[Evaluation, StoredRun], ...]:
        """
        What has been evaluated so far, in order, with the runs.
        """
        runs = self._by_name()
        return tuple((each, runs[each.run]) for each in self._evaluations)

    # What the trainer calls

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """
        Check that the trainer will evaluate, and that what it does with that comes after this.
        """
        if args.eval_strategy == "no":
            raise UsageError(
                "the trainer never evaluates, so the suite is never asked: set eval_strategy and "
                "eval_dataset"
            )
        if args.world_size > 1:
            raise UsageError(
                "the suite is asked in one process: train in one, or run the checkpoints afterwards"
            )
        wanted = str(args.metric_for_best_model or "").removeprefix("eval_")
        if wanted in METRICS and bool(args.greater_is_better) != METRICS[wanted].higher_is_better:
            better = METRICS[wanted].higher_is_better
            raise UsageError(f"the best {wanted} is not that: set greater_is_better={better}")
        self._check_order()
        self._begin(int(state.global_step))

    def on_evaluate(
        self,
        args: Any,
        state: Any,
        control: Any,
        metrics: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        """
        Ask the suite, and put what it measures into *metrics*, the trainer's own.
        """
        tokenizer = given.get("processing_class") or given.get("tokenizer")
        found = self.evaluate(
            given["model"],
            # That of a processor, which takes images beside text.
            getattr(tokenizer, "tokenizer", tokenizer),
            step=int(state.global_step),
            epoch=float(state.epoch or 0),
            by_epoch=args.eval_strategy == "epoch",
        )
        ours = trainer_metrics(found.record.metrics)
        if metrics is not None:
            if twice := sorted(ours.keys() & metrics.keys()):
                raise UsageError(
                    f"{twice[0]} is measured by the trainer, too: rename that of compute_metrics"
                )
            metrics.update(ours)
        if self._logged == state.global_step:
            return  # another evaluation set of the same step
        self._logged = int(state.global_step)
        logs = {**ours, "epoch": state.epoch}
        state.log_history.append({**logs, "step": state.global_step})
        # The trainer logged its own before it called: TensorBoard and others get ours as it does.
        if (handler := _handler(self)) is not None:
            handler.on_log(args, state, control, logs)
        self._notify(spoken(found.record.metrics, self._evaluations[-1]))

    # What it does

    def evaluate(
        self, model: Any, tokenizer: Any, *, step: int, epoch: float, by_epoch: bool = True
    ) -> StoredRun:
        """
        Return the run of the suite on *model* as it is now; the same weights are asked only once.

        Raises:
            HarnessError: as a run of the suite does.
        """
        weights = weights_digest(model)
        run = self._runs.get(weights)
        if run is None:
            name = f"epoch-{round(epoch):02d}" if by_epoch else f"step-{step:06d}"
            run = self._asked(model, tokenizer, weights, self._free(name))
            self._runs[weights] = run
        if not any(each.step == step for each in self._evaluations):
            new = Evaluation(step=step, epoch=epoch, run=run.folder.name)
            self._evaluations.append(new)
            lines = (json.dumps(asdict(each)) + "\n" for each in self._evaluations)
            write_text(self.out / LIST, "".join(lines))
        return run

    def _asked(self, model: Any, tokenizer: Any, weights: str, folder: Path) -> StoredRun:
        started = now()
        questions = Questions(
            suite=self.suite,
            cases=self.cases,
            generation=self._generation,
            world=self._world,
            drafts=self._drafts(),
        )
        with live_backend(
            model,
            tokenizer,
            reference=str(folder),
            weights=weights,
            declares_tools=self.suite.declare_tools,
            dialect=self._dialect,
            batch_size=self._batch_size,
        ) as backend:
            checkpoint = backend.checkpoint
            plan = {
                "suite": self.suite.digest,
                "cases": digest([case.digest for case in self.cases]),
                "checkpoint": checkpoint.to_json(),
                "generation": self._generation.to_json(),
                "packages": packages(),
            }
            text, dialect = self.suite.text, spoken_by(checkpoint)
            resume = can_resume(folder, suite=text, plan=plan)
            if not resume:
                discard_run(folder)
            with start_run(folder, suite=text, plan=plan, resume=resume) as writer:
                ask(questions, backend, dialect, writer)
                return writer.finish(
                    make_record(
                        judge(questions, writer, dialect),
                        suite=SuiteReference.of(self.suite),
                        selection=Selection.of(
                            self._choice, complete=len(self.cases) == len(self.suite.cases)
                        ),
                        checkpoint=checkpoint,
                        backend=Serving.from_json(backend.describe()),
                        generation=self._generation,
                        environment=environment(Path.cwd()),
                        started=started,
                        finished=now(),
                    )
                )

    def _drafts(self) -> Mapping[Key, str]:
        """
        Return the answers of the evaluation before.
        """
        if not self._evaluations:
            return {}
        last = self._by_name()[self._evaluations[-1].run]
        return {each.key: each.output for each in last.transcripts() if each.output is not None}

    def _by_name(self) -> dict[str, StoredRun]:
        return {run.folder.name: run for run in self._runs.values()}

    def _free(self, name: str) -> Path:
        """
        Return the folder for a run of this name: another if one of other weights is there.
        """
        folder, number = self.out / name, 1
        while (folder / RUN).is_file():
            number += 1
            folder = self.out / f"{name}-{number}"
        return folder

    def _begin(self, step: int) -> None:
        """
        Take up the evaluations of the training that continues after *step*; a new one has none.
        """
        known = self._evaluations or self._stored()
        if step == 0 and any(each.step for each in known):
            raise StoreError(
                f"{self.out} has the evaluations of another training; choose another folder"
            )
        # Later ones are made again; what is the same is not asked again.
        self._evaluations = [each for each in known if each.step <= step]

    def _stored(self) -> list[Evaluation]:
        file = self.out / LIST
        if not file.is_file():
            return []
        with boundary(StoreError, f"{file} cannot be read; choose another folder"):
            lines = file.read_text("utf-8").splitlines()
            stored = [Evaluation(**json.loads(line)) for line in lines]
        for each in stored:
            run = load_run(self.out / each.run)
            checkpoint = run.record.checkpoint
            self._runs[str(checkpoint.weights or checkpoint.adapter)] = run
        return stored

    def _check_order(self) -> None:
        from transformers import EarlyStoppingCallback

        handler = _handler(self)
        for callback in () if handler is None else handler.callbacks:
            if callback is self:
                return
            if isinstance(callback, EarlyStoppingCallback):
                raise UsageError(
                    "ToolCallEvaluation comes after EarlyStoppingCallback, which would never see "
                    "its metrics: put it before, in the list of callbacks"
                )


@cache
def _as_callback(ours: type) -> type:
    """
    Return *ours* as a subclass of transformers' class of callbacks, too.
    """
    from transformers import TrainerCallback

    if issubclass(ours, TrainerCallback):
        return ours
    kept = {"__module__": ours.__module__, "__doc__": ours.__doc__}
    return type(ours.__name__, (ours, TrainerCallback), kept)


def _handler(callback: Any) -> Any | None:
    """
    Return what is calling *callback*, with all callbacks of the trainer in order.

    transformers passes a callback neither its trainer nor the other callbacks, so it is looked up
    among the callers; None if something else calls.
    """
    from transformers.trainer_callback import CallbackHandler

    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, CallbackHandler) and callback in caller.callbacks:
            return caller
        frame = frame.f_back
    return None


def trainer_metrics(measured: Mapping[str, MetricValue]) -> dict[str, float]:
    """
    Return what was measured as a trainer names it, without what no case is about.
    """
    return {
        f"eval_{name}": float(found.value)
        for name, found in measured.items()
        if (name in RATES or name == LENGTH) and found.value is not None
    }


def spoken(measured: Mapping[str, MetricValue], of: Evaluation) -> str:
    """
    Return one line about an evaluation.
    """
    said = [
        f"{METRICS[name].title} {percent(float(found.value))} ({found.hits} of {found.eligible})"
        for name in SPOKEN
        if (found := measured.get(name)) is not None and found.value is not None
    ]
    if not said:
        found = measured["accuracy"]
        said = [f"correct {found.hits} of {found.eligible}"]
    return f"{of.run}: {', '.join(said)}"


def _say(text: str) -> None:
    import sys

    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)
