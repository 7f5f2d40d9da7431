"""
What is wrong with a file, and where: problems with file and line, and the nearest known name.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from harness.errors import SuiteError

Steps = tuple[str | int, ...]
"""The way to a part of a document: ``("cases", 3, "expect")``."""

Flaw = tuple[Steps, str]
"""The part of a document that is wrong, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    One thing wrong in a file.
    """

    file: str
    line: int | None
    """None where the value came from memory, not from a file."""
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
    Where each part of a document stands, which may be spread over several files.
    """

    known: dict[Steps, tuple[str, int | None]]

    @classmethod
    def of(cls, file: str, line: int | None = None) -> "Places":
        """
        Begin with the whole document in one file.
        """
        return cls(known={(): (file, line)})

    def graft(self, other: "Places", at: Steps) -> None:
        """
        Take over what *other* knows, as the part *at* of this document.
        """
        for steps, place in other.known.items():
            self.known[at + steps] = place

    def find(self, steps: Steps) -> tuple[str, int | None]:
        """
        Give file and line of a part, or of the nearest part around it that is known.
        """
        while steps not in self.known:
            steps = steps[:-1]
        return self.known[steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """
    The problems found so far, all of them, not only the first.
    """

    places: Places
    found: list[Problem] = field(default_factory=list)

    def add(self, steps: Steps, message: str) -> None:
        """
        Note a problem with the part at *steps*.
        """
        file, line = self.places.find(steps)
        problem = Problem(file=file, line=line, message=message)
        if problem not in self.found:
            self.found.append(problem)

    def in_order(self) -> list[Problem]:
        """
        Give all problems, file by file as they came up, each file by line.
        """
        files = list(dict.fromkeys(problem.file for problem in self.found))
        return sorted(
            self.found, key=lambda problem: (files.index(problem.file), problem.line or 0)
        )


def raise_problems(problems: Iterable[Problem], *, limit: int = 10) -> None:
    """
    Raise what was found as one error, a problem a line; return if there is nothing.

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


def suggest(name: object, known: Iterable[str]) -> str:
    """
    Give the end of a sentence about an unknown name: the closest known one, or all of them.
    """
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names else "; there is none"
