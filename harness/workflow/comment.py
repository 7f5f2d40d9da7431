"""
One comment on a pull request, made once and kept up to date.

Through GitHub's own client, ``gh``, which knows the token and the host. A comment is ours if it
begins with the marker of `harness.renderers.comment`.
(https://docs.github.com/rest/issues/comments)
"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import ExitCode, UsageError

MARKER = "<!-- toolcall-harness"
"""How the comment begins, whatever it says."""

KEPT = "<!-- toolcall-harness: kept -->"
"""How a line ends that stays in the comment whatever it says later: one about an override."""

Done = Literal["created", "updated", "left out"]

_LONGEST = 65_000
"""GitHub takes 65,536 characters."""

_PASSED = re.compile(re.escape(MARKER) + r" verdict=pass -->")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where a comment is made.
    """

    repository: str
    """``owner/name``."""
    number: int
    """Of the pull request."""


def put_comment(text: str, place: Place, *, only_on_alert: bool = False) -> Done:
    """
    Make the comment *text* at *place*, or replace the one that is there, but for its lines that are
    kept.

    With *only_on_alert*, a pass makes no comment; one that is there is updated all the same, so
    that no old alarm stays.

    Raises:
        UsageError: if *text* is not a comment of ours, or ``gh`` is missing or fails.
    """
    if not text.startswith(MARKER):
        raise UsageError(f"not a comment of `harness gate --comment`: it begins {text[:30]!r}")
    if not _REPOSITORY.fullmatch(place.repository):
        raise UsageError(f"{place.repository!r} is not a repository: OWNER/NAME")
    base = f"repos/{place.repository}/issues"
    # Every page of comments, one JSON value a line.
    listed = _gh(f"{base}/{place.number}/comments", "--paginate", "--jq", ".[] | {id, body}")
    ours = [row for row in map(json.loads, listed.splitlines()) if _is_ours(row)]
    if ours:
        text = with_kept(text, ours[0]["body"])
        _gh(f"{base}/comments/{int(ours[0]['id'])}", "--method", "PATCH", sent={"body": text})
        return "updated"
    if only_on_alert and _PASSED.match(text):
        return "left out"
    _gh(f"{base}/{place.number}/comments", "--method", "POST", sent={"body": text})
    return "created"


def put_checks(verdict: dict[str, Any], repository: str, commit: str) -> list[str]:
    """
    Make a check for each suite of a *verdict* on a release, or one for that of a single suite, on
    the *commit*. Return their names.

    *verdict* is the JSON of `harness gate --json`. (https://docs.github.com/rest/checks/runs)

    Raises:
        UsageError: if ``gh`` is missing or fails.
    """
    found = verdict.get("suites") or {str(verdict.get("suite") or "gate"): verdict}
    override = verdict.get("override")
    said_first = [f"overridden by {override['by']}: {override['reason']}"] if override else []
    for name, each in found.items():
        advisory = each.get("tier") == "advisory"
        said = {
            "name": f"harness: {name}",
            "head_sha": commit,
            "status": "completed",
            "conclusion": "neutral" if advisory else _conclusion(each, overridden=bool(override)),
            "output": {
                "title": str(each["verdict"]).replace("_", " "),
                "summary": "\n".join(f"- {reason}" for reason in [*said_first, *each["reasons"]])[
                    :60_000
                ],
            },
        }
        _gh(f"repos/{repository}/check-runs", "--method", "POST", sent=said)
    return [f"harness: {name}" for name in found]


def _conclusion(each: dict[str, Any], *, overridden: bool) -> str:
    if each["verdict"] == "pass":
        return "success"
    if overridden and each.get("exit") == ExitCode.REGRESSED:
        return "neutral"
    # A suite without a run has no exit code of its own.
    return "neutral" if each.get("exit", 3) == 0 else "failure"


def with_kept(text: str, before: str) -> str:
    """
    Return *text* and the kept lines of the comment as it was *before*, the last ones that fit.
    """
    now = text.splitlines()
    kept = [line for line in before.splitlines() if line.endswith(KEPT) and line not in now]
    while kept and len(text) + sum(len(line) + 2 for line in kept) > _LONGEST:
        del kept[0]
    return "".join([text, *(f"\n{line}\n" for line in kept)])


def _is_ours(row: Any) -> bool:
    return isinstance(row.get("body"), str) and row["body"].startswith(MARKER)


def _gh(path: str, *options: str, sent: Mapping[str, Any] | None = None) -> str:
    if shutil.which("gh") is None:
        raise UsageError("gh, GitHub's client, is not installed (https://cli.github.com)")
    given = () if sent is None else ("--input", "-")
    done = subprocess.run(
        ["gh", "api", path, *options, *given],
        input="" if sent is None else json.dumps(sent),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or "no message").splitlines()[0]
        raise UsageError(
            f"gh api {path}: {said} (a workflow of a fork may not write: its step's summary has "
            "the report)"
        )
    return done.stdout
