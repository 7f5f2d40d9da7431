"""
Files of a checkpoint as they would ship, each gated against it: the table in docs/gate.md.

    python -m tests.engines.export_gate --checkpoint DIR --work DIR [--write docs/gate.md]

The checkpoint is a fine-tuned one of the embedded model's family, such as that of the demo. It
answers the demo's cases in this package's engine, its files in llama.cpp. The file in F32 has the
very weights and so tells what the engine does; in another a single block of 32 weights is damaged.
What is in the work folder already is not made again.
"""

import argparse
import json
from pathlib import Path

from tabulate import tabulate

from harness.canonical import as_written
from harness.cli.demo import demo_suite
from harness.comparison.divergence import Divergence
from harness.comparison.export import margin
from harness.gating.decision import Gated
from harness.runs.store import StoredRun
from harness.suites.files import SUITE_FILE, VERSIONS_FILE
from harness.wording import percent
from harness.workflow.gate import gate
from harness.workflow.options import RunOptions
from harness.workflow.project import Project, open_project
from harness.workflow.run import run
from tests.benchmarks.ways import write
from tests.engines.gguf_export import damage, embedded_gguf, export

TREE = Path(__file__).parent.parent.parent
BASE = "smollm2-135m"
KINDS = ("F32", "Q8_0", "Q4_1")
DAMAGED = "Q8_0, one block damaged"
MARK = "exports"


def file_of(model: Path, base: str, work: Path, kind: str) -> Path:
    """
    Return *model*, made from the embedded model *base*, as a file of a kind.
    """
    file = work / f"{kind}.gguf"
    return file if file.exists() else export(model, embedded_gguf(work, base), file, kind)


def project_in(work: Path, cases: int, tokens: int) -> tuple[Project, Path]:
    """
    Return the project and, written to *work*, a suite of so many of the demo's *cases*, with
    answers of so many *tokens* at most.
    """
    project = open_project(TREE)
    suite = demo_suite(project, work)
    document = json.loads((suite / SUITE_FILE).read_text("utf-8"))
    document["cases"] = document["cases"][:: len(document["cases"]) // cases][:cases]
    document["generation"] = {"max_new_tokens": tokens}
    (suite / SUITE_FILE).write_text(as_written(document) + "\n", "utf-8")
    (suite / VERSIONS_FILE).unlink(missing_ok=True)
    return project, suite


def answered(
    project: Project, suite: Path, checkpoint: str, folder: Path, **options: bool
) -> StoredRun:
    """
    Return the run of a checkpoint, made unless it is there.
    """
    return run(
        str(suite),
        checkpoint,
        project=project,
        out=folder,
        options=RunOptions(reuse=True, **options),
    )


def gated(model: Path, work: Path, cases: int, tokens: int) -> dict[str, Gated]:
    """
    Run the checkpoint and its files, and return the verdict on each file.
    """
    project, suite = project_in(work, cases, tokens)
    parent = answered(project, suite, str(model), work / "parent")
    files = {kind: file_of(model, BASE, work, kind) for kind in KINDS}
    damaged = work / "damaged.gguf"
    files[DAMAGED] = damaged if damaged.exists() else damage(files["Q8_0"], damaged)
    runs = {
        kind: answered(project, suite, f"llamacpp:{file}", work / file.stem)
        for kind, file in files.items()
    }
    verdicts = {}
    for kind, made in runs.items():
        control = () if kind == "F32" else (runs["F32"],)
        verdicts[kind] = gate(
            parent, made, project=project, export=True, engine_control=control, logits=True
        )
    return verdicts


def table(verdicts: dict[str, Gated]) -> str:
    """
    Return the verdicts as a table in Markdown.
    """
    rows = []
    for kind, found in verdicts.items():
        change = found.verdict.export
        assert change is not None
        part = change.control
        rows.append(
            (
                f"`{kind}`" if kind != DAMAGED else DAMAGED,
                f"{change.changed_answers} of {change.answers}",
                percent(found.verdict.metrics["accuracy"].new or 0.0),
                "" if part is None else f"{100 * part.by_engine:+.1f}",
                "" if part is None else f"{100 * part.by_quantisation:+.1f}",
                found.verdict.verdict,
            )
        )
    head = ("file", "changed answers", "accuracy", "engine", "quantisation", "verdict")
    return f"{tabulate(rows, head, tablefmt='github', disable_numparse=True)}\n"


def said(found: Gated) -> str:
    """
    Return what the gate prints of one export, and where its first answers part.
    """
    change = found.verdict.export
    assert change is not None
    lines = [f"{found.verdict.verdict}: {found.verdict.reasons[0]}", str(change)]
    lines += map(_departure, change.first.first[:3])
    return "```text\n{}\n```\n".format("\n".join(lines))


def _departure(found: Divergence) -> str:
    by = margin(found)
    near = "" if by is None else f", which the parent preferred by {by:.2f}"
    return f"{found.key.case}: token {found.token} is {found.new!r} and was {found.old!r}{near}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    model, work = given.checkpoint.resolve(), given.work.resolve()
    verdicts = gated(model, work, given.cases, given.tokens)
    text = f"{table(verdicts)}\nOf Q4_1 the gate says:\n\n{said(verdicts['Q4_1'])}"
    print(text)
    if given.write:
        write(given.write, text, MARK)


if __name__ == "__main__":
    main()
