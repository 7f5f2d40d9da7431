"""
Suites as tests: a ``suite.yaml`` is a file of tests, with one item a case and one for the gate.

The selected cases of a suite are asked in one batched run, before the first of them is reported;
judging, comparing and gating are steps of `harness.workflow`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.pytest_plugin.session import SESSION, PytestSession, SuiteRun

if TYPE_CHECKING:
    from harness.gating.verdict import Decided
    from harness.suites.suite import Case, Suite

GATE = "gate"
RELEASE = "release"

# Marks that change how pytest treats a test: a case tagged so must still be judged.
_PYTEST_MARKS = ("filterwarnings", "parametrize", "skip", "skipif", "usefixtures", "xfail")


class SuiteFile(pytest.File):
    """
    One suite.
    """

    suite: "Suite"

    def collect(self) -> Iterator[pytest.Item]:
        """
        Yield one item a case, then the gate.
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
        rows = self.suite.document["cases"]
        for index, case in enumerate(self.suite.cases):
            file, line = reading.places.find(("cases", index))
            item = CaseItem.from_parent(self, name=case.id)
            item.ask(case, rows[index], f"{session.shown(Path(file))}:{line}")
            yield item
        if session.baseline is not None:
            yield GateItem.from_parent(self, name=GATE)


class SuiteItem(pytest.Item):
    """
    A test that needs its suite's run.
    """

    @property
    def file(self) -> SuiteFile:
        """
        The suite it is of.
        """
        return cast(SuiteFile, self.parent)

    def run_of_suite(self) -> SuiteRun:
        """
        Return the run of what is selected of the suite; what prevents it fails the test.
        """
        return run_of(self.file)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """
        Return where pytest says the test is.
        """
        return self.path, None, self.name


def run_of(file: SuiteFile) -> SuiteRun:
    """
    Return the run of what is selected of a suite; what prevents it fails the test.
    """
    selected = frozenset(
        item.case.id
        for item in file.session.items
        if isinstance(item, CaseItem) and item.path == file.path
    )
    try:
        return file.config.stash[SESSION].run_of(file.path, file.suite, selected)
    except HarnessError as exc:
        raise pytest.fail.Exception(str(exc), pytrace=False) from None


class CaseItem(SuiteItem):
    """
    One case. An answer that could not be made is an error, raised in setup; not a failure.
    """

    case: "Case"
    row: Mapping[str, Any]
    place: str

    def ask(self, case: "Case", row: Mapping[str, Any], place: str) -> None:
        """
        Set which case this is: as read, as written, and where it is written.
        """
        self.case, self.row, self.place = case, row, place
        for tag in case.tags:
            self.add_marker(getattr(pytest.mark, _mark(tag)))

    def setup(self) -> None:
        """
        Look up the answer; the first item to get here has all of them made.
        """
        run = self.run_of_suite()
        self.result, self.view = run.results[self.case.id], run.view
        self.user_properties += [
            ("tags", ",".join(self.case.tags)),
            ("status", self.result.status),
            *(("finding", found.code) for found in self.result.findings),
        ]
        if self.result.status == "error" and self.case.counts:
            pytest.fail(self.explain(), pytrace=False)

    def runtest(self) -> None:
        """
        Pass, fail or skip as the case was judged.
        """
        held = self.case.quarantine
        if held is not None:
            pytest.skip(f"quarantined until {held.until}: {held.reason} (now {self.result.status})")
        if self.case.proposed:
            pytest.skip(f"proposed, and not confirmed yet (now {self.result.status})")
        if self.result.status != "correct":
            pytest.fail(self.explain(), pytrace=False)

    def explain(self) -> str:
        """
        Return what a person needs to see why the case is not correct.
        """
        from harness.pytest_plugin.assertions import explain_case

        return explain_case(self.case, self.row, self.result, self.view, self.place)


def _mark(tag: str) -> str:
    """
    Return the mark for a tag: the tag itself, unless pytest would not take it for a plain mark.
    """
    name = re.sub(r"[^\w.+-]", "_", tag)
    return f"tag_{name}" if name in _PYTEST_MARKS or name.startswith("_") else name


class GateItem(SuiteItem):
    """
    The verdict on the whole suite's run.
    """

    def setup(self) -> None:
        """
        Gate the run. What prevents that (a missing baseline, say) is an error.
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
            _fail(self.config.stash[SESSION], verdict, [self.gated.new.folder])


class ReleaseItem(pytest.Item):
    """
    The one verdict on the runs of several suites, in place of a gate for each.
    """

    files: "tuple[SuiteFile, ...]"

    def ask(self, files: Iterable[SuiteFile]) -> None:
        """
        Set which suites are gated together.
        """
        self.files = tuple(files)

    def setup(self) -> None:
        """
        Gate the runs. What prevents that (a missing baseline, say) is an error.
        """
        runs = [(file.path, run_of(file)) for file in self.files]
        try:
            self.gated = self.config.stash[SESSION].release(dict(runs))
        except HarnessError as exc:
            raise pytest.fail.Exception(str(exc), pytrace=False) from None
        self.user_properties.append(("verdict", self.gated.release.verdict))

    def runtest(self) -> None:
        """
        Fail where `harness gate` would exit with anything but 0.
        """
        release = self.gated.release
        if release.exit:
            folders = [each.new.folder for each in self.gated.suites.values()]
            _fail(self.config.stash[SESSION], release, folders)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """
        Return where pytest says the test is.
        """
        return self.config.rootpath, None, self.name


def _fail(session: PytestSession, found: "Decided", folders: Iterable[Path]) -> None:
    runs = " ".join(str(session.shown(folder)) for folder in folders)
    command = f"harness gate {runs} --baseline {session.baseline} --explain"
    first, *rest = map(str, found.reasons)
    lines = [f"{found.verdict}: {first}", *rest, f"in full: {command}"]
    pytest.fail("\n".join(lines), pytrace=False)
