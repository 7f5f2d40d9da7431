"""
``harness suite list``, ``new``, ``check``, ``show``, ``release``, ``import``,
``vary``.
"""

import argparse
import shlex
from typing import TYPE_CHECKING

from harness.cli.options import (
    add_command,
    add_environment,
    add_group,
    add_json,
    add_root,
    add_suite,
    members,
    path,
    positive,
)
from harness.cli.output import table, wrote_json
from harness.cli.parser import Commands, Parser
from harness.errors import ExitCode, UsageError
from harness.reports.escape import line
from harness.wording import count

if TYPE_CHECKING:
    from harness.importers.writing.update import Updated
    from harness.suites.vary.vary import Tools
    from harness.workflow.audit import Audit


def add_parser(commands: Commands) -> None:
    """
    Declare the options of the commands.
    """
    verbs = add_group(commands, "suite", "make, check and release suites")
    listed = add_command(verbs, "list", run_list, "list the suites of the project")
    add_json(listed)
    add_root(listed)
    new = add_command(verbs, "new", run_new, "make a small working suite to start from")
    new.add_argument(
        "name", metavar="NAME", help="the name of the suite and of its folder under suites/"
    )
    add_root(new)
    check = add_command(verbs, "check", run_check, "list problems of a suite, by file and line")
    add_suite(check)
    add_environment(check)
    add_root(check)
    show = add_command(verbs, "show", run_show, "show what is in a suite")
    add_suite(show)
    add_json(show)
    add_root(show)
    release = add_command(
        verbs, "release", run_release, "pin a version to the digest of its content"
    )
    add_suite(release)
    part = release.add_mutually_exclusive_group()
    for name in ("major", "minor", "patch"):
        part.add_argument(
            f"--{name}",
            dest="part",
            action="store_const",
            const=name,
            help=f"increment the {name} version first (default: release the version in suite.yaml)",
        )
    add_root(release)
    _add_vary(
        add_command(verbs, "vary", run_vary, "make a suite of the same cases, asked otherwise")
    )
    rows = add_command(
        verbs, "rows", run_rows, "make chat rows of an executed suite's training cases"
    )
    add_suite(rows)
    rows.add_argument(
        "--cases",
        type=path,
        required=True,
        metavar="FILE",
        help="the training cases, in the format of cases.jsonl; none may ask what the suite asks",
    )
    rows.add_argument(
        "--out", type=path, required=True, metavar="FILE", help="where the rows are written"
    )
    add_environment(rows)
    add_root(rows)
    take = add_command(verbs, "import", run_import, "make a suite from files in another format")
    take.declare_late(lambda: _add_import(take))


def _add_vary(vary: Parser) -> None:
    add_suite(vary)
    vary.add_argument(
        "--tools",
        nargs="+",
        metavar="HOW",
        help="shuffled: each case offers its tools in another order; distractors N: N more tools "
        "that no case speaks of; renamed: under names that say nothing",
    )
    vary.add_argument(
        "--prompt",
        choices=("lower", "polite", "typos"),
        help="what users say: without capitals, between words of politeness (English), or with "
        "typing errors; words that the expectation names stay as they are",
    )
    vary.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="another number makes other choices (default: %(default)s)",
    )
    vary.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="the variant's folder (default: beside the suites, by the suite's name and HOW)",
    )
    add_root(vary)


