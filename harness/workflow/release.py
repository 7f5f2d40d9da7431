"""
A suite released, unless a stored run knows the version with other content.
"""

import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from harness.runs.store import RUN
from harness.suites.release import Part, Release, Used
from harness.suites.release import release as release_suite
from harness.workflow.project import Project


def release(
    suite: str, *, project: Project, part: Part | None = None, today: date | None = None
) -> Release:
    """
    Release the content of a suite of *project* (`harness.suites.release.release`).

    Raises:
        UsageError: also if a run or baseline of the project was made with other content that was
            released under this version, whatever became of versions.json since.
    """
    return release_suite(
        project.suite(suite), part=part, today=today, used=tuple(_released_runs(project))
    )


def _released_runs(project: Project) -> Iterator[Used]:
    """
    Yield the suites of the runs under the project's folders, as far as they were released.
    """
    places = dict.fromkeys((project.root, project.baselines, project.reports))
    found = dict.fromkeys(path for place in places for path in _runs(place))
    for path in sorted(found):
        try:
            suite = json.loads(path.read_bytes())["suite"]
            if suite.get("released") is True:
                name, version, digest = (str(suite[key]) for key in ("name", "version", "digest"))
                yield Used(name=name, version=version, digest=digest, by=str(path.parent))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not a run that knows anything, and not what was asked about.
            continue


def _runs(place: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(place):
        below[:] = [name for name in below if not name.startswith(".")]
        if RUN in files:
            yield Path(folder) / RUN
