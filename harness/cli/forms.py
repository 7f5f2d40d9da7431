"""
The options for the forms in which a report is written: ``arguments.forms`` and ``.github``.

There is a flag for each renderer of this package, and ``--output`` for any that is installed.
"""

import argparse
from typing import Any

from harness.cli.options import members, target
from harness.cli.output import PRINTED
from harness.cli.parser import Parser
from harness.errors import UsageError

_PURPOSES = {
    "comment": "for the one comment on a pull request that `harness comment` keeps up to date",
    "html": "one page with everything",
    "json": "for programs",
    "junit": "for a CI server",
    "lm-eval": "the new run as lm-evaluation-harness's results",
    "markdown": "for a pull request",
    "model-index": "the new run as metadata of a model card",
}


def add_forms(command: Parser) -> None:
    """
    Add the options that say in which forms the report is written.
    """
    command.declare_late(lambda: _add_forms(command))


def _add_forms(command: Parser) -> None:
    from harness.renderers import registry

    names, added = registry.names(), registry.added()
    forms = command.add_argument_group(
        "forms of the report", "With - for FILE a form is printed; only one of them can be."
    )
    for name in names:
        flag = f"--{name}"
        if name == "github":
            forms.add_argument(
                flag,
                action=_GitHub,
                nargs=0,
                default=False,
                help="on GitHub Actions: a summary, outputs and annotations of the step",
            )
        elif name in added or name == "terminal":
            command.meant[flag] = f"--output {name}=FILE"
        else:
            purpose = _PURPOSES.get(name, f"as {name}")
            forms.add_argument(
                flag,
                action=_Form,
                const=name,
                dest="forms",
                default=[],
                metavar="FILE",
                help=purpose,
            )
    forms.add_argument(
        "--output",
        action=_Form,
        dest="forms",
        default=[],
        metavar="NAME=FILE",
        help=f"a form by its name, repeatable: {members(names, added)}",
    )


class _Form(argparse.Action):
    """
    Collect forms and their files. The form is that of the flag, or in the value: NAME=FILE.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        try:
            name, file = (self.const, values) if self.const else _named(values)
            file = target(file)
        except (argparse.ArgumentTypeError, UsageError) as error:
            raise argparse.ArgumentError(self, str(error)) from None
        namespace.forms = [*namespace.forms, (name, file)]
        _refuse_one_place_for_two(parser, namespace)


class _GitHub(argparse.Action):
    """
    Remember to write annotations for GitHub.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any
    ) -> None:
        namespace.github = True
        _refuse_one_place_for_two(parser, namespace)


def _named(text: str) -> tuple[str, str]:
    from harness.renderers.registry import renderer

    name, equals, file = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is not NAME=FILE, such as markdown=report.md")
    # Now, not after minutes of work.
    renderer(name)
    return name, file


def _refuse_one_place_for_two(
    parser: argparse.ArgumentParser, namespace: argparse.Namespace
) -> None:
    # Annotations for GitHub are printed, too.
    taken = {PRINTED: "github"} if namespace.github else {}
    for name, file in namespace.forms:
        if file in taken:
            where = "printed" if file == PRINTED else f"written to {file}"
            parser.error(f"{taken[file]} and {name} cannot both be {where}")
        taken[file] = name
