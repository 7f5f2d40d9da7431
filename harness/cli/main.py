"""
The command line: which commands there are and what they take.

What a command does is in `harness.cli`, loaded only when one is run, so that ``--help`` is
quick. Names of flags follow lm-eval, pytest and the Hugging Face CLI.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from harness.errors import ExitCode, HarnessError

_EPILOG = """\
exit codes: 0 pass (also inconclusive, where the policy warns) - 1 regressed, or suite findings -
2 usage, input or infrastructure error: nothing was judged - 3 not comparable, or inconclusive
where the policy blocks
"""

_CHECKPOINT = (
    "hf:org/name[@revision] or a local folder (weights, or a PEFT adapter), gguf:FILE, "
    "embedded:smollm2-135m, replay:FILE, python:package.module:function"
)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command and give its exit code.

    An error drawn in `harness.errors` is printed without a traceback, and so is one of the
    operating system about a file. Any other is a bug, no `Exception` or an exit that is not
    argparse's included: it keeps its traceback, and its exit code says that nothing was judged.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character must not decide a verdict.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    try:
        module, _, function = arguments.handler.partition(".")
        handler = getattr(import_module(f"harness.cli.{module}"), function)
        return int(handler(arguments))
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return ExitCode.ERROR
    except KeyboardInterrupt:
        print("harness: interrupted; what was stored is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        sys.stderr.close()
        return ExitCode.ERROR
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"harness: {where}{error.strerror or error}", file=sys.stderr)
        return ExitCode.ERROR
    except BaseException:
        traceback.print_exc()
        print("harness: this is a bug in the harness; please report it", file=sys.stderr)
        return ExitCode.ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Regression testing of tool-calling language models: "
        "may this checkpoint replace the one we ship?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _demo(commands)
    _run(commands)
    _score(commands)
    _baseline(commands)
    _compare(commands)
    _gate(commands)
    _report(commands)
    _explain(commands)
    _finetune(commands)
    _suite(commands)
    _need(commands)
    _aa(commands)
    _latency(commands)
    purpose = "what is installed, what hardware, what works"
    _rooted(_command(commands, "doctor", "need.doctor", purpose))
    return parser


class _Version(argparse.Action):
    """
    Look the version up only when it is asked for: package metadata is slow to read.
    """

    def __call__(self, *_: object, **__: object) -> None:
        from harness.provenance import harness_version

        print(f"harness {harness_version()}")
        sys.exit(0)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    handler: str,
    purpose: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
    command.set_defaults(handler=handler)
    return command


def _rooted(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--root",
        type=_path,
        metavar="DIR",
        help="the folder with suites/, baselines/ and reports/ (default: the current one)",
    )


def _quiet(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quiet", action="store_true", help="no progress, only results")


def _demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(
        commands,
        "demo",
        "run.demo",
        "the whole story on the embedded model: base run, fine-tune, candidate run, gate, report",
    )
    _rooted(command)
    command.add_argument("--out", type=_path, help="where (default: reports/demo)")
    command.add_argument("--fresh", action="store_true", help="reuse nothing of an earlier demo")
    _quiet(command)


def _run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "run", "run.run", "run a checkpoint on a suite and judge it")
    command.add_argument("suite", metavar="SUITE", help="a suite's folder or name")
    command.add_argument("--checkpoint", required=True, metavar="REF", help=_CHECKPOINT)
    _rooted(command)
    command.add_argument("--out", type=_path, metavar="DIR", help="the run's folder")
    command.add_argument("--repeats", type=_positive, default=1, metavar="K", help="ask K times")
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    command.add_argument("--batch-size", type=_positive, metavar="N")
    _how_to_ask(command)
    command.add_argument(
        "--draft",
        metavar="BASELINE",
        help="a baseline or run whose answers are verified in one go and kept where they still "
        "hold: the same answers, sooner",
    )
    command.add_argument(
        "--latency", action="store_true", help="also time 24 fixed cases, one answer at a time"
    )
    _tool_names(command)
    _quiet(command)


def _how_to_ask(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dialect", help="the tool-call format (default: from the template)")
    command.add_argument("--limit", type=int, metavar="N", help="only the first N cases")
    command.add_argument("--tags", nargs="+", default=[], metavar="T", help="only cases with all")
    command.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps")
    command.add_argument("--dtype", metavar="T", help="float32, bfloat16, float16")
    command.add_argument("--max-new-tokens", type=_positive, metavar="N")
    command.add_argument("--seed", type=int, metavar="N")


def _score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "score", "run.score", "judge stored text again, without a model")
    command.add_argument("source", type=_path, metavar="SOURCE", help="a run or a transcript file")
    command.add_argument("--suite", required=True)
    _rooted(command)
    command.add_argument("--dialect")
    _tool_names(command)
    command.add_argument("--out", type=_path, metavar="DIR")
    _quiet(command)


def _tool_names(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--tool-names",
        choices=["dots-to-underscores"],
        help="how the model is shown the names of tools, as APIs do that forbid dots",
    )


def _baseline(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("baseline", help="accept runs and list what was accepted")
    verbs = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    save = _command(verbs, "save", "baseline.save", "accept a run under a name")
    save.add_argument("run", metavar="RUN")
    save.add_argument("--name", required=True)
    save.add_argument("--reason", metavar="TEXT", help="why it is accepted: kept in its history")
    _rooted(save)
    _rooted(_command(verbs, "list", "baseline.show_all", "every baseline"))
    show = _command(verbs, "show", "baseline.show_one", "one baseline")
    show.add_argument("name", metavar="NAME", help="a name, or suite/name")
    _rooted(show)
    history = _command(verbs, "history", "baseline.history", "what was accepted when and why")
    history.add_argument("name", nargs="?", metavar="NAME")
    history.add_argument(
        "--metric",
        nargs="+",
        default=["accuracy", "second_call_rate"],
        metavar="M",
        help="which metrics to show (default: accuracy second_call_rate)",
    )
    history.add_argument("--png", type=_path, metavar="FILE", help="draw them over time, too")
    _rooted(history)


def _compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "compare", "run.compare", "runs or baselines side by side")
    command.add_argument("runs", nargs="+", metavar="RUN", help="two or more runs or baselines")
    _rooted(command)
    _outputs(command)


def _gate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "gate", "run.gate", "may this run replace the baseline?")
    command.add_argument("run", metavar="RUN")
    command.add_argument("--baseline", required=True, metavar="NAME")
    command.add_argument(
        "--anchor",
        metavar="NAME",
        help="a pinned baseline to hold the run against as well (default: the policy's)",
    )
    command.add_argument(
        "--policy",
        type=_path,
        metavar="FILE",
        help="default: gate.toml of the project, or else the built-in one",
    )
    command.add_argument(
        "--allow-mismatch",
        action="extend",
        nargs="+",
        default=[],
        metavar="FIELD",
        help="compare although FIELD differs: generation, dtype, batch, backend",
    )
    command.add_argument("--explain", action="store_true", help="say which rule decided and why")
    command.add_argument(
        "--no-recheck",
        action="store_true",
        help="do not decide again at batch size 1 what would block",
    )
    _rooted(command)
    _outputs(command)


def _explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(
        commands, "explain", "run.explain", "what was sent, what came, how it was read"
    )
    command.add_argument("run", metavar="RUN", help="a run's folder or a baseline")
    command.add_argument("case", metavar="CASE")
    command.add_argument(
        "--baseline", metavar="NAME", help="say where the answer first departs from this baseline's"
    )
    _rooted(command)


def _report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "report", "run.report", "one run in any form")
    command.add_argument("run", metavar="RUN", help="a run's folder or a baseline")
    _rooted(command)
    _outputs(command)


def _outputs(command: argparse.ArgumentParser) -> None:
    for name, what in (
        ("html", "one page with everything"),
        ("markdown", "for a pull request"),
        ("junit", "for a CI server"),
        ("json", "for programs"),
        ("lm-eval", "the new run as lm-evaluation-harness's results"),
        ("model-index", "the new run as metadata of a model card"),
    ):
        command.add_argument(f"--{name}", metavar="FILE", help=f"{what}; - prints it")
    command.add_argument(
        "--github",
        action="store_true",
        help="on GitHub Actions: a summary, outputs and annotations of the step",
    )


def _finetune(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "finetune", "run.finetune", "train a candidate with TRL")
    command.add_argument("--suite", help="its train.jsonl and valid.jsonl, its tools and system")
    command.add_argument("--train", type=_path, metavar="FILE", help="chat rows (JSON lines)")
    command.add_argument("--valid", type=_path, metavar="FILE")
    command.add_argument("--base", required=True, metavar="REF")
    command.add_argument("--out", type=_path, required=True, metavar="DIR")
    _rooted(command)
    command.add_argument("--epochs", type=_positive)
    command.add_argument("--batch-size", type=_positive)
    command.add_argument("--learning-rate", type=float)
    command.add_argument("--max-length", type=_positive, help="tokens of one row")
    command.add_argument("--seed", type=int)
    command.add_argument("--keep", choices=["best", "last"], help="which epoch's weights")
    command.add_argument("--lora", action="store_true", help="train an adapter (needs peft)")
    command.add_argument("--tensorboard", action="store_true", help="log for TensorBoard")
    command.add_argument("--push-to-hub", metavar="ORG/NAME", help="push the result")
    command.add_argument("--resume", action="store_true", help="go on after an interruption")
    _quiet(command)


def _suite(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("suite", help="make, check and release suites")
    verbs = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _rooted(_command(verbs, "list", "suite.show_all", "the suites here"))
    new = _command(verbs, "new", "suite.new", "a small working suite to start from")
    new.add_argument("name", metavar="NAME")
    _rooted(new)
    check = _command(verbs, "check", "suite.check", "what is wrong with a suite, by file and line")
    check.add_argument("suite", metavar="SUITE")
    _rooted(check)
    show = _command(verbs, "show", "suite.show", "a suite as a person reads it")
    show.add_argument("suite", metavar="SUITE")
    _rooted(show)
    release = _command(verbs, "release", "suite.release", "fix a version's content by its digest")
    release.add_argument("suite", metavar="SUITE")
    part = release.add_mutually_exclusive_group()
    for name in ("major", "minor", "patch"):
        part.add_argument(f"--{name}", dest="part", action="store_const", const=name)
    _rooted(release)
    take = _command(verbs, "import", "suite.take_in", "make a suite from files in another format")
    take.add_argument(
        "format", metavar="FORMAT", help="bfcl, chat-jsonl, tool-rows, mobile-actions"
    )
    take.add_argument("rows", nargs="*", type=_path, metavar="FILE", help="files of rows")
    for name, purpose in (
        ("questions", "bfcl: files of questions"),
        ("answers", "bfcl: files of possible answers"),
        ("tools", "tool-rows: the tools, a JSON list of function schemas"),
        ("train", "rows of the same format for train.jsonl"),
        ("valid", "rows of the same format for valid.jsonl"),
    ):
        take.add_argument(
            f"--{name}",
            action="extend",
            nargs="+",
            default=[],
            type=_path,
            metavar="F",
            help=purpose,
        )
    take.add_argument("--name", help="the suite's name (default: as the folder)")
    take.add_argument("--out", type=_path, required=True, metavar="DIR", help="the suite's folder")


def _need(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "need", "need.need", "how many cases a question needs")
    command.add_argument("--drop", type=_share, default=0.03, metavar="3pp", help="the true drop")
    command.add_argument(
        "--discordance",
        type=_share,
        default=0.05,
        metavar="5%",
        help="share of cases on which two equally good checkpoints differ",
    )


def _aa(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(
        commands,
        "aa",
        "aa.aa",
        "a checkpoint against itself: the noise, and what a gate can see",
    )
    command.add_argument("suite", metavar="SUITE", help="a suite's folder or name")
    command.add_argument("--checkpoint", required=True, metavar="REF", help=_CHECKPOINT)
    _rooted(command)
    command.add_argument("--out", type=_path, metavar="DIR", help="a folder for all the runs")
    command.add_argument("--repeats", type=_positive, default=1, metavar="K", help="K runs a kind")
    command.add_argument("--policy", type=_path, metavar="FILE", help="as for gate")
    command.add_argument("--batch-size", type=_positive, metavar="N")
    _how_to_ask(command)
    _tool_names(command)
    command.add_argument("--json", metavar="FILE", help="write it there; - prints it")
    _quiet(command)


def _latency(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(
        commands, "latency", "latency.latency", "two checkpoints timed in alternation"
    )
    command.add_argument("suite", nargs="?", metavar="SUITE", help="a suite's folder or name")
    command.add_argument("old", nargs="?", metavar="A", help=_CHECKPOINT)
    command.add_argument("new", nargs="?", metavar="B", help="the candidate")
    _rooted(command)
    command.add_argument(
        "--stored",
        type=_path,
        metavar="FILE",
        help="judge the times in FILE, from --benchmark-json, instead of measuring",
    )
    command.add_argument(
        "--rounds",
        type=_positive,
        default=1,
        metavar="R",
        help="answer every case 2R times with each (default: 1, old new new old)",
    )
    command.add_argument("--policy", type=_path, metavar="FILE", help="as for gate")
    _how_to_ask(command)
    _tool_names(command)
    command.add_argument("--json", metavar="FILE", help="write the verdict there; - prints it")
    command.add_argument(
        "--benchmark-json",
        type=_path,
        metavar="FILE",
        help="keep the times there",
    )
    _quiet(command)


def _path(text: str) -> Path:
    if not text.strip():
        # `Path("")` is the current folder, and what an unset variable leaves is not meant as that.
        raise argparse.ArgumentTypeError(f"{text!r} names nothing (is a variable unset?)")
    return Path(text)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _share(text: str) -> float:
    number = text.removesuffix("pp").removesuffix("%")
    try:
        value = float(number) / (100 if number != text else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: write 3pp, 3% or 0.03")
    return value
