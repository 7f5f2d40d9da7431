"""
The steps the command line, the pytest plugin, the demo and Python users share.

run -> judge -> store -> compare -> gate. Each function is one step; none prints.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.backends.base import Backend, BackendOptions, Generation
from harness.backends.registry import open_backend
from harness.canonical import digest
from harness.comparison.compare import Comparison, compare
from harness.dialects.registry import spoken_by
from harness.errors import UsageError
from harness.finetuning import Finetuned, Recipe, discard, read_rows
from harness.finetuning import finetune as train_checkpoint
from harness.gating.gate import Verdict, gate
from harness.gating.policy import Policy, default_policy
from harness.provenance import date_today, environment, now, packages
from harness.runs.record import RunRecord, Selection, SuiteReference
from harness.runs.rescore import judge, make_record, read_transcripts_by_key, rejudge
from harness.runs.runner import keys, latency_sample
from harness.runs.runner import run as ask
from harness.runs.store import RUN, StoredRun, load_run
from harness.runs.writer import can_resume, discard_run, start_run
from harness.scoring.cases import SCORER_VERSION
from harness.scoring.tool_names import shown_suite
from harness.suites.files import load_suite
from harness.suites.suite import Suite
from harness.transcript import Key, Transcript
from harness.workflow.project import Project, open_project


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """
    What a run may be told beside suite and checkpoint. None means: as the suite or machine says.
    """

    dialect: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None
    seed: int | None = None
    limit: int | None = None
    tags: tuple[str, ...] = ()
    repeats: int = 1
    latency: bool = False
    tool_names: str | None = None
    """The style in which the model is shown the names of tools; None: as they are."""
    order: int | None = None
    """Which shuffle the cases are asked in; None: as the suite has them."""
    draft: str | None = None
    """A run or baseline whose answers are verified instead of made anew, where they still hold."""
    resume: bool = False
    """Go on with the unfinished run in the folder."""
    reuse: bool = False
    """Take the run that is in the folder if this one would be the same, go on with it if it is
    unfinished, and replace it if it is another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """
    Who is told what happens on the way. Does nothing unless given something to do.
    """

    notify: Callable[[str], None] = field(default=lambda _: None)
    """Takes one line about a thing worth knowing."""
    expect: Callable[[int], None] = field(default=lambda _: None)
    """Told once how many answers are to be made."""
    advance: Callable[[int], None] = field(default=lambda _: None)
    """Told how many answers have just been made."""
    progress: bool = False
    """Whether preparing weights may draw a bar of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """
    Two runs as they were compared: judged again, where they had been judged differently.
    """

    old: StoredRun
    new: StoredRun
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated(Compared):
    """
    Two runs compared, and the verdict on the new one.
    """

    verdict: Verdict
    old_again: Mapping[Key, Transcript] = field(default_factory=dict)
    new_again: Mapping[Key, Transcript] = field(default_factory=dict)
    """Answers at batch size 1 that stand in for the stored ones (`harness.workflow.recheck`)."""


def run(
    suite: str,
    checkpoint: str,
    *,
    project: Project | None = None,
    out: Path | None = None,
    options: RunOptions | None = None,
    watch: Watch | None = None,
    today: date | None = None,
) -> StoredRun:
    """
    Run *checkpoint* on a suite, judge it and store it, in a fresh folder of *project* or in *out*.

    Without *project* it is that of the current folder; without *today*, by which quarantines
    expire, it is today.

    Raises:
        HarnessError: of the kind that fits, before anything is judged.
    """
    project = project or open_project()
    options, watch = options or RunOptions(), watch or Watch()
    whole = load_suite(project.suite(suite), today=today or date_today())
    chosen = whole.with_cases(whole.select(tags=options.tags, limit=options.limit))
    generation = generation_for(whole, options)
    drafts = _drafts(project, whole.name, options)
    backend = open_backend(
        checkpoint,
        BackendOptions(
            device=options.device,
            dtype=options.dtype,
            batch_size=options.batch_size,
            dialect=options.dialect,
            declares_tools=whole.declare_tools,
            progress=watch.progress,
            notify=watch.notify,
            cases=frozenset(case.id for case in whole.cases),
        ),
    )
    try:
        return run_opened(project, chosen, whole, backend, generation, out, options, watch, drafts)
    finally:
        backend.close()


def run_opened(
    project: Project,
    suite: Suite,
    whole: Suite,
    backend: Backend,
    generation: Generation,
    out: Path | None,
    options: RunOptions,
    watch: Watch,
    drafts: Mapping[Key, str] = MappingProxyType({}),
) -> StoredRun:
    """
    Run an opened checkpoint on *suite*, those cases of *whole* that were chosen.

    *drafts* change how long it takes and nothing of what it gives, so no record names them.

    Raises:
        StoreError: if *out* is in the way.
        BackendError: if the backend breaks; what was answered is kept and can be gone on with.
    """
    head: dict[str, Any] = {
        "suite": suite_reference(whole),
        "selection": Selection(
            limit=options.limit, tags=options.tags, complete=len(suite.cases) == len(whole.cases)
        ),
        "checkpoint": backend.checkpoint.to_json(),
        "backend": with_order(
            with_tool_names(backend.describe(), options.tool_names), options.order
        ),
        "generation": generation.to_json(),
    }
    plan = {
        "suite": whole.digest,
        "cases": digest([case.digest for case in suite.cases]),
        "checkpoint": head["checkpoint"],
        "backend": head["backend"],
        "generation": head["generation"],
        "repeats": options.repeats,
        "packages": packages(),
        # Some of the first answers are timed: a run that was begun without is not gone on with.
        **({"latency": True} if options.latency else {}),
    }
    shown = shown_suite(suite, options.tool_names)
    if options.latency:
        # One that cannot be timed says so here, before a folder is begun and in the way.
        backend.answer_alone((), generation)
    folder = out or project.fresh_folder(whole.name, backend.checkpoint.reference)
    resume = options.resume
    if options.reuse:
        if (kept := _reusable(folder, head, options)) is not None:
            watch.notify(f"{folder}: still valid, used again")
            return kept
        resume = can_resume(folder, suite=whole.document, plan=plan)
        if not resume:
            discard_run(folder)
    started = now()
    with start_run(folder, suite=whole.document, plan=plan, resume=resume) as writer:
        total = sum(1 for key in keys(suite.cases, options.repeats) if key not in writer.done)
        alone = latency_sample(suite.cases) if options.latency else ()
        watch.expect(total + sum(Key(case.id) not in writer.done for case in alone))
        if writer.done:
            watch.notify(f"going on with {folder}: {len(writer.done)} answers are there")
        ask(
            shown,
            backend,
            generation,
            writer.append,
            repeats=options.repeats,
            done=writer.done,
            latency=options.latency,
            order=options.order,
            drafts=drafts,
            progress=watch.advance,
        )
        dialect = spoken_by(backend.checkpoint.to_json())
        transcripts = read_transcripts_by_key(folder)
        results = judge(suite.cases, transcripts, dialect, options.tool_names)
        return writer.finish(
            make_record(
                results,
                **head,
                environment=environment(project.root),
                started=started,
                finished=now(),
            )
        )


def _drafts(project: Project, suite: str, options: RunOptions) -> dict[Key, str]:
    """
    Give the answers to be verified: those of the run's own repeat, else of the first.
    """
    if options.draft is None:
        return {}
    stored = project.run(options.draft, suite)
    said = {each.key: each.output for each in stored.transcripts() if each.output is not None}
    for key in [key for key in said if key.repeat == 0]:
        for repeat in range(1, options.repeats):
            said.setdefault(key._replace(repeat=repeat), said[key])
    return said


def _reusable(folder: Path, head: Mapping[str, Any], options: RunOptions) -> StoredRun | None:
    """
    Give the complete run in *folder* if running again would only make it again.
    """
    if not (folder / RUN).is_file():
        return None
    stored = load_run(folder)
    record = stored.record
    here = environment(folder)
    same = (
        all(getattr(record, name) == value for name, value in head.items())
        and record.scorer_version == SCORER_VERSION
        and record.environment.get("packages") == here["packages"]
        and record.environment.get("hardware") == here["hardware"]
        and {case.repeat for case in record.cases} == set(range(options.repeats))
        and bool(record.metrics["latency_ms_p50"].eligible) >= options.latency
    )
    return stored if same else None


def compare_runs(old: StoredRun, new: StoredRun) -> Compared:
    """
    Compare two runs; where dialect or scorer versions differ they are judged again first.
    """
    before, after = _judged_by(old.record, new.record), _judged_by(new.record, old.record)
    if before == after:
        return Compared(old=old, new=new, comparison=compare(old.record, new.record))
    old, new = rejudge(old), rejudge(new)
    comparison = compare(old.record, new.record).with_rejudged(before, after)
    return Compared(old=old, new=new, comparison=comparison)


def gate_runs(
    old: StoredRun,
    new: StoredRun,
    policy: Policy | None = None,
    *,
    allow: Sequence[str] = (),
    today: date | None = None,
) -> Gated:
    """
    Hold *new* against *old*, by *policy* or the built-in one; fields in *allow* may differ.

    An anchor that the policy names is not looked for: `harness.workflow.gate` does that.
    """
    return decide(compare_runs(old, new), policy, allow=allow, today=today)


def decide(
    compared: Compared,
    policy: Policy | None = None,
    *,
    allow: Sequence[str] = (),
    today: date | None = None,
) -> Gated:
    """
    Hold two compared runs to *policy* or the built-in one; fields in *allow* may differ.
    """
    verdict = gate(
        policy or default_policy(),
        compared.comparison,
        today or date_today(),
        allow=allow,
        baseline=compared.old.folder.name,
    )
    return Gated(
        old=compared.old, new=compared.new, comparison=compared.comparison, verdict=verdict
    )


def finetune(
    *,
    base: str,
    out: Path,
    project: Project | None = None,
    suite: str | None = None,
    train: Path | None = None,
    valid: Path | None = None,
    recipe: Recipe | None = None,
    resume: bool = False,
    reuse: bool = False,
    tensorboard: bool = False,
    push_to_hub: str | None = None,
    progress: bool = False,
    notify: Callable[[str], None] = lambda _: None,
    today: date | None = None,
) -> Finetuned:
    """
    Train *base* on chat rows: a suite's ``train.jsonl`` and ``valid.jsonl``, or the files given.

    With a suite, rows without tools or system text are given the suite's, and no row may ask what
    the suite asks. With *reuse*, what is in *out* is taken if it is this very fine-tune, gone on
    with if it is unfinished, and replaced if it is another's.

    Raises:
        UsageError: if it is not clear what to train on.
    """
    if suite is None and (train is None or valid is None):
        raise UsageError("say what to train on: --suite SUITE, or --train FILE and --valid FILE")
    defaults: dict[str, Any] = {}
    heldout: set[str] = set()
    if suite is not None:
        folder = (project or open_project()).suite(suite)
        whole = load_suite(folder, today=today or date_today())
        heldout = {case.prompt for case in whole.cases}
        train, valid = train or folder / "train.jsonl", valid or folder / "valid.jsonl"
        defaults = {
            "tools": whole.tools,
            "system": whole.system,
            "system_role": whole.system_role,
            "declare_tools": whole.declare_tools,
        }
    assert train is not None
    assert valid is not None
    arguments: dict[str, Any] = {
        "base": base,
        "train": read_rows(train, **defaults),
        "valid": read_rows(valid, **defaults),
        "out": out,
        "recipe": recipe or Recipe(),
        "heldout_prompts": heldout,
        "progress": progress,
        "tensorboard": tensorboard,
        "push_to_hub": push_to_hub,
        "notify": notify,
    }
    if not reuse:
        return train_checkpoint(resume=resume, **arguments)
    try:
        return train_checkpoint(resume=True, **arguments)
    except UsageError:
        # What is there is a fine-tune of something else, or nothing of ours at all.
        discard(out)
        return train_checkpoint(**arguments)


def generation_for(suite: Suite, options: RunOptions) -> Generation:
    """
    Say how answers are decoded: as *suite* says, where *options* say nothing else.

    Raises:
        UsageError: for a setting nobody knows.
    """
    settings = dict(suite.generation)
    for name in ("max_new_tokens", "seed"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    known = {entry.name for entry in fields(Generation)}
    if unknown := sorted(set(settings) - known):
        raise UsageError(f"generation setting {unknown[0]!r} is none of {', '.join(sorted(known))}")
    return Generation(**settings)


def with_tool_names(backend: Mapping[str, Any], style: str | None) -> dict[str, Any]:
    """
    Add to a ``backend`` block in which style the model was shown its tools, if in one.

    It is a matter of how a model is served, and runs that differ in it were asked differently.
    """
    return {**backend, **({} if style is None else {"tool_names": style})}


def with_order(backend: Mapping[str, Any], order: int | None) -> dict[str, Any]:
    """
    Add to a ``backend`` block in which order cases were asked, if not in the suite's.
    """
    return {**backend, **({} if order is None else {"order": order})}


def suite_reference(suite: Suite) -> SuiteReference:
    """
    Name a suite as a record does.
    """
    return SuiteReference(
        name=suite.name, version=suite.version, digest=suite.digest, released=suite.released
    )


def _judged_by(record: RunRecord, other: RunRecord) -> dict[str, Any]:
    """
    Say what judged *record*, as far as it can differ from what judged *other*.
    """
    by: dict[str, Any] = {"scorer_version": record.scorer_version}
    # Versions of different dialects have nothing to do with each other.
    if record.checkpoint["dialect"] == other.checkpoint["dialect"]:
        by["dialect_version"] = record.checkpoint["dialect_version"]
    return by
