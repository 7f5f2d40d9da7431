"""
``harness doctor``: the first thing to run when something fails.
"""

import argparse
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from harness.cli.options import (
    CHECKPOINT,
    add_accept_licence,
    add_command,
    add_dialect,
    add_json,
    add_root,
    add_served,
    run_options,
)
from harness.cli.output import table, wrote_json
from harness.cli.parser import Commands
from harness.errors import ExitCode, HarnessError, UsageError

if TYPE_CHECKING:
    from harness.workflow.project import Project

_ROOM_GIB = 3
# The embedded model, one tuned copy of it and its optimizer's state.

_OF_CHECKPOINT = ("dialect", "tokenizer", "concurrency", "api_key_env", "request_timeout")


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the command.
    """
    purpose = "check what is installed, the hardware, and what works"
    command = add_command(commands, "doctor", run, purpose)
    command.add_argument(
        "checkpoint",
        nargs="?",
        metavar="CHECKPOINT",
        help=f"check this checkpoint instead: {CHECKPOINT}",
    )
    add_accept_licence(command)
    add_dialect(command, "found from the chat template")
    add_served(command)
    command.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="list every package, dialect and suite (default: count those that are fine)",
    )
    add_json(command)
    add_root(command)


def run(arguments: argparse.Namespace) -> int:
    """
    Print what was found: an error if commands will fail because of it.
    """
    from harness.workflow.project import open_project

    if arguments.checkpoint is None:
        if given := _given(arguments):
            raise UsageError(f"{given} without a CHECKPOINT; name the one to check")
        rows = examine(open_project(arguments.root))
    else:
        rows = list(_of_checkpoint(arguments))
    data = [{"what": row.what, "finding": row.finding, "broken": row.broken} for row in rows]
    if not wrote_json(data, arguments.json):
        shown = rows if arguments.verbose else in_short(rows)
        table(["", "what", "finding"], [[row.mark, row.what, row.finding] for row in shown])
    return ExitCode.ERROR if any(row.broken for row in rows) else ExitCode.PASS


def _given(arguments: argparse.Namespace) -> str:
    """
    Return the options in *arguments* that are about a checkpoint.
    """
    named = [name for name in _OF_CHECKPOINT if getattr(arguments, name) is not None]
    return ", ".join(f"--{name.replace('_', '-')}" for name in named)


# A tuple: importing dataclasses takes a tenth of the time of `harness --help`.
class Finding(NamedTuple):
    """
    One thing that was checked.
    """

    what: str
    finding: str
    broken: bool = False
    """Whether commands will fail because of it."""
    kind: str = ""
    """What many of it there are, so that those that are fine are only counted: packages."""

    @property
    def mark(self) -> str:
        """
        ``ok`` or ``BROKEN``.
        """
        return "BROKEN" if self.broken else "ok"


def _of_checkpoint(arguments: argparse.Namespace) -> Iterator[Finding]:
    from harness.workflow.preflight import examine as examined

    for found in examined(arguments.checkpoint, run_options(arguments)):
        yield Finding(found.what, found.finding, found.broken)


def in_short(rows: Iterable[Finding]) -> list[Finding]:
    """
    Return *rows* with those of a kind that are fine counted in one.
    """
    kept: list[Finding] = []
    fine: dict[str, int] = {}
    for row in rows:
        if row.broken or not row.kind:
            kept.append(row)
            continue
        fine[row.kind] = fine.get(row.kind, 0) + 1
    return [*kept, *(Finding(kind, f"{many}; -v lists them") for kind, many in fine.items())]


def examine(project: "Project") -> list[Finding]:
    """
    Check this installation, this machine and *project*. Loads torch; uses no network.
    """
    return [*_packages(), *_machine(project), *_families(), *_suites(project)]


def _packages() -> Iterator[Finding]:
    from importlib import metadata
    from importlib.metadata import PackageNotFoundError

    from packaging.requirements import Requirement

    from harness.provenance import DISTRIBUTION, harness_version

    yield Finding(what="harness", finding=harness_version())
    try:
        wanted = metadata.requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        yield Finding(what="requirements", finding="not installed: running from a source tree")
        return
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, "not installed", broken=True, kind="packages")
            continue
        fits = requirement.specifier.contains(version, prereleases=True)
        need = "" if fits else f", but {requirement.specifier} is needed"
        yield Finding(requirement.name, version + need, broken=not fits, kind="packages")


def _machine(project: "Project") -> Iterator[Finding]:
    from harness.checkpoints.cache import cache_folder
    from harness.provenance import environment

    try:
        import torch
    except ImportError as exc:
        yield Finding(what="torch", finding=f"cannot be loaded: {exc}", broken=True)
    else:
        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding(what="accelerators", finding=", ".join(devices) or "none: models run on CPU")
    here = environment(project.root)
    hardware = here.hardware
    yield Finding(what="python", finding=here.python or "unknown")
    yield Finding(
        what="machine",
        finding=f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB",
    )
    cache = cache_folder()
    place = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(place).free / 2**30
    yield Finding(
        what="cache",
        finding=f"{cache}, {free:.0f} GiB free"
        + ("" if free > _ROOM_GIB else f"; the demo needs {_ROOM_GIB}"),
        broken=free <= _ROOM_GIB,
    )
    commit = "not in a git work tree: runs name none"
    if here.commit:
        commit = here.commit[:12] + (", changed since" if here.dirty else "")
    yield Finding(what="commit", finding=commit)


def _families() -> Iterator[Finding]:
    from harness.checkpoints.reference import SCHEMES
    from harness.dialects import registry as dialects
    from harness.importers import registry as importers
    from harness.renderers import registry as renderers
    from harness.suites.environment import ENVIRONMENTS

    yield from _family("dialect", dialects.names, dialects.added, dialects.dialect)
    # Built-in members of the other families need no check: the package's own tests cover them.
    for noun, added, load in (
        ("backend", SCHEMES.added, SCHEMES.load),
        ("environment", ENVIRONMENTS.added, ENVIRONMENTS.load),
        ("importer", importers.added, importers.importer),
        ("renderer", renderers.added, renderers.renderer),
    ):
        yield from _family(noun, added, added, load)


def _family(
    noun: str,
    listed: Callable[[], Iterable[str]],
    added: Callable[[], Mapping[str, str]],
    load: Callable[[str], object],
) -> Iterator[Finding]:
    """
    Load the members *listed*, and name the package of those in *added*.
    """
    try:
        names, others = list(listed()), added()
    except HarnessError as exc:
        yield Finding(what=f"{noun}s", finding=str(exc), broken=True)
        return
    for name in names:
        what = f"{noun} {name}"
        try:
            version = getattr(load(name), "version", None)
        except HarnessError as exc:
            yield Finding(what=what, finding=str(exc), broken=True)
            continue
        said = [f"version {version}"] if version is not None else []
        said += [f"from {others[name]}"] if name in others else []
        kind = "" if name in others else f"{noun}s"
        yield Finding(what=what, finding=", ".join(said), kind=kind)


def _suites(project: "Project") -> Iterator[Finding]:
    from harness.suites.files import find_suites, load_suite

    for path in find_suites(project.suites):
        try:
            suite = load_suite(path)
        except HarnessError as exc:
            first = str(exc).splitlines()[0]
            yield Finding(what=f"suite {path.name}", finding=first, broken=True)
        else:
            count = f"{suite.version}, {len(suite.cases)} cases"
            yield Finding(what=f"suite {suite.name}", finding=count, kind="suites")
