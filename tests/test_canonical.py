"""
One spelling for every stored value.
"""

import hashlib
import json
import json.encoder
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.canonical import _CANONICAL, _Encoder, canonical_json, digest, digest_bytes

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Pairs of surrogates are one character in JSON, so only lone ones can come back.
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_keys_are_sorted_and_nothing_is_spaced_or_escaped() -> None:
    assert '{"a":[1,2.5,null,true],"é":"ü\\n"}' == canonical_json(
        {"é": "ü\n", "a": [1, 2.5, None, True]}
    )


def test_keys_are_sorted_by_code_point() -> None:
    assert '{"B":1,"a":2,"é":3,"€":4}' == canonical_json({"€": 4, "é": 3, "a": 2, "B": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"value": value})


def test_values_json_lacks_are_refused() -> None:
    with pytest.raises(TypeError):
        canonical_json({"value": {1, 2}})


@given(JSON)
def test_without_the_compiled_encoder_every_byte_is_the_same(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json.encoder, "c_make_encoder", None)
        plain = _Encoder(sort_keys=True)
        spelled = plain.encode(value)

    assert _CANONICAL.encode(value) == spelled


def test_half_a_surrogate_pair_is_escaped_so_that_it_can_be_stored() -> None:
    spelled = canonical_json({"q": "\ud83d"})

    assert '{"q":"\\ud83d"}' == spelled
    assert {"q": "\ud83d"} == json.loads(spelled.encode().decode())


@settings(deadline=None)
@given(JSON)
def test_what_was_read_is_spelled_the_same_again(value: object) -> None:
    spelled = canonical_json(value)

    assert value == json.loads(spelled)
    assert spelled == canonical_json(json.loads(spelled))


def test_a_digest_is_the_sha256_of_the_canonical_bytes() -> None:
    expected = "sha256:" + hashlib.sha256('{"a":"é"}'.encode()).hexdigest()

    assert expected == digest({"a": "é"})


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_digest_of_bytes_does_not_depend_on_how_they_are_cut() -> None:
    assert digest_bytes([b"abc"]) == digest_bytes([b"a", b"", b"bc"])
