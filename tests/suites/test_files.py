import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.canonical import as_written
from harness.errors import SuiteError, UsageError
from harness.messages import Message
from harness.suites.copies import load_suite_copy
from harness.suites.files import find_suites, load_suite, read_suite, suite_path
from harness.suites.lint.check import check
from harness.suites.parse import parse_suite
from harness.suites.suite import Abstention, Calls

REPOSITORY = Path(__file__).parents[2]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
TIME = {"name": "get_time", "parameters": {"type": "object", "properties": {}}}
EXPECT = {"calls": [{"tool": "get_weather", "arguments": {"city": "Oslo"}}]}
CALL = {"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}
ANSWER = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "name": "get_weather", "content": "7"}

HEAD = "format: 1\nname: toy\nversion: 1.0.0\ntools: tools.json\ncases: cases.jsonl\n"


def case(**keys):
    """One sound case, with some keys replaced or (None) removed."""
    row = {"id": "a", "prompt": "Weather in Oslo?", "expect": EXPECT, **keys}
    return {key: value for key, value in row.items() if value is not None}


def document(*cases, **keys):
    return {
        "format": 1,
        "name": "toy",
        "version": "1.0.0",
        "tools": [WEATHER, TIME],
        "cases": list(cases) or [case()],
        **keys,
    }


def write(folder, *cases, head=HEAD, tools=None):
    """A suite on disk; its cases begin on line 1 of cases.jsonl."""
    (folder / "suite.yaml").write_text(head, "utf-8")
    (folder / "tools.json").write_text(json.dumps(tools or [WEATHER, TIME], indent=1), "utf-8")
    rows = [row if isinstance(row, str) else json.dumps(row) for row in cases or [case()]]
    (folder / "cases.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def complaints(folder, **options):
    """The error's lines, without the folder's own path."""
    with pytest.raises(SuiteError) as caught:
        load_suite(folder, **options)
    return str(caught.value).replace(f"{folder}/", "").split("\n")


def nested(around, levels, inner="x"):
    """A value with so many others around it."""
    for _ in range(levels):
        inner = around(inner)
    return inner


def any_of(levels):
    return nested(lambda inner: {"any_of": [inner]}, levels, {"abstain": True})


def history(arguments):
    """A case with a call whose arguments are JSON text."""
    call = {"function": {"name": "get_weather", "arguments": arguments}}
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]
    said.append({"role": "user", "content": "y"})
    return case(prompt=None, messages=said)


TURNS = [
    {"expect": EXPECT, "then": [ANSWER, RESULT]},
    {
        "expect": {"abstain": True},
        "then": [
            {"role": "assistant", "content": "7"},
            {"role": "user", "content": "And tomorrow?"},
        ],
    },
    {"expect": EXPECT},
]

