"""
May a run replace the baseline? The one gate that the command line, pytest, the demo and Python use.

The run is held against the last release and, where one is named, against a pinned anchor: a release
may lose a point that no single gate can tell from chance, and after some releases the loss against
the last one is still small while against the anchor it is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from harness.comparison.differences import names_of_fields
from harness.errors import PolicyError, StoreError, UsageError
from harness.gating.decision import Gated, GatedRelease, decide
from harness.gating.policy import Policy
from harness.gating.release import Entrant
from harness.gating.release import gate_release as judge_release
from harness.gating.verdict import Override, Verdict, overridden
from harness.provenance import date_today
from harness.runs.baselines import REPLACED, baseline_history
from harness.runs.overrides import add_override
from harness.runs.store import StoredRun, load_run
from harness.wording import count, suggest
from harness.workflow.compare import compare
from harness.workflow.export import export_change
from harness.workflow.options import Progress
from harness.workflow.project import Project, holds_run, open_project
from harness.workflow.recheck import decide_again


def gate(
    old: StoredRun | Path | str,
    new: StoredRun | Path | str,
    policy: Policy | Path | None = None,
    *,
    project: Project | None = None,
    anchor: str | None = None,
    recheck: bool | None = None,
    allow: Sequence[str] = (),
    today: date | None = None,
    progress: Progress | None = None,
    api_key_env: str | None = None,
    override: Override | None = None,
    export: bool = False,
    engine_control: Sequence[StoredRun | Path | str] = (),
    logits: bool = False,
) -> Gated:
    """
    Gate the run *new* against the baseline *old*, and against an anchor if one is named.

    A run is given itself or by its folder; as text, *old* is the name of a baseline of the run's
    suite, and *new* a folder or a baseline. *policy* is given itself or by its file; without one,
    it is gate.toml of *project*, or else the built-in one. *anchor* is the name of another baseline
    of the suite (default: the policy's). With an anchor the worse verdict decides; where it is the
    baseline itself, there is one verdict.

    What would block is decided again at batch size 1 first (`harness.workflow.recheck`) if
    *recheck* is true; a server is then sent the key in the environment variable *api_key_env*. If
    it is None, the policy says so; where it does not, no checkpoint is opened, answers that were
    made before are used, and a note says which cases could be decided again. If it is false,
    nothing is decided again.
    Runs that differ in a field in *allow* are compared all the same. With *export*, *new* is an
    export of *old*, whatever kind of gate the policy is for (`Policy.of_export`). The verdict on
    one says which answers changed; *engine_control*, runs of the parent's weights on the export's
    engine, of one suite each, tell what of it is the engine's, and with *logits* the parent is
    opened to say how near it was to the changed answers. The verdict bears the date *today*
    (default: today's). *override* lets a regression through: the verdict stays,
    its exit code becomes 0, and the folder of *new* has it noted in ``overrides.jsonl``.

    Raises:
        StoreError: if a run or baseline is missing: a gate without its anchor never passes.
        PolicyError: if the policy is not valid, or limits a slice that neither run has a case of.
        UsageError: if no runs can differ in a field in *allow*, or an engine's control is not one.
    """
    asked = _Asked.of(policy, project, anchor, recheck, allow, today, progress, api_key_env, export)
    asked = asked.with_control(engine_control, logits)
    held = asked.held(old, new)
    verdict = held.last.verdict
    if held.anchored is not None:
        verdict = verdict.with_anchor(held.anchored.verdict)
    if override is not None:
        verdict = overridden(verdict, override)
        _note_override(verdict, held.last)
    return replace(held.last, verdict=verdict)


def gate_release(
    runs: Sequence[StoredRun | Path | str],
    baseline: str,
    policy: Policy | Path | None = None,
    *,
    project: Project | None = None,
    anchor: str | None = None,
    recheck: bool | None = None,
    allow: Sequence[str] = (),
    today: date | None = None,
    progress: Progress | None = None,
    api_key_env: str | None = None,
    override: Override | None = None,
    export: bool = False,
    engine_control: Sequence[StoredRun | Path | str] = (),
    logits: bool = False,
) -> GatedRelease:
    """
    Gate one run of each of several suites against the baselines of one name: one verdict.

    The parameters are those of `gate`. What would block in one suite is decided again by itself.
    *override* is about the release; the verdicts on its suites stay as they are.

    Raises:
        UsageError: if no run is given, or two of one suite.
        HarnessError: as `gate`.
    """
    asked = _Asked.of(policy, project, anchor, recheck, allow, today, progress, api_key_env, export)
    asked = asked.with_control(engine_control, logits)
    loaded = [
        asked.project.run(str(run)) if not isinstance(run, StoredRun) else run for run in runs
    ]
    if not loaded:
        raise UsageError("no run to gate: name one run of each suite")
    by_suite: dict[str, StoredRun] = {}
    for run in loaded:
        suite = run.record.suite.name
        if suite in by_suite:
            raise UsageError(
                f"{by_suite[suite].folder} and {run.folder} are both runs of suite {suite}: a "
                "release has one run of each"
            )
        by_suite[suite] = run
    held = {suite: asked.held(baseline, run) for suite, run in by_suite.items()}
    release = judge_release(
        asked.policy,
        {
            suite: Entrant(
                comparison=each.last.comparison,
                baseline=each.last.verdict.baseline,
                anchored=None if each.anchored is None else each.anchored.comparison,
                anchor=None if each.anchored is None else each.anchored.verdict.baseline,
            )
            for suite, each in held.items()
        },
        asked.today,
        allow=allow,
    )
    gated, suites = {}, dict(release.suites)
    for suite, each in held.items():
        verdict = suites[suite].verdict
        assert verdict is not None
        # What was decided again, or could be, was noted on the suite's own verdict.
        notes = [*each.last.verdict.notes]
        if each.anchored is not None:
            notes += (f"against the anchor: {note}" for note in each.anchored.verdict.notes)
        known = {*verdict.notes, *(f"against the anchor: {note}" for note in verdict.notes)}
        added = [note for note in notes if note not in known]
        verdict = replace(verdict, notes=(*added, *verdict.notes), export=each.last.verdict.export)
        gated[suite] = replace(each.last, verdict=verdict)
        suites[suite] = replace(suites[suite], verdict=verdict)
    release = replace(release, suites=suites)
    if override is not None:
        release = overridden(release, override)
        for of_suite in gated.values():
            _note_override(replace(of_suite.verdict, override=release.override), of_suite)
    return GatedRelease(release=release, suites=gated)


def _note_override(verdict: Verdict, gated: Gated) -> None:
    """
    Note in the candidate's folder that a verdict on it was overridden, if it was and it blocked.
    """
    override = verdict.override
    if override is None or verdict.verdict not in ("regressed", "still_failing"):
        return
    add_override(
        gated.new.folder,
        by=override.by,
        reason=override.reason,
        when=override.when,
        verdict=verdict.verdict,
        because=verdict.reasons[0].text,
        baseline=gated.old.folder.name,
    )


def runs_in(given: Sequence[str], project: Project) -> list[StoredRun]:
    """
    Return the runs that are named: each by its folder or as a baseline, or by a folder that holds
    one run of each suite.

    Raises:
        StoreError: if there is no run.
    """
    found: list[StoredRun] = []
    for text in given:
        folder = Path(text)
        # An empty text is no folder, though its path would be the current one.
        within = [] if holds_run(folder) or not text.strip() else _held_by(folder)
        found += map(load_run, within) if within else [project.run(text)]
    return found


def belongs_to_release(suites: Sequence[str], policy: Policy) -> bool:
    """
    Return whether runs of *suites* are gated as a release: there are several, or *policy* names
    suites that have to be there, too.
    """
    return len(suites) != 1 or bool(policy.suites.keys() - {*suites})


def _held_by(folder: Path) -> list[Path]:
    within = folder.iterdir() if folder.is_dir() else ()
    return sorted(each for each in within if each.is_dir() and holds_run(each))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """
    The verdicts on one run, against the last release and against the anchor.
    """

    last: Gated
    anchored: Gated | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """
    How runs are gated, whichever they are.
    """

    project: Project
    policy: Policy
    anchor: str | None
    recheck: bool | None
    allow: Sequence[str]
    today: date
    progress: Progress
    api_key_env: str | None
    controls: Mapping[str, StoredRun] = field(default_factory=dict)
    """Suite -> the run that tells what an export's engine does."""
    logits: bool = False

    @classmethod
    def of(
        cls,
        policy: Policy | Path | None,
        project: Project | None,
        anchor: str | None,
        recheck: bool | None,
        allow: Sequence[str],
        today: date | None,
        progress: Progress | None,
        api_key_env: str | None,
        export: bool,
    ) -> Self:
        """
        Return what was asked for, with the defaults of `gate`.
        """
        project = project or open_project()
        if not isinstance(policy, Policy):
            policy = project.policy(policy)
        if export:
            policy = policy.of_export()
        return cls(
            project=project,
            policy=policy,
            anchor=policy.anchor if anchor is None else anchor,
            recheck=recheck,
            allow=allow,
            today=today or date_today(),
            progress=progress or Progress(),
            api_key_env=api_key_env,
        )

    def with_control(self, controls: Sequence[StoredRun | Path | str], logits: bool) -> Self:
        """
        Return this with the runs that tell what an export's engine does.

        Raises:
            UsageError: if no export is gated, or two are of one suite.
        """
        if (controls or logits) and self.policy.kind != "export":
            raise UsageError(
                "an engine's control and logits belong to the gate of an export: add --export"
            )
        found: dict[str, StoredRun] = {}
        for given in controls:
            run = given if isinstance(given, StoredRun) else self.project.run(str(given))
            if found.setdefault(run.record.suite.name, run) is not run:
                raise UsageError(f"two engine controls are of suite {run.record.suite.name}")
        return replace(self, controls=found, logits=logits)

    def held(self, old: StoredRun | Path | str, new: StoredRun | Path | str) -> _Held:
        """
        Return the verdicts on the run *new* by the policy for its suite.
        """
        if not isinstance(new, StoredRun):
            new = self.project.run(str(new))
        if isinstance(old, str):
            old = self.project.baseline(new.record, old)
        elif isinstance(old, Path):
            old = load_run(old)
        policy = self.policy.of_suite(new.record.suite.name)
        _check_slices(policy, old, new)
        pinned = None if self.anchor is None else self.project.baseline(new.record, self.anchor)
        _check_allowed(self.allow, old, new, *filter(None, [pinned]))
        last = self._against(old, new, policy)
        if policy.kind == "export":
            changed = export_change(
                last,
                self.controls.get(new.record.suite.name),
                logits=self.logits,
                progress=self.progress,
            )
            last = replace(last, verdict=replace(last.verdict, export=changed))
        if pinned is None or pinned.folder.resolve() == old.folder.resolve():
            return _Held(last=last, anchored=None)
        return _Held(last=last, anchored=self._against(pinned, new, policy))

    def _against(self, baseline: StoredRun, new: StoredRun, policy: Policy) -> Gated:
        gated = decide(
            compare(baseline, new, today=self.today), policy, allow=self.allow, today=self.today
        )
        said = _about_baseline(baseline, self.project, self.today)
        verdict = replace(gated.verdict, notes=(*gated.verdict.notes, *said))
        gated = replace(gated, verdict=verdict)
        if self.recheck is False:
            return gated
        return decide_again(
            gated,
            policy,
            project=self.project,
            allow=self.allow,
            today=self.today,
            progress=self.progress,
            api_key_env=self.api_key_env,
            ask=policy.recheck if self.recheck is None else self.recheck,
        )


_OLD = 30
"""Days after which it is worth a note how old a baseline is."""


def _about_baseline(old: StoredRun, project: Project, today: date) -> Iterator[str]:
    """
    Yield where *old* is from, if not from the work tree, and that it is old, or that other runs of
    its suite were accepted since.
    """
    name = old.folder.name
    if project.baselines_of is not None:
        yield f"{name} is the baseline of {project.baselines_of}"
    accepted = _accepted(old.folder)
    if not accepted:
        return
    saved = accepted[-1]
    days = (today - saved.date()).days
    since = sum(
        other > saved
        for folder in old.folder.parent.iterdir()
        if folder.is_dir() and folder.name not in (REPLACED, name)
        for other in _accepted(folder)
    )
    if days >= _OLD or (since and days > 0):
        others = f", and {count(since, 'other run')} of its suite since" if since else ""
        yield f"{name} was accepted {count(days, 'day')} ago{others}"


def _accepted(folder: Path) -> list[datetime]:
    """
    Return when the runs of a baseline were accepted; none where that cannot be read, which is
    nothing to a verdict.
    """
    try:
        saved = [datetime.fromisoformat(each["saved"]) for each in baseline_history(folder)]
    except (StoreError, ValueError, TypeError):
        return []
    return [each if each.tzinfo is not None else each.replace(tzinfo=UTC) for each in saved]


def _check_slices(policy: Policy, *runs: StoredRun) -> None:
    # A misspelt tag would be a limit that never decides anything.
    known = {tag for run in runs for tags in run.record.columns.tags.values for tag in tags}
    for tag in policy.slices:
        if tag not in known:
            raise PolicyError(
                f"[slices.{tag}]: no case of these runs has this tag{suggest(tag, known)}"
            )


def _check_allowed(allow: Sequence[str], *runs: StoredRun) -> None:
    known = names_of_fields(*(run.record for run in runs)) if allow else frozenset()
    for name in allow:
        if name not in known:
            raise UsageError(f"unknown field {name!r} to allow{suggest(name, known)}")
