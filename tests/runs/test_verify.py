"""
Nothing is concluded from a run that does not follow from its evidence.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness
from harness.cli.main import main
from harness.errors import HarnessError, StoreError
from harness.gating.verdict import Verdict
from harness.runs.store import RUN, SUITE, TRANSCRIPTS, load_run
from harness.runs.verify import verified
from harness.scoring.cases import SCORER_VERSION

COUNT = 12
TOOLS = [
    {"name": name, "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    for name in ("inside", "outside")
]


def rows(wrong: int) -> list[dict[str, Any]]:
    """
    One answer a case, the first *wrong* by the wrong tool and the last broken.
    """
    made: list[dict[str, Any]] = []
    for number in range(COUNT):
        call = {"name": "outside" if number < wrong else "inside", "arguments": {"q": f"{number}"}}
        text = f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
        made.append({"case": f"c{number}", "output": text, "output_tokens": 20})
    return [*made[:-1], {"case": f"c{COUNT - 1}", "error": "HTTP 503"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A project with two runs, old and new; the new one is worse.
    """
    root = tmp_path_factory.mktemp("project")
    folder = root / "suites" / "ask"
    folder.mkdir(parents=True)
    cases = [
        {
            "id": f"c{number}",
            "prompt": f"Ask inside about {number}.",
            "tags": ["even" if number % 2 == 0 else "odd"],
            "expect": {"calls": [{"tool": "inside", "arguments": {"q": f"{number}"}}]},
        }
        for number in range(COUNT)
    ]
    suite = {"format": 1, "name": "ask", "version": "1.0.0", "tools": TOOLS, "cases": cases}
    (folder / "suite.yaml").write_text(json.dumps(suite))
    for name, wrong in (("old", 0), ("new", 4)):
        answers = root / f"{name}.jsonl"
        answers.write_text("".join(json.dumps(row) + "\n" for row in rows(wrong)))
        options = harness.RunOptions(dialect="hermes")
        project = harness.open_project(root)
        harness.run("ask", f"replay:{answers}", project=project, out=root / name, options=options)
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def as_format(folder: Path, form: int) -> dict[str, Any]:
    """
    Rewrite a run.json as one of an earlier format had it.
    """
    data: dict[str, Any] = json.loads((folder / RUN).read_text("utf-8"))
    del data["digests"]
    for case in data["cases"]:
        for turn in case["turns"]:
            del turn["pairs"]
            for finding in turn["findings"] if form == 1 else ():
                del finding["call"]
    data["format"] = form
    (folder / RUN).write_text(json.dumps(data))
    return data


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / RUN).read_text("utf-8"))
    change(data)
    (folder / RUN).write_text(json.dumps(data))


def turned(data: dict[str, Any]) -> None:
    for key in ("status", "status_lenient"):
        data["cases"][1][key] = "correct"
    for turn in data["cases"][1]["turns"]:
        turn |= {"status": "correct", "status_lenient": "correct", "findings": []}


def verdict(old: Path, new: Path) -> Verdict:
    return harness.gate(old, str(new), harness.default_policy(), recheck=False).verdict


# Runs of format 3


def test_an_untouched_run_is_returned_as_it_is(project: Path):
    run = load_run(project / "new")

    assert run is verified(run)
    assert "sha256:" in str(run.record.digests)


def test_line_ends_of_another_system_change_nothing(project: Path):
    before = verdict(Path("old"), Path("new"))
    for name in (RUN, TRANSCRIPTS, SUITE):
        path = Path("new") / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert before == verdict(Path("old"), Path("new"))