BAD_CASES = {
    "unknown key": (
        case(promt="x"),
        "case 'a': has an unknown key 'promt'; did you mean 'prompt'?",
    ),
    "no id": (case(id=None), 'case 2: needs "id"'),
    "id with space": (case(id="a b"), "case 'a b': id must be text without white space"),
    "no prompt": (case(prompt=None), 'case \'a\': needs "prompt" or "messages", one of the two'),
    "prompt and messages": (
        case(messages=[{"role": "user", "content": "x"}]),
        'case \'a\': needs "prompt" or "messages", one of the two',
    ),
    "empty prompt": (case(prompt=""), "case 'a': prompt must be text that says something"),
    "no expectation": (case(expect=None), 'case \'a\': needs "expect" or "turns", one of the two'),
    "expect and turns": (
        case(turns=TURNS),
        'case \'a\': needs "expect" or "turns", one of the two',
    ),
    "empty calls": (
        case(expect={"calls": []}),
        "case 'a': expect.calls must list at least one call; to expect none, write "
        '{"abstain": true}',
    ),
    "empty expectation": (
        case(expect={}),
        'case \'a\': expect needs "calls", "abstain" or "any_of"',
    ),
    "unknown key of expect": (
        case(expect={**EXPECT, "ordr": "any"}),
        "case 'a': expect has an unknown key 'ordr'; did you mean 'order'?",
    ),
    "abstain beside calls": (
        case(expect={**EXPECT, "abstain": True}),
        "case 'a': expect has an unknown key 'calls'; choose from abstain, text",
    ),
    "abstain false": (
        case(expect={"abstain": False}),
        "case 'a': expect.abstain is true or not there",
    ),
    "bad order": (
        case(expect={**EXPECT, "order": "strikt"}),
        "case 'a': expect.order is 'strikt'; did you mean 'strict'?",
    ),
    "expect as text": (
        case(expect="get_weather"),
        "case 'a': expect must be an object, not the text 'get_weather'",
    ),
    "unknown key of call": (
        case(expect={"calls": [{"tool": "get_time", "args": {}}]}),
        "case 'a': expect.calls[0] has an unknown key 'args'; did you mean 'arguments'?",
    ),
    "call without tool": (
        case(expect={"calls": [{"arguments": {}}]}),
        "case 'a': expect.calls[0] needs \"tool\"",
    ),
    "tool not offered": (
        case(tools=["get_time"]),
        "case 'a': expect.calls[0].tool is 'get_weather', a tool the case does not "
        "offer; did you mean 'get_time'?",
    ),
    "tool misspelt": (
        case(expect={"calls": [{"tool": "get_wether"}]}),
        "case 'a': expect.calls[0].tool is 'get_wether', a tool the case does not "
        "offer; did you mean 'get_weather'?",
    ),
    "case tool unknown": (
        case(tools=["get_weather", "get_tim"]),
        "case 'a': tools[1] names 'get_tim', which is not a tool of the suite; did you mean "
        "'get_time'?",
    ),
    "case tool twice": (
        case(tools=["get_weather", "get_weather"]),
        "case 'a': tools[1] offers a second tool 'get_weather'; names must differ",
    ),
    "case tool without name": (
        case(tools=["get_weather", {"parameters": {}}]),
        "case 'a': tools[1] is not a tool: a tool needs a \"name\"",
    ),
    "case tool with an unknown key": (
        case(tools=["get_weather", {"name": "f", "paramters": {}}]),
        "case 'a': tools[1].paramters is not a key of a tool; did you mean 'parameters'?",
    ),
    "forbid unknown": (
        case(expect={**EXPECT, "forbid": ["get_stock"]}),
        "case 'a': expect.forbid[0] names 'get_stock', a tool the case does not "
        "offer; choose from get_time, get_weather",
    ),
    "forbid expected": (
        case(expect={**EXPECT, "forbid": ["get_weather"]}),
        "case 'a': expect.forbid[0] names 'get_weather', which the same expectation calls for",
    ),
    "argument undeclared": (
        case(expect={"calls": [{"tool": "get_weather", "arguments": {"citi": "Oslo"}}]}),
        "case 'a': expect.calls[0].arguments.citi is not an argument that "
        "'get_weather' declares; did you mean 'city'?",
    ),
    "constraint unknown keyword": (
        case(
            expect={"calls": [{"tool": "get_weather", "arguments": {"city": {"contain": ["x"]}}}]}
        ),
        "case 'a': expect.calls[0].arguments.city is not a constraint: unknown keyword "
        '"contain" in a constraint; write an object literal as {"const": {...}}',
    ),
    "text constraint": (
        case(expect={"abstain": True, "text": {"contains_any": []}}),
        "case 'a': expect.text is not a constraint: \"contains_any\" must be a list of at "
        "least one non-empty text",
    ),
    "in any_of": (
        case(expect={"any_of": [EXPECT, {"calls": [{"tool": "nope"}]}]}),
        "case 'a': expect.any_of[1].calls[0].tool is 'nope', a tool the case does "
        "not offer; choose from get_time, get_weather",
    ),
    "role": (
        case(prompt=None, messages=[{"role": "usr", "content": "x"}]),
        "case 'a': messages[0].role is 'usr'; did you mean 'user'?",
    ),
    "message key": (
        case(prompt=None, messages=[{"role": "user", "text": "x"}]),
        "case 'a': messages[0] has an unknown key 'text'; choose from content, name, "
        "role, tool_call_id, tool_calls",
    ),
    "message empty": (
        case(prompt=None, messages=[{"role": "user"}]),
        "case 'a': messages[0] is not a message: a message of role user has neither "
        "content nor tool_calls",
    ),
    "ends with assistant": (
        case(
            prompt=None,
            messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        ),
        "case 'a': messages ends with an assistant message, so nothing is left to answer",
    ),
    "stray result": (
        case(prompt=None, messages=[{"role": "user", "content": "x"}, RESULT]),
        "case 'a': messages has a tool message that answers no tool call",
    ),
    "history calls unknown tool": (
        case(
            tools=["get_time"],
            expect={"abstain": True},
            prompt=None,
            messages=[{"role": "user", "content": "x"}, ANSWER, RESULT],
        ),
        "case 'a': messages[1] calls 'get_weather', a tool the case does not offer; "
        "did you mean 'get_time'?",
    ),
    "then on last turn": (
        case(expect=None, turns=[TURNS[0]]),
        "case 'a': turns[0].then is not followed by another turn; remove it",
    ),
    "no then": (
        case(expect=None, turns=[{"expect": EXPECT}, {"expect": EXPECT}]),
        "case 'a': turns[0] needs \"then\": the reference answer and what leads to the next turn",
    ),
    "then leads to no turn": (
        case(
            expect=None,
            turns=[
                {"expect": EXPECT, "then": [{"role": "assistant", "content": "y"}]},
                {"expect": EXPECT},
            ],
        ),
        "case 'a': turns[0].then ends with an assistant message, so nothing is left to answer",
    ),
    "then without answer": (
        case(
            expect=None,
            turns=[
                {"expect": EXPECT, "then": [{"role": "user", "content": "y"}]},
                {"expect": EXPECT},
            ],
        ),
        "case 'a': turns[0].then must begin with the assistant's reference answer",
    ),
    "tags as text": (case(tags="plain"), "case 'a': tags must be a list, not the text 'plain'"),
    "must_pass as text": (
        case(must_pass="yes"),
        "case 'a': must_pass must be true or false, not the text 'yes'",
    ),
    "quarantine without date": (
        case(quarantine={"reason": "flaky"}),
        "case 'a': quarantine needs \"until\"",
    ),
    "quarantine date": (
        case(quarantine={"reason": "flaky", "until": "31.1.2027"}),
        "case 'a': quarantine.until must be a date such as 2027-01-31",
    ),
    "quarantine no day": (
        case(quarantine={"reason": "flaky", "until": "2027-02-30"}),
        "case 'a': quarantine.until is '2027-02-30', which is not a date",
    ),
    "not an object": ("[1]", "case 2: must be an object, not a list"),
    "not JSON": ('{"id": "a"', "not valid JSON: Expecting ',' delimiter in column 11"),
    "key twice": (
        '{"id": "a", "id": "b", "prompt": "x", "expect": {"abstain": true}}',
        "duplicate key 'id'; keep one",
    ),
    "NaN": (
        '{"id": "a", "prompt": "x", "expect": {"abstain": true, "text": NaN}}',
        "NaN is not a JSON number",
    ),
    "null": ("null", "null is not a row; remove it"),
    "number beyond a float": (
        '{"id": "a", "prompt": "x", "expect": {"abstain": true, "text": 1e999}}',
        "the number 1e999 is too large to be stored (at most about 1.8e308)",
    ),
    "number of too many digits": (
        f'{{"id": "a", "prompt": "x", "expect": {{"abstain": true, "text": {"9" * 5000}}}}}',
        "a number has more digits than can be read; write it as text",
    ),
    "half a surrogate pair": (
        case(prompt="\ud83d"),
        "a text holds half a surrogate pair, which is not a character; write it whole",
    ),
    "half a surrogate pair in a key": (
        case(generation={"\udc00": 1}),
        "a text holds half a surrogate pair, which is not a character; write it whole",
    ),
    "deeper than JSON is read": (
        f'{{"id": "a", "prompt": {"[" * 3000}{"]" * 3000}}}',
        "nested more than 64 levels deep; make it flatter",
    ),
    "deep any_of": (case(expect=any_of(100)), "nested more than 64 levels deep; make it flatter"),
    "deep any_of beneath the suite": (
        case(expect=any_of(31)),
        "case 'a': nested more than 64 levels deep; make it flatter",
    ),
    "deep constraint": (
        case(expect={"abstain": True, "text": nested(lambda inner: {"allOf": [inner]}, 100)}),
        "nested more than 64 levels deep; make it flatter",
    ),
    "deep arguments as text": (
        history('{"a":' * 99_999 + "1" + "}" * 99_999),
        "case 'a': messages[1] is not a message: it is nested more than 64 levels deep; make it "
        "flatter",
    ),
    "deep arguments of a history": (
        history(json.dumps({"city": nested(lambda inner: [inner], 70)})),
        "case 'a': messages[1] is not a message: arguments of 'get_weather': nested more than 64 "
        "levels deep; make it flatter",
    ),
    "infinite arguments of a history": (
        history('{"city": 1e999}'),
        "case 'a': messages[1] is not a message: arguments of 'get_weather': inf is not a JSON "
        "number",
    ),
}


