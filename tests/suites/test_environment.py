"""
Suites with an environment: what is read, what is refused, what changes the digest.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SuiteError
from harness.suites.copies import load_suite_copy
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.suites.summary import summarize

SEARCH = {
    "name": "search",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
    },
}
CORPUS = [{"id": "a", "text": "Staff have 25 days of leave."}, {"id": "b", "text": "Lunch."}]
DOCUMENTS = {"kind": "documents", "tool": "search", "corpus": "corpus.jsonl"}
CASE = {"id": "1", "prompt": "leave?", "relevant": {"a": 1}, "answer": 25}
TABLES = {
    "kind": "tables",
    "state": {"notes": [{"id": 1, "text": "milk"}]},
    "operations": {"search": {"list": "notes", "where": {"text": {"contains": "{query}"}}}},
}


def written(
    folder: Path, environment: Any = DOCUMENTS, *cases: Any, corpus: Any = CORPUS, **settings: Any
) -> Path:
    """
    Write a suite and return its folder.
    """
    folder.mkdir(exist_ok=True)
    head = {"format": 1, "name": "toy", "version": "1.0.0", "tools": [SEARCH], **settings}
    if environment is not None:
        head["environment"] = environment
    head["cases"] = list(cases or [CASE])
    (folder / "suite.yaml").write_text(json.dumps(head))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in corpus))
    return folder


def read(folder: Path, *parts: Any, **settings: Any) -> Suite:
    return load_suite(written(folder, *parts, **settings))


def problem(folder: Path, *parts: Any, **settings: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        read(folder, *parts, **settings)
    return str(caught.value)


def test_the_corpus_takes_its_place_in_the_suite(tmp_path: Path):
    suite = read(tmp_path)

    assert suite.environment is not None
    assert CORPUS == suite.environment.settings["corpus"]
    assert 4 == suite.max_steps
    outcome = suite.cases[0].outcome
    assert outcome is not None
    assert {"a": 1} == outcome.relevant
    assert outcome.answer is not None
    assert outcome.goal is None
    assert "either" == suite.cases[0].turns[0].expectation.expects


def test_the_copy_of_a_run_is_the_same_suite(tmp_path: Path):
    suite = read(tmp_path, max_steps=2)
    (tmp_path / "suite.json").write_text(json.dumps(suite.document))

    copy = load_suite_copy(tmp_path / "suite.json")

    assert suite.digest == copy.digest
    assert suite.environment == copy.environment
    assert [case.digest for case in suite.cases] == [case.digest for case in copy.cases]


@pytest.mark.parametrize(
    "change",
    [
        {"corpus": [CORPUS[0], {"id": "b", "text": "Dinner."}]},
        {"environment": {**DOCUMENTS, "k": 3}},
        {"max_steps": 2},
    ],
)
def test_what_the_environment_returns_is_part_of_the_digest(tmp_path: Path, change: Any):
    suite, other = read(tmp_path / "one"), read(tmp_path / "two", **change)

    assert suite.environment is not None
    assert other.environment is not None
    assert suite.environment.digest != other.environment.digest
    assert suite.digest != other.digest
    assert suite.cases[0].digest == other.cases[0].digest


def test_what_a_case_must_come_to_is_part_of_its_digest(tmp_path: Path):
    one, other = read(tmp_path / "one"), read(tmp_path / "two", DOCUMENTS, {**CASE, "answer": 26})

    assert one.cases[0].digest != other.cases[0].digest


@pytest.mark.parametrize(
    ("environment", "case", "said"),
    [
        ({"kind": "docs"}, CASE, "environment.kind is not known"),
        ({"kind": "documents"}, CASE, 'environment needs "tool"'),
        ({**DOCUMENTS, "tool": "serach"}, CASE, "did you mean 'search'?"),
        ({**DOCUMENTS, "corpus": "no.jsonl"}, CASE, "no file 'no.jsonl'"),
        ({**DOCUMENTS, "limit": 3}, CASE, "unknown key 'limit'"),
        ({**DOCUMENTS, "fixed": {"other": "x"}}, CASE, "is not another tool of the suite"),
        ({**DOCUMENTS, "argument": "text"}, CASE, "'text' is not an argument of 'search'"),
        (DOCUMENTS, {**CASE, "relevant": {"z": 1}}, "relevant.z is not in the corpus"),
        (DOCUMENTS, {**CASE, "relevant": {"a": 0}}, "a whole number from 1"),
        (DOCUMENTS, {**CASE, "answer": {"contains": 1}}, 'unknown keyword "contains"'),
        (DOCUMENTS, {**CASE, "goal": {}}, "whose environment has a state"),
        (DOCUMENTS, {"id": "1", "prompt": "x"}, 'needs "expect" or "turns"'),
        (None, CASE, "is for suites with an environment"),
        ({**TABLES, "operations": {"search": {"list": "nots"}}}, CASE, "did you mean 'notes'?"),
        ({**TABLES, "operations": {"search": {}}}, CASE, "needs one of list, get"),
        (
            {**TABLES, "operations": {"find": {"list": "notes"}}},
            CASE,
            "what the tool 'search'",
        ),
        (
            {**TABLES, "operations": {"search": {"list": "notes", "where": {"text": "{qery}"}}}},
            CASE,
            "names {qery}, which is not an argument; did you mean 'query'?",
        ),
        (
            {**TABLES, "operations": {"search": {"get": "notes", "where": {"txt": 1}}}},
            CASE,
            "is not a column of notes",
        ),
        (
            {**TABLES, "operations": {"search": {"insert": "notes", "set": {"text": 1}}}},
            CASE,
            "set does not go with insert",
        ),
        ({**TABLES, "state": {"notes": [{"text": "x"}]}}, CASE, 'needs "id"'),
        ({**TABLES, "state": {"notes": [{"id": 1}, {"id": "1"}]}}, CASE, "is a second '1'"),
        (TABLES, CASE, "whose environment searches documents"),
        (TABLES, {"id": "1", "prompt": "x", "goal": {"note": {}}}, "is not a table of the state"),
        (
            TABLES,
            {"id": "1", "prompt": "x", "goal": {"notes": {"changed": {"2": {"text": "x"}}}}},
            "has no row '2'",
        ),
        (
            TABLES,
            {"id": "1", "prompt": "x", "goal": {"notes": {"changed": {"1": {"txt": "x"}}}}},
            "is not a column of that row",
        ),
        ({"kind": "python", "target": "x.y"}, CASE, "must be package.module:Class"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, environment: Any, case: Any, said: str):
    assert said in problem(tmp_path, environment, case)


def test_turns_are_not_executed(tmp_path: Path):
    case = {"id": "1", "prompt": "x", "turns": [{"expect": {"abstain": True}}]}

    assert "are not executed" in problem(tmp_path, DOCUMENTS, case)


def test_a_problem_in_a_corpus_names_its_line(tmp_path: Path):
    said = problem(tmp_path, corpus=[CORPUS[0], {"id": "b"}])

    assert f'{tmp_path / "corpus.jsonl"}:2: environment.corpus[1] needs "text"' == said


def test_a_suite_without_environment_has_no_steps(tmp_path: Path):
    plain = {"id": "1", "prompt": "x", "expect": {"abstain": True}}

    assert "max_steps is for suites" in problem(tmp_path, None, plain, max_steps=3)
    assert read(tmp_path, None, plain).cases[0].outcome is None


def test_what_an_executed_case_must_come_to_is_summed_up(tmp_path: Path):
    both = {**CASE, "id": "2", "expect": {"calls": [{"tool": "search"}]}}

    samples = summarize(read(tmp_path, DOCUMENTS, CASE, both)).samples

    assert ["relevant and answer", "search(), then relevant and answer"] == [
        wanted for _, _, wanted in samples
    ]
