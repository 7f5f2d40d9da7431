"""
Reports to render: one run, a comparison with and without a verdict, three runs side by side.
"""

from collections.abc import Callable

import pytest

from harness.reports.report import Report
from harness.testing import reports
from harness.testing.reports import REPORTS


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