@pytest.mark.parametrize(("bad", "complaint"), BAD_CASES.values(), ids=BAD_CASES.keys())
def test_a_bad_case_is_refused_with_its_line(tmp_path, bad, complaint):
    write(tmp_path, case(id="sound"), bad)

    assert [f"cases.jsonl:2: {complaint}"] == complaints(tmp_path)


@pytest.mark.parametrize(
    ("line", "old", "new", "complaint"),
    [
        (1, "format: 1", "format: 2", "format must be 1, the one format this version reads"),
        (
            2,
            "name: toy",
            "name: Toy Suite",
            "name must be lower-case letters and digits with single -, _ or . between, "
            "such as tool-routing",
        ),
        (
            3,
            "version: 1.0.0",
            "version: 1.0",
            "version must be a semantic version of three numbers, such as 1.0.0",
        ),
        (
            3,
            "version: 1.0.0",
            "version: 01.0.0",
            "version must be a semantic version of three numbers, such as 1.0.0",
        ),
        (
            4,
            "tools: tools.json",
            "tools: tool.json",
            "tools: no file 'tool.json' beside this one",
        ),
        (
            6,
            "cases.jsonl\n",
            "cases.jsonl\nsytem: x\n",
            "has an unknown key 'sytem'; did you mean 'system'?",
        ),
        (6, "cases.jsonl\n", "cases.jsonl\nname: toy\n", "duplicate key 'name'; keep one"),
        (
            6,
            "cases.jsonl\n",
            "cases.jsonl\nsystem_role: user\n",
            "system_role is 'user'; choose from developer, system",
        ),
        (6, "cases.jsonl\n", "cases.jsonl\nlicense:\n", "license must be text, not null"),
        (
            6,
            "cases.jsonl\n",
            "cases.jsonl\ndeclare_tools: no\n",
            "declare_tools must be true or false, not the text 'no'",
        ),
        (
            7,
            "cases.jsonl\n",
            "cases.jsonl\ngeneration:\n  max_tokens: 8\n",
            "generation has an unknown key 'max_tokens'; did you mean 'max_new_tokens'?",
        ),
        (
            7,
            "cases.jsonl\n",
            "cases.jsonl\ngeneration:\n  seed: '1'\n",
            "generation.seed must be a whole number, not the text '1'",
        ),
        (1, "name: toy\n", "", 'needs "name"'),
        (3, "name: toy", "name: [toy", "not valid YAML: expected ',' or ']', but got ':'"),
        (
            2,
            "name: toy",
            "name: !!binary eA==",
            "tag tag:yaml.org,2002:binary is not supported here",
        ),
        (
            3,
            "version: 1.0.0",
            "version: 1e999",
            "the number 1e999 is too large to be stored (at most about 1.8e308)",
        ),
        (
            3,
            "version: 1.0.0",
            f"version: {'9' * 5000}",
            "a number has more digits than can be read; write it as text",
        ),
        (3, "version: 1.0.0", "version: !!float one", "'one' is not a number"),
        (
            2,
            "name: toy",
            'name: "\\ud83d"',
            "a text holds half a surrogate pair, which is not a character; write it whole",
        ),
        (
            2,
            "name: toy",
            f"name: {'[' * 65}{']' * 65}",
            "nested more than 64 levels deep; make it flatter",
        ),
        (
            3,
            "name: toy",
            f"name:\n {'[' * 3000}{']' * 3000}",
            "nested more than 64 levels deep; make it flatter",
        ),
    ],
)
def test_a_bad_suite_yaml_is_refused_with_its_line(tmp_path, line, old, new, complaint):
    write(tmp_path, head=HEAD.replace(old, new))

    assert f"suite.yaml:{line}: {complaint}" == complaints(tmp_path)[0]


