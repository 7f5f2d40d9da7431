import json
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.suites.files import load_suite
from harness.suites.lint.check import check
from harness.suites.lint.findings import LintCode
from harness.suites.lint.similarity import grams, near
from harness.suites.release import release
from harness.suites.summary import summarize

REPOSITORY = Path(__file__).parents[2]
TODAY = date(2026, 1, 1)

PLAY = {
    "name": "play",
    "parameters": {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "mode": {"enum": ["once", "loop"]},
            "volume": {"$ref": "#/$defs/level"},
        },
        "required": ["title"],
        "$defs": {"level": {"type": "integer", "maximum": 10}},
    },
}


def case(identity="a", prompt="Play the song Jolene", arguments=None, **keys):
    calls = [{"tool": "play", "arguments": {"title": "Jolene"} if arguments is None else arguments}]
    row = {"id": identity, "prompt": prompt, "expect": {"calls": calls}, **keys}
    return {key: value for key, value in row.items() if value is not None}


def write(folder, *cases, tools=None, head="", **files):
    yaml = "format: 1\nname: toy\nversion: 1.0.0\ntools: tools.json\ncases: cases.jsonl\n"
    (folder / "suite.yaml").write_text(yaml + head, "utf-8")
    (folder / "tools.json").write_text(json.dumps(tools or [PLAY]), "utf-8")
    for name, rows in {"cases": cases or [case()], **files}.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    return folder


def findings(folder):
    return [str(finding).replace(f"{folder}/", "") for finding in check(folder, TODAY)]


def said(text):
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "ok"}]}


def test_a_sound_suite_has_no_finding(tmp_path):
    assert [] == findings(write(tmp_path))


def test_every_load_error_is_a_finding(tmp_path):
    write(tmp_path, *[case(f"c{n}", promt="x") for n in range(12)])

    found = check(tmp_path, TODAY)

    assert ["invalid"] * 12 == [finding.code for finding in found]
    assert list(range(1, 13)) == [finding.line for finding in found]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"id": "z"},
            "case 'z': id is the id of an earlier case too (cases.jsonl:1)",
        ),
        (
            {"arguments": {"title": {"contains": ["a"]}}},
            "case 'a': expect.calls[0].arguments.title is not a constraint: not valid JSON Schema: "
            "contains: ['a'] is not of type 'object', 'boolean'",
        ),
        (
            {"arguments": {"title": {"contains_one": ["a"]}}},
            "case 'a': expect.calls[0].arguments.title is not a constraint: unknown keyword "
            '"contains_one" in a constraint; write an object literal as {"const": {...}}',
        ),
        (
            {"arguments": {"speed": 1}},
            "case 'a': expect.calls[0].arguments.speed is not an argument that 'play' declares; "
            "choose from mode, title, volume",
        ),
        (
            {"expect": {"calls": [{"tool": "pay"}]}},
            "case 'a': expect.calls[0].tool is 'pay', a tool the case does not offer; "
            "did you mean 'play'?",
        ),
        (
            {"expect": {"calls": [{"tool": "play"}], "forbid": ["play"]}},
            "case 'a': expect.forbid[0] names 'play', which the same expectation calls for",
        ),
        (
            {"quarantine": {"reason": "flaky", "until": "2025-12-31"}},
            "case 'a': quarantine.until has passed (2025-12-31: flaky); take the case out of "
            "quarantine, fix or remove it, or set a later date",
        ),
    ],
)
def test_what_cannot_be_read_is_told_by_file_and_line(tmp_path, keys, message):
    given = {key: value for key, value in keys.items() if key != "arguments"}
    write(tmp_path, case("z", "Stop"), {**case(arguments=keys.get("arguments")), **given})

    assert [f"cases.jsonl:2: invalid: {message}"] == findings(tmp_path)


def test_references_of_a_tool_in_a_circle_are_a_finding(tmp_path):
    """
    They are followed when an enum is held against its own schema.
    """
    a = {"enum": ["x"], "$ref": "#/$defs/a"}
    write(
        tmp_path,
        tools=[{"name": "play", "parameters": {"properties": {"a": a}, "$defs": {"a": a}}}],
    )

    [found] = findings(tmp_path)

    assert found.startswith("tools.json:1: invalid: tools[0].parameters of tool 'play' refer to")


