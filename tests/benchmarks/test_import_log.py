"""
10,000 logged responses as a suite, as a ratio to ``json.loads`` of their lines.
"""

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

from harness.importers.registry import importer

from .commands import NAMES, TOOLS, WORDS
from .controls import against, reading

COUNT = 10_000


def exchange(draw: random.Random, number: int) -> dict[str, Any]:
    """
    One request with its answer; every third is the third step of a conversation.
    """
    words = " ".join(draw.choices(WORDS, k=draw.randint(5, 14)))
    who = f" for user{number % 300}@mail.example" if number % 7 == 0 else ""
    messages = [
        {"role": "system", "content": "You are the assistant of a company. " * 8},
        {"role": "user", "content": f"{words}{who}, number {number}"},
    ]
    called = {"name": draw.choice(NAMES), "arguments": json.dumps({"query": words})}
    calls = [{"id": "c", "type": "function", "function": called}]
    if number % 3 == 0:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c", "content": json.dumps({"found": words * 3})},
        ]
    text = {"content": f"Here is what I know: {words}"}
    message = {"role": "assistant", **(text if number % 5 == 0 else {"tool_calls": calls})}
    return {
        "request": {"model": "shipped", "messages": messages, "tools": TOOLS},
        "response": {"choices": [{"finish_reason": "stop", "message": message}]},
    }


def test_ten_thousand_responses_are_imported(benchmark: Any, tmp_path: Path):
    draw = random.Random(0)
    file = tmp_path / "log.jsonl"
    rows = (json.dumps(exchange(draw, number)) for number in range(COUNT))
    file.write_text("\n".join(rows), "utf-8")

    def imported() -> int:
        found = importer("openai-log").read({"rows": (file,)}, date(2026, 11, 30))
        return len(found.cases)

    assert 500 == against(benchmark, reading(file), imported)
