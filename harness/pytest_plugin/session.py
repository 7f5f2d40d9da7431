"""
What the pytest plugin keeps for one session: the checkpoint, opened once, and each suite's run.

It turns pytest's options into steps of `harness.workflow` and holds no rules. The rest of the
package is imported only when a step is taken.
"""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from harness.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from harness.backends.base import Backend, Generation
    from harness.gating.decision import Gated, GatedRelease
    from harness.reports.report import RunView
    from harness.runs.store import StoredRun
    from harness.scoring.results import CaseResult
    from harness.suites.suite import Suite
    from harness.workflow.options import RunOptions
    from harness.workflow.project import Project

SUITE_FILE = "suite.yaml"

_RESUME = "--harness-resume"

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """
    A suite's run in this session, with what its items look up.
    """

    stored: "StoredRun"
    results: "Mapping[str, CaseResult]"
    view: "RunView"


class PytestSession:
    """
    One pytest session: what was asked for, and what has been made so far.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._suites: list[Suite] = []
        self._made: dict[object, Any] = {}
        self._failed: dict[object, Exception] = {}
        self._begun: dict[Path, Path] = {}
        self._runs: dict[Path, SuiteRun] = {}
        self._gated: dict[Path, Gated] = {}
        self._released: GatedRelease | None = None
        self._lent = False

    # What was asked for.

    @property
    def reference(self) -> str | None:
        """
        The checkpoint under test; without one the plugin does nothing.
        """
        return self._asked("--harness-checkpoint", "harness_checkpoint")

    @property
    def baseline(self) -> str | None:
        """
        The baseline's name to gate against.
        """
        return self._asked("--harness-baseline", "harness_baseline")

    @cached_property
    def project(self) -> "Project":
        """
        The project at --harness-root, or at pytest's rootdir.
        """
        from harness.workflow.project import open_project

        root = self._path("--harness-root", "harness_root")
        return open_project(root or self._config.rootpath)

    @cached_property
    def chosen(self) -> frozenset[Path]:
        """
        The suite.yaml of each --harness-suite; empty for all that are found.
        """
        names = self._config.getoption("--harness-suite")
        return frozenset((self.project.suite(name) / SUITE_FILE).resolve() for name in names)

    @cached_property
    def resumed(self) -> Mapping[str, Path]:
        """
        The run of each --harness-resume, by its suite's name.

        Raises:
            StoreError: if there is no run.
        """
        from harness.runs.store import suite_of_run

        here = self._config.invocation_params.dir
        folders = [here / given for given in self._config.getoption(_RESUME)]
        return {suite_of_run(folder): folder for folder in folders}

    @property
    def out(self) -> Path | None:
        """
        Where runs are to be stored.
        """
        return self._path("--harness-out")

    @property
    def today(self) -> "date":
        """
        The date quarantines are judged by, as commands do.
        """
        from harness.provenance import date_today

        return date_today()

    @property
    def _options(self) -> "RunOptions":
        from harness.workflow.options import RunOptions

        return RunOptions(
            dialect=self._asked("--harness-dialect", "harness_dialect"),
            device=self._asked("--harness-device"),
            batch_size=self._config.getoption("--harness-batch-size"),
            tokenizer=self._asked("--harness-tokenizer"),
            api_key_env=self._asked("--harness-api-key-env"),
            environment=self._asked("--harness-environment"),
        )

    def _asked(self, option: str, ini: str | None = None) -> str | None:
        given = self._config.getoption(option)
        if given is None and ini is not None:
            given = self._config.getini(ini)
        return given or None

    def _path(self, option: str, ini: str | None = None) -> Path | None:
        given = self._asked(option, ini)
        if given is None:
            return None
        typed = self._config.getoption(option) is not None
        return (self._config.invocation_params.dir if typed else self._config.rootpath) / given

    # What is made once.

    def _once(self, key: object, make: Callable[[], _Made]) -> _Made:
        # A failure is kept, too: a model that breaks is not asked again for each of its tests.
        if key in self._failed:
            raise self._failed[key].with_traceback(None)
        if key not in self._made:
            try:
                self._made[key] = make()
            except Exception as exc:
                self._failed[key] = exc
                raise
        return cast(_Made, self._made[key])

    def add(self, suite: "Suite") -> None:
        """
        Register a suite that has been collected.

        Raises:
            UsageError: if its run could not be stored where it is to be.
        """
        folder = self.out and self.out / suite.name
        if folder and folder.exists() and suite.name not in self.resumed:
            raise UsageError(f"{folder} exists; give another --harness-out")
        self._suites.append(suite)

    def backend(self) -> "Backend":
        """
        Return the checkpoint under test, opened on first use.
        """
        return self._once("backend", self._open)

    def _open(self) -> "Backend":
        from harness.backends.registry import open_backend
        from harness.workflow.options import Progress

        if self.reference is None:
            raise UsageError("no checkpoint under test: pass --harness-checkpoint REF")
        opening = self._options.backend_options(*self._suites, progress=Progress(notify=self.say))
        return open_backend(self.reference, opening)

    def prepare(self, *, gated: "Iterable[Suite]") -> None:
        """
        Look up the baselines of the suites to be *gated* and open the checkpoint, before anything
        is asked.

        Raises:
            HarnessError: if a baseline is missing, or the checkpoint cannot be opened.
        """
        for suite in gated:
            assert self.baseline is not None  # or there would be no gate item
            self.project.baseline_of(suite.name, self.baseline)
        self.backend()

    def lend(self) -> "Backend":
        """
        Return the checkpoint under test to tests, which may keep it until the session ends.
        """
        self._lent = True
        return self.backend()

    def _make_room(self) -> None:
        """
        Close the checkpoint, to be opened again when it is asked next, unless tests hold it.
        """
        if not self._lent:
            self.close()

    def close(self) -> None:
        """
        Close the checkpoint if it was opened.
        """
        if "backend" in self._made:
            self._made.pop("backend").close()

    def suite(self, name: str) -> "Suite":
        """
        Read a suite by name or folder.
        """
        from harness.suites.files import load_suite

        return self._once(
            ("suite", name), lambda: load_suite(self.project.suite(name), today=self.today)
        )

    def generation(self, suite: "Suite | None") -> "Generation":
        """
        Return how answers are decoded: as *suite* says, or greedily.
        """
        from harness.backends.base import Generation
        from harness.workflow.options import generation_for

        return Generation() if suite is None else generation_for(suite, self._options)

    def run_of(self, file: Path, suite: "Suite", selected: frozenset[str]) -> SuiteRun:
        """
        Run the *selected* cases of a collected suite, or all where none is (its gate is).
        """
        return self._once(file, lambda: self._run_collected(file, suite, selected))

    def _run_collected(self, file: Path, suite: "Suite", selected: frozenset[str]) -> SuiteRun:
        from harness.reports.build import view
        from harness.workflow.options import Progress
        from harness.workflow.run import RunPlan, run_opened

        progress = Progress(
            notify=self.say,
            expect=lambda total: self.say(f"{suite.name}: {total} answers to make"),
        )
        cases = tuple(case for case in suite.cases if case.id in selected) or suite.cases
        backend, folder = self.backend(), self.resumed.get(suite.name)
        options = replace(self._options, resume=folder is not None)
        if folder is None and self.out is not None:
            folder = self.out / suite.name
        if folder is None:
            folder = self.project.fresh_folder(suite.name, backend.checkpoint.reference)
        plan = RunPlan.of(suite, options, project=self.project, out=folder)
        self._begun[file] = folder
        stored = run_opened(replace(plan, cases=cases), backend, progress)
        run = self._runs[file] = SuiteRun(
            stored=stored,
            results={result.id: result for result in stored.record.cases},
            view=view(stored),
        )
        return run

    def gate(self, file: Path, run: SuiteRun) -> "Gated":
        """
        Return the verdict on a collected suite's run.
        """
        from harness.workflow.gate import gate
        from harness.workflow.options import Progress

        assert self.baseline is not None  # or there would be no gate item
        gated = self._gated[file] = gate(
            self.baseline,
            run.stored,
            self._path("--harness-policy", "harness_policy"),
            project=self.project,
            recheck=True,
            today=self.today,
            progress=Progress(notify=self.say, make_room=self._make_room),
            api_key_env=self._asked("--harness-api-key-env"),
        )
        return gated

    def release(self, runs: Mapping[Path, SuiteRun]) -> "GatedRelease":
        """
        Return the one verdict on the runs of several collected suites.
        """
        from harness.workflow.gate import gate_release
        from harness.workflow.options import Progress

        assert self.baseline is not None  # or there would be no release item
        found = self._released = gate_release(
            [run.stored for run in runs.values()],
            self.baseline,
            self._path("--harness-policy", "harness_policy"),
            project=self.project,
            recheck=True,
            today=self.today,
            progress=Progress(notify=self.say, make_room=self._make_room),
            api_key_env=self._asked("--harness-api-key-env"),
        )
        for file, run in runs.items():
            self._gated[file] = found.suites[run.stored.record.suite.name]
        return found

    def belongs_to_release(self, suites: Sequence["Suite"]) -> bool:
        """
        Return whether these suites are gated together: there are several, or the policy names more.
        """
        from harness.workflow.gate import belongs_to_release

        policy = self.project.policy(self._path("--harness-policy", "harness_policy"))
        return belongs_to_release([suite.name for suite in suites], policy)

    def run(
        self,
        name: str,
        checkpoint: str | None,
        *,
        reports: Path,
        limit: int | None,
        tags: tuple[str, ...],
        repeats: int,
    ) -> "StoredRun":
        """
        Run a suite on another checkpoint, or on the one under test, and store it in *reports*.
        """
        from harness.workflow.options import Progress
        from harness.workflow.run import RunPlan, run, run_opened

        project = replace(self.project, reports=reports)
        options = replace(self._options, limit=limit, tags=tags, repeats=repeats)
        if checkpoint is not None:
            return run(name, checkpoint, project=project, options=options, today=self.today)
        plan = RunPlan.of(self.suite(name), options, project=project)
        return run_opened(plan, self.backend(), Progress())

    # What is said.

    def say(self, text: str) -> None:
        """
        Write a line of progress to the terminal, unless pytest was told to be quiet.
        """
        plugins = self._config.pluginmanager
        reporter: Any = plugins.get_plugin("terminalreporter")
        capture: Any = plugins.get_plugin("capturemanager")
        if reporter is None or self._config.get_verbosity() < 0:
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter.ensure_newline()
            reporter.write_line(f"harness: {text}")

    def shown(self, path: Path) -> Path:
        """
        Return a path as a person at the prompt would write it.
        """
        here = self._config.invocation_params.dir
        return path.relative_to(here) if path.is_relative_to(here) else path

    def summary(self) -> Iterator[str]:
        """
        Yield each suite's result, its verdict and where its run is.
        """
        for file, run in self._runs.items():
            record = run.stored.record
            metric = record.metrics["accuracy"]
            broken = f", {record.errors} without an answer" if record.errors else ""
            part = "" if record.selection.complete else "; only part of the suite was asked"
            yield (
                f"{record.suite.name} {record.suite.version}: "
                f"{metric.hits} of {metric.eligible} correct{broken}{part}"
            )
            if file in self._gated:
                verdict = self._gated[file].verdict
                yield f"  gate against {self.baseline}: {verdict.verdict}"
                yield from (f"    {reason}" for reason in verdict.reasons)
            yield f"  run: {self.shown(run.stored.folder)}"
        if self._released is not None:
            release = self._released.release
            yield f"release against {self.baseline}: {release.verdict}"
            yield from (f"  {reason}" for reason in (*release.reasons[:1], *release.notes))

    def way_to_continue(self, *, interrupted: bool) -> Iterator[str]:
        """
        Yield the command that continues what was not finished; nothing if all was.
        """
        from harness.runs.store import is_run

        begun = {file: folder for file, folder in self._begun.items() if is_run(folder)}
        if not begun or (not interrupted and begun.keys() <= self._runs.keys()):
            return
        if unfinished := [folder for file, folder in begun.items() if file not in self._runs]:
            kept = ", ".join(str(self.shown(folder)) for folder in unfinished)
            yield f"unfinished; the answers so far are kept: {kept}"
        yield f"to continue: {self._command_that_resumes(begun.values())}"

    def _command_that_resumes(self, folders: Iterable[Path]) -> str:
        """
        Return the command of this session, with the runs it has begun.
        """
        # "python -m pytest" has the current folder on its path; "pytest" does not.
        started = Path(sys.argv[0])
        program = ["python", "-m", "pytest"] if started.name == "__main__.py" else ["pytest"]
        given = iter(self._config.invocation_params.args)
        kept = []
        for argument in map(str, given):
            if argument == _RESUME:
                next(given)
            elif not argument.startswith(f"{_RESUME}="):
                kept.append(argument)
        resumed = [f"{_RESUME}={self.shown(folder)}" for folder in folders]
        return shlex.join([*program, *kept, *resumed])


SESSION = pytest.StashKey[PytestSession]()
"""Where a pytest configuration keeps its session."""
