"""
The environment that a suite names: what it is, what is wrong with it, its digest.

This is the one list of kinds. What runs a kind is named beside it and lives above suites; other
packages add theirs by entry points in group ``harness.environments``, whose name is the kind and
whose object is a `harness.environments.base.Kind`.

A setting that is a text ending in ``.json`` or ``.jsonl`` names a file beside suite.yaml, and the
value of the file takes its place, so that a suite stays one document.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from harness.canonical import digest
from harness.diagnostics import Flaw, Steps
from harness.errors import UsageError
from harness.messages import Tool
from harness.plugins import Family

DEFAULT_STEPS = 4
"""How many answers a case may take, where the suite does not say."""

FILES = (".json", ".jsonl")
"""How the names of files end that are read in place of a setting."""


@runtime_checkable
class Described(Protocol):
    """
    What reading a suite must know of a kind of environment; running one takes
    `harness.environments.base.Kind`.
    """

    name: str
    version: int
    """Increased whenever equal calls may return something else."""

    def complete(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the settings of a suite that is being read, completed by what only a look outside
        the suite can tell, such as the digest of code. Nothing is run."""

    def flaws(self, settings: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator[Flaw]:
        """Yield what is wrong with settings of the right shape, for a suite with these tools."""

    def case_flaws(self, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[Flaw]:
        """Yield what is wrong with ``relevant``, ``answer`` and ``goal`` of a case."""


ENVIRONMENTS = Family(
    group="harness.environments",
    noun="environment",
    built_in={
        "documents": "harness.environments.documents:DOCUMENTS",
        "python": "harness.environments.python:PYTHON",
        "tables": "harness.environments.tables:TABLES",
    },
    fits=lambda name, member: isinstance(member, Described) and member.name == name,
    error=UsageError,
)
"""Every kind of environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """
    What answers the tool calls of a suite.
    """

    kind: str
    settings: Mapping[str, Any]
    """With the content of files in place."""
    digest: str
    """Of kind, its version, settings and the number of steps: runs made in environments with
    different digests cannot be compared."""


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return an environment that is being read, completed by what its kind adds.
    """
    try:
        kind = described(given)
    except (UsageError, KeyError, TypeError):
        return dict(given)  # `kind_flaws` and the schema say why
    return {**given, **kind.complete(settings(given))}


def kind_flaws(given: Mapping[str, Any], steps: Steps) -> Iterator[Flaw]:
    """
    Yield that nobody knows the kind of an environment.
    """
    try:
        ENVIRONMENTS.load(given["kind"])
    except UsageError as exc:
        yield (*steps, "kind"), f"is not known: {exc}"


def environment_flaws(
    given: Mapping[str, Any], steps: Steps, tools: Mapping[str, Tool]
) -> Iterator[Flaw]:
    """
    Yield what is wrong with an environment whose kind is known and whose shape is right.
    """
    for at, message in described(given).flaws(settings(given), tools):
        yield (*steps, *at), message


def case_flaws(given: Mapping[str, Any], row: Mapping[str, Any], steps: Steps) -> Iterator[Flaw]:
    """
    Yield what a case expects that the environment cannot come to.
    """
    for at, message in described(given).case_flaws(settings(given), row):
        yield (*steps, *at), message


def environment(given: Mapping[str, Any], max_steps: int) -> EnvironmentSpec:
    """
    Return the value of a sound environment.
    """
    kind = described(given)
    return EnvironmentSpec(
        kind=kind.name,
        settings=settings(given),
        digest=digest(
            {
                "kind": kind.name,
                "version": kind.version,
                "settings": settings(given),
                "max_steps": max_steps,
            }
        ),
    )


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what an environment says beside its kind.
    """
    return {key: value for key, value in given.items() if key != "kind"}


def described(given: Mapping[str, Any]) -> Described:
    """
    Return the kind of an environment.

    Raises:
        UsageError: if nobody knows it.
    """
    kind: Described = ENVIRONMENTS.load(given["kind"])
    return kind
