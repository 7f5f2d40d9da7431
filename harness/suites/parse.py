"""
One self-contained document (tools and cases inline) as a `Suite`, every fault of it noted.

`harness.suites.files` makes that document from the files of a suite and knows the lines; a run's
suite.json is one already. Two digests are made here:

- of a case: its messages, tools and expectations as given. Two cases are the same question iff
  they are equal, so tags, group, must_pass and quarantine are left out.
- of a suite: all that can change an answer or its judgement, cases whole and in order; name,
  version and description are left out.

The order of keys counts where a chat template shows it: in tools and in the calls of a history.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from harness.canonical import as_written, canonical_json, digest
from harness.diagnostics import Places, Problems, Steps, raise_problems, suggest
from harness.documents import TOO_DEEP, unstorable_parts
from harness.messages import Message, Tool, to_chat
from harness.suites.expectations import NOT_OFFERED, read_expectation
from harness.suites.schema import check_shape, spell
from harness.suites.suite import Case, Quarantine, Suite, Turn

_SYSTEM_ROLES = ("system", "developer")


def parse_suite(
    document: Mapping[str, Any],
    source: str,
    *,
    versions: Mapping[str, str] | None = None,
    today: date | None = None,
) -> Suite:
    """
    Read a self-contained document; *source* names it in errors.

    Raises:
        SuiteError: listing what is wrong.
    """
    problems = Problems(places=Places.of(source))
    suite = parse_document(document, problems, versions=versions, today=today)
    raise_problems(problems.in_order())
    assert suite is not None
    return suite


def parse_document(
    document: Mapping[str, Any],
    problems: Problems,
    *,
    versions: Mapping[str, str] | None = None,
    today: date | None = None,
) -> Suite | None:
    """
    Give the suite, or None once *problems* says why there is none.

    With *versions* (versions.json) content that has left its released version is a problem; with
    *today* a quarantine that has run out is one.
    """
    plain = _plain(document, problems)
    if plain is None:
        return None
    broken = check_shape(plain, problems)
    for part in ("tools", "cases"):
        if isinstance(plain.get(part), str):
            problems.add((part,), f"{part} must be the list itself here, not the name of a file")
            broken.add((part,))
    return _Reader(plain, problems, broken, today).suite(versions or {})


def _plain(document: Mapping[str, Any], problems: Problems) -> dict[str, Any] | None:
    """
    Copy *document*, of JSON types only; keys keep their order, as a template shows tools by it.
    """
    before = len(problems.found)
    for steps, reason in unstorable_parts(document):
        # All the way down would be long to read; the place has the line.
        where = spell(document, steps[:2] if reason == TOO_DEEP else steps).rstrip(":")
        problems.add(steps, f"{where}: {reason}" if where else reason)
    if len(problems.found) > before:
        return None
    try:
        text = json.dumps(document, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as exc:
        problems.add((), f"only JSON types can be stored: {exc}")
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        problems.add((), "a suite is an object with format, name, version, tools and cases")
        return None
    return value


class _Reader:
    """
    Reads what has the right shape; a case that has not is left out, as its problem is noted.
    """

    def __init__(
        self,
        document: dict[str, Any],
        problems: Problems,
        broken: set[Steps],
        today: date | None,
    ) -> None:
        self.document = document
        self.problems = problems
        self.broken = broken
        self.today = today
        self.tools: tuple[Tool, ...] = ()
        self.ids: dict[str, int] = {}

    def note(self, steps: Steps, message: str) -> None:
        where = spell(self.document, steps)
        self.problems.add(steps, f"{where} {message}" if where else message)

    def suite(self, versions: Mapping[str, str]) -> Suite | None:
        document = self.document
        if ("tools",) in self.broken or "tools" not in document:
            return None
        before = len(self.problems.found)
        self.tools = self._tools(document["tools"], ("tools",))
        # Cases rest on tools and settings: unsound ones would be complained of once a case.
        settings = {("system",), ("system_role",), ("declare_tools",), ("cases",)}
        if len(self.problems.found) > before or settings & self.broken or "cases" not in document:
            return None
        cases = [self._case(index) for index in range(len(document["cases"]))]
        if self.problems.found:
            return None
        return self._assemble([case for case in cases if case is not None], versions)

    def _assemble(self, cases: Sequence[Case], versions: Mapping[str, str]) -> Suite | None:
        document = dict(self.document)
        document.setdefault("description", "")
        document.setdefault("system_role", "system")
        document.setdefault("declare_tools", True)
        document.setdefault("generation", {})
        counted = ("system_role", "declare_tools", "generation", "cases")
        content = digest(
            {
                "system": document.get("system"),
                "tools": as_written(document["tools"]),
                "questions": [case.digest for case in cases],
                **{key: document[key] for key in counted},
            }
        )
        version = document["version"]
        if versions.get(version, content) != content:
            self.note(
                ("version",),
                f"{version} was released with other content; undo the edits, or give them a "
                f"version of their own with `harness suite release {document['name']} --patch` "
                "(--minor, --major)",
            )
            return None
        offered = {canonical_json(tool.schema): tool for tool in self.tools}
        for case in cases:
            offered.update((canonical_json(tool.schema), tool) for tool in case.tools)
        return Suite(
            name=document["name"],
            version=version,
            digest=content,
            cases=tuple(cases),
            tools=tuple(offered.values()),
            document={key: document[key] for key in _KEYS if key in document},
            description=document["description"],
            system=document.get("system"),
            system_role=document["system_role"],
            declare_tools=document["declare_tools"],
            generation=document["generation"],
            released=version in versions,
        )

    # Tools.

    def _tools(self, schemas: Sequence[Any], steps: Steps) -> tuple[Tool, ...]:
        tools: dict[str, Tool] = {}
        for index, schema in enumerate(schemas):
            tool = self._tool(schema, (*steps, index))
            if tool is not None:
                self._add_tool(tools, tool, (*steps, index))
        return tuple(tools.values())

    def _add_tool(self, tools: dict[str, Tool], tool: Tool, steps: Steps) -> None:
        if tool.name in tools:
            self.note(steps, f"offers a second tool {tool.name!r}; names must differ")
        tools[tool.name] = tool

    def _tool(self, schema: Any, steps: Steps) -> Tool | None:
        try:
            tool = Tool.from_schema(schema)
        except ValueError as exc:
            self.note(steps, f"is no tool: {exc}")
            return None
        wrapped = isinstance(schema, Mapping) and "function" in schema
        inner = (*steps, "function", "parameters") if wrapped else (*steps, "parameters")
        try:
            Draft202012Validator.check_schema(tool.parameters)
        except SchemaError as exc:
            at = tuple(exc.absolute_path)
            self.note((*inner, *at), f"of tool {tool.name!r} is no JSON Schema: {exc.message}")
            return None
        if (missing := _missing_reference(tool.parameters)) is not None:
            self.note(inner, f"of tool {tool.name!r} refer to {missing!r}, which is not in it")
            return None
        return tool

    # Cases.

    def _case(self, index: int) -> Case | None:
        steps: Steps = ("cases", index)
        row = self.document["cases"][index]
        if steps in self.broken:
            return None
        identity = row["id"]
        if (first := self.ids.setdefault(identity, index)) != index:
            file, line = self.problems.places.find(("cases", first))
            earlier = file if line is None else f"{file}:{line}"
            self.note((*steps, "id"), f"is the id of an earlier case too ({earlier})")
        tools = self._offered(row, steps)
        turns = self._turns(row, steps, {tool.name: tool for tool in tools})
        content: dict[str, Any] = {
            "turns": [
                {"messages": as_written(to_chat(turn.messages)), "expect": expect}
                for turn, expect in turns
            ],
            "tools": as_written([tool.schema for tool in tools]),
        }
        if not self.document.get("declare_tools", True):
            content["declare_tools"] = False
        return Case(
            id=identity,
            turns=tuple(turn for turn, _ in turns),
            tools=tools,
            digest=digest(content),
            tags=tuple(row.get("tags", ())),
            group=row.get("group"),
            must_pass=row.get("must_pass", False),
            quarantine=self._quarantine(row.get("quarantine"), (*steps, "quarantine")),
        )

    def _offered(self, row: Mapping[str, Any], steps: Steps) -> tuple[Tool, ...]:
        if "tools" not in row:
            return self.tools
        known = {tool.name: tool for tool in self.tools}
        tools: dict[str, Tool] = {}
        for index, entry in enumerate(row["tools"]):
            at = (*steps, "tools", index)
            tool = known.get(entry) if isinstance(entry, str) else self._tool(entry, at)
            if tool is not None:
                self._add_tool(tools, tool, at)
            elif isinstance(entry, str):
                self.note(at, f"names {entry!r}, no tool of the suite{suggest(entry, known)}")
        return tuple(tools.values())

    def _quarantine(self, given: Mapping[str, Any] | None, steps: Steps) -> Quarantine | None:
        if given is None:
            return None
        try:
            until = date.fromisoformat(given["until"])
        except ValueError:
            self.note((*steps, "until"), f"is {given['until']!r}, a day no calendar has")
            return None
        if self.today is not None and until < self.today:
            self.note(
                (*steps, "until"),
                f"has passed ({until}: {given['reason']}); take the case out of quarantine, "
                "mend or remove it, or set a later date",
            )
        return Quarantine(reason=given["reason"], until=until)

    # Turns.

    def _turns(
        self, row: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool]
    ) -> list[tuple[Turn, Any]]:
        if "prompt" in row:
            history = [Message(role="user", content=row["prompt"])]
            at = (*steps, "prompt")
        else:
            at = (*steps, "messages")
            history = self._messages(row["messages"], at, tools)
        system = self.document.get("system")
        if system is not None and not (history and history[0].role in _SYSTEM_ROLES):
            role = self.document.get("system_role", "system")
            history = [Message(role=role, content=system), *history]
        if "expect" in row:
            self._check_asked(history, at)
            expectation = read_expectation(row["expect"], (*steps, "expect"), tools, self.note)
            return [(Turn(messages=tuple(history), expectation=expectation), row["expect"])]
        turns = []
        for index, entry in enumerate(row["turns"]):
            here = (*steps, "turns", index)
            self._check_asked(history, at)
            expectation = read_expectation(entry["expect"], (*here, "expect"), tools, self.note)
            turn = Turn(messages=tuple(history), expectation=expectation)
            turns.append((turn, entry["expect"]))
            at = (*here, "then")
            last = index == len(row["turns"]) - 1
            if last and "then" in entry:
                self.note(at, "leads nowhere: no turn follows; remove it")
            elif not last and "then" not in entry:
                self.note(
                    here, 'needs "then": the reference answer and what leads to the next turn'
                )
            elif not last:
                then = self._messages(entry["then"], at, tools)
                if then and then[0].role != "assistant":
                    self.note(at, "must begin with the assistant's reference answer")
                history = [*history, *then]
        return turns

    def _check_asked(self, history: Sequence[Message], steps: Steps) -> None:
        if history and history[-1].role == "assistant":
            self.note(steps, "ends with an assistant message, so nothing is left to answer")
        if any(
            message.role == "tool" and not _answers(history[:index])
            for index, message in enumerate(history)
        ):
            self.note(steps, "has a tool message that answers no tool call")

    def _messages(
        self, given: Sequence[Any], steps: Steps, tools: Mapping[str, Tool]
    ) -> list[Message]:
        messages = []
        for index, entry in enumerate(given):
            at = (*steps, index)
            try:
                message = _message(entry, at)
            except ValueError as exc:
                self.note(at, f"is no message: {exc}")
                continue
            messages.append(message)
            for call in message.tool_calls:
                if call.name not in tools:
                    self.note(at, f"calls {call.name!r}, {NOT_OFFERED}{suggest(call.name, tools)}")
        return messages


_KEYS = (
    "format",
    "name",
    "version",
    "description",
    "license",
    "system",
    "system_role",
    "declare_tools",
    "generation",
    "tools",
    "cases",
)


def _message(entry: Any, steps: Steps) -> Message:
    try:
        message = Message.from_chat(entry)
    except RecursionError as exc:
        raise ValueError(f"it is {TOO_DEEP}") from exc
    for call in message.tool_calls:
        # Arguments may be JSON text, which was a mere text until here.
        for _, reason in unstorable_parts(call.arguments, steps):
            raise ValueError(f"arguments of {call.name!r}: {reason}")
    return message


def _answers(history: Sequence[Message]) -> bool:
    """
    Whether a tool message may come next: after a call, or after another call's result.
    """
    before = next((message for message in reversed(history) if message.role != "tool"), None)
    return before is not None and bool(before.tool_calls)


def _missing_reference(schema: Mapping[str, Any]) -> str | None:
    """
    Give a reference that leads nowhere or out of the schema; nothing is fetched from anywhere.
    """
    references = list(_references(schema))
    if not references:
        return None
    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().with_resource("", resource).resolver()
    for reference in references:
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return reference
    return None


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)
    elif isinstance(schema, Mapping):
        for key, inner in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str):
                yield inner
            else:
                yield from _references(inner)
