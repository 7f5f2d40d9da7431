"""
Progress of a long step: a bar on a terminal, a line every 30 seconds elsewhere, nothing with
``--quiet``.

Everything goes to standard error, so that standard output holds results only.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.wording import count, duration

if TYPE_CHECKING:
    from harness.workflow.options import Progress

EVERY = 30.0
"""Seconds between two lines of progress in a log."""


def say(text: str) -> None:
    """
    Write one line of progress.
    """
    print(text, file=sys.stderr, flush=True)


@contextmanager
def watching(label: str, *, to: str = "make", quiet: bool = False) -> Iterator["Progress"]:
    """
    Yield callbacks that show how many answers are made, or what else is done *to* them; the bar is
    closed at the end.
    """
    from harness.workflow.options import Progress

    if quiet:
        yield Progress()
        return
    terminal = sys.stderr.isatty()
    bar: Any = None
    log: _Log | None = None

    def expect(total: int) -> None:
        nonlocal bar, log
        if bar is not None:
            bar.close()
        if log is not None:
            log.close()
        if terminal:
            from tqdm import tqdm

            bar = tqdm(total=total, desc=label, unit="answer", file=sys.stderr, leave=False)
        else:
            say(f"{label}: {count(total, 'answer')} to {to}")
            log = _Log(label, total)

    def advance(many: int) -> None:
        if bar is not None:
            bar.update(many)
        if log is not None:
            log.made += many

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
        if log is not None:
            log.close()


class _Log:
    """
    Lines that say how far a step is, by the clock: even a slow batch is reported on.
    """

    def __init__(self, label: str, total: int) -> None:
        self.made = 0
        self._label, self._total = label, total
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """
        Say nothing from now on.
        """
        self._over.set()
        self._thread.join()

    def _report(self) -> None:
        while not self._over.wait(EVERY):
            took = time.monotonic() - self._began
            left = ""
            # The first few say little: they may be those asked alone, or those without a next step.
            if self._total <= 10 * self.made < 10 * self._total:
                left = f", about {duration(took / self.made * (self._total - self.made))} left"
            say(f"{self._label}: {self.made} of {self._total} after {duration(took)}{left}")
