"""
Where a project keeps its suites, baselines and reports.

They are the folders ``suites``, ``baselines`` and ``reports`` of the current folder or of
``--root DIR``, unless a ``harness.toml`` there names others::

    suites = "eval/suites"
    baselines = "eval/baselines"
    reports = "build/reports"

Paths in it are relative to the file. A suite is looked up by name there, then among those that come
with the package. A file or folder that merely has the name of a suite or baseline hides neither.
"""

import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import PolicyError, StoreError, UsageError, boundary
from harness.gating.policy import Policy, default_policy, read_policy
from harness.runs.baselines import REPLACED, heal_baselines
from harness.runs.record import RunRecord
from harness.runs.store import RUN, UNFINISHED, StoredRun, load_run
from harness.suites.files import SUITE_FILE, find_suites, suite_path
from harness.wording import closest, meant, suggest

_KEYS = ("suites", "baselines", "reports")
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """
    The folders the commands work in.
    """

    root: Path
    suites: Path
    baselines: Path
    reports: Path
    baselines_of: str | None = None
    """Where the baselines are from, in words, if not from the work tree."""

    def suite(self, text: str) -> Path:
        """
        Return a suite's folder by path or name, here or among the bundled ones.

        Raises:
            UsageError: naming the suites there are.
        """
        _refuse_empty("suite", text)
        try:
            return suite_path(text, self.suites)
        except UsageError as exc:
            bundled = {folder.name: folder for folder in bundled_suites()}
            # A suite of the project that lost its suite.yaml is not replaced by one that is alike
            # in name only.
            if text in bundled and not (self.suites / text).exists():
                return bundled[text]
            names = {folder.name for folder in find_suites(self.suites)} | bundled.keys()
            raise UsageError(
                f"unknown suite {text!r}: not a folder with a {SUITE_FILE}, nor a name under "
                f"{self.suites} or of a bundled one{suggest(text, names)}"
            ) from exc

    def fresh_folder(self, suite: str, label: str) -> Path:
        """
        Return a folder under reports/ that does not exist yet.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.")[-40:] or "run"
        folder = self.reports / suite / f"{stamp}-{slug}"
        number = 2
        while folder.exists():
            folder = folder.with_name(f"{stamp}-{slug}-{number}")
            number += 1
        return folder

    def run(self, text: str, suite: str | None = None) -> StoredRun:
        """
        Return a run: a folder with a run.json, or a baseline as ``suite/name`` or name of *suite*.

        Raises:
            UsageError: if *text* is empty.
            StoreError: if there is neither.
        """
        _refuse_empty("run", text)
        folder = Path(text)
        found = None if holds_run(folder) else self._named(text, suite)
        if found is None and not folder.exists():
            raise StoreError(
                f"{text!r} is neither a run folder nor a baseline{self._nearest(text, suite)}"
            )
        return load_run(found or folder)

    def accepted(self, text: str) -> StoredRun:
        """
        Return a baseline by its name; where there is none, what `run` finds.

        Raises:
            UsageError, StoreError: as `run`.
        """
        _refuse_empty("baseline", text)
        found = self._named(text, None)
        return self.run(text) if found is None else load_run(found)

    def accepted_folder(self, text: str) -> Path:
        """
        Return the folder of a baseline, readable or not, by its name or as ``suite/name``.

        Raises:
            UsageError, StoreError: as `run`, and for what is kept under ``history/``.
        """
        _refuse_empty("baseline", text)
        found = self._named(text, None)
        if found is not None and REPLACED in found.relative_to(self.baselines).parts[1:]:
            raise StoreError(
                f"{found} is not a baseline: under {REPLACED}/ is what baselines were before; "
                "`harness baseline save` makes it one again, `harness baseline prune` deletes"
            )
        if found is None or not holds_run(found):
            raise StoreError(f"no baseline {text!r}{self._nearest(text, None)}")
        return found

    def _nearest(self, text: str, suite: str | None) -> str:
        """
        Return the end of a sentence about an unknown baseline, which may leave out its suite.
        """
        if not _may_be_name(text):
            return _meant_run(text)
        names = self.baseline_names(suite)
        close = meant(text, {name.rpartition("/")[2] for name in names}) or _meant_run(text)
        return close or suggest(text, names)

    def _named(self, text: str, suite: str | None) -> Path | None:
        """
        Return the folder of the baseline *text*; None if there is none, or *text* is a path.
        """
        heal_baselines(self.baselines)
        if _is_path(text):
            return None
        places = [self.baselines / text]
        if suite is not None:
            places.append(self.baselines / suite / text)
        else:
            places += sorted(self.baselines.glob(f"*/{text}")) if _is_name(text) else []
        # The folder of a suite is in the way of no baseline with the suite's name.
        found = [place for place in places if holds_run(place)]
        found = found or [place for place in places if place.is_dir()]
        if len({place.parent for place in found}) > 1:
            names = ", ".join(f"{place.parent.name}/{place.name}" for place in found)
            raise StoreError(f"baseline {text!r} is there more than once: say which of {names}")
        return found[0] if found else None

    def baseline(self, record: RunRecord, name: str) -> StoredRun:
        """
        Return the baseline *name* of the suite *record* was made with, or the run in the folder
        *name*.

        Raises:
            StoreError: if there is neither; a gate without a baseline is an error, never a pass.
        """
        return load_run(self.baseline_of(record.suite.name, name))

    def baseline_of(self, suite: str, name: str) -> Path:
        """
        Return the folder of the baseline *name* of a suite, or of the run in the folder *name*.

        Raises:
            StoreError: if there is neither.
        """
        heal_baselines(self.baselines)
        # `baseline list` and `compare` name a baseline with its suite.
        within = name.removeprefix(f"{suite}/")
        folder = self.baselines / suite / within
        if _is_name(within) and folder.is_dir():
            return folder
        # A variant of a suite is held against a baseline of the suite itself.
        if _may_be_name(name) and holds_run(self.baselines / name):
            return self.baselines / name
        if holds_run(Path(name)):
            return Path(name)
        hint = self._nearest(within, suite)
        if not _may_be_name(within):
            raise StoreError(f"{name!r} is neither a run folder nor a baseline's name{hint}")
        raise StoreError(
            f"suite {suite} has no baseline {within!r}{hint}\n"
            f"`harness baseline save RUN --name {within}` accepts a run; its folder will do, too"
        )

    def policy(self, path: Path | None = None) -> Policy:
        """
        Return the policy at *path*, or else the project's gate.toml, or else the built-in one.

        Raises:
            PolicyError: if it is not valid.
            UsageError: if there is no file at *path*, or gate.toml is not a file.
        """
        if path is None:
            path = self.root / "gate.toml"
            if not _is_file(path):
                return default_policy()
        elif not path.is_file():
            raise UsageError(f"{path}: there is no such policy file")
        with boundary(PolicyError, f"{path}: cannot be read"):
            text = path.read_text("utf-8")
        return read_policy(text, str(path))

    def baseline_names(self, suite: str | None) -> list[str]:
        """
        Return the names of a suite's baselines, or of all as ``suite/name``.
        """
        heal_baselines(self.baselines)
        found = sorted(self.baselines.glob(f"{suite or '*'}/*/run.json"))
        return [
            path.parent.name if suite else f"{path.parent.parent.name}/{path.parent.name}"
            for path in found
            if not path.parent.name.startswith(".")
        ]


def open_project(root: Path | None = None) -> Project:
    """
    Read the project at *root* (default: the current folder).

    Raises:
        UsageError: if the folder is missing or its harness.toml is wrong.
    """
    root = root or Path()
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder; --root is the folder that holds suites/")
    places = {key: root / key for key in _KEYS}
    config = root / "harness.toml"
    if _is_file(config):
        try:
            settings = tomllib.loads(config.read_text("utf-8"))
        except (ValueError, RecursionError) as exc:
            raise UsageError(f"{config}: {exc}") from exc
        for key, value in settings.items():
            if key not in _KEYS or not isinstance(value, str):
                raise UsageError(
                    f"{config}: {key!r} is not known here; name folders for {', '.join(_KEYS)}"
                )
            places[key] = root / value
    return Project(
        root=root,
        suites=places["suites"],
        baselines=places["baselines"],
        reports=places["reports"],
    )


def bundled_suites() -> list[Path]:
    """
    Return the suites that ship with the package, or lie beside it in a source tree.
    """
    bundled = _PACKAGE / "bundled"
    return find_suites(bundled if bundled.is_dir() else _PACKAGE.parent / "suites")


def holds_run(folder: Path) -> bool:
    """
    Return whether *folder* is that of a run, complete or not, or is a run.json itself.
    """
    if folder.name == RUN and folder.is_file():
        return True
    return any((folder / name).is_file() for name in (RUN, UNFINISHED))


def _meant_run(text: str) -> str:
    """
    Return the end of a sentence about a folder that holds no run: the one beside it that was
    probably meant, or nothing.
    """
    folder = Path(text)
    with suppress(OSError):
        runs = [each.name for each in folder.parent.iterdir() if holds_run(each)]
        if (name := closest(folder.name, runs, cutoff=0.6)) is not None:
            return f"; did you mean '{folder.with_name(name)}'?"
    return ""


def _is_path(text: str) -> bool:
    return text.startswith(".") or text.endswith(os.sep) or Path(text).is_absolute()


def _may_be_name(text: str) -> bool:
    """
    Return whether *text* may be meant as the name of a baseline, or as ``suite/name``.
    """
    return not _is_path(text) and len(Path(text).parts) <= 2


def _is_file(path: Path) -> bool:
    """
    Return whether there is a file of settings at *path*.

    Raises:
        UsageError: if there is something else: settings must not be skipped without a word.
    """
    if path.is_file():
        return True
    if path.is_symlink() or path.exists():
        what = "a folder" if path.is_dir() else "a broken link or a special file"
        raise UsageError(f"{path} is {what}, not a file: replace or remove it")
    return False


def _refuse_empty(what: str, text: str) -> None:
    if not text.strip():
        # As a path it would be the current folder.
        raise UsageError(f"the {what} is given as {text!r}: name one (is a variable unset?)")


def _is_name(text: str) -> bool:
    return bool(re.fullmatch(r"[\w.\-]+", text)) and text not in (".", "..")