@pytest.mark.parametrize(
    ("line", "change", "complaint"),
    [
        (2, {"function": {}}, 'tools[0] is not a tool: a tool needs a "name"'),
        (
            9,
            {
                "function": {
                    "name": "f",
                    "parameters": {"type": "object", "properties": {"x": {"type": "strng"}}},
                }
            },
            "tools[0].function.parameters.properties.x.type of tool 'f' is not valid JSON Schema: "
            "'strng' is not valid under any of the given schemas",
        ),
        (
            5,
            {"function": {"name": "f", "parameters": {"properties": {"x": {"$ref": "#/$defs/y"}}}}},
            "tools[0].function.parameters of tool 'f' refer to '#/$defs/y', which is not in it",
        ),
        (
            5,
            {"function": {"name": "f", "parameters": {"properties": {"x": {"$dynamicRef": "#y"}}}}},
            "tools[0].function.parameters of tool 'f' refer to '#y', which is not in it",
        ),
        (
            6,
            {"name": "f", "parameters": {"type": "object", "minProperties": float("inf")}},
            "Infinity is not a JSON number",
        ),
        (
            4,
            {"name": "f", "description": "\ud83d"},
            "a text holds half a surrogate pair, which is not a character; write it whole",
        ),
        (
            5,
            {"function": {"name": "f", "paramters": {"properties": {"x": {}}}}},
            "tools[0].function.paramters is not a key of a tool; did you mean 'parameters'?",
        ),
        (
            4,
            {"name": "f", "input_shema": {"properties": {"x": {}}}},
            "tools[0].input_shema is not a key of a tool; did you mean 'input_schema'?",
        ),
        (
            6,
            {"name": "f", "inputSchema": {"type": "object", "properties": 1}},
            "tools[0].inputSchema.properties of tool 'f' is not valid JSON Schema: 1 is not of "
            "type 'object'",
        ),
        (
            4,
            {"name": "f", "parameters": {"x": {"type": "string"}}},
            "tools[0].parameters of tool 'f' hold no keyword of JSON Schema, so they declare "
            'nothing; write {"type": "object", "properties": {...}}',
        ),
        (
            4,
            {
                "name": "f",
                "parameters": {
                    "properties": {"x": {"$ref": "#/$defs/a"}},
                    "$defs": {
                        "a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
                        "b": {"$ref": "#/$defs/a"},
                    },
                },
            },
            "tools[0].parameters of tool 'f' refer to '#/$defs/a' in a circle, or through more "
            "than 32 others",
        ),
        (
            66,
            {"name": "f", "parameters": {"not": nested(lambda inner: {"not": inner}, 100, {})}},
            "nested more than 64 levels deep; make it flatter",
        ),
        (
            65,
            {"name": "f", "parameters": {"items": nested(lambda inner: {"items": inner}, 60, {})}},
            "tools[0]: nested more than 64 levels deep; make it flatter",
        ),
    ],
)
def test_a_bad_tool_is_refused_with_its_line(tmp_path, line, change, complaint):
    write(tmp_path, tools=[change, TIME])

    assert [f"tools.json:{line}: {complaint}"] == complaints(tmp_path)


