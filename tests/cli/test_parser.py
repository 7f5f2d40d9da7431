"""
What the command line says of itself: help, and errors about words it does not know.
"""

import argparse
import re
from collections.abc import Iterator

import pytest

from harness.checkpoints.reference import SCHEMES
from harness.cli.main import COMMANDS, main, make_parser
from harness.cli.parser import Parser
from harness.finetuning.recipe import LORA_LEARNING_RATE, LORA_RANK, Recipe


def parsers(parser: Parser) -> Iterator[Parser]:
    parser.declare_all()
    yield parser
    if parser.commands is not None:
        for command in parser.commands.choices.values():
            yield from parsers(command)


def arguments(command: str = "") -> list[tuple[str, argparse.Action]]:
    return [
        (f"{parser.prog} {action.option_strings or action.dest}", action)
        for parser in parsers(make_parser())
        for action in parser._actions
        if parser.prog.startswith(f"harness {command}".rstrip())
        if action is not parser.commands
    ]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """
    The lines of the error, the first of which begins with "usage: ".
    """
    code = main(words)
    said = capsys.readouterr()
    assert (2, "") == (code, said.out)
    return said.err.splitlines()


def test_every_option_and_every_positional_has_a_help_text():
    found = arguments()

    assert 100 < len(found)
    assert [] == [name for name, action in found if not action.help]


def test_a_default_is_shown_where_there_is_one():
    given = [
        (name, action)
        for name, action in arguments()
        if action.nargs != 0 and action.default not in (None, False, [], argparse.SUPPRESS)
    ]

    assert 5 < len(given)
    assert [] == [name for name, action in given if "(default: " not in str(action.help)]


@pytest.mark.parametrize(
    "name", ["epochs", "batch_size", "learning_rate", "max_length", "seed", "keep"]
)
def test_the_recipe_has_the_defaults_that_the_help_of_finetune_shows(name: str):
    shown = {action.dest: str(action.help) for _, action in arguments("finetune")}

    assert re.search(rf"\(?default: {re.escape(str(getattr(Recipe(), name)))}[,)]", shown[name])


def test_the_help_of_finetune_shows_the_defaults_of_an_adapter():
    shown = {action.dest: str(action.help) for _, action in arguments("finetune")}

    assert f"(default: {LORA_RANK})" in shown["lora_rank"]
    assert f"of a LoRA adapter {LORA_LEARNING_RATE})" in shown["learning_rate"]


def test_every_option_of_finetune_with_a_value_says_what_goes_without_it():
    silent = {"base", "out", "help", "push_to_hub"}

    assert [] == [
        action.dest
        for _, action in arguments("finetune")
        if action.nargs != 0 and action.dest not in silent and "(default: " not in str(action.help)
    ]


def test_the_help_lists_every_command_in_its_group(capsys: pytest.CaptureFixture[str]):
    assert 0 == main(["--help"])

    said = capsys.readouterr().out
    groups = dict(part.split(":\n", 1) for part in said.split("\n\n") if ":\n" in part)
    listed = {
        title: {line.split()[0] for line in text.splitlines()} for title, text in groups.items()
    }
    assert {"run", "baseline", "gate", "finetune"} <= listed["everyday"]
    assert {"suite"} == listed["suites"]
    assert {"explain", "latency", "doctor"} <= listed["analysis"]
    assert max(map(len, said.splitlines())) <= 80


def test_a_command_is_called_as_its_file():
    parser = make_parser()
    assert parser.commands is not None
    files = [module.__name__ for modules in COMMANDS.values() for module in modules]

    assert [f"harness.cli.{name}" for name in parser.commands.choices] == files


@pytest.mark.parametrize("words", [(), ("suite",), ("baseline",)], ids=" ".join)
def test_where_a_command_is_missing_the_help_is_shown_and_nothing_passes(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
):
    """
    Exit code 0 says that a checkpoint passed; an empty variable of a CI job must not say so.
    """
    assert 2 == main(words)

    shown = capsys.readouterr()
    assert 0 == main([*words, "--help"])
    assert shown.out == capsys.readouterr().out
    assert "usage: " in shown.out
    assert "" == shown.err


