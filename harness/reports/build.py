"""
The results of the workflow's steps as the `Report` that every renderer takes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from harness.canonical import canonical_json
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.digests import holds_weights
from harness.checkpoints.reference import parse_reference
from harness.comparison.divergence import Divergences
from harness.comparison.stack import StackCost
from harness.dialects.reading import read
from harness.dialects.registry import spoken_by
from harness.errors import HarnessError
from harness.finetuning import Finetuned, finished
from harness.gating.decision import Compared, Gated, GatedRelease
from harness.gating.ranking import Ranking
from harness.lazy import Lazily
from harness.reports.conversation import key_of
from harness.reports.report import Asked, Report, RunView
from harness.runs.store import StoredRun
from harness.scoring.tool_names import shown_case
from harness.suites.copies import CopiedCase
from harness.suites.suite import Case
from harness.transcript import Key, Transcript
from harness.wording import count
from harness.workflow.divergence import diverging

Subject = Report | StoredRun | Compared | GatedRelease
"""What a report can be made of: a run, two compared runs, a verdict on one suite or several, or a
report itself."""


def view(
    run: StoredRun,
    name: str | None = None,
    *,
    instead: Mapping[Key, Transcript] = MappingProxyType({}),
) -> RunView:
    """
    Return a run with what people want to see besides its record: prompts, raw answers, errors.

    The answers in *instead* replace the stored ones.
    """
    cases, stored = run.cases(), run.answers()

    def transcript(key: Key) -> Transcript:
        return instead[key] if key in instead else stored[key]

    results = run.record.columns
    some = results.ways.flags(lambda case: any(each.status == "error" for each in case.answers))
    broken = (
        key_of(case, index)
        for case in map(run.record.cases.__getitem__, some.nonzero()[0].tolist())
        for index, judged in enumerate(case.answers)
        if judged.status == "error"
    )
    errors = {key: transcript(key).error or "" for key in broken if key in stored}
    return RunView(
        name=name or run.folder.name,
        record=run.record,
        prompts=Lazily(
            lambda: {each: each for each in cases}, lambda each: cases[each].case.prompt
        ),
        answers=Lazily(
            lambda: {key: key for key in stored if key not in errors},
            lambda key: _raw(transcript(key)),
        ),
        said=Lazily(
            lambda: {key: key for key in stored if key not in errors},
            lambda key: _text(run, transcript(key), cases[key.case].case),
        ),
        errors=errors,
        turns=Lazily(lambda: cases, _asked),
        results=Lazily(
            lambda: {key: key for key in stored}, lambda key: transcript(key).results or ()
        ),
        relevant=Lazily(lambda: cases, _relevant),
        training=_training(run.record.checkpoint),
    )


def _raw(transcript: Transcript) -> str:
    said = transcript.said
    return said if isinstance(said, str) else canonical_json(said)


def _text(run: StoredRun, transcript: Transcript, case: Case) -> str:
    tools = shown_case(case, run.record.backend.tool_names).tools
    return read(spoken_by(run.record.checkpoint), transcript, tools).text.strip()


def _asked(copied: CopiedCase) -> tuple[Asked, ...]:
    expected = [turn.get("expect", {}) for turn in copied.row.get("turns", (copied.row,))]
    last = [turn.messages[-1] if turn.messages else None for turn in copied.case.turns]
    return tuple(
        Asked(role=said.role if said else "", text=(said.content or "") if said else "", expected=e)
        for said, e in zip(last, expected, strict=True)
    )


def _relevant(copied: CopiedCase) -> Mapping[str, int]:
    outcome = copied.case.outcome
    return (outcome.relevant if outcome is not None else None) or {}


def _training(checkpoint: Checkpoint) -> Finetuned | None:
    """
    Return how a checkpoint was trained, if that is stored with weights that are still those of the
    run; else None.
    """
    # A report is about the run: whatever happened to the folder since must not stop it.
    try:
        reference = parse_reference(checkpoint.reference)
        reference = reference.inner or reference
        folder = Path(reference.target)
        trained = finished(folder) if reference.scheme == "hf" else None
        return trained if trained and holds_weights(folder, checkpoint) else None
    except (HarnessError, OSError):
        return None


def report_on(subject: Subject) -> Report:
    """
    Return the report on *subject*.
    """
    if isinstance(subject, Report):
        return subject
    if isinstance(subject, StoredRun):
        return report_run(subject)
    if isinstance(subject, GatedRelease):
        return report_release(subject)
    if isinstance(subject, Gated):
        return report_gate(subject)
    return report_comparison(subject)


def report_run(run: StoredRun) -> Report:
    """
    Return the report on one run.
    """
    record = run.record
    title = f"{record.checkpoint.reference} on {record.suite.name} {record.suite.version}"
    return Report(title=title, runs=(view(run),))


def report_gate(gated: Gated) -> Report:
    """
    Return the report on a verdict.
    """
    suite = gated.new.record.suite
    asked = (
        "may the new checkpoint replace the old one?"
        if gated.verdict.export is None
        else "may the export ship in place of its parent?"
    )
    return Report(
        title=f"{suite.name} {suite.version}: {asked}",
        runs=(
            view(gated.old, instead=gated.old_again),
            view(gated.new, instead=gated.new_again),
        ),
        comparison=gated.comparison,
        verdict=gated.verdict,
    )


def report_release(gated: GatedRelease) -> Report:
    """
    Return the report on one verdict on several suites.
    """
    parts = tuple(
        report_gate(gated.suites[name]) for name in gated.release.suites if name in gated.suites
    )
    return Report(
        title=f"{count(len(gated.release.suites), 'suite')}: may the new checkpoint replace the "
        "old one?",
        runs=tuple(part.new for part in parts),
        release=gated.release,
        parts=parts,
    )


def report_side_by_side(runs: Sequence[StoredRun], ranking: Ranking) -> Report:
    """
    Return the report on any number of runs in the order of *ranking*.
    """
    return Report(
        title="checkpoints side by side", runs=tuple(view(run) for run in runs), ranking=ranking
    )


def report_stack(compared: Compared, cost: StackCost) -> Report:
    """
    Return the report on what a serving stack costs.
    """
    record = compared.new.record
    return Report(
        title=f"{record.suite.name} {record.suite.version}: what the stack of "
        f"{record.checkpoint.reference} costs",
        runs=(view(compared.old), view(compared.new)),
        comparison=compared.comparison,
        stack=cost,
    )


def report_comparison(compared: Compared, divergences: Divergences | None = None) -> Report:
    """
    Return the report on two runs compared; *divergences* are where their answers differ, looked
    for where they say what an engine does if none are given.
    """
    return Report(
        title="two checkpoints compared",
        runs=(view(compared.old), view(compared.new)),
        comparison=compared.comparison,
        divergences=divergences or diverging(compared),
    )