def test_a_tool_whose_schema_is_none_is_told_by_line(tmp_path):
    write(tmp_path, tools=[{"name": "play", "parameters": {"properties": {"a": {"type": "x"}}}}])

    assert [
        "tools.json:1: invalid: tools[0].parameters.properties.a.type of tool 'play' is not valid "
        "JSON Schema: 'x' is not valid under any of the given schemas"
    ] == findings(tmp_path)


def test_content_that_left_its_released_version_is_a_finding(tmp_path):
    release(write(tmp_path))
    assert [] == findings(tmp_path)

    (tmp_path / "cases.jsonl").write_text(json.dumps(case(prompt="Play it again")), "utf-8")

    assert [
        "suite.yaml:3: invalid: version 1.0.0 was released with other content; undo the edits, or "
        "give them a version of their own with `harness suite release toy --patch` "
        "(--minor, --major)"
    ] == findings(tmp_path)


def test_a_quarantine_that_has_run_out_is_a_finding(tmp_path):
    write(tmp_path, case(quarantine={"reason": "r", "until": "2025-12-31"}))

    assert ["invalid"] == [finding.code for finding in check(tmp_path, TODAY)]


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        (
            {"title": 3},
            "impossible_value: case 'a': argument 'title' of 'play' can never be right: "
            "the tool's own schema says 3 is not of type 'string'",
        ),
        (
            {"title": "x", "volume": 11},
            "impossible_value: case 'a': argument 'volume' of 'play' can never be right: "
            "the tool's own schema says 11 is greater than the maximum of 10",
        ),
        (
            {"title": "x", "mode": {"enum": ["once", "twice"]}},
            "unreachable_value: case 'a': argument 'mode' of 'play': "
            'the tool\'s own schema rejects "twice"; remove it',
        ),
        (
            {"title": {"enum": ["Jolene", "Hurt"], "contains_any": ["j"]}},
            "unreachable_value: case 'a': argument 'title' of 'play': "
            'the constraint itself rejects "Hurt"; remove it',
        ),
        (
            {"title": {"const": "Hurt", "minLength": 9}},
            "impossible_value: case 'a': argument 'title' of 'play' can never be right: "
            "the constraint itself says 'Hurt' is too short",
        ),
        (
            {"title": {"close_to": 1, "tolerance": 1}},
            "impossible_value: case 'a': argument 'title' of 'play' can never be right: "
            "it must be number, the tool declares string",
        ),
        (
            {"title": {"minLength": 5, "maxLength": 4}},
            "impossible_value: case 'a': argument 'title' of 'play' can never be right: "
            "minLength 5 is more than maxLength 4",
        ),
        (
            {"title": "x", "speed": {"minimum": 3}},
            "impossible_value: case 'a': argument 'speed' of 'play' can never be right: "
            "minimum 3 is more than maximum 2",
        ),
        (
            {"title": {"const": 3, "normalized_as": "bfcl"}},
            "impossible_value: case 'a': argument 'title' of 'play' can never be right: "
            "it must be number, the tool declares string",
        ),
        (
            {"title": "x", "mode": {"contains_any": ["repeat"]}},
            "impossible_value: case 'a': argument 'mode' of 'play' can never be right: "
            "no value of the tool's enum meets the constraint",
        ),
        (
            {"title": {"absent": True}},
            "required_absent: case 'a': argument 'title' of 'play' is required by the tool, "
            "so no answer without it can be right",
        ),
        (
            {"title": "x", "mode": {"optional": True}},
            "no_effect: case 'a': argument 'mode' of 'play' may be left out or be anything; "
            "remove it",
        ),
    ],
)
def test_an_argument_that_cannot_be_right_or_wrong_is_a_finding(tmp_path, arguments, finding):
    properties = {**PLAY["parameters"]["properties"], "speed": {"type": "number", "maximum": 2}}
    tool = {**PLAY, "parameters": {**PLAY["parameters"], "properties": properties}}
    write(tmp_path, case("z", "Stop"), case(arguments=arguments), tools=[tool])

    assert [f"cases.jsonl:2: {finding}"] == findings(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"title": {}},
        {"title": {"contains_any": ["j"]}, "mode": {"enum": ["once"], "optional": True}},
        {"title": "x", "mode": {"absent": True}, "volume": 10},
        {"title": "x", "mode": {"contains_any": ["ONCE"]}},
        {"title": "x", "mode": {"const": "O.N.C.E", "normalized_as": "bfcl"}},
        {"title": {"type": ["string", "null"], "minimum": 5, "maximum": 4}},
    ],
)
def test_an_argument_that_tells_something_is_not_a_finding(tmp_path, arguments):
    assert [] == findings(write(tmp_path, case(arguments=arguments)))


