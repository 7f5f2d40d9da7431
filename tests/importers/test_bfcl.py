"""
The leaderboard's questions and answers as cases, judged as its own checker judges.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.constraints.constraint import compile_constraint
from harness.dialects.native import NATIVE
from harness.errors import UsageError
from harness.importers.base import Imported
from harness.importers.bfcl import IMPORTER
from harness.importers.readers.bfcl_answers import constraint
from harness.importers.readers.bfcl_schema import fits, json_schema, widened
from harness.importers.writing.convert import import_suite
from harness.scoring.score import judge
from harness.transcript import Key, Transcript

from .examples import answer, call, function, lines, question

TODAY = date(2026, 11, 22)
TEXT, WHOLE, LIST = {"type": "string"}, {"type": "integer"}, {"type": "array"}
OBJECT = {"type": "object"}


def read(folder: Path, questions: list[Any], answers: list[Any] | None = None) -> Imported:
    return IMPORTER.read(_sources(folder, questions, answers), TODAY)


def _sources(
    folder: Path, questions: list[Any], answers: list[Any] | None
) -> dict[str, tuple[Path, ...]]:
    (folder / "q.json").write_text(lines(*questions), "utf-8")
    sources = {"questions": (folder / "q.json",)}
    if answers is not None:
        (folder / "a.json").write_text(lines(*answers), "utf-8")
        sources["answers"] = (folder / "a.json",)
    return sources


def status(folder: Path, questions: list[Any], answers: list[Any] | None, *calls: Any) -> str:
    """
    Import one question and judge an answer with *calls*.
    """
    made = import_suite(
        "bfcl", _sources(folder, questions, answers), folder / "out", name="b", today=TODAY
    )
    (case,) = made.suite.cases
    message = {"role": "assistant", "content": None, "tool_calls": list(calls)}
    transcript = Transcript(key=Key(case.id), message=message)
    return judge([case], {transcript.key: transcript}, NATIVE)[0].status


# Types.


def test_types_are_those_of_json_schema_at_every_depth():
    foreign: list[str] = []
    declared = {
        "type": "dict",
        "properties": {
            "type": {"type": "float", "optional": True},
            "pair": {
                "type": "tuple",
                "items": {"type": "dict", "properties": {"x": {"type": "any"}}},
            },
        },
    }

    assert {
        "type": "object",
        "properties": {
            "type": {"type": "number", "optional": True},
            "pair": {"type": "array", "items": {"type": "object", "properties": {"x": {}}}},
        },
    } == json_schema(declared, foreign.append)
    assert [] == foreign


def test_types_of_other_languages_put_a_case_in_quarantine(tmp_path: Path):
    asked = question("java_0", function("f", a={"type": "HashMap"}))
    imported = read(tmp_path, [asked], [answer("java_0", {"f": {"a": ["x"]}})])

    assert "types of another language (HashMap)" in imported.cases[0].row["quarantine"]["reason"]
    assert "2027-11-22" == imported.cases[0].row["quarantine"]["until"]


# Accepted values.


@pytest.mark.parametrize(
    ("accepted", "declared", "right", "wrong"),
    [
        ([5], WHOLE, [5], [6, "5", True]),
        ([5, 6], WHOLE, [5, 6], [7]),
        ([True], {"type": "boolean"}, [True], [1, "true"]),
        ([0.5], {"type": "number"}, [0.5], [1]),
        (["New York", "NY"], TEXT, ["new-york", "n.y.", "NEW YORK"], ["York", 1]),
        (["x**2"], TEXT, ["x^2", "X2"], ["x*3"]),
        ([["a", "B"]], LIST, [["A", "b"], ["a.", "b"]], [["b", "a"], ["a"], "a"]),
        ([[1, 2], [2, 1]], LIST, [[1, 2], [2, 1]], [[1], [1, 2, 3]]),
        ([[["A"]]], LIST, [[["A"]]], [[["a"]]]),
        (
            [{"min": [1], "max": [2, ""]}],
            OBJECT,
            [{"min": 1, "max": 2}, {"min": 1}],
            [{}, {"max": 2}],
        ),
        ([{"min": [1]}], OBJECT, [{"min": 1}], [{"min": 1, "more": 2}, {"min": 2}, []]),
        ([{"job": ["Vet"]}], OBJECT, [{"job": "vet"}], [{"job": "cook"}]),
        ([{"cards": [["A", "K"]]}], OBJECT, [{"cards": ["A", "K"]}], [{"cards": ["a", "k"]}]),
        (
            [[{"f": ["age"]}, {"f": ["job"]}]],
            LIST,
            [[{"f": "Age"}, {"f": "job"}]],
            [[{"f": "job"}, {"f": "age"}], [{"f": "age"}], []],
        ),
        (["data['x']"], LIST, ["data['x']"], ["DATA['x']"]),
    ],
    ids=str,
)
def test_what_is_accepted(accepted: list[Any], declared: Any, right: list[Any], wrong: list[Any]):
    compiled = compile_constraint(constraint(accepted, declared))

    assert not compiled.optional
    assert [[]] * len(right) == [compiled.check(value) for value in right]
    assert all(compiled.check(value) for value in wrong)


@pytest.mark.parametrize(
    ("accepted", "declared", "right", "wrong"),
    [
        ([5, ""], WHOLE, [5], ["", 6]),
        (["metric", ""], TEXT, ["Metric", "", "-"], ["imperial"]),
        ([""], TEXT, [""], ["x"]),
        ([["a"], ""], LIST, [["a"], []], [["b"]]),
        ([""], LIST, [[]], [["a"]]),
        ([{"a": [1]}, ""], OBJECT, [{"a": 1}], [{}]),
    ],
    ids=str,
)
def test_what_may_be_left_out(
    accepted: list[Any], declared: Any, right: list[Any], wrong: list[Any]
):
    compiled = compile_constraint(constraint(accepted, declared))

    assert compiled.optional
    assert [[]] * len(right) == [compiled.check(value) for value in right]
    assert all(compiled.check(value) for value in wrong)


def test_a_number_that_may_only_be_left_out_must_be_absent():
    assert compile_constraint(constraint([""], WHOLE)).absent


@pytest.mark.parametrize(
    ("schema", "value", "wider"),
    [
        (WHOLE, 0.5, {"type": "number"}),
        (
            {"type": "array", "items": WHOLE},
            ["a"],
            {"type": "array", "items": {"type": ["integer", "string"]}},
        ),
        (LIST, "x", {"type": ["array", "string"]}),
        (
            {"type": "object", "properties": {"a": WHOLE}},
            {"a": "x"},
            {"type": "object", "properties": {"a": {"type": ["integer", "string"]}}},
        ),
    ],
)
def test_types_are_widened_as_far_as_a_value_needs(schema: Any, value: Any, wider: Any):
    assert not fits(schema, value)
    assert wider == widened(schema, value)
    assert fits(wider, value)
    assert wider == widened(wider, value)


# Questions.

ADD = function("add", ("a",), a={"type": "integer"}, b={"type": "integer"})
GET = function("m.get", ("q",), q={"type": "string"})


def test_parallel_calls_are_right_in_any_order(tmp_path: Path):
    truth = answer("p_0", {"add": {"a": [1]}}, {"m.get": {"q": ["x"]}})
    given = (call("m.get", q="X"), call("add", a=1))

    assert "correct" == status(tmp_path, [question("p_0", ADD, GET)], [truth], *given)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([call("add", a=1)], "correct"),
        ([call("add", a=1, b=2)], "incorrect"),  # declared, but no answer lists it
        ([call("add", a=1), call("add", a=1)], "incorrect"),
        ([call("add")], "incorrect"),
        ([], "incorrect"),
    ],
)
def test_one_call_is_judged(tmp_path: Path, calls: list[Any], expected: str):
    truth = answer("simple_0", {"add": {"a": [1]}})

    assert expected == status(tmp_path, [question("simple_0", ADD)], [truth], *calls)


def test_an_argument_that_is_required_may_not_be_left_out_whatever_the_answer_says(tmp_path: Path):
    truth = answer("simple_0", {"add": {"a": [1, ""]}})

    assert "incorrect" == status(tmp_path, [question("simple_0", ADD)], [truth], call("add"))


@pytest.mark.parametrize("identity", ["irrelevance_3", "relevance_3", "live_irrelevance_1-0-0"])
def test_irrelevance_is_an_abstention(tmp_path: Path, identity: str):
    (case,) = read(tmp_path, [question(identity, ADD)]).cases

    assert {"abstain": True} == case.row["expect"]
    assert "quarantine" not in case.row


@pytest.mark.parametrize(
    ("calls", "expected"), [([call("m.get", q="x")], "correct"), ([], "incorrect")]
)
def test_relevance_is_any_call(tmp_path: Path, calls: list[Any], expected: str):
    asked = [question("live_relevance_3-3-0", ADD, GET)]

    assert expected == status(tmp_path, asked, None, *calls)


def test_categories_are_tags(tmp_path: Path):
    questions = [question(name, ADD) for name in ("irrelevance_0", "live_irrelevance_10-2-1")]

    assert [["irrelevance"], ["live_irrelevance"]] == [
        case.row["tags"] for case in read(tmp_path, questions).cases
    ]


# What is broken.


def test_an_answer_that_names_an_undeclared_function_is_kept_in_quarantine(tmp_path: Path):
    """
    Of a question with one function the checker never looks at the name, so this is what it judges.
    """
    imported = read(
        tmp_path, [question("simple_363", ADD)], [answer("simple_363", {"plus": {"a": [1]}})]
    )

    (case,) = imported.cases
    assert "its answer calls 'plus', which it does not declare" == case.row["quarantine"]["reason"]
    assert "add" == case.row["expect"]["calls"][0]["tool"]
    assert [
        f"{tmp_path}/a.json:1: 'simple_363' is in quarantine: its answer calls 'plus', which it "
        "does not declare"
    ] == [str(note) for note in imported.notes]


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        ([{"plus": {"a": [1]}}], "'plus', which it does not declare"),
        ([{"add": {"c": [1]}}], "add.c, which is not declared"),
        ([{"add": {"a": 1}}], "lists no accepted values"),
        ([{"add": {"a": [{"x": 1}]}}], "lists no accepted values"),
        (["add(a=1)"], "is not a call of one function"),
        ([], 'no "ground_truth"'),
    ],
)
def test_a_broken_answer_keeps_its_question_in_quarantine(
    tmp_path: Path, truth: list[Any], reason: str
):
    asked = [question("multiple_0", ADD, GET)]
    sources = _sources(tmp_path, asked, [{"id": "multiple_0", "ground_truth": truth}])

    made = import_suite("bfcl", sources, tmp_path / "out", today=TODAY)

    assert made.suite.cases[0].quarantine is not None
    assert reason in made.suite.cases[0].quarantine.reason
    assert reason in str(made.notes[0])


def test_a_question_without_its_answer_is_kept_in_quarantine(tmp_path: Path):
    imported = read(
        tmp_path,
        [question("simple_0", ADD), question("simple_1", ADD)],
        [answer("simple_0", {"add": {"a": [1]}}), answer("simple_9", {"add": {"a": [1]}})],
    )

    assert [False, True] == ["quarantine" in case.row for case in imported.cases]
    assert [
        "'simple_1' is in quarantine: it has no answer",
        "answers 'simple_9', which is not among the imported questions",
    ] == [note.message for note in imported.notes]


def test_questions_that_expect_calls_need_answers(tmp_path: Path):
    with pytest.raises(UsageError, match="give their answers with --answers"):
        read(tmp_path, [question("simple_0", ADD)])


def test_a_question_of_several_turns_is_listed(tmp_path: Path):
    several = {**question("multi_turn_0", ADD), "question": [[], []]}
    imported = read(tmp_path, [several, question("irrelevance_0", ADD)])

    assert 1 == len(imported.cases)
    assert "left out: 'multi_turn_0' is not a single-turn question" in str(imported.notes[0])


def test_a_second_row_of_one_id_is_listed(tmp_path: Path):
    imported = read(tmp_path, [question("irrelevance_0", ADD)] * 2)

    assert 1 == len(imported.cases)
    assert f"is a duplicate ({tmp_path}/q.json:1)" in str(imported.notes[0])


def test_an_argument_nobody_declares_that_may_be_left_out_must_be(tmp_path: Path):
    asked = [question("simple_0", ADD)]
    truth = [answer("simple_0", {"add": {"a": [1], "c": ["", 2]}})]

    assert "correct" == status(tmp_path, asked, truth, call("add", a=1))
    assert ["'simple_0': add.c is not declared, so it is left out of the optional arguments"] == [
        note.message for note in read(tmp_path, asked, truth).notes
    ]


def test_a_declaration_that_refuses_every_accepted_value_is_widened_and_noted(tmp_path: Path):
    asked = [question("simple_0", function("f", ("t",), t={"type": "array", "items": WHOLE}))]
    truth = [answer("simple_0", {"f": {"t": [[[1, 2], [3, 4]]]}})]

    assert "correct" == status(tmp_path, asked, truth, call("f", t=[[1, 2], [3, 4]]))
    (note,) = read(tmp_path, asked, truth).notes
    assert "no accepted value of f.t has the declared type" in note.message
    assert json.loads(note.message.rpartition(" is changed to ")[2]) == {
        "type": "array",
        "items": {"type": ["integer", "array"]},
    }


def test_one_accepted_value_that_the_declaration_refuses_is_noted(tmp_path: Path):
    unit = {"type": "string", "enum": ["feet"]}
    asked = [question("simple_0", function("f", u=unit))]
    truth = [answer("simple_0", {"f": {"u": ["feet", "ft"]}})]

    assert "incorrect" == status(tmp_path, asked, truth, call("f", u="ft"))
    (note,) = read(tmp_path, asked, truth).notes
    assert 'f.u may be "ft" by the answer' in note.message


# Declarations that are not JSON Schemas.


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (3, "declares 'f' with parameters.properties.a, which is not a JSON Schema: 3 is not of"),
        ({"type": 3}, "with parameters.properties.a.type, which is not a JSON Schema: 3 is not"),
        ({"type": "string", "pattern": "("}, "properties.a.pattern, which is not a JSON Schema"),
        (
            {"$ref": "#/$defs/x"},
            "has a declaration with a reference to something that does not exist",
        ),
        (
            {"$dynamicRef": "#x"},
            "has a declaration with a reference to something that does not exist",
        ),
        ({"$ref": "#/properties/a"}, "has a declaration that refers to itself endlessly"),
    ],
)
def test_a_question_whose_declaration_is_not_a_schema_is_left_out(
    tmp_path: Path, declared: Any, reason: str
):
    sound = function("f", a=TEXT)
    asked = [question("simple_0", function("f", a=declared)), question("simple_1", sound)]
    answers = [answer(f"simple_{number}", {"f": {"a": ["x"]}}) for number in (0, 1)]

    imported = read(tmp_path, asked, answers)

    assert ["simple_1"] == [case.row["id"] for case in imported.cases]
    assert f"{tmp_path}/q.json:1: left out: 'simple_0' " in str(imported.notes[0])
    assert reason in str(imported.notes[0])


@pytest.mark.parametrize("declared", [True, {"$ref": "#/properties/b"}])
def test_a_declaration_may_be_true_or_refer_to_another(tmp_path: Path, declared: Any):
    asked = question("simple_0", function("f", a=declared, b=TEXT))

    assert "correct" == status(
        tmp_path, [asked], [answer("simple_0", {"f": {"a": ["x"]}})], call("f", a="x")
    )


def test_a_fault_of_no_declaration_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("harness.importers.bfcl.constraint", broken)
    asked = question("simple_0", function("f", a=TEXT))

    with pytest.raises(RuntimeError, match="a bug"):
        read(tmp_path, [asked], [answer("simple_0", {"f": {"a": ["x"]}})])
