"""
A megabyte of brackets, quotes and tags that lead nowhere, read by every dialect.

It takes under two seconds, and at most 2.5 times as long as half of it: time that grows with the
square of an answer would let one broken answer hold up a run. These are bounds on how reading
grows, not on the machine, so they are asserted. A machine whose speed changes from one second to
the next shows ratios of 1.3 to 3.1 for what is linear, so half and whole are timed in turn,
twice and then again while the least times seen are out of bounds. What grows with the square
stays so: four times.
"""

import contextlib
import gc
import time
from collections.abc import Callable
from functools import partial

import pytest

from harness.dialects.registry import dialect, names
from harness.dialects.response_template import ResponseTemplate
from harness.messages import ToolCall

from ..dialects.test_response_template import FUNCTIONGEMMA, HERMES
from .controls import REPEATS, against, documents, store

MEGABYTE = 1_000_000
FEWEST, MOST = 2, 12
CALL = ToolCall(name="look", arguments={"query": "a", "more": "b"})


def texts(name: str) -> dict[str, tuple[str, str]]:
    """
    A megabyte each of brackets and quotes of all formats, of the dialect's own call, cut anywhere,
    and of calls as it writes them in one answer; and half of it, whole calls where those are whole.
    """
    call = dialect(name).render([CALL])
    cuts = [call[: len(call) * part // 4] for part in (1, 2, 3)]
    loose = ['\n{"name": "look", "arguments": {"query": "a"}}', "\nlook(query='a')"]
    pieces = [
        *("[", "{", '{"a":', '"', "'", "\\", "```json\n", "f(", "<", "\n{", "\n["),
        *(call, *cuts, *loose),
    ]
    found = {}
    for piece in pieces:
        whole = piece * (MEGABYTE // len(piece))
        found[piece] = (whole, whole[: len(whole) // 2])
    count = MEGABYTE // len(call)
    with contextlib.suppress(ValueError):  # a format of one call an answer
        found["many calls"] = (
            dialect(name).render([CALL] * count),
            dialect(name).render([CALL] * (count // 2)),
        )
    return found


def timed(work: Callable[[], object]) -> float:
    # Without the collector, as `timeit` does: it looks at all that the process holds.
    gc.disable()
    try:
        start = time.process_time()
        work()
        return time.process_time() - start
    finally:
        gc.enable()


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("reading", ["read", "read_leniently"])
def test_reading_what_leads_nowhere(benchmark, name: str, reading: str):
    read = getattr(dialect(name), reading)

    def seconds(text: str) -> float:
        return timed(partial(read, text))

    found = {}
    control = [timed(documents) for _ in range(REPEATS)]
    asked = texts(name)
    for piece, (text, first) in asked.items():
        half = whole = float("inf")
        for turn in range(1, MOST + 1):
            whole = min(whole, seconds(text))
            # Of what is read in no time at all, the ratio is noise.
            if whole <= 0.1:
                half = whole / 2
                break
            half = min(half, seconds(first))
            if turn >= FEWEST and whole < 2 and whole <= 2.5 * half:
                break
        found[piece] = (whole, whole / half)
    slowest = max(found, key=lambda piece: found[piece][0])
    benchmark.extra_info.update(piece=slowest, growth=max(ratio for _, ratio in found.values()))

    benchmark.pedantic(seconds, asked[slowest][:1], rounds=1)
    control += [timed(documents) for _ in range(REPEATS)]
    store(benchmark, time=sum(whole for whole, _ in found.values()) / min(control))

    assert not {piece: times for piece, times in found.items() if times[0] >= 2 or times[1] > 2.5}


@pytest.mark.parametrize("template", [HERMES, FUNCTIONGEMMA], ids=["hermes", "functiongemma"])
def test_reading_by_a_response_template_grows_with_the_text(benchmark, template):
    read = ResponseTemplate(template).read
    pieces = ["\n", " x", "<think>a</think>", "a<|im_end|>", "a<end_of_turn>", "<tool_call>"]
    whole = [piece * (MEGABYTE // 2 // len(piece)) + "x" for piece in pieces]

    def read_all() -> dict[str, tuple[float, float]]:
        half = (text[: len(text) // 2] + "x" for text in whole)
        return {
            text[:20]: (timed(partial(read, first)), timed(partial(read, text)))
            for text, first in zip(whole, half, strict=True)
        }

    found = against(benchmark, documents, read_all, rounds=3)

    assert not {p: t for p, t in found.items() if t[1] >= 5 or (t[1] > 0.1 and t[1] > 3 * t[0])}
