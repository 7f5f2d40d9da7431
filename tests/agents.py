"""
Scripted agents for executed suites, and a small suite of each kind for them to run.

An agent is a Python function in the place of a model: ``python:tests.agents:right``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Messages = Sequence[Mapping[str, Any]]

SEARCH = {
    "name": "search",
    "description": "Search.",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
    },
}
CORPUS = [
    {"id": "leave", "title": "Leave", "text": "Full-time staff have 25 days of leave."},
    {"id": "lunch", "title": "Lunch", "text": "Lunch costs 4 euros."},
    {"id": "parking", "title": "Parking", "text": "A parking space costs 30 euros a month."},
]
CASES = [
    {
        "id": "leave",
        "prompt": "How many days of leave do I have?",
        "relevant": {"leave": 1},
        "answer": {"contains_any": ["25 days"]},
        "expect": {"calls": [{"tool": "search"}]},
    },
    {
        "id": "lunch",
        "prompt": "What does lunch cost?",
        "relevant": {"lunch": 1},
        "answer": 4,
        "expect": {"calls": [{"tool": "search"}]},
    },
]
SUITE = {
    "format": 1,
    "name": "kb",
    "version": "1.0.0",
    "tools": [SEARCH],
    "environment": {"kind": "documents", "tool": "search", "corpus": "corpus.jsonl", "k": 2},
}


def write_suite(root: Path, cases: Sequence[Any] = CASES, **changes: Any) -> Path:
    """
    Write the suite ``kb`` into a project, and return its folder.
    """
    folder = root / "suites" / "kb"
    folder.mkdir(parents=True, exist_ok=True)
    corpus = changes.pop("corpus", CORPUS)
    suite = {**SUITE, **changes, "cases": list(cases)}
    (folder / "suite.yaml").write_text(json.dumps(suite))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in corpus))
    return folder


def call(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}


def say(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def asked(messages: Messages) -> str:
    return next(str(each["content"]) for each in reversed(messages) if each["role"] == "user")


def told(messages: Messages) -> str:
    return str(messages[-1]["content"]) if messages[-1]["role"] == "tool" else ""


def right(messages: Messages, tools: Any) -> dict[str, Any]:
    """
    Search for the question and read the first number with its noun.
    """
    if not told(messages):
        return call("search", query=asked(messages))
    found = re.search(r"\d+ \w+", told(messages))
    return say(f"It is {found.group() if found else 'not known'}.")


def wrong_query(messages: Messages, tools: Any) -> dict[str, Any]:
    return right(messages, tools) if told(messages) else call("search", query="parking")


def loops(messages: Messages, tools: Any) -> dict[str, Any]:
    return call("search", query=asked(messages))


def never_stops(messages: Messages, tools: Any) -> dict[str, Any]:
    return call("search", query=f"{asked(messages)} {len(messages)}")


def unknown_tool(messages: Messages, tools: Any) -> dict[str, Any]:
    return say("I cannot.") if told(messages) else call("find", query=asked(messages))


def bad_arguments(messages: Messages, tools: Any) -> dict[str, Any]:
    return say("I cannot.") if told(messages) else call("search", text="leave")


def never_calls(messages: Messages, tools: Any) -> dict[str, Any]:
    return say("I do not know.")


def invents(messages: Messages, tools: Any) -> dict[str, Any]:
    if not told(messages):
        return call("search", query=asked(messages))
    return say("It is 25 days or 4 euros, by rule HR-77.")


def reads(messages: Messages, tools: Any) -> dict[str, Any]:
    """
    Say what stands before the question.
    """
    return say(asked(messages))


def breaks(messages: Messages, tools: Any) -> dict[str, Any]:
    """
    Break when it has seen a result about leave.
    """
    if "leave" in asked(messages) and told(messages):
        raise RuntimeError("out of memory")
    return right(messages, tools)


AGENTS: Mapping[str, Callable[[Messages, Any], dict[str, Any]]] = {
    agent.__name__: agent
    for agent in (
        *(right, wrong_query, loops, never_stops, unknown_tool, bad_arguments, never_calls),
        *(invents, reads, breaks),
    )
}
