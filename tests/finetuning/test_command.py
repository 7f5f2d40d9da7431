"""
``harness finetune`` as a user runs it, and what it makes as ``harness run`` takes it.
"""

import json
import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.finetuning.recipe import LEARNING_RATE, LORA_LEARNING_RATE, LORA_RANK
from harness.runs.store import load_run

from .conftest import SEARCH


def row(query: str) -> str:
    call = {"type": "function", "function": {"name": "search", "arguments": {"query": query}}}
    user = {"role": "user", "content": f"find {query}"}
    return json.dumps({"messages": [user, {"role": "assistant", "tool_calls": [call]}]}) + "\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    suite = tmp_path / "suites" / "find"
    suite.mkdir(parents=True)
    expect = {"calls": [{"tool": "search", "arguments": {"query": {"type": "string"}}}]}
    document = {
        "format": 1,
        "name": "find",
        "version": "1.0.0",
        "system": "Call.",
        "system_role": "developer",
        "tools": [SEARCH.schema],
        "generation": {"max_new_tokens": 8},
        "cases": [{"id": "one", "prompt": "find the harbour", "expect": expect}],
    }
    (suite / "suite.yaml").write_text(json.dumps(document))
    (suite / "train.jsonl").write_text("".join(map(row, ("a cat", "the sun", "red", "trams"))))
    (suite / "valid.jsonl").write_text("".join(map(row, ("a dog", "the moon"))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(base: Path, *more: str) -> int:
    command = ["finetune", "--suite", "find", "--base", str(base), "--out", "made"]
    return main([*command, "--epochs", "2", *more])


def test_a_candidate_is_trained_told_of_and_run(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 0 == train(base, "--max-length", "2048", "--seed", "3", "--keep", "best")
    said = capsys.readouterr()

    assert "validation loss" in said.out
    assert "checkpoint: made" in said.out
    assert "one of 4 training examples" in said.err
    assert "epoch 2 of 2" in said.err
    assert "\r" not in said.err, "a bar where there is no terminal"
    recipe = json.loads((project / "made" / "training.json").read_text("utf-8"))["recipe"]
    assert (2, 3, "best") == (recipe["epochs"], recipe["seed"], recipe["keep"])
    assert (project / "made" / "curves.png").read_bytes().startswith(b"\x89PNG")

    assert 0 == main(["run", "find", "--checkpoint", "made", "--out", "run", "--quiet"])
    assert "hermes" == load_run(project / "run").record.checkpoint.dialect


def test_a_training_prompt_that_is_asked_later_is_refused(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    rows = project / "suites" / "find" / "train.jsonl"
    rows.write_text(rows.read_text() + row("the harbour"))

    assert 2 == train(base, "--max-length", "2048")
    assert "train.jsonl:5" in capsys.readouterr().err
    assert not (project / "made" / "model.safetensors").exists()


def test_a_row_that_would_be_cut_is_refused(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 2 == train(base, "--max-length", "64")
    assert "train.jsonl:1" in capsys.readouterr().err


def test_the_next_command_is_said_last_and_runs(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 0 == train(base, "--max-length", "2048", "--learning-rate", "0.01", "--epochs", "9")
    *_, last = capsys.readouterr().out.splitlines()

    assert "next: harness run find --checkpoint made" == last
    assert 0 == main([*last.split()[2:], "--out", "run", "--quiet"])


def test_a_training_that_ends_where_it_began_is_warned_of_also_where_little_is_said(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 0 == train(base, "--max-length", "2048", "--learning-rate", "1e-6", "--quiet")
    *_, warning, last = capsys.readouterr().out.splitlines()

    assert warning.startswith("warning: validation loss went from ")
    assert last.startswith("next: ")


def test_validation_rows_are_split_off_where_there_are_none(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "suites" / "find" / "valid.jsonl").unlink()

    assert 0 == train(base, "--max-length", "2048", "--seed", "7")

    said = "1 of 4 rows, split off by tool with seed 7 (1 of 4 search)"
    assert f"no validation rows given: {said}" in capsys.readouterr().err
    data = json.loads((project / "made" / "training.json").read_text("utf-8"))["data"]
    assert (3, 1) == (data["train_rows"], data["valid_rows"])
    assert {"seed": 7, "share": 0.2, "kinds": {"search": [3, 1]}} == data["split"]
    assert f"validation data: {said}" in (project / "made" / "README.md").read_text("utf-8")


def test_a_file_of_rows_alone_is_enough(project: Path, base: Path):
    rows = project / "rows.jsonl"
    tools = json.dumps([SEARCH.schema])
    text = (project / "suites" / "find" / "train.jsonl").read_text("utf-8")
    rows.write_text(text.replace('{"messages"', f'{{"tools": {tools}, "messages"'))

    command = ["finetune", "--train", "rows.jsonl", "--base", str(base), "--out", "made"]
    assert 0 == main([*command, "--epochs", "1", "--max-length", "2048", "--quiet"])
    data = json.loads((project / "made" / "training.json").read_text("utf-8"))["data"]
    assert (3, 1) == (data["train_rows"], data["valid_rows"])


@pytest.mark.parametrize(
    ("words", "rank", "rate"),
    [
        (["--lora"], LORA_RANK, LORA_LEARNING_RATE),
        (["--lora-rank", "2"], 2, LORA_LEARNING_RATE),
        (["--lora", "--lora-rank", "2", "--learning-rate", "0.02"], 2, 0.02),
        ([], None, LEARNING_RATE),
    ],
    ids=["--lora", "rank", "both", "none"],
)
def test_an_adapter_has_its_own_rank_and_learning_rate(
    project: Path, base: Path, words: list[str], rank: int | None, rate: float
):
    assert 0 == train(base, "--max-length", "2048", "--quiet", *words)

    recipe = json.loads((project / "made" / "training.json").read_text("utf-8"))["recipe"]
    assert (rank, rate) == (recipe["lora_rank"], recipe["learning_rate"])


@pytest.mark.parametrize(
    ("flag", "package"), [("--lora", "peft"), ("--tensorboard", "tensorboard")]
)
def test_a_missing_package_is_said_before_anything_is_shown_or_loaded(
    project: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    package: str,
):
    (project / "suites" / "find" / "valid.jsonl").unlink()
    monkeypatch.setattr(
        "harness.finetuning.sft_trainer.find_spec", lambda name: None if name == package else name
    )

    assert 2 == train(base, flag)
    (said,) = capsys.readouterr().err.splitlines()
    assert f"needs {package}, which is not installed" in said
    assert f'pip install "toolcall-harness[{flag.removeprefix("--")}]"' in said
    assert not (project / "made").exists()


def test_rows_are_checked_without_training(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    command = ["finetune", "--check", "--suite", "find", "--base", str(base)]

    assert 0 == main([*command, "--max-length", "2048"])
    said = capsys.readouterr().out
    assert "‹s›‹e›‹a›‹r›‹c›‹h›" in said
    assert "\x1b" not in said
    assert "stop token: '<|im_end|>' is learned in 6 of 6 rows" in said
    assert said.endswith("no findings\n")

    rows = project / "suites" / "find" / "train.jsonl"
    rows.write_text(rows.read_text() + row("the harbour"))
    assert 1 == main([*command, "--max-length", "2048"])
    said = capsys.readouterr().out
    assert "train.jsonl:5: leak: its prompt is a case of the suite: 'find the harbour'" in said
    assert said.endswith("\n1 finding\n")
    assert not (project / "made").exists()


def test_what_is_learned_is_coloured_where_colour_is_asked_for(
    project: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    main(["finetune", "--check", "--suite", "find", "--base", str(base)])

    said = capsys.readouterr().out
    assert "\x1b[4;32me\x1b[0m\x1b[32ma\x1b[0m" in said
    assert "‹" not in said


def test_a_training_without_a_folder_for_its_result_is_refused(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    assert 2 == main(["finetune", "--suite", "find", "--base", str(base)])
    assert "--out DIR" in capsys.readouterr().err


def test_a_suite_is_evaluated_while_training_and_chooses_the_epoch(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    suite = project / "suites" / "find" / "suite.yaml"
    document = json.loads(suite.read_text())
    one = document["cases"][0]
    document["cases"].append({**one, "id": "two", "prompt": "find the bay"})
    suite.write_text(json.dumps(document))
    options = ["--max-length", "2048", "--evaluate", "find", "--keep", "best"]

    assert 0 == train(base, *options, "--by", "tool_accuracy")
    said = capsys.readouterr()

    head = said.out.splitlines()[0]
    assert ["right tool", "accuracy", "second calls"] == re.findall(
        "right tool|accuracy|second calls", head
    )
    assert "of 1 cases, which chose nothing; the epoch was chosen by 1 others" in said.out
    assert "(kept: epoch 1, the earliest of 2 whose right tool is not shown to be worse" in said.out
    assert "epoch-02: right tool 0.0% (0 of 2)" in said.err
    assert (project / "made" / "evaluations" / "epoch-02" / "run.json").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "tool_accuracy"], "needs keep best"),
        (["--by", "tool_acuracy", "--keep", "best"], "did you mean 'tool_accuracy'"),
        (["--by", "tool_accuracy", "--keep", "best"], "evaluate a suite"),
        (["--every", "3"], "asked while training"),
        (["--every", "none"], "whole number"),
    ],
)
def test_what_does_not_go_together_is_refused(
    project: Path, base: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
):
    try:
        code = train(base, *options)
    except SystemExit as exc:
        code = exc.code

    assert 2 == code
    assert said in capsys.readouterr().err


def test_tensorboard_is_logged_to_where_it_is_installed_else_it_is_said(
    project: Path,
    base: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    assert 0 == train(base, "--max-length", "2048")
    assert [] != list((project / "made" / "runs").glob("events.*"))
    capsys.readouterr()

    monkeypatch.setattr("harness.finetuning.sft_trainer.find_spec", lambda _: None)
    assert 0 == train(base, "--max-length", "2048", "--out", "bare")
    assert "no log for TensorBoard" in capsys.readouterr().err
    assert not (project / "bare" / "runs").exists()


def test_what_is_pushed_has_the_card_and_the_runs_of_each_epoch(
    project: Path, base: Path, monkeypatch: pytest.MonkeyPatch
):
    import huggingface_hub

    pushed: set[str] = set()

    class Hub:
        def create_repo(self, repository, **options):
            assert options["private"]

        def upload_folder(self, *, repo_id, folder_path, ignore_patterns):
            assert "org/tuned" == repo_id
            files = [file for file in Path(folder_path).rglob("*") if file.is_file()]
            names = [file.relative_to(folder_path).as_posix() for file in files]
            pushed.update(
                huggingface_hub.utils.filter_repo_objects(names, ignore_patterns=ignore_patterns)
            )

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)

    evaluated = ["--evaluate", "find", "--push-to-hub", "org/tuned", "--no-tensorboard"]
    assert 0 == train(base, "--max-length", "2048", "--quiet", *evaluated)

    runs = {f"evaluations/epoch-0{n}/run.json" for n in (1, 2)}
    whole = {"README.md", "training.json", "curves.png", "model.safetensors"}
    assert runs | whole <= pushed
    assert not any(name.startswith(".training") for name in pushed)
    assert "right tool" in (project / "made" / "README.md").read_text("utf-8")