@pytest.mark.parametrize(
    ("words", "usage", "hint"),
    [
        # Although the flag that was meant is missing now.
        (["run", "ask", "--checkpont", "x"], "harness run", "--checkpoint"),
        (["run", "ask", "--checkpont=x"], "harness run", "--checkpoint"),
        (["gate", "new", "--base-line", "x"], "harness gate", "--baseline"),
        (["suite", "check", "ask", "--rot", "."], "harness suite check", "--root"),
        (["baseline", "history", "--pgn", "x"], "harness baseline history", "--png"),
        (["--versoin"], "harness", "--version"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_unknown_flag_shows_the_usage_of_its_command_and_the_nearest_flag(
    capsys: pytest.CaptureFixture[str], words: list[str], usage: str, hint: str
):
    first, *_, last = refused(capsys, *words)

    assert first.startswith(f"usage: {usage} [-h]")
    flag = next(word for word in words if word.startswith("--")).partition("=")[0]
    assert f"{usage}: error: unrecognized arguments: {flag} (did you mean {hint}?)" == last


def test_an_unknown_flag_like_no_other_is_named_alone(capsys: pytest.CaptureFixture[str]):
    *_, last = refused(capsys, "run", "ask", "--checkpoint", "x", "--zzzzzzz")

    assert "harness run: error: unrecognized arguments: --zzzzzzz" == last


@pytest.mark.parametrize("extra", ["z", "-z"])
def test_what_is_too_much_shows_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str], extra: str
):
    first, *_, last = refused(capsys, "suite", "check", "ask", extra)

    assert first.startswith("usage: harness suite check [-h]")
    assert f"harness suite check: error: unrecognized arguments: {extra}" == last


@pytest.mark.parametrize(
    ("words", "usage", "hint"),
    [
        (["gat"], "harness", "did you mean 'gate'?"),
        (["suite", "chek", "ask"], "harness suite", "did you mean 'check'?"),
        (["baseline", "sav"], "harness baseline", "did you mean 'save'?"),
        (["zzzzzzz"], "harness", "`harness --help` lists them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_unknown_command_names_the_nearest(
    capsys: pytest.CaptureFixture[str], words: list[str], usage: str, hint: str
):
    first, *_, last = refused(capsys, *words)

    assert first.startswith(f"usage: {usage} [-h]")
    word = words[0] if usage == "harness" else words[1]
    assert last.startswith(f"{usage}: error: unknown command {word!r}")
    assert hint in last


def test_a_value_may_look_like_a_flag_where_argparse_lets_it():
    text = "--lenient was the old flag"

    parsed = make_parser().parse_args(["baseline", "save", "r", "--name", "n", "--reason", text])
    assert text == parsed.reason
    parsed = make_parser().parse_args(["suite", "check", "--", "--odd"])
    assert "--odd" == parsed.suite


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "a", "--checkpoint", "x", "--repeats", "0"], "'0' is not a whole number of at"),
        (["run", "a", "--checkpoint", "x", "--repeats", "two"], "'two' is not a whole number"),
        (["run", "a", "--checkpoint", "x", "--out", ""], "'' names nothing (is a variable"),
        (["need", "--drop", "3 points"], "'3 points' is not a share: write 3pp, 3% or 0.03"),
        (["need", "--drop", "101%"], "'101%' is not a share"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_value_of_the_wrong_kind_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    *_, last = refused(capsys, *words)

    assert said in last


def test_the_help_names_every_scheme_that_a_checkpoint_may_have():
    wanted = {f"{scheme}:" for scheme in SCHEMES.names() if scheme not in SCHEMES.added()}

    for command, dest in (("run", "checkpoint"), ("aa", "checkpoint"), ("latency", "old")):
        (text,) = [str(action.help) for _, action in arguments(command) if action.dest == dest]
        assert {"hf:", "vllm:"} <= wanted == {scheme for scheme in wanted if scheme in text}
