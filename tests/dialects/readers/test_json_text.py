"""
The JSON reader: what it accepts, and how it tells cut off from wrong.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dialects.readers.json_text import (
    MAX_DEPTH,
    MAX_DIGITS,
    JsonReader,
    Trouble,
    read_json,
    unsound,
)
from harness.testing.strategies import answers, values


def _whole(text: str) -> Any:
    reader = JsonReader(text)
    value, end = reader.value(0)
    end = reader.skip(end)
    if end < len(text):
        reader.fail("more", end)
    return value


def _trouble(text: str) -> Trouble:
    with pytest.raises(Trouble) as caught:
        _whole(text)
    return caught.value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("twice")
    return dict(pairs)


@settings(deadline=None)
@given(value=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_reads_what_json_writes(value: Any, ascii_only: bool, indent: int | None):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    assert repr(value) == repr(_whole(text))


@settings(deadline=None)
@given(text=answers | st.text(alphabet='{}[]:,"\\u0123456789abcdeEtrufalsn .-+\n'))
def test_agrees_with_the_standard_library(text: str):
    """
    Whatever is read here, `json` reads to the same value. (The reverse fails only on purpose.)
    """
    try:
        value = _whole(text)
    except Trouble:
        return

    assert repr(json.loads(text, object_pairs_hook=_unique)) == repr(value)


@settings(deadline=None)
@given(value=st.dictionaries(st.text(max_size=3), values, max_size=3), data=st.data())
def test_a_cut_value_ends_too_early(value: dict[str, Any], data: st.DataObject):
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    assert _trouble(cut).early


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", '{"', '{"a"', '{"a":', '{"a": t', '{"a": fals', '{"a": -', '{"a": 1.',
     '{"a": 1e', '{"a": 1E+', "[1,", '"\\', '"\\u', '"\\u00e', '"\\ud83d'],
)  # fmt: skip
def test_ends_too_early(text: str):
    assert _trouble(text).early


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("x", 0, "expected a JSON value"),
        ("trux", 0, "expected a JSON value"),
        (".5", 0, "expected a JSON value"),
        ("+1", 0, "expected a JSON value"),
        ("[1.e", 2, "expected ',' or ']'"),
        ("[007]", 2, "expected ',' or ']'"),
        ("{a: 1}", 1, "expected a key in double quotes"),
        ("{'a': 1}", 1, "expected a key in double quotes"),
        ('{"a" 1}', 5, "expected ':' after a key"),
        ('{"a": 1 "b"}', 8, "expected ',' or '}'"),
        ('{"a": 1,}', 8, "a trailing comma"),
        ("[1,]", 3, "a trailing comma"),
        ('"a\nb"', 2, "a string contains a bare control character"),
        ('"\\x41"', 2, "\\x is not a JSON escape"),
        ('"\\_"', 2, "\\_ is not a JSON escape"),
        ('"\\u00g0"', 5, "\\u needs four hexadecimal digits"),
        ('"\\udf0d\\ud83c"', 0, "a string contains half a surrogate pair"),
        ('"\ud83c"', 0, "a string contains half a surrogate pair"),
        ('{"a": 1, "a": 1}', 9, "the key 'a' appears twice"),
        ("NaN", 0, "NaN is not a JSON number"),
        ("[Infinity]", 1, "Infinity is not a JSON number"),
        ("-Infinity", 0, "-Infinity is not a JSON number"),
        ("-1e400", 0, "a number too large to represent"),
        ("True", 0, "expected a JSON value"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, position: int, reason: str):
    trouble = _trouble(text)

    assert (position, reason, False) == (trouble.position, trouble.reason, trouble.early)


def test_integers_are_exact_up_to_what_python_can_write():
    assert 10 ** (MAX_DIGITS - 1) == _whole("1" + "0" * (MAX_DIGITS - 1))
    assert "digits" in _trouble("1" * (MAX_DIGITS + 1)).reason


def test_depth_is_bounded():
    assert json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH) == _whole(
        "[" * MAX_DEPTH + "]" * MAX_DEPTH
    )
    assert "deeper" in _trouble("[" * 100_000).reason


def test_surrogate_pairs_are_joined():
    assert "🌍\ufffd" == _whole('"\\ud83c\\udf0d\\ufffd"')


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ("{'a': 'it\\'s'}", {"a": "it's"}, ["single quotes"]),
        ("[[1,],]", [[1]], ["trailing comma"]),
        ('{"name": "a\\_b", "x": 1}', {"name": "a_b", "x": 1}, ["escaped underscore in the name"]),
        ('{"a": 1}', {"a": 1}, []),
    ],
)
def test_a_loose_reader_records_its_repairs(text: str, value: Any, repairs: list[str]):
    reader = JsonReader(text, loose=True)

    assert (value, len(text)) == reader.value(0)
    assert repairs == reader.repairs


@pytest.mark.parametrize(
    "text", ['{"x": "a\\_b"}', "{a: 1}", "[1 2]", "nan", "[1,,]", "'it's'x", "01"]
)
def test_a_loose_reader_does_not_guess(text: str):
    reader = JsonReader(text, loose=True)

    try:
        _, end = reader.value(0)
    except Trouble:
        return
    assert end < len(text)


@settings(deadline=None)
@given(value=values)
def test_what_can_be_read_is_sound(value: Any):
    assert unsound(value) is None


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], {"a": {1: 2}}, "\ud83c", {"\ud83c": 1}, 10**5000, object(), {1}],
    ids=["nan", "inf", "key", "half", "half in a key", "digits", "object", "set"],
)
def test_what_cannot_be_read_is_not_sound(value: Any):
    assert unsound(value) is not None


def test_what_is_too_deep_is_not_sound():
    value: list[Any] = []
    for _ in range(5000):
        value = [value]

    assert "deeper" in (unsound(value) or "")


@settings(max_examples=300, deadline=None)
@given(
    text=st.builds(json.dumps, st.dictionaries(st.text(max_size=3), values, max_size=3))
    | st.lists(
        st.sampled_from(
            ['{"a":', "{", "}", "[", "]", ",", '"a":', '"b":', "1", "1e999", "-0.5", "NaN", "01",
             '"x"', '"\\ud83d"', '"\\ud83d\\ude00"', '"\ud83d"', '"\n"', "null", " ", "1."],
        ),
        max_size=12,
    ).map("".join)
)  # fmt: skip
def test_the_quick_reading_is_the_strict_one(text: str):
    """
    Where `json` is used instead of the reader, it gives the same value, end and trouble.
    """
    assert _outcome(lambda: JsonReader(text).value(0)) == _outcome(lambda: read_json(text, 0))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a": NaN}',
        '{"a": [-Infinity]}',
        '{"a": 1e999}',
        '{"a": "\\ud83d"}',
        '{"a": "\ud83d"}',
        '{"a": ' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1),
        '{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}",
        '{"a": ' + "1" * (MAX_DIGITS + 1) + "}",
    ],
    ids=lambda text: text[:30],
)
def test_the_quick_reading_accepts_nothing_more(text: str):
    with pytest.raises(Trouble):
        read_json(text, 0)


def _outcome(read: Callable[[], tuple[Any, int]]) -> str:
    try:
        return repr(read())
    except Trouble as trouble:
        return repr(vars(trouble))
