"""
A suite as values: what is asked, with which tools, and what is expected.

Only values here; `harness.suites.files` reads and checks the files, `harness.scoring.cases` judges.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from harness.constraints.constraint import Constraint
from harness.errors import UsageError
from harness.messages import Message, Tool

Order = Literal["any", "strict"]
ExtraCalls = Literal["forbid", "allow"]
OtherArguments = Literal["declared", "forbid"]
Expects = Literal["calls", "abstain", "either"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCall:
    """
    One call the answer must hold.
    """

    tool: str
    arguments: Mapping[str, Constraint]
    other_arguments: OtherArguments = "declared"
    """Whether an argument not listed may be there if the tool declares it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """
    The answer must hold these calls.
    """

    calls: tuple[ExpectedCall, ...]
    order: Order = "any"
    extra_calls: ExtraCalls = "forbid"
    forbid: tuple[str, ...] = ()
    """Tools that must not be called, extra calls allowed or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """
    The answer must hold no call; its text may be constrained.
    """

    text: Constraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    One or more alternatives; the one with the fewest findings counts, the first on a tie.
    """

    alternatives: tuple[Calls | Abstention, ...]

    @property
    def expects(self) -> Expects:
        """
        ``calls`` or ``abstain`` where all alternatives agree, else ``either``.
        """
        kinds = {isinstance(alternative, Calls) for alternative in self.alternatives}
        if len(kinds) == 2:
            return "either"
        return "calls" if kinds == {True} else "abstain"

    @property
    def forbids_extra_calls(self) -> bool:
        """
        Whether every alternative expects calls and forbids any beyond them.
        """
        return all(
            isinstance(alternative, Calls) and alternative.extra_calls == "forbid"
            for alternative in self.alternatives
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    One answer asked for.
    """

    messages: tuple[Message, ...]
    """The whole conversation before the answer, reference answers of earlier turns included."""
    expectation: Expectation

    @property
    def follows_result(self) -> bool:
        """
        Whether the model has just been given a tool's result.
        """
        return bool(self.messages) and self.messages[-1].role == "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """
    Why a case is left out of metrics and gate, and until when (the date itself included).
    """

    reason: str
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One conversation with its tools; one turn, or several that are judged independently.
    """

    id: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    digest: str
    """Of messages, tools and expectation: two cases are the same question iff these are equal."""
    tags: tuple[str, ...] = ()
    group: str | None = None
    must_pass: bool = False
    quarantine: Quarantine | None = None

    @property
    def prompt(self) -> str:
        """
        The last thing a user says in the first turn, for reports; empty if nobody does.
        """
        for message in reversed(self.turns[0].messages):
            if message.role == "user":
                return message.content or ""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """
    A versioned set of cases.
    """

    name: str
    version: str
    digest: str
    """Of everything that can change an answer or its judgement; not of names and descriptions."""
    cases: tuple[Case, ...]
    tools: tuple[Tool, ...]
    """Every tool any case may offer, in declaration order."""
    document: Mapping[str, Any]
    """The suite as one self-contained document, written to a run's suite.json."""
    description: str = ""
    system: str | None = None
    system_role: str = "system"
    declare_tools: bool = True
    """False for models whose tools are trained in: judged by them, not shown them."""
    generation: Mapping[str, Any]
    released: bool = False
    """Whether versions.json holds this very version and content."""

    def case(self, identity: str) -> Case:
        """
        Find one case by its id.

        Raises:
            UsageError: if there is none.
        """
        for case in self.cases:
            if case.id == identity:
                return case
        raise UsageError(f"suite {self.name} has no case {identity!r}")

    def select(self, *, tags: Iterable[str] = (), limit: int | None = None) -> tuple[Case, ...]:
        """
        Give the cases that have all of *tags*, at most the first *limit*, in suite order.

        Raises:
            UsageError: if none is left, or a tag is on no case.
        """
        wanted = set(tags)
        known = {tag for case in self.cases for tag in case.tags}
        if missing := sorted(wanted - known):
            raise UsageError(
                f"suite {self.name} has no case tagged {', '.join(missing)}; "
                f"its tags are {', '.join(sorted(known)) or 'none'}"
            )
        chosen = [case for case in self.cases if wanted <= set(case.tags)]
        if limit is not None:
            if limit < 1:
                raise UsageError(f"--limit {limit} leaves no case; give 1 or more")
            chosen = chosen[:limit]
        if not chosen:
            raise UsageError(f"suite {self.name} has no case with all of: {', '.join(wanted)}")
        return tuple(chosen)

    def with_cases(self, cases: tuple[Case, ...]) -> "Suite":
        """
        Give the same suite holding only *cases*; name, version and digest stay the suite's.
        """
        return replace(self, cases=cases)
