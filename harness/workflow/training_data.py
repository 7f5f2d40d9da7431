"""
What a checkpoint is trained on: the rows of a suite or of files, and what the suite will ask.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from harness.errors import UsageError
from harness.finetuning.declarations import Declaration
from harness.finetuning.rows import Row, read_rows
from harness.finetuning.split import NO_CALL, SHARE, Split, nested, split_off
from harness.provenance import date_today
from harness.suites.files import load_suite
from harness.suites.suite import Calls, Suite
from harness.workflow.declarations import declarations_of
from harness.workflow.hub_rows import HUB, read_hub_rows
from harness.workflow.project import Project, open_project


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """
    Rows to learn and to validate on, and what they are held against.
    """

    train: tuple[Row, ...]
    valid: tuple[Row, ...]
    split: Split | None = None
    """How the validation rows were chosen, if none were given."""
    suite: Suite | None = None
    """What the result will be asked, if that is known."""

    def limited(self, rows: int | None, seed: int) -> Self:
        """
        Return the same with *rows* of the rows to learn, drawn by *seed*; all of them with None.

        Raises:
            TrainingError: if there are not so many.
        """
        if rows is None:
            return self
        return replace(self, train=nested(self.train, rows, seed=seed))

    @property
    def heldout_prompts(self) -> Collection[str]:
        """
        What no row may ask, as the suite does.
        """
        return frozenset(case.prompt for case in self.suite.cases) if self.suite else frozenset()

    @property
    def asked(self) -> tuple[Declaration, ...]:
        """
        The declarations of tools that the suite shows.
        """
        return declarations_of(self.suite) if self.suite else ()

    @property
    def expected(self) -> Mapping[str, int] | None:
        """
        In how many turns the suite expects each tool, or no call; None without a suite.
        """
        if self.suite is None:
            return None
        return Counter(
            name
            for case in self.suite.cases
            for turn in case.turns
            for name in {
                name
                for each in turn.expectation.alternatives
                for name in (
                    [call.tool for call in each.calls] if isinstance(each, Calls) else [NO_CALL]
                )
            }
        )


def training_data(
    *,
    project: Project | None = None,
    suite: str | None = None,
    train: Path | str | None = None,
    valid: Path | str | None = None,
    valid_share: float | None = None,
    seed: int,
    today: date | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> TrainingData:
    """
    Return the rows of *suite*, or those of *train* and *valid*: files, or data sets on the hub
    (`harness.workflow.hub_rows`).

    With a suite, rows without tools or system text are given the suite's. Without validation rows,
    or with a *valid_share*, that share of the training rows (default: a fifth) is split off by
    *seed*, and *notify* is told so.

    Raises:
        UsageError: if it is not clear what to train on.
        SuiteError: if the suite or a file cannot be read.
        TrainingError: if no row can be spared to validate on.
    """
    if valid_share is not None and (valid is not None or not 0 < valid_share < 1):
        raise UsageError("a share to validate on is between 0 and 1, and instead of other rows")
    given: dict[str, Any] = {}
    whole = None
    if suite is not None:
        folder = (project or open_project()).suite(suite)
        whole = load_suite(folder, today=today or date_today())
        given = {
            "tools": whole.tools,
            "system": whole.system,
            "system_role": whole.system_role,
            "declare_tools": whole.declare_tools,
        }
        train = train or folder / "train.jsonl"
        if valid is None and valid_share is None and (folder / "valid.jsonl").is_file():
            valid = folder / "valid.jsonl"
    elif train is None:
        raise UsageError("say what to train on: --suite SUITE, or --train FILE")
    rows = _read(train, given, notify)
    if valid is not None:
        return TrainingData(train=rows, valid=_read(valid, given, notify), suite=whole)
    kept, taken, split = split_off(rows, seed=seed, share=valid_share or SHARE)
    notify(
        f"no validation rows given: {split}" if valid_share is None else f"validation rows: {split}"
    )
    return TrainingData(train=kept, valid=taken, split=split, suite=whole)


def _read(
    source: Path | str, given: Mapping[str, Any], notify: Callable[[str], None]
) -> tuple[Row, ...]:
    if isinstance(source, str) and source.startswith(HUB):
        return read_hub_rows(source, notify=notify, **given)
    return read_rows(Path(source), **given)
