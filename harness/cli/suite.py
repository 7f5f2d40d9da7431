"""
``harness suite list``, ``new``, ``check``, ``show``, ``release``, ``import``.
"""

import argparse

from harness.cli.output import table
from harness.errors import ExitCode
from harness.gating.noise import USUAL_DISCORDANCE
from harness.importers.convert import import_suite
from harness.provenance import date_today
from harness.reports.escape import line
from harness.stats import smallest_detectable_drop
from harness.suites.files import find_suites, load_suite
from harness.suites.lint.check import check as findings_of
from harness.suites.release import release as release_suite
from harness.suites.scaffold import new_suite
from harness.suites.summary import summarize
from harness.workflow.project import bundled_suites, open_project


def show_all(arguments: argparse.Namespace) -> int:
    """
    ``harness suite list``.
    """
    project = open_project(arguments.root)
    here = find_suites(project.suites)
    names = {path.name for path in here}
    bundled = [path for path in bundled_suites() if path.name not in names]
    rows = []
    for path in [*here, *bundled]:
        suite = load_suite(path)
        rows.append(
            [
                suite.name,
                suite.version,
                "yes" if suite.released else "no",
                len(suite.cases),
                len(suite.tools),
                "bundled" if path in bundled else str(path),
                suite.description,
            ]
        )
    table(["suite", "version", "released", "cases", "tools", "where", "description"], rows)
    return ExitCode.PASS


def new(arguments: argparse.Namespace) -> int:
    """
    ``harness suite new``.
    """
    project = open_project(arguments.root)
    print(f"made {new_suite(project.suites, arguments.name)}")
    print(f"next: edit cases.jsonl, then `harness suite check {arguments.name}`")
    return ExitCode.PASS


def check(arguments: argparse.Namespace) -> int:
    """
    ``harness suite check``: exit 1 with findings.
    """
    project = open_project(arguments.root)
    path = project.suite(arguments.suite)
    findings = findings_of(path, today=date_today())
    for finding in findings:
        print(line(str(finding)))
    print(f"{path}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}")
    return ExitCode.REGRESSED if findings else ExitCode.PASS


def show(arguments: argparse.Namespace) -> int:
    """
    ``harness suite show``.
    """
    project = open_project(arguments.root)
    summary = summarize(load_suite(project.suite(arguments.suite)))
    state = "released" if summary.released else "unreleased"
    print(line(f"{summary.name} {summary.version} ({state}): {summary.description}"))
    print(f"{summary.digest}\n")
    counts = {
        "cases": summary.cases,
        "turns": summary.turns,
        "groups": summary.groups,
        "must pass": summary.must_pass,
        "quarantined": summary.quarantined,
    }
    for title, part in (
        ("counts", counts),
        ("tags", summary.by_tag),
        ("expectations", summary.by_expectation),
        ("tools expected", summary.by_tool),
    ):
        listed = ", ".join(f"{n} {name}" for name, n in part.items()) or "none"
        print(line(f"{title}: {listed}"))
    drop = smallest_detectable_drop(summary.cases - summary.quarantined, USUAL_DISCORDANCE)
    found = "none at all" if drop is None else f"{100 * drop:.1f} points"
    print(
        f"smallest drop it can detect: {found} (80% power, alpha 5%, "
        f"{100 * USUAL_DISCORDANCE:g}% of cases flipping without cause)\n"
    )
    for identity, prompt, wanted in summary.samples:
        print(line(f"  {identity}: {prompt}"))
        print(line(f"    -> {wanted}"))
    return ExitCode.PASS


def release(arguments: argparse.Namespace) -> int:
    """
    ``harness suite release``.
    """
    project = open_project(arguments.root)
    done = release_suite(project.suite(arguments.suite), part=arguments.part, today=date_today())
    print(f"released {done.name} {done.version}: {done.digest}")
    return ExitCode.PASS


def take_in(arguments: argparse.Namespace) -> int:
    """
    ``harness suite import``: what was not carried over is printed, and is no failure.
    """
    kinds = ("rows", "questions", "answers", "tools", "train", "valid")
    made = import_suite(
        arguments.format,
        {kind: tuple(getattr(arguments, kind)) for kind in kinds},
        arguments.out,
        name=arguments.name,
        today=date_today(),
    )
    for note in made.notes:
        print(line(str(note)))
    quarantined = sum(case.quarantine is not None for case in made.suite.cases)
    counts = [f"{len(made.suite.cases)} cases", f"{quarantined} of them in quarantine"]
    counts += [f"{count} rows in {kind}.jsonl" for kind, count in made.training_rows.items()]
    counts.append(f"{len(made.notes) or 'no'} note{'' if len(made.notes) == 1 else 's'}")
    print(f"made {made.folder}: {', '.join(counts)}")
    print(f"next: `harness suite check {made.folder}`")
    return ExitCode.PASS
