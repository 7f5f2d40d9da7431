"""
Accepting a run as a baseline, and what happens to the one it replaces.

A baseline is what every later candidate is measured by, so nothing makes it worse in silence: the
run that is accepted is held against the one it replaces by the gate itself, and replacing a
baseline, lowering it, or accepting a run in which much was not measured has to be asked for.
"""

from pathlib import Path

from harness.errors import HarnessError, StoreError, UsageError
from harness.gating.policy import ERROR_SHARE, Policy
from harness.provenance import date_today, now
from harness.runs import baselines as store
from harness.runs.baselines import baseline_folder, same_run
from harness.runs.store import StoredRun, load_run
from harness.runs.swap import heal
from harness.wording import count, percent
from harness.workflow.options import Progress
from harness.workflow.project import open_project


def save_baseline(
    run: StoredRun,
    baselines: Path,
    name: str,
    *,
    saved: str | None = None,
    reason: str | None = None,
    replace: bool = False,
    allow_errors: bool = False,
    allow_partial: bool = False,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> StoredRun:
    """
    Accept *run* as the baseline *name* of its suite in the folder *baselines*.

    *saved* is the time, ISO 8601 (default: now). A baseline that is there already is replaced only
    with *replace*, and by a run that regressed against it by *policy* (default: that of the
    project) only with a *reason*, too; it is kept under ``history/``. *allow_errors* accepts a run
    of which more than 2 % broke, *allow_partial* one of a part of its suite.

    Raises:
        StoreError: saying what is in the way, and which of these would accept it.
        HarnessError: if the run does not follow from its evidence (`harness.runs.verify`).
    """
    progress = progress or Progress()
    reason = (reason or "").strip() or None
    _check_measured(run, allow_errors=allow_errors, allow_partial=allow_partial)
    folder = baseline_folder(baselines, run.record.suite.name, name)
    heal(folder)
    there = store.digest_of_run(folder)
    if there is not None and not same_run(folder, run.folder):
        _check_replaced(run, folder, replace=replace, reason=reason, policy=policy, say=progress)
    return store.save_baseline(
        run, baselines, name, saved=saved or now(), reason=reason, instead_of=there
    )


def _check_measured(run: StoredRun, *, allow_errors: bool, allow_partial: bool) -> None:
    record = run.record
    if record.errors > ERROR_SHARE * len(record.cases) and not allow_errors:
        raise StoreError(
            f"{run.folder}: {record.errors} of {count(len(record.cases), 'answer')} "
            f"({percent(record.errors / len(record.cases))}) broke, and a baseline may have "
            f"{percent(ERROR_SHARE)}; run it again, or accept it with --allow-errors"
        )
    if not record.selection.complete and not allow_partial:
        raise StoreError(
            f"{run.folder}: it was asked only a part of its suite, and no gate against it can "
            "pass; run the whole suite, or accept it with --allow-partial"
        )


def _check_replaced(
    run: StoredRun,
    folder: Path,
    *,
    replace: bool,
    reason: str | None,
    policy: Policy | None,
    say: Progress,
) -> None:
    worse, verdict = _against(run, folder, policy)
    if not replace:
        more = " and --reason TEXT" if worse and not reason else ""
        raise StoreError(f"{folder.name} would be replaced: {verdict}; add --replace{more}")
    if worse and not reason:
        raise StoreError(f"{folder.name} would be replaced: {verdict}; say why with --reason TEXT")
    say.notify(f"{folder.name} is replaced: {verdict}")


def _against(run: StoredRun, folder: Path, policy: Policy | None) -> tuple[bool, str]:
    """
    Return whether *run* is worse than the baseline in *folder*, or may be, and the gate's words.
    """
    # Most are saved where nothing is yet, and nothing is compared.
    from harness.gating.decision import decide
    from harness.workflow.compare import compare

    try:
        compared = compare(load_run(folder), run, today=date_today())
    except HarnessError as exc:
        # One that cannot be read must not be there for ever.
        return True, f"it cannot be compared: {exc}"
    policy = policy or open_project().policy()
    verdict = decide(compared, policy, today=date_today()).verdict
    word = verdict.verdict.replace("_", " ")
    # A gate that compares nothing does not show that the run is as good.
    worse = verdict.verdict in ("regressed", "not_comparable")
    return worse, f"{word}: {verdict.reasons[0]}"


def remove_baseline(folder: Path) -> Path:
    """
    Remove the baseline in *folder*, and return the folder under ``history/`` where its run is now.
    """
    return store.remove_baseline(folder, removed=now())


def rename_baseline(folder: Path, name: str) -> Path:
    """
    Give the baseline in *folder* another name, and return its folder.

    Raises:
        StoreError: if there is a baseline of that name: none is replaced.
    """
    return store.rename_baseline(folder, name, renamed=now())


def prune_baselines(baselines: Path, *, keep: int) -> list[Path]:
    """
    Delete all but the newest *keep* replaced runs of each baseline, and return what was deleted.

    Raises:
        UsageError: if *keep* is negative.
    """
    if keep < 0:
        raise UsageError(f"{keep} replaced runs cannot be kept: give 0 or more")
    return store.prune_replaced(baselines, keep=keep)