COMMANDS = [
    ["gate", "new", "--baseline", "shipped"],
    ["gate", "old", "--baseline", "edited"],
    ["compare", "old", "new"],
    ["compare", "old", "old", "new"],
    ["report", "new"],
    ["baseline", "save", "new", "--name", "other", "--allow-errors"],
    ["baseline", "show", "edited"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_case_turned_by_hand_is_named_and_nothing_is_judged(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    for name, baseline in (("old", "shipped"), ("new", "edited")):
        assert 0 == main(["baseline", "save", name, "--name", baseline, "--allow-errors"])
    for folder in (Path("new"), Path("baselines/ask/edited")):
        edit(folder, turned)
    capsys.readouterr()

    assert 2 == main(command)
    printed, error = capsys.readouterr()
    assert "" == printed
    folder = "new" if "new" in command else "baselines/ask/edited"
    assert (
        f"harness: {folder}/run.json does not follow from transcripts.jsonl: case 'c1' is stored "
        f"as correct and judged incorrect; `harness score {folder}` judges it again\n"
    ) == error
    assert not Path("baselines/ask/other").exists()


def test_what_is_edited_beside_the_cases_is_an_error_too(project: Path):
    edit(Path("new"), lambda data: data["selection"].update(complete=False))

    with pytest.raises(StoreError) as caught:
        verified(load_run(Path("new")))
    assert (
        "new/run.json was changed after the run was judged: it no longer has its own digest; "
        "restore it, or run the suite again"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("name", "old", "new"), [(TRANSCRIPTS, "inside", "out"), (SUITE, "Ask", "Say")]
)
def test_evidence_that_was_changed_is_named(project: Path, name: str, old: str, new: str):
    path = Path("new") / name
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")

    with pytest.raises(StoreError) as caught:
        verdict(Path("old"), Path("new"))
    assert (
        f"new/{name} was changed after the run was judged: it no longer has the digest in "
        "run.json; restore it, or judge it again with `harness score new`"
    ) == str(caught.value)


def test_judging_again_puts_no_other_edit_right(project: Path):
    """
    A dtype turned by hand would come out of it with a digest of its own.
    """
    edit(Path("new"), lambda data: data["backend"].update(dtype="float32"))
    edit(Path("new"), turned)
    before = load_run(Path("new"))

    with pytest.raises(StoreError, match=r"^new/run\.json was changed .*; restore it"):
        harness.score(Path("new"), "ask", out=Path("again"))
    assert not Path("again").exists()
    with pytest.raises(StoreError, match=r"^new/run\.json was changed .*; restore it"):
        verified(before)


def test_metrics_edited_by_hand_are_judged_again(project: Path):
    edit(Path("new"), lambda data: data["metrics"]["accuracy"].update(value=1.0))

    with pytest.raises(StoreError) as caught:
        verified(load_run(Path("new")))
    assert (
        "new/run.json does not follow from transcripts.jsonl: it was changed after the run was "
        "judged; `harness score new` judges it again"
    ) == str(caught.value)
    harness.score(Path("new"), "ask", out=Path("again"))


def test_a_run_judged_again_is_believed(project: Path):
    edit(Path("new"), turned)

    again = harness.score(Path("new"), "ask", out=Path("again"))

    assert again == verified(load_run(Path("again")))
    assert 4 == sum(case.status == "incorrect" for case in again.record.cases)


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(["old", "new"]),
    st.sampled_from([RUN, TRANSCRIPTS, SUITE]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255) | st.sampled_from(b' \r\n\t0123456789"{}[],:tfn'),
)
def test_a_damaged_byte_is_an_error_that_names_the_file_or_changes_nothing(
    project: Path, which: str, name: str, place: float, byte: int
):
    path = project / which / name
    whole = path.read_bytes()
    position = int(place * len(whole))
    before = _JUDGED.setdefault("whole", verdict(project / "old", project / "new"))
    found: Verdict | str
    try:
        path.write_bytes(whole[:position] + bytes([byte]) + whole[position + 1 :])
        found = verdict(project / "old", project / "new")
    except HarnessError as error:
        found = str(error)
    finally:
        path.write_bytes(whole)
    assert str(path) in found if isinstance(found, str) else before == found


_JUDGED: dict[str, Verdict] = {}


# Earlier formats


@pytest.mark.parametrize("form", [1, 2])
def test_a_run_without_digests_is_judged_again(project: Path, form: int):
    before = verdict(Path("old"), Path("new"))
    for folder in (Path("old"), Path("new")):
        as_format(folder, form)

    assert None is load_run(Path("new")).record.digests
    assert before == verdict(Path("old"), Path("new"))


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (turned, "case 'c1' is stored as correct and judged incorrect"),
        (
            lambda data: data["cases"][1].update(must_pass=True),
            "case 'c1' is stored with another must_pass",
        ),
        (
            lambda data: data["cases"][2].update(quarantined=True),
            "case 'c2' is stored with another quarantine",
        ),
        (lambda data: data["cases"].pop(3), "case 'c3' is not in it"),
        (
            lambda data: data["cases"][5]["turns"][0].update(output_tokens=3),
            "case 'c5' is stored with another length",
        ),
    ],
    ids=["status", "must_pass", "quarantine", "removed", "length"],
)  # fmt: skip
def test_a_run_without_digests_must_be_judged_as_it_is_stored(
    project: Path, form: int, change: Callable[[dict[str, Any]], object], reason: str
):
    as_format(Path("new"), form)
    edit(Path("new"), change)

    with pytest.raises(StoreError) as caught:
        verdict(Path("old"), Path("new"))
    assert (
        f"new/run.json does not follow from transcripts.jsonl: {reason}; `harness score new` "
        "judges it again"
    ) == str(caught.value)


