"""
A suite's environment, opened for a run.
"""

from harness.environments.base import Environment, Kind
from harness.errors import UsageError
from harness.suites.environment import ENVIRONMENTS
from harness.suites.suite import Suite


def open_environment(suite: Suite, allowed: str | None = None) -> Environment | None:
    """
    Open what answers the calls of *suite*; None if they are only judged. *allowed* is the code that
    the user has named: no other is run.

    Raises:
        UsageError: if code would have to be run that the user did not name.
        HarnessError: if it cannot be opened.
    """
    if suite.environment is None:
        return None
    kind: Kind = ENVIRONMENTS.load(suite.environment.kind)
    try:
        return kind.open(suite.environment.settings, allowed=allowed)
    except UsageError as exc:
        raise UsageError(f"suite {suite.name}: {exc}") from exc
