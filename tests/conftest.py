"""
What many tests share: no network, and two models, a tiny random one and the embedded one.
"""

import os
import sys
from collections.abc import Callable, Generator
from importlib import import_module, resources
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from .saved import Training

# How many examples a property is tried on: few where every change waits for it, more in a nightly
# job (``tox -e deep``), many by --hypothesis-profile thorough. A property that every member of a
# family has, such as those of dialects, is tried on a fifth as many for each of them.
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("deep", max_examples=250, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile("quick")

# Before anything imports a library that reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Threads that wait for each other while they spin would cost more than they bring.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // int(workers)))

# pytester forgets what a test was the first to import, and numpy cannot be loaded twice.
import_module("numpy")

# A package of its own, with tests that run where it is installed: test_outside does so.
collect_ignore = ["outside"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """
    Leave properties and simulations out of the coverage: tracing them takes two to three times as
    long, and what only drawn examples reach may be reached today and not tomorrow. The marker
    no_cover does not do it beside xdist, where it leaves a second tracer of its plugin at work.
    """
    drawn = any(map(item.get_closest_marker, ("hypothesis", "simulation")))
    if not drawn or not item.config.pluginmanager.hasplugin("_cov"):
        return (yield)
    tracing = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracing)


SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """
    The folder of the embedded model, made on first use. Tests that ask for it have marker `model`.
    """
    from harness.checkpoints.embedded import embedded_model as prepare

    return prepare("smollm2-135m")


@pytest.fixture(scope="session")
def gemma_model() -> Path:
    """
    The folder of Gemma 3 270M. Tests that ask for it have marker `model`, and skip where nobody
    accepted its terms or it cannot be had.
    """
    from harness.checkpoints.embedded import embedded_model as prepare
    from harness.errors import CheckpointError

    try:
        return prepare("gemma3-270m")
    except CheckpointError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """
    Call it with a group, names and targets to have a package installed that brings them.
    """

    def install(group: str, **points: str) -> None:
        found = tuple(EntryPoint(name, value, group) for name, value in points.items())
        monkeypatch.setattr(
            "harness.plugins.installed", lambda asked: found if asked == group else ()
        )

    return install


@pytest.fixture(scope="session")
def hermes_template() -> str:
    """
    The source of our Hermes template.
    """
    return (resources.files("harness.checkpoints") / "hermes.jinja").read_text("utf-8")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, hermes_template: str) -> Path:
    """
    The folder of a random two-layer Llama over bytes, with the Hermes template.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
    from transformers import PreTrainedTokenizerFast as Fast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id_ for id_, token in enumerate([*SPECIAL, *alphabet])}
    words = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    tokenizer = Fast(tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = hermes_template
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            initializer_range=0.5,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    # What a checkpoint may bring along, and what must not be used.
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.7, top_k=5, eos_token_id=[2, 0], pad_token_id=0
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Training":
    """
    An empty training beside a project with the suite routing, in the current folder.
    """
    from .saved import Training, project

    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Training(tmp_path / "trained", monkeypatch)
