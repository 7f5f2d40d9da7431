"""
Hostile calls: nothing is evaluated, and nothing exhausts the parser.
"""

import pytest

from harness.dialects.python_calls import MAX_LENGTH
from harness.dialects.pythonic import PYTHONIC


@pytest.mark.parametrize(
    "body",
    [
        "-" * 90_000 + "1",
        "x" + ".a" * 45_000,
        "not " * 20_000 + "1",
        "1+" * 40_000 + "1",
        "x" + "()" * 40_000,
        "lambda:" * 9_000 + "1",
        "f" * 90_000,
        "__import__('os').abort()",
        "[exit() for x in '1']",
        "f'{exit()}'",
    ],
    ids=lambda body: body[:8],
)
def test_an_expression_is_never_evaluated(body: str):
    (attempt,) = PYTHONIC.read(f"[f(a={body})]").attempts

    assert ("f", None) == (attempt.name, attempt.arguments)
    assert attempt.problem is not None
    assert len(attempt.problem) < 120


def test_a_number_python_refuses_is_explained():
    (attempt,) = PYTHONIC.read(f"[f(a={'9' * 5000})]").attempts

    assert "a number of more than 4000 digits" == attempt.problem


def test_a_call_has_a_longest_length():
    (attempt,) = PYTHONIC.read(f"[f(a='{'x' * MAX_LENGTH}')]").attempts

    assert f"a call of more than {MAX_LENGTH} characters" == attempt.problem