def test_a_schema_may_ask_for_itself_of_the_parts_of_a_value(tmp_path):
    tree = {"properties": {"children": {"items": {"$ref": "#"}}}}

    assert load_suite(write(tmp_path, tools=[WEATHER, {"name": "f", "parameters": tree}])).tools


def test_references_that_follow_each_other_too_long_are_refused(tmp_path):
    defs = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(400)} | {"d400": {}}
    tool = {"name": "f", "parameters": {"properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": defs}}

    assert [
        "tools.json:4: tools[0].parameters of tool 'f' refer to '#/$defs/d32' in a circle, or "
        "through more than 32 others"
    ] == complaints(write(tmp_path, tools=[tool, WEATHER]))


def test_a_suite_may_declare_tools_as_mcp_and_anthropic_do(tmp_path):
    function = WEATHER["function"]
    plain = {key: value for key, value in function.items() if key != "parameters"}
    suites = []
    for name, tool in (
        ("openai", WEATHER),
        ("mcp", {**plain, "inputSchema": function["parameters"]}),
        ("anthropic", {**plain, "input_schema": function["parameters"]}),
    ):
        (tmp_path / name).mkdir()
        suites.append(load_suite(write(tmp_path / name, tools=[tool, TIME])))

    assert 1 == len({suite.cases[0].digest for suite in suites})
    assert ["city"] == suites[1].tools[0].parameters["required"]


def test_a_tool_declared_twice_is_refused(tmp_path):
    write(tmp_path, tools=[TIME, TIME])

    assert ["tools.json:9: tools[1] offers a second tool 'get_time'; names must differ"] == (
        complaints(tmp_path)
    )


def test_a_key_given_twice_in_tools_json_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "tools.json").write_text('[\n {"name": "f",\n  "name": "g"}\n]\n', "utf-8")

    assert ["tools.json:3: duplicate key 'name'; keep one"] == complaints(tmp_path)[:1]


@pytest.mark.parametrize("name", ["suite.yaml", "tools.json", "versions.json"])
def test_a_file_that_holds_null_is_refused(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).write_text("null\n", "utf-8")

    assert [f"{name}:1: holds null and nothing else; rewrite or restore it"] == (
        complaints(tmp_path)
    )


def test_a_yaml_null_is_nothing_either(tmp_path):
    assert ["suite.yaml:1: holds null and nothing else; rewrite or restore it"] == (
        complaints(write(tmp_path, head="~\n"))
    )


def test_a_copy_that_holds_null_is_refused(tmp_path):
    (tmp_path / "suite.json").write_text("null\n", "utf-8")

    with pytest.raises(SuiteError, match=r"suite\.json:1: holds null"):
        load_suite_copy(tmp_path / "suite.json")


def test_as_deep_as_may_be_is_read_and_checked(tmp_path):
    schemas = nested(lambda inner: {"items": inner, "type": "array"}, 57, {"type": "string"})
    tool = {"name": "f", "parameters": {"properties": {"x": schemas}}}
    folder = write(tmp_path, case(expect=any_of(30)), tools=[WEATHER, tool])

    assert [] == check(folder, date(2026, 11, 22))
    (tmp_path / "copy.json").write_text(json.dumps(load_suite(folder).document), "utf-8")
    assert load_suite(folder).digest == load_suite_copy(tmp_path / "copy.json").digest


def test_an_id_used_twice_names_both_lines(tmp_path):
    write(tmp_path, case(), "", case(prompt="Oslo?"))

    assert [
        "cases.jsonl:3: case 'a': id is the id of an earlier case too (cases.jsonl:1)"
    ] == complaints(tmp_path)


