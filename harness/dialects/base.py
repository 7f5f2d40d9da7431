"""
What a dialect is, and the one result every dialect gives.

A dialect knows one text format in which a model family writes tool calls. It reads text and
nothing else: no tool is run, no name is guessed, no value is guessed. The declared tools say two
things: which type a bare text has, and whether something that looks like a call is one.
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
    """Why it cannot be read, in words; None for a readable call."""
    unfinished: bool = False
    """The output ends inside this call."""
    by_schema: tuple[str, ...] = ()
    """Arguments that the format writes as bare text: their types are those of the tool's schema."""

    @property
    def readable(self) -> bool:
        """
        Whether a correct runtime could execute this call.
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
    One answer, read: its calls in order and the text around them.
    """

    attempts: tuple[Attempt, ...] = ()
    text: str = ""
    """What stands outside the calls, without control tokens and surrounding white space."""
    repairs: tuple[str, ...] = ()
    """What a lenient reading had to mend, one short phrase each; always empty in a strict one."""


@runtime_checkable
class Dialect(Protocol):
    """
    One text format of tool calls.

    The contract, which `harness.testing` holds every member to:

    - `read` and `read_leniently` accept any text and never raise;
    - a call that is begun is always an attempt: readable, or with a problem; never dropped;
    - so is a call that lost a tag: what only talks about calls is text, and what an attempt is
      says `harness.dialects.readers.lost`;
    - cutting an answer anywhere never adds a call or a value that the whole did not hold;
    - ``read(render(calls))`` gives the same calls back.
    """

    @property
    def name(self) -> str:
        """
        The word for ``--dialect``.
        """

    @property
    def version(self) -> int:
        """
        Raised whenever the same text may be read differently: stored runs are then judged again.
        """

    @property
    def stops(self) -> tuple[str, ...]:
        """
        Tokens that end an answer, beside the tokenizer's own end of sequence.
        """

    def recognises(self, template: str) -> bool:
        """
        Whether a chat template (its Jinja source) writes assistant calls in this format.
        """

    def read(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* as the family's own runtime would. *tools* type formats that carry no types,
        and show calls that lost their opening tag; no name is ever matched against them otherwise.
        """

    def read_leniently(self, output: str, tools: Sequence[Tool] = ()) -> Reading:
        """
        Read *output* with mends that guess no name and no value, each recorded in `repairs`.

        Where nothing had to be mended this equals `read`.
        """

    def render(self, calls: Sequence[ToolCall]) -> str:
        """
        Write *calls* as a model of this family would, end of turn included.
        """