def _add_import(take: Parser) -> None:
    from harness.importers.registry import added, names

    take.add_argument("format", metavar="FORMAT", type=_format, help=members(names(), added()))
    take.add_argument(
        "rows",
        nargs="*",
        type=path,
        metavar="FILE",
        help="files of rows; sheet and tool-rows read CSV and .xlsx",
    )
    for name, purpose in (
        ("questions", "bfcl: files of questions"),
        ("answers", "bfcl: files of possible answers"),
        ("tools", "sheet, tool-rows: the tools, a JSON list of function schemas"),
        ("train", "rows of the same format for train.jsonl"),
        ("valid", "rows of the same format for valid.jsonl"),
    ):
        take.add_argument(
            f"--{name}",
            action="extend",
            nargs="+",
            default=[],
            type=path,
            metavar="F",
            help=purpose,
        )
    take.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="openai-log: at most so many cases, those that show all tools alike (default: 500)",
    )
    take.add_argument("--name", metavar="NAME", help="the suite's name (default: as the folder)")
    into = take.add_mutually_exclusive_group(required=True)
    into.add_argument("--out", type=path, metavar="DIR", help="the suite's folder")
    into.add_argument(
        "--template",
        type=path,
        metavar="DIR",
        help="sheet: write rows and tools to start from into DIR, and import nothing",
    )
    take.add_argument(
        "--update",
        action="store_true",
        help="merge the cases by id into the suite in --out: what was edited there stays, and no "
        "case is removed",
    )


def _format(name: str) -> str:
    """
    Return the name of a format as it is, once it is known to be one: what else is missing matters
    only then.

    Raises:
        UsageError: if it is not.
    """
    from harness.importers.registry import importer

    return importer(name).name


def run_list(arguments: argparse.Namespace) -> int:
    """
    Print the suites of the project and those that are bundled.
    """
    from harness.suites.files import find_suites, load_suite
    from harness.workflow.project import bundled_suites, open_project

    project = open_project(arguments.root)
    here = find_suites(project.suites)
    names = {folder.name for folder in here}
    bundled = [folder for folder in bundled_suites() if folder.name not in names]
    found = []
    for folder in [*here, *bundled]:
        suite = load_suite(folder)
        found.append(
            {
                "suite": suite.name,
                "version": suite.version,
                "released": suite.released,
                "cases": len(suite.cases),
                "tools": len(suite.tools),
                "folder": str(folder),
                "bundled": folder in bundled,
                "description": suite.description,
            }
        )
    if not wrote_json(found, arguments.json):
        head = ["suite", "version", "released", "cases", "tools", "where", "description"]
        table(
            head,
            [
                [
                    each["suite"],
                    each["version"],
                    "yes" if each["released"] else "no",
                    each["cases"],
                    each["tools"],
                    "bundled" if each["bundled"] else each["folder"],
                    each["description"],
                ]
                for each in found
            ],
        )
    return ExitCode.PASS


def run_new(arguments: argparse.Namespace) -> int:
    """
    Make a suite to start from.
    """
    from harness.suites.scaffold import new_suite
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    print(f"made {new_suite(project.suites, arguments.name)}")
    print(f"next: edit cases.jsonl, then `harness suite check {arguments.name}`")
    return ExitCode.PASS


def run_check(arguments: argparse.Namespace) -> int:
    """
    Print the findings about a suite; exit 1 if there are any.
    """
    from harness.provenance import date_today
    from harness.suites.lint.check import check
    from harness.workflow.audit import audit
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    folder = project.suite(arguments.suite)
    findings = check(folder, today=date_today())
    played = audit(folder, date_today(), environment=arguments.environment)
    if played is not None:
        findings += played.findings
    for finding in findings:
        print(line(str(finding)))
    if played is not None:
        _show_agents(played)
    print(f"{folder}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}")
    if findings:
        return ExitCode.REGRESSED
    print(f"next: `harness run {shlex.quote(arguments.suite)} --checkpoint REF`")
    return ExitCode.PASS


def _show_agents(played: "Audit") -> None:
    """
    Print what agents without a model pass, and which cases one passes that does nothing.
    """
    table(
        ["agent", "passes", "of"],
        [[name, len(ids), played.cases] for name, ids in played.passed.items()],
    )
    if free := played.passed["nothing"]:
        print(line(f"passed by doing nothing: {', '.join(free)}"))


