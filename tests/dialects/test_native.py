"""
Messages of servers, of any shape.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dialects.native import NATIVE
from harness.testing.dialects import is_among, readable
from harness.testing.strategies import json_like


@given(
    message=st.dictionaries(
        st.sampled_from(["content", "tool_calls", "function_call", "role"]), json_like
    ),
    finish_reason=st.sampled_from([None, "length"]),
)
def test_a_message_of_any_shape_is_read(message: dict[str, Any], finish_reason: str | None):
    strict = NATIVE.read_message(message, finish_reason)
    lenient = NATIVE.read_message_leniently(message, finish_reason)

    assert len(strict.attempts) == len(lenient.attempts)
    assert is_among(readable(strict), readable(lenient))


@pytest.mark.parametrize("lenient", [False, True])
def test_a_number_that_json_does_not_know_is_a_problem(lenient: bool):
    message = {"tool_calls": [{"function": {"name": "f", "arguments": {"n": float("nan")}}}]}

    reader = NATIVE.read_message_leniently if lenient else NATIVE.read_message
    (attempt,) = reader(message, None).attempts

    assert ("f", None, "nan is not a JSON number") == (
        attempt.name,
        attempt.arguments,
        attempt.problem,
    )
