"""
A Python class as an environment: ``target: "package.module:Class"``.

The class has the shape that TRL's ``environment_factory`` takes: ``reset`` and typed public
methods, each a tool. ``reset`` is called at the beginning of each case with what is known of it
(``id``, ``prompt``, ``tags``, ``group``). What a method returns is told to the model: text as it
is, anything else as JSON. An exception is told by its message. Two attributes are looked at if they
are there: ``state``, tables by name, by which ``goal`` is judged, and ``retrieved``, the ids of the
documents that the last call found.

Code is run only if the user has named it, whatever a suite says.
"""

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.canonical import digest_bytes
from harness.diagnostics import Flaw
from harness.environments.base import Returned, Tables
from harness.errors import BackendError, UsageError, boundary
from harness.messages import Tool
from harness.suites.suite import Case

RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonKind:
    """
    The kind ``python``.
    """

    name: str = "python"
    version: int = 1

    def complete(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Add the digest of the module's file, which is looked for and not run.
        """
        target = settings.get("target")
        file = _file(target.partition(":")[0]) if isinstance(target, str) else None
        return {} if file is None else {"code": digest_bytes([file.read_bytes()])}

    def flaws(self, settings: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator[Flaw]:
        """
        Yield names of tools that no method can have.
        """
        for name in tools:
            if not name.isidentifier() or name.startswith("_") or name in (RESET, "state"):
                yield ("target",), f"cannot have a method {name!r}, which the suite declares"

    def case_flaws(self, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Flaw]:
        """
        Yield nothing: what the class holds is known when it runs.
        """
        return iter(())

    def open(
        self, settings: Mapping[str, Any], *, allowed: str | None = None
    ) -> "PythonEnvironment":
        """
        Import the class, if the user has named it.

        Raises:
            UsageError: if they have not, or it lacks ``reset``.
            BackendError: if it cannot be imported.
        """
        target = str(settings["target"])
        if allowed != target:
            raise UsageError(
                f"this suite runs Python code, {target}; if you trust it, allow it with "
                f"--environment {target} (in pytest: --harness-environment {target})"
            )
        made = _imported(target)
        if not callable(getattr(made, RESET, None)):
            raise UsageError(f"{target} has no method reset, with which a case begins")
        file = _file(target.partition(":")[0])
        then = settings.get("code")
        if then is not None and (file is None or digest_bytes([file.read_bytes()]) != then):
            raise UsageError(f"{target} is not the code that the suite was read with; read it anew")
        return PythonEnvironment(made)


def _file(module: str) -> Path | None:
    """
    Return where a module lies, found without importing any part of it; None if it is not a file.
    """
    below = Path(*module.split("."))
    for folder in [Path.cwd(), *map(Path, filter(None, sys.path))]:
        for path in (folder / below.with_suffix(".py"), folder / below / "__init__.py"):
            if path.is_file():
                return path
    return None


def _imported(target: str) -> Callable[[], Any]:
    module, _, name = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as for python: checkpoints
    with boundary(BackendError, f"{target}: module {module} cannot be imported"):
        made: Any = getattr(importlib.import_module(module), name, None)
    if not callable(made):
        raise BackendError(f"{target}: module {module} has no class {name}")
    factory: Callable[[], Any] = made
    return factory


class PythonEnvironment:
    """
    A class, of which each case gets an instance.
    """

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory

    def begin(self, case: Case) -> "PythonEpisode":
        """
        Make an instance and reset it.

        Raises:
            BackendError: if that fails.
        """
        with boundary(BackendError, f"environment: case {case.id} cannot be begun"):
            instance = self._factory()
            instance.reset(id=case.id, prompt=case.prompt, tags=list(case.tags), group=case.group)
        return PythonEpisode(instance)


class PythonEpisode:
    """
    One instance.
    """

    def __init__(self, instance: Any) -> None:
        self._instance = instance

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Returned:
        """
        Call the method; an exception is what it returns.
        """
        method = None if tool.startswith("_") else getattr(self._instance, tool, None)
        if not callable(method):
            return Returned(text=f"Error: there is no tool {tool!r}.")
        try:
            made = method(**deepcopy(dict(arguments)))
            text = made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
        except Exception as exc:
            said = " ".join(str(exc).split()) or type(exc).__name__
            return Returned(text=f"Error: {said}")
        found = getattr(self._instance, "retrieved", None)
        return Returned(text=text, documents=None if found is None else tuple(map(str, found)))

    def state(self) -> Tables | None:
        """
        Return the instance's ``state``, if it has one.
        """
        state = getattr(self._instance, "state", None)
        return deepcopy(state) if isinstance(state, Mapping) else None


PYTHON = PythonKind()
