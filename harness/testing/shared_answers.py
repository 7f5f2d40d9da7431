"""
What goes wrong in real output, whatever the dialect: one file in ``answers/`` for each kind.

A row says what the model wrote without the tags of any dialect; `harness.testing.dialect_sample`
says how a dialect frames it. A row has

- ``write``: calls as ``{tool: arguments}``, spelled for each kind of arguments; or ``bodies``: kind
  or layout -> ``[[name, body], ...]``, where the spelling itself is the point; or ``text``, the
  whole answer; or ``error``; ``before`` and ``after`` are outside the frame;
- ``expect``: the expectation; the calls written where it is left out;
- ``want``: what comes of it, by layout, kind or ``default``, the first of these that is there:
  ``status``, ``lenient`` (default: the same), ``findings``, ``kinds``, ``repairs``, ``calls`` (as
  `write`); without any, all is right and nothing is found;
- ``only``, ``not``: kinds and layouts it applies to.

A dialect for which a row does not hold says so in its sample.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.documents import read_document
from harness.errors import UsageError
from harness.suites.parse import parse_suite
from harness.suites.suite import Case

_FOLDER = Path(__file__).with_name("answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAnswer:
    """
    One row.
    """

    kind: str
    """What goes wrong: the name of its file."""
    row: Mapping[str, Any]

    @property
    def id(self) -> str:
        """
        The row's own name.
        """
        return str(self.row["id"])

    @property
    def written(self) -> list[tuple[str, dict[str, Any]]] | None:
        """
        The calls of ``write``; None where the row spells its answer itself.
        """
        return pairs(self.row["write"]) if "write" in self.row else None

    def case(self) -> Case:
        """
        Return the case it answers.
        """
        expect = self.row.get("expect") or {
            "calls": [
                {"tool": tool, "arguments": {key: {"const": value} for key, value in given.items()}}
                for tool, given in pairs(self.row["write"])
            ]
        }
        document = {
            "format": 1,
            "name": "shared-answers",
            "version": "1.0.0",
            "tools": _tools(),
            "cases": [{"id": "it", "prompt": "Please.", "expect": expect}],
        }
        return parse_suite(document, "shared answers").cases[0]


@cache
def shared_answers() -> tuple[SharedAnswer, ...]:
    """
    Return every row of every kind.
    """
    found = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        rows = document(path)
        if len({row["id"] for row in rows}) != len(rows):
            raise UsageError(f"{path}: two rows have one id")
        found += [SharedAnswer(kind=path.stem, row=row) for row in rows]
    return tuple(found)


def document(path: Path) -> Any:
    """
    Return the content of a YAML file.

    Raises:
        UsageError: naming the line of everything that cannot be read.
    """
    source = read_document(path)
    if source.problems:
        raise UsageError("\n".join(map(str, source.problems)))
    return source.value


def pairs(calls: Sequence[Mapping[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """
    Return calls written as ``{tool: arguments}`` as pairs.
    """
    return [pair for call in calls for pair in call.items()]


@cache
def _tools() -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = json.loads((_FOLDER / "tools.json").read_text("utf-8"))
    return tools
