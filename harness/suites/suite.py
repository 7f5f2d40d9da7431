"""
A suite as values: what is asked, with which tools, and what is expected.

Only values here; `harness.suites.files` reads and checks the files, `harness.scoring.cases` judges.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from harness.constraints.constraint import Constraint
from harness.errors import UsageError
from harness.messages import Message, Tool
from harness.suites.environment import DEFAULT_STEPS, EnvironmentSpec
from harness.suites.outcome import Outcome
from harness.wording import suggest

Order = Literal["any", "strict"]
ExtraCalls = Literal["forbid", "allow"]
OtherArguments = Literal["declared", "forbid"]
Expects = Literal["calls", "abstain", "either"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCall:
    """
    One call the answer must contain.
    """

    tool: str
    arguments: Mapping[str, Constraint]
    other_arguments: OtherArguments = "declared"
    """Whether unlisted arguments are allowed if the tool declares them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """
    The answer must contain these calls.
    """

    calls: tuple[ExpectedCall, ...]
    order: Order = "any"
    extra_calls: ExtraCalls = "forbid"
    forbid: tuple[str, ...] = ()
    """Tools that must not be called, whether or not extra calls are allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """
    The answer must contain no call; its text may be constrained.
    """

    text: Constraint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    One or more alternatives; the one with the fewest findings counts, the first on a tie. None
    where nothing is expected of this answer: of executed cases that only what they come to counts.
    """

    alternatives: tuple[Calls | Abstention, ...]

    @property
    def expects(self) -> Expects:
        """
        ``calls`` or ``abstain`` if all alternatives agree, else ``either``.
        """
        kinds = {type(alternative) for alternative in self.alternatives}
        if len(kinds) != 1:
            return "either"
        return "calls" if Calls in kinds else "abstain"

    @property
    def forbids_extra_calls(self) -> bool:
        """
        Return whether every alternative expects calls and forbids any beyond them.
        """
        return all(
            isinstance(alternative, Calls) and alternative.extra_calls == "forbid"
            for alternative in self.alternatives
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    One answer to be made.
    """

    messages: tuple[Message, ...]
    """The whole conversation before the answer, reference answers of earlier turns included."""
    expectation: Expectation

    @property
    def follows_result(self) -> bool:
        """
        Return whether the model has just received a tool's result.
        """
        return bool(self.messages) and self.messages[-1].role == "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """
    Why a case is left out of metrics and gate, and until when (inclusive).
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
    """Of messages, tools and expectation: two cases are the same question iff it is equal."""
    tags: tuple[str, ...] = ()
    group: str | None = None
    must_pass: bool = False
    quarantine: Quarantine | None = None
    outcome: Outcome | None = None
    """What it must come to; None in a suite that is not executed."""
    proposed: bool = False
    """Whether nobody has confirmed yet that its expectation is right: it is what a model answered
    once (`harness suite import openai-log`)."""

    @property
    def counts(self) -> bool:
        """
        Whether the case is part of metrics and gate: it is neither in quarantine nor proposed.
        """
        return self.quarantine is None and not self.proposed

    @property
    def prompt(self) -> str:
        """
        The last user message of the first turn, for reports; empty if there is none.
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
    """Of everything that can change an answer or its judgement, without names and descriptions."""
    cases: tuple[Case, ...]
    tools: tuple[Tool, ...]
    """Every tool that any case may offer, in declaration order."""
    text: str
    """The suite as one self-contained document in JSON, written to a run's suite.json."""
    description: str = ""
    system: str | None = None
    system_role: str = "system"
    declare_tools: bool = True
    """False for models whose tools are trained in: answers are judged by tools not shown."""
    generation: Mapping[str, Any]
    released: bool = False
    """Whether versions.json has this version with this content."""
    environment: EnvironmentSpec | None = None
    """What answers the tool calls; None if they are only judged."""
    max_steps: int = DEFAULT_STEPS
    """How many answers a case may take, with an environment."""

    @property
    def document(self) -> dict[str, Any]:
        """
        The document, read from its text: a large suite is not kept twice.
        """
        document: dict[str, Any] = json.loads(self.text)
        return document

    def case(self, identity: str) -> Case:
        """
        Find one case by its id.

        Raises:
            UsageError: if there is none.
        """
        for case in self.cases:
            if case.id == identity:
                return case
        known = [case.id for case in self.cases]
        raise UsageError(f"suite {self.name} has no case {identity!r}{suggest(identity, known)}")

    def with_cases(self, cases: tuple[Case, ...]) -> "Suite":
        """
        Return this suite with only *cases*; name, version and digest stay those of the whole suite.
        """
        return replace(self, cases=cases)
