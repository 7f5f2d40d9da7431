"""
Cases x transcripts -> results: each case judged by what was answered.
"""

from collections.abc import Iterable, Mapping, Sequence

from harness.dialects.base import Dialect, Reading
from harness.dialects.reading import read
from harness.messages import Tool
from harness.scoring.cases import Read, score_case
from harness.scoring.results import CaseResult
from harness.scoring.tool_names import shown_case, taken_back
from harness.suites.suite import Case
from harness.transcript import Key, Transcript


def judge(
    cases: Iterable[Case],
    transcripts: Mapping[Key, Transcript],
    dialect: Dialect,
    tool_names: str | None = None,
) -> list[CaseResult]:
    """
    Judge each repeat of every case in *cases*; one without a transcript is an error.

    *tool_names* is the style in which the model saw the tools (`harness.scoring.tool_names`).
    """
    reader = reading_with(dialect)
    repeats = 1 + max((key.repeat for key in transcripts), default=0)
    results = []
    for case in cases:
        shown = shown_case(case, tool_names)
        for repeat in range(repeats):
            answers = [
                transcripts.get(Key(case.id, repeat, turn)) for turn in range(len(case.turns))
            ]
            result = score_case(shown, answers, reader, repeat=repeat)
            results.append(taken_back(result, case, tool_names))
    return results


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
