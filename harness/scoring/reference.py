"""
The reference of an executed case, played: the calls and the text that the case itself asks for.

Nothing is known here that the case does not say. Of a search the query is the prompt, or what is
expected of the query, or the title of a relevant document: the first by which one is found; the
final text is the sentence of that document that meets ``answer``, or a part of it. Of tables the
calls are those that bring about each change of the goal, in an order in which none is refused; a
question is answered after the read whose result holds the answer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.constraints.answers import Answer, parts
from harness.constraints.constraint import Constraint, make_constraint
from harness.environments.base import Environment
from harness.environments.documents import query_argument
from harness.environments.tables import VERBS
from harness.messages import Tool, ToolCall
from harness.scoring.grounding import unsupported
from harness.scoring.tool_schema import violations
from harness.suites.outcome import Outcome, Row, TableGoal
from harness.suites.suite import Abstention, Calls, Case, Suite

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_CLAUSE = re.compile(r"(?<=[,;:])\s+")
_SMALL = """
a an and are at be by can do does for from have how i in is it many me much my of on or our the to
was we what when where which who why with you your
""".split()
_SAYS_NOTHING = "That is all I can say."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """
    What answers a case rightly.
    """

    steps: tuple[tuple[ToolCall, ...], ...]
    """The calls of each answer before the last."""
    text: str
    """The last answer."""


def references(suite: Suite, case: Case, environment: Environment) -> Iterator[Reference]:
    """
    Yield what may answer *case* rightly, the likeliest first; judging says what does.
    """
    assert suite.environment is not None
    settings = suite.environment.settings
    outcome = case.outcome or Outcome()
    for alternative in case.turns[0].expectation.alternatives:
        if isinstance(alternative, Abstention):
            said = alternative.text.spec if alternative.text is not None else None
            spec = outcome.answer.spec if outcome.answer is not None else said
            yield Reference(steps=(), text=_said(spec, _SAYS_NOTHING))
    if suite.environment.kind == "documents":
        yield from _searched(case, outcome, environment, settings)
    elif suite.environment.kind == "tables":
        yield from _written(case, outcome, environment, settings)
    else:
        yield from _expected(case, outcome)
    yield Reference(steps=(), text=_said(outcome.answer and outcome.answer.spec, _SAYS_NOTHING))


def _expected(case: Case, outcome: Outcome) -> Iterator[Reference]:
    for alternative in case.turns[0].expectation.alternatives:
        if isinstance(alternative, Calls):
            tools = {tool.name: tool for tool in case.tools}
            calls = tuple(
                _call(tools[call.tool], {n: example(c) for n, c in call.arguments.items()})
                for call in alternative.calls
            )
            text = _said(outcome.answer and outcome.answer.spec, _SAYS_NOTHING)
            yield Reference(steps=(calls,), text=text)


# Documents


def found_by(suite: Suite, case: Case, environment: Environment, query: str) -> tuple[str, ...]:
    """
    Return the ids of the documents that *query* brings back.
    """
    assert suite.environment is not None
    settings = suite.environment.settings
    tool = next((tool for tool in case.tools if tool.name == settings["tool"]), None)
    if tool is None:
        return ()
    call = _call(tool, {str(settings.get("argument") or query_argument(tool)): query})
    return environment.begin(case).call(tool.name, call.arguments).documents or ()


def _searched(
    case: Case, outcome: Outcome, environment: Environment, settings: Mapping[str, Any]
) -> Iterator[Reference]:
    tool = next((tool for tool in case.tools if tool.name == settings["tool"]), None)
    if tool is None or outcome.relevant is None:
        yield from _expected(case, outcome)
        return
    argument = settings.get("argument") or query_argument(tool)
    corpus = {document["id"]: document for document in settings["corpus"]}
    for query in _queries(case, outcome, corpus):
        call = _call(tool, {str(argument): query})
        found = environment.begin(case).call(tool.name, call.arguments)
        ids = [name for name in found.documents or () if name in outcome.relevant]
        if outcome.relevant and not ids:
            continue
        for text in _texts([corpus[name]["text"] for name in ids], outcome.answer):
            yield Reference(steps=((call,),), text=text)


def _queries(
    case: Case, outcome: Outcome, corpus: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    words = [word for word in re.findall(r"[\w-]+", case.prompt) if word.lower() not in _SMALL]
    titles = [str(corpus[name].get("title", "")) for name in outcome.relevant or ()]
    needed = [""]
    for alternative in case.turns[0].expectation.alternatives:
        if isinstance(alternative, Calls):
            needed += [
                str(example(constraint))
                for call in alternative.calls
                for constraint in call.arguments.values()
            ]
    for base in (" ".join(words), case.prompt, *titles, *(f"{t} {case.prompt}" for t in titles)):
        for more in needed:
            yield " ".join(filter(None, [base, more if more not in base else ""]))


def _texts(documents: Sequence[str], answer: Answer | None) -> Iterator[str]:
    for document in documents:
        sentences = _SENTENCE.split(document)
        for sentence in sentences:
            if answer is None or answer.fault(sentence) is None:
                yield sentence
                break
        for clause in (part for sentence in sentences for part in _CLAUSE.split(sentence)):
            if answer is not None and answer.fault(clause) is None:
                yield clause
                break
        if answer is not None and answer.fault(document) is None:
            yield document
    yield documents[0] if documents else _said(answer and answer.spec, _SAYS_NOTHING)


# Tables


def _written(
    case: Case, outcome: Outcome, environment: Environment, settings: Mapping[str, Any]
) -> Iterator[Reference]:
    operations = {
        name: given if isinstance(given, list) else [given]
        for name, given in settings["operations"].items()
    }
    text = _said(outcome.answer and outcome.answer.spec, "Done.")
    goals = outcome.goal.alternatives if outcome.goal is not None else ({},)
    for goal in goals:
        calls = list(_writes(case, goal, operations, settings["state"]))
        steps = tuple((call,) for call in _in_order(case, environment, calls))
        if outcome.answer is not None:
            for read in _reads(case, operations, settings["state"]):
                told = environment.begin(case).call(read.name, read.arguments).text
                given = [message.content or "" for message in case.turns[0].messages]
                if not unsupported(text, [*given, told]):
                    yield Reference(steps=((read,), *steps), text=text)
                    break
        yield Reference(steps=steps, text=text)


def _in_order(
    case: Case, environment: Environment, calls: Sequence[ToolCall]
) -> Iterator[ToolCall]:
    """
    Yield *calls* in an order in which each changes something.
    """
    episode, left = environment.begin(case), list(calls)
    while left:
        for call in left:
            before = episode.state()
            episode.call(call.name, call.arguments)
            if episode.state() != before:
                yield call
                left.remove(call)
                break
        else:
            return


def _writes(
    case: Case,
    goal: Mapping[str, TableGoal],
    operations: Mapping[str, Sequence[Mapping[str, Any]]],
    state: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[ToolCall]:
    for table, wanted in goal.items():
        rows = {str(row["id"]): row for row in state[table]}
        changes: list[tuple[str, Mapping[str, Any], Row]] = [
            ("update", rows[key], row) for key, row in wanted.changed.items()
        ]
        changes += [("delete", rows[key], {}) for key in wanted.removed]
        changes += [("insert", {}, row) for row in wanted.added]
        for verb, old, row in changes:
            left = dict(row)
            for tool in case.tools:
                given = next((op for op in operations[tool.name] if op.get(verb) == table), None)
                if given is None or (verb == "update" and not left):
                    continue
                arguments = _solved(tool, given, old, left)
                if arguments is None:
                    continue
                yield _call(tool, arguments)
                written = given.get("set", {})
                left = {column: spec for column, spec in left.items() if column not in written}
                if verb != "update":
                    break


def _solved(
    tool: Tool, operation: Mapping[str, Any], row: Mapping[str, Any], wanted: Row
) -> dict[str, Any] | None:
    """
    Return the arguments with which an operation is about *row* and writes what is wanted; None if
    there are none.
    """
    arguments: dict[str, Any] = {}
    for column, template in operation.get("where", {}).items():
        if not _bind(template, row.get(column), arguments):
            return None
    written = operation.get("set", operation.get("values", {}))
    if wanted and not set(wanted) & set(written):
        return None
    for column, constraint in wanted.items():
        if column in written and not constraint.absent:
            value = example(constraint, row.get(column))
            if not _bind(written[column], value, arguments, constraint):
                return None
    call = _call(tool, arguments)
    return None if violations(tool, call.arguments) else dict(call.arguments)


def _bind(
    template: Any, value: Any, arguments: dict[str, Any], constraint: Constraint | None = None
) -> bool:
    name = re.fullmatch(r"\{(\w+)\}", template) if isinstance(template, str) else None
    if name is None:
        if isinstance(template, str) and "{" in template:
            return False
        return not constraint.check(template) if constraint is not None else template == value
    return bool(arguments.setdefault(name[1], value) == value)


def _reads(
    case: Case,
    operations: Mapping[str, Sequence[Mapping[str, Any]]],
    state: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[ToolCall]:
    for tool in case.tools:
        for operation in operations[tool.name]:
            verb = next((verb for verb in VERBS[:2] if verb in operation), None)
            if verb is None:
                continue
            yield _call(tool, {})
            for row in state[operation[verb]]:
                arguments: dict[str, Any] = {}
                for column, template in operation.get("where", {}).items():
                    inner = template.get("contains") if isinstance(template, Mapping) else template
                    value = row.get(column)
                    if isinstance(template, Mapping) and isinstance(value, str):
                        value = value[:10] if re.match(r"\d{4}-\d\d-\d\d", value) else value
                    _bind(inner, value, arguments)
                call = _call(tool, arguments)
                if not violations(tool, call.arguments):
                    yield call


# Values


def _call(tool: Tool, arguments: Mapping[str, Any]) -> ToolCall:
    """
    Return a call with *arguments*, and with a value for each other that the tool requires.
    """
    declared = tool.parameters.get("properties", {})
    given = dict(arguments)
    for name in tool.parameters.get("required", ()):
        given.setdefault(name, _any_value(declared.get(name, {})))
    return ToolCall(name=tool.name, arguments=given)


def _any_value(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return "x"
    if schema.get("enum"):
        return schema["enum"][0]
    kinds: Mapping[str, Any] = {
        "integer": max(1, int(schema.get("minimum", 1))),
        "number": schema.get("minimum", 1),
        "boolean": True,
        "array": [],
        "object": {},
    }
    return kinds.get(str(schema.get("type")), "x")


def example(constraint: Constraint, old: Any = None) -> Any:
    """
    Return a value that meets *constraint*, where its keywords name one; *old* if that does.
    """
    schema = constraint.schema
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "contains_all" in schema:
        return " ".join([*schema["contains_all"], *schema.get("contains_any", ())[:1]])
    for name in ("equals_ignoring_case", "same_moment_as", "close_to"):
        if name in schema:
            return schema[name]
    if "contains_any" in schema:
        return schema["contains_any"][0]
    for name in ("anyOf", "oneOf"):
        if schema.get(name):
            return example(make_constraint(schema[name][0]), old)
    if schema.get("allOf"):
        values = [example(make_constraint(inner), old) for inner in schema["allOf"]]
        return " ".join(map(str, values)) if len(values) > 1 else values[0]
    return old if old is not None and not constraint.check(old) else "x"


def _said(spec: Any, otherwise: str) -> str:
    """
    Return a text that meets a constraint on an answer, where it names what the text must hold.
    """
    if spec is None:
        return otherwise
    if isinstance(spec, Mapping) and "contains_all" in spec:
        return " ".join(map(str, [*spec["contains_all"], *spec.get("contains_any", ())[:1]]))
    named = parts(spec)
    return str(named[0]) if named else otherwise
