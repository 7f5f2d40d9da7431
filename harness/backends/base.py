"""
What a backend is: the one place where a checkpoint is run.

A backend turns requests into transcripts. It renders, tokenizes, batches and decodes; it judges
nothing and stores nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self, runtime_checkable

from harness.canonical import fields_from
from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import UsageError
from harness.messages import Message, Tool
from harness.transcript import Key, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    One answer to be made.
    """

    key: Key
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    """The tools to declare to the model: empty if the suite does not declare its tools."""
    draft: str | None = None
    """A guess at the answer, such as a stored one, as raw text. It saves time where it is right and
    changes nothing where it is wrong; a backend may ignore it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """
    How answers are decoded; greedily by default.
    """

    max_new_tokens: int = 128
    do_sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What another version of the harness, or another program, says of it in run.json."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """
        Return the settings of a suite.

        Raises:
            UsageError: for an unknown one.
        """
        known = {entry.name for entry in fields(cls)} - {"extra"}
        if unknown := sorted(set(settings) - known):
            raise UsageError(
                f"unknown generation setting {unknown[0]!r}; there are: {', '.join(sorted(known))}"
            )
        return cls(**settings)

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> Self:
        """
        Read the ``generation`` block of run.json.
        """
        return cls(**fields_from(block, cls))

    def to_json(self) -> dict[str, Any]:
        """
        Return the ``generation`` block of run.json, without unset sampling keys.
        """
        block: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": self.do_sample,
            "seed": self.seed,
        }
        for name in ("temperature", "top_p", "top_k"):
            if getattr(self, name) is not None:
                block[name] = getattr(self, name)
        return block | dict(self.extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """
    How to open a checkpoint; None means that the backend chooses.
    """

    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    dialect: str | None = None
    declares_tools: bool = True
    """Whether prompts will declare tools: a template that drops declarations is then refused."""
    cases: frozenset[str] | None = None
    """The ids of the whole suite, where known: a replay with a line for another case is refused."""
    tokenizer: str | None = None
    """A reference whose tokenizer and chat template write the prompts for a served model."""
    concurrency: int | None = None
    """How many requests a server gets at once, where *batch_size* does not say."""
    api_key_env: str | None = None
    """The environment variable that holds a server's key."""
    request_timeout: float | None = None
    """Seconds that a server has for one answer."""
    tensor_parallel: int | None = None
    """Over how many devices vLLM splits the weights."""
    traced: bool = False
    """Whether a server is asked for the token ids of its prompts and answers."""
    progress: bool = False
    """Whether a progress bar may be shown while weights are prepared."""
    notify: Callable[[str], None] = field(default=lambda _: None)
    """Called with one line about anything notable, such as a halved batch or a download."""


@runtime_checkable
class Templated(Protocol):
    """
    A backend that writes its prompts by the chat template of a tokenizer of its own.
    """

    @property
    def tokenizer(self) -> Any:
        """
        The tokenizer, chat template included.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """
    How often a server answered one prompt otherwise than the first time: a floor of its noise.
    """

    asked: int
    differing: int

    def to_json(self) -> dict[str, int]:
        """
        Return it in JSON types.
        """
        return {"asked": self.asked, "differing": self.differing}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing that was checked before a checkpoint is asked.
    """

    what: str
    finding: str
    broken: bool = False
    """Whether what is measured would not be the checkpoint."""
    stability: Stability | None = None
    """How stable answers are, where that is what was checked."""


@runtime_checkable
class Preflighted(Protocol):
    """
    A backend that can be checked before it is asked, such as a server.
    """

    def preflight(self, requests: Sequence[Request]) -> Iterator[Finding]:
        """
        Yield what is found with *requests*, of which there may be none, one check at a time.
        """


@runtime_checkable
class Watched(Protocol):
    """
    A backend that can become another one while it answers, such as a server that is updated.
    """

    def changes(self) -> Sequence[str]:
        """
        Return what has changed since it was opened, a line each.
        """


@runtime_checkable
class Spread(Protocol):
    """
    A backend whose answers are made by other processes, on this machine or on others.
    """

    at_once: int
    """How many requests it is best given at once."""

    def hardware(self) -> Mapping[str, Any]:
        """
        Return where they are made, as `harness.provenance.hardware`; empty where places differ.
        """


@runtime_checkable
class Loadable(Protocol):
    """
    A backend whose answers can be timed while it makes many at once, such as a server.
    """

    def answer_under_load(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests*, always as many at once as it was opened for, each with `timing`.
        """


@runtime_checkable
class WithLogits(Templated, Protocol):
    """
    A backend that can say how near the model was to another token.
    """

    def logits(
        self, request: Request, begun: Sequence[int], tokens: Sequence[int]
    ) -> Sequence[float]:
        """
        Return the logits of *tokens* for what follows the prompt of *request* and *begun*, the ids
        of an answer's first tokens.

        Raises:
            TemplateError: if the request cannot be rendered.
            BackendError: if the model fails.
        """


class Backend(Protocol):
    """
    One opened checkpoint.

    The contract, which `harness.testing` holds every member to:

    - `answer` yields exactly one transcript for each request, in groups: a group is yielded as soon
      as it is done, so that a killed run loses at most the group in flight;
    - an answer that could not be made is a transcript with `error`: it never has text and is never
      missing;
    - what makes all answers impossible (no weights, no memory for a single row) raises
      BackendError;
    - greedy answers do not depend on how requests are grouped (in float32).
    """

    @property
    def checkpoint(self) -> Checkpoint:
        """
        The checkpoint that is being run.
        """

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json: name, dtype, device, batch, attention.
        """

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests* in batches, in an order of the backend's choice.
        """

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time, after a warm-up, with `Transcript.timing` measured.

        Raises:
            UsageError: at the call, before any answer, if time cannot be measured (a replay).
        """

    def close(self) -> None:
        """
        Free what the backend holds. It must not be used afterwards.
        """
