"""
May a run replace the baseline? The one gate that the command line, pytest, the demo and Python use.

The run is held against the last release and, where one is named, against a pinned anchor: a release
may lose a point that no single gate can tell from chance, and after some releases the loss against
the last one is still small while against the anchor it is not.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from harness.comparison.differences import names_of_fields
from harness.errors import PolicyError, UsageError
from harness.gating.decision import Gated, decide
from harness.gating.policy import Policy
from harness.provenance import date_today
from harness.runs.store import StoredRun, load_run
from harness.wording import suggest
from harness.workflow.compare import compare
from harness.workflow.options import Progress
from harness.workflow.project import Project, open_project
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
    Runs that differ in a field in *allow* are compared all the same. The verdict bears the date
    *today* (default: today's).

    Raises:
        StoreError: if a run or baseline is missing: a gate without its anchor never passes.
        PolicyError: if the policy is not valid, or limits a slice that neither run has a case of.
        UsageError: if no runs can differ in a field in *allow*.
    """
    project, progress = project or open_project(), progress or Progress()
    today = today or date_today()
    if not isinstance(policy, Policy):
        policy = project.policy(policy)
    if not isinstance(new, StoredRun):
        new = project.run(str(new))
    if isinstance(old, str):
        old = project.baseline(new.record, old)
    elif isinstance(old, Path):
        old = load_run(old)
    _check_slices(policy, old, new)
    name = policy.anchor if anchor is None else anchor
    pinned = None if name is None else project.baseline(new.record, name)
    _check_allowed(allow, old, new, *filter(None, [pinned]))

    def against(baseline: StoredRun) -> Gated:
        gated = decide(compare(baseline, new, today=today), policy, allow=allow, today=today)
        if recheck is False:
            return gated
        return decide_again(
            gated,
            policy,
            project=project,
            allow=allow,
            today=today,
            progress=progress,
            api_key_env=api_key_env,
            ask=policy.recheck if recheck is None else recheck,
        )

    gated = against(old)
    if pinned is None or pinned.folder.resolve() == old.folder.resolve():
        return gated
    return replace(gated, verdict=gated.verdict.with_anchor(against(pinned).verdict))


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
