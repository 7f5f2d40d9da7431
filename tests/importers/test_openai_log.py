"""
Live traffic as proposals: asked once, masked, grouped, sampled, and never gated unseen.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.importers.base import Imported
from harness.importers.openai_log import OpenaiLog
from harness.importers.writing.convert import import_suite
from harness.suites.files import load_suite
from harness.suites.lint.check import check

from .examples import TOOL, call, lines

TODAY = date(2026, 11, 30)
OTHER = {**TOOL, "function": {**TOOL["function"], "name": "delete"}}
WORDS = "pears bridges violins weather invoices elephants chess robots".split()


def logged(
    prompt: str, *calls: dict[str, Any], said: str = "Well.", before: tuple[Any, ...] = ()
) -> dict[str, Any]:
    answer = {"role": "assistant", "tool_calls": list(calls)} if calls else {"content": said}
    message = {"role": "assistant", **answer}
    return {
        "messages": [*before, {"role": "user", "content": prompt}],
        "tools": [TOOL, OTHER],
        "choices": [{"finish_reason": "stop", "message": message}],
    }


def read(folder: Path, *rows: Any, limit: int = 500) -> Imported:
    (folder / "log.jsonl").write_text(lines(*rows), "utf-8")
    return OpenaiLog(limit=limit).read({"rows": (folder / "log.jsonl",)}, TODAY)


def said(imported: Imported) -> list[str]:
    return [f"{note.line}: {note.message}" for note in imported.notes]


def test_a_question_asked_often_is_one_case_that_expects_the_usual_answer(tmp_path: Path):
    find, delete = call("search", query="pears"), call("delete", query="pears")
    rows = [logged("Pears?", answer) for answer in (delete, find, delete, find, find)]

    found = read(tmp_path, logged("Hello there."), *rows)

    _, pears = (case.row for case in found.cases)
    assert [{"tool": "search", "arguments": {"query": "pears"}}] == pears["expect"]["calls"]
    assert (["answers-differ"], "proposed") == (pears["tags"], pears["status"])
    assert [
        "2: 1 question asked 4 more times and taken once, 1 of them answered differently (tag "
        "answers-differ)"
    ] == said(found)


def test_every_case_is_proposed_and_an_answer_of_text_expects_no_call(tmp_path: Path):
    found = read(tmp_path, logged("Hello there."), logged("Pears?", call("search", query="pears")))

    assert ["proposed", "proposed"] == [case.row["status"] for case in found.cases]
    assert {"abstain": True} == found.cases[0].row["expect"]
    assert "tags" not in found.cases[0].row


def test_what_a_conversation_names_is_masked_in_prompt_history_and_expectation(tmp_path: Path):
    before = (
        {"role": "user", "content": "I am eve@corp.org."},
        {"role": "assistant", "content": "Hello eve@corp.org."},
    )
    row = logged(
        "Search my mail, eve@corp.org", call("search", query="eve@corp.org"), before=before
    )

    found = read(tmp_path, row)

    (case,) = found.cases
    assert "eve@" not in json.dumps(dict(case.row))
    assert "person-1@example.com" == case.row["expect"]["calls"][0]["arguments"]["query"]
    assert "person-1@example.com" in case.row["messages"][1]["content"]
    assert ["1: masked: e-mail addresses, 1 in 1 exchange, such as person-1@example.com"] == (
        said(found)
    )


def test_questions_that_differ_by_masked_values_only_are_one(tmp_path: Path):
    rows = [
        logged(f"Find {name}@corp.org", call("search", query=f"{name}@corp.org"))
        for name in ("eve", "bob")
    ]

    assert 1 == len(read(tmp_path, *rows).cases)


def test_what_is_nearly_the_same_or_goes_on_a_conversation_shares_a_group(tmp_path: Path):
    opening = {"role": "user", "content": "I need a flight."}
    answer = {"role": "assistant", "content": "Where to?"}
    rows = [
        logged("Play the song Jolene in the kitchen", call("search", query="a")),
        logged("Is the museum open on Sundays?", call("search", query="b")),
        logged("Play the song Jolene in the bathroom", call("search", query="c")),
        logged("To Oslo", call("search", query="d"), before=(opening, answer)),
        logged("By train rather", call("search", query="e"), before=(opening, answer)),
    ]

    groups = [case.row.get("group") for case in read(tmp_path, *rows).cases]

    assert None is groups[1]
    assert groups[0] == groups[2] != groups[3] == groups[4]
    assert None not in groups[2:]


def test_of_many_a_rare_tool_is_there_and_the_note_says_what_is_not(tmp_path: Path):
    rows = [
        logged(f"{one} and {two}?", call("search", query=one)) for one in WORDS for two in WORDS
    ]
    rows.append(logged("Away with it!", call("delete", query="it")))

    found = read(tmp_path, *rows, limit=10)

    tools = [case.row["expect"]["calls"][0]["tool"] for case in found.cases]
    assert (1, 9) == (tools.count("delete"), tools.count("search"))
    (note,) = said(found)
    assert "left out: 55 questions beyond 10 that show tools alike: 55 with search" in note


def test_ids_are_those_of_the_questions_whatever_else_is_logged(tmp_path: Path):
    rows = [logged(f"{word}?", call("search", query=word)) for word in WORDS]

    ids = [case.row["id"] for case in read(tmp_path, *rows).cases]
    again = [case.row["id"] for case in read(tmp_path, logged("New."), *reversed(rows)).cases]

    assert set(ids) < set(again)
    assert 1 == len(set(again) - set(ids))


def test_what_is_no_case_is_counted_by_its_reason_at_its_first_line(tmp_path: Path):
    failed = {"messages": [{"role": "user", "content": "x"}], "response": {"error": "busy"}}
    bare = logged("Hello.")
    del bare["tools"]
    tool_span = {"attributes": {"gen_ai.operation.name": "execute_tool"}}
    picture = logged("Hm.")
    picture["messages"][0]["content"] = [{"type": "image_url"}]

    found = read(tmp_path, failed, logged("Hi."), failed, bare, tool_span, picture)

    assert 1 == len(found.cases)
    assert [
        "1: left out: the request failed (2 of them)",
        "4: left out: it offered no tools",
        "5: left out: a span of the operation 'execute_tool', which is no chat",
        "6: left out: content must be text (only parts of type text are read)",
    ] == sorted(said(found))


def test_a_case_that_cannot_be_read_makes_room_for_another(tmp_path: Path):
    odd = [
        logged(f"{word}?", {"type": "function", "function": {"name": "search", "arguments": "{"}})
        for word in WORDS
    ]
    fine = [logged(f"{word} or not?", call("search", query=word)) for word in WORDS]

    found = read(tmp_path, *odd, *fine, limit=5)

    assert 5 == len(found.cases)


def test_nothing_proposed_is_gated_and_a_confirmed_case_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    rows = [logged(f"{word}?", call("search", query=word)) for word in WORDS]
    Path("log.jsonl").write_text(lines(*rows), "utf-8")
    assert 0 == main(["suite", "import", "openai-log", "log.jsonl", "--out", "suites/live"])
    assert (
        "made suites/live: 8 cases, 0 of them in quarantine, 8 proposed, which count once they "
        "are confirmed, no notes\n"
    ) in capsys.readouterr().out
    assert ["proposed"] == [each.code for each in check(Path("suites/live"), TODAY)]

    def run(name: str, right: bool) -> None:
        suite = load_suite(Path("suites/live"))
        answers = [
            {
                "case": case.id,
                "message": {"tool_calls": [call("search", query=word if right else "")]},
            }
            for case, word in zip(suite.cases, WORDS, strict=True)
        ]
        Path(f"{name}.jsonl").write_text(lines(*answers), "utf-8")
        asked = ["--checkpoint", f"replay:{name}.jsonl", "--out", name, "--quiet"]
        assert 0 == main(["run", "live", *asked])

    def gated(candidate: str) -> dict[str, Any]:
        capsys.readouterr()
        main(["gate", candidate, "--baseline", "good", "--json", "-"])
        return json.loads(capsys.readouterr().out)

    run("good", right=True)
    run("bad", right=False)
    found = gated("bad")
    assert ([], 0) == (found["broken"], found["metrics"].get("accuracy", {}).get("pairs", 0))
    assert 8 == len(found["quarantined"])

    file = Path("suites/live/cases.jsonl")
    text = file.read_text("utf-8").replace('"status": "proposed"', '"status": "confirmed"')
    file.write_text(text, "utf-8")
    assert [] == [
        each.code for each in check(Path("suites/live"), TODAY) if each.code == "proposed"
    ]
    run("good-2", right=True)
    run("bad-2", right=False)
    capsys.readouterr()
    main(["gate", "bad-2", "--baseline", "good-2", "--json", "-"])
    assert 8 == len(json.loads(capsys.readouterr().out)["broken"])


def test_a_later_log_adds_its_questions_and_leaves_what_was_confirmed(tmp_path: Path):
    rows = [logged(f"{word}?", call("search", query=word)) for word in WORDS]
    (tmp_path / "log.jsonl").write_text(lines(*rows[:4]), "utf-8")
    sources = {"rows": (tmp_path / "log.jsonl",)}
    import_suite("openai-log", sources, tmp_path / "live", today=TODAY)
    file = tmp_path / "live" / "cases.jsonl"
    file.write_text(file.read_text("utf-8").replace(', "status": "proposed"', "", 1), "utf-8")
    (tmp_path / "log.jsonl").write_text(lines(*rows), "utf-8")

    words = ["suite", "import", "openai-log", str(tmp_path / "log.jsonl"), "--update"]
    assert 0 == main([*words, "--out", str(tmp_path / "live")])

    proposed = [case.proposed for case in load_suite(tmp_path / "live").cases]
    assert [False, *[True] * 7] == proposed


def test_another_format_takes_no_limit(capsys: pytest.CaptureFixture[str]):
    assert 2 == main(["suite", "import", "chat-jsonl", "x", "--out", "y", "--limit", "3"])

    assert "format chat-jsonl takes no --limit" in capsys.readouterr().err
