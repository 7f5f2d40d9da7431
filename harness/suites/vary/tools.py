"""
The tools of a suite in another order, among others, or under names that say nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from harness.errors import UsageError
from harness.messages import Tool
from harness.suites.vary.draws import draws
from harness.suites.vary.draws import shuffled as in_order_of
from harness.wording import count

_ORDERS = 4
"""How many orders there are of one list of tools: prompts that begin alike are answered faster."""


def shuffled(document: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """
    Return a suite of which each case offers its tools in another order.

    A case of fewer than two tools stays as it is.
    """
    every = [_name(tool) for tool in document["tools"]]
    return {**document, "cases": [_shuffled(row, every, seed) for row in document["cases"]]}


def _shuffled(row: Mapping[str, Any], every: Sequence[str], seed: int) -> Mapping[str, Any]:
    entries = list(row.get("tools", every))
    if len(entries) < 2:
        return row
    number = draws(seed, "order")(row["id"]) % _ORDERS
    other = in_order_of(entries, draws(seed, "place", number), _name)
    if other == entries:
        other = [*entries[1:], entries[0]]
    return {**row, "tools": other}


def with_distractors(document: Mapping[str, Any], many: int, seed: int) -> dict[str, Any]:
    """
    Return a suite of which each case offers *many* more tools, that none of its cases speaks of.

    Raises:
        UsageError: if there are not so many.
    """
    spoken = set(_stems(json.dumps([document["cases"], document["tools"]], ensure_ascii=False)))
    able = [each["tool"] for each in _pool() if spoken.isdisjoint(map(_stem, each["topics"]))]
    if many > len(able):
        raise UsageError(
            f"{count(len(able), 'tool')} can be added to this suite, whose cases speak of none of "
            f"them; ask for at most as many, not {many}"
        )
    added = in_order_of(able, draws(seed, "distractors"), _name)[:many]
    rows = [
        {**row, "tools": _among(row["tools"], [_name(tool) for tool in added], seed, row["id"])}
        if "tools" in row
        else row
        for row in document["cases"]
    ]
    return {**document, "tools": _among(document["tools"], added, seed, None), "cases": rows}


def _among(tools: Sequence[Any], added: Sequence[Any], seed: int, identity: Any) -> list[Any]:
    done, draw = list(tools), draws(seed, "among", identity)
    for each in added:
        done.insert(draw(_name(each)) % (len(done) + 1), each)
    return done


def renamed(document: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """
    Return a suite whose tools are called ``tool_a``, ``tool_b`` and so on, wherever they are named:
    in declarations, expectations, histories, and in texts if the name cannot be a plain word.
    """
    entries = [*document["tools"], *(tool for row in document["cases"] for tool in _inline(row))]
    names = in_order_of({_name(entry) for entry in entries}, draws(seed, "name"), str)
    other = {name: f"tool_{_letters(number)}" for number, name in enumerate(names)}
    rename = _Renaming(other)
    done = {
        **document,
        "tools": [rename.declaration(tool) for tool in document["tools"]],
        "cases": [rename.case(row) for row in document["cases"]],
    }
    if document.get("system") is not None:
        done["system"] = rename.text(document["system"])
    return done


class _Renaming:
    """
    Other names for tools, put where these are named.
    """

    def __init__(self, other: Mapping[str, str]) -> None:
        self._other = other
        plain = [re.escape(name) for name in other if re.search(r"[\W\d_]|[a-z][A-Z]", name)]
        # The longest first: `find_order_line` is not `find_order`.
        plain.sort(key=len, reverse=True)
        self._named = re.compile(rf"(?<![\w.])(?:{'|'.join(plain)})(?!\w)") if plain else None

    def name(self, name: str) -> str:
        return self._other.get(name, name)

    def text(self, text: str) -> str:
        return self._named.sub(lambda found: self._other[found[0]], text) if self._named else text

    def texts(self, value: Any) -> Any:
        """
        Return *value* with every text in it renamed.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.texts(inner) for key, inner in value.items()}
        return [self.texts(inner) for inner in value] if isinstance(value, list) else value

    def declaration(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return a declared tool; of its texts only descriptions are for reading.
        """
        if "function" in tool:
            return {**tool, "function": self.declaration(tool["function"])}
        return {
            key: self.name(value) if key == "name" else self._described(value, key)
            for key, value in tool.items()
        }

    def _described(self, value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {inner: self._described(value[inner], inner) for inner in value}
        if isinstance(value, list):
            return [self._described(inner) for inner in value]
        return self.text(value) if key == "description" and isinstance(value, str) else value

    def case(self, row: Mapping[str, Any]) -> dict[str, Any]:
        done = dict(row)
        if "tools" in row:
            done["tools"] = [
                self.name(tool) if isinstance(tool, str) else self.declaration(tool)
                for tool in row["tools"]
            ]
        if "prompt" in row:
            done["prompt"] = self.text(row["prompt"])
        if "messages" in row:
            done["messages"] = [self.message(message) for message in row["messages"]]
        if "expect" in row:
            done["expect"] = self.expectation(row["expect"])
        if "turns" in row:
            done["turns"] = [self.turn(turn) for turn in row["turns"]]
        return done

    def turn(self, turn: Mapping[str, Any]) -> dict[str, Any]:
        done = {**turn, "expect": self.expectation(turn["expect"])}
        if "then" in turn:
            done["then"] = [self.message(message) for message in turn["then"]]
        return done

    def expectation(self, given: Mapping[str, Any]) -> dict[str, Any]:
        done = dict(given)
        if "any_of" in given:
            done["any_of"] = [self.expectation(inner) for inner in given["any_of"]]
        if "calls" in given:
            done["calls"] = [{**call, "tool": self.name(call["tool"])} for call in given["calls"]]
        if "forbid" in given:
            done["forbid"] = [self.name(name) for name in given["forbid"]]
        return done

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        done = {
            key: self.texts(value) if key == "content" else value for key, value in message.items()
        }
        if message["role"] == "tool" and message.get("name") is not None:
            done["name"] = self.name(message["name"])
        if message.get("tool_calls"):
            done["tool_calls"] = [self.call(call) for call in message["tool_calls"]]
        return done

    def call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        if "function" in call:
            return {**call, "function": self.call(call["function"])}
        return {**call, "name": self.name(call["name"])}


def _letters(number: int) -> str:
    """
    Return a, b, ... z, aa, ab and so on.
    """
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _inline(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (tool for tool in row.get("tools", ()) if not isinstance(tool, str))


def _name(entry: Any) -> str:
    return entry if isinstance(entry, str) else Tool.from_schema(entry).name


def _stems(text: str) -> Iterator[str]:
    return (_stem(word) for word in re.findall(r"[^\W\d_]+", text.casefold()))


def _stem(word: str) -> str:
    return word.removesuffix("s")


@cache
def _pool() -> Sequence[Mapping[str, Any]]:
    """
    Return tools for distraction, of trades that few suites are about, each with what it is about.
    """
    file = resources.files("harness.suites.vary") / "distractors.json"
    return tuple(json.loads(file.read_text("utf-8")))
