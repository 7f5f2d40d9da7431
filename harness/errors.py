"""
Every error the harness raises on purpose, and the exit codes of its commands.

::

    HarnessError                exit 2: usage, input or infrastructure; nothing was judged
    +-- UsageError              a command or function was asked for something it cannot do
    +-- SuiteError              a suite file is wrong; the message begins with file:line
    +-- TranscriptError         a transcript or replay file is wrong
    +-- RecordError             a stored run.json cannot be read
    +-- StoreError              a run or baseline is missing, incomplete or in the way
    +-- PolicyError             a gate policy is wrong
    +-- DialectError            no dialect, or more than one, fits
    +-- CheckpointError         a checkpoint cannot be found, read or trusted
    |   +-- TemplateError       its chat template drops tools, calls or results
    +-- BackendError            a model could not be loaded, or failed while answering
    +-- TrainingError           a fine-tune cannot start or would train on the wrong thing
    +-- MissingDependencyError  an optional package is not installed

Each message is one or two lines: what is wrong, where, and what to do. The command line prints it
on standard error without a traceback; any other exception that reaches the user is a bug.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitCode(IntEnum):
    """
    What a command's exit status means.
    """

    PASS = 0
    """Pass; also inconclusive where the policy warns; `run` and `score` once they have judged."""
    REGRESSED = 1
    """The candidate is worse, or a must_pass case still fails; `suite check` with findings."""
    ERROR = 2
    """Usage, input or infrastructure error: nothing was judged."""
    UNDECIDED = 3
    """Not comparable, or inconclusive where the policy blocks."""


class HarnessError(Exception):
    """
    The root of the tree above.
    """


class UsageError(HarnessError):
    """
    A command or function was asked for something it cannot do.
    """


class SuiteError(HarnessError):
    """
    A suite file is wrong; the message begins with file:line.
    """


class TranscriptError(HarnessError):
    """
    A transcript or replay file is wrong; the message begins with file:line.
    """


class RecordError(HarnessError):
    """
    A stored run.json cannot be read.
    """


class StoreError(HarnessError):
    """
    A run or baseline is missing, incomplete or in the way.
    """


class PolicyError(HarnessError):
    """
    A gate policy is wrong.
    """


class DialectError(HarnessError):
    """
    No dialect, or more than one, fits.
    """


class CheckpointError(HarnessError):
    """
    A checkpoint cannot be found, read or trusted.
    """


class TemplateError(CheckpointError):
    """
    A chat template drops what the suite needs it to show.
    """


class BackendError(HarnessError):
    """
    A model could not be loaded, or failed while answering.
    """


class TrainingError(HarnessError):
    """
    A fine-tune cannot start, or would train on the wrong thing.
    """


class MissingDependencyError(HarnessError):
    """
    An optional package is not installed; the message names the extra that has it.
    """


@contextmanager
def boundary(error: type[HarnessError], what: str) -> Iterator[None]:
    """
    Convert whatever a foreign library raises into *error*; our own errors pass through.

    *what* names the step that called foreign code and begins the message.
    """
    try:
        yield
    except HarnessError:
        raise
    except Exception as exc:
        reason = " ".join(_said(exc, what).split()) or type(exc).__name__
        raise error(f"{what}: {reason}") from exc


def _said(exc: Exception, what: str) -> str:
    """
    Return the text of *exc*: of an error of the operating system without its number, and with the
    file only if *what* does not name it.
    """
    if not isinstance(exc, OSError) or not exc.strerror:
        return str(exc)
    if exc.filename is None or str(exc.filename) in what:
        return exc.strerror
    return f"{exc.filename}: {exc.strerror}"