@pytest.mark.parametrize(
    ("keys", "finding"),
    [
        (
            {"tools": [], "expect": {"abstain": True}},
            "no_tools: case 'a': expects no call and offers no tool, so nearly every answer passes",
        ),
        (
            {"expect": {"abstain": True, "text": {}}},
            "no_effect: case 'a': the constraint on the text accepts any text; remove it",
        ),
        (
            {"expect": {"abstain": True, "text": {"type": "string", "pattern": ".*"}}},
            "no_effect: case 'a': the constraint on the text accepts any text; remove it",
        ),
        (
            {
                "expect": {
                    "any_of": [{"abstain": True}, {"abstain": True, "text": {"minLength": 9}}]
                }
            },
            "no_effect: case 'a': any_of accepts an answer without a call whatever it says, so the "
            "alternative with a text has no effect; keep one of the two",
        ),
        (
            {
                "expect": {
                    "any_of": [
                        {"abstain": True},
                        {"calls": [{"tool": "play"}], "extra_calls": "allow"},
                    ]
                }
            },
            "passes_all: case 'a': any call and no call are right, so nearly every answer passes",
        ),
        (
            {"expect": {"any_of": [{"abstain": True}, {"abstain": True}]}},
            "no_effect: case 'a': any_of holds the same alternative twice",
        ),
    ],
)
def test_an_expectation_that_tells_nothing_is_a_finding(tmp_path, keys, finding):
    assert [f"cases.jsonl:1: {finding}"] == findings(write(tmp_path, case(**keys)))


@pytest.mark.parametrize(
    "expect",
    [
        {"any_of": [{"abstain": True}, {"calls": [{"tool": "play"}]}]},
        {"any_of": [{"abstain": True, "text": {"minLength": 1}}, case()["expect"]]},
        {"abstain": True, "text": {"not": {"contains_any": ["done"]}}},
    ],
)
def test_an_expectation_that_tells_something_is_not_a_finding(tmp_path, expect):
    assert [] == findings(write(tmp_path, case(expect=expect)))


def test_an_alternative_that_forbids_what_another_calls_for_is_a_finding(tmp_path):
    stop = {"name": "stop", "parameters": {"type": "object", "properties": {}}}
    one = {"calls": [{"tool": "play"}], "extra_calls": "allow", "forbid": ["stop"]}
    write(
        tmp_path,
        case(expect={"any_of": [one, {"calls": [{"tool": "stop"}]}]}),
        tools=[PLAY, stop],
    )

    assert [
        "cases.jsonl:1: contradiction: case 'a': one alternative forbids 'stop' and another calls "
        "for it; decide which is right"
    ] == findings(tmp_path)


def test_a_required_argument_that_may_not_be_there_is_a_finding(tmp_path):
    call = {"tool": "play", "arguments": {"mode": "once"}, "other_arguments": "forbid"}
    write(tmp_path, case(expect={"calls": [call]}))

    assert [
        "cases.jsonl:1: required_absent: case 'a': argument 'title' of 'play' is required by the "
        "tool and other_arguments forbids it, so no answer can be right; list it"
    ] == findings(tmp_path)