def test_all_problems_are_listed_up_to_ten(tmp_path):
    write(tmp_path, *[case(id=f"c{n}", promt="x") for n in range(12)])

    found = complaints(tmp_path)

    assert [f"cases.jsonl:{n}" for n in range(1, 11)] == [
        line.split(": ")[0] for line in found[:10]
    ]
    assert ["... and 2 more; `harness suite check` lists them all"] == found[10:]
    assert 12 == len(read_suite(tmp_path).problems)


def test_every_problem_of_one_case_is_listed(tmp_path):
    calls = [{"tool": "get_weather", "arguments": {"citi": 1, "city": {"absent": 1}}}]
    write(tmp_path, case(expect={"calls": calls, "forbid": ["x"]}))

    assert 3 == len(complaints(tmp_path))


def test_a_missing_suite_yaml_is_refused(tmp_path):
    assert ["suite.yaml:1: no such file"] == complaints(tmp_path)


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    write(tmp_path)
    (tmp_path / "cases.jsonl").write_bytes(b'\n{"id": "\xff"}\n')

    assert ["cases.jsonl:2: not valid UTF-8: invalid start byte; save the file as UTF-8"] == (
        complaints(tmp_path)
    )


def test_inline_cases_keep_their_own_lines(tmp_path):
    head = HEAD.replace(
        "cases: cases.jsonl\n",
        "cases:\n- id: a\n  prompt: x\n  expect: {abstain: true}\n"
        "- id: b\n  prompt: x\n  expect:\n    calls:\n    - tool: get_weather\n"
        "      arguments:\n        citi: Oslo\n",
    )
    write(tmp_path, head=head)

    assert [
        "suite.yaml:15: case 'b': expect.calls[0].arguments.citi is not an argument that "
        "'get_weather' declares; did you mean 'city'?"
    ] == complaints(tmp_path)


def test_yaml_scalars_are_typed_as_json_types_them(tmp_path):
    """
    YAML 1.1 would make a number of 12:30, a boolean of no and a date of 2027-01-31.
    """
    arguments = "{a: 12:30, b: no, c: 2027-01-31, d: 010, e: 1e3, f: true, g: ~, h: 7}"
    tool = {"name": "f", "parameters": {"additionalProperties": True}}
    head = HEAD.replace(
        "cases: cases.jsonl\n",
        f"cases:\n- id: a\n  prompt: x\n  quarantine: {{reason: r, until: 2027-01-31}}\n"
        f"  expect: {{calls: [{{tool: f, arguments: {arguments}}}]}}\n",
    )
    suite = load_suite(write(tmp_path, head=head, tools=[tool]))

    [call] = suite.cases[0].turns[0].expectation.alternatives[0].calls
    specs = {name: constraint.spec for name, constraint in call.arguments.items()}
    assert {
        "a": "12:30",
        "b": "no",
        "c": "2027-01-31",
        "d": "010",
        "e": 1000.0,
        "f": True,
        "g": None,
        "h": 7,
    } == specs
    assert date(2027, 1, 31) == suite.cases[0].quarantine.until
    assert suite.document == json.loads(as_written(suite.document))


def test_a_line_separator_inside_a_string_ends_no_line(tmp_path):
    row = json.dumps(case(prompt="one\u2028two"), ensure_ascii=False)
    suite = load_suite(write(tmp_path, row, case(id="b")))

    assert ["one\u2028two", "Weather in Oslo?"] == [case.prompt for case in suite.cases]


def test_defaults_of_an_expectation():
    [alternative] = parse_suite(document(), "x").cases[0].turns[0].expectation.alternatives

    assert ("any", "forbid", ()) == (alternative.order, alternative.extra_calls, alternative.forbid)
    assert "declared" == alternative.calls[0].other_arguments


def test_any_of_is_flattened_in_order():
    expect = {"any_of": [{"abstain": True}, {"any_of": [EXPECT, {"abstain": True, "text": "7"}]}]}
    [turn] = parse_suite(document(case(expect=expect)), "x").cases[0].turns

    kinds = [type(alternative) for alternative in turn.expectation.alternatives]
    assert [Abstention, Calls, Abstention] == kinds


def test_an_argument_nobody_declares_may_be_expected_absent():
    calls = [{"tool": "get_weather", "arguments": {"unit": {"absent": True}}}]

    assert parse_suite(document(case(expect={"calls": calls})), "x").cases


def test_a_case_offers_the_tools_it_names_and_brings():
    stock = {"name": "get_stock", "parameters": {"type": "object", "properties": {}}}
    rows = [
        case(tools=["get_weather", stock]),
        case(id="b"),
        case(id="c", tools=[], expect={"abstain": True}),
    ]
    suite = parse_suite(document(*rows), "x")

    names = [[tool.name for tool in row.tools] for row in suite.cases]
    assert [["get_weather", "get_stock"], ["get_weather", "get_time"], []] == names
    assert ["get_weather", "get_time", "get_stock"] == [tool.name for tool in suite.tools]


