"""
What two runs were made with, field by field, and what a difference means for comparing them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from harness.backends.base import Generation
from harness.checkpoints.checkpoint import Checkpoint
from harness.provenance import Environment
from harness.runs.record import RunRecord
from harness.runs.serving import Serving

Effect = Literal[
    "compared",
    "rejudge",
    "rejudged",
    "common_cases",
    "not_comparable",
    "exported",
    "latency",
    "noted",
]
"""
What a difference between two runs means:

- ``compared``: it is what the comparison is about (the checkpoint);
- ``rejudge``: the older run has to be judged again first;
- ``rejudged``: that was done, and the comparison is of what it gave;
- ``common_cases``: only the common cases are compared;
- ``not_comparable``: the runs were made differently, unless the caller allows it;
- ``exported``: it would be not comparable, and an export differs in it on purpose;
- ``latency``: times cannot be compared, the rest can;
- ``noted``: listed, without effect.
"""


_BLOCKS = {
    "checkpoint": Checkpoint,
    "backend": Serving,
    "generation": Generation,
    "environment": Environment,
}
_OF_A_SERVER = (
    "kind",
    "version",
    "model",
    "max_length",
    "weights",
    "template",
    "fingerprints",
    "refused",
    "prompt",
    "changed",
)
"""What `harness.backends.served` says of a server, docs/served.md."""

_CHANGED = "backend.server.changed"
_OF_THE_MODEL = ("model", "weights", "template")
"""What a server says of the checkpoint it serves, which is what is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    One field of run.json, by dotted path, that is not the same in both runs.
    """

    field: str
    old: Any
    new: Any
    effect: Effect

    def allowed_by(self, names: Iterable[str]) -> bool:
        """
        Whether any of *names* means this field: its path, the path's start or its last part.

        ``backend.dtype`` is meant by ``backend.dtype``, ``backend`` and ``dtype``.
        """
        return any(
            self.field == name
            or self.field.startswith(f"{name}.")
            or self.field.rpartition(".")[2] == name
            for name in names
        )


_ASKED = ("tool_names", "arm", "order", "changed")
"""What the block ``backend`` says of the questions, or of a server that is not one any more."""


def exported(found: Iterable[Difference]) -> Iterator[Difference]:
    """
    Yield differences as they are between a checkpoint and an export of it, which another engine
    serves in another precision on purpose. What was asked, and with which settings, may not differ.
    """
    for each in found:
        block, _, name = each.field.rpartition(".")
        on_purpose = (
            each.effect == "not_comparable"
            and block.partition(".")[0] == "backend"
            and name not in _ASKED
            # Settings that a server refused did not hold.
            and not (name == "refused" and each.new)
        )
        yield replace(each, effect="exported") if on_purpose else each


def differences(old: RunRecord, new: RunRecord) -> Iterator[Difference]:
    """
    Yield each field in which the two runs were made differently, and what follows from it.
    """
    before, after = _settings(old), _settings(new)
    for field in dict.fromkeys([*before, *after]):
        was, now = before.get(field), after.get(field)
        # What changed in the middle of a run cannot be compared even with its like.
        if was != now or field == _CHANGED:
            yield Difference(field=field, old=was, new=now, effect=_effect(field, before, after))


def differences_in(
    block: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Difference]:
    """
    Yield the same of one *block* of run.json, such as ``backend``.
    """
    before, after = dict(_flat(block, old)), dict(_flat(block, new))
    for field in dict.fromkeys([*before, *after]):
        was, now = before.get(field), after.get(field)
        if was != now:
            yield Difference(field=field, old=was, new=now, effect=_effect(field, before, after))


def names_of_fields(*records: RunRecord) -> frozenset[str]:
    """
    Return every name that `Difference.allowed_by` can take: of a field that any run may have, or of
    one that only these have.
    """
    paths = {field for record in records for field in _settings(record)}
    paths |= {f"backend.server.{key}" for key in _OF_A_SERVER}
    for block, kind in _BLOCKS.items():
        paths |= {f"{block}.{each.name}" for each in fields(kind) if each.name != "extra"}
    names = {path.rpartition(".")[2] for path in paths}
    for path in paths:
        while path:
            names.add(path)
            path = path.rpartition(".")[0]
    return frozenset(names)


def _settings(record: RunRecord) -> dict[str, Any]:
    """
    Every field that tells how a run was made, by dotted path.
    """
    suite, selection = record.suite, record.selection
    fields: dict[str, Any] = {
        "suite.name": suite.name,
        "suite.version": suite.version,
        "suite.digest": suite.digest,
        **({"suite.environment": suite.environment} if suite.environment is not None else {}),
        **dict(_flat("selection", selection.to_json())),
        "selection.complete": selection.complete,
        "scorer_version": record.scorer_version,
        "harness_version": record.harness_version,
    }
    for block in _BLOCKS:
        fields.update(_flat(block, getattr(record, block).to_json()))
    return fields


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _flat(f"{path}.{key}", value[key])
    elif not isinstance(value, Mapping):
        yield path, value


def _effect(field: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Effect:
    block = field.partition(".")[0]
    if field.startswith("backend.server.") and field.rpartition(".")[2] in _OF_THE_MODEL:
        return "compared"
    if field == "checkpoint.dialect_version":
        # Versions of different dialects have nothing to do with each other.
        name = "checkpoint.dialect"
        return "rejudge" if before.get(name) == after.get(name) else "compared"
    if field == "scorer_version":
        return "rejudge"
    if field in ("suite.version", "suite.digest") or block == "selection":
        return "common_cases"
    timed = ("backend.device", "backend.threads")
    if field in timed or field.startswith("environment.hardware"):
        return "latency"
    if block == "checkpoint":
        return "compared"
    if block in ("suite", "backend", "generation"):
        return "not_comparable"
    return "noted"