def run_show(arguments: argparse.Namespace) -> int:
    """
    Print what is in a suite.
    """
    from harness.gating.noise import USUAL_DISCORDANCE
    from harness.stats import smallest_detectable_drop
    from harness.suites.files import load_suite
    from harness.suites.summary import summarize
    from harness.workflow.project import open_project

    project = open_project(arguments.root)
    summary = summarize(load_suite(project.suite(arguments.suite)))
    drop = smallest_detectable_drop(summary.counted, USUAL_DISCORDANCE)
    data = {name: getattr(summary, name) for name in summary.__slots__}
    if wrote_json(data | {"smallest_detectable_drop": drop}, arguments.json):
        return ExitCode.PASS
    state = "released" if summary.released else "unreleased"
    print(line(f"{summary.name} {summary.version} ({state}): {summary.description}"))
    print(f"{summary.digest}\n")
    counts = {
        "cases": summary.cases,
        "turns": summary.turns,
        "groups": summary.groups,
        "must pass": summary.must_pass,
        "quarantined": summary.quarantined,
        **({"proposed": summary.proposed} if summary.proposed else {}),
    }
    for title, part in (
        ("counts", counts),
        ("tags", summary.by_tag),
        ("expectations", summary.by_expectation),
        ("tools expected", summary.by_tool),
    ):
        listed = ", ".join(f"{n} {name}" for name, n in part.items()) or "none"
        print(line(f"{title}: {listed}"))
    found = "none at all" if drop is None else f"{100 * drop:.1f} points"
    print(
        f"smallest drop it can detect: {found} (80% power, alpha 5%, "
        f"{100 * USUAL_DISCORDANCE:g}% of cases flipping without cause)\n"
    )
    for identity, prompt, wanted in summary.samples:
        print(line(f"  {identity}: {prompt}"))
        print(line(f"    -> {wanted}"))
    return ExitCode.PASS


def run_release(arguments: argparse.Namespace) -> int:
    """
    Pin a version to the digest of its content.
    """
    from harness.provenance import date_today
    from harness.workflow.project import open_project
    from harness.workflow.release import release

    project = open_project(arguments.root)
    done = release(arguments.suite, project=project, part=arguments.part, today=date_today())
    print(f"released {done.name} {done.version}: {done.digest}")
    return ExitCode.PASS


def run_vary(arguments: argparse.Namespace) -> int:
    """
    Make a variant of a suite.
    """
    from harness.provenance import date_today
    from harness.suites.vary.vary import Variation
    from harness.workflow.project import open_project
    from harness.workflow.vary import vary_suite

    tools, many = _how_tools(arguments.tools)
    variation = Variation(
        tools=tools, distractors=many, prompt=arguments.prompt, seed=arguments.seed
    )
    made = vary_suite(
        arguments.suite,
        variation,
        project=open_project(arguments.root),
        out=arguments.out,
        today=date_today(),
    )
    cases = count(len(made.suite.cases), "case")
    print(line(f"made {made.folder}: {cases}, {made.altered} of them altered"))
    print(
        line(
            f"next: `harness run {shlex.quote(str(made.folder))} --checkpoint REF --out RUN`, then "
            f"`harness gate RUN --baseline {made.of.name}/NAME`"
        )
    )
    return ExitCode.PASS


def _how_tools(words: list[str] | None) -> "tuple[Tools | None, int]":
    """
    Return what is done with the tools, and how many are added.

    Raises:
        UsageError: if the words of the option say neither.
    """
    match words or []:
        case []:
            return None, 0
        case ["shuffled"]:
            return "shuffled", 0
        case ["renamed"]:
            return "renamed", 0
        case ["distractors", number] if number.isdecimal() and int(number) > 0:
            return "distractors", int(number)
    raise UsageError(
        f"--tools {' '.join(words or [])}: write shuffled, renamed, or distractors and how many"
    )


