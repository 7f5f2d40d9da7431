"""
Right runs of the executed suites, each made wrong in one place: the fitting finding must come.

The right runs are the second readings of rag-kb and phone-state. Mutations are drawn with a fixed
seed; those that bring no fitting finding are listed here, each with its reason.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from harness.environments.base import Environment
from harness.environments.loop import Playing
from harness.environments.opening import open_environment
from harness.scoring.agents import judge_answers, run_agent
from harness.scoring.results import CaseResult
from harness.suites.files import load_suite
from harness.suites.suite import Case, Suite

TREE = Path(__file__).parents[2]
SEED, MANY = 20261130, 200

Message = dict[str, Any]
Said = list[Message]
ECHO = "<what came back>"
SEARCH = "search_knowledge_base"

_UNIT = "the question asks for a number in a unit, and no unit is looked up"
NOT_CAUGHT: Mapping[tuple[str, str], str] = {
    **{("other unit", case): _UNIT for case in ("kb-011", "kb-021", "kb-038", "kb-081")},
    ("changed argument", "way-to-places-3"): "the changed call is refused, a later one is right",
    ("changed argument", "to-my-appointments-3"): "the goal takes a longer name of the place",
    ("wrong number", "dentist-2"): "another event that was listed is on the wrong day",
}
"""Mutation and case, and why no fitting finding comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    An executed suite, with a right run of each of its cases.
    """

    suite: Suite
    environment: Environment
    right: Mapping[str, Said]


@cache
def world(name: str) -> World:
    suite = load_suite(TREE / "suites" / name)
    environment = open_environment(suite)
    assert environment is not None
    right: dict[str, Said] = {}
    for line in (TREE / "suites" / name / "second-reading.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        right.setdefault(row["case"], []).append(row["message"])
    return World(suite=suite, environment=environment, right=right)


def judge(of: World, case: Case, said: Sequence[Message]) -> CaseResult:
    def agent(under_way: Playing) -> Message:
        message = said[min(len(under_way.answers), len(said) - 1)]
        if message.get("content") == ECHO:
            return say(under_way.messages[-1].content or "")
        return message

    played = run_agent(of.suite, case, of.environment, agent)
    return judge_answers(of.suite, case, of.environment, played.answers)


def say(text: str) -> Message:
    return {"role": "assistant", "content": text}


def calling(name: str, arguments: Mapping[str, Any] | str) -> Message:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": text}
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}


def calls(said: Said) -> list[dict[str, Any]]:
    return [call["function"] for message in said for call in message.get("tool_calls", ())]


Mutation = Callable[[Random, World, Case, Said], Said | None]
"""Returns a run that is wrong in one place; None where this cannot be done to it."""


def answered(case: Case) -> bool:
    return case.outcome is not None and bool(case.outcome.relevant)


def wrong_number(random: Random, of: World, case: Case, said: Said) -> Said | None:
    text = str(said[-1].get("content") or "")
    found = list(re.finditer(r"(?<![\w.:,-])\d+(?![\w:,-]|\.\d)", text))
    if not found or case.outcome is None or case.outcome.answer is None:
        return None
    at = random.choice(found)
    other = str(int(at.group()) + random.randint(1, 9))
    return [*said[:-1], say(text[: at.start()] + other + text[at.end() :])]


UNITS = {
    **{"days": "weeks", "weeks": "months", "months": "years", "hours": "days", "minutes": "hours"},
    **{"euros": "pounds", "litres": "gallons", "metres": "feet", "years": "months"},
}


def other_unit(random: Random, of: World, case: Case, said: Said) -> Said | None:
    text = str(said[-1].get("content") or "")
    found = list(re.finditer(rf"\b(?:{'|'.join(UNITS)})\b", text))
    if not found or not answered(case):
        return None
    at = random.choice(found)
    return [*said[:-1], say(text[: at.start()] + UNITS[at.group()] + text[at.end() :])]


def adding(*texts: str) -> Mutation:
    def mutation(random: Random, of: World, case: Case, said: Said) -> Said | None:
        text = said[-1].get("content")
        return [*said[:-1], say(f"{text} {random.choice(texts)}")] if text else None

    return mutation


def instead(*texts: str) -> Mutation:
    def mutation(random: Random, of: World, case: Case, said: Said) -> Said | None:
        return [*said[:-1], say(random.choice(texts))] if answered(case) else None

    return mutation


def answer_of_another(random: Random, of: World, case: Case, said: Said) -> Said | None:
    others = [each for each in of.suite.cases if answered(each) and each.group != case.group]
    return [*said[:-1], of.right[random.choice(others).id][-1]] if answered(case) else None


def answer_where_there_is_none(random: Random, of: World, case: Case, said: Said) -> Said | None:
    if case.outcome is None or case.outcome.relevant != {}:
        return None
    others = [each for each in of.suite.cases if answered(each)]
    return [*said[:-1], of.right[random.choice(others).id][-1]]


def other_document(random: Random, of: World, case: Case, said: Said) -> Said | None:
    assert of.suite.environment is not None
    if not answered(case):
        return None
    corpus = of.suite.environment.settings["corpus"]
    titles = [each["title"] for each in corpus if each["id"] not in case.outcome.relevant]
    return [calling(SEARCH, {"query": random.choice(titles)}), said[-1]]


def without_search(random: Random, of: World, case: Case, said: Said) -> Said | None:
    return said[-1:] if answered(case) else None


def search_where_none_is_wanted(random: Random, of: World, case: Case, said: Said) -> Said | None:
    return [calling(SEARCH, {"query": case.prompt}), *said] if len(said) == 1 else None


def never_stops(random: Random, of: World, case: Case, said: Said) -> Said | None:
    return [calling(SEARCH, {"query": f"{case.prompt} {step}"}) for step in range(9)]


def changing_a_call(change: Callable[[Random, dict[str, Any]], None]) -> Mutation:
    def mutation(random: Random, of: World, case: Case, said: Said) -> Said | None:
        changed = deepcopy(said)
        made = calls(changed)
        if not made:
            return None
        change(random, random.choice(made))
        return changed

    return mutation


def undeclared(random: Random, call: dict[str, Any]) -> None:
    call["name"] = random.choice(["search", "lookup", f"{call['name']}s"])


def other_argument(random: Random, call: dict[str, Any]) -> None:
    call["arguments"] = json.dumps({"argument": random.choice(["x", 1, None])})


def unreadable(random: Random, call: dict[str, Any]) -> None:
    call["arguments"] = call["arguments"][:-1] + random.choice(["", ",", "'"])


def repeated(random: Random, of: World, case: Case, said: Said) -> Said | None:
    made = [at for at, message in enumerate(said) if message.get("tool_calls")]
    if not made:
        return None
    at = random.choice(made)
    return [*said[: at + 1], *said[at:]]


def writes(said: Said) -> list[tuple[int, int]]:
    """
    Return step and place of each call that writes.
    """
    return [
        (step, place)
        for step, message in enumerate(said)
        for place, call in enumerate(message.get("tool_calls", ()))
        if not call["function"]["name"].startswith(("find_", "list_"))
    ]


def dropped_write(random: Random, of: World, case: Case, said: Said) -> Said | None:
    if not (places := writes(said)):
        return None
    step, place = random.choice(places)
    changed = deepcopy(said)
    del changed[step]["tool_calls"][place]
    return [each for each in changed if each.get("content") or each.get("tool_calls")]


MORE = (
    ("set_volume", {"sound": "call", "percent": 37}),
    ("set_alarm", {"time": "03:33"}),
    ("create_event", {"title": "Polo", "start": "2026-12-30T05:30"}),
    ("send_email", {"to": "x@mail.example", "subject": "Hi", "body": "Hello"}),
    ("save_contact", {"name": "Zoe Quill", "phone": "5550199"}),
)


def extra_write(random: Random, of: World, case: Case, said: Said) -> Said | None:
    name, arguments = random.choice(MORE)
    return [calling(name, arguments), *said]


def changed_argument(random: Random, of: World, case: Case, said: Said) -> Said | None:
    if not (places := writes(said)):
        return None
    step, place = random.choice(places)
    changed = deepcopy(said)
    call = changed[step]["tool_calls"][place]["function"]
    arguments = json.loads(call["arguments"])
    if not arguments:
        return None
    (tool,) = [tool for tool in case.tools if tool.name == call["name"]]
    name = random.choice(sorted(arguments))
    allowed = tool.parameters["properties"][name].get("enum")
    value = arguments[name]
    if allowed:
        arguments[name] = random.choice([each for each in allowed if each != value])
    elif isinstance(value, bool):
        arguments[name] = not value
    elif isinstance(value, int):
        arguments[name] = value + random.randint(1, 9)
    else:
        arguments[name] = f"{value}{random.choice('0789')}"
    call["arguments"] = json.dumps(arguments)
    return changed


FAR = {"goal_missed", "collateral_change"}
WRONG = {"wrong_answer", "unsupported_fact"}
UNREADABLE = {"malformed_call", "unfinished_call"}
INVENTED = adding("That costs 731 euros.", "Use form QX-57.", "It has been so since 9 May 1987.")
QUOTED = adding('The rule says "ask nobody about it".')

MUTATIONS: tuple[tuple[str, str, Mutation, set[str]], ...] = (
    ("rag-kb", "wrong number", wrong_number, WRONG),
    ("rag-kb", "other unit", other_unit, {"wrong_answer"}),
    ("rag-kb", "invented fact", INVENTED, {"unsupported_fact"}),
    ("rag-kb", "invented quotation", QUOTED, {"unsupported_fact"}),
    ("rag-kb", "denial", instead("I could not find that in the knowledge base."), {"wrong_answer"}),
    ("rag-kb", "silence", instead(""), {"wrong_answer"}),
    ("rag-kb", "echo", instead(ECHO), {"wrong_answer"}),
    ("rag-kb", "answer of another case", answer_of_another, {"wrong_answer"}),
    ("rag-kb", "answer where there is none", answer_where_there_is_none, {"wrong_answer"}),
    ("rag-kb", "other document", other_document, {"no_relevant_document"}),
    ("rag-kb", "without search", without_search, {"no_relevant_document"}),
    ("rag-kb", "needless search", search_where_none_is_wanted, {"unexpected_call"}),
    ("rag-kb", "never stops", never_stops, {"step_limit"}),
    ("rag-kb", "undeclared tool", changing_a_call(undeclared), {"undeclared_tool"}),
    ("rag-kb", "other argument", changing_a_call(other_argument), {"schema_violation"}),
    ("rag-kb", "unreadable call", changing_a_call(unreadable), UNREADABLE),
    ("rag-kb", "repeated step", repeated, {"repeated_step"}),
    ("phone-state", "dropped write", dropped_write, {"goal_missed"}),
    ("phone-state", "extra write", extra_write, {"collateral_change"}),
    ("phone-state", "changed argument", changed_argument, FAR | {"schema_violation"}),
    ("phone-state", "wrong number", wrong_number, WRONG),
    ("phone-state", "invented fact", INVENTED, {"unsupported_fact"}),
    ("phone-state", "undeclared tool", changing_a_call(undeclared), {"undeclared_tool"}),
    ("phone-state", "unreadable call", changing_a_call(unreadable), UNREADABLE),
    ("phone-state", "repeated step", repeated, {"repeated_step"}),
)


def drawn() -> list[tuple[str, str, CaseResult, set[str]]]:
    """
    Return mutation, case, judgement and fitting findings of each draw.
    """
    random, found = Random(SEED), []
    for number in range(MANY):
        suite, name, mutation, fitting = MUTATIONS[number % len(MUTATIONS)]
        of = world(suite)
        said = None
        while said is None:
            case = random.choice(of.suite.cases)
            said = mutation(random, of, case, of.right[case.id])
        found.append((name, case.id, judge(of, case, said), fitting))
    return found


def test_a_run_that_is_wrong_in_one_place_has_the_fitting_finding():
    found = drawn()
    missed = {
        (name, case): sorted({each.code for each in result.findings})
        for name, case, result, fitting in found
        if not fitting & {each.code for each in result.findings}
    }

    assert set(NOT_CAUGHT) == set(missed), missed
    assert 0.95 * MANY <= MANY - len(missed)
    page = " ".join((TREE / "docs" / "executed.md").read_text("utf-8").split())
    assert f"{MANY - len(missed)} of {MANY} get the fitting finding" in page


def test_the_runs_that_are_mutated_are_right():
    for of in (world("rag-kb"), world("phone-state")):
        for case in of.suite.cases:
            assert "correct" == judge(of, case, of.right[case.id]).status
