"""
docs/functiongemma.md: every command on it is one.
"""

import re
import shlex
from pathlib import Path

from harness.cli.main import make_parser

PAGE = (Path(__file__).parents[1] / "docs" / "functiongemma.md").read_text("utf-8")


def test_every_command_of_the_page_is_one():
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]

    assert len(commands) > 8
    for command in commands:
        program, *words = shlex.split(command)
        assert "harness" == program
        assert make_parser().parse_args(words).handler is not None


def test_every_option_that_the_table_names_is_of_finetune():
    parser = make_parser()
    named = set(re.findall(r"`(?:harness finetune )?(--[a-z-]+)", PAGE))
    words = ["finetune", "--base", "x"]
    values = {
        "--valid-share": ["50%"],
        "--rows": ["1,2"],
        "--keep": ["best"],
        "--check": [],
    }

    assert {"--train", "--valid-share", "--keep", "--push-to-hub", "--check", "--rows"} <= named
    for option in named:
        parser.parse_args([*words, option, *values.get(option, ["x"])])
