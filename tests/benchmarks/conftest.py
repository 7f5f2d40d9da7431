"""
Hold each benchmark to a ratio to its control, and say at the end what became slower.
"""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from . import ratios
from .controls import RATIOS

STORED = Path(__file__).with_name("ratios.json")
COLLECTED = pytest.StashKey[dict[str, Path]]()
SEEN = pytest.StashKey[dict[str, float]]()
FOUND = pytest.StashKey[tuple[ratios.Found, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ratios of benchmarks to their controls")
    group.addoption(
        "--ratios", type=Path, default=STORED, metavar="FILE", help="stored ratios to compare with"
    )
    group.addoption(
        "--update-ratios", action="store_true", help="store today's ratios there, after comparing"
    )


def _name(item: pytest.Item) -> str:
    return f"{item.path.name}::{item.name}"


@pytest.hookimpl(tryfirst=True)  # before -k leaves any out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[COLLECTED] = {_name(item): item.path for item in items}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Generator[None, Any, Any]:
    """
    Take the ratios of a benchmark that passed; without one it fails.
    """
    outcome = yield
    benchmark = item.funcargs.get("benchmark")
    if benchmark is not None:
        stored = benchmark.extra_info.get(RATIOS)
        if not stored:
            pytest.fail("stores no ratio to a control: time it with controls.against", False)
        if benchmark.enabled:
            seen = item.config.stash.setdefault(SEEN, {})
            seen |= {ratios.name_of(_name(item), part): ratio for part, ratio in stored.items()}
    return outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if not (seen := config.stash.get(SEEN, {})):
        return
    file = config.getoption("--ratios", STORED)
    stored = ratios.read(file)
    found = ratios.compare(stored, seen, _there(config, map(ratios.benchmark_of, stored)))
    config.stash[FOUND] = found
    if config.getoption("--update-ratios", False):
        ratios.write(file, ratios.updated(found, ratios.versions()))
    elif session.exitstatus == pytest.ExitCode.OK and any(e.verdict == "slower" for e in found):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _there(config: pytest.Config, stored: Iterable[str]) -> set[str]:
    """
    Return the benchmarks that exist: what was collected, and those of *stored* that nobody looked
    for today, in files that are there.
    """
    collected = config.stash[COLLECTED]
    folder = Path(__file__).parent
    files = {path.name for path in folder.glob("test_*.py")}
    if not any("::" in argument for argument in config.args):
        files -= {path.name for path in collected.values()}
    return collected.keys() | {name for name in stored if name.partition("::")[0] in files}


@pytest.hookimpl(trylast=True)  # after pytest-benchmark's own table
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if found := config.stash.get(FOUND, ()):
        terminalreporter.section("benchmarks, by their ratios to controls")
        terminalreporter.write_line(ratios.table(found))
