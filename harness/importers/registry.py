"""
The registered importers.

Those of this package are in a table; other packages add theirs by entry points in group
``harness.importers``, whose name is that for ``harness suite import`` and whose object is an
`Importer`.
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
        "sheet": "harness.importers.sheet:SHEET",
        "tool-rows": "harness.importers.tool_rows:TOOL_ROWS",
    },
    fits=lambda name, member: isinstance(member, Importer) and member.name == name,
    error=UsageError,
)

_TABLES = ("csv", "tsv", "xls", "xlsx", "excel", "spreadsheet")
"""What a spreadsheet may be called by its file; a format is called by its columns."""

names = _FAMILY.names
added = _FAMILY.added


def importer(name: str) -> Importer:
    """
    Return the importer called *name*.

    Raises:
        UsageError: if there is none, or it cannot be loaded.
    """
    if name in _TABLES and name not in names():
        raise UsageError(f"unknown format {name!r}; a spreadsheet is of format 'sheet'")
    loaded: Importer = _FAMILY.load(name)
    return loaded