def test_a_reference_answer_must_be_what_its_turn_expects(tmp_path):
    def turns(*titles):
        calls = [{"function": {"name": "play", "arguments": {"title": name}}} for name in titles]
        then = [{"role": "assistant", "tool_calls": calls}, {"role": "user", "content": "again"}]
        return [{"expect": case()["expect"], "then": then}, {"expect": case()["expect"]}]

    def row(identity, prompt, *titles):
        return case(identity, prompt, expect=None, turns=turns(*titles))

    more = row("more", "Jolene, then whatever you like", "Jolene", "Ring of Fire")
    more["turns"][0]["expect"] = {**case()["expect"], "extra_calls": "allow"}
    write(
        tmp_path,
        row("right", "Play Jolene", "Jolene"),
        row("wrong", "Any country song?", "Ring of Fire"),
        row("twice", "Two songs, please", "Jolene", "Jolene"),
        more,
    )

    text = "turn 1: the reference answer in `then` is not what the turn expects"
    assert [
        f"cases.jsonl:2: reference_fails: case 'wrong', {text}",
        f"cases.jsonl:3: reference_fails: case 'twice', {text}",
    ] == findings(tmp_path)


def test_sampling_settings_without_sampling_are_a_finding(tmp_path):
    write(tmp_path, head="generation:\n  max_new_tokens: 8\n  temperature: 0.5\n")

    assert [
        "suite.yaml:8: no_effect: temperature has no effect while do_sample is not true; remove it"
    ] == findings(tmp_path)


def test_a_tool_that_requires_what_it_does_not_declare_is_a_finding(tmp_path):
    stop = {"name": "stop", "parameters": {"type": "object", "required": ["now"]}}
    write(
        tmp_path,
        case("z", "Stop"),
        case(tools=["play", stop]),
        tools=[PLAY, {**stop, "name": "halt"}],
    )

    assert [
        "tools.json:1: required_undeclared: tool 'halt' requires 'now', which it does not declare",
        "cases.jsonl:2: required_undeclared: tool 'stop' requires 'now', which it does not declare",
    ] == findings(tmp_path)


def test_the_nullable_of_openapi_is_a_finding(tmp_path):
    volume = {"type": "integer", "nullable": True, "enum": [1, None]}
    nested = {"type": "array", "items": {"type": "string", "nullable": False}}
    named = {"type": "object", "properties": {"nullable": {"type": "boolean"}}}
    properties = {"title": {"type": "string"}, "volume": volume, "tags": nested, "more": named}
    tool = {"name": "play", "parameters": {"type": "object", "properties": properties}}
    write(tmp_path, case(arguments={"title": "a", "volume": None}), tools=[tool])

    why = (
        "says \"nullable\", which is OpenAPI's word and not JSON Schema's; "
        'write "null" into its "type"'
    )
    assert [
        f"tools.json:1: nullable: tool 'play': properties.volume {why}",
        f"tools.json:1: nullable: tool 'play': properties.tags.items {why}",
    ] == findings(tmp_path)


def test_an_enum_value_that_its_own_schema_refuses_is_a_finding(tmp_path):
    level = {"type": "string", "enum": ["low", 3]}
    tool = {"name": "play", "parameters": {"type": "object", "properties": {"level": level}}}
    write(tmp_path, case(arguments={"level": "low"}), tools=[tool])

    assert [
        "tools.json:1: unreachable_value: tool 'play': 'level' lists 3 in its enum, which its own "
        "schema rejects: 3 is not of type 'string'"
    ] == findings(tmp_path)


# The make-up.


def cases(*counts):
    """
    Return as many cases of each expectation in turn as *counts* says, all of different words.
    """
    expects = [case()["expect"], {"abstain": True}]
    kinds = [kind for kind, count in enumerate(counts) for _ in range(count)]
    return [
        case(f"c{n}", chr(0x4E00 + n) * 4, expect=expects[kind]) for n, kind in enumerate(kinds)
    ]


def test_an_answer_that_is_nearly_always_right_is_a_finding(tmp_path):
    write(tmp_path, *cases(16, 4))

    assert [
        "cases.jsonl:1: unbalanced: 16 of 20 answers are right with a call of play, so a model "
        "that does nothing else looks good; add cases that expect something else, until it is at "
        "most 75%"
    ] == findings(tmp_path)


