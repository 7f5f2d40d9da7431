"""
Validation rows from training rows: a part of each tool's rows, chosen by a seed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from harness.canonical import digest
from harness.errors import TrainingError
from harness.finetuning.rows import Row, plain

SHARE = 0.2
"""How much of the training rows is split off, unless it is said."""

NO_CALL = "no call"
"""The kind of the rows in which nothing is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """
    How validation rows were chosen among the training rows.
    """

    seed: int
    share: float
    kinds: Mapping[str, tuple[int, int]]
    """The tools called, or `NO_CALL` -> how many rows are trained on, how many validated on."""

    def __str__(self) -> str:
        """
        Return the split in words.
        """
        counts = [sum(count) for count in zip(*self.kinds.values(), strict=True)]
        listed = ", ".join(
            f"{valid} of {train + valid} {kind}" for kind, (train, valid) in self.kinds.items()
        )
        return (
            f"{counts[1]} of {sum(counts)} rows, split off by tool with seed {self.seed} ({listed})"
        )

    def to_json(self) -> dict[str, Any]:
        """
        Return the split as training.json has it.
        """
        kinds = {kind: list(counts) for kind, counts in self.kinds.items()}
        return {"seed": self.seed, "share": self.share, "kinds": kinds}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """
        Read a split as training.json has it.
        """
        kinds = {kind: (train, valid) for kind, (train, valid) in stored["kinds"].items()}
        return cls(seed=stored["seed"], share=stored["share"], kinds=kinds)


def split_off(
    rows: Sequence[Row], *, seed: int, share: float = SHARE
) -> tuple[tuple[Row, ...], tuple[Row, ...], Split]:
    """
    Return *rows* as training rows and validation rows, each in their order, and the split.

    *share* of the rows is split off, of each kind as nearly that share as whole rows allow; a kind
    keeps at least one row to train on. Rows with the same user messages stay together: a row that
    is learned says nothing about one that is not. The choice depends on the seed and on what the
    rows say, not on their order: the kind of such rows is all that any of them calls.

    Raises:
        TrainingError: if no row can be spared.
    """
    kinds = _by_kind(rows)
    quotas = _quotas({kind: len(alike) for kind, alike in kinds.items()}, share)
    chosen: set[int] = set()
    counts: dict[str, tuple[int, int]] = {}
    for kind, alike in kinds.items():
        drawn = sorted(alike, key=lambda prompts: digest([seed, *prompts]))[: quotas[kind]]
        taken = {index for prompts in drawn for index in alike[prompts]}
        chosen |= taken
        counts[kind] = (sum(map(len, alike.values())) - len(taken), len(taken))
    if not chosen:
        where = rows[0].source if rows else "the training set"
        raise TrainingError(
            f"{where}: no row can be spared to validate on, as no tool has two different ones; "
            "write more, or name validation rows with --valid"
        )
    return (
        tuple(row for index, row in enumerate(rows) if index not in chosen),
        tuple(row for index, row in enumerate(rows) if index in chosen),
        Split(seed=seed, share=share, kinds=counts),
    )


def nested(rows: Sequence[Row], many: int, *, seed: int) -> tuple[Row, ...]:
    """
    Return *many* of the rows in their order, of each kind its share as nearly as can be.

    Fewer rows are a part of more by the same seed, so that more rows differ by what they add. The
    order of the rows does not matter.

    Raises:
        TrainingError: if there are not so many.
    """
    if many > len(rows):
        raise TrainingError(f"there are {len(rows)} rows to train on, not {many}")
    kinds: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        kinds[_kind([row])].append(index)
    ranked = []
    for kind, alike in sorted(kinds.items()):
        drawn = sorted(alike, key=lambda index: (digest([seed, *rows[index].prompts]), index))
        # The i-th of n at (i + 1/2) / n: any beginning of the whole order has of each its share.
        ranked += [((place + 0.5) / len(drawn), kind, index) for place, index in enumerate(drawn)]
    chosen = {index for *_, index in sorted(ranked)[:many]}
    return tuple(row for index, row in enumerate(rows) if index in chosen)


def _by_kind(rows: Sequence[Row]) -> dict[str, dict[tuple[str, ...], list[int]]]:
    """
    Return kind -> user messages -> the indices of the rows with those, the kinds sorted.
    """
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        alike[tuple(map(plain, row.prompts))].append(index)
    kinds: dict[str, dict[tuple[str, ...], list[int]]] = defaultdict(dict)
    for prompts, indices in alike.items():
        kinds[_kind(rows[index] for index in indices)][prompts] = indices
    return dict(sorted(kinds.items()))


def kinds_of(row: Row) -> frozenset[str]:
    """
    Return the tools that a row teaches to call, or `NO_CALL` alone.
    """
    called = {
        call.name
        for index, message in enumerate(row.messages)
        if index not in row.history
        for call in message.tool_calls
    }
    return frozenset(called or {NO_CALL})


def _kind(rows: Iterable[Row]) -> str:
    called = {kind for row in rows for kind in kinds_of(row)} - {NO_CALL}
    return " + ".join(sorted(called)) or NO_CALL


def _quotas(sizes: Mapping[str, int], share: float) -> dict[str, int]:
    """
    Return how many of each kind are split off, by the largest remainder (Hamilton's method).
    """
    wanted = max(1, round(share * sum(sizes.values())))
    quotas = {kind: min(int(share * size), size - 1) for kind, size in sizes.items()}
    for kind in sorted(sizes, key=lambda kind: int(share * sizes[kind]) - share * sizes[kind]):
        if sum(quotas.values()) < wanted and quotas[kind] < sizes[kind] - 1:
            quotas[kind] += 1
    return quotas
