"""
Releases that public outputs and stored baselines allow to replay, written down as a page.

``python -m tests.worked_examples --write docs/worked-examples.md`` makes the page; it needs the
data that `test_bfcl_agreement` names. `test_worked_examples` holds the page to it.
"""

import argparse
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from harness.gating.policy import default_policy
from harness.gating.verdict import Verdict
from harness.importers.writing.convert import import_suite
from harness.runs.store import StoredRun, load_run
from harness.workflow import run as workflow
from harness.workflow.gate import gate
from harness.workflow.options import RunOptions
from harness.workflow.project import Project

from .test_bfcl_agreement import DATA, GRANITE, HERMES, PROMPTED, READ_BY, STRUCTURED

TODAY = date(2026, 11, 22)
"""Before any quarantine of the suite ends."""

_HEAD = """\
# Worked examples

Gates on real outputs. Two on 1,240 public questions of the Berkeley Function Calling Leaderboard
(single turn, Apache-2.0), and the answers of four models, replayed; two on baselines that come with
this repository. Made by `python -m tests.worked_examples --write docs/worked-examples.md`, with the
data in the folder that `HARNESS_BFCL_DIR` names; a test holds every figure here to it.

```
harness suite import bfcl --questions questions/*.json --answers possible_answer/*.json \\
    --out suites/bfcl
harness run bfcl --checkpoint replay:transcripts/MODEL.jsonl.gz --dialect DIALECT \\
    --out reports/MODEL
harness baseline save reports/OLD --name shipped
harness gate reports/NEW --baseline shipped
```
"""

_EXAMPLES = (
    (
        "Format, not decisions",
        STRUCTURED,
        PROMPTED,
        """\
A small model behind a tool-calling API is to be replaced by a larger one that is prompted to write
its calls as text. The larger one puts most of its answers into a code fence, which the strict
reading refuses.""",
        """\
A product that reads as strictly would lose these calls, so the gate blocks. But the note says where
to look: not at the weights, but at the prompt or the parser. What the lenient reading repairs is
never counted as right; it is shown separately.""",
    ),
    (
        "Better, and blocked anyway",
        HERMES,
        GRANITE,
        """\
The candidate is right far more often. But it has a new habit: after the right call, it makes one
more.""",
        """\
Accuracy passes by a wide margin, yet some cases newly make a needless call and none stopped making
one. A zero margin does not average. To ship this anyway, write the new limit down, such as
`second_call_rate = "+2pp"`.""",
    ),
)


_STORED = (
    (
        "Longer, or only other answers",
        "after-result",
        "smollm2-135m-tuned",
        "smollm2-135m-device",
        """\
The median answer got a fifth longer, over all answers from 40 to 48 tokens. But most of these
answers are wrong in one run or the other, and nearly all have another length than before.""",
        """\
Lengths are compared over answers that are right in both runs, answer by answer. The typical one did
not get longer, so the length is not called worse; it is not shown to be within a tenth either,
which takes more right answers. The medians of these answers, 45 and 52, would have called it
worse.""",
    ),
    (
        "Nothing changed, and little was shown",
        "device-actions",
        "smollm2-135m",
        "smollm2-135m-tuned",
        """\
Both checkpoints get every case wrong. No case broke; but the 175 cases are 41 templates, and cases
of one template tend to break together.""",
        """\
Nothing that counts changed and nothing was ever right, so nothing tells how alike the cases of a
template are. Before anything is seen that is taken to be 0.6, and 175 such cases are worth 57 that
have nothing to do with each other: too few to rule out a loss of 3 points, which takes 99. A gate
that counted 175 would pass, and would pass a loss that hits three templates in a hundred in more
than one such comparison in four, those in which it happens to hit none of the 41. If all answers
were the same to the token, it would pass as "nothing changed"; here they differ.""",
    ),
)
"""Gates of baselines that come with the repository: suite, old, new."""

_BEFORE = """\
Each stored baseline gated against the one before it, under the built-in policy: what the gate said
when it judged how alike the cases of a template are by what changed alone, and held medians of
lengths over all answers to a tenth, and what it says now.
"""

_CHANGED = {
    ("tool-routing", "base"): ("pass", ""),
    ("tool-routing", "tuned"): ("regressed", ""),
    ("device-actions", "base"): (
        "pass",
        "175 cases of 41 templates are worth 57, too few to rule out a loss of 3 points",
    ),
    ("device-actions", "tuned"): ("pass", ""),
    ("abstention", "base"): ("regressed", ""),
    ("abstention", "tuned"): (
        "regressed",
        "lengths alone had decided, over wrong answers; accuracy is not shown to be kept",
    ),
    ("parallel-calls", "base"): (
        "pass",
        "174 cases of 56 templates are worth 72, too few to rule out a loss of 3 points",
    ),
    ("parallel-calls", "tuned"): (
        "regressed",
        "lengths alone had decided, and no answer is right in both runs",
    ),
    ("after-result", "base"): ("regressed", ""),
    ("after-result", "tuned"): ("regressed", "now by accuracy alone, no longer by lengths, too"),
}
"""(suite, old) -> what the gate said before, and why that changed."""

