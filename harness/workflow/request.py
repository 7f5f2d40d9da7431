"""
What somebody asks for on a pull request: accepting a candidate, or single changes of it, or
letting a regression through.

A label asks for the whole run, a comment for what it says::

    /harness accept: the new wording was agreed in #812
    /harness accept kb-012 kb-044 until 2027-03-31: asks back first

Read from the event that GitHub hands to a workflow, never through a shell. Whether the person may
ask is for the workflow to find out. (https://docs.github.com/webhooks/webhook-events-and-payloads)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.canonical import parse_json
from harness.errors import UsageError, boundary
from harness.gating.verdict import Override
from harness.provenance import now

LABEL = "accept-baseline"
OVERRIDE = "harness-override"
"""The label that lets a regression through, unless a workflow names another one."""

_ASKED = re.compile(
    r"/harness\s+accept(?P<cases>(?:\s+(?!until\b)[^\s:]+)*)(?:\s+until\s+(?P<until>\S+?))?"
    r"\s*:\s*(?P<reason>\S.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What is to be accepted.
    """

    cases: tuple[str, ...]
    """Empty for the whole run."""
    reason: str
    """With who asked, and where."""
    until: date | None


def read_request(path: Path) -> Request:
    """
    Return what the event in the file *path* asks for.

    Raises:
        UsageError: if it cannot be read, or asks for nothing.
    """
    with boundary(UsageError, f"{path}: cannot be read"):
        event = parse_json(path.read_text("utf-8"))
    with boundary(UsageError, f"{path}: not an event of a label or a comment of GitHub"):
        return _label(event) if "label" in event else _comment(event)


def read_override(path: Path, label: str = OVERRIDE) -> Override:
    """
    Return the override that the event in the file *path* asks for: *label* was set, by somebody, on
    a pull request.

    It is the event of a workflow, or the row of GitHub's list of a pull request's events, with or
    without ``pull_request``. (https://docs.github.com/rest/issues/events)

    Raises:
        UsageError: if it cannot be read, or is not about *label* being set.
    """
    with boundary(UsageError, f"{path}: cannot be read"):
        event = parse_json(path.read_text("utf-8"))
    with boundary(UsageError, f"{path}: not an event of a label of GitHub"):
        done, name = event.get("event") or event["action"], str(event["label"]["name"])
        if done != "labeled" or name != label:
            raise UsageError(f"the label {name!r} was {done}; {label!r} overrides the gate")
        pull = event.get("pull_request") or {}
        title = " ".join(str(pull.get("title") or "").split())
        of = f" on #{pull['number']}" if "number" in pull else ""
        who = event.get("actor") or event["sender"]
        when = event.get("created_at") or pull.get("updated_at") or now()
        reason = f"{title} (label {label}{of})" if title else f"label {label}{of}"
        return Override(by=str(who["login"]), reason=reason, when=str(when))


def _label(event: Mapping[str, Any]) -> Request:
    name = str(event["label"]["name"])
    if event["action"] != "labeled" or name != LABEL:
        raise UsageError(
            f"the label {name!r} was {event['action']}; {LABEL!r} asks to accept a run"
        )
    pull = event["pull_request"]
    title = " ".join(str(pull["title"]).split())
    return Request(cases=(), reason=f"{title} ({_by(event, pull['number'])})", until=None)


def _comment(event: Mapping[str, Any]) -> Request:
    issue = event["issue"]
    if "pull_request" not in issue:
        raise UsageError("the comment is not on a pull request, so there is no run to accept")
    found = _ASKED.fullmatch(str(event["comment"]["body"]).strip())
    if found is None:
        raise UsageError(
            "the comment asks for nothing; write `/harness accept: REASON` for the whole run, or "
            "`/harness accept CASE ... until DATE: REASON`"
        )
    reason = " ".join(found["reason"].split())
    until = found["until"]
    if until is not None and not found["cases"]:
        raise UsageError("`until` is for single cases: name them before it")
    return Request(
        cases=tuple(found["cases"].split()),
        reason=f"{reason} ({_by(event, issue['number'])})",
        until=None if until is None else date.fromisoformat(until),
    )


def _by(event: Mapping[str, Any], number: int) -> str:
    return f"{event['sender']['login']} on #{number}"
