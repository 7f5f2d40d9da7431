"""
Gemma 3 270M before and after training, and as a file in llama.cpp: the table in docs/gemma.md.

    python -m tests.engines.gemma --work DIR [--cases 120] [--tokens 128] [--write docs/gemma.md]

Its licence has to be accepted (HARNESS_ACCEPT_LICENCE=gemma). It is trained by the recipe of the
guide on the rows of tool-routing, and asked the demo's cases. What is in the work folder already is
not made again.
"""

import argparse
import time
from pathlib import Path

from tabulate import tabulate

from harness.finetuning import finished
from harness.gating.decision import Gated
from harness.gating.policy import default_policy
from harness.runs.record import MetricValue
from harness.runs.store import StoredRun
from harness.scoring.results import CaseResult
from harness.workflow.finetune import finetune
from harness.workflow.gate import gate
from tests.benchmarks.ways import write
from tests.engines.export_gate import answered, file_of, project_in

BASE = "gemma3-270m"
MARK = "gemma"
SHIPPED = "Q8_0"
EXPORTED = f"after, {SHIPPED} file in llama.cpp"


def measure(work: Path, cases: int, tokens: int) -> str:
    """
    Make what is missing in *work*, and return the section.
    """
    project, suite = project_in(work, cases, tokens)
    model = work / "model"
    began = time.monotonic()
    if finished(model) is None:
        finetune(project=project, base=f"embedded:{BASE}", suite="tool-routing", out=model)
    runs = {
        "before": answered(project, suite, f"embedded:{BASE}", work / "base"),
        "after": answered(project, suite, str(model), work / "candidate", latency=True),
    }
    file = file_of(model, BASE, work, SHIPPED)
    runs[EXPORTED] = answered(project, suite, f"llamacpp:{file}", work / SHIPPED)
    verdicts = (
        gate(runs["before"], runs["after"], default_policy(), project=project, recheck=False),
        gate(runs["after"], runs[EXPORTED], project=project, export=True),
    )
    print(f"{(time.monotonic() - began) / 60:.1f} minutes for what was missing")
    return section(runs, verdicts, model)


def section(runs: dict[str, StoredRun], verdicts: tuple[Gated, Gated], model: Path) -> str:
    """
    Return the table, the losses, and what the gates say.
    """
    rows = [(name, *_row(run)) for name, run in runs.items()]
    head = (
        "Gemma 3 270M",
        *("right", "right tool", "right tool, plain cases"),
        *("second calls", "calls read", "one answer (p50)"),
    )
    trained = finished(model)
    assert trained is not None
    trained_gate, export_gate = (found.verdict for found in verdicts)
    gates = (
        f"- The gate of the trained against the untrained: {trained_gate.verdict}: "
        f"{trained_gate.reasons[0]}.\n"
        f"- The gate of the export against its parent: {export_gate.verdict}: "
        f"{export_gate.reasons[0]}; {export_gate.export}."
    )
    losses = ", ".join(f"{each.valid:.2f}" for each in trained.losses)
    return (
        f"{tabulate(rows, head, tablefmt='github', disable_numparse=True)}\n\n"
        f"Training took {trained.seconds / 60:.0f} minutes. Validation loss: "
        f"{trained.valid_before:.2f} before, then by epoch {losses}.\n\n{gates}\n"
    )


def _row(run: StoredRun) -> tuple[str, ...]:
    metrics = run.record.metrics
    right = metrics["accuracy"]
    plain = [case for case in run.record.cases if "plain" in case.tags]
    hit = sum(_right_tool(case) for case in plain)
    answered = [turn for case in run.record.cases for turn in case.turns]
    read = sum(bool(turn.calls) for turn in answered)
    latency = metrics["latency_ms_p50"].value
    return (
        f"{right.hits} of {right.eligible}: {_rate(right)}",
        _rate(metrics["tool_accuracy"]),
        f"{hit} of {len(plain)}",
        _rate(metrics["second_call_rate"]),
        f"{read} of {len(answered)}",
        "" if latency is None else f"{latency:,.0f} ms",
    )


def _right_tool(case: CaseResult) -> bool:
    """
    Return whether the expected tool was called and no other: what the guide counts.
    """
    return not {finding.code for turn in case.turns for finding in turn.findings} & {
        *("no_call", "wrong_tool", "undeclared_tool", "missing_call", "extra_call"),
        *("malformed_call", "unfinished_call"),
    }


def _rate(found: MetricValue) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "none eligible"
    low, high = 100 * found.low, 100 * found.high
    return f"{100 * found.value:.1f}% ({low:.1f} to {high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    text = measure(given.work.resolve(), given.cases, given.tokens)
    print(text)
    if given.write:
        write(given.write, text, MARK)


if __name__ == "__main__":
    main()