_NAMES = {"base": "smollm2-135m", "tuned": "smollm2-135m-tuned", "device": "smollm2-135m-device"}


def page(folder: Path) -> str:
    """
    Replay, gate and tell; *folder* takes the suite and the runs.
    """
    return "\n".join([_HEAD, *_examples(folder), *_stored(), *_before_and_now()])


def _examples(folder: Path) -> Iterator[str]:
    project = Project(
        root=folder,
        suites=folder / "suites",
        baselines=folder / "baselines",
        reports=folder / "reports",
    )
    import_suite(
        "bfcl",
        {
            "questions": tuple(sorted((DATA / "questions").glob("*.json"))),
            "answers": tuple(sorted((DATA / "possible_answer").glob("*.json"))),
        },
        project.suites / "bfcl",
        today=TODAY,
    )
    for title, old, new, before, after in _EXAMPLES:
        runs = [_replayed(project, model) for model in (old, new)]
        verdict = gate(*runs, default_policy(), project=project, recheck=False, today=TODAY).verdict
        yield f"## {title}\n\n{before}\n"
        yield f"Old: `{old}`, {_read_as(old)}.\nNew: `{new}`, {_read_as(new)}.\n"
        yield from _told(verdict)
        yield f"```\n\n{_readings(runs)}\n\n{after}\n"


def _stored() -> Iterator[str]:
    root = Path(__file__).parent.parent
    for title, suite, old, new, before, after in _STORED:
        runs = [load_run(root / "baselines" / suite / name) for name in (old, new)]
        verdict = gate(*runs, default_policy(), recheck=False, today=TODAY).verdict
        yield f"## {title}\n\n{before}\n"
        yield f"Suite `{suite}`; old: `{old}`, new: `{new}`, both under `baselines/`.\n"
        yield from _told(verdict)
        yield f"```\n\n{after}\n"


def _before_and_now() -> Iterator[str]:
    root = Path(__file__).parent.parent / "baselines"
    yield f"## The stored baselines, before and now\n\n{_BEFORE}"
    yield "| suite | old | new | before | now | why |"
    yield "|---|---|---|---|---|---|"
    for (suite, old), (before, why) in _CHANGED.items():
        new = "tuned" if old == "base" else "device"
        runs = [load_run(root / suite / _NAMES[name]) for name in (old, new)]
        now = gate(*runs, default_policy(), recheck=False, today=TODAY).verdict.verdict
        yield f"| {suite} | {old} | {new} | {before} | {now} | {why or 'unchanged'} |"
    yield ""


def _told(verdict: Verdict) -> Iterator[str]:
    yield "```"
    yield f"{verdict.verdict} (exit {int(verdict.exit)})"
    yield from (f"- {reason}" for reason in verdict.reasons)
    yield from (f"- note: {note}" for note in verdict.notes)


def _replayed(project: Project, model: str) -> StoredRun:
    dialect, tool_names = READ_BY[model]
    return workflow.run(
        "bfcl",
        f"replay:{DATA / 'transcripts' / model}.jsonl.gz",
        project=project,
        out=project.reports / model,
        options=RunOptions(dialect=dialect, tool_names=tool_names),
        today=TODAY,
    )


def _read_as(model: str) -> str:
    dialect, tool_names = READ_BY[model]
    return f"`--dialect {dialect}" + (f" --tool-names {tool_names}`" if tool_names else "`")


def _readings(runs: list[StoredRun]) -> str:
    """
    Both readings of both runs.
    """
    lines = [
        "| | scored | right as read strictly | right as read leniently |",
        "|---|---:|---:|---:|",
    ]
    for name, run in zip(("old", "new"), runs, strict=True):
        scored = [case for case in run.record.cases if case.scored]
        strict = sum(case.status == "correct" for case in scored)
        lenient = sum(case.status_lenient == "correct" for case in scored)
        cells = (f"{many:,} ({many / len(scored):.1%})" for many in (strict, lenient))
        lines.append(f"| {name} | {len(scored):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """
    Write the page.
    """
    parser = argparse.ArgumentParser(description="replay and gate public outputs")
    parser.add_argument("--write", type=Path, required=True, metavar="FILE")
    target = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        target.write_text(page(Path(folder)), "utf-8")


if __name__ == "__main__":
    main()
