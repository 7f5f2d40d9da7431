"""
Progress of a long step: a bar on a terminal, plain lines elsewhere, nothing with ``--quiet``.

Everything goes to standard error, so that standard output holds results only.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.workflow.options import Progress


def say(text: str) -> None:
    """
    Write one line of progress.
    """
    print(text, file=sys.stderr, flush=True)


@contextmanager
def watching(label: str, *, quiet: bool = False) -> Iterator["Progress"]:
    """
    Yield callbacks that show how many answers are made; the bar is closed at the end.
    """
    from harness.workflow.options import Progress

    if quiet:
        yield Progress()
        return
    terminal = sys.stderr.isatty()
    bar: Any = None

    def expect(total: int) -> None:
        nonlocal bar
        if bar is not None:
            bar.close()
        if terminal:
            from tqdm import tqdm

            bar = tqdm(total=total, desc=label, unit="answer", file=sys.stderr, leave=False)
        else:
            say(f"{label}: {total} answers to make")

    def advance(count: int) -> None:
        if bar is not None:
            bar.update(count)

    def notify(text: str) -> None:
        if bar is not None:
            bar.clear()
        say(text)
        if bar is not None:
            bar.refresh()

    try:
        yield Progress(notify=notify, expect=expect, advance=advance, bar=terminal)
    finally:
        if bar is not None:
            bar.close()
