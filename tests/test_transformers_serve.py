"""
A real server, `transformers serve`, from the check of it to the gate.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.main import main

from .real_servers import transformers_serve

CASES = 12
DIFFERENT = ("backend", "batch", "dtype")
"""What a server's run and one in this process differ in, whatever the answers."""


@pytest.fixture(scope="module")
def url(tiny_model: Path) -> Iterator[str]:
    with transformers_serve() as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A project with a suite that the tiny model answers as asked: by no call.
    """
    root = tmp_path_factory.mktemp("project")
    suite = root / "suites" / "small-talk"
    suite.mkdir(parents=True)
    tool = {"name": "search", "description": "Search.", "parameters": {"type": "object"}}
    rows = [
        {"id": f"case-{n}", "prompt": f"Hello {'again ' * n}", "expect": {"abstain": True}}
        for n in range(CASES)
    ]
    (suite / "suite.yaml").write_text(
        "format: 1\nname: small-talk\nversion: 1.0.0\nsystem: Be brief.\ntools: tools.json\n"
        "cases: cases.jsonl\ngeneration: {max_new_tokens: 8}\n"
    )
    (suite / "tools.json").write_text(json.dumps([tool]))
    (suite / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "gate.toml").write_text('on_inconclusive = "warn"\n')
    return root


@pytest.fixture(scope="module")
def here(project: Path, tiny_model: Path) -> Path:
    """
    The run of the same weights in this process.
    """
    out = project / "here"
    assert 0 == harness("run", "small-talk", "--checkpoint", tiny_model, "--out", out, root=project)
    return out


def harness(*words: object, root: Path) -> int:
    return main([*map(str, words), "--root", str(root)])


def outputs(run: Path) -> dict[str, str]:
    """
    Return what each case was answered with, as text without the token that ends it.
    """
    found = {}
    for line in (run / "transcripts.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        said = row["message"]["content"] if "message" in row else row["output"]
        found[row["case"]] = said.removesuffix("<|im_end|>")
    return found


def test_doctor_knows_it_and_finds_the_declarations_shown(
    url: str, tiny_model: Path, project: Path, capsys: pytest.CaptureFixture[str]
):
    code = harness("doctor", f"openai:{tiny_model}@{url}", "--json", "-", root=project)

    said = capsys.readouterr().out
    assert 0 == code, said
    found = {row["what"]: row["finding"] for row in json.loads(said)}
    assert "kind transformers serve" in found["server"]
    assert found["tool declarations"].startswith("shown: they take ")
    assert found["same answer"].startswith("yes: ")


@pytest.mark.parametrize("scheme", ["openai", "completions"])
def test_its_answers_are_those_of_the_same_weights_in_process(
    url: str, tiny_model: Path, project: Path, here: Path, scheme: str
):
    out = project / scheme
    asked = ["--checkpoint", f"{scheme}:{tiny_model}@{url}", "--tokenizer", tiny_model]
    assert 0 == harness("run", "small-talk", *asked, "--out", out, root=project)

    assert outputs(here) == outputs(out)
    server = json.loads((out / "run.json").read_text("utf-8"))["backend"]["server"]
    assert "transformers serve" == server["kind"]
    assert CASES == len(json.loads((out / "run.json").read_text("utf-8"))["cases"])


@pytest.mark.parametrize("scheme", ["openai", "completions"])
def test_the_gate_lets_it_replace_the_run_in_process(
    url: str, tiny_model: Path, project: Path, here: Path, scheme: str
):
    out = project / f"gated-{scheme}"
    asked = ["--checkpoint", f"{scheme}:{tiny_model}@{url}", "--tokenizer", tiny_model]
    harness("run", "small-talk", *asked, "--no-preflight", "--out", out, root=project)

    gated = ("gate", out, "--baseline", here)
    assert 3 == harness(*gated, root=project), "another backend has to be allowed"
    assert 0 == harness(*gated, "--allow-mismatch", *DIFFERENT, root=project)


def test_its_stack_loses_nothing_that_these_cases_show(
    url: str, tiny_model: Path, project: Path, capsys: pytest.CaptureFixture[str]
):
    asked = ["--checkpoint", f"openai:{tiny_model}@{url}", "--tokenizer", tiny_model]
    code = harness("stack", "small-talk", *asked, "--out", project / "stack", root=project)

    shown = capsys.readouterr()
    assert 0 == code, shown.err
    assert f"{CASES} and {CASES} of {CASES} right" in shown.out
    assert "0 answers lost by the stack, 0 gained" in shown.out.splitlines()[-1]


def test_it_is_timed_alone_under_load_and_beside_the_same_weights_here(
    url: str, tiny_model: Path, project: Path, capsys: pytest.CaptureFixture[str]
):
    served = f"openai:{tiny_model}@{url}"
    limit = ("--limit", "6", "--json", "-", "--quiet")

    # What it decides is the machine's: equal times may be told apart by chance.
    assert 2 != harness("latency", "small-talk", served, served, *limit, "--load", 3, root=project)
    loaded = json.loads(capsys.readouterr().out)
    assert loaded["load"]["new"]["answers_per_s"] > 0
    assert loaded["load"]["new"]["ttft_ms_p50"] > 0
    assert 0 == loaded["load"]["new"]["failed"]
    assert 0 == harness("latency", "small-talk", served, tiny_model, *limit, root=project)
    assert "decide nothing" in json.loads(capsys.readouterr().out)["advisory"]
