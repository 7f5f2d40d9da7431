"""
The results of judging: findings, turn results and case results. Values only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.suites.suite import Expects

Status = Literal["error", "truncated", "malformed", "incorrect", "correct"]

PRECEDENCE: tuple[Status, ...] = ("error", "truncated", "malformed", "incorrect", "correct")
"""The first that applies is a turn's status; the first among its turns is a case's."""

FINDINGS: Mapping[str, str] = {
    "no_call": "calls expected, nothing tried",
    "wrong_tool": "a declared tool was called where another was expected",
    "undeclared_tool": "a name nobody declared",
    "missing_call": "fewer calls than expected",
    "extra_call": "more calls than expected",
    "unexpected_call": "a call where abstention was expected",
    "forbidden_tool": "a call of a forbidden tool",
    "call_after_result": "a call after a tool result that held the answer",
    "missing_argument": "an expected argument is not there",
    "unexpected_argument": "an argument that may not be there",
    "wrong_type": "an argument of another JSON type than expected",
    "wrong_value": "an argument with another value than expected",
    "schema_violation": "the call does not fit the schema its tool declares",
    "malformed_call": "a call that cannot be read",
    "unfinished_call": "the output ends inside a call",
    "wrong_order": "the right calls in another order than expected",
    "wrong_text": "the answer's text does not meet its constraint",
    "no_relevant_document": "no document that answers the case was found",
    "wrong_answer": "the final text is not the expected answer, or there is none",
    "unsupported_fact": "a fact of the final text that neither tools nor conversation hold",
    "goal_missed": "the end state is not what was to be done",
    "collateral_change": "something changed that the goal does not name",
    "step_limit": "as many answers as a case may take, and still a call",
    "repeated_step": "the calls of one step were made again in the next",
    "repaired": "the lenient reading had to repair something (a warning)",
}
"""Every finding code with its meaning. Codes are stable, as stored runs contain them."""

WARNINGS = frozenset({"repaired"})
"""Findings that do not make a turn incorrect."""

TOOL_FAULTS = frozenset(
    {
        "no_call",
        "wrong_tool",
        "undeclared_tool",
        "missing_call",
        "extra_call",
        "unexpected_call",
        "forbidden_tool",
        "call_after_result",
        "malformed_call",
        "unfinished_call",
    }
)
"""Findings about which tools were called, ignoring arguments."""

ARGUMENT_FAULTS = frozenset(
    {"missing_argument", "unexpected_argument", "wrong_type", "wrong_value", "schema_violation"}
)
"""Findings about what the tools were called with."""

SECOND_CALL_KINDS = (
    "duplicate",
    "same_tool",
    "other_tool",
    "undeclared_tool",
    "unfinished",
    "malformed",
)
"""What the needless further call was. ``malformed``: it was closed but cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One stable code about one thing wrong in one turn.
    """

    code: str
    detail: str
    """One sentence for people; never parsed."""
    kind: str | None = None
    """For extra_call: one of `SECOND_CALL_KINDS`; else None."""
    call: int | None = None
    """Which call of the answer it is about, from 0, those that cannot be read counted too; None if
    it is about the turn as a whole (or, in a run of format 1, where that is not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """
    One answer, judged.
    """

    expects: Expects
    follows_result: bool
    calls: tuple[Mapping[str, Any], ...]
    """The readable calls in order, as ``{"tool": ..., "arguments": {...}}``."""
    findings: tuple[Finding, ...]
    status: Status
    status_lenient: Status
    pairs: tuple[tuple[str, str], ...] = ()
    """Expected tool and what was called for it: a declared tool's name, ``(none)``,
    ``(undeclared)``, ``(malformed)`` or ``(unfinished)``. The confusion matrix counts these."""
    finish_reason: str | None = None
    output_tokens: int | None = None
    # A whole number stays one, so that a record is written again to the same bytes.
    latency_ms: float | int | None = None
    ttft_ms: float | int | None = None
    margin: float | int | None = None
    """How much likelier the called tool was than the runner-up (`Transcript.margin`)."""

    def has(self, *codes: str) -> bool:
        """
        Return whether any finding has one of *codes*.
        """
        # Fast path: most answers have no finding, and every metric asks.
        return bool(self.findings) and any(finding.code in codes for finding in self.findings)

    @property
    def made_expected_calls(self) -> bool:
        """
        Return whether the first calls of this turn are of the expected tools, ignoring arguments.

        More calls may follow: each is an extra_call, and may be of any tool or unreadable.
        """
        if self.expects != "calls" or self.has("no_call", "wrong_tool", "missing_call"):
            return False
        extra = {finding.call for finding in self.findings if finding.code == "extra_call"}
        return not any(
            finding.code in ("undeclared_tool", "malformed_call", "unfinished_call")
            and finding.call not in extra
            for finding in self.findings
        )

    @property
    def second_call_kinds(self) -> tuple[str, ...]:
        """
        The kinds of calls that follow the expected ones in the same answer; empty for none.
        """
        if not self.made_expected_calls:
            return ()
        return tuple(
            finding.kind or "other_tool"
            for finding in self.findings
            if finding.code == "extra_call"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One difference between the state at the beginning of a case and at its end.
    """

    table: str
    row: str
    """The id of the row."""
    kind: Literal["changed", "added", "removed"]
    column: str | None
    """Of a row that changed; None if it is about the row as a whole."""
    old: Any
    new: Any
    """The values of the column, or the row as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """
    What came of an executed case. What the case does not ask for is None.
    """

    stop: str
    """Why it ended: `harness.environments.loop.Stop`."""
    steps: tuple[TurnResult, ...]
    """The answers after the first."""
    findings: tuple[Finding, ...]
    """About the case as a whole."""
    called: bool
    """Whether any call was tried."""
    said: bool
    """Whether there is a final text."""
    relevant: int | None = None
    """How many documents are relevant."""
    found: bool | None = None
    """Whether a relevant document came back from any call; of cases with relevant documents."""
    recall: float | int | None = None
    reciprocal_rank: float | int | None = None
    ndcg: float | int | None = None
    """Of the last ranking; None if there is none, or no relevant document."""
    answered: bool | None = None
    """Whether the final text is the expected answer."""
    reached: bool | None = None
    """Whether the end state is what was to be done, changes beside it aside."""
    changes: tuple[Change, ...] = ()
    """How the state at the end differs from the one at the beginning."""

    @property
    def status(self) -> Status:
        """
        The worst of what came after the first answer.
        """
        return self._worst([step.status for step in self.steps])

    @property
    def status_lenient(self) -> Status:
        """
        The same for the lenient reading. What was run is what the strict one read.
        """
        return self._worst([step.status_lenient for step in self.steps])

    def _worst(self, steps: list[Status]) -> Status:
        faulty = any(finding.code not in WARNINGS for finding in self.findings)
        whole: Status = "incorrect" if faulty else "correct"
        return min([*steps, whole], key=PRECEDENCE.index)

    def has(self, *codes: str) -> bool:
        """
        Return whether any finding has one of *codes*.
        """
        return any(finding.code in codes for finding in self.findings) or any(
            step.has(*codes) for step in self.steps
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """
    One case, judged; turns are judged independently and the worst decides. Of an executed case the
    first answer is its turn, and what came of it is in `executed`.
    """

    id: str
    repeat: int
    digest: str
    group: str | None
    tags: tuple[str, ...]
    must_pass: bool
    quarantined: bool
    """Whether the case is left out of metrics and gate, in quarantine or as it is only proposed."""
    forbids_extra_calls: bool
    """Whether every turn that expects calls forbids any beyond them."""
    turns: tuple[TurnResult, ...]
    executed: Execution | None = None

    @property
    def status(self) -> Status:
        """
        The worst of the turns, and of what came of them, by `PRECEDENCE`.
        """
        if self.executed is not None:
            return min(self.turns[0].status, self.executed.status, key=PRECEDENCE.index)
        if len(self.turns) == 1:
            return self.turns[0].status
        return min((turn.status for turn in self.turns), key=PRECEDENCE.index)

    @property
    def status_lenient(self) -> Status:
        """
        The same for the lenient reading.
        """
        if self.executed is not None:
            both = (self.turns[0].status_lenient, self.executed.status_lenient)
            return min(both, key=PRECEDENCE.index)
        return min((turn.status_lenient for turn in self.turns), key=PRECEDENCE.index)

    @property
    def scored(self) -> bool:
        """
        Return whether this case counts: all but errors and quarantined ones do.
        """
        return self.status != "error" and not self.quarantined

    @property
    def expects_calls(self) -> bool:
        """
        Return whether any turn expects calls; a case of which no turn does expects abstention.
        """
        return any(turn.expects == "calls" for turn in self.turns)

    @property
    def expects_abstention(self) -> bool:
        """
        Return whether every turn expects abstention.
        """
        return all(turn.expects == "abstain" for turn in self.turns)

    @property
    def made_expected_calls(self) -> bool:
        """
        Return whether every turn that expects calls began with them.
        """
        turns = [turn for turn in self.turns if turn.expects == "calls"]
        return bool(turns) and all(turn.made_expected_calls for turn in turns)

    @property
    def second_call_kinds(self) -> tuple[str, ...]:
        """
        The kinds of needless further calls over all turns.
        """
        return tuple(kind for turn in self.turns for kind in turn.second_call_kinds)

    def has(self, *codes: str) -> bool:
        """
        Return whether any turn has a finding with one of *codes*, or what came of it has.
        """
        return any(turn.has(*codes) for turn in self.turns) or (
            self.executed is not None and self.executed.has(*codes)
        )

    @property
    def answers(self) -> tuple[TurnResult, ...]:
        """
        Every answer: the turns, and the further steps of an executed case.
        """
        return self.turns if self.executed is None else self.turns + self.executed.steps

    @property
    def findings(self) -> tuple[Finding, ...]:
        """
        Everything that is wrong, answer by answer, then with the case as a whole.
        """
        found = [finding for answer in self.answers for finding in answer.findings]
        return (*found, *(self.executed.findings if self.executed is not None else ()))
