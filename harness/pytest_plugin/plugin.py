"""
The pytest plugin: suites as tests, and fixtures for tests of one's own.

With ``--checkpoint`` every ``suites/*/suite.yaml`` under the collected paths is a file of tests:
one item a case, and one item ``gate`` where ``--harness-baseline`` names a baseline. The selected
cases of a suite are asked in one batched run, before the first of them is reported; judging,
comparing and gating are `harness.workflow.run`'s. Without a checkpoint nothing is collected and the
fixtures skip.

Every pytest session of an environment with the harness imports this module, so it loads the rest of
the package only when a checkpoint or a fixture is used.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.pytest_plugin.session import SUITE_FILE, PytestSession, SuiteRun

if TYPE_CHECKING:
    from harness.backends.base import Backend
    from harness.finetuning import Recipe
    from harness.pytest_plugin.assertions import ToolCalls
    from harness.runs.store import StoredRun
    from harness.suites.suite import Case, Suite

GATE = "gate"

NO_CHECKPOINT = "no checkpoint: give --checkpoint REF, or set harness_checkpoint in the ini-file"

# Marks that change how pytest treats a test: a case tagged so must still be judged.
_PYTEST_MARKS = ("filterwarnings", "parametrize", "skip", "skipif", "usefixtures", "xfail")

SESSION = pytest.StashKey[PytestSession]()

# Or a contract that fails would not show the values compared.
pytest.register_assert_rewrite("harness.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Add the options of the group ``harness`` and their ini-file twins.
    """
    group = parser.getgroup("harness", "tool-calling models (toolcall-harness)")
    group.addoption(
        "--checkpoint",
        metavar="REF",
        help="the checkpoint under test: hf:org/name, a folder, gguf:FILE, "
        "embedded:smollm2-135m, replay:FILE, python:package.module:function",
    )
    group.addoption(
        "--suite",
        action="append",
        default=[],
        metavar="NAME",
        help="collect this suite (a folder, or a name under suites/) and no other; repeatable",
    )
    group.addoption("--dialect", metavar="NAME", help="the format its tool calls are written in")
    group.addoption("--harness-root", metavar="DIR", help="the folder with suites/ and baselines/")
    group.addoption(
        "--harness-baseline", metavar="NAME", help="gate each suite's run against this baseline"
    )
    group.addoption("--harness-policy", metavar="FILE", help="the gate's limits (gate.toml)")
    group.addoption("--harness-device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps")
    group.addoption("--harness-batch-size", type=int, metavar="N", help="prompts in a batch")
    group.addoption(
        "--harness-out", metavar="DIR", help="store runs as DIR/SUITE (default: under reports/)"
    )
    for name, text in (
        ("checkpoint", "as --checkpoint"),
        ("dialect", "as --dialect"),
        ("root", "as --harness-root; relative to the rootdir"),
        ("baseline", "as --harness-baseline"),
        ("policy", "as --harness-policy; relative to the rootdir"),
    ):
        parser.addini(f"harness_{name}", text, type="string", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """
    Prepare the session's state; see to it that the suites asked for by name are collected.
    """
    session = config.stash[SESSION] = PytestSession(config)
    config.add_cleanup(session.close)
    if session.reference is None:
        return
    try:
        session.project  # noqa: B018  a wrong harness.toml is told before anything is collected
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


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "SuiteFile | None":
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
    return SuiteFile.from_parent(parent, path=file_path) if wanted else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """
    Say in a few lines what each suite came to and where its run is.
    """
    lines = list(config.stash[SESSION].summary())
    if lines:
        terminalreporter.section("tool-calling suites")
        for line in lines:
            terminalreporter.write_line(line)


class SuiteFile(pytest.File):
    """
    One suite.
    """

    suite: "Suite"

    def collect(self) -> Iterator[pytest.Item]:
        """
        Give one item a case, then the gate.
        """
        from harness.diagnostics import raise_problems
        from harness.suites.files import read_suite

        session = self.config.stash[SESSION]
        if hasattr(self.config, "workerinput"):
            raise self.CollectError("a suite is one batched run; run suites without -n")
        try:
            reading = read_suite(self.path, today=session.today)
            raise_problems(reading.problems)
            assert reading.suite is not None  # or there were problems
            session.add(reading.suite)
        except HarnessError as exc:
            raise self.CollectError(str(exc)) from exc
        self.suite = reading.suite
        self.extra_keyword_matches.add(self.suite.name)
        for name in sorted({_mark(tag) for case in self.suite.cases for tag in case.tags}):
            # --strict-markers refuses a mark that nobody registered.
            self.config.addinivalue_line("markers", f"{name}: a tag of suite {self.suite.name}")
        for index, case in enumerate(self.suite.cases):
            file, line = reading.places.find(("cases", index))
            item = CaseItem.from_parent(self, name=case.id)
            item.ask(
                case, self.suite.document["cases"][index], f"{session.shown(Path(file))}:{line}"
            )
            yield item
        if session.baseline is not None:
            yield GateItem.from_parent(self, name=GATE)


class _SuiteItem(pytest.Item):
    """
    A test that needs its suite's run.
    """

    @property
    def file(self) -> SuiteFile:
        return cast(SuiteFile, self.parent)

    def run_of_suite(self) -> SuiteRun:
        try:
            return self.config.stash[SESSION].run_of(self.path, self.file.suite, self._selected())
        except HarnessError as exc:
            raise pytest.fail.Exception(str(exc), pytrace=False) from None

    def _selected(self) -> frozenset[str]:
        return frozenset(
            item.case.id
            for item in self.session.items
            if isinstance(item, CaseItem) and item.path == self.path
        )

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class CaseItem(_SuiteItem):
    """
    One case. An answer that could not be made is an error, raised in setup; not a failure.
    """

    case: "Case"
    row: Mapping[str, Any]
    place: str

    def ask(self, case: "Case", row: Mapping[str, Any], place: str) -> None:
        """
        Say which case this is: read, as written, and where that stands.
        """
        self.case, self.row, self.place = case, row, place
        for tag in case.tags:
            self.add_marker(getattr(pytest.mark, _mark(tag)))

    def setup(self) -> None:
        """
        Look the answer up; the first item to get here has all of them made.
        """
        run = self.run_of_suite()
        self.result, self.view = run.results[self.case.id], run.view
        self.user_properties += [
            ("tags", ",".join(self.case.tags)),
            ("status", self.result.status),
            *(("finding", found.code) for turn in self.result.turns for found in turn.findings),
        ]
        if self.result.status == "error" and self.case.quarantine is None:
            pytest.fail(self.explain(), pytrace=False)

    def runtest(self) -> None:
        """
        Pass, fail or skip as the case was judged.
        """
        held = self.case.quarantine
        if held is not None:
            pytest.skip(f"quarantined until {held.until}: {held.reason} (now {self.result.status})")
        if self.result.status != "correct":
            pytest.fail(self.explain(), pytrace=False)

    def explain(self) -> str:
        """
        Say what a person needs to see why the case is not correct.
        """
        from harness.pytest_plugin.assertions import explain_case

        return explain_case(self.case, self.row, self.result, self.view, self.place)


def _mark(tag: str) -> str:
    """
    Give the mark for a tag: the tag itself, unless pytest could not take it for a plain mark.
    """
    name = re.sub(r"[^\w.+-]", "_", tag)
    return f"tag_{name}" if name in _PYTEST_MARKS or name.startswith("_") else name


class GateItem(_SuiteItem):
    """
    The verdict on the whole suite's run.
    """

    def setup(self) -> None:
        """
        Compare and gate. What keeps that from being done (no baseline, say) is an error.
        """
        run = self.run_of_suite()
        try:
            self.gated = self.config.stash[SESSION].gate(self.path, run)
        except HarnessError as exc:
            raise pytest.fail.Exception(str(exc), pytrace=False) from None
        self.user_properties.append(("verdict", self.gated.verdict.verdict))

    def runtest(self) -> None:
        """
        Fail where `harness gate` would exit with anything but 0.
        """
        verdict = self.gated.verdict
        if verdict.exit:
            session = self.config.stash[SESSION]
            folder = session.shown(self.gated.new.folder)
            command = f"harness gate {folder} --baseline {session.baseline} --explain"
            first, *rest = map(str, verdict.reasons)
            lines = [f"{verdict.verdict}: {first}", *rest, f"in full: {command}"]
            pytest.fail("\n".join(lines), pytrace=False)


@pytest.fixture(scope="session")
def checkpoint(request: pytest.FixtureRequest) -> "Backend":
    """
    The checkpoint under test (--checkpoint), opened once. Skips where there is none.
    """
    session = request.config.stash[SESSION]
    if session.reference is None:
        pytest.skip(NO_CHECKPOINT)
    return session.backend()


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
    A function that fine-tunes and gives the trained checkpoint's reference.

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
        return f"hf:{session.finetuned(suite, base, recipe, train, valid)}"

    return finetuned_checkpoint