@pytest.mark.parametrize("counts", [(15, 5), (5, 15), (19, 0)])
def test_a_balanced_or_small_suite_is_not_a_finding(tmp_path, counts):
    assert [] == findings(write(tmp_path, *cases(*counts)))


@pytest.mark.parametrize(("calls", "expected"), [(0, []), (19, []), (20, ["unbalanced"])])
def test_cases_judged_by_their_outcome_alone_do_not_count_for_balance(tmp_path, calls, expected):
    head = (
        "environment: {kind: tables, state: {songs: []}, "
        "operations: {play: {insert: songs, values: {title: '{title}'}}}}\n"
    )
    outcomes = [
        case(f"o{n}", chr(0x5E00 + n) * 4, expect=None) | {"goal": {"songs": {"added": [{}]}}}
        for n in range(20)
    ]
    write(tmp_path, *cases(calls, 0), *outcomes, head=head)

    assert expected == [finding.code for finding in check(tmp_path, TODAY)]


def test_alternatives_count_for_every_label(tmp_path):
    either = {"any_of": [{"abstain": True}, case()["expect"]]}
    rows = [{**row, "expect": either} if n < 10 else row for n, row in enumerate(cases(20))]
    write(tmp_path, *rows)

    assert ["20 of 20 answers are right with a call of play"] == [
        finding.message.split(",")[0] for finding in check(tmp_path, TODAY)
    ]


def test_lone_cases_beside_a_large_group_are_a_finding(tmp_path):
    groups = ["hr", "hr", "it", "hr", "hr", None, "hr", "x", "y", "it"]
    rows = [{**row, "group": group} for row, group in zip(cases(10), groups, strict=True)]
    write(tmp_path, *[{key: value for key, value in row.items() if value} for row in rows])

    assert [
        "cases.jsonl:6: lone_cases: 3 cases are alone in a group ('c5', 'c7', 'c8'), next to group "
        "'hr' of 5; the statistics draw groups, so give each case its group, or split the "
        "large one"
    ] == findings(tmp_path)


def test_proposed_cases_are_one_finding_until_they_are_confirmed(tmp_path):
    status = [None, "proposed", "confirmed", "proposed"]
    rows = [{**row, "status": one} for row, one in zip(cases(4), status, strict=True)]
    write(tmp_path, *[{key: value for key, value in row.items() if value} for row in rows])

    assert [
        "cases.jsonl:2: proposed: 2 of 4 cases are proposed and never gated: what each expects is "
        'what a model answered once; read it, put it right and remove "status"'
    ] == findings(tmp_path)


@pytest.mark.parametrize("groups", ["aaaab", "aaaaabb", "abcdefg"])
def test_groups_of_like_size_are_no_finding(tmp_path, groups):
    rows = [{**row, "group": group} for row, group in zip(cases(len(groups)), groups, strict=True)]

    assert [] == findings(write(tmp_path, *rows))


# Near duplicates.


def test_the_same_prompt_twice_is_a_finding_even_in_one_group(tmp_path):
    write(tmp_path, case("a", group="g"), case("b", "play  the song JOLENE", group="g"))

    assert [
        "cases.jsonl:2: duplicate_prompt: case 'b' asks what case 'a' (cases.jsonl:1) asks, "
        "with the same tools; keep one"
    ] == findings(tmp_path)


def test_the_same_prompt_expecting_otherwise_is_a_contradiction(tmp_path):
    write(tmp_path, case("a"), case("b", expect={"abstain": True}))

    assert [
        "cases.jsonl:2: contradiction: case 'b' asks what case 'a' (cases.jsonl:1) asks, with the "
        "same tools, but expects otherwise; decide which is right"
    ] == findings(tmp_path)


def test_of_many_near_duplicates_the_nearest_is_named(tmp_path):
    texts = ["Play the song Jolene in the kitchen", "Play the song Jolene in the kitchens"]
    write(tmp_path, *[case(f"c{n}", text) for n, text in enumerate([*texts, texts[1] + "!"])])

    found = findings(tmp_path)

    assert 2 == len(found)
    assert "case 'c2' is 0.97 similar to case 'c1' (cases.jsonl:2) and near 1 more; " in found[1]


