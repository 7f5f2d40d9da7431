"""
The arms of a suite of documents: what is lost in asking, in searching and in reading.

=============== =================================================================================
arm             what the model is given
=============== =================================================================================
``real``        the suite as it is
``golden``      no tools; the relevant documents stand before the question: reading alone
``closed-book`` no tools and no documents: what the model knows by itself
=============== =================================================================================

In the other arms than the real one nothing is searched, so neither ``expect`` nor ``relevant`` is
judged; ``answer`` and unsupported facts are. A case keeps its id and digest: it is the same
question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.environments.documents import NOTHING, shown
from harness.errors import UsageError
from harness.messages import Message
from harness.suites.outcome import Outcome
from harness.suites.suite import Case, Expectation, Suite, Turn

REAL, GOLDEN, CLOSED_BOOK = "real", "golden", "closed-book"
ARMS = (REAL, GOLDEN, CLOSED_BOOK)


def armed_cases(suite: Suite, cases: Sequence[Case], arm: str | None) -> tuple[Case, ...]:
    """
    Return *cases* of *suite* as *arm* asks them; None is the real one.

    Raises:
        UsageError: if the arm is unknown, or the suite has no documents.
    """
    if arm in (None, REAL):
        return tuple(cases)
    if arm not in ARMS:
        raise UsageError(f"unknown arm {arm!r}; choose from {', '.join(ARMS)}")
    if suite.environment is None or suite.environment.kind != "documents":
        raise UsageError(f"suite {suite.name} searches no documents; --arm is for suites that do")
    corpus = {each["id"]: each for each in suite.environment.settings["corpus"]}
    return tuple(_armed(case, corpus if arm == GOLDEN else None) for case in cases)


def _armed(case: Case, corpus: Mapping[str, Mapping[str, Any]] | None) -> Case:
    outcome = case.outcome or Outcome()
    turn = case.turns[0]
    messages = turn.messages
    if corpus is not None:
        found = [f"[{name}] {shown(corpus[name])}" for name in outcome.relevant or ()]
        given = "\n\n".join(found) or NOTHING
        last = messages[-1]
        asked = Message(role=last.role, content=f"{given}\n\n{last.content or ''}")
        messages = (*messages[:-1], asked)
    return replace(
        case,
        turns=(Turn(messages=messages, expectation=Expectation(alternatives=())),),
        tools=(),
        outcome=Outcome(answer=outcome.answer),
    )
