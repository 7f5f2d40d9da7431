"""
The thing under test: a reference, the files it names, and the digests that identify them.

Nothing here runs code that a checkpoint brings along: `trust_remote_code` is off, and weights are
safetensors or GGUF, never pickle.
"""

import contextlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.canonical import digest, digest_bytes
from harness.checkpoints.cache import file_digest
from harness.checkpoints.chat_template import chat_template, knows_developer, preflight
from harness.checkpoints.embedded import embedded_model, quiet_transformers
from harness.errors import CheckpointError, MissingDependencyError, UsageError, boundary

__all__ = [
    "SCHEMES",
    "Checkpoint",
    "Located",
    "Reference",
    "chat_template",
    "digests",
    "knows_developer",
    "load_model",
    "load_tokenizer",
    "locate",
    "parse_reference",
    "preflight",
]

SCHEMES = ("hf", "gguf", "embedded", "replay", "python")

ADAPTER_CONFIG = "adapter_config.json"

HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s]+))?")

HUB_FILES = (
    *("*.safetensors", "*.json", "*.jinja"),
    *("tokenizer.model", "*.tiktoken", "vocab.txt", "merges.txt"),
)
"""What is downloaded of a repository: no pickled weights and no code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """
    A checkpoint reference, split: ``hf:org/name@revision`` has scheme hf and a target.
    """

    scheme: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """
    Weights, adapter, tokenizer and chat template, by digest, and the dialect they speak.

    A digest is None where there is nothing to digest (a replay has no weights).
    """

    reference: str
    weights: str | None = None
    adapter: str | None = None
    tokenizer: str | None = None
    template: str | None = None
    dialect: str
    dialect_version: int
    response_template: str | None = None
    """The tokenizer's own template, as JSON, where that is the dialect."""

    def to_json(self) -> dict[str, Any]:
        """
        Give the ``checkpoint`` block of run.json.
        """
        block = {name: getattr(self, name) for name in self.__slots__}
        if self.response_template is None:
            del block["response_template"]
        return block


