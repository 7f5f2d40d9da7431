"""
Judge an executed case: its answers, and what came of them.

The calls are run again (`harness.environments.loop`), so what is judged follows from the stored
text. The first answer is judged by ``expect``, if the case has it; the others by whether their
calls can be run. Then the case as a whole: whether a relevant document came back, whether the final
text is the expected answer and rests on what the tools returned, and whether the end state is the
goal. The final text is that of an answer without calls; a case that stops otherwise has none.
"""

from collections.abc import Iterator, Sequence

from harness.environments.base import Environment
from harness.environments.loop import Playing
from harness.scoring.cases import Read, score_turn
from harness.scoring.goals import changes, judge_goal
from harness.scoring.grounding import unsupported
from harness.scoring.ranking import ndcg, recall, reciprocal_rank
from harness.scoring.results import CaseResult, Change, Execution, Finding, TurnResult
from harness.scoring.tool_names import shown_case, shown_names, taken_back
from harness.scoring.tool_schema import misfit
from harness.suites.outcome import Outcome
from harness.suites.suite import Case, Expectation, Turn
from harness.transcript import Transcript
from harness.wording import count

_CUT = 240


def playing(
    case: Case,
    environment: Environment,
    read: Read,
    *,
    max_steps: int,
    tool_names: str | None = None,
) -> Playing:
    """
    Begin *case* in the style in which the model sees the names of its tools.
    """
    real = {} if tool_names is None else shown_names(case, tool_names)
    return Playing(
        shown_case(case, tool_names),
        environment,
        read=lambda transcript, tools: read(transcript, tools)[0],
        misfit=misfit,
        max_steps=max_steps,
        names={shown: name for name, shown in real.items()},
    )


def score_executed(
    case: Case,
    answers: Sequence[Transcript],
    read: Read,
    environment: Environment,
    *,
    max_steps: int,
    repeat: int = 0,
    tool_names: str | None = None,
) -> CaseResult:
    """
    Judge one repeat of *case*; *answers* are those of its steps, in order. A case that did not end
    is one whose next answer could not be made.

    Raises:
        TranscriptError: if a call no longer returns what an answer stores.
    """
    played = playing(case, environment, read, max_steps=max_steps, tool_names=tool_names)
    turn, results = played.case.turns[0], []
    for answer in answers:
        if played.stop is not None:
            break
        results.append(score_turn(turn, played.case.tools, played.take(answer), read))
        turn = _further(played)
    if played.stop is None:
        results.append(score_turn(turn, played.case.tools, None, read))
    result = CaseResult(
        id=case.id,
        repeat=repeat,
        digest=case.digest,
        group=case.group,
        tags=case.tags,
        must_pass=case.must_pass,
        quarantined=case.quarantine is not None,
        forbids_extra_calls=case.turns[0].expectation.forbids_extra_calls,
        turns=(results[0],),
        executed=_execution(case, played, tuple(results[1:]), getattr(environment, "k", None)),
    )
    return taken_back(result, case, tool_names)


def _further(played: Playing) -> Turn:
    return Turn(messages=played.messages, expectation=Expectation(alternatives=()))


def _execution(
    case: Case, played: Playing, steps: tuple[TurnResult, ...], k: int | None
) -> Execution:
    outcome = case.outcome or Outcome()
    text = final_text(played)
    results = [result for answer in played.answers for result in answer.results or ()]
    rankings = [result.documents for result in results if result.documents is not None]
    findings = [*_ending(played)]
    found = recalled = first = gain = None
    if grades := outcome.relevant:
        found = any(name in grades for ranking in rankings for name in ranking)
        if not found:
            findings.append(_finding("no_relevant_document", _searched(rankings)))
        if rankings:
            last = rankings[-1]
            recalled, first = recall(last, grades), reciprocal_rank(last, grades)
            gain = ndcg(last, grades, k)
    answered = None
    if outcome.answer is not None:
        fault = "there is no final text" if text is None else outcome.answer.fault(text)
        answered = fault is None
        if fault is not None:
            findings.append(_finding("wrong_answer", fault))
    if text is not None:
        given = [message.content or "" for message in played.given]
        sources = [*given, *(result.text for result in results)]
        findings += [_finding("unsupported_fact", fact) for fact in unsupported(text, sources)]
    reached: bool | None = None
    changed: tuple[Change, ...] = ()
    before, after = played.before, played.state
    if before is not None and after is not None:
        changed = changes(before, after)
        if outcome.goal is not None:
            wrong = judge_goal(outcome.goal, before, after)
            reached = all(finding.code != "goal_missed" for finding in wrong)
            findings += wrong
    return Execution(
        stop=played.stop or "error",
        steps=steps,
        findings=tuple(findings),
        called=any(reading.attempts for reading in played.readings),
        said=text is not None,
        relevant=None if outcome.relevant is None else len(outcome.relevant),
        found=found,
        recall=recalled,
        reciprocal_rank=first,
        ndcg=gain,
        answered=answered,
        reached=reached,
        changes=changed,
    )


def final_text(played: Playing) -> str | None:
    """
    Return the text of the answer with which a case ended; None if it ended otherwise, or in
    silence.
    """
    if played.stop != "answered":
        return None
    return played.readings[-1].text.strip() or None


def _ending(played: Playing) -> Iterator[Finding]:
    if played.stop == "step_limit":
        many = count(len(played.answers), "answer")
        yield _finding("step_limit", f"{many}, and the last one still calls")
    elif played.stop == "repeated_step":
        step = len(played.answers) - 1
        yield _finding("repeated_step", f"step {step} makes the calls of step {step - 1} again")


def _searched(rankings: Sequence[Sequence[str]]) -> str:
    if not rankings:
        return "nothing was searched for"
    names = dict.fromkeys(name for ranking in rankings for name in ranking)
    return f"found {', '.join(names) or 'nothing'}"


def _finding(code: str, detail: str) -> Finding:
    return Finding(code=code, detail=detail if len(detail) <= _CUT else f"{detail[: _CUT - 1]}…")
