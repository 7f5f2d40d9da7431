"""
Examples of what models write, one table per dialect, and how each is read.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.dialects.base import Attempt, Reading
from harness.dialects.native import NATIVE
from harness.dialects.registry import dialect, names
from harness.messages import Tool


def _examples() -> list[Any]:
    rows = []
    for name in names():
        table = Path(__file__).with_name(f"{name}.yaml")
        if not table.exists():
            continue  # the fixtures say all there is to say
        examples = yaml.safe_load(table.read_text(encoding="utf-8"))
        assert len({row["id"] for row in examples}) == len(examples)
        rows += [pytest.param(name, row, id=f"{name}: {row['id']}") for row in examples]
    return rows


def _read(name: str, row: dict[str, Any], *, lenient: bool) -> Reading:
    if name == "native":
        reader = NATIVE.read_message_leniently if lenient else NATIVE.read_message
        return reader(row["message"], row.get("finish_reason"))
    member = dialect(name)
    tools = _tools(row.get("tools", {}))
    return (member.read_leniently if lenient else member.read)(row["text"], tools)


def _tools(declared: dict[str, dict[str, Any]]) -> list[Tool]:
    """
    Read the column `tools`: the JSON Schema of each argument of each tool.
    """
    return [
        Tool.from_schema({"name": name, "parameters": {"type": "object", "properties": properties}})
        for name, properties in declared.items()
    ]


def _check(expected: list[dict[str, Any]], attempts: tuple[Attempt, ...]) -> None:
    assert len(expected) == len(attempts), attempts
    for want, attempt in zip(expected, attempts, strict=True):
        if "call" in want:
            assert (want["call"], want["arguments"]) == (attempt.name, attempt.arguments)
            # 5 == 5.0 == True in Python, but not in a call.
            assert repr(want["arguments"]) == repr(attempt.arguments)
            assert attempt.readable
            assert not attempt.unfinished
            assert tuple(want.get("by_schema", ())) == attempt.by_schema
        else:
            assert not attempt.readable
            assert attempt.arguments is None
            assert want.get("name") == attempt.name
            assert ("unfinished" in want) == attempt.unfinished
            assert want.get("unfinished", want.get("malformed")) in (attempt.problem or "")
        if "raw" in want:
            assert want["raw"] == attempt.raw


@pytest.mark.parametrize(("name", "row"), _examples())
def test_reads_strictly(name: str, row: dict[str, Any]):
    reading = _read(name, row, lenient=False)

    _check(row.get("attempts", []), reading.attempts)
    assert row.get("rest", "") == reading.text
    assert () == reading.repairs


@pytest.mark.parametrize(("name", "row"), _examples())
def test_reads_leniently(name: str, row: dict[str, Any]):
    """
    Without a `lenient` column the lenient reading must be the strict one.
    """
    reading = _read(name, row, lenient=True)

    if "lenient" not in row:
        assert _read(name, row, lenient=False) == reading
        return
    want = row["lenient"]
    _check(want["attempts"], reading.attempts)
    assert want.get("rest", row.get("rest", "")) == reading.text
    assert tuple(want["repairs"]) == reading.repairs
