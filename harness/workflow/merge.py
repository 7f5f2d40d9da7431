"""
The parts of one run put together: ``harness merge``.

What comes out is the run that one process would have made, byte for byte but for times: a time
tells of one machine and what else it did, so the times of parts stay with the parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from harness.canonical import digest
from harness.errors import StoreError, UsageError
from harness.provenance import Environment
from harness.runs.record import RunRecord, Selection, make_record
from harness.runs.shards import Shard, digest_of
from harness.runs.store import StoredRun
from harness.runs.verify import check_how_made, verified
from harness.runs.writer import RunWriter, all_or_nothing, start_run
from harness.scoring.results import CaseResult, TurnResult
from harness.suites.selection import Choice
from harness.transcript import Key, Transcript
from harness.workflow.project import Project, open_project

_GROUP = 1024
# How many transcripts are written at once.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    stored: StoredRun
    shard: Shard

    @property
    def folder(self) -> Path:
        return self.stored.folder

    @property
    def record(self) -> RunRecord:
        return self.stored.record

    @property
    def repeats(self) -> int:
        return 1 + int(self.record.columns.repeats.max(initial=0))

    def made_with(self) -> dict[str, dict[str, Any]]:
        """
        Return everything that must be equal in all parts, as it is called in an error.
        """
        record, digests = self.record, self.record.digests
        selection = Selection.of(_choice(record), complete=False).to_json()
        return {
            "suite": record.suite.to_json() | {"copy": digests and digests.suite},
            "checkpoint": record.checkpoint.to_json(),
            "backend": record.backend.to_json(),
            "generation": record.generation.to_json(),
            "selection": {**selection, "parts": self.shard.of, "chosen cases": self.shard.chosen},
            "number of repeats": {"": self.repeats},
            "harness": {"version": record.harness_version, "scorer": record.scorer_version},
            "python": {"": record.environment.python},
            "packages": dict(record.environment.packages),
        }


def merge(
    parts: Sequence[Path],
    *,
    project: Project | None = None,
    out: Path | None = None,
    partial: bool = False,
) -> StoredRun:
    """
    Put *parts* of one run, made with `RunOptions.shard`, together and store the whole, in a fresh
    folder of *project* or in *out*.

    They must have been made with the same suite, checkpoint, backend, settings and packages, and
    hold every case once. With *partial* some may be missing: the run is then one of a part of the
    suite, which a gate never passes, and can be merged with the others later. Times are left out.

    Raises:
        UsageError: if there is nothing to merge.
        StoreError: if the parts do not belong together, one is missing, twice there or was changed,
            or the folder is in the way.
    """
    if not parts:
        raise UsageError("no part to merge: name the folders of the parts")
    project = project or open_project()
    found = [_part(project, path) for path in parts]
    for other in found[1:]:
        _check_alike(found[0], other)
    shard = _put_together(found, partial)
    places = _places(found)
    first = found[0]
    asked = {case for case, _ in places}
    suite = first.stored.cases()
    order = [case for case in suite if case in asked]
    if shard is None and digest_of(order) != first.shard.chosen:
        raise StoreError(
            f"the parts hold {len(order)} cases, which are not those that the run was to ask; make "
            "them again with one version of harness"
        )
    keys = [(case, repeat) for case in order for repeat in range(first.repeats)]
    if (gap := next((key for key in keys if key not in places), None)) is not None:
        raise StoreError(f"case {gap[0]!r} has no repeat {gap[1]} in any part; make its part again")
    record = make_record(
        (
            _untimed_case(found[part].record.cases[line])
            for part, line in (places[key] for key in keys)
        ),
        suite=first.record.suite,
        selection=Selection.of(
            _choice(first.record), complete=len(order) == len(suite), shard=shard
        ),
        checkpoint=first.record.checkpoint,
        backend=first.record.backend,
        generation=first.record.generation,
        environment=reduce(_common, (part.record.environment for part in found)),
        started=min(part.record.started for part in found),
        finished=max(part.record.finished for part in found),
    )
    # Judged by those who made the parts.
    record = replace(
        record,
        harness_version=first.record.harness_version,
        scorer_version=first.record.scorer_version,
    )
    folder = out or project.fresh_folder(first.record.suite.name, first.record.checkpoint.reference)
    plan = {"merge": digest([str(part.folder) for part in found])}
    copy = first.stored.suite_path.read_text("utf-8").removesuffix("\n")
    with all_or_nothing(folder), start_run(folder, suite=copy, plan=plan) as writer:
        _write(writer, found, [(places[key][0], key) for key in keys])
        return writer.finish(record)


def _part(project: Project, path: Path) -> _Part:
    stored = verified(project.run(str(path)))
    check_how_made(stored)
    shard = stored.record.selection.shard
    if shard is None:
        raise StoreError(
            f"{stored.folder} is a whole run, not a part of one; parts are made with `harness run "
            "--shard I/N`"
        )
    return _Part(stored=stored, shard=shard)


def _choice(record: RunRecord) -> Choice:
    return Choice.from_json(record.selection.to_json())


def _check_alike(first: _Part, other: _Part) -> None:
    ours, theirs = first.made_with(), other.made_with()
    for name, values in ours.items():
        if values == theirs[name]:
            continue
        apart = next(
            key
            for key in dict.fromkeys([*values, *theirs[name]])
            if values.get(key) != theirs[name].get(key)
        )
        raise StoreError(
            f"{other.folder} was made with another {name}{f' ({apart})' if apart else ''} than "
            f"{first.folder}: they are not parts of one run"
        )


def _put_together(parts: Sequence[_Part], partial: bool) -> Shard | None:
    """
    Return which part of the run *parts* are together; None if they are all of it.
    """
    owners: dict[int, _Part] = {}
    of = parts[0].shard.of
    for part in parts:
        for number in part.shard.parts:
            if (owner := owners.setdefault(number, part)) is not part:
                raise StoreError(
                    f"part {number}/{of} is given twice, in {owner.folder} and in {part.folder}; "
                    "leave one out"
                )
    missing = [f"{number}/{of}" for number in range(1, of + 1) if number not in owners]
    if not missing:
        return None
    if not partial:
        listed = ", ".join(missing[:8]) + (" and others" if len(missing) > 8 else "")
        raise StoreError(
            f"{'parts' if len(missing) > 1 else 'part'} {listed} missing: make what is missing "
            "with `harness run --shard`, or take what is there with --partial"
        )
    return replace(parts[0].shard, parts=tuple(sorted(owners)))


def _places(parts: Sequence[_Part]) -> dict[tuple[str, int], tuple[int, int]]:
    """
    Return for each case and repeat which part has it, and as which of its cases.
    """
    places: dict[tuple[str, int], tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for line, key in enumerate(part.record.columns.keys):
            if (other := places.setdefault(key, (number, line))) != (number, line):
                raise StoreError(
                    f"case {key[0]!r} is in {parts[other[0]].folder} and in {part.folder}; leave "
                    "one out"
                )
    return places


def _common(one: Environment, other: Environment) -> Environment:
    """
    Return what is true of both; nothing is said of what differs.
    """
    return replace(
        one,
        hardware=one.hardware if one.hardware == other.hardware else {},
        commit=one.commit if one.commit == other.commit else None,
        dirty=one.dirty if (one.commit, one.dirty) == (other.commit, other.dirty) else None,
        extra=_common_extra(one.extra, other.extra),
    )


def _common_extra(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if other.get(key) == value}


def _untimed_case(case: CaseResult) -> CaseResult:
    executed = case.executed
    return replace(
        case,
        turns=tuple(map(_untimed_turn, case.turns)),
        executed=executed and replace(executed, steps=tuple(map(_untimed_turn, executed.steps))),
    )


def _untimed_turn(turn: TurnResult) -> TurnResult:
    return replace(turn, latency_ms=None, ttft_ms=None)


def _write(
    writer: RunWriter, parts: Sequence[_Part], order: Sequence[tuple[int, tuple[str, int]]]
) -> None:
    """
    Write the transcripts of all parts, those of a case and repeat where *order* has these.
    """
    answers = [part.stored.answers() for part in parts]
    keys: list[dict[tuple[str, int], list[Key]]] = []
    for each in answers:
        by_case: dict[tuple[str, int], list[Key]] = {}
        for key, group in groupby(sorted(each), key=attrgetter("case", "repeat")):
            by_case[key] = list(group)
        keys.append(by_case)
    waiting: list[Transcript] = []
    for part, case in order:
        waiting += (replace(answers[part][key], timing=None) for key in keys[part].get(case, ()))
        if len(waiting) >= _GROUP:
            writer.append(waiting)
            waiting = []
    writer.append(waiting)
