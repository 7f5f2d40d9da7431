"""
The registered renderers.

Those of this package are the functions ``render`` of the files in this folder, named like the file;
other packages add theirs by entry points in the group ``harness.renderers``, whose object is a
`harness.renderers.base.Renderer`.
"""

from pkgutil import iter_modules
from typing import TYPE_CHECKING, cast

from harness import renderers
from harness.errors import UsageError
from harness.plugins import Family

if TYPE_CHECKING:
    from harness.renderers.base import Renderer
    from harness.reports.build import Subject

_FAMILY = Family(
    group="harness.renderers",
    noun="renderer",
    built_in={
        file.name.replace("_", "-"): f"{renderers.__name__}.{file.name}:render"
        for file in iter_modules(renderers.__path__)
        if file.name not in ("base", "registry")
    },
    error=UsageError,
)

names = _FAMILY.names
added = _FAMILY.added


def renderer(name: str) -> "Renderer":
    """
    Return the renderer called *name*.

    Raises:
        UsageError: if there is none, or it cannot be loaded.
    """
    return cast("Renderer", _FAMILY.load(name))


def render(subject: "Subject", name: str) -> str:
    """
    Return the report on *subject* as written by the renderer called *name*, such as ``"markdown"``.

    Raises:
        UsageError: if there is no such renderer, or it cannot be loaded.
        HarnessError: if a stored file of a run cannot be read.
    """
    from harness.reports.build import report_on

    return renderer(name)(report_on(subject))
