"""
Checkpoints: found wherever they lie, loaded without running their code, identified by content.
"""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checkpoints.cache import content_digest, file_digest
from harness.checkpoints.chat_template import (
    chat_template,
    conversation,
    knows_developer,
    preflight,
    render,
)
from harness.checkpoints.digests import digests
from harness.checkpoints.loading import load_model, load_tokenizer
from harness.checkpoints.locate import Located, locate
from harness.checkpoints.reference import Reference
from harness.errors import (
    CheckpointError,
    MissingDependencyError,
    TemplateError,
    UsageError,
)
from harness.messages import Message, Tool

TOOL_BLIND = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""Shows messages, and neither declarations nor calls, as many templates do."""


class Toy:
    """
    A tokenizer that renders with Jinja alone.
    """

    name_or_path = "toy"

    def __init__(self, template: Any) -> None:
        self.chat_template = template

    def apply_chat_template(
        self, rows: list[Any], *, tools: Any, chat_template: str, tokenize: bool, **rest: Any
    ) -> Any:
        from transformers.utils.chat_template_utils import render_jinja_template

        [text], _ = render_jinja_template(
            conversations=[rows], tools=tools, chat_template=chat_template, **clean(rest)
        )
        return text


def clean(rest: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rest.items() if name == "add_generation_prompt"}


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def adapter_on(base: Path, folder: Path, named: str | None = None) -> Path:
    """
    Save a LoRA adapter with weights that change the answer, on *base*.
    """
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(r=4, lora_alpha=32, target_modules="all-linear")
    tuned = peft.get_peft_model(model, config)
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.5)
    tuned.save_pretrained(folder)
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text())
    written["base_model_name_or_path"] = named or str(base)
    path.write_text(json.dumps(written))
    return folder


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter_on(tiny_model, tmp_path_factory.mktemp("adapters") / "lora")


def hf(target: object) -> Reference:
    return Reference(scheme="hf", target=str(target))


# Where it is.


def test_a_local_folder_is_taken_as_it_is(tiny_model: Path):
    expected = Located(reference=hf(tiny_model), folder=tiny_model)

    assert expected == locate(hf(tiny_model))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("./nowhere/at/all", "^./nowhere/at/all: no such folder$"),
        ("./nowhere", "^./nowhere: no such folder$"),
        ("../nowhere", "^../nowhere: no such folder$"),
        ("~/nowhere", "^~/nowhere: no such folder$"),
        ("/nowhere", "^/nowhere: no such folder$"),
        ("nowhere", "no such folder, not a hub id .*, and begins with none of .*openai:.*vllm:$"),
        ("gpt:mini", "no such folder, not a hub id .*, and begins with none of .*openai:.*vllm:$"),
        ("smollm2-135m", r"not a hub id .*; did you mean embedded:smollm2-135m\?$"),
        ("vlm:org/name", r"not a hub id .*; did you mean vllm:org/name\?$"),
        ("org/none", "org/none: no such folder; the hub cannot be reached"),
        ("org/none@v2", "org/none@v2: no such folder; the hub cannot be reached"),
    ],
)
def test_what_is_not_there_is_one_clear_error(target: str, said: str):
    with pytest.raises(CheckpointError, match=said) as caught:
        locate(hf(target))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["replay", "python"])
def test_a_reference_without_weights_cannot_be_loaded(scheme: str):
    with pytest.raises(UsageError, match="has no weights to load"):
        locate(Reference(scheme=scheme, target="x"))


def test_a_missing_gguf_file_is_named():
    with pytest.raises(CheckpointError, match=r"gguf:no\.gguf: no such file: no\.gguf"):
        locate(Reference(scheme="gguf", target="no.gguf"))


def test_pickled_weights_are_refused(tiny_model: Path, tmp_path: Path):
    folder = copy(tiny_model, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match="its weights are pickled"):
        locate(hf(folder))


def test_a_pickled_adapter_is_refused(adapter: Path, tmp_path: Path):
    folder = copy(adapter, tmp_path / "pickled")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    with pytest.raises(CheckpointError, match="its weights are pickled"):
        locate(hf(folder))


@pytest.mark.parametrize(
    ("gone", "said"),
    [("model.safetensors", "holds no model"), ("config.json", "holds weights but no config.json")],
)
def test_an_incomplete_folder_says_what_it_lacks(
    tiny_model: Path, tmp_path: Path, gone: str, said: str
):
    folder = copy(tiny_model, tmp_path / "part")
    (folder / gone).unlink()

    with pytest.raises(CheckpointError, match=said):
        locate(hf(folder))


# The hub, without a network.


def hub_says(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    from unittest.mock import Mock

    def refuse(*_: Any, **__: Any) -> None:
        raise error("no", response=Mock(headers={}))  # type: ignore[call-arg]

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)


def test_a_gated_model_names_the_page_of_its_licence(monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub.errors import GatedRepoError

    hub_says(monkeypatch, GatedRepoError)

    with pytest.raises(CheckpointError) as caught:
        locate(hf("google/functiongemma-270m-it"))

    assert (
        "google/functiongemma-270m-it is gated: accept its licence at "
        "https://huggingface.co/google/functiongemma-270m-it, then log in with `hf auth login`"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("RepositoryNotFoundError", "no such model on the hub that you may read"),
        ("RevisionNotFoundError", "org/name has no revision 'v9'"),
    ],
)
def test_what_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch, error: str, said: str):
    from huggingface_hub import errors

    hub_says(monkeypatch, getattr(errors, error))

    with pytest.raises(CheckpointError, match=said):
        locate(hf("org/name@v9"))


def test_a_download_takes_no_code_and_no_pickle(monkeypatch: pytest.MonkeyPatch, tiny_model: Path):
    from fnmatch import fnmatch

    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(tiny_model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)

    assert tiny_model == locate(hf("org/name@v1")).folder
    assert ("org/name", "v1") == (asked["repository"], asked["revision"])
    for name in ("pytorch_model.bin", "modeling_x.py", "model.pt", "optimizer.pkl"):
        assert not any(fnmatch(name, pattern) for pattern in asked["allow_patterns"])


# Adapters.


def test_an_adapter_finds_its_base_from_its_config(tiny_model: Path, adapter: Path):
    expected = Located(reference=hf(adapter), folder=tiny_model, adapter=adapter)

    assert expected == locate(hf(adapter))


def test_an_adapters_base_may_lie_beside_it(tiny_model: Path, adapter: Path, tmp_path: Path):
    base, folder = copy(tiny_model, tmp_path / "base"), copy(adapter, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../base"
    (folder / "adapter_config.json").write_text(json.dumps(config))

    assert base.resolve() == locate(hf(folder)).folder.resolve()


def test_an_adapters_base_may_be_embedded(
    tiny_model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = copy(adapter, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "embedded:toy"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    monkeypatch.setattr("harness.checkpoints.locate.embedded_model", lambda name, **_: tiny_model)

    assert tiny_model == locate(hf(folder)).folder


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (None, "names no base_model_name_or_path"),
        ("org/none", "the base of adapter .*: org/none: no such folder; the hub"),
    ],
)
def test_an_adapter_without_its_base_is_refused(
    adapter: Path, tmp_path: Path, named: str | None, said: str
):
    folder = copy(adapter, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = named
    (folder / "adapter_config.json").write_text(json.dumps(config))

    with pytest.raises(CheckpointError, match=said):
        locate(hf(folder))


def test_an_adapter_is_merged_and_changes_the_model(tiny_model: Path, adapter: Path):
    import torch

    plain = load_model(locate(hf(tiny_model)), dtype="float32", device="cpu")
    tuned = load_model(locate(hf(adapter)), dtype="float32", device="cpu")
    ids = torch.tensor([[5, 6, 7]])

    assert type(plain) is type(tuned)
    assert not torch.allclose(plain(ids).logits, tuned(ids).logits, atol=0.1)


def test_an_adapter_without_peft_names_the_extra(adapter: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)

    with pytest.raises(MissingDependencyError, match=r'pip install "toolcall-harness\[lora\]"'):
        load_model(locate(hf(adapter)), dtype="float32", device="cpu")


def test_an_adapter_has_the_tokenizer_of_its_base_unless_it_brings_one(
    tiny_model: Path, adapter: Path, tmp_path: Path
):
    assert chat_template(load_tokenizer(locate(hf(tiny_model)))) == chat_template(
        load_tokenizer(locate(hf(adapter)))
    )

    folder = copy(adapter, tmp_path / "adapter")
    own = load_tokenizer(locate(hf(tiny_model)))
    own.chat_template = TOOL_BLIND
    own.save_pretrained(folder)

    assert TOOL_BLIND == chat_template(load_tokenizer(locate(hf(folder))))


# Loading.


def test_a_template_beside_a_gguf_file_replaces_the_one_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    packed = SimpleNamespace(chat_template="inside")
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda *_, **__: packed)
    (tmp_path / "model.gguf").touch()
    located = locate(Reference(scheme="gguf", target=str(tmp_path / "model.gguf")))

    assert "inside" == chat_template(load_tokenizer(located))
    (tmp_path / "chat_template.jinja").write_text("beside")
    assert "beside" == chat_template(load_tokenizer(located))


def test_missing_weights_are_not_filled_with_random_numbers(tiny_model: Path, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = copy(tiny_model, tmp_path / "holes")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match=r"1 weights are missing .*layers\.1\.mlp"):
        load_model(locate(hf(folder)), dtype="float32", device="cpu")


def test_a_checkpoint_that_needs_its_own_code_is_refused(tiny_model: Path, tmp_path: Path):
    folder = copy(tiny_model, tmp_path / "custom")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "custom"
    config["auto_map"] = {
        "AutoConfig": "custom.CustomConfig",
        "AutoModelForCausalLM": "custom.CustomModel",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "custom.py").write_text("raise SystemExit('ran')")

    with pytest.raises(CheckpointError, match="needs code of its own"):
        load_model(locate(hf(folder)), dtype="float32", device="cpu")


def test_loading_is_silent(tiny_model: Path, capfd: pytest.CaptureFixture[str]):
    load_model(locate(hf(tiny_model)), dtype="float32", device="cpu")

    assert ("", "") == capfd.readouterr()


# Identity.


def identify(folder: Path) -> dict[str, str | None]:
    located = locate(hf(folder))
    return digests(located, load_tokenizer(located))


def test_equal_content_has_equal_digests_wherever_it_lies(tiny_model: Path, tmp_path: Path):
    assert identify(tiny_model) == identify(copy(tiny_model, tmp_path / "copy"))


def test_a_tokenizer_is_the_same_after_it_was_used_and_saved(tiny_model: Path, tmp_path: Path):
    located = locate(hf(tiny_model))
    before = digests(located, load_tokenizer(located))
    tokenizer = load_tokenizer(located)
    tokenizer(["a", "bcd"], padding=True, truncation=True, max_length=2)
    folder = copy(tiny_model, tmp_path / "saved")
    tokenizer.save_pretrained(folder)

    assert before == identify(folder)


def test_what_changes_shows_in_its_own_digest(tiny_model: Path, tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM

    before = identify(tiny_model)
    folder = copy(tiny_model, tmp_path / "changed")
    located = locate(hf(folder))

    tokenizer = load_tokenizer(located)
    tokenizer.chat_template = TOOL_BLIND
    tokenizer.save_pretrained(folder)
    after = identify(folder)
    assert ["template"] == [name for name in before if before[name] != after[name]]

    tokenizer.add_tokens(["<tool>"])
    tokenizer.save_pretrained(folder)
    after = identify(folder)
    assert ["tokenizer", "template"] == [n for n in before if before[n] != after[n]]

    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    model.save_pretrained(folder)
    assert before["weights"] != identify(folder)["weights"]


def test_an_adapter_is_identified_apart_from_its_base(
    tiny_model: Path, adapter: Path, tmp_path: Path
):
    plain, tuned = identify(tiny_model), identify(adapter)
    assert plain["weights"] == tuned["weights"]
    assert (None, True) == (plain["adapter"], tuned["adapter"] is not None)

    moved = copy(adapter, tmp_path / "moved")
    path = moved / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = str(copy(tiny_model, tmp_path / "base"))
    path.write_text(json.dumps(config))
    assert tuned == identify(moved)

    config["lora_alpha"] = 1
    path.write_text(json.dumps(config))
    assert tuned["adapter"] != identify(moved)["adapter"]


def test_a_large_file_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.checkpoints.cache.WORTH_KEEPING", 0)
    read: list[Path] = []

    def count(path: Path) -> str:
        read.append(path)
        return content_digest(path)

    monkeypatch.setattr("harness.checkpoints.cache.content_digest", count)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = file_digest(file)
    assert first == file_digest(file)
    assert 1 == len(read)

    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert first != file_digest(file)
    assert 2 == len(read)


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.checkpoints.cache.WORTH_KEEPING", 0)

    assert content_digest(tmp_path / "cache") == file_digest(tmp_path / "cache")


# The template.


def test_the_preflight_names_everything_a_template_drops():
    with pytest.raises(TemplateError) as caught:
        preflight(Toy(TOOL_BLIND), tools=True, system=True, calls=True, results=True)

    assert (
        "the chat template of toy drops tool declarations and assistant calls; give it a "
        "chat_template.jinja that shows them"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("template", "asked", "said"),
    [
        (TOOL_BLIND, "tools", "drops tool declarations.*`declare_tools: false`"),
        (TOOL_BLIND, "calls", "drops assistant calls"),
        ("{% for m in messages if m.role != 'tool' %}{{ m }}{% endfor %}", "results", "tool resu"),
        ("{% for m in messages if m.role != 'system' %}{{ m }}{% endfor %}", "system", "the sys"),
        ("{{ raise_exception('only users') }}", "system", "cannot render the system text: only us"),
    ],
)
def test_the_preflight_refuses_what_is_dropped(template: str, asked: str, said: str):
    with pytest.raises(TemplateError, match=said):
        preflight(Toy(template), **{asked: True})


def test_the_preflight_asks_only_for_what_is_needed(hermes_template: str):
    preflight(Toy(TOOL_BLIND), system=True, results=True)
    preflight(Toy(hermes_template), tools=True, system=True, calls=True, results=True)


def test_a_tokenizer_without_template_is_refused():
    with pytest.raises(CheckpointError, match="toy has no chat template"):
        chat_template(Toy(None))


def test_the_template_for_tools_is_taken_where_there_are_several():
    named = {"default": "plain", "tool_use": "with tools"}

    assert "with tools" == chat_template(SimpleNamespace(chat_template=named))


@pytest.mark.parametrize(("template", "role"), [("{{ x }}", "system"), ("developer", "developer")])
def test_developer_is_sent_as_system_where_the_template_does_not_know_it(template: str, role: str):
    messages = (Message(role="developer", content="S"), Message(role="user", content="u"))

    assert ("developer" == role) is knows_developer(template)
    assert [role, "user"] == [row["role"] for row in conversation(messages, template)]


def test_a_prompt_has_one_beginning_of_sequence(tiny_model: Path):
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer(locate(hf(tiny_model)))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    tokenizer.chat_template = "<|im_start|>{{ messages[0].content }}"
    assert "<|im_start|>a" == tokenizer.decode(tokenizer("a")["input_ids"])

    ids = render(tokenizer, [{"role": "user", "content": "a"}], [])

    assert "<|im_start|>a" == tokenizer.decode(ids)


def test_declared_tools_reach_the_prompt(tiny_model: Path):
    tokenizer = load_tokenizer(locate(hf(tiny_model)))
    tool = Tool.from_schema({"name": "find_it", "description": "d"})
    rows = [{"role": "user", "content": "a"}]

    assert "find_it" in tokenizer.decode(render(tokenizer, rows, [tool.schema]))
    assert "find_it" not in tokenizer.decode(render(tokenizer, rows, []))
