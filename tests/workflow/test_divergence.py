"""
What two engines answered otherwise: at which token, and how near each was to the other answer.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.runs.store import StoredRun
from harness.transcript import Key, Transcript
from harness.workflow import run as workflow
from harness.workflow.compare import compare
from harness.workflow.divergence import diverging, with_logits
from harness.workflow.options import RunOptions

from ..builders import question, write_suite

COUNT = 12
BROKEN = "\ufffd"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_suite(tmp_path, [question(f"c{number}") for number in range(COUNT)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, reference: str, **options: object) -> StoredRun:
    given = RunOptions(max_new_tokens=6, device="cpu", **options)  # type: ignore[arg-type]
    return workflow.run("ask", reference, out=Path("runs") / name, options=given)


def changed(run: StoredRun) -> tuple[Path, Key, int]:
    """
    Write the answers of *run* with one token of one of them changed; return also which.
    """
    lines = [transcript.to_json() for transcript in run.transcripts()]
    place, text = next(
        (place, line["output"])
        for place, line in enumerate(lines)
        if BROKEN not in line["output"][:3] and line["output"][:3].isascii()
    )
    other = "Z" if text[2] != "Z" else "Y"
    lines[place]["output"] = text[:2] + other + text[3:]
    path = Path("changed.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path, Transcript.from_row(lines[place]).key, place


def alter(model: Path) -> None:
    """
    Make another checkpoint of *model*, with other answers.
    """
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"].flip(0).contiguous()
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def logits_of(model: Path, prompt: list[int], tokens: list[int]) -> list[float]:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.inference_mode():
        last = AutoModelForCausalLM.from_pretrained(model)(torch.tensor([prompt])).logits[0, -1]
    return [float(last[token]) for token in tokens]


def test_the_first_differing_token_is_named_with_both_logits_of_each_checkpoint_that_has_them(
    root: Path, tiny_model: Path
):
    from transformers import AutoTokenizer

    old = run("old", str(tiny_model))
    path, key, _ = changed(old)
    compared = compare(old, run("new", f"replay:{path}", dialect="hermes"))
    found = diverging(compared)
    assert found is not None
    assert (COUNT, 1, key) == (found.answers, found.differing, found.first[0].key)

    weighed = with_logits(found, compared)

    [only] = weighed.first
    text = old.answers()[key].output
    assert text is not None
    assert (3, text[:2], text[2]) == (only.token, only.before, only.old)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    [case] = [each for each in old.suite().cases if each.id == key.case]
    prompt = tokenizer.apply_chat_template(
        [{"role": each.role, "content": each.content} for each in case.turns[0].messages],
        tools=[each.schema for each in case.tools],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
    )
    ids = tokenizer.encode(text[:2], add_special_tokens=False)
    tokens = [tokenizer.encode(each)[0] for each in (only.old, only.new)]
    assert only.by_old is not None
    assert logits_of(tiny_model, [*prompt, *ids], tokens) == pytest.approx(
        [only.by_old.old, only.by_old.new], abs=1e-4
    )
    assert only.by_old.old > only.by_old.new
    assert only.by_new is None
    assert ("replay:changed.jsonl: the backend replay does not tell logits",) == weighed.unknown


def test_a_checkpoint_that_is_another_one_now_is_not_asked(root: Path, tiny_model: Path):
    shutil.copytree(tiny_model, "model")
    old = run("old", "model")
    path, _, _ = changed(old)
    compared = compare(old, run("new", f"replay:{path}", dialect="hermes"))
    alter(Path("model"))
    found = diverging(compared)
    assert found is not None

    weighed = with_logits(found, compared)

    assert weighed.first == found.first
    assert "model is another checkpoint now: its weights differ" in weighed.unknown[0]


def test_other_weights_on_the_same_engine_are_not_looked_at_unless_asked(
    root: Path, tiny_model: Path
):
    shutil.copytree(tiny_model, "other")
    alter(Path("other"))
    compared = compare(run("old", str(tiny_model)), run("new", "other"))

    assert diverging(compared) is None
    always = diverging(compared, always=True)
    assert always is not None
    assert always.differing


def test_another_dtype_of_the_same_weights_is_explained_in_every_form(
    root: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
):
    run("old", str(tiny_model))
    run("new", str(tiny_model), dtype="bfloat16")
    forms = ["--json", "c.json", "--markdown", "c.md", "--html", "c.html"]

    assert 0 == main(["compare", "runs/old", "runs/new", "--logits", "--verbose", *forms])

    found = json.loads(Path("c.json").read_text())["divergences"]
    told = [each for each in found["first"] if each["old"]["logits"]]
    assert found["differing"] >= len(told) > 0
    for each in told:
        assert each["old"]["logits"]["old"] >= each["old"]["logits"]["new"]
        assert each["token"] >= 1
    first = told[0]["old"]["logits"]
    spelled = f"{first['old']:.4f}, {first['new']:.4f}"
    for shown in (capsys.readouterr().out, Path("c.md").read_text(), Path("c.html").read_text()):
        assert f"{found['differing']} of {COUNT} answers differ" in shown
        assert spelled in shown


def test_the_same_answers_say_nothing_of_differences(
    root: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
):
    run("old", str(tiny_model))
    run("new", str(tiny_model), batch_size=1)

    assert 0 == main(["compare", "runs/old", "runs/new", "--verbose"])

    assert "answers differ" not in capsys.readouterr().out


def test_logits_are_for_two_runs(root: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    run("old", str(tiny_model))
    three = ["runs/old"] * 3

    assert 2 == main(["compare", *three, "--logits"])

    assert "--logits is for two runs" in capsys.readouterr().err


def test_a_run_of_a_server_says_why_logits_are_unknown(root: Path, tiny_model: Path):
    old = run("old", str(tiny_model))
    path, _, _ = changed(old)
    compared = compare(old, run("new", f"replay:{path}", dialect="hermes"))
    record = compared.new.record
    served = replace(record.checkpoint, reference="completions:cand@http://127.0.0.1:1/v1")
    compared = replace(
        compared, new=replace(compared.new, record=replace(record, checkpoint=served))
    )
    found = diverging(compared)
    assert found is not None

    weighed = with_logits(found, compared)

    assert (
        "completions:cand@http://127.0.0.1:1/v1: a server does not tell logits",
    ) == weighed.unknown
