"""
Reports to render: one run, a comparison with and without a verdict, three runs side by side. And a
browser to look at pages.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.reports.report import Report
from harness.testing import reports
from harness.testing.reports import REPORTS

QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
).split()


@pytest.fixture(params=list(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    """
    Each kind of report in turn.
    """
    return REPORTS[request.param]()


@pytest.fixture
def run_report() -> Report:
    return REPORTS["run"]()


@pytest.fixture
def anchored_report() -> Report:
    return REPORTS["anchored gate"]()


@pytest.fixture
def gate_report() -> Report:
    return REPORTS["gate"]()


@pytest.fixture
def comparison_report() -> Report:
    return REPORTS["comparison"]()


@pytest.fixture
def side_report() -> Report:
    return REPORTS["side by side"]()


@pytest.fixture
def hostile_reports() -> Callable[[str], list[Report]]:
    return reports.hostile_reports


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium (apt-get install it)")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """
    Open a page from disk; afterwards nothing must have been loaded, logged, alerted or thrown.
    """
    seen: list[str] = []
    contexts = []

    def go(source: str | Path, **options: Any) -> Any:
        file = source
        if isinstance(source, str):
            file = tmp_path / f"page{len(contexts)}.html"
            file.write_text(source, "utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (seen.append(f"dialog: {dialog}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: request.url != file.as_uri() and seen.append(f"load: {request.url}"),
        )
        page.goto(file.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert [] == seen
