"""
Cases x transcripts -> results: each case judged by what was answered.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

from harness.dialects.base import Dialect, Reading
from harness.dialects.reading import read
from harness.environments.base import Environment
from harness.messages import Tool
from harness.scoring.cases import Known, Read, score_case
from harness.scoring.executed import score_executed
from harness.scoring.results import CaseResult
from harness.scoring.tool_names import shown_case, taken_back
from harness.suites.environment import DEFAULT_STEPS
from harness.suites.suite import Case
from harness.transcript import Key, Transcript


def judge(
    cases: Iterable[Case],
    transcripts: Mapping[Key, Transcript],
    dialect: Dialect,
    tool_names: str | None = None,
    *,
    environment: Environment | None = None,
    max_steps: int = DEFAULT_STEPS,
) -> list[CaseResult]:
    """
    Return what `judged` yields.
    """
    found = judged(
        cases, transcripts, dialect, tool_names, environment=environment, max_steps=max_steps
    )
    return list(found)


def judged(
    cases: Iterable[Case],
    transcripts: Mapping[Key, Transcript],
    dialect: Dialect,
    tool_names: str | None = None,
    *,
    environment: Environment | None = None,
    max_steps: int = DEFAULT_STEPS,
    repeats: int | None = None,
) -> Iterator[CaseResult]:
    """
    Judge each repeat of every case in *cases*; one without a transcript is an error. *repeats* is
    how many there are, where that is known.

    *tool_names* is the style in which the model saw the tools (`harness.scoring.tool_names`). Where
    an *environment* is given, the calls of every case are run in it again.

    Raises:
        TranscriptError: if a call no longer returns what is stored.
    """
    reader = reading_with(dialect)
    repeats = repeats or repeats_of(transcripts)
    cases = tuple(cases)
    times = Counter(case.digest for case in cases)
    known: Known = {}
    for case in cases:
        again = repeats > 1 or times[case.digest] > 1
        shown = shown_case(case, tool_names)
        for repeat in range(repeats):
            if environment is not None:
                yield score_executed(
                    case,
                    _steps(case, transcripts, repeat, max_steps),
                    reader,
                    environment,
                    max_steps=max_steps,
                    repeat=repeat,
                    tool_names=tool_names,
                )
                continue
            answers = [
                transcripts.get(Key(case.id, repeat, turn)) for turn in range(len(case.turns))
            ]
            result = score_case(
                shown, answers, reader, repeat=repeat, known=known if again else None
            )
            yield taken_back(result, case, tool_names)
        if times[case.digest] == 1:
            known.clear()  # nobody is asked this again


def repeats_of(transcripts: Iterable[Key]) -> int:
    """
    Return how many times each case was asked.
    """
    return 1 + max((key.repeat for key in transcripts), default=0)


def _steps(
    case: Case, transcripts: Mapping[Key, Transcript], repeat: int, max_steps: int
) -> list[Transcript]:
    keys = (Key(case.id, repeat, 0, step) for step in range(max_steps))
    return [transcripts[key] for key in takewhile(transcripts.__contains__, keys)]


def reading_with(dialect: Dialect) -> Read:
    """
    Return the function that reads a transcript by *dialect*, strictly and leniently.
    """

    def both(transcript: Transcript, tools: Sequence[Tool]) -> tuple[Reading, Reading]:
        return (
            read(dialect, transcript, tools),
            read(dialect, transcript, tools, lenient=True),
        )

    return both


def only(cases: Sequence[Case], identities: Iterable[str]) -> tuple[Case, ...]:
    """
    Return those of *cases* whose id is in *identities*, in their order.
    """
    wanted = set(identities)
    return tuple(case for case in cases if case.id in wanted)
