"""
The settings of a run, and how they are written to its record.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from harness.backends.base import Backend, BackendOptions, Generation
from harness.runs.serving import Serving
from harness.scoring.arms import REAL
from harness.suites.selection import Choice, Sample
from harness.suites.suite import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    Callbacks for what happens during a step. Each does nothing by default.
    """

    notify: Callable[[str], None] = field(default=lambda _: None)
    """Called with one line about something worth knowing."""
    expect: Callable[[int], None] = field(default=lambda _: None)
    """Called before a checkpoint is asked, with the number of answers to make."""
    advance: Callable[[int], None] = field(default=lambda _: None)
    """Called with the number of answers just made."""
    make_room: Callable[[], None] = field(default=lambda: None)
    """Called before a gate opens a checkpoint, so that one that is open can be closed."""
    bar: bool = False
    """Whether preparing weights may draw a progress bar of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """
    What can be set besides suite and checkpoint. None leaves it to the suite or the machine.
    """

    dialect: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    workers: int = 1
    """How many processes open the checkpoint and answer."""
    devices: tuple[str, ...] = ()
    """The devices of those processes, one each, such as ``cuda:0``."""
    on: str | None = None
    """Where they run instead of on this machine: ``ray``."""
    address: str | None = None
    """That of the cluster; None begins one on this machine."""
    tokenizer: str | None = None
    """The reference whose tokenizer and chat template write the prompts for a served model."""
    concurrency: int | None = None
    """How many requests a server gets at once."""
    api_key_env: str | None = None
    """The environment variable that holds a server's key."""
    request_timeout: float | None = None
    """Seconds that a server has for one answer."""
    tensor_parallel: int | None = None
    """Over how many devices vLLM splits the weights."""
    preflight: bool = True
    """Whether a server is checked before it is asked."""
    max_new_tokens: int | None = None
    seed: int | None = None
    limit: int | None = None
    tags: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    expression: str | None = None
    failed: str | None = None
    """A run or baseline; the cases that failed in it are asked."""
    sample: int | None = None
    sample_seed: int = 0
    shard: str | None = None
    """Which part of the cases is asked: ``2/8``, or ``auto`` for what a scheduler says."""
    repeats: int = 1
    latency: bool = False
    tool_names: str | None = None
    """The style in which the model is shown the names of tools; None: unchanged."""
    opened: str | None = None
    """What the prompts had begun of stored answers that do not say so, such as ``<think>``."""
    environment: str | None = None
    """The code that an executed suite may run, ``package.module:Class``; no other is run."""
    arm: str | None = None
    """What the model is given of an executed suite (`harness.scoring.arms`); None: as it is."""
    order: int | None = None
    """Which shuffle the cases are asked in; None: suite order."""
    draft: str | None = None
    """A run or baseline whose answers are verified instead of generated, where they still hold."""
    resume: bool = False
    """Resume the unfinished run in the folder."""
    reuse: bool = False
    """Return the run that is in the folder if this one would be the same, resume it if it is
    unfinished, and replace it if it is another."""

    @property
    def choice(self) -> Choice:
        """
        Which cases are asked.
        """
        drawn = None if self.sample is None else Sample(size=self.sample, seed=self.sample_seed)
        return Choice(
            cases=self.cases,
            expression=self.expression,
            tags=self.tags,
            failed=self.failed,
            sample=drawn,
            limit=self.limit,
        )

    def backend_options(self, *suites: Suite, progress: Progress) -> BackendOptions:
        """
        Return how to open a checkpoint that will be asked *suites*; without one, any question.
        """
        return BackendOptions(
            device=self.device,
            dtype=self.dtype,
            batch_size=self.batch_size,
            dialect=self.dialect,
            tokenizer=self.tokenizer,
            concurrency=self.concurrency,
            api_key_env=self.api_key_env,
            request_timeout=self.request_timeout,
            tensor_parallel=self.tensor_parallel,
            declares_tools=not suites or any(suite.declare_tools for suite in suites),
            cases=frozenset(case.id for suite in suites for case in suite.cases) or None,
            progress=progress.bar,
            notify=progress.notify,
        )


def generation_for(suite: Suite, options: RunOptions) -> Generation:
    """
    Return how answers are decoded: by *options*, and where they say nothing by *suite*.

    Raises:
        UsageError: for an unknown setting.
    """
    settings = dict(suite.generation)
    for name in ("max_new_tokens", "seed"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    return Generation.of(settings)


def serving(backend: Backend, options: RunOptions) -> Serving:
    """
    Return how *backend* is run with these options.
    """
    return replace(
        Serving.from_json(backend.describe()),
        tool_names=options.tool_names,
        arm=None if options.arm == REAL else options.arm,
        order=options.order,
    )
