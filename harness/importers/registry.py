"""
The registered importers.

Those of this package are the values ``IMPORTER`` of the files in this folder, named like the file;
other packages add theirs by entry points in the group ``harness.importers``, whose name is that for
``harness suite import`` and whose object is an `Importer`.
"""

from pkgutil import iter_modules

from harness import importers
from harness.errors import UsageError
from harness.importers.base import Importer
from harness.plugins import Family

_FAMILY = Family(
    group="harness.importers",
    noun="format",
    built_in={
        file.name.replace("_", "-"): f"{importers.__name__}.{file.name}:IMPORTER"
        for file in iter_modules(importers.__path__)
        if not file.ispkg and file.name not in ("base", "registry")
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
