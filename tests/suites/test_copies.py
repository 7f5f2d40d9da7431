"""
The copy of its suite that a run keeps, read with its digest and without.
"""

import json
from pathlib import Path

import pytest

from harness.canonical import as_written, digest_bytes
from harness.errors import SuiteError
from harness.suites.copies import copied_cases, load_suite_copy
from harness.suites.files import load_suite

ROOT = Path(__file__).parents[2] / "suites"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/suite.yaml"))


@pytest.fixture(params=NAMES)
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "suite.json"
    text = as_written(load_suite(ROOT / request.param).document) + "\n"
    path.write_text(text, "utf-8", newline="\n")
    return path


def digest_of(path: Path) -> str:
    return digest_bytes([path.read_bytes()])


def test_a_copy_with_its_digest_is_the_suite_that_a_validated_one_is(copy: Path):
    assert load_suite_copy(copy) == load_suite_copy(copy, digest=digest_of(copy))


def test_cases_built_one_by_one_are_those_of_the_suite(copy: Path):
    suite, cases = load_suite_copy(copy), copied_cases(copy, digest=digest_of(copy))

    assert [case.id for case in suite.cases] == list(cases)
    assert list(suite.cases) == [copied.case for copied in cases.values()]
    assert suite.document["cases"] == [copied.row for copied in cases.values()]


def test_line_ends_of_another_system_do_not_change_the_digest(tmp_path: Path):
    path = tmp_path / "suite.json"
    path.write_bytes(b'{"tools":[],"cases":[]}\n')
    known = digest_of(path)
    path.write_bytes(b'{"tools":[],"cases":[]}\r\n')

    assert [] == list(copied_cases(path, digest=known))


def test_a_copy_with_another_digest_is_held_to_every_rule(tmp_path: Path):
    path = tmp_path / "suite.json"
    path.write_text(json.dumps({"format": 1, "cases": [{"id": 3}]}), "utf-8")

    for read in (load_suite_copy, copied_cases):
        with pytest.raises(SuiteError, match=r"suite\.json:1: .*id must be text"):
            read(path, digest="sha256:" + "0" * 64)
