"""
A suite asked of an opened checkpoint, and its stored answers judged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.backends.base import Backend, Generation
from harness.dialects.base import Dialect
from harness.environments.base import Environment
from harness.environments.loop import Playing
from harness.runs.cases import CaseLines
from harness.runs.judging import judged_lines
from harness.runs.runner import keys, latency_sample, run
from harness.runs.store import read_transcripts_by_key
from harness.runs.waves import ended, run_in_waves
from harness.runs.writer import RunWriter
from harness.scoring.executed import playing
from harness.scoring.score import reading_with
from harness.scoring.tool_names import shown_suite
from harness.suites.suite import Case, Suite
from harness.transcript import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """
    What a checkpoint is asked, and how.
    """

    suite: Suite
    """The whole suite."""
    cases: tuple[Case, ...]
    """The cases of it that are asked."""
    generation: Generation
    world: Environment | None = None
    """What answers the calls of an executed suite."""
    tool_names: str | None = None
    """The style in which the model is shown the names of tools; None: unchanged."""
    repeats: int = 1
    latency: bool = False
    order: int | None = None
    opened: str | None = None
    drafts: Mapping[Key, str] = field(default_factory=dict)
    """As in `harness.runs.runner.run`."""

    @property
    def shown(self) -> Suite:
        """
        The suite as the model sees it.
        """
        return shown_suite(self.suite.with_cases(self.cases), self.tool_names)


def ask(
    questions: Questions,
    backend: Backend,
    dialect: Dialect,
    writer: RunWriter,
    *,
    notify: Callable[[str], None] = lambda _: None,
    expect: Callable[[int], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """
    Have every answer made that *writer* does not have yet. *expect* is told how many there will be,
    *advance* how many have just been made: cases of an executed suite, else answers.

    Raises:
        BackendError: if the backend breaks; what was answered is kept and can be resumed.
    """
    if questions.world is None:
        _answer(questions, backend, writer, notify, expect, advance)
    else:
        _execute(questions, questions.world, backend, dialect, writer, notify, expect, advance)


def judge(
    questions: Questions, writer: RunWriter, dialect: Dialect, *, workers: int = 1
) -> CaseLines:
    """
    Judge the answers as they are stored, so that judging the stored text again finds the same.
    """
    return judged_lines(
        questions.cases,
        read_transcripts_by_key(writer.folder),
        dialect,
        questions.tool_names,
        environment=questions.world,
        max_steps=questions.suite.max_steps,
        workers=workers,
    )


def _answer(
    questions: Questions,
    backend: Backend,
    writer: RunWriter,
    notify: Callable[[str], None],
    expect: Callable[[int], None],
    advance: Callable[[int], None],
) -> None:
    cases = questions.cases
    if writer.done:
        notify(f"resuming {writer.folder}: {len(writer.done)} answers are there")
    missing = sum(key not in writer.done for key in keys(cases, questions.repeats))
    alone = latency_sample(cases) if questions.latency else ()
    expect(missing + sum(Key(case.id) not in writer.done for case in alone))
    run(
        questions.shown,
        backend,
        questions.generation,
        writer.append,
        repeats=questions.repeats,
        done=writer.done,
        latency=questions.latency,
        order=questions.order,
        drafts=questions.drafts,
        opened=questions.opened,
        progress=advance,
    )


def _execute(
    questions: Questions,
    world: Environment,
    backend: Backend,
    dialect: Dialect,
    writer: RunWriter,
    notify: Callable[[str], None],
    expect: Callable[[int], None],
    advance: Callable[[int], None],
) -> None:
    suite, repeats = questions.suite.with_cases(questions.cases), questions.repeats
    reader = reading_with(dialect)

    def begin(case: Case) -> Playing:
        return playing(
            case, world, reader, max_steps=suite.max_steps, tool_names=questions.tool_names
        )

    done = read_transcripts_by_key(writer.folder) if writer.done else {}
    if done:
        notify(f"resuming {writer.folder}: {len(done)} answers are there")
    over = sum(1 for _ in ended(suite, begin, repeats, done))
    expect(len(questions.cases) * repeats - over)
    run_in_waves(
        suite,
        backend,
        questions.generation,
        writer.append,
        begin=begin,
        repeats=repeats,
        done=done,
        latency=questions.latency,
        order=questions.order,
        drafts=questions.drafts,
        opened=questions.opened,
        progress=advance,
    )
