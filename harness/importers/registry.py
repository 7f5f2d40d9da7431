"""
The importers there are.

Built-in ones are in a table; others come by entry points in group ``harness.importers``, whose name
is the word for ``harness suite import`` and whose object is an `Importer`. Nothing is imported
before it is asked for.
"""

from harness.errors import UsageError
from harness.importers.base import Importer
from harness.plugins import Family

_FAMILY = Family(
    group="harness.importers",
    noun="format",
    built_in={
        "bfcl": "harness.importers.bfcl:BFCL",
        "chat-jsonl": "harness.importers.chat_jsonl:CHAT_JSONL",
        "mobile-actions": "harness.importers.mobile_actions:MOBILE_ACTIONS",
        "tool-rows": "harness.importers.tool_rows:TOOL_ROWS",
    },
    error=UsageError,
)

names = _FAMILY.names


def importer(name: str) -> Importer:
    """
    Give the importer called *name*.

    Raises:
        UsageError: if there is none, or it cannot be loaded.
    """
    loaded = _FAMILY.load(name)
    if not isinstance(loaded, Importer) or loaded.name != name:
        target = _FAMILY.target(name)
        raise UsageError(f"{target} is no importer called {name!r}; see harness.importers.base")
    return loaded
