"""
The Berkeley Function Calling Leaderboard, single-turn questions in the current layout.

A question is ``{"id", "question": [[messages]], "function": [...]}``, an answer
``{"id", "ground_truth": [{function: {argument: [accepted values]}}]}``
(https://github.com/ShishirPatil/gorilla, berkeley-function-call-leaderboard). Parallel calls are in
any order, further calls are forbidden and so are arguments no answer lists. Questions of the
irrelevance sets expect no call, those of the relevance set any call.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from harness.canonical import canonical_json
from harness.constraints.schema import check_schema, schema_validator
from harness.diagnostics import Problem
from harness.errors import UsageError
from harness.importers.base import Imported, ImportedCase, Sources, quarantine
from harness.importers.readers.bfcl_answers import OMITTED, constraint, examples, lists_values
from harness.importers.readers.bfcl_schema import fits, tool_schema, widened
from harness.importers.readers.rows import Row, each_row, json_rows, unknown_keys

_CATEGORY = re.compile(r"(?P<category>.*?)_\d+(?:-\d+)*")


class Bfcl:
    """
    The format described above.
    """

    name = "bfcl"
    takes: Mapping[str, bool] = {"questions": True, "answers": False}

    def read(self, sources: Sources, today: date) -> Imported:
        """
        Read questions and answers.

        Raises:
            UsageError: if the questions expect calls and no answers are given.
        """
        notes: list[Problem] = []
        questions = json_rows(sources["questions"], notes)
        answers = _by_id(json_rows(sources.get("answers", ()), notes), notes)
        if "answers" not in sources and not any(map(_needs_no_answer, questions)):
            raise UsageError(
                f"{sources['questions'][0]}: these questions expect calls; give their answers "
                "with --answers"
            )
        notes += unknown_keys(questions, ("id", "question", "function"))
        notes += unknown_keys(answers.values(), ("id", "ground_truth"))

        def read(question: Row) -> ImportedCase | None:
            identity = question.value["id"]
            row = _case(question, identity, answers.get(identity), today, notes)
            if row is None:
                return None
            return ImportedCase(row=row, file=question.file, line=question.line)

        cases = each_row(_by_id(questions, notes).values(), notes, read)
        asked = {case.row["id"] for case in cases}
        notes += [
            answer.note(f"answers {identity!r}, which is not among the imported questions")
            for identity, answer in answers.items()
            if identity not in asked
        ]
        return Imported(
            cases=tuple(cases),
            description="Questions of the Berkeley Function Calling Leaderboard.",
            license="Apache-2.0",
            notes=tuple(notes),
        )


def _by_id(rows: Sequence[Row], notes: list[Problem]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row in rows:
        identity = row.value.get("id")
        if not isinstance(identity, str) or not identity:
            notes.append(row.note('left out: it needs an "id"'))
        elif found.setdefault(identity, row) is not row:
            first = found[identity]
            notes.append(
                row.note(f"left out: {identity!r} is a duplicate ({first.file}:{first.line})")
            )
    return found


def _category(identity: str) -> str | None:
    match = _CATEGORY.fullmatch(identity)
    return match["category"] if match else None


def _needs_no_answer(question: Row) -> bool:
    return "relevance" in str(question.value.get("id"))


def _case(
    question: Row, identity: str, answer: Row | None, today: date, notes: list[Problem]
) -> dict[str, Any] | None:
    messages, functions = question.value.get("question"), question.value.get("function")
    if (
        not isinstance(messages, list)
        or len(messages) != 1
        or not isinstance(messages[0], list)
        or not isinstance(functions, list)
        or not all(isinstance(function, Mapping) for function in functions)
    ):
        notes.append(
            question.note(
                f"left out: {identity!r} is not a single-turn question: it needs one list of "
                'messages and a list "function"'
            )
        )
        return None
    declared = _Functions.of(functions)
    category = _category(identity)
    row: dict[str, Any] = {"id": identity}
    only = messages[0][0] if len(messages[0]) == 1 else None
    if isinstance(only, Mapping) and set(only) == {"role", "content"} and only["role"] == "user":
        row["prompt"] = only["content"]
    else:
        row["messages"] = messages[0]
    try:
        expectation = _expectation(question, answer, declared)
    except Exception as exc:
        # What is not a JSON Schema may break any reader of it. It is checked only now, as that
        # takes longer than all the rest.
        if (reason := _Functions.of(functions).unsound(exc)) is None:
            raise
        notes.append(question.note(f"left out: {identity!r} {reason}"))
        return None
    if declared.foreign:
        declared.broken.append(
            f"it has types of another language ({', '.join(sorted(declared.foreign))}), whose "
            "values the leaderboard converts before comparing them"
        )
    if declared.broken:
        row["quarantine"] = quarantine("; ".join(dict.fromkeys(declared.broken)), today)
    where = answer or question
    if "quarantine" in row:
        notes.append(where.note(f"{identity!r} is in quarantine: {row['quarantine']['reason']}"))
    notes += [where.note(f"{identity!r}: {text}") for text in dict.fromkeys(declared.notes)]
    row |= {"tools": list(declared.tools.values()), "expect": expectation}
    if category:
        row["tags"] = [category]
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Functions:
    """
    The functions of one question as tools, and the notes about them.
    """

    tools: dict[str, dict[str, Any]]
    foreign: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Why no answer can be judged."""

    @classmethod
    def of(cls, functions: Sequence[Mapping[str, Any]]) -> "_Functions":
        self = cls(tools={})
        for number, function in enumerate(functions):
            tool = tool_schema(function, self.foreign.add)
            name = str(function.get("name", number))
            if name in self.tools:
                self.notes.append(f"a second function {name!r} is left out")
            self.tools.setdefault(name, tool)
        return self

    def properties(self, name: str) -> dict[str, Any]:
        parameters = self.tools[name]["function"].get("parameters")
        properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
        return properties if isinstance(properties, dict) else {}

    def unsound(self, exc: Exception) -> str | None:
        """
        Return which declaration is not a JSON Schema and so may have raised *exc*; None if all are.
        """
        for name, tool in self.tools.items():
            try:
                check_schema(tool["function"].get("parameters", {}))
            except SchemaError as error:
                where = ".".join(map(str, ("parameters", *error.absolute_path)))
                reason = f"which is not a JSON Schema: {error.message}"
                return f"declares {name!r} with {where}, {reason}"
        if isinstance(exc, Unresolvable):
            return "has a declaration with a reference to something that does not exist"
        if isinstance(exc, RecursionError):
            return "has a declaration that refers to itself endlessly"
        return None