def test_near_duplicates_must_share_a_group(tmp_path):
    one, two = "Play the song Jolene in the kitchen", "Play the song Jolene in the bathroom"
    write(tmp_path, case("a", one, group="g"), case("b", two, group="g"))
    assert [] == findings(tmp_path)

    write(tmp_path, case("a", one), case("b", two))
    assert [
        "cases.jsonl:2: near_duplicate: case 'b' is 0.61 similar to case 'a' (cases.jsonl:1); "
        "put both into one group, or rewrite one"
    ] == findings(tmp_path)


def test_the_same_prompt_with_other_tools_is_a_near_duplicate_only(tmp_path):
    write(tmp_path, case("a"), case("b", tools=[], expect={"any_of": [{"abstain": True}]}))

    assert {"near_duplicate", "no_tools"} == {finding.code for finding in check(tmp_path, TODAY)}


def test_conversations_are_compared_whole(tmp_path):
    """
    "Yes, please." after two different questions is not the same prompt.
    """

    def row(identity, question):
        return case(
            identity,
            None,
            messages=[
                {"role": "user", "content": question},
                {"role": "assistant", "content": "Shall I?"},
                {"role": "user", "content": "Yes."},
            ],
        )

    write(
        tmp_path, row("a", "Would you play the song Jolene?"), row("b", "Something by Cash, quick")
    )

    assert [] == findings(tmp_path)


@pytest.mark.parametrize("file", ["train", "valid"])
def test_a_case_near_a_training_row_is_a_finding(tmp_path, file):
    write(tmp_path, **{file: [said("Stop"), said("play the song Jolene now")]})

    assert [
        "cases.jsonl:1: near_training: case 'a' is 0.81 similar to a training row "
        f"({file}.jsonl:2); below 0.5 it tests more than memory"
    ] == findings(tmp_path)


def test_training_rows_that_cannot_be_read_are_findings(tmp_path):
    write(tmp_path, train=[{"text": "x"}])
    (tmp_path / "valid.jsonl").write_text("\n{", "utf-8")

    assert [
        'train.jsonl:1: invalid: a training row needs "messages" with a message of the user',
        "valid.jsonl:2: invalid: not valid JSON: Expecting property name enclosed in double quotes "
        "in column 2",
    ] == findings(tmp_path)


def test_of_many_near_training_rows_the_nearest_is_named(tmp_path):
    write(tmp_path, train=[said("play the song Jolene now"), said("Play the song Jolene")])

    assert [
        "cases.jsonl:1: near_training: case 'a' is 1.00 similar to a training row "
        "(train.jsonl:2) and near 1 more; below 0.5 it tests more than memory"
    ] == findings(tmp_path)


def test_every_rule_is_documented():
    text = (REPOSITORY / "docs" / "suites.md").read_text("utf-8")

    assert [] == [code for code in get_args(LintCode) if f"| `{code}` |" not in text]


TEXTS = st.lists(st.text("ab c", max_size=12), max_size=8)


@given(
    left=TEXTS,
    right=st.none() | TEXTS,
    threshold=st.sampled_from([0.2, 0.5, 0.6, 1.0]),
    hidden=st.none() | st.integers(0, 7),
)
def test_the_nearest_text_is_found_and_all_similar_ones_are_counted(left, right, threshold, hidden):
    others = left if right is None else right
    expected = []
    for one, text in enumerate(left):
        alike = {}
        for two, other in enumerate(others):
            a, b = grams(text), grams(other)
            share = len(a & b) / len(a | b)
            if (right is not None or two < one) and two != hidden and share >= threshold:
                alike[two] = share
        if alike:
            nearest = max(alike, key=alike.__getitem__)
            expected.append((one, nearest, alike[nearest], len(alike)))

    aside = None if hidden is None else lambda _: np.arange(len(others)) == hidden
    assert expected == list(near(left, right, threshold=threshold, aside=aside))


