"""
How a project finds what it is asked for: suites, runs, baselines and settings, and what it refuses.
"""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import StoreError, UsageError
from harness.gating.policy import default_policy
from harness.workflow.project import bundled_suites, open_project

SUITE = {
    "format": 1,
    "name": "ask",
    "version": "1.0.0",
    "tools": [{"name": "look"}],
    "cases": [{"id": "c1", "prompt": "Look.", "expect": {"abstain": True}}],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A project with a suite, a run of it in ``new`` and a baseline ``shipped``.
    """
    (tmp_path / "suites" / "ask").mkdir(parents=True)
    (tmp_path / "suites" / "ask" / "suite.yaml").write_text(json.dumps(SUITE), "utf-8")
    (tmp_path / "a.jsonl").write_text('{"case": "c1", "message": {"content": "No."}}\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "ask", "--checkpoint", "replay:a.jsonl", "--out", "new", "--quiet"]) == 0
    assert main(["baseline", "save", "new", "--name", "shipped"]) == 0
    return tmp_path


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_name_is_refused_and_never_the_current_folder(project: Path, text: str):
    found = open_project()

    for find in (found.run, found.accepted, found.suite):
        with pytest.raises(UsageError, match="is a variable unset"):
            find(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", ""],
        ["compare", "new", ""],
        ["explain", "", "c1"],
        ["explain", "new", "c1", "--baseline", ""],
        ["gate", "", "--baseline", "shipped"],
        ["gate", "new", "--baseline", ""],
        ["gate", "new", "--baseline", "shipped", "--anchor", ""],
        ["gate", "new", "--baseline", "shipped", "--policy", ""],
        ["baseline", "save", "", "--name", "x"],
        ["baseline", "save", "new", "--name", ""],
        ["baseline", "show", ""],
        ["baseline", "history", ""],
        ["suite", "show", ""],
        ["suite", "check", ""],
        ["suite", "release", ""],
        ["suite", "new", ""],
        ["score", "", "--suite", "ask"],
        ["score", "new", "--suite", ""],
        ["run", "", "--checkpoint", "replay:a.jsonl"],
        ["run", "ask", "--checkpoint", ""],
        ["run", "ask", "--checkpoint", "replay:a.jsonl", "--draft", ""],
        ["run", "ask", "--checkpoint", "replay:a.jsonl", "--out", ""],
    ],
    ids=" ".join,
)
def test_what_an_unset_variable_leaves_is_one_error(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    capsys.readouterr()
    code = main(arguments)

    error = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in error
    assert "''" in error or "a variable unset" in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nwe", "'nwe' is neither a run folder nor a baseline; did you mean 'new'?"),
        ("./nwe", "'./nwe' is neither a run folder nor a baseline; did you mean 'new'?"),
        ("shiped", "'shiped' is neither a run folder nor a baseline; did you mean 'shipped'?"),
        ("./shiped", "'./shiped' is neither a run folder nor a baseline"),
        ("reports/ask/frist", "'reports/ask/frist' is neither a run folder nor a baseline; did you "
         "mean 'reports/ask/first'?"),
    ],
)  # fmt: skip
def test_a_misspelt_run_is_told_the_folder_beside_it_and_a_name_the_baseline(
    project: Path, text: str, said: str
):
    shutil.copytree("new", "reports/ask/first")

    with pytest.raises(StoreError) as caught:
        open_project().run(text)

    assert said == str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./nope", ["'./nope' is neither a run folder nor a baseline's name"]),
        ("./nwe", ["'./nwe' is neither a run folder nor a baseline's name; did you mean 'new'?"]),
        ("ask/shiped", ["suite ask has no baseline 'shiped'; did you mean 'shipped'?",
         "`harness baseline save RUN --name shiped` accepts a run; its folder will do, too"]),
    ],
)  # fmt: skip
def test_baselines_are_suggested_only_where_one_could_have_the_name(
    project: Path, text: str, said: list[str]
):
    with pytest.raises(StoreError) as caught:
        open_project().baseline_of("ask", text)

    assert said == str(caught.value).splitlines()


def test_a_baseline_named_by_its_path_is_found_after_a_killed_save(project: Path):
    folder = project / "baselines" / "ask" / "shipped"

    folder.rename(folder.with_name(".shipped.before"))
    assert folder == open_project().run(str(folder)).folder
    folder.rename(folder.with_name(".shipped.before"))
    assert folder == open_project().baseline_of("ask", str(folder))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_has_the_name_of_a_baseline_by_chance_does_not_hide_it(project: Path, kind: str):
    if kind == "folder":
        (project / "shipped").mkdir()
    else:
        (project / "shipped").write_text("", "utf-8")
    baseline = project / "baselines" / "ask" / "shipped"

    assert baseline == project / open_project().run("shipped").folder
    assert baseline == project / open_project().run("shipped", "ask").folder
    assert baseline == project / open_project().accepted("shipped").folder
    assert main(["compare", "shipped", "new"]) == 0
    with pytest.raises(StoreError, match=r"shipped: no run\.json here"):
        open_project().run("./shipped")


def test_a_run_is_found_before_a_baseline_of_its_name_except_among_baselines(project: Path):
    (project / "new").rename(project / "shipped")

    assert Path("shipped") == open_project().run("shipped").folder
    assert Path("baselines/ask/shipped") == open_project().accepted("shipped").folder
    assert Path("shipped") == open_project().accepted("./shipped").folder


def test_an_unfinished_run_is_named_as_that_and_no_baseline_taken_for_it(project: Path):
    (project / "shipped").mkdir()
    (project / "shipped" / "unfinished.json").write_text("{}", "utf-8")

    with pytest.raises(StoreError, match="unfinished"):
        open_project().run("shipped")


def test_a_baseline_may_have_the_name_of_its_suite(project: Path):
    assert main(["baseline", "save", "new", "--name", "ask"]) == 0

    assert Path("baselines/ask/ask") == open_project().accepted("ask").folder


def test_what_is_neither_path_nor_name_says_which_baselines_there_are(project: Path):
    (project / "empty").mkdir()

    with pytest.raises(StoreError, match=r"; choose from ask/shipped$"):
        open_project().run("none")
    with pytest.raises(StoreError, match=r"empty: no run\.json here"):
        open_project().run("empty")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_has_the_name_of_a_bundled_suite_by_chance_does_not_hide_it(project: Path, kind: str):
    bundled = bundled_suites()[0]
    if kind == "folder":
        (project / bundled.name).mkdir()
    else:
        (project / bundled.name).write_text("", "utf-8")

    assert bundled == open_project().suite(bundled.name)
    with pytest.raises(UsageError, match="unknown suite"):
        open_project().suite(f"./{bundled.name}")


def test_a_suite_of_the_project_without_its_file_is_not_replaced_by_a_bundled_one(project: Path):
    name = bundled_suites()[0].name
    (project / "suites" / name).mkdir()

    with pytest.raises(UsageError, match="unknown suite"):
        open_project().suite(name)


def test_an_unknown_suite_is_told_the_bundled_ones_too(project: Path):
    bundled = bundled_suites()[0].name

    with pytest.raises(UsageError, match="did you mean 'ask'"):
        open_project().suite("aks")
    with pytest.raises(UsageError, match=f"did you mean '{bundled}'"):
        open_project().suite(f"{bundled}x")
    with pytest.raises(UsageError, match=f"choose from .*{bundled}.*ask"):
        open_project().suite("0")


PAGE = Path(__file__).parents[2] / "docs" / "project.md"


def test_the_harness_toml_of_the_page_names_the_folders_and_the_defaults_are_those_without(
    tmp_path: Path,
):
    text = PAGE.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    places = ("suites", "baselines", "reports")
    (tmp_path / "harness.toml").write_text(text)

    found, without = open_project(tmp_path), open_project(PAGE.parent)

    named = [tmp_path / "eval" / "suites", tmp_path / "eval" / "baselines"]
    assert [*named, tmp_path / "build" / "reports"] == [getattr(found, key) for key in places]
    assert tmp_path == found.root
    for key in places:
        assert PAGE.parent / key == getattr(without, key)
        assert f'# default: "{key}"' in text


def test_the_harness_toml_of_the_page_names_every_key(tmp_path: Path):
    (tmp_path / "harness.toml").write_text('cache = "x"')

    with pytest.raises(UsageError, match="name folders for suites, baselines, reports"):
        open_project(tmp_path)
    assert "Three keys" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", ["gate.toml", "harness.toml"])
@pytest.mark.parametrize("kind", ["a folder", "a broken link"])
def test_settings_that_are_not_a_file_are_an_error_and_not_the_default(
    project: Path, name: str, kind: str
):
    assert open_project().policy() == default_policy()
    if kind == "a folder":
        (project / name).mkdir()
    else:
        (project / name).symlink_to("gone.toml")

    with pytest.raises(UsageError, match=f"{name} is {kind}"):
        open_project().policy()


def test_settings_may_be_a_link_to_a_file(project: Path):
    (project / "real.toml").write_text('suites = "elsewhere"', "utf-8")
    (project / "harness.toml").symlink_to("real.toml")

    assert Path("elsewhere") == open_project().suites