_NOTHING: dict[str, Any] = {"abstain": True}
"""What a case without an answer expects: some valid expectation is required."""


def _expectation(question: Row, answer: Row | None, declared: _Functions) -> dict[str, Any]:
    identity = str(question.value["id"])
    if answer is None:
        if not _needs_no_answer(question):
            declared.broken.append("it has no answer")
            return _NOTHING
        if "irrelevance" in identity or identity.startswith("relevance"):
            return {"abstain": True}  # relevance_0 and so on are of the irrelevance set of 2024
        any_call = [{"tool": name, "arguments": {}} for name in declared.tools]
        return {"any_of": [{"calls": [call], "extra_calls": "allow"} for call in any_call]}
    truth = answer.value.get("ground_truth")
    if not isinstance(truth, list) or not truth:
        declared.broken.append('its answer has no "ground_truth" with calls')
        return _NOTHING
    calls = [_call(call, declared) for call in truth]
    return _NOTHING if None in calls else {"calls": calls}


def _call(call: Any, declared: _Functions) -> dict[str, Any] | None:
    if not isinstance(call, Mapping) or len(call) != 1:
        declared.broken.append(f"its answer {_short(call)} is not a call of one function")
        return None
    ((name, given),) = call.items()
    if name not in declared.tools:
        declared.broken.append(f"its answer calls {name!r}, which it does not declare")
        if len(declared.tools) != 1:
            return None
        # If a question has one function, the leaderboard itself ignores this name.
        (name,) = declared.tools
    if not lists_values(given):
        declared.broken.append(
            f"its answer lists no accepted values for each argument of {name!r}: {_short(given)}"
        )
        return None
    properties = declared.properties(name)
    arguments = {}
    for argument, accepted in given.items():
        if argument in properties:
            arguments[argument] = constraint(accepted, properties[argument])
            _widen(name, argument, accepted, declared)
        elif OMITTED in accepted:
            declared.notes.append(
                f"{name}.{argument} is not declared, so it is left out of the optional arguments"
            )
        else:
            declared.broken.append(f"its answer asks for {name}.{argument}, which is not declared")
    return {"tool": name, "arguments": arguments, "other_arguments": "forbid"}


def _widen(name: str, argument: str, accepted: list[Any], declared: _Functions) -> None:
    """
    If no accepted value has the declared type, declare its type too: no call could be right else.

    An accepted value that the declaration refuses is noted: it is a schema violation here.
    """
    properties = declared.properties(name)
    was, values = properties[argument], examples(accepted)
    if OMITTED not in accepted and not any(fits(was, value) for value in values):
        for value in values:
            properties[argument] = widened(properties[argument], value)
        declared.notes.append(
            f"no accepted value of {name}.{argument} has the declared type: "
            f"{canonical_json(was)} is changed to {canonical_json(properties[argument])}"
        )
    # On the whole, as a declaration may refer to another part of it.
    whole = schema_validator(declared.tools[name]["function"]["parameters"])
    validator = whole.evolve(schema=properties[argument])
    refused = [value for value in values if not validator.is_valid(value)]
    if refused:
        declared.notes.append(
            f"{name}.{argument} may be {' or '.join(map(canonical_json, refused))} by the answer, "
            "but its declaration refuses that: such a call is a schema violation here"
        )


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


IMPORTER = Bfcl()
