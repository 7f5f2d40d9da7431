"""
The second reading that is left out where it would be the first.
"""

import importlib

import pytest
from hypothesis import given

from harness.dialects.readers.json_calls import read_call_leniently
from harness.dialects.registry import dialect
from harness.testing.strategies import answers


@pytest.mark.parametrize("name", ["hermes", "functiongemma"])
@given(output=answers)
def test_a_second_reading_is_left_out_only_where_it_would_be_the_same(name: str, output: str):
    """
    The lenient reading of an answer with nothing to repair is the strict one, to the last field.
    """
    module = importlib.import_module(f"harness.dialects.{name}")
    strict = dialect(name).read(output)

    if not module._may_be_repaired(strict):
        body = read_call_leniently if name == "hermes" else module._BRACES.read_leniently
        assert strict == module.read_tagged(output, module._TAGS, body, module._BARE)