def test_a_pair_right_at_the_threshold_is_found():
    """
    55 of 100 grams are 0.55 though 0.55 * 100 is a little more than 55 in floating point.
    """
    text = "".join(chr(0x4E00 + n) for n in range(103))

    assert [(1, 0, 0.55, 1)] == list(near([text, text[:58]], threshold=0.55))


def test_a_short_text_is_its_own_gram():
    assert frozenset(["hi"]) == grams("  HI ")
    assert frozenset(["hell", "ello"]) == grams("Hello")


# The summary.


def test_a_summary_counts_what_a_suite_holds(tmp_path):
    write(
        tmp_path,
        case("a", group="g", tags=["x"], must_pass=True),
        case("b", group="g", tags=["x", "y"]),
        case("c", "Bye", expect={"abstain": True}),
        case("d", expect={"any_of": [{"abstain": True}, case()["expect"]]}),
        tools=[PLAY, {"name": "stop"}],
    )
    summary = summarize(load_suite(tmp_path))

    assert (4, 4, 3, 1, 0) == (
        summary.cases,
        summary.turns,
        summary.groups,
        summary.must_pass,
        summary.quarantined,
    )
    assert {"x": 2, "y": 1} == summary.by_tag
    assert {"abstain": 1, "calls": 2, "either": 1} == summary.by_expectation
    assert {"play": 3, "stop": 0} == summary.by_tool
    assert ("a", "Play the song Jolene", "play(title)") == summary.samples[0]
    assert ["play(title)", "play(title)", "no call"] == [said for *_, said in summary.samples]
    assert not summary.released


def test_the_shipped_suite_is_clean():
    assert [] == check(REPOSITORY / "suites" / "tool-routing", TODAY)


SEARCH = {
    "name": "search",
    "parameters": {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "page": {"type": "string", "enum": ["terms of use", "about us"]},
            "day": {"type": "string", "format": "date"},
        },
    },
}


def asked_for(folder, arguments, prompt="Find songs about winter nights"):
    row = {"id": "a", "prompt": prompt, "expect": {"calls": [{"tool": "search", "arguments": {}}]}}
    row["expect"]["calls"][0]["arguments"] = arguments
    return findings(write(folder, row, tools=[SEARCH]))


@pytest.mark.parametrize(
    "query",
    [
        "songs about winter",
        {"const": "songs about winter"},
        {"enum": ["winter", "songs about winter"]},
        {"const": "cold nights", "optional": True},
    ],
    ids=str,
)
def test_free_text_that_must_be_equal_to_the_letter_is_a_finding(tmp_path, query):
    (found,) = asked_for(tmp_path, {"query": query})

    assert found.startswith("cases.jsonl:1: free_text: case 'a': argument 'query' of 'search' must")
    assert "write contains_any or contains_all, or equals_ignoring_case if these very" in found


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": "winter"},
        {"query": "Winter nights"},
        {"query": {"contains_any": ["songs about winter"]}},
        {"query": {"equals_ignoring_case": "songs about winter"}},
        {"query": {"const": "songs about winter", "normalized_as": "bfcl"}},
        {"page": "terms of use"},
    ],
    ids=str,
)
def test_a_text_that_leaves_no_choice_of_words_is_none(tmp_path, arguments):
    assert [] == asked_for(tmp_path, arguments)


def test_the_text_of_an_answer_is_free_text_too(tmp_path):
    row = {"id": "a", "prompt": "Hi", "expect": {"abstain": True, "text": "How can I help you?"}}

    (found,) = findings(write(tmp_path, row))

    assert "free_text: case 'a': the text of the answer must be" in found


def test_a_value_that_is_not_of_the_format_its_tool_declares_is_a_finding(tmp_path):
    (found,) = asked_for(tmp_path, {"day": {"enum": ["2026-03-12", "12.03.2026"]}})

    assert (
        "cases.jsonl:1: wrong_format: case 'a': argument 'day' of 'search': \"12.03.2026\" is not "
        "of format 'date', which the tool declares; write it in that format"
    ) == found
