"""
A valid suite document -> a `Suite`.

The last of three passes. Two digests are computed here:

- of a case: its messages, tools and expectations as given. Two cases are the same question iff
  they are equal, so tags, group, must_pass and quarantine are left out.
- of a suite: everything that can change an answer or its judgement, whole cases in order; name,
  version and description are left out.

The order of keys counts where a chat template shows it: in tools and in the calls of a history.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from harness.canonical import as_written, canonical_json, digest
from harness.messages import Tool, to_chat
from harness.suites.suite import Case, Quarantine, Suite
from harness.suites.tools import by_name, tools
from harness.suites.turns import turns

_DEFAULTS = {"description": "", "system_role": "system", "declare_tools": True, "generation": {}}
_KEYS = """
format name version description license system system_role declare_tools generation tools cases
""".split()


def build(document: Mapping[str, Any]) -> Suite:
    """
    Return the suite of a document in which `validate` found no problems.
    """
    document = {**_DEFAULTS, **document}
    declared = tools(document["tools"], {})
    cases = tuple(_case(row, document, declared) for row in document["cases"])
    offered = {canonical_json(tool.schema): tool for tool in declared}
    for case in cases:
        offered.update((canonical_json(tool.schema), tool) for tool in case.tools)
    return Suite(
        name=document["name"],
        version=document["version"],
        digest=_digest(document, cases),
        cases=cases,
        tools=tuple(offered.values()),
        document={key: document[key] for key in _KEYS if key in document},
        description=document["description"],
        system=document.get("system"),
        system_role=document["system_role"],
        declare_tools=document["declare_tools"],
        generation=document["generation"],
    )


def _digest(document: Mapping[str, Any], cases: Sequence[Case]) -> str:
    counted = ("system_role", "declare_tools", "generation", "cases")
    return digest(
        {
            "system": document.get("system"),
            "tools": as_written(document["tools"]),
            "questions": [case.digest for case in cases],
            **{key: document[key] for key in counted},
        }
    )


def _case(row: Mapping[str, Any], document: Mapping[str, Any], declared: tuple[Tool, ...]) -> Case:
    offered = tools(row["tools"], by_name(declared)) if "tools" in row else declared
    asked = list(turns(row, system=document.get("system"), system_role=document["system_role"]))
    content: dict[str, Any] = {
        "turns": [
            {"messages": as_written(to_chat(turn.messages)), "expect": expect}
            for turn, expect in asked
        ],
        "tools": as_written([tool.schema for tool in offered]),
    }
    if not document["declare_tools"]:
        content["declare_tools"] = False
    return Case(
        id=row["id"],
        turns=tuple(turn for turn, _ in asked),
        tools=offered,
        digest=digest(content),
        tags=tuple(row.get("tags", ())),
        group=row.get("group"),
        must_pass=row.get("must_pass", False),
        quarantine=_quarantine(row["quarantine"]) if "quarantine" in row else None,
    )


def _quarantine(given: Mapping[str, Any]) -> Quarantine:
    return Quarantine(reason=given["reason"], until=date.fromisoformat(given["until"]))
