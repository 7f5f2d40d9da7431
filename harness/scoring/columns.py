"""
What is counted of judged cases, column by column: measuring, comparing and gating look at nothing
else.

Columns of values that repeat are dictionary-encoded: each distinct value once, and its place for
every case. Few ways to be judged occur in a run however many cases it has, so a metric is asked
about each way once, and numpy does the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from harness.scoring.results import CaseResult, Execution, Finding, Status, TurnResult
from harness.suites.suite import Expects

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]
    Objects = npt.NDArray[np.object_]

T = TypeVar("T")
V = TypeVar("V")

_AT_ONCE = 32
"""So many cases are held at a time: few enough to stay in a processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coded(Generic[T]):
    """
    A column of values that repeat.
    """

    values: Sequence[T]
    """Each distinct value, in the order they first come."""
    codes: "Ints"
    """The place in `values` of each entry."""

    def of(self, of: Callable[[T], V]) -> "Coded[V]":
        """
        Return the column of what *of* makes of each entry, called once for each distinct value.
        """
        return Coded(values=tuple(map(of, self.values)), codes=self.codes)

    def flags(self, of: Callable[[T], bool]) -> "Bools":
        """
        Return whether *of* holds for each entry; it is called once for each distinct value.
        """
        import numpy as np

        return np.fromiter(map(of, self.values), dtype=bool, count=len(self.values))[self.codes]

    def objects(self, of: Callable[[T], object] = lambda value: value) -> "Objects":
        """
        Return what *of* makes of each entry, called once for each distinct value.
        """
        return objects([of(value) for value in self.values])[self.codes]


def objects(values: Sequence[object]) -> "Objects":
    """
    Return *values* as a column.
    """
    import numpy as np

    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


class Coding(Generic[T]):
    """
    Makes a `Coded` column, some entries at a time.
    """

    def __init__(self) -> None:
        self._places: dict[T, int] = {}
        self._codes: list[int] = []

    def extend(self, values: Iterable[T]) -> None:
        """
        Add the next entries.
        """
        places = self._places
        self._codes.extend([places.setdefault(value, len(places)) for value in values])

    def column(self) -> Coded[T]:
        """
        Return the column of all entries.
        """
        import numpy as np

        return Coded(values=tuple(self._places), codes=np.array(self._codes, dtype=np.int64))


class Measured(NamedTuple):
    """
    What lengths and times are taken from, of one answer.
    """

    output_tokens: int | None
    latency_ms: float | None
    ttft_ms: float | None


