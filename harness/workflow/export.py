"""
What an export changed: the export's run, its parent's, and perhaps the parent's on the same engine.
"""

from collections.abc import Mapping, Sequence

from harness.comparison.divergence import same
from harness.comparison.export import Control, ExportChange
from harness.errors import UsageError
from harness.gating.decision import Gated
from harness.runs.store import StoredRun
from harness.transcript import Key, Transcript
from harness.workflow.compare import compare, scored_in_both
from harness.workflow.divergence import diverging, with_logits
from harness.workflow.options import Progress

_Answer = tuple[str, int]
# Case id and repeat.


def export_change(
    gated: Gated, control: StoredRun | None, *, logits: bool, progress: Progress
) -> ExportChange:
    """
    Return what the new run, of an export, changed of the old one, of its parent.

    *control* is a run of the parent's weights on the export's engine. With *logits* the parent is
    opened, to say how near it was to each token with which the export departs from it.

    Raises:
        UsageError: if the control is not such a run.
        StoreError: if it does not follow from its evidence.
    """
    parent, export = gated.old, gated.new
    first = diverging(gated, always=True)
    assert first is not None
    if logits:
        first = with_logits(first, gated, progress, sides=("by_old",))
    scored = scored_in_both(parent.record, export.record)
    changed = _changed(parent.answers(), export.answers(), scored)
    return ExportChange(
        answers=len(scored),
        changed=tuple(
            dict.fromkeys(key[0] for key in export.record.columns.keys if key in changed)
        ),
        changed_answers=len(changed),
        first=first,
        control=None if control is None else _divided(parent, control, export),
    )


def _divided(parent: StoredRun, control: StoredRun, export: StoredRun) -> Control:
    _check_control(parent, control, export)
    # Judged as the two others were, whatever it was judged by.
    control = compare(parent, control).new
    asked = scored_in_both(parent.record, export.record)
    asked &= scored_in_both(parent.record, control.record)
    changed = _changed(parent.answers(), export.answers(), asked)
    changed_too = changed & _changed(parent.answers(), control.answers(), asked)
    right = [len(asked & _right(run)) for run in (parent, control, export)]
    backend = control.record.backend
    return Control(
        name=control.folder.name,
        engine=" ".join(filter(None, [backend.name, backend.dtype])),
        answers=len(asked),
        parent_right=right[0],
        right=right[1],
        export_right=right[2],
        changed=len(changed),
        changed_too=len(changed_too),
    )


def _check_control(parent: StoredRun, control: StoredRun, export: StoredRun) -> None:
    """
    Raises:
        UsageError: if *control* cannot tell what the engine did.
    """
    names = [run.record.backend.name for run in (control, export)]
    if names[0] != names[1]:
        raise UsageError(
            f"{control.folder} ran on {names[0]} and the export on {names[1]}: a control is the "
            "parent's weights on the export's engine"
        )
    weights = [run.record.checkpoint.weights for run in (control, export)]
    if weights[0] is not None and weights[0] == weights[1]:
        raise UsageError(
            f"{control.folder} ran the export itself: a control is the parent's weights on the "
            "export's engine"
        )
    if control.record.suite.name != parent.record.suite.name:
        raise UsageError(
            f"{control.folder} is a run of suite {control.record.suite.name}, not of "
            f"{parent.record.suite.name}"
        )
    apart = [
        name
        for name, was, now in zip(
            ("generation", "tool_names", "arm"), _asked(parent), _asked(control), strict=True
        )
        if was != now
    ]
    if apart:
        raise UsageError(
            f"{control.folder} was asked otherwise than the parent: {apart[0]} differs"
        )


def _asked(run: StoredRun) -> Sequence[object]:
    backend = run.record.backend
    return run.record.generation.to_json(), backend.tool_names, backend.arm


def _changed(
    old: Mapping[Key, Transcript], new: Mapping[Key, Transcript], asked: set[_Answer]
) -> set[_Answer]:
    """
    Return those of *asked* of which not all that the model wrote is the same.
    """
    keys = {key for key in (*old, *new) if (key.case, key.repeat) in asked}
    return {
        (key.case, key.repeat)
        for key in keys
        if key not in old or key not in new or not _same(old[key], new[key])
    }


def _same(old: Transcript, new: Transcript) -> bool:
    return same(old, new) or (old.said is not None and old.said == new.said)


def _right(run: StoredRun) -> set[_Answer]:
    columns = run.record.columns
    return {key for key, right in zip(columns.keys, columns.correct.tolist(), strict=True) if right}
