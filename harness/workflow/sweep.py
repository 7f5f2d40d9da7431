"""
Several fine-tunes of one base, each judged on a suite: how many rows are enough, and which settings
cannot be told apart: ``harness finetune --rows`` and ``--sweep``.

Each goes to a folder of its own. One that is there is not trained again, and its answers are not
asked again; what was interrupted goes on.
"""

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.finetuning import Finetuned, Recipe
from harness.finetuning.rows import check_leakage
from harness.gating.ranking import Ranking
from harness.gating.selection import earliest_as_good
from harness.runs.store import StoredRun
from harness.wording import suggest
from harness.workflow.compare import compare_many
from harness.workflow.finetune import finetune
from harness.workflow.options import Progress, RunOptions
from harness.workflow.project import Project, open_project
from harness.workflow.training_checkpoints import Judging, Saved
from harness.workflow.training_data import training_data

SWEPT = ("learning_rate", "epochs", "lora_rank", "batch_size", "seed", "rows")
"""The keys of a sweep's file. A rank of 0 trains all weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    One way to train.
    """

    name: str
    """Its settings that differ from those of others: ``learning_rate=5e-05,epochs=8``."""
    recipe: Recipe
    rows: int | None
    """On how many of the rows; None: on all."""

    @property
    def folder(self) -> str:
        """
        The name of its folder.
        """
        return self.name.replace("=", "-").replace(",", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """
    One fine-tune with the run of its answers.
    """

    configuration: Configuration
    rows: int
    """On how many rows it was trained."""
    trained: Finetuned
    run: StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """
    All of them in the order in which they were asked for.
    """

    suite: str
    base: str
    swept: tuple[Swept, ...]
    order: tuple[int, ...]
    """The places in *swept*, the best first."""
    ranking: Ranking
    """Of the runs in that order: which cannot be told apart, adjusted for all pairs."""

    @property
    def by_rows(self) -> bool:
        """
        Whether they differ in the number of rows alone.
        """
        return len({each.configuration.recipe for each in self.swept}) == 1

    @property
    def enough(self) -> Swept | None:
        """
        The one of fewest rows that is not worse than the best; None if they differ otherwise too.
        """
        if not self.by_rows:
            return None
        ordered = sorted(self.swept, key=lambda each: each.rows)
        place = earliest_as_good([each.run.record for each in ordered])
        return None if place is None else ordered[place]


def sweep(
    configurations: Sequence[Configuration],
    *,
    base: str,
    out: Path,
    project: Project | None = None,
    suite: str | None = None,
    evaluate: str | None = None,
    train: Path | str | None = None,
    valid: Path | str | None = None,
    valid_share: float | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    today: date | None = None,
) -> Sweep:
    """
    Train *base* by each of *configurations* into a folder of *out*, and judge each on the suite
    *evaluate* (default: *suite*), or on a sample of *limit* of its cases.

    The rows are those of `harness.finetune`; all are validated on the same ones.

    Raises:
        UsageError: if there are fewer than two configurations or no suite, or a folder of *out*
            holds another fine-tune.
        TrainingError: if there are fewer rows than asked for, before anything is trained.
        HarnessError: as `harness.finetune` and `harness.run`.
    """
    project, progress = project or open_project(), progress or Progress()
    asked = evaluate or suite
    if asked is None:
        raise UsageError(
            "say which suite judges what is trained: --suite SUITE or --evaluate SUITE"
        )
    if len(configurations) < 2:
        raise UsageError("there is nothing to compare: give two or more numbers or settings")
    judging = Judging.of(
        asked,
        project=project,
        out=out / "runs",
        options=RunOptions(sample=limit),
        progress=progress,
        today=today,
    )
    given: dict[str, Any] = {
        "project": project,
        "suite": suite,
        "train": train,
        "valid": valid,
        "valid_share": valid_share,
        "today": today,
    }
    sizes = []
    for each in configurations:
        data = training_data(**given, seed=each.recipe.seed).limited(each.rows, each.recipe.seed)
        check_leakage([*data.train, *data.valid], {case.prompt for case in judging.suite.cases})
        sizes.append(len(data.train))
    swept = []
    for number, (each, size) in enumerate(zip(configurations, sizes, strict=True), start=1):
        progress.notify(f"{each.name} ({number} of {len(configurations)})")
        trained = finetune(
            base=base,
            out=out / each.folder,
            rows=each.rows,
            recipe=each.recipe,
            resume=True,
            progress=progress,
            **given,
        )
        run, _ = judging.run_of(Saved(folder=trained.folder, step=number))
        swept.append(Swept(configuration=each, rows=size, trained=trained, run=run))
    runs, ranking = compare_many([each.run for each in swept])
    folders = [each.run.folder for each in swept]
    return Sweep(
        suite=judging.suite.name,
        base=base,
        swept=tuple(swept),
        order=tuple(folders.index(run.folder) for run in runs),
        ranking=ranking,
    )


def by_rows(numbers: Sequence[int], recipe: Recipe) -> tuple[Configuration, ...]:
    """
    Return a configuration for each number of rows, the smallest first.
    """
    return tuple(
        Configuration(name=f"rows={many}", recipe=recipe, rows=many) for many in sorted({*numbers})
    )


def read_sweep(file: Path, recipe: Recipe) -> tuple[Configuration, ...]:
    """
    Return every combination of the settings in a TOML file; *recipe* has those that it leaves out.

    Each of `SWEPT` may be there, with one value or a list of values.

    Raises:
        UsageError: naming the file, if it cannot be read or a setting is not valid.
    """
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise UsageError(f"{file}: {exc}") from exc
    for name in settings:
        if name not in SWEPT:
            raise UsageError(f"{file}: unknown setting {name!r}{suggest(name, SWEPT)}")
    lists = {
        name: value if isinstance(value, list) else [value] for name, value in settings.items()
    }
    for name, values in lists.items():
        if not values or len({repr(value) for value in values}) < len(values):
            raise UsageError(f"{file}: {name} lists no value, or one twice")
        _check(file, name, values)
    varied = [name for name, values in lists.items() if len(values) > 1]
    if not varied:
        raise UsageError(f"{file}: no setting has several values; write a list, {SWEPT[0]} = [...]")
    return tuple(
        _configuration(file, dict(zip(lists, values, strict=True)), varied, recipe)
        for values in itertools.product(*lists.values())
    )


def _check(file: Path, name: str, values: Sequence[Any]) -> None:
    whole = name != "learning_rate"
    for value in values:
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or (name == "rows" and value < 1):
            kind = "whole number" if whole else "number"
            raise UsageError(f"{file}: {name} {value!r} is not a {kind} that it can be")


def _configuration(
    file: Path, chosen: Mapping[str, Any], varied: Sequence[str], recipe: Recipe
) -> Configuration:
    settings = {name: value for name, value in chosen.items() if name != "rows"}
    if settings.get("lora_rank") == 0:
        settings["lora_rank"] = None
    if recipe.learning_rate == Recipe(lora_rank=recipe.lora_rank).learning_rate:
        # The usual one depends on whether an adapter is trained.
        settings.setdefault("learning_rate", None)
    known = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    try:
        made = Recipe(**{**known, **settings})
    except UsageError as exc:
        raise UsageError(f"{file}: {exc}") from exc
    name = ",".join(f"{each}={chosen[each]}" for each in varied)
    return Configuration(name=name, recipe=made, rows=chosen.get("rows"))
