import json
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from harness.errors import SuiteError, UsageError
from harness.suites import release as suite_release
from harness.suites.files import load_suite
from harness.suites.lint.check import check
from harness.suites.release import release
from harness.suites.scaffold import new_suite

TODAY = date(2026, 1, 1)


@pytest.fixture
def suite(tmp_path):
    return new_suite(tmp_path, "toy")


def edit(folder, old, new, file="cases.jsonl"):
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")


# A new suite.


def test_a_new_suite_loads_and_checks_clean(suite):
    assert [] == check(suite, TODAY)
    loaded = load_suite(suite, today=TODAY)
    assert ("toy", 4, 2) == (loaded.name, len(loaded.cases), len(loaded.tools))
    assert ["README.md", "cases.jsonl", "suite.yaml", "tools.json"] == sorted(
        file.name for file in suite.iterdir()
    )
    assert "NAME" not in "".join(file.read_text("utf-8") for file in suite.iterdir())


def test_a_suite_is_never_overwritten(suite, tmp_path):
    with pytest.raises(UsageError, match="already exists; choose another name"):
        new_suite(tmp_path, "toy")
    assert [suite] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Toy", "a b", "../toy", "", "-toy", "toy\n"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="is not a valid name for a suite"):
        new_suite(tmp_path, name)
    assert [] == list(tmp_path.iterdir())


def test_a_name_is_judged_as_suite_yaml_judges_it():
    schema = json.loads((resources.files("harness") / "schemas" / "suite.json").read_text("utf-8"))

    assert f"^{suite_release.NAME.pattern}$(?!\\n)" == schema["properties"]["name"]["pattern"]


# Releases.


def test_the_first_release_takes_the_version_that_is_there(suite):
    made = release(suite)

    loaded = load_suite(suite)
    assert ("0.1.0", loaded.digest) == (made.version, made.digest)
    assert loaded.released
    assert {"0.1.0": loaded.digest} == json.loads((suite / "versions.json").read_text("utf-8"))
    assert "# Changes of toy\n\n## 0.1.0\n\nFirst release, 4 cases.\n" == (
        (suite / "CHANGELOG.md").read_text("utf-8")
    )


def test_a_release_lists_what_came_went_and_changed(suite):
    release(suite)
    edit(suite, "umbrella", "raincoat")
    edit(suite, '"chat-001"', '"chat-002"')

    made = release(suite, part="minor", today=TODAY)

    assert "0.2.0" == made.version
    assert (("chat-002",), ("chat-001",), ("weather-001",)) == (
        made.added,
        made.removed,
        made.changed,
    )
    assert (
        "# Changes of toy\n\n"
        "## 0.2.0 (2026-01-01)\n\n"
        "- Added (1): chat-002\n- Removed (1): chat-001\n- Changed (1): weather-001\n\n"
        "## 0.1.0\n\nFirst release, 4 cases.\n"
    ) == (suite / "CHANGELOG.md").read_text("utf-8")
    assert load_suite(suite).released


def test_a_release_without_a_changed_question_says_so(suite):
    release(suite)
    edit(suite, '"tags": ["abstain"]', '"tags": ["chat"]')

    made = release(suite, part="patch")

    assert ((), (), ()) == (made.added, made.removed, made.changed)
    text = "- No case asks or expects anything else; tags, groups or settings do.\n"
    assert text in (suite / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("part", "version"), [("major", "2.0.0"), ("minor", "1.3.0"), ("patch", "1.2.4")]
)
def test_a_part_is_raised_in_place_and_comments_stay(suite, part, version):
    edit(suite, "version: 0.1.0", "version: '1.2.3'", file="suite.yaml")
    file = suite / "suite.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    before = file.read_bytes()

    made = release(suite, part=part)

    assert version == made.version
    assert before.replace(b"'1.2.3'", f"'{version}'".encode()) == file.read_bytes()
    assert version == load_suite(suite).version


def test_a_released_version_is_never_overwritten(suite):
    release(suite)
    edit(suite, "umbrella", "raincoat")
    versions = (suite / "versions.json").read_bytes()

    with pytest.raises(UsageError, match=r"0\.1\.0 was released with other content; choose a part"):
        release(suite)
    assert versions == (suite / "versions.json").read_bytes()
    with pytest.raises(SuiteError, match="harness suite release toy"):
        load_suite(suite)


def test_a_part_that_leads_to_a_released_version_is_refused(suite):
    release(suite)
    edit(suite, "umbrella", "raincoat")
    release(suite, part="patch")
    edit(suite, "raincoat", "coat")
    edit(suite, "version: 0.1.1", "version: 0.1.0", file="suite.yaml")
    before = (suite / "suite.yaml").read_bytes()

    with pytest.raises(UsageError, match=r"0\.1\.1 was released with other content; set a version"):
        release(suite, part="patch")
    assert before == (suite / "suite.yaml").read_bytes()


@pytest.mark.parametrize("part", [None, "major"])
def test_the_same_content_is_released_once(suite, part):
    release(suite)

    with pytest.raises(UsageError, match=r"this content is already released as 0\.1\.0"):
        release(suite, part=part)


def test_a_suite_with_errors_is_not_released(suite):
    edit(suite, '"prompt"', '"promt"')

    with pytest.raises(SuiteError, match=r"cases\.jsonl:1: "):
        release(suite)
    assert not (suite / "versions.json").exists()


def test_a_release_cut_short_can_be_finished(suite, monkeypatch):
    """
    versions.json is written last: until then nothing is released, and a second try does no harm.
    """
    release(suite)
    edit(suite, "umbrella", "raincoat")
    write = suite_release.write_text

    def breaks(file, text):
        if file.name == "versions.json":
            raise OSError("disk full")
        write(file, text)

    monkeypatch.setattr(suite_release, "write_text", breaks)
    with pytest.raises(SuiteError, match="cannot write the release: disk full"):
        release(suite, part="minor")
    monkeypatch.undo()

    assert not load_suite(suite).released
    assert "0.2.0" == release(suite).version
    changelog = (suite / "CHANGELOG.md").read_text("utf-8")
    assert 1 == changelog.count("## 0.2.0")
    assert "- Changed (1): weather-001" in changelog
    assert load_suite(suite).released


def test_a_release_leaves_no_other_file(suite):
    release(suite)

    assert {
        "CHANGELOG.md",
        "README.md",
        "cases.jsonl",
        "released-cases.json",
        "suite.yaml",
        "tools.json",
        "versions.json",
    } == {Path(file).name for file in suite.iterdir()}


def test_a_quarantine_that_has_passed_is_not_released(tmp_path: Path):
    """
    A case set aside for a while must not be set aside for good by a release.
    """
    folder = new_suite(tmp_path, "late")
    cases = folder / "cases.jsonl"
    rows = [json.loads(line) for line in cases.read_text("utf-8").splitlines()]
    rows[0]["quarantine"] = {"reason": "wrong answer", "until": "2026-01-31"}
    cases.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    with pytest.raises(SuiteError, match="has passed"):
        release(folder, today=date(2026, 2, 1))
    assert not (folder / "versions.json").exists()


def test_versions_that_are_null_are_not_written_over(suite: Path):
    (suite / "versions.json").write_text("null\n", "utf-8")

    with pytest.raises(SuiteError, match=r"versions\.json:1: holds null and nothing else"):
        release(suite)

    assert "null\n" == (suite / "versions.json").read_text("utf-8")
