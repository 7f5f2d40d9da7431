"""
What an export changed, and how much of that is the engine that runs it.

Between a checkpoint and a quantised file on another engine two things differ at once. A third run,
of the parent's own weights on the export's engine, tells them apart: what changes from the parent
to this control is the engine's, and what changes from the control to the export is quantisation's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.comparison.divergence import Divergence, Divergences
from harness.wording import count, percent, points


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """
    The parent's weights on the export's engine, over the answers that all three runs scored.
    """

    name: str
    """Of the run."""
    engine: str
    """The backend and its precision."""
    answers: int
    parent_right: int
    right: int
    export_right: int
    changed: int
    """Answers of the export that are not the parent's."""
    changed_too: int
    """Those of them that are not the parent's in the control either."""

    @property
    def by_engine(self) -> float:
        """
        By how much accuracy changed from the parent to the control, as a share.
        """
        return (self.right - self.parent_right) / self.answers if self.answers else 0.0

    @property
    def by_quantisation(self) -> float:
        """
        By how much it changed from the control to the export.
        """
        return (self.export_right - self.right) / self.answers if self.answers else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportChange:
    """
    What an export answers otherwise than its parent.
    """

    answers: int
    """Those that both runs scored."""
    changed: tuple[str, ...]
    """The cases of which an answer is another, each once, in the order of the run."""
    changed_answers: int
    first: Divergences
    """Where the first of them part."""
    control: Control | None = None

    def __str__(self) -> str:
        of = count(self.answers, "answer")
        if not self.changed:
            return f"all of {of} are those of the parent, to the token"
        said = f"{self.changed_answers} of {of} are not those of the parent"
        if self.control is None:
            return (
                f"{said}; a run of the parent's weights on the export's engine "
                "(--engine-control RUN) tells how much of it is the engine's"
            )
        return f"{said}; {_divided(self.control)}"

    def to_json(self) -> dict[str, Any]:
        """
        Return it in JSON types.
        """
        return {
            "said": str(self),
            "answers": self.answers,
            "changed_answers": self.changed_answers,
            "changed": list(self.changed),
            "first": [_to_json(each) for each in self.first.first],
            "logits_unknown": list(self.first.unknown),
            "control": None if self.control is None else _control_to_json(self.control),
        }


def margin(found: Divergence) -> float | None:
    """
    Return by how much the parent preferred its own token to that of the export, where they part: a
    difference of logits, so of log probabilities. None where that is unknown.
    """
    return None if found.by_old is None else found.by_old.old - found.by_old.new


def _divided(control: Control) -> str:
    where = f"with the parent's own weights on this engine ({control.name}: {control.engine})"
    if not control.answers:
        return f"{where} no answer was scored that both others scored"
    total = control.by_engine + control.by_quantisation
    moved = (
        f"accuracy {percent(control.parent_right / control.answers)} for the parent, "
        f"{percent(control.right / control.answers)} {where}, "
        f"{percent(control.export_right / control.answers)} for the export"
    )
    parts = (
        f"of {_signed(total)}, {_signed(control.by_engine)} by the engine and "
        f"{_signed(control.by_quantisation)} by quantisation"
    )
    also = f"{control.changed_too} of {control.changed} changed answers change by the engine alone"
    return f"{moved}: {parts}; {also}"


def _signed(share: float) -> str:
    many = points(abs(share))
    return f"{'-' if share < 0 else '+'}{many} {'point' if many == '1' else 'points'}"


def _to_json(found: Divergence) -> dict[str, Any]:
    return {
        **found.key._asdict(),
        "token": found.token,
        "before": found.before,
        "parent": found.old,
        "export": found.new,
        "parents_margin": margin(found),
    }


def _control_to_json(control: Control) -> Mapping[str, Any]:
    return {
        **{name: getattr(control, name) for name in control.__slots__},
        "by_engine": control.by_engine,
        "by_quantisation": control.by_quantisation,
    }
