"""
A valid suite document -> a `Suite`.

The last of three passes. Two digests are computed here:

- of a case: its messages, tools and expectations as given, and what it must come to. Two cases are
  the same question iff they are equal, so tags, group, must_pass, quarantine and
  status are left out.
- of a suite: everything that can change an answer or its judgement, whole cases in order; name,
  version and description are left out.

The order of keys counts where a chat template shows it: in tools and in the calls of a history.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from sys import intern
from typing import Any

from harness.canonical import as_written, canonical_json
from harness.messages import Message, Tool, to_chat
from harness.suites.environment import DEFAULT_STEPS, EnvironmentSpec, environment
from harness.suites.outcome import KEYS, outcome
from harness.suites.suite import Case, Quarantine, Suite
from harness.suites.tools import by_name, tools
from harness.suites.turns import turns

_DEFAULTS = {"description": "", "system_role": "system", "declare_tools": True, "generation": {}}
_KEYS = """
format name version description license variant
system system_role declare_tools generation environment max_steps tools cases
""".split()


def build(document: Mapping[str, Any], *, let_go: bool = False) -> Suite:
    """
    Return the suite of a document in which `validate` found no problems.

    With *let_go* each row of its cases is replaced by None as soon as its case is made, so that a
    large suite is never in memory twice.
    """
    document = {**_DEFAULTS, **document}
    make = case_builder(document)
    made, texts, counted = [], [], hashlib.sha256(b'{"cases":[')
    rows = document["cases"]
    for place, row in enumerate(rows):
        made.append(make(row))
        texts.append(as_written(row))
        counted.update(f"{',' if place else ''}{canonical_json(row)}".encode())
        if let_go:
            rows[place] = None
    cases = tuple(made)
    steps = document.get("max_steps", DEFAULT_STEPS)
    world = environment(document["environment"], steps) if "environment" in document else None
    return Suite(
        name=document["name"],
        version=document["version"],
        digest=_digest(document, cases, world, counted),
        cases=cases,
        tools=_offered(tools(document["tools"], {}), cases),
        text=_text(document, texts),
        description=document["description"],
        system=document.get("system"),
        system_role=document["system_role"],
        declare_tools=document["declare_tools"],
        generation=document["generation"],
        environment=world,
        max_steps=steps,
    )


def _offered(declared: tuple[Tool, ...], cases: Sequence[Case]) -> tuple[Tool, ...]:
    """
    Return the tools that a suite declares, then those that only its cases do.
    """
    lists = {id(case.tools): case.tools for case in cases}  # most cases share one
    every = [*declared, *(tool for offered in lists.values() for tool in offered)]
    return tuple({canonical_json(tool.schema): tool for tool in every}.values())


def _text(document: Mapping[str, Any], rows: Sequence[str]) -> str:
    """
    Return *document* as it is written, whose cases are written as *rows*.
    """
    parts = {key: document[key] for key in _KEYS if key in document and key != "cases"}
    return f'{as_written(parts)[:-1]},"cases":[{",".join(rows)}]}}'


def _digest(
    document: Mapping[str, Any],
    cases: Sequence[Case],
    world: EnvironmentSpec | None,
    counted: "hashlib._Hash",
) -> str:
    """
    Return the SHA-256 of the canonical JSON of all that counts; *counted* is that of its beginning,
    the list of cases, without its end.
    """
    others = {
        "system": document.get("system"),
        "tools": as_written(document["tools"]),
        "questions": [case.digest for case in cases],
        **{key: document[key] for key in ("system_role", "declare_tools", "generation")},
        **({"environment": world.digest} if world is not None else {}),
    }
    counted.update(f"],{canonical_json(others)[1:]}".encode())
    return f"sha256:{counted.hexdigest()}"


def case_builder(document: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Case]:
    """
    Return the function that makes a `Case` of a row of the valid suite *document*, whose own
    ``cases`` are not looked at.
    """
    document = {**_DEFAULTS, **document}
    declared = tools(document["tools"], {})
    known = by_name(declared)
    executed = "environment" in document
    said = document.get("system")
    system = None if said is None else Message(role=document["system_role"], content=said)
    shown = "" if document["declare_tools"] else '"declare_tools":false,'

    def beginning(offered: Sequence[Tool]) -> bytes:
        return f'{{{shown}"tools":{_spelled(offered)},'.encode()

    begun = hashlib.sha256(beginning(declared))

    def make(row: Mapping[str, Any]) -> Case:
        offered = tools(row["tools"], known) if "tools" in row else declared
        asked = list(turns(row, system=system))
        content = {
            "turns": [
                {"messages": as_written(to_chat(turn.messages)), "expect": expect}
                for turn, expect in asked
            ],
            **({"outcome": {key: row[key] for key in KEYS if key in row}} if executed else {}),
        }
        # The canonical JSON of all three; most cases offer the same tools.
        counted = begun.copy() if offered is declared else hashlib.sha256(beginning(offered))
        counted.update(canonical_json(content)[1:].encode())
        return Case(
            id=row["id"],
            turns=tuple(turn for turn, _ in asked),
            tools=offered,
            digest=f"sha256:{counted.hexdigest()}",
            tags=tuple(map(intern, row.get("tags", ()))),
            group=intern(row["group"]) if "group" in row else None,
            must_pass=row.get("must_pass", False),
            quarantine=_quarantine(row["quarantine"]) if "quarantine" in row else None,
            outcome=outcome(row) if executed else None,
            proposed=row.get("status") == "proposed",
        )

    return make


def _spelled(offered: Sequence[Tool]) -> str:
    return canonical_json(as_written([tool.schema for tool in offered]))


def _quarantine(given: Mapping[str, Any]) -> Quarantine:
    return Quarantine(reason=given["reason"], until=date.fromisoformat(given["until"]))
