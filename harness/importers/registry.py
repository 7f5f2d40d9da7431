"""
The importers there are.

Built-in ones are in a table; others come by entry points in group ``harness.importers``, whose name
is the word for ``harness suite import`` and whose object is an `Importer`. Nothing is imported
before it is asked for.
"""

import difflib
import importlib
from importlib.metadata import entry_points

from harness.errors import UsageError, boundary
from harness.importers.base import Importer

GROUP = "harness.importers"

_BUILT_IN = {
    "bfcl": "harness.importers.bfcl:BFCL",
    "chat-jsonl": "harness.importers.chat_jsonl:CHAT_JSONL",
    "mobile-actions": "harness.importers.mobile_actions:MOBILE_ACTIONS",
    "tool-rows": "harness.importers.tool_rows:TOOL_ROWS",
}


def names() -> tuple[str, ...]:
    """
    Give every importer's name, sorted.

    Raises:
        UsageError: if two packages offer different importers under one name.
    """
    return tuple(sorted(_targets()))


def importer(name: str) -> Importer:
    """
    Give the importer called *name*.

    Raises:
        UsageError: if there is none, or it cannot be loaded.
    """
    targets = _targets()
    if name not in targets:
        close = difflib.get_close_matches(name, targets, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no format {name!r}{hint} There are: {', '.join(sorted(targets))}")
    target = targets[name]
    module, _, attribute = target.partition(":")
    with boundary(UsageError, f"importer {name!r} ({target}) cannot be loaded"):
        loaded = getattr(importlib.import_module(module), attribute)
    if not isinstance(loaded, Importer) or loaded.name != name:
        raise UsageError(f"{target} is no importer called {name!r}; see harness.importers.base")
    return loaded


def _targets() -> dict[str, str]:
    targets = dict(_BUILT_IN)
    for point in entry_points(group=GROUP):
        if targets.setdefault(point.name, point.value) != point.value:
            raise UsageError(
                f"two importers are called {point.name!r}: {targets[point.name]} and "
                f"{point.value}; uninstall one of the packages that bring them"
            )
    return targets
