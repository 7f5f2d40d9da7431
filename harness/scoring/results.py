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
class CaseResult:
    """
    One case, judged; turns are judged independently and the worst decides.
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

    @property
    def status(self) -> Status:
        """
        The worst of the turns, by `PRECEDENCE`.
        """
        if len(self.turns) == 1:
            return self.turns[0].status
        return min((turn.status for turn in self.turns), key=PRECEDENCE.index)

    @property
    def status_lenient(self) -> Status:
        """
        The same for the lenient reading.
        """
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
        Return whether any turn has a finding with one of *codes*.
        """
        return any(turn.has(*codes) for turn in self.turns)