def test_the_suites_system_message_comes_first_unless_a_case_brings_one():
    own = [{"role": "developer", "content": "own"}, {"role": "user", "content": "x"}]
    rows = [case(), case(id="b", prompt=None, messages=own)]
    suite = parse_suite(document(*rows, system="shared", system_role="developer"), "x")

    first = [row.turns[0].messages[0] for row in suite.cases]
    assert ["shared", "own"] == [message.content for message in first]
    assert ["developer", "developer"] == [message.role for message in first]
    assert [2, 2] == [len(row.turns[0].messages) for row in suite.cases]


def test_each_turn_has_the_reference_of_the_earlier_ones_as_history():
    suite = parse_suite(document(case(expect=None, turns=TURNS), system="s"), "x")

    roles = [[message.role for message in turn.messages] for turn in suite.cases[0].turns]
    assert [
        ["system", "user"],
        ["system", "user", "assistant", "tool"],
        ["system", "user", "assistant", "tool", "assistant", "user"],
    ] == roles
    assert [False, True, False] == [turn.follows_result for turn in suite.cases[0].turns]
    assert Message(role="user", content="And tomorrow?") == suite.cases[0].turns[2].messages[-1]


# Digests.


@pytest.mark.parametrize(
    ("change", "case_differs"),
    [
        ({"cases": [case(prompt="Weather in Rome?")]}, True),
        ({"cases": [case(expect={"abstain": True})]}, True),
        ({"cases": [case(tools=["get_weather"])]}, True),
        ({"system": "s"}, True),
        ({"declare_tools": False}, True),
        ({"tools": [WEATHER, {**TIME, "description": "now"}]}, True),
        ({"cases": [case(tags=["t"])]}, False),
        ({"cases": [case(group="g")]}, False),
        ({"cases": [case(must_pass=True)]}, False),
        ({"cases": [case(id="b")]}, False),
        ({"cases": [case(quarantine={"reason": "r", "until": "2027-01-31"})]}, False),
        ({"generation": {"max_new_tokens": 9}}, False),
        ({"cases": [case(), case(id="b")]}, False),
    ],
)
def test_digests_follow_the_content(change, case_differs):
    old = parse_suite(document(), "x")
    new = parse_suite(document(*change.get("cases", ())) | change, "x")

    assert old.digest != new.digest
    assert case_differs == (old.cases[0].digest != new.cases[0].digest)


def test_names_and_spelled_out_defaults_leave_the_digest_alone():
    plain = parse_suite(document(), "x")
    other = parse_suite(
        document(
            name="other",
            version="2.0.0",
            description="d",
            license="MIT",
            system_role="system",
            declare_tools=True,
            generation={},
        ),
        "x",
    )

    assert plain.digest == other.digest


def test_a_prompt_is_the_same_question_as_its_message():
    spelled = case(prompt=None, messages=[{"role": "user", "content": "Weather in Oslo?"}])
    [one], [two] = (parse_suite(document(row), "x").cases for row in (case(), spelled))

    assert one.digest == two.digest


def test_the_digest_is_the_same_from_file_and_document(tmp_path):
    suite = load_suite(write(tmp_path))

    assert parse_suite(document(), "x").digest == suite.digest
    assert "sha256:3b77f4a0f2fd09b2ec2b3f6a6f2bf06ee9aab00e52f3c10e5076ef408fdf184b" == suite.digest


def test_the_order_of_tool_parameters_survives_the_document():
    suite = parse_suite(document(), "x")

    assert ["city", "days"] == list(
        suite.document["tools"][0]["function"]["parameters"]["properties"]
    )


def test_another_order_of_tool_parameters_is_another_question():
    """
    A chat template shows parameters in the order they have: the prompt differs, so must the digest.
    """
    rows = document()
    turned = json.loads(json.dumps(rows))
    function = turned["tools"][0]["function"]
    function["parameters"]["properties"] = dict(
        reversed(function["parameters"]["properties"].items())
    )
    one, two = parse_suite(rows, "x"), parse_suite(turned, "x")

    assert rows == turned
    assert one.digest != two.digest
    assert one.cases[0].digest != two.cases[0].digest


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ROW = st.builds(
    case,
    prompt=TEXT,
    tags=st.none() | st.lists(st.sampled_from(["t", "u"]), unique=True),
    group=st.none() | TEXT,
    tools=st.none() | st.just(["get_weather"]),
    expect=st.sampled_from([EXPECT, {"abstain": True}, {"any_of": [EXPECT, {"abstain": True}]}]),
)


