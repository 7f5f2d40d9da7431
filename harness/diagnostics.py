"""
What is wrong with a file, and where: problems with file and line.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.errors import SuiteError

Steps = tuple[str | int, ...]
"""The way to a part of a document: ``("cases", 3, "expect")``."""

Flaw = tuple[Steps, str]
"""The part of a document that is wrong, and why."""

Place = tuple[str, int | None]
"""File and line. No line if the value came from memory, not from a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    One thing wrong in a file.
    """

    file: str
    line: int | None
    """None if the value came from memory, not from a file."""
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.message}"
            if self.line is None
            else (f"{self.file}:{self.line}: {self.message}")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """
    The file and line of each part of a document, which may be spread over several files.
    """

    known: dict[Steps, Place]
    later: list[tuple[Steps, Callable[[], dict[Steps, Place]]]] = field(default_factory=list)
    """Parts whose places are known once they are asked for: nothing is wrong with most files."""

    @classmethod
    def of(cls, file: str, line: int | None = None) -> "Places":
        """
        Return places that know only the file and line of the whole document.
        """
        return cls(known={(): (file, line)})

    def graft(self, other: "Places", at: Steps) -> None:
        """
        Add the places of *other*, which is the part *at* of this document.
        """
        for steps, place in other.known.items():
            self.known[at + steps] = place
        self.later.extend((at + steps, walk) for steps, walk in other.later)

    def find(self, steps: Steps) -> Place:
        """
        Return file and line of a part, or of the nearest part around it that is known.
        """
        if steps not in self.known:
            for at, walk in self.later:
                self.known.update((at + below, place) for below, place in walk().items())
            self.later.clear()
        while steps not in self.known:
            steps = steps[:-1]
        return self.known[steps]


def placed(flaws: Iterable[Flaw], places: Places) -> Iterator[Problem]:
    """
    Yield each flaw of a document as a problem with the file and line of its part.
    """
    for steps, message in flaws:
        file, line = places.find(steps)
        yield Problem(file=file, line=line, message=message)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """
    Return each problem once, grouped by file in order of appearance, each file by line.
    """
    once = dict.fromkeys(problems)
    files = {file: rank for rank, file in enumerate(dict.fromkeys(p.file for p in once))}
    return tuple(sorted(once, key=lambda problem: (files[problem.file], problem.line or 0)))


def raise_problems(problems: Iterable[Problem], *, limit: int = 10) -> None:
    """
    Raise all problems as one error, one per line; return if there are none.

    Raises:
        SuiteError: listing at most *limit* problems and how many more there are.
    """
    lines = [str(problem) for problem in problems]
    if not lines:
        return
    rest = len(lines) - limit
    if rest > 0:
        lines = [*lines[:limit], f"... and {rest} more; `harness suite check` lists them all"]
    raise SuiteError("\n".join(lines))
