"""
What pytest calls: options, hooks, and fixtures for tests of one's own.

With ``--harness-checkpoint`` every ``suites/*/suite.yaml`` under the collected paths is a file of
tests (`harness.pytest_plugin.items`). Without a checkpoint nothing is collected, fixtures skip.

Every pytest session of an environment with the harness imports this module, so it loads the rest of
the package only when a checkpoint or a fixture is used.
"""

import copy
import glob
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.pytest_plugin.failures import begin_with_the_message, end_at_the_test
from harness.pytest_plugin.items import RELEASE, GateItem, ReleaseItem, SuiteFile, SuiteItem
from harness.pytest_plugin.session import SESSION, SUITE_FILE, PytestSession

if TYPE_CHECKING:
    from harness.backends.base import Backend
    from harness.finetuning import Recipe
    from harness.pytest_plugin.assertions import ToolCalls
    from harness.runs.store import StoredRun

NO_CHECKPOINT = (
    "no checkpoint: pass --harness-checkpoint REF, or set harness_checkpoint in the ini-file"
)

_ALIASES = {f"--{name}": f"--harness-{name}" for name in ("checkpoint", "suite", "dialect")}
"""Short spellings of our options, as long as nobody else has an option of that name."""

# Or a contract that fails would not show the values compared.
pytest.register_assert_rewrite("harness.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Add the options of the group ``harness`` and their ini-file twins.
    """
    group = parser.getgroup("harness", "tool-calling models (toolcall-harness)")
    group.addoption(
        "--harness-checkpoint",
        metavar="REF",
        help="the checkpoint under test: hf:org/name, a folder, gguf:FILE, llamacpp:FILE, "
        "embedded:smollm2-135m, replay:FILE, python:package.module:function, openai:MODEL@URL "
        "(--checkpoint where nobody else has that option)",
    )
    group.addoption(
        "--harness-suite",
        action="append",
        default=[],
        metavar="NAME",
        help="collect this suite (a folder, or a name under suites/) and no other; repeatable "
        "(--suite where nobody else has that option)",
    )
    group.addoption(
        "--harness-dialect",
        metavar="NAME",
        help="the format its tool calls are written in "
        "(--dialect where nobody else has that option)",
    )
    group.addoption("--harness-root", metavar="DIR", help="the folder with suites/ and baselines/")
    group.addoption(
        "--harness-baseline", metavar="NAME", help="gate each suite's run against this baseline"
    )
    group.addoption("--harness-policy", metavar="FILE", help="the gate's limits (gate.toml)")
    group.addoption("--harness-device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps")
    group.addoption("--harness-batch-size", type=int, metavar="N", help="prompts in a batch")
    group.addoption(
        "--harness-tokenizer",
        metavar="REF",
        help="the checkpoint whose tokenizer writes the prompts of completions:MODEL@URL",
    )
    group.addoption(
        "--harness-api-key-env",
        metavar="NAME",
        help="the environment variable that holds the key of a server",
    )
    group.addoption(
        "--harness-environment",
        metavar="MODULE:CLASS",
        help="the Python class that an executed suite names and may run (default: no code is run)",
    )
    group.addoption(
        "--harness-out", metavar="DIR", help="store runs as DIR/SUITE (default: under reports/)"
    )
    group.addoption(
        "--harness-resume",
        action="append",
        default=[],
        metavar="RUN",
        help="continue the run in this folder, as an interrupted session says; repeatable",
    )
    for name, text in (
        ("checkpoint", "as --harness-checkpoint"),
        ("dialect", "as --harness-dialect"),
        ("root", "as --harness-root; relative to the rootdir"),
        ("baseline", "as --harness-baseline"),
        ("policy", "as --harness-policy; relative to the rootdir"),
    ):
        parser.addini(f"harness_{name}", text, type="string", default=None)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """
    Take an alias for our option unless another plugin or a conftest.py has an option of its name.

    Aliases are never registered: a plugin or conftest.py that registered the same name later would
    fail. All plugins and the first conftest.py files are loaded when this returns.
    """
    named = early_config.known_args_namespace.file_or_dir
    spelled_out = _spelled_out(args, early_config)
    if named and spelled_out != args:
        # pytest took the aliases' values for paths. If there are no others, it would not look for
        # conftest.py files where it looks when none is given.
        options = copy.copy(early_config.option)
        if not parser.parse_known_args(spelled_out, namespace=options).file_or_dir:
            named += _default_paths(early_config)
    loaded = yield
    args[:] = _spelled_out(args, early_config)
    return loaded


def _spelled_out(args: Sequence[str], config: pytest.Config) -> list[str]:
    """
    Return *args* with our own option for each alias that is nobody else's option so far.
    """
    unknown = object()
    ours = {
        alias: option
        for alias, option in _ALIASES.items()
        if config.getoption(alias, default=unknown) is unknown
    }
    options = args[: args.index("--")] if "--" in args else args
    return [
        ours.get(name, name) + equals + value
        for name, equals, value in (arg.partition("=") for arg in options)
    ] + list(args[len(options) :])


def _default_paths(config: pytest.Config) -> list[str]:
    """
    Return what pytest collects where no path is given.
    """
    here = config.invocation_params.dir
    patterns = config.getini("testpaths") if here == config.rootpath else []
    # As pytest does: a pattern may be absolute, which Path.glob refuses.
    found = [sorted(glob.glob(pattern, recursive=True)) for pattern in patterns]  # noqa: PTH207
    return list(chain.from_iterable(found)) or [str(here)]


def pytest_configure(config: pytest.Config) -> None:
    """
    Prepare the session's state; add the suites asked for by name to what is collected.
    """
    for option in ("--harness-checkpoint", "--harness-baseline", "--harness-policy"):
        # A variable of a CI job that is not set must not leave out the tests in silence.
        if config.getoption(option) == "":
            raise pytest.UsageError(f"{option} is empty: give it a value, or leave it out")
    session = config.stash[SESSION] = PytestSession(config)
    config.add_cleanup(session.close)
    if session.reference is None:
        return
    try:
        # What is wrong with harness.toml or a run to continue is told before anything is collected.
        session.project, session.resumed  # noqa: B018
        chosen = sorted(session.chosen)
    except HarnessError as exc:
        raise pytest.UsageError(str(exc)) from exc
    for file in chosen:
        paths = [config.invocation_params.dir / arg.split("::")[0] for arg in config.args]
        if not any(file.is_relative_to(path.resolve()) for path in paths):
            config.args.append(str(file))


def pytest_report_header(config: pytest.Config) -> str | None:
    """
    Name the checkpoint under test.
    """
    reference = config.stash[SESSION].reference
    return f"harness checkpoint: {reference}" if reference else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """
    Take a suite.yaml that is asked for, lies in a folder ``suites``, or is named by path.
    """
    if file_path.name != SUITE_FILE:
        return None
    session = parent.config.stash[SESSION]
    if session.reference is None:
        return None
    if session.chosen:
        wanted = file_path.resolve() in session.chosen
    else:
        home = file_path.parent.parent
        wanted = (
            home.name == "suites"
            or home.resolve() == session.project.suites.resolve()
            or parent.session.isinitpath(file_path)
            or parent.session.isinitpath(file_path.parent)
        )
    if not wanted:
        return None
    # pytest has no name for a file outside its root, such as a bundled suite asked for by name.
    outside = not file_path.is_relative_to(parent.config.rootpath)
    name = f"{file_path.parent.name}/{file_path.name}" if outside else None
    return SuiteFile.from_parent(parent, path=file_path, nodeid=name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """
    Gate several suites together: one release item instead of a gate for each that is selected.
    """
    gates = [item for item in items if isinstance(item, GateItem)]
    if not gates:
        return
    try:
        together = config.stash[SESSION].belongs_to_release([gate.file.suite for gate in gates])
    except HarnessError:
        return  # The gate itself says so, as an error of its test.
    if together:
        release = ReleaseItem.from_parent(session, name=RELEASE)
        release.ask(gate.file for gate in gates)
        items[:] = [*(item for item in items if not isinstance(item, GateItem)), release]


def pytest_collection_finish(session: pytest.Session) -> None:
    """
    End the session where what all tests of its suites need is not there: one error, not one for
    each case.
    """
    items = [item for item in session.items if isinstance(item, SuiteItem | ReleaseItem)]
    if not items or session.testsfailed or session.config.getoption("collectonly"):
        return
    gated = [item.file.suite for item in items if isinstance(item, GateItem)]
    gated += [file.suite for item in items if isinstance(item, ReleaseItem) for file in item.files]
    try:
        session.config.stash[SESSION].prepare(gated=gated)
    except HarnessError as exc:
        raise pytest.UsageError(str(exc)) from exc


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Show a failure of ours by the test's own line, and first of all by its message.
    """
    ours = isinstance(item, SuiteItem | ReleaseItem)
    if not ours and not item.config.getoption("fulltrace"):
        ours = end_at_the_test(call)
    report = yield
    if ours and call.excinfo is not None:
        begin_with_the_message(report, str(call.excinfo.value))
    return report


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """
    Print each suite's result, where its run is, and how to continue what was interrupted.
    """
    session = config.stash[SESSION]
    interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
    lines = [*session.summary(), *session.way_to_continue(interrupted=interrupted)]
    if lines:
        terminalreporter.section("tool-calling suites")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def checkpoint(request: pytest.FixtureRequest) -> "Backend":
    """
    The checkpoint under test (--harness-checkpoint), opened once. Skips where there is none.
    """
    session = request.config.stash[SESSION]
    if session.reference is None:
        pytest.skip(NO_CHECKPOINT)
    try:
        return session.lend()
    except HarnessError as exc:
        raise pytest.fail.Exception(str(exc), pytrace=False) from None


@pytest.fixture(scope="session")
def tool_calls(checkpoint: "Backend", request: pytest.FixtureRequest) -> "Callable[..., ToolCalls]":
    """
    A function that asks the checkpoint one question: tool_calls(prompt, suite=NAME or tools=[...]).
    """
    session = request.config.stash[SESSION]

    def tool_calls(
        messages: str | Sequence[Mapping[str, Any]],
        *,
        suite: str | None = None,
        tools: "Sequence[Mapping[str, Any] | Callable[..., Any]] | None" = None,
        system: str | None = None,
    ) -> "ToolCalls":
        from harness.pytest_plugin.assertions import ask

        __tracebackhide__ = True
        found = None if suite is None else session.suite(suite)
        return ask(
            checkpoint,
            messages,
            suite=found,
            tools=tools,
            system=system,
            generation=session.generation(found),
        )

    return tool_calls


@pytest.fixture(scope="session")
def harness_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Callable[..., StoredRun]":
    """
    A function that runs a suite: harness_run(suite, checkpoint=None, limit=None, tags=()).

    The run is stored under --harness-out, or in a temporary folder.
    """
    session = request.config.stash[SESSION]

    def harness_run(
        suite: str,
        *,
        checkpoint: str | None = None,
        limit: int | None = None,
        tags: Iterable[str] = (),
        repeats: int = 1,
    ) -> "StoredRun":
        if checkpoint is None and session.reference is None:
            pytest.skip(NO_CHECKPOINT)
        out = session.out
        return session.run(
            suite,
            checkpoint,
            reports=tmp_path_factory.mktemp("runs") if out is None else out / "harness_run",
            limit=limit,
            tags=tuple(tags),
            repeats=repeats,
        )

    return harness_run


@pytest.fixture(scope="session")
def finetuned_checkpoint(request: pytest.FixtureRequest) -> Callable[..., str]:
    """
    A function that fine-tunes and returns the trained checkpoint's reference.

    What was trained is kept in the user's cache under the digest of base, rows and recipe, so that
    the same call trains once and not again in the next session.
    """
    session = request.config.stash[SESSION]

    def finetuned_checkpoint(
        *,
        suite: str = "tool-routing",
        base: str = "embedded:smollm2-135m",
        recipe: "Recipe | None" = None,
        train: str | Path | None = None,
        valid: str | Path | None = None,
    ) -> str:
        from harness.workflow.finetune import finetune
        from harness.workflow.options import Progress

        trained = finetune(
            base=base,
            cache=True,
            project=session.project,
            suite=suite,
            train=None if train is None else Path(train),
            valid=None if valid is None else Path(valid),
            recipe=recipe,
            progress=Progress(notify=session.say),
            today=session.today,
        )
        return f"hf:{trained.folder}"

    return finetuned_checkpoint
