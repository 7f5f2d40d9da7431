"""
What a label or a comment on a pull request asks for, as GitHub sends it.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.workflow.request import Request, read_request

SENDER = {"login": "octocat", "type": "User"}
LABELED = {
    "action": "labeled",
    "number": 812,
    "label": {"id": 1, "name": "accept-baseline", "color": "ededed"},
    "pull_request": {"number": 812, "title": "Ask back\n first", "head": {"ref": "ask"}},
    "repository": {"default_branch": "main"},
    "sender": SENDER,
}


def commented(body: str, **issue: Any) -> dict[str, Any]:
    return {
        "action": "created",
        "issue": {"number": 812, "pull_request": {"url": "https://api.github.com/x"}, **issue},
        "comment": {"id": 7, "body": body, "author_association": "MEMBER"},
        "repository": {"default_branch": "main"},
        "sender": SENDER,
    }


def asked(folder: Path, event: Any) -> Request:
    (folder / "event.json").write_text(json.dumps(event), "utf-8")
    return read_request(folder / "event.json")


def test_the_label_asks_for_the_whole_run_by_the_title_of_the_request(tmp_path: Path):
    wanted = Request(cases=(), reason="Ask back first (octocat on #812)", until=None)

    assert wanted == asked(tmp_path, LABELED)


@pytest.mark.parametrize(
    ("body", "cases", "reason", "until"),
    [
        ("/harness accept: agreed", (), "agreed", None),
        ("/harness accept kb-012 kb.044 : asks back: first\n\nthanks", ("kb-012", "kb.044"),
         "asks back: first thanks", None),
        (" /harness  accept kb-1 until 2027-03-31: $(rm -rf /)", ("kb-1",), "$(rm -rf /)",
         date(2027, 3, 31)),
    ],
)  # fmt: skip
def test_a_comment_asks_for_what_it_says(
    tmp_path: Path, body: str, cases: tuple[str, ...], reason: str, until: date | None
):
    wanted = Request(cases=cases, reason=f"{reason} (octocat on #812)", until=until)

    assert wanted == asked(tmp_path, commented(body))


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (commented("/harness accept"), "the comment asks for nothing; write"),
        (commented("/harness accept kb-1"), "the comment asks for nothing"),
        (commented("see /harness accept: x"), "the comment asks for nothing"),
        (commented("/harness accept until 2027-01-01: x"), "name them before it"),
        (commented("/harness accept c until soon: x"), "not an event of a label or a comment"),
        ({**commented("/harness accept: x"), "issue": {"number": 3}}, "not on a pull request"),
        ({**LABELED, "action": "unlabeled"}, "the label 'accept-baseline' was unlabeled"),
        ({**LABELED, "label": {"name": "bug"}}, "the label 'bug' was labeled"),
        ({"action": "opened"}, "not an event of a label or a comment"),
        ([], "not an event of a label or a comment"),
    ],
)
def test_an_event_that_asks_for_nothing_is_an_error(tmp_path: Path, event: Any, said: str):
    with pytest.raises(UsageError, match=said):
        asked(tmp_path, event)