def run_rows(arguments: argparse.Namespace) -> int:
    """
    Make chat rows, and name the training cases that made none; exit 1 if any leaks.
    """
    from harness.workflow.project import open_project
    from harness.workflow.rows import make_rows

    made = make_rows(
        arguments.suite,
        arguments.cases,
        project=open_project(arguments.root),
        out=arguments.out,
        environment=arguments.environment,
    )
    for case, reason in made.left_out.items():
        print(line(f"left out: {case}: {reason}"))
    for case, other in made.leaks.items():
        print(line(f"leak: {case} asks nearly what case {other} of the suite asks; it made no row"))
    print(f"{arguments.out}: {count(len(made.rows), 'row')}")
    return ExitCode.REGRESSED if made.leaks else ExitCode.PASS


def run_import(arguments: argparse.Namespace) -> int:
    """
    Make a suite from foreign files, or merge them into one: what was not carried over is printed
    and is not a failure.
    """
    from harness.importers.writing.convert import import_suite, update_suite
    from harness.provenance import date_today

    if arguments.template is not None:
        return _write_template(arguments)
    kinds = ("rows", "questions", "answers", "tools", "train", "valid")
    sources = {kind: tuple(getattr(arguments, kind)) for kind in kinds}
    if arguments.update:
        if arguments.name is not None:
            raise UsageError("--update keeps the suite's name; drop --name")
        done = update_suite(
            arguments.format, sources, arguments.out, limit=arguments.limit, today=date_today()
        )
        _show_update(done)
        return ExitCode.PASS
    made = import_suite(
        arguments.format,
        sources,
        arguments.out,
        name=arguments.name,
        limit=arguments.limit,
        today=date_today(),
    )
    for note in made.notes:
        print(line(str(note)))
    quarantined = sum(case.quarantine is not None for case in made.suite.cases)
    counts = [count(len(made.suite.cases), "case"), f"{quarantined} of them in quarantine"]
    if proposed := sum(case.proposed for case in made.suite.cases):
        counts.append(f"{proposed} proposed, which count once they are confirmed")
    counts += [f"{count(many, 'row')} in {kind}.jsonl" for kind, many in made.training_rows.items()]
    counts.append(count(len(made.notes), "note") if made.notes else "no notes")
    print(f"made {made.folder}: {', '.join(counts)}")
    print(f"next: `harness suite check {made.folder}`")
    return ExitCode.PASS


def _write_template(arguments: argparse.Namespace) -> int:
    from harness.importers.registry import importer
    from harness.importers.writing.convert import write_template

    given = ("rows", "questions", "answers", "tools", "train", "valid", "name", "update", "limit")
    if any(getattr(arguments, name) for name in given):
        raise UsageError("--template imports nothing; drop what is to be imported")
    written = write_template(arguments.format, arguments.template)
    for file in written:
        print(f"wrote {file}")
    words = ["harness", "suite", "import", arguments.format]
    takes = importer(arguments.format).takes
    # Rows first: after an option they would be files of that option.
    for kind in sorted(takes, key=lambda kind: kind != "rows"):
        files = [str(file) for file in written if file.stem == kind]
        if takes[kind] and not files:
            return ExitCode.PASS
        if files:
            words += files if kind == "rows" else [f"--{kind}", *files]
    print(f"next: put your own rows there, then `{shlex.join(words)} --out suites/NAME`")
    return ExitCode.PASS


def _show_update(done: "Updated") -> None:
    for note in done.notes:
        print(line(str(note)))
    for title, cases in (
        ("added", done.added),
        ("changed", [f"{case} ({', '.join(parts)})" for case, parts in done.changed.items()]),
        ("gone from the source, kept here", done.gone),
        ("removed here by hand, not added again", done.removed),
    ):
        if cases:
            print(line(f"{title}: {', '.join(cases)}"))
    for kept in done.kept:
        print(line(f"edited here and kept: {kept}"))
    counts = [
        count(len(done.suite.cases), "case"),
        f"{len(done.added)} added",
        f"{len(done.changed)} changed",
        count(len(done.kept), "conflict"),
        f"{len(done.gone)} gone from the source",
    ]
    print(f"updated {done.folder}: {', '.join(counts)}")
    print(f"next: `harness suite check {done.folder}`")