class Columns:
    """
    What is counted of cases, in their order. Lengths, tools and margins have an entry for each
    turn, everything else for each case.
    """

    def __init__(self, cases: Iterable[Any]) -> None:
        """
        Take what is counted from *cases*: `CaseResult`s, or what has the same attributes.
        """
        import numpy as np

        self.ids: list[str] = []
        self.digests: list[str] = []
        repeats: list[int] = []
        turns_of: list[int] = []
        margins: list[float] = []
        groups, tags = Coding[str | None](), Coding[tuple[str, ...]]()
        ways, pairs = Coding[tuple[Any, ...]](), Coding[tuple[tuple[str, str], ...]]()
        measured, tools = Coding[tuple[Any, ...]](), Coding[str | None]()
        unknown = float("nan")
        left = iter(cases)
        # Column by column of a few cases at a time, which is sooner than case by case.
        while some := list(islice(left, _AT_ONCE)):
            self.ids += [case.id for case in some]
            self.digests += [case.digest for case in some]
            repeats += [case.repeat for case in some]
            groups.extend([case.group for case in some])
            tags.extend([case.tags for case in some])
            ways.extend(map(_way, some))
            pairs.extend(map(_pairs, some))
            turns_of += [len(case.turns) for case in some]
            turns = [turn for case in some for turn in case.turns]
            measured.extend([(turn.output_tokens, turn.latency_ms, turn.ttft_ms) for turn in turns])
            tools.extend([turn.calls[0]["tool"] if turn.calls else None for turn in turns])
            margins += [unknown if turn.margin is None else turn.margin for turn in turns]
        self.repeats: Ints = np.array(repeats, dtype=np.int64)
        self.groups = groups.column()
        self.tags = tags.column()
        self.pairs = pairs.column()
        """What the confusion matrix counts."""
        self.first: Ints = np.cumsum([0, *turns_of], dtype=np.int64)
        """The place of each case's first turn, and how many turns there are."""
        self.measured = measured.column().of(Measured._make)
        self.tools = tools.column()
        """The tool called first; None for no call."""
        self.margins: Floats = np.array(margins, dtype=np.float64)
        """NaN where it is unknown."""
        self.ways = ways.column().of(_case)
        """How each case was judged: a case without what is not counted, for each way to be."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def scored(self) -> "Bools":
        """
        Whether each case counts.
        """
        return self.ways.flags(lambda case: case.scored)

    @cached_property
    def correct(self) -> "Bools":
        """
        Whether each case is correct.
        """
        return self.ways.flags(lambda case: case.status == "correct")

    def judged(self, which: Callable[[CaseResult], bool]) -> list[tuple[CaseResult, int]]:
        """
        Return each way to be judged for which *which* holds, and how many cases were.
        """
        many = Counter(self.ways.codes.tolist())
        return [
            (way, many[code])
            for code, way in enumerate(self.ways.values)
            if code in many and which(way)
        ]

    @cached_property
    def places(self) -> Mapping[str, Sequence[int]]:
        """
        The places of the cases with each id.
        """
        found: dict[str, list[int]] = {}
        for place, identity in enumerate(self.ids):
            found.setdefault(identity, []).append(place)
        return found

    @cached_property
    def keys(self) -> Sequence[tuple[str, int]]:
        """
        The id and the repeat of each case.
        """
        return list(zip(self.ids, self.repeats.tolist(), strict=True))

    def named(self, flags: "Bools") -> tuple[str, ...]:
        """
        Return the ids of the cases with a flag, each once.
        """
        return tuple(dict.fromkeys(self.ids[place] for place in flags.nonzero()[0].tolist()))


_OUTCOME = (
    *("stop", "called", "said", "relevant", "found", "recall", "reciprocal_rank", "ndcg"),
    *("answered", "reached"),
)


def _way(case: Any) -> tuple[Any, ...]:
    """
    Return how *case* was judged, as far as it is counted: what was called and said is not.
    """
    flags = case.must_pass, case.quarantined, case.forbids_extra_calls
    executed = None if case.executed is None else _came_to(case.executed)
    return (*flags, tuple([_judged(turn) for turn in case.turns]), executed)


def _judged(turn: Any) -> tuple[Any, ...]:
    findings = tuple([(each.code, each.kind, each.call) for each in turn.findings])
    return (turn.expects, turn.follows_result, turn.status, turn.status_lenient, findings)


def _pairs(case: Any) -> tuple[tuple[str, str], ...]:
    return tuple([pair for turn in case.turns for pair in turn.pairs])


def _came_to(executed: Any) -> tuple[Any, ...]:
    return (
        tuple([getattr(executed, name) for name in _OUTCOME]),
        tuple(map(_judged, executed.steps)),
        tuple([each.code for each in executed.findings]),
    )


def _execution(counted: tuple[Any, ...]) -> Execution:
    outcome, steps, codes = counted
    return Execution(
        **dict(zip(_OUTCOME, outcome, strict=True)),
        steps=tuple(map(_turn, steps)),
        findings=tuple(Finding(code=code, detail="") for code in codes),
    )


def _turn(judged: tuple[Any, ...]) -> TurnResult:
    expects, follows_result, status, lenient, findings = judged
    return TurnResult(
        expects=cast(Expects, expects),
        follows_result=follows_result,
        calls=(),
        findings=tuple(
            Finding(code=code, detail="", kind=kind, call=call) for code, kind, call in findings
        ),
        status=cast(Status, status),
        status_lenient=cast(Status, lenient),
    )


def _case(way: tuple[Any, ...]) -> CaseResult:
    must_pass, quarantined, forbids_extra_calls, turns, executed = way
    return CaseResult(
        id="",
        repeat=0,
        digest="",
        group=None,
        tags=(),
        must_pass=must_pass,
        quarantined=quarantined,
        forbids_extra_calls=forbids_extra_calls,
        turns=tuple(map(_turn, turns)),
        executed=None if executed is None else _execution(executed),
    )
