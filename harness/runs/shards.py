"""
A run in parts: which cases each part asks, so that the parts together ask all of them once.

A group is never divided, as the statistics count it as one. Cases with the same tools share the
beginning of their prompts, which a backend computes once: they stay together unless they are more
than a part's share. What stays together is dealt out, the longest first, each to the part that has
least. The division follows from the cases and the number of parts alone, so it is the same on every
machine.
"""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from harness.canonical import digest
from harness.errors import UsageError
from harness.suites.suite import Case
from harness.wording import count

AUTO = "auto"

_WRITTEN = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """
    What of a whole run was made.
    """

    parts: tuple[int, ...]
    """From 1, in order; several once they are merged."""
    of: int
    """How many parts the run has."""
    chosen: str
    """The digest of the ids of the cases that the parts together ask."""

    @classmethod
    def of_run(cls, part: int, of: int, chosen: Sequence[Case]) -> Self:
        """
        Return the shard that is one part of a run of the cases *chosen*.
        """
        return cls(parts=(part,), of=of, chosen=digest_of(case.id for case in chosen))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        Read what `to_json` gives.
        """
        return cls(parts=tuple(data["parts"]), of=data["of"], chosen=data["chosen"])

    def to_json(self) -> dict[str, Any]:
        """
        Return the shard in JSON types.
        """
        return {"parts": list(self.parts), "of": self.of, "chosen": self.chosen}


def digest_of(cases: Iterable[str]) -> str:
    """
    Return the digest by which the parts of a run know its cases.
    """
    return digest(list(cases))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Array:
    """
    The variables by which a scheduler tells a job which of how many it is.
    """

    scheduler: str
    index: str
    count: str
    base: int = 0
    """The lowest index, where no variable says it."""
    first: str = ""
    """The variable that holds the lowest index."""
    step: str = ""
    """The variable that holds how far one index is from the next; without it, 1."""


ARRAYS = (
    _Array(
        scheduler="Slurm",
        index="SLURM_ARRAY_TASK_ID",
        count="SLURM_ARRAY_TASK_COUNT",
        first="SLURM_ARRAY_TASK_MIN",
        step="SLURM_ARRAY_TASK_STEP",
    ),
    _Array(
        scheduler="AWS Batch", index="AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE"
    ),
    _Array(scheduler="GitLab", index="CI_NODE_INDEX", count="CI_NODE_TOTAL", base=1),
    _Array(scheduler="CircleCI", index="CIRCLE_NODE_INDEX", count="CIRCLE_NODE_TOTAL"),
    _Array(
        scheduler="Buildkite", index="BUILDKITE_PARALLEL_JOB", count="BUILDKITE_PARALLEL_JOB_COUNT"
    ),
    _Array(
        scheduler="Azure Pipelines",
        index="SYSTEM_JOBPOSITIONINPHASE",
        count="SYSTEM_TOTALJOBSINPHASE",
        base=1,
    ),
)
"""Where ``--shard auto`` looks after ``HARNESS_SHARD``, in this order."""


def read_shard(text: str, environ: Mapping[str, str]) -> tuple[int, int]:
    """
    Return which part of how many *text* means: ``2/8``, or ``auto`` for what *environ* says.

    Raises:
        UsageError: if it says neither.
    """
    if text != AUTO:
        return _written(text, "--shard")
    if said := environ.get("HARNESS_SHARD"):
        return _written(said, "HARNESS_SHARD")
    for array in ARRAYS:
        if environ.get(array.index) and environ.get(array.count):
            return _place(array, environ)
    names = ", ".join(array.scheduler for array in ARRAYS)
    raise UsageError(
        f"--shard auto: this is no job of an array ({names}), and HARNESS_SHARD is not set; write "
        "--shard I/N"
    )


def _written(text: str, where: str) -> tuple[int, int]:
    found = _WRITTEN.fullmatch(text.strip())
    part, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part <= of:
        raise UsageError(f"{where}: {text!r} is not a part such as 2/8, counted from 1")
    return part, of


def _place(array: _Array, environ: Mapping[str, str]) -> tuple[int, int]:
    def number(name: str, default: int = 0) -> int:
        text = environ.get(name, default)
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"--shard auto: {name} is {text!r}, not a whole number") from None

    index, of = number(array.index), number(array.count)
    first, step = number(array.first, array.base), max(1, number(array.step, 1))
    place, apart = divmod(index - first, step)
    if apart or not 0 <= place < of:
        raise UsageError(
            f"--shard auto: {array.index} is {index}, which is none of {of} from {first} in steps "
            f"of {step}; set HARNESS_SHARD to I/N"
        )
    return place + 1, of


def part_of(cases: Sequence[Case], part: int, of: int) -> tuple[Case, ...]:
    """
    Return the cases of one part of *of*, in the order of *cases*.

    Raises:
        UsageError: if there are not enough cases for so many parts.
    """
    units = _units(cases)
    most = -(-_answers(cases) // of)
    pieces = _pieces(units, most)
    if len(pieces) < of:
        pieces = units
    if len(pieces) < of:
        raise UsageError(
            f"--shard {part}/{of}: {count(len(cases), 'case')} in {count(len(units), 'group')} "
            f"cannot be {of} parts; use at most {len(units)}"
        )
    loads = [(0, number) for number in range(1, of + 1)]
    mine: set[str] = set()
    # Stable, so that pieces of one length keep their order.
    for piece in sorted(pieces, key=_answers, reverse=True):
        load, number = loads[0]
        heapq.heapreplace(loads, (load + _answers(piece), number))
        if number == part:
            mine.update(case.id for case in piece)
    return tuple(case for case in cases if case.id in mine)


def _answers(cases: Sequence[Case]) -> int:
    return sum(len(case.turns) for case in cases)


def _units(cases: Sequence[Case]) -> list[list[Case]]:
    """
    Return what cannot be divided: groups, and cases without one.
    """
    units: dict[tuple[bool, str], list[Case]] = {}
    for case in cases:
        key = (False, case.id) if case.group is None else (True, case.group)
        units.setdefault(key, []).append(case)
    return list(units.values())


def _pieces(units: Sequence[list[Case]], most: int) -> list[list[Case]]:
    """
    Return *units* with the same tools put together, at most so many answers a piece.
    """
    digests: dict[tuple[int, ...], str] = {}
    pieces: list[list[Case]] = []
    last: dict[str, tuple[int, list[Case]]] = {}
    for unit in units:
        tools = unit[0].tools
        # Cases that share tools mostly share them as objects.
        known = tuple(map(id, tools))
        if known not in digests:
            digests[known] = digest([tool.schema for tool in tools])
        many = _answers(unit)
        so_far, piece = last.get(digests[known], (most, []))
        if so_far + many > most:
            so_far, piece = 0, []
            pieces.append(piece)
        piece += unit
        last[digests[known]] = so_far + many, piece
    return pieces
