"""
What a run may be told, and how that reaches a backend.
"""

from dataclasses import replace

import pytest

from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.workflow.options import Progress, RunOptions


def suite(name: str, *cases: str, declare_tools: bool = True) -> Suite:
    rows = [{"id": case, "prompt": "Say.", "expect": {"abstain": True}} for case in cases]
    tools = [{"name": "go", "description": "Go."}]
    document = {"format": 1, "name": name, "version": "1.0.0", "tools": tools, "cases": rows}
    return replace(parse_suite(document, "here"), declare_tools=declare_tools)


def test_a_backend_is_told_every_setting_of_the_run_and_whom_to_notify():
    said: list[str] = []
    options = RunOptions(device="cpu", dtype="float32", batch_size=3, dialect="hermes")
    opening = options.backend_options(progress=Progress(notify=said.append, bar=True))
    opening.notify("a download")

    settings = (opening.device, opening.dtype, opening.batch_size, opening.dialect)
    assert ("cpu", "float32", 3, "hermes") == settings
    assert (True, ["a download"]) == (opening.progress, said)


@pytest.mark.parametrize(
    ("suites", "declares_tools", "cases"),
    [
        ((), True, None),
        ((suite("a", "one", "two"),), True, {"one", "two"}),
        ((suite("a", "one", declare_tools=False),), False, {"one"}),
        ((suite("a", "one", declare_tools=False), suite("b", "two")), True, {"one", "two"}),
    ],
    ids=["any question", "one suite", "no declarations", "two suites"],
)
def test_a_backend_is_told_what_all_the_suites_ask_of_it(
    suites: tuple[Suite, ...], declares_tools: bool, cases: set[str] | None
):
    opening = RunOptions().backend_options(*suites, progress=Progress())

    assert (declares_tools, cases) == (opening.declares_tools, opening.cases)