@given(row=ROW, system=st.none() | TEXT, declared=st.booleans())
def test_a_suite_and_its_document_are_the_same_suite(row, system, declared):
    keys = {"declare_tools": declared} | ({} if system is None else {"system": system})
    suite = parse_suite(document(row, **keys), "x")
    again = parse_suite(json.loads(as_written(suite.document)), "x")

    assert suite.digest == again.digest
    assert [row.digest for row in suite.cases] == [row.digest for row in again.cases]
    assert [row.turns[0].messages for row in suite.cases] == [
        row.turns[0].messages for row in again.cases
    ]
    assert suite.document == again.document


def test_a_document_of_other_than_json_types_is_refused():
    with pytest.raises(SuiteError, match="x: only JSON types can be stored"):
        parse_suite(document(generation={"temperature": {1, 2}}), "x")
    with pytest.raises(SuiteError, match=r"x: generation\.temperature: nan is not a JSON number"):
        parse_suite(document(generation={"temperature": float("nan")}), "x")
    with pytest.raises(SuiteError, match="x: case 'a': prompt: a text holds half a surrogate"):
        parse_suite(document(case(prompt="\ud800")), "x")
    with pytest.raises(SuiteError, match="x: case 'a': nested more than 64 levels deep"):
        parse_suite(document(case(expect=any_of(3000))), "x")


def test_a_document_must_hold_its_cases():
    with pytest.raises(SuiteError, match="x: cases must be the list itself here"):
        parse_suite({**document(), "cases": "cases.jsonl"}, "x")


# Copies, releases, dates.


def test_a_copy_is_read_whatever_its_date_and_release(tmp_path):
    row = case(quarantine={"reason": "r", "until": "2001-01-31"})
    suite = parse_suite(document(row), "x")
    (tmp_path / "suite.json").write_text(as_written(suite.document), "utf-8")

    assert suite.digest == load_suite_copy(tmp_path / "suite.json").digest


def test_a_broken_copy_is_refused_with_its_line(tmp_path):
    file = tmp_path / "suite.json"
    file.write_text('{"format": 1,\n"name": 3}', "utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite_copy(file)

    assert f"{file}:2: name must be" in str(caught.value)


def test_a_quarantine_that_has_run_out_is_an_error_from_the_next_day(tmp_path):
    row = case(quarantine={"reason": "flaky server", "until": "2026-01-31"})
    write(tmp_path, row)

    assert load_suite(tmp_path).cases[0].quarantine is not None
    assert load_suite(tmp_path, today=date(2026, 1, 31)).cases
    assert [
        "cases.jsonl:1: case 'a': quarantine.until has passed (2026-01-31: flaky server); take the "
        "case out of quarantine, fix or remove it, or set a later date"
    ] == complaints(tmp_path, today=date(2026, 2, 1))


def test_released_content_is_known_and_may_not_change(tmp_path):
    suite = load_suite(write(tmp_path))
    assert not suite.released
    (tmp_path / "versions.json").write_text(json.dumps({"1.0.0": suite.digest}), "utf-8")
    assert load_suite(tmp_path).released

    write(tmp_path, case(prompt="Weather in Rome?"))

    assert [
        "suite.yaml:3: version 1.0.0 was released with other content; undo the edits, or give them "
        "a version of their own with `harness suite release toy --patch` (--minor, --major)"
    ] == complaints(tmp_path)


def test_content_under_a_version_of_its_own_is_merely_unreleased(tmp_path):
    write(tmp_path)
    (tmp_path / "versions.json").write_text(json.dumps({"0.9.0": f"sha256:{'0' * 64}"}), "utf-8")

    assert not load_suite(tmp_path).released


def test_a_versions_file_that_holds_no_digests_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "versions.json").write_text('{"1.0.0": "abc"}', "utf-8")

    assert [
        'versions.json:1: must map versions to digests, {"1.0.0": "sha256:..."}; '
        "restore it from git"
    ] == complaints(tmp_path)


# Finding suites.


def test_a_suite_is_found_by_folder_file_and_name(tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    write(folder)

    assert [folder] == find_suites(tmp_path)
    assert folder == suite_path("toy", tmp_path)
    assert folder == suite_path(str(folder), tmp_path / "nowhere")
    assert folder == suite_path(str(folder / "suite.yaml"), tmp_path)
    assert "toy" == load_suite(folder / "suite.yaml").name


def test_an_unknown_suite_lists_what_there_is(tmp_path):
    (tmp_path / "toy").mkdir()
    write(tmp_path / "toy")
    with pytest.raises(UsageError, match=r"unknown suite 'tyo': .*; did you mean 'toy'"):
        suite_path("tyo", tmp_path)
    with pytest.raises(UsageError, match="there are none"):
        suite_path("toy", tmp_path / "nowhere")


def test_the_shipped_suite_loads():
    suite = load_suite(REPOSITORY / "suites" / "tool-routing")

    assert suite.digest == parse_suite(suite.document, "x").digest