def parse_reference(text: str) -> Reference:
    """
    Split a checkpoint reference. A text without a known scheme is a folder or a hub id: ``hf:``.

    Raises:
        UsageError: if nothing follows the scheme.
    """
    scheme, colon, target = text.partition(":")
    if not colon or scheme not in SCHEMES:
        scheme, target = "hf", text
    if not target:
        raise UsageError(
            f"checkpoint {text!r} names nothing; try hf:org/name, a folder, gguf:FILE, "
            "embedded:smollm2-135m, replay:FILE or python:package.module:function"
        )
    return Reference(scheme=scheme, target=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """
    A checkpoint's files on this machine.
    """

    reference: Reference
    folder: Path
    """Where config and weights are; with an adapter, those of its base."""
    adapter: Path | None = None
    """The folder of a PEFT adapter."""
    gguf: Path | None = None
    """The GGUF file that holds config, weights and tokenizer."""


def locate(
    reference: Reference,
    *,
    progress: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> Located:
    """
    Find the files of a checkpoint, downloaded or converted where needed.

    Raises:
        UsageError: for a reference without files, such as a replay, or an unknown embedded model.
        CheckpointError: if they cannot be found, or are pickled.
    """
    target = reference.target
    if reference.scheme == "embedded":
        folder = embedded_model(target, progress=progress, notify=notify)
        return Located(reference=reference, folder=folder)
    if reference.scheme == "gguf":
        file = Path(target).expanduser()
        if not file.is_file():
            raise CheckpointError(f"{reference}: there is no file {file}")
        return Located(reference=reference, folder=file.parent, gguf=file)
    if reference.scheme != "hf":
        raise UsageError(f"{reference} names no weights; it can be run, not loaded")

    folder = _folder(target, progress=progress, notify=notify)
    if not (folder / ADAPTER_CONFIG).is_file():
        _check_weights(folder, "model", target)
        return Located(reference=reference, folder=folder)
    _check_weights(folder, "adapter_model", target)
    base = _base(folder, progress=progress, notify=notify)
    return replace(base, reference=reference, adapter=folder)


def _folder(target: str, *, progress: bool, notify: Callable[[str], None]) -> Path:
    folder = Path(target).expanduser()
    if folder.is_dir():
        return folder
    match = HUB_ID.fullmatch(target)
    if folder.exists() or match is None:
        raise CheckpointError(
            f"{target}: there is no such folder, and it is no hub id like org/name@revision"
        )
    return _snapshot(match["id"], match["revision"], progress=progress, notify=notify)


def _snapshot(
    repository: str, revision: str | None, *, progress: bool, notify: Callable[[str], None]
) -> Path:
    from huggingface_hub import errors, snapshot_download

    named = f"{repository}@{revision}" if revision else repository
    notify(f"looking for {named} on the hub and in its cache")
    try:
        with (
            contextlib.nullcontext() if progress else quiet_transformers(),
            boundary(CheckpointError, f"{named} cannot be downloaded"),
        ):
            return Path(
                snapshot_download(
                    repository,
                    revision=revision,
                    allow_patterns=list(HUB_FILES),
                    ignore_patterns=["*/*", "consolidated*"],
                )
            )
    except CheckpointError as exc:
        cause = exc.__cause__
        if isinstance(cause, errors.GatedRepoError):
            raise CheckpointError(
                f"{named} is gated: accept its licence at https://huggingface.co/{repository}, "
                "then log in with `hf auth login`"
            ) from cause
        if isinstance(cause, errors.RevisionNotFoundError):
            raise CheckpointError(f"{named}: {repository} has no revision {revision!r}") from cause
        if isinstance(cause, errors.RepositoryNotFoundError):
            raise CheckpointError(
                f"{named}: there is no such folder, and no such model on the hub that you may read"
            ) from cause
        if isinstance(cause, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
            raise CheckpointError(
                f"{named}: there is no such folder; the hub cannot be reached and its cache does "
                "not hold it. Give a local folder, or run once with a network"
            ) from cause
        raise


def _check_weights(folder: Path, stem: str, target: str) -> None:
    if any(folder.glob(f"{stem}*.safetensors")):
        if stem == "model" and not (folder / "config.json").is_file():
            raise CheckpointError(f"{target}: {folder} holds weights but no config.json")
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise CheckpointError(
            f"{target}: its weights are pickled, which can run code when they are read; save them "
            "as safetensors (save_pretrained does)"
        )
    raise CheckpointError(f"{target}: {folder} holds no {stem}*.safetensors")


def _base(adapter: Path, *, progress: bool, notify: Callable[[str], None]) -> Located:
    """
    Find what *adapter* was trained on, from its own config.
    """
    with boundary(CheckpointError, f"{adapter / ADAPTER_CONFIG} cannot be read"):
        config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(name, str) or not name:
        raise CheckpointError(f"{adapter / ADAPTER_CONFIG} names no base_model_name_or_path")
    reference = parse_reference(name)
    if reference.scheme == "hf" and (adapter / name).is_dir():
        reference = Reference(scheme="hf", target=str(adapter / name))
    elif reference.scheme == "hf" and revision and not Path(name).is_dir():
        reference = Reference(scheme="hf", target=f"{reference.target}@{revision}")
    try:
        base = locate(reference, progress=progress, notify=notify)
    except CheckpointError as exc:
        raise CheckpointError(f"the base of adapter {adapter}: {exc}") from exc
    if base.adapter is not None:
        raise CheckpointError(f"the base of adapter {adapter} is an adapter too; merge that first")
    return base


def load_tokenizer(located: Located) -> Any:
    """
    Load the tokenizer: of the adapter if it brings one, else of its base. It pads on the left.

    A ``chat_template.jinja`` beside a GGUF file stands in for the template inside it.

    Raises:
        CheckpointError: if it cannot be loaded without running code of its own.
    """
    from transformers import AutoTokenizer

    adapter = located.adapter
    own = adapter is not None and (adapter / "tokenizer_config.json").is_file()
    source = adapter if adapter is not None and own else located.folder
    gguf = {} if located.gguf is None or own else {"gguf_file": located.gguf.name}
    with _loading(located, "tokenizer"), quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(
            source, **gguf, padding_side="left", local_files_only=True, trust_remote_code=False
        )
        beside = located.folder / "chat_template.jinja"
        if gguf and beside.is_file():
            tokenizer.chat_template = beside.read_text(encoding="utf-8")
    return tokenizer


def load_model(located: Located, *, dtype: str, device: str, attention: str | None = None) -> Any:
    """
    Load the weights, ready to answer; an adapter is merged into its base.

    Raises:
        CheckpointError: if they cannot be loaded, are incomplete, or need code of their own.
        MissingDependencyError: for an adapter without peft.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    # Without `dequantize` a GGUF model could neither be saved nor trained.
    gguf: dict[str, Any] = (
        {}
        if located.gguf is None
        else {
            "gguf_file": located.gguf.name,
            "quantization_config": GgufConfig(dequantize=True),
        }
    )
    with _loading(located, "model"), quiet_transformers():
        model: Any
        model, report = AutoModelForCausalLM.from_pretrained(
            located.folder,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **gguf,
        )
        # transformers would fill them with random numbers and only log it.
        missing = sorted(report["missing_keys"]) + sorted(str(k) for k in report["mismatched_keys"])
        if missing:
            raise CheckpointError(
                f"{located.reference}: {len(missing)} weights are missing or of another shape, "
                f"such as {missing[0]}"
            )
        if located.adapter is not None:
            model = _merged(model, located.adapter)
        return model.to(device).eval()


def _merged(model: Any, adapter: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError as exc:
        raise MissingDependencyError(
            f"{adapter} is a PEFT adapter and peft is not installed: "
            'pip install "toolcall-harness[lora]"'
        ) from exc
    with warnings.catch_warnings():
        # peft still asks for a setting under the name transformers gave up in 5.23.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        adapted = PeftModel.from_pretrained(model, adapter, use_safetensors=True)
        return adapted.merge_and_unload()


@contextlib.contextmanager
def _loading(located: Located, part: str) -> Iterator[None]:
    try:
        with boundary(CheckpointError, f"the {part} of {located.reference} cannot be loaded"):
            yield
    except CheckpointError as exc:
        if exc.__cause__ is not None and "trust_remote_code" in str(exc.__cause__):
            raise CheckpointError(
                f"{located.reference} needs code of its own (trust_remote_code), which is off and "
                "stays off; take a version for an architecture transformers knows"
            ) from exc.__cause__
        raise


def digests(located: Located, tokenizer: Any) -> dict[str, str | None]:
    """
    Digest weights, adapter, tokenizer and template, as the fields of `Checkpoint`.

    Equal content has equal digests wherever it lies: of weights the bytes of their files in the
    order of their names are taken, of an adapter its weights and its config but for the base's
    name, of a tokenizer what it does, without how it was saved.
    """
    with boundary(CheckpointError, f"{located.reference} cannot be digested"):
        files = (
            [located.gguf] if located.gguf else sorted(located.folder.glob("model*.safetensors"))
        )
        return {
            "weights": digest([file_digest(file) for file in files]),
            "adapter": None if located.adapter is None else _adapter_digest(located.adapter),
            **tokenizer_digests(tokenizer),
        }


def holds_weights(folder: Path, block: Mapping[str, Any]) -> bool:
    """
    Say whether *folder* still holds the weights, or the adapter, that the ``checkpoint`` block of a
    run names by digest.

    Raises:
        CheckpointError: if they cannot be read.
    """
    with boundary(CheckpointError, f"{folder} cannot be digested"):
        if (folder / ADAPTER_CONFIG).is_file():
            return block.get("adapter") == _adapter_digest(folder)
        files = sorted(folder.glob("model*.safetensors"))
        return block.get("weights") == digest([file_digest(file) for file in files])


def tokenizer_digests(tokenizer: Any) -> dict[str, str]:
    """
    Digest a tokenizer and its template, as the fields of `Checkpoint`.
    """
    return {
        "tokenizer": _tokenizer_digest(tokenizer),
        "template": digest_bytes([chat_template(tokenizer).encode()]),
    }


def _adapter_digest(adapter: Path) -> str:
    config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    for place in ("base_model_name_or_path", "revision"):
        config.pop(place, None)
    files = sorted(adapter.glob("adapter_model*.safetensors"))
    return digest([config, *(file_digest(file) for file in files)])


def _tokenizer_digest(tokenizer: Any) -> str:
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    if not tokenizer.is_fast:
        added = {str(id_): str(token) for id_, token in tokenizer.added_tokens_decoder.items()}
        return digest([type(tokenizer).__name__, tokenizer.get_vocab(), added, special])
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    # Left behind by the last call that padded or cut, not by how the tokenizer was made.
    for habit in ("padding", "truncation"):
        rules.pop(habit, None)
    return digest([rules, special])
