"""
A small source of each format, and what its files are called.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.testing import ImporterSample

TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["query"],
        },
    },
}


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """
    A call as fine-tuning rows hold it: its arguments are text.
    """
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def question(identity: str, *functions: dict[str, Any], text: str = "Do it.") -> dict[str, Any]:
    return {
        "id": identity,
        "question": [[{"role": "user", "content": text}]],
        "function": list(functions),
    }


def function(name: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The function {name}.",
        "parameters": {"type": "dict", "properties": properties, "required": list(required)},
    }


def answer(identity: str, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"id": identity, "ground_truth": list(calls)}


CHAT = [
    {
        "messages": [
            {"role": "user", "content": f"Find {word}."},
            {"role": "assistant", "content": None, "tool_calls": [call("search", query=word)]},
        ],
        "tools": [TOOL],
    }
    for word in ("pears", "plums")
]

ACTIONS = [
    {
        "metadata": part,
        "tools": [
            {
                "function": {
                    "name": "show_map",
                    "description": "Shows a map.",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"query": {"type": "STRING"}},
                        "required": ["query"],
                    },
                }
            }
        ],
        "messages": [
            {"role": "developer", "content": "Today is Wednesday."},
            {"role": "user", "content": f"Where is {place}?"},
            {"role": "assistant", "tool_calls": [call("show_map", query=place)]},
        ],
    }
    for part, place in (("train", "Rome"), ("eval", "Paris"), ("eval", "Oslo"))
]

LOG = [
    {
        "id": f"req-{word}",
        "request": {
            "model": "shipped",
            "messages": [{"role": "user", "content": f"Find {word}."}],
            "tools": [TOOL],
        },
        "response": {
            "object": "chat.completion",
            "choices": [
                {
                    "finish_reason": "tool_calls",
                    "message": {"role": "assistant", "tool_calls": [call("search", query=word)]},
                }
            ],
            "usage": {"completion_tokens": 9},
        },
    }
    for word in ("pears", "a red bicycle")
]

SOURCES: dict[str, dict[str, tuple[str, str]]] = {
    "bfcl": {
        "questions": (
            "questions.json",
            lines(
                question("simple_0", function("add", ("a",), a={"type": "integer"})),
                question("irrelevance_0", function("add", a={"type": "float"})),
            ),
        ),
        "answers": ("answers.json", lines(answer("simple_0", {"add": {"a": [1]}}))),
    },
    "chat-jsonl": {"rows": ("chat.jsonl", lines(*CHAT))},
    "mobile-actions": {"rows": ("actions.jsonl", lines(*ACTIONS))},
    "openai-log": {"rows": ("log.jsonl", lines(*LOG))},
    "sheet": {
        "rows": ("rows.csv", "id,prompt,tool,query\na,Find pears.,search,pears\n"),
        "tools": ("tools.json", json.dumps([TOOL])),
    },
    "tool-rows": {
        "rows": (
            "rows.jsonl",
            lines(
                {
                    "user_content": "Find pears.",
                    "tool_name": "search",
                    "tool_arguments": '{"query": "pears"}',
                }
            ),
        ),
        "tools": ("tools.json", json.dumps([TOOL])),
    },
}

SAMPLES = {name: ImporterSample(name=name, files=files) for name, files in SOURCES.items()} | {
    "sheet": ImporterSample(
        name="sheet",
        files=SOURCES["sheet"],
        json_lines=False,
        unreadable="b,,search,plums\nc,Find plums.,seek,plums\n",
        head=1,
    )
}


def write(folder: Path, files: Mapping[str, tuple[str, str]]) -> dict[str, tuple[Path, ...]]:
    return ImporterSample(name="any", files=files).write(folder)
