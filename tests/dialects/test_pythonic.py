"""
Hostile calls: nothing is evaluated, and nothing exhausts the parser.
"""

import pytest

from harness.dialects.pythonic import PYTHONIC
from harness.dialects.readers import python_calls
from harness.dialects.readers.python_calls import MAX_LENGTH


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


@pytest.mark.parametrize(
    "bracketed",
    [
        "()",
        "(a='b')",
        """(a='b', c="d",e='f')""",
        "(a='b',)",
        "(a='b',  c='d')",
        "(a='b' 'c')",
        "(a='b', a='c')",
        "(if='b')",
        "(True='b')",
        "(__debug__='b')",
        "(,)",
        "(a='b',,)",
        "(a='')",
        "(a='''b''')",
        "(a='b\tc')",
        "(a='b\nc')",
        "(a='b\0c')",
        "(a='b\ud800')",
        r"(a='b\n')",
        r"(a='\'')",
        "(é='b')",
        "(ﬁ='b')",
        "(a='é\u2028x')",
        "(a='b')#)",
        "(a='b'",
        "(a=b'c')",
        "(a='b', 1)",
        "(a='b', **{'c': 'd'})",
        "(a='b'; c='d')",
        "(a ='b')",
        "(a= 'b')",
    ],
)
def test_plain_strings_are_read_as_the_parser_reads_them(
    bracketed: str, monkeypatch: pytest.MonkeyPatch
):
    def found() -> object:
        read = python_calls.attempt(f"f{bracketed}", 0, len(bracketed) + 1, "f")
        return read.arguments, list(read.arguments or ()), read.problem

    quick = found()
    monkeypatch.setattr(python_calls, "_plain_strings", lambda _: None)

    assert found() == quick
