"""
What a dialect is, and the one result that every dialect returns.

A dialect knows one text format in which a model family writes tool calls. It only reads text:
it runs no tool and guesses neither names nor values. The declared tools tell it two things: the
type of a bare text, and whether something that looks like a call is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from harness.messages import Tool, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    One call the model wrote, or tried to.

    It is readable when it has a name and arguments; otherwise `problem` says why not.
    """

    name: str | None
    """The tool's name exactly as written, or None where no name could be read."""
    arguments: Mapping[str, Any] | None
    """Decoded arguments, or None where they could not be decoded."""
    raw: str
    """The exact text of this call, its delimiters included."""
    start: int
    """Where `raw` begins in the output, in characters."""
    problem: str | None = None
    """Why it cannot be read; None for a readable call."""
    unfinished: bool = False
    """The output ends inside this call."""
    by_schema: tuple[str, ...] = ()
    """Arguments that the format writes as bare text; their types come from the tool's schema."""

    @property
    def readable(self) -> bool:
        """
        Return whether a correct runtime could execute this call.
        """
        return self.problem is None

    @property
    def end(self) -> int:
        """
        Where `raw` ends in the output, in characters.
        """
        return self.start + len(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    An answer as read: its calls in order and the text around them.
    """

    attempts: tuple[Attempt, ...] = ()
    text: str = ""
    """The text outside the calls, without control tokens and surrounding white space."""
    repairs: tuple[str, ...] = ()
    """What a lenient reading had to repair, one short phrase each; empty in a strict reading."""


@runtime_checkable
class Dialect(Protocol):
    """
    One text format of tool calls.

    The contract, which `harness.testing` holds every member to:

    - `read` and `read_leniently` accept any text and never raise;
    - a call that has begun is always an attempt, readable or with a problem, and never dropped;
    - so is a call that lost a tag (`harness.dialects.readers.lost` tells an attempt from text
      that only talks about calls);
    - cutting an answer off anywhere never adds a call or a value that the whole did not contain;
    - ``read(render(calls))`` returns the same calls.
    """

    @property
    def name(self) -> str:
        """
        The name that ``--dialect`` takes.
        """

    @property
    def version(self) -> int:
        """
        Increased whenever the same text may be read differently: stored runs are then judged again.
        """

    @property
    def stops(self) -> tuple[str, ...]:
        """
        Tokens that end an answer, in addition to the tokenizer's end of sequence.
        """

    def recognises(self, template: str) -> bool:
        """
        Return whether a chat template (its Jinja source) writes calls in this format.
        """

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as the family's own runtime would. *tools* give the types in formats that have
        none, and reveal calls that lost their opening tag; names are not checked against them.
        """

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with repairs that guess neither names nor values; each is recorded in
        `Reading.repairs`.

        Equal to `read` where nothing had to be repaired.
        """

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as a model of this family would, end of turn included.
        """
