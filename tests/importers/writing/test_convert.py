"""
``harness suite import``: the folder it makes, what it prints and what it refuses.
"""

from datetime import date
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.importers.registry import names
from harness.importers.writing.convert import import_suite
from harness.suites.files import load_suite
from harness.suites.lint.check import check
from tests.importers.examples import SOURCES, answer, function, lines, question, write

TODAY = date(2026, 11, 22)
ADD = function("add", a={"type": "integer"})


def test_the_folder_loads_and_checks_clean(tmp_path: Path):
    import_suite(
        "chat-jsonl", write(tmp_path, SOURCES["chat-jsonl"]), tmp_path / "My Suite", today=TODAY
    )

    assert [] == [f for f in check(tmp_path / "My Suite", TODAY) if f.code != "near_duplicate"]
    assert "my-suite" == load_suite(tmp_path / "My Suite").name
    assert ["README.md", "cases.jsonl", "imported.jsonl", "suite.yaml", "tools.json"] == sorted(
        file.name for file in (tmp_path / "My Suite").iterdir()
    )


def test_a_folder_in_the_way_is_left_alone(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")

    with pytest.raises(UsageError, match="out already exists"):
        import_suite(
            "tool-rows", write(tmp_path, SOURCES["tool-rows"]), tmp_path / "out", today=TODAY
        )
    assert ["mine"] == [file.name for file in (tmp_path / "out").iterdir()]


def test_a_suite_in_the_way_is_left_alone_and_the_way_to_merge_into_it_is_named(tmp_path: Path):
    sources = write(tmp_path, SOURCES["tool-rows"])
    import_suite("tool-rows", sources, tmp_path / "out", today=TODAY)
    before = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}

    with pytest.raises(UsageError, match=r"out already exists; merge .* --update, or choose"):
        import_suite("tool-rows", sources, tmp_path / "out", today=TODAY)
    assert before == {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}


def test_a_link_that_leads_to_itself_is_not_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "out").symlink_to("out")
    (rows,) = write(tmp_path, SOURCES["chat-jsonl"])["rows"]

    assert 2 == main(["suite", "import", "chat-jsonl", str(rows), "--out", str(tmp_path / "out")])
    assert f"cannot create {tmp_path}/out: " in capsys.readouterr().err


def test_an_empty_folder_is_filled(tmp_path: Path):
    (tmp_path / "out").mkdir()
    import_suite("tool-rows", write(tmp_path, SOURCES["tool-rows"]), tmp_path / "out", today=TODAY)

    assert load_suite(tmp_path / "out").cases


def test_nothing_to_carry_over_is_an_error_with_all_reasons(tmp_path: Path):
    (tmp_path / "chat.jsonl").write_text('{"messages": 1}\n{"messages": []}\n')

    with pytest.raises(
        UsageError, match=r"no.*case of a suite\n.*jsonl:1: left out: .*\n.*jsonl:2: left out"
    ) as caught:
        import_suite(
            "chat-jsonl", {"rows": (tmp_path / "chat.jsonl",)}, tmp_path / "out", today=TODAY
        )
    assert 3 == len(str(caught.value).splitlines()), "and nothing but these"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense", "x.jsonl"], "unknown format 'nonsense'"),
        (["bfcl", "x.jsonl"], "format bfcl takes no files of rows"),
        (["bfcl"], "format bfcl needs --questions"),
        (["tool-rows", "x.jsonl"], "format tool-rows needs --tools"),
        (["chat-jsonl"], "format chat-jsonl needs files of rows"),
        (["chat-jsonl", "gone.jsonl"], "gone.jsonl cannot be read"),
    ],
)
def test_what_is_given_must_fit_the_format(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert 2 == main(["suite", "import", *arguments, "--out", str(tmp_path / "out")])
    assert said in capsys.readouterr().err


def test_the_command_prints_counts_and_every_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, identity in (("one", "simple_0"), ("two", "parallel_0")):
        (tmp_path / f"{name}.json").write_text(lines(question(identity, ADD)))
    (tmp_path / "answers.json").write_text(
        lines(answer("simple_0", {"plus": {"a": [1]}}), answer("parallel_0", {"add": {"a": [1]}}))
    )
    given = ["--questions", tmp_path / "one.json", "--questions", tmp_path / "two.json"]
    given += ["--answers", tmp_path / "answers.json", "--out", tmp_path / "out", "--name", "mine"]

    assert 0 == main(["suite", "import", "bfcl", *map(str, given)])

    printed = capsys.readouterr().out
    assert "answers.json:1: 'simple_0' is in quarantine" in printed
    assert "2 cases, 1 of them in quarantine, 1 note\n" in printed
    assert "mine" == load_suite(tmp_path / "out").name
    assert "- answers.json:1: 'simple_0' is in quarantine" in (
        tmp_path / "out" / "README.md"
    ).read_text("utf-8")


def test_the_help_names_every_importer(capsys: pytest.CaptureFixture[str]):
    assert main(["suite", "import", "--help"]) == 0

    said = " ".join(capsys.readouterr().out.split())
    assert [] == [name for name in names() if name not in said]