def test_a_run_that_older_versions_judged_is_judged_again_and_the_verdict_says_so(project: Path):
    for folder in (Path("old"), Path("new")):
        as_format(folder, 2)
        edit(folder, lambda data: data.update(scorer_version=1))
    # What the scorer of then said is not what counts.
    edit(Path("new"), turned)

    found = verdict(Path("old"), Path("new"))

    assert ("c0", "c1", "c2", "c3") == found.broken
    (note,) = (note for note in found.notes if "judged again" in note)
    assert note.startswith("scorer_version was 1 and is ")


def quarantined(suite: dict[str, Any]) -> None:
    suite["cases"][1]["quarantine"] = {"reason": "flaky", "until": "2100-01-01"}


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("scorer", [1, SCORER_VERSION], ids=["older scorer", "same scorer"])
@pytest.mark.parametrize(
    "change",
    [quarantined, lambda suite: suite["cases"].append(suite["cases"][0] | {"id": "c99"})],
    ids=["quarantine", "added"],
)
def test_the_suite_of_a_run_without_digests_must_be_the_one_it_names(
    project: Path, form: int, scorer: int, change: Callable[[dict[str, Any]], object]
):
    as_format(Path("new"), form)
    edit(Path("new"), lambda data: data.update(scorer_version=scorer))
    edit(Path("new"), lambda data: data["selection"].update(complete=False))
    suite = json.loads((Path("new") / SUITE).read_text("utf-8"))
    change(suite)
    (Path("new") / SUITE).write_text(json.dumps(suite))

    with pytest.raises(StoreError) as caught:
        verdict(Path("old"), Path("new"))
    assert (
        "new/suite.json was changed after the run was judged: it no longer has the digest in "
        "run.json; restore it, or judge it again with `harness score new`"
    ) == str(caught.value)


@pytest.mark.parametrize("form", [1, 2])
def test_a_case_deleted_from_the_suite_of_an_older_run_is_not_left_out(project: Path, form: int):
    as_format(Path("new"), form)
    edit(Path("new"), lambda data: data.update(scorer_version=1))
    suite = json.loads((Path("new") / SUITE).read_text("utf-8"))
    del suite["cases"][1]
    (Path("new") / SUITE).write_text(json.dumps(suite))

    with pytest.raises(StoreError, match=r"^new/suite\.json was changed after the run was judged"):
        verdict(Path("old"), Path("new"))


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("scorer", [1, SCORER_VERSION], ids=["older scorer", "same scorer"])
@pytest.mark.parametrize("line", [b"", b'{"case": "c1", "error": "HTTP 503"}\n'])
def test_an_answer_deleted_from_a_run_without_digests_is_named(
    project: Path, form: int, scorer: int, line: bytes
):
    as_format(Path("new"), form)
    edit(Path("new"), lambda data: data.update(scorer_version=scorer))
    path = Path("new") / TRANSCRIPTS
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = line
    path.write_bytes(b"".join(lines))

    with pytest.raises(StoreError) as caught:
        verdict(Path("old"), Path("new"))
    assert (
        "new/transcripts.jsonl was changed after the run was judged: case 'c1' is stored as "
        "incorrect and has no answer; restore it"
    ) == str(caught.value)


@pytest.mark.parametrize("form", [1, 2])
def test_an_answer_that_was_an_error_may_be_without_its_line(project: Path, form: int):
    as_format(Path("new"), form)
    path = Path("new") / TRANSCRIPTS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    assert 1 == verified(load_run(Path("new"))).record.errors
