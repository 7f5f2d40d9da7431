"""
Examples for properties: those of hypothesis if it is installed, else fixed ones.
"""

import functools
import inspect
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.messages import ToolCall
from harness.testing.texts import CALLS, FRAGMENTS, HOSTILE, NASTY

Test = Callable[..., None]

_MEMBERS = 5
"""A family has many members, and most fail in the same way: each is tested with the number of
examples in hypothesis's profile divided by this."""


class Examples(Protocol):
    """
    A source of examples, drawn by a property as it needs them.
    """

    def calls(self) -> list[ToolCall]:
        """
        Draw the calls of one answer, at least one.
        """

    def answer(self) -> str:
        """
        Draw an answer of any shape: text, calls of several dialects, and pieces of them.
        """

    def text(self) -> str:
        """
        Draw text that may surround a call.
        """

    def characters(self) -> str:
        """
        Draw text of any characters, control characters and half surrogate pairs included.
        """

    def integer(self, low: int, high: int) -> int:
        """
        Draw a number, both ends included.
        """

    def choice(self, options: Sequence[str]) -> str:
        """
        Draw one of *options*.
        """

    def require(self, condition: bool) -> None:
        """
        Skip this example unless *condition* holds.
        """


def on_examples(test: Test) -> Test:
    """
    Run *test* on many examples, drawn from its parameter ``examples``.
    """
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        return on_fixed_examples(test)
    return _sought(test)


def on_fixed_examples(test: Test) -> Test:
    """
    Run *test* once for each of the fixed examples: the same ones every time.
    """

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        fitting = 0
        for number in range(len(CALLS)):
            try:
                test(*args, examples=_Fixed(number), **kwargs)
            except _UnfitError:
                continue
            fitting += 1
        assert fitting, "none of the fixed examples meets the conditions"

    # pytest passes arguments by the signature.
    signature = inspect.signature(test)
    kept = [each for name, each in signature.parameters.items() if name != "examples"]
    run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return run


class _UnfitError(Exception):
    """
    An example that the property is not about.
    """


class _Fixed:
    def __init__(self, number: int) -> None:
        self._number = number
        self._random = random.Random(number)

    def calls(self) -> list[ToolCall]:
        return list(CALLS[self._number])

    def answer(self) -> str:
        return "".join(self._random.choices(FRAGMENTS, k=self._random.randrange(14)))

    def text(self) -> str:
        return self._random.choice(NASTY) if self._number % 2 else self.answer()

    def characters(self) -> str:
        return list(HOSTILE.values())[self._number % len(HOSTILE)]

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def choice(self, options: Sequence[str]) -> str:
        return self._random.choice(options)

    def require(self, condition: bool) -> None:
        if not condition:
            raise _UnfitError


def _sought(test: Test) -> Test:
    from hypothesis import HealthCheck, assume, given, settings
    from hypothesis import strategies as st

    from harness.testing import strategies

    class Sought:
        def __init__(self, data: st.DataObject) -> None:
            self._data = data

        def calls(self) -> list[ToolCall]:
            return self._data.draw(strategies.calls)

        def answer(self) -> str:
            return self._data.draw(strategies.answers)

        def text(self) -> str:
            return self._data.draw(strategies.strings | strategies.answers)

        def characters(self) -> str:
            return self._data.draw(st.text(st.characters(), min_size=1, max_size=40))

        def integer(self, low: int, high: int) -> int:
            return self._data.draw(st.integers(low, high))

        def choice(self, options: Sequence[str]) -> str:
            return self._data.draw(st.sampled_from(options))

        def require(self, condition: bool) -> None:
            assume(condition)

    signature = inspect.signature(test)

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        given_to = signature.bind(*args, **kwargs)
        given_to.arguments["examples"] = Sought(given_to.arguments["examples"])
        test(*given_to.args, **given_to.kwargs)

    each = settings(
        deadline=None,
        max_examples=max(1, settings().max_examples // _MEMBERS),
        report_multiple_bugs=False,
        # One property is inherited by the test classes of several members.
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    found: Test = each(given(examples=st.data())(run))
    return found
