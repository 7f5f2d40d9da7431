"""
A judged run as a value, and its one form on disk: run.json.

The file is canonical JSON (`harness.canonical`), laid out one top-level key and one case a line so
that two runs can be diffed by eye and by git. It is validated by schemas/run.json, which ships with
the package. A file of an earlier ``format`` is migrated (`harness.runs.migrations`); a later one is
refused, as this version cannot know what it means.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, Self

from harness.backends.base import Generation
from harness.canonical import canonical_json, digest_bytes, parse_json
from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import RecordError
from harness.files import as_stored
from harness.provenance import Environment, harness_version
from harness.runs.migrations import FORMAT, FORMAT_WITHOUT_DIGESTS, migrated
from harness.runs.serving import Serving
from harness.runs.shards import Shard
from harness.scoring.breakdowns import Confusion, confusion
from harness.scoring.cases import SCORER_VERSION
from harness.scoring.columns import Columns
from harness.scoring.metrics import METRICS, Average, Counts, Quantile, measure
from harness.scoring.results import CaseResult
from harness.stats import wilson
from harness.suites.selection import Choice
from harness.suites.suite import Suite

if TYPE_CHECKING:
    import jsonschema

    from harness.runs.cases import CaseLines


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteReference:
    """
    Which suite a run was made with.
    """

    name: str
    version: str
    digest: str
    released: bool = False
    environment: str | None = None
    """The digest of what answered its calls (`harness.suites.environment.EnvironmentSpec`); None if
    they were only judged."""

    @classmethod
    def of(cls, suite: Suite) -> Self:
        """
        Return the reference by which a record names *suite*.
        """
        return cls(
            name=suite.name,
            version=suite.version,
            digest=suite.digest,
            released=suite.released,
            environment=suite.environment.digest if suite.environment is not None else None,
        )

    def to_json(self) -> dict[str, Any]:
        """
        Return the ``suite`` block of run.json; what a suite has not is left out.
        """
        block = _fields(self)
        if self.environment is None:
            del block["environment"]
        return block


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Choice):
    """
    Which of the suite's cases were asked.
    """

    complete: bool = True
    """Whether it was all of them."""
    shard: Shard | None = None
    """Which part of the run this is; None if it is the whole one."""

    @classmethod
    def of(cls, choice: Choice, *, complete: bool, shard: Shard | None = None) -> Self:
        """
        Return *choice* with what it left.
        """
        chosen = {each.name: getattr(choice, each.name) for each in fields(Choice)}
        return cls(**chosen, complete=complete, shard=shard)

    def to_json(self) -> dict[str, Any]:
        """
        Return it in JSON types, without `complete`; what does nothing is left out, but for limit
        and tags.
        """
        shard = {} if self.shard is None else {"shard": self.shard.to_json()}
        return Choice.to_json(self) | shard


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """
    One number over a run. `value` is None where nothing is eligible.
    """

    value: float | int | None
    hits: int | None
    eligible: int
    low: float | int | None
    high: float | int | None
    """The 95 % Wilson interval of a rate; None for times and lengths."""
    higher_is_better: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """
    What a run was judged from: the digests of the files beside run.json, line ends aside.
    """

    suite: str
    transcripts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """
    One judged run.
    """

    harness_version: str
    scorer_version: int
    suite: SuiteReference
    selection: Selection
    checkpoint: Checkpoint
    backend: Serving
    generation: Generation
    environment: Environment
    metrics: Mapping[str, MetricValue]
    confusion: Confusion
    cases: Sequence[CaseResult]
    """Of a run that was judged or read, as lines that are decoded when they are looked at."""
    started: str
    """ISO 8601, UTC."""
    finished: str
    digests: Digests | None = None
    """None in a run of format 1 or 2, and before a run is stored."""
    _columns: Columns | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def columns(self) -> Columns:
        """
        What is counted of the cases.
        """
        if (known := self._columns) is not None:
            return known
        found = getattr(self.cases, "columns", None) or Columns(self.cases)
        object.__setattr__(self, "_columns", found)
        return found

    @property
    def errors(self) -> int:
        """
        How many cases broke for infrastructure reasons.
        """
        return int(self.columns.ways.flags(lambda case: case.status == "error").sum())

    @property
    def one_draw(self) -> bool:
        """
        Whether each case was answered once by sampling, so that another run answers otherwise.
        """
        return self.generation.do_sample and not self.columns.repeats.any()


def with_interval(name: str, measured: Counts | Quantile | Average) -> MetricValue:
    """
    Complete what `harness.scoring.metrics` counted by its interval and its direction.
    """
    better = METRICS[name].higher_is_better
    if isinstance(measured, Quantile | Average):
        return MetricValue(
            value=measured.value,
            hits=None,
            eligible=measured.eligible,
            low=None,
            high=None,
            higher_is_better=better,
        )
    low, high = wilson(measured.hits, measured.eligible) if measured.eligible else (None, None)
    return MetricValue(
        value=measured.hits / measured.eligible if measured.eligible else None,
        hits=measured.hits,
        eligible=measured.eligible,
        low=low,
        high=high,
        higher_is_better=better,
    )


_SEAL = '\n"digests":{"run":"'
# Before the digest of the text itself, which is taken without it. No case's line begins like this,
# and it is looked for from the end, as nearly all of the text is cases.

_DIGEST = f"sha256:{64 * '0'}"

_WHEN = re.compile(rb'\n"(?:started|finished)":"[^"\n]*"')
# Behind the digests, as keys are sorted.


def encode(record: RunRecord) -> str:
    """
    Return *record* as the text of run.json; without digests, as one of format 2, which has none.
    """
    return b"".join(encoded(record)).decode("utf-8")


def encoded(record: RunRecord) -> list[bytes | bytearray]:
    """
    Return the same in parts, of which the cases, nearly all of it, are not copied.
    """
    from harness.runs.cases import CaseLines

    head = {
        "format": FORMAT if record.digests else FORMAT_WITHOUT_DIGESTS,
        "harness_version": record.harness_version,
        "scorer_version": record.scorer_version,
        "suite": record.suite.to_json(),
        "selection": record.selection.to_json() | {"complete": record.selection.complete},
        "checkpoint": record.checkpoint.to_json(),
        "backend": record.backend.to_json(),
        "generation": record.generation.to_json(),
        "environment": record.environment.to_json(),
        "metrics": {name: _fields(metric) for name, metric in record.metrics.items()},
        "confusion": {expected: dict(row) for expected, row in record.confusion.items()},
        "started": record.started,
        "finished": record.finished,
    }
    cases = record.cases
    lines: dict[str, list[bytes | bytearray]] = {
        key: [canonical_json(value).encode()] for key, value in head.items()
    }
    text = (cases if isinstance(cases, CaseLines) else CaseLines.of(cases)).text
    lines["cases"] = [b"[\n", text, b"\n]"]
    if record.digests is not None:
        others = canonical_json(_fields(record.digests))
        lines["digests"] = [b'{"run":"', b'",' + others[1:].encode()]
    parts: list[bytes | bytearray] = []
    own = None
    for key in sorted(lines):
        parts += [b",\n" if parts else b"{\n", f'"{key}":'.encode(), *lines[key]]
        own = len(parts) - 1 if key == "digests" else own
    parts.append(b"\n}\n")
    if own is not None:
        parts.insert(own, _own_digest(parts[:own], b"".join(parts[own:])).encode())
    return parts


def is_sealed(record: RunRecord) -> bool:
    """
    Return whether *record* was read from a run.json that was as it was written.
    """
    from harness.runs.cases import CaseLines

    return isinstance(record.cases, CaseLines) and bool(record.cases.source)


def is_intact(data: bytes) -> bool:
    """
    Return whether a run.json of format 3 is as it was written, but for its line ends.
    """
    before, seal, after = as_stored(data).rpartition(_SEAL.encode())
    own, rest = after[: len(_DIGEST)], after[len(_DIGEST) :]
    return own == _own_digest([before, seal], rest).encode()


def _own_digest(before: Iterable[bytes | bytearray], after: bytes) -> str:
    # Without when it was: the same run twice has the same digest.
    return digest_bytes([*before, _WHEN.sub(b"", after)])


def decode(text: str | bytes, source: str) -> RunRecord:
    """
    Read the text of run.json. *source* names the file in errors.

    Text that has its own digest is as it was written, and is not held to the schema again.

    Raises:
        RecordError: if it is not JSON, of a later format, or not what the schema says.
    """
    content = as_stored(text.encode() if isinstance(text, str) else text)
    if is_intact(content) and (ours := _read_ours(content, source)) is not None:
        return ours
    try:
        data = parse_json(content.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise RecordError(f"{source}: not valid JSON: {exc}") from exc
    form = data.get("format") if isinstance(data, dict) else None
    if not isinstance(form, int) or form < 1:
        raise RecordError(f'{source}: not a run.json: it has no "format"')
    if form > FORMAT:
        raise RecordError(
            f"{source}: format {form} is newer than this harness reads ({FORMAT}); upgrade harness"
        )
    if form < FORMAT and "digests" in data:
        raise RecordError(f"{source}: at digests: format {int(form)} has none; restore the file")
    import jsonschema

    if error := jsonschema.exceptions.best_match(_validator().iter_errors(data)):
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        raise RecordError(f"{source}: at {where}: {error.message[:200]}")
    from harness.runs.cases import from_json

    data = migrated(data)
    return _record(
        data,
        suite=SuiteReference(**data["suite"]),
        metrics={name: MetricValue(**metric) for name, metric in data["metrics"].items()},
        cases=tuple(map(from_json, data["cases"])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """
    A run.json of today's format, typed.
    """

    format: Literal[3]
    harness_version: str
    scorer_version: int
    suite: SuiteReference
    selection: dict[str, Any]
    checkpoint: dict[str, Any]
    backend: dict[str, Any]
    generation: dict[str, Any]
    environment: dict[str, Any]
    metrics: dict[str, MetricValue]
    confusion: dict[str, dict[str, int]]
    started: str
    finished: str
    digests: dict[str, str]


def _read_ours(text: bytes, source: str) -> RunRecord | None:
    """
    Return the record in *text* that is as it was written; None if another version wrote it.
    """
    import msgspec

    from harness.runs.cases import split

    try:
        head, cases = split(text, source)
        ours = msgspec.json.decode(head, type=_Ours)
    except (msgspec.MsgspecError, ValueError):
        return None
    return _record(_fields(ours), suite=ours.suite, metrics=ours.metrics, cases=cases)


def _record(
    data: Mapping[str, Any],
    *,
    suite: SuiteReference,
    metrics: Mapping[str, MetricValue],
    cases: Sequence[CaseResult],
) -> RunRecord:
    return RunRecord(
        harness_version=data["harness_version"],
        scorer_version=data["scorer_version"],
        suite=suite,
        selection=_selection(data["selection"]),
        checkpoint=Checkpoint.from_json(data["checkpoint"]),
        backend=Serving.from_json(data["backend"]),
        generation=Generation.from_json(data["generation"]),
        environment=Environment.from_json(data["environment"]),
        metrics=metrics,
        confusion=data.get("confusion", {}),
        cases=cases,
        started=data["started"],
        finished=data["finished"],
        digests=_read_digests(data["digests"]),
    )


def _selection(data: Mapping[str, Any]) -> Selection:
    shard = data.get("shard")
    return Selection.of(
        Choice.from_json(data),
        complete=data["complete"],
        shard=None if shard is None else Shard.from_json(shard),
    )


def _read_digests(data: Mapping[str, str] | None) -> Digests | None:
    if data is None:
        return None
    return Digests(suite=data["suite"], transcripts=data["transcripts"])


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


@cache
def _validator() -> "jsonschema.Draft202012Validator":
    import jsonschema

    schema = json.loads((resources.files("harness") / "schemas" / "run.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def make_record(
    results: "Iterable[CaseResult] | CaseLines",
    *,
    suite: SuiteReference,
    selection: Selection,
    checkpoint: Checkpoint,
    backend: Serving,
    generation: Generation,
    environment: Environment,
    started: str,
    finished: str,
) -> RunRecord:
    """
    Put judged cases and what they were made with into one record; each case is let go as soon as
    it is written.
    """
    from harness.runs.cases import CaseLines

    cases = results if isinstance(results, CaseLines) else CaseLines.of(results)
    measured = measure(cases.columns)
    return RunRecord(
        harness_version=harness_version(),
        scorer_version=SCORER_VERSION,
        suite=suite,
        selection=selection,
        checkpoint=checkpoint,
        backend=backend,
        generation=generation,
        environment=environment,
        metrics={name: with_interval(name, found) for name, found in measured.items()},
        confusion=confusion(cases.columns),
        cases=cases,
        started=started,
        finished=finished,
    )
