"""
The renderers there are.

Built-in ones are in a table; others come by entry points in group ``harness.renderers``, whose
object is a `harness.renderers.base.Renderer`. Nothing is imported before it is asked for.
"""

import importlib
from importlib.metadata import entry_points
from typing import cast

from harness.errors import UsageError, boundary
from harness.renderers.base import Renderer

GROUP = "harness.renderers"

_BUILT_IN = {
    "json": "harness.renderers.json:render",
    "junit": "harness.renderers.junit:render",
    "markdown": "harness.renderers.markdown:render",
    "terminal": "harness.renderers.terminal:render",
}


def names() -> tuple[str, ...]:
    """
    Give every renderer's name, sorted.

    Raises:
        UsageError: if two packages offer different renderers under one name.
    """
    return tuple(sorted(_targets()))


def renderer(name: str) -> Renderer:
    """
    Give the renderer called *name*.

    Raises:
        UsageError: if there is none, or it cannot be loaded.
    """
    targets = _targets()
    if name not in targets:
        raise UsageError(f"no renderer {name!r}; there are: {', '.join(sorted(targets))}")
    module, _, attribute = targets[name].partition(":")
    with boundary(UsageError, f"renderer {name!r} ({targets[name]}) cannot be loaded"):
        loaded = getattr(importlib.import_module(module), attribute)
    if not callable(loaded):
        raise UsageError(f"{targets[name]} is no renderer; see harness.renderers.base")
    return cast(Renderer, loaded)


def _targets() -> dict[str, str]:
    targets = dict(_BUILT_IN)
    for point in entry_points(group=GROUP):
        if targets.setdefault(point.name, point.value) != point.value:
            raise UsageError(
                f"two renderers are called {point.name!r}: {targets[point.name]} and "
                f"{point.value}; uninstall one of the packages that bring them"
            )
    return targets
