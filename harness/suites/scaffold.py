"""
A small working suite to start from.
"""

from importlib import resources
from pathlib import Path

from harness.errors import UsageError
from harness.files import write_folder
from harness.suites.files import SUITE_FILE
from harness.suites.release import NAME

_EXAMPLE = {
    SUITE_FILE: "suite.yaml",
    "tools.json": "tools.json",
    "cases.jsonl": "cases.jsonl",
    "README.md": "suite-readme.md",
}
"""The files of a new suite and their templates."""


def new_suite(root: Path, name: str) -> Path:
    """
    Create ``root/name`` with a small suite that loads, has no findings and is meant to be edited.

    Raises:
        UsageError: if the name is not valid for a suite, or the folder exists.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid name for a suite; use lower-case letters and digits with "
            "single -, _ or . between, such as tool-routing"
        )
    folder = root / name
    if folder.exists():
        raise UsageError(f"{folder} already exists; choose another name")
    texts = {
        file: (resources.files("harness.suites") / "template" / template).read_text("utf-8")
        for file, template in _EXAMPLE.items()
    }
    write_folder(folder, {file: text.replace("NAME", name) for file, text in texts.items()})
    return folder
