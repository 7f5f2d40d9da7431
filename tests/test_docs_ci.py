"""
The jobs that docs/ci offers for copying: they parse, and their commands are commands.
"""

import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from harness.cli import gate, run
from harness.cli.main import make_parser

CI = Path(__file__).parent.parent / "docs" / "ci"


def github() -> list[str]:
    job = YAML(typ="safe").load((CI / "github.yml").read_text("utf-8"))["jobs"]["gate"]
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab() -> list[str]:
    return list(YAML(typ="safe").load((CI / "gitlab.yml").read_text("utf-8"))["gate"]["script"])


@pytest.mark.parametrize("commands", [github(), gitlab()], ids=["github", "gitlab"])
def test_the_commands_are_ours(commands: list[str]):
    ours = [shlex.split(each) for each in commands if each.startswith("harness ")]

    parsed: list[Any] = [make_parser().parse_args(each[1:]) for each in ours]

    assert [run.run, gate.run] == [each.handler for each in parsed]
    assert {"html", "junit", "markdown"} <= {name for name, _ in parsed[1].forms}
