"""
Agents without a model: what an executed suite is worth.

========== =======================================================================================
agent      what it does
========== =======================================================================================
oracle     plays the reference of the case (`harness.scoring.reference`)
nothing    says that it cannot help
first-tool calls the first tool with the prompt as its text, then says what came back
repeating  makes that call again and again
========== =======================================================================================

A case that the oracle fails cannot be passed, or its reference is wrong. What the others pass is
worth nothing to know of a model.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.dialects.native import NATIVE
from harness.dialects.reading import read
from harness.environments.base import Environment
from harness.environments.documents import query_argument
from harness.environments.loop import Playing
from harness.messages import ToolCall
from harness.scoring.cases import Read
from harness.scoring.executed import playing, score_executed
from harness.scoring.reference import Reference, references
from harness.scoring.results import CaseResult
from harness.suites.suite import Case, Suite
from harness.transcript import Transcript

Agent = Callable[[Playing], Mapping[str, Any]]
"""Returns the next answer of a case that is under way, as an OpenAI message."""

READ: Read = lambda transcript, tools: (  # noqa: E731
    read(NATIVE, transcript, tools),
    read(NATIVE, transcript, tools, lenient=True),
)

CANNOT = "I cannot help with that."


def nothing(under_way: Playing) -> Mapping[str, Any]:
    """
    Do nothing.
    """
    return say(CANNOT)


def first_tool(under_way: Playing) -> Mapping[str, Any]:
    """
    Call the first tool with the prompt, and repeat what it returned.
    """
    if not under_way.answers:
        return repeating(under_way)
    return say(under_way.messages[-1].content or CANNOT)


def repeating(under_way: Playing) -> Mapping[str, Any]:
    """
    Make the same call in every step.
    """
    case = under_way.case
    if not case.tools:
        return say(CANNOT)
    tool = case.tools[0]
    argument = query_argument(tool)
    return call(ToolCall(name=tool.name, arguments={argument: case.prompt} if argument else {}))


AGENTS: Mapping[str, Agent] = {
    "nothing": nothing,
    "first-tool": first_tool,
    "repeating": repeating,
}


def played(reference: Reference) -> Agent:
    """
    Return the agent that plays a reference.
    """

    def agent(under_way: Playing) -> Mapping[str, Any]:
        step = len(under_way.answers)
        if step < len(reference.steps):
            return call(*reference.steps[step])
        return say(reference.text)

    return agent


def say(text: str) -> Mapping[str, Any]:
    """
    Return an answer without calls.
    """
    return {"role": "assistant", "content": text}


def call(*calls: ToolCall) -> Mapping[str, Any]:
    """
    Return an answer of calls.
    """
    return {"role": "assistant", "tool_calls": [each.to_chat() for each in calls]}


def run_agent(suite: Suite, case: Case, environment: Environment, agent: Agent) -> Playing:
    """
    Return *case* as *agent* played it.
    """
    under_way = playing(case, environment, READ, max_steps=suite.max_steps)
    while under_way.stop is None:
        under_way.take(Transcript(key=under_way.key(0), message=agent(under_way)))
    return under_way


def judge_answers(
    suite: Suite, case: Case, environment: Environment, answers: Iterable[Transcript]
) -> CaseResult:
    """
    Return the judgement of answers that are OpenAI messages.
    """
    return score_executed(case, list(answers), READ, environment, max_steps=suite.max_steps)


def play_reference(
    suite: Suite, case: Case, environment: Environment
) -> tuple[Playing | None, CaseResult | None]:
    """
    Return *case* as the oracle played it, and the judgement: of the first reference that is right,
    else of the first; None if the case says nothing that could be played.
    """
    first: tuple[Playing | None, CaseResult | None] = (None, None)
    for reference in references(suite, case, environment):
        done = run_agent(suite, case, environment, played(reference))
        result = judge_answers(suite, case, environment, done.answers)
        if result.status == "correct":
            return done, result
        if first[0] is None:
            first = done, result
    return first
