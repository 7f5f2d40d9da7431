"""
A variant of a suite, written as a suite of its own: ``harness suite vary``.
"""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.documents import read_document, write_yaml
from harness.files import write_folder
from harness.suites.environment import FILES
from harness.suites.files import SUITE_FILE, load_suite
from harness.suites.parse import parse_suite
from harness.suites.suite import Suite
from harness.suites.vary.vary import Variation, vary
from harness.workflow.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class VariedSuite:
    """
    What was written.
    """

    folder: Path
    of: Suite
    suite: Suite
    altered: int
    """How many cases ask something else than before."""


def vary_suite(
    suite: str,
    variation: Variation,
    *,
    project: Project,
    out: Path | None = None,
    today: date | None = None,
) -> VariedSuite:
    """
    Write the variant of a suite of *project* into the folder *out* (default: beside the project's
    suites, under the variant's name).

    Raises:
        UsageError: if the folder is in the way, or the suite cannot be varied in this way.
        SuiteError: if the suite cannot be read.
    """
    source = project.suite(suite)
    whole = load_suite(source, today=today)
    varied = parse_suite(vary(whole, variation), f"the variant of {whole.name}")
    folder = out or project.suites / varied.name
    cases = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in varied.document["cases"])
    settings = {**varied.document, "tools": "tools.json", "cases": "cases.jsonl"}
    world = read_document(source / SUITE_FILE).value.get("environment")
    if world is not None:
        settings["environment"] = world  # as it is written, which names files
    write_folder(
        folder,
        {
            **{
                name: (source / name).read_text("utf-8")
                for name in (world or {}).values()
                if isinstance(name, str) and name.endswith(FILES)
            },
            SUITE_FILE: write_yaml(settings),
            "tools.json": json.dumps(varied.document["tools"], indent=1, ensure_ascii=False) + "\n",
            "cases.jsonl": cases,
            "README.md": f"# {varied.name}\n\n{varied.description}. Made by `harness suite vary`: "
            f"change {whole.name} and make it again, rather than edit it.\n",
        },
    )
    altered = sum(
        now.digest != then.digest for now, then in zip(varied.cases, whole.cases, strict=True)
    )
    return VariedSuite(folder=folder, of=whole, suite=varied, altered=altered)
