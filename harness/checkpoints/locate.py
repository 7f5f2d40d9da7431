"""
Where a checkpoint's files are: a folder, the hub's cache, an adapter and its base.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from harness.checkpoints.embedded import MODELS, embedded_model, quiet_transformers
from harness.checkpoints.reference import HUB_ID, SCHEMES, Reference, parse_reference
from harness.errors import CheckpointError, UsageError, boundary

ADAPTER_CONFIG = "adapter_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"


HUB_FILES = (
    *("*.safetensors", "*.json", "*.jinja"),
    *("tokenizer.model", "*.tiktoken", "vocab.txt", "merges.txt"),
)
"""What is downloaded from a repository: no pickled weights and no code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """
    A checkpoint's files on this machine.
    """

    reference: Reference
    """What names them; with an adapter, what names that."""
    folder: Path
    """Where config and weights are; with an adapter, those of its base."""
    adapter: Path | None = None
    """The folder of a PEFT adapter."""
    gguf: Path | None = None
    """The GGUF file that holds config, weights and tokenizer."""


def locate(
    reference: Reference,
    *,
    weights: bool = True,
    ask_hub: bool = True,
    progress: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> Located:
    """
    Find the files of a checkpoint; download or convert them where needed. Without *ask_hub*, those
    of the hub must be in its cache. Without *weights*, a folder or a model on the hub need not have
    any: its tokenizer is what is wanted, and that of an adapter may be its base's.

    Raises:
        UsageError: for a reference without files, such as a replay, or an unknown embedded model.
        CheckpointError: if they cannot be found, or are pickled.
    """
    reference = reference.inner or reference
    target = reference.target
    if reference.scheme == "embedded":
        folder = embedded_model(target, progress=progress, notify=notify)
        return Located(reference=reference, folder=folder)
    if reference.scheme in ("gguf", "llamacpp"):
        file = Path(target).expanduser()
        if not file.is_file():
            raise CheckpointError(f"{reference}: no such file: {file}")
        return Located(reference=reference, folder=file.parent, gguf=file)
    if reference.scheme != "hf":
        raise UsageError(f"{reference} has no weights to load; it can only be run")

    folder = _folder(target, ask_hub=ask_hub, weights=weights, progress=progress, notify=notify)
    if not (folder / ADAPTER_CONFIG).is_file():
        if weights:
            _check_weights(folder, "model", target)
        return Located(reference=reference, folder=folder)
    if weights:
        _check_weights(folder, "adapter_model", target)
    try:
        base = _base(folder, weights=weights, ask_hub=ask_hub, progress=progress, notify=notify)
    except CheckpointError as exc:
        if weights or not (folder / TOKENIZER_CONFIG).is_file():
            raise
        notify(f"note: the adapter's own tokenizer is used, without settings of its base: {exc}")
        return Located(reference=reference, folder=folder)
    return replace(base, reference=reference, adapter=folder)


def _folder(
    target: str,
    *,
    ask_hub: bool,
    weights: bool,
    progress: bool,
    notify: Callable[[str], None],
) -> Path:
    folder = Path(target).expanduser()
    if folder.is_dir():
        return folder
    match = HUB_ID.fullmatch(target)
    if folder.exists() or match is None:
        can_only_be_one = folder.is_absolute() or target.startswith((".", "~"))
        also = "" if can_only_be_one else f", not a hub id like org/name@revision{_meant(target)}"
        raise CheckpointError(f"{target}: no such folder{also}")
    return _snapshot(
        match["id"],
        match["revision"],
        ask_hub=ask_hub,
        files=[name for name in HUB_FILES if weights or "safetensors" not in name],
        progress=progress,
        notify=notify,
    )


def _meant(target: str) -> str:
    """
    Return the scheme that was left out of *target* or is misspelled, or those there are.
    """
    if target in MODELS:
        return f"; did you mean embedded:{target}?"
    word, colon, rest = target.partition(":")
    near = get_close_matches(word, SCHEMES.names(), n=1) if colon else []
    if near:
        return f"; did you mean {near[0]}:{rest}?"
    return f", and begins with none of {', '.join(f'{each}:' for each in SCHEMES.names())}"


def _snapshot(
    repository: str,
    revision: str | None,
    *,
    ask_hub: bool,
    files: list[str],
    progress: bool,
    notify: Callable[[str], None],
) -> Path:
    from huggingface_hub import errors, snapshot_download

    named = f"{repository}@{revision}" if revision else repository
    if ask_hub:
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
                    allow_patterns=files,
                    ignore_patterns=["*/*", "consolidated*"],
                    local_files_only=not ask_hub,
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
                f"{named}: no such folder, and no such model on the hub that you may read"
            ) from cause
        if not ask_hub:
            raise CheckpointError(f"{named} is not in the hub's cache on this machine") from cause
        if isinstance(cause, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
            raise CheckpointError(
                f"{named}: no such folder; the hub cannot be reached and its cache does not have "
                "it. Use a local folder, or run once with a network"
            ) from cause
        raise


def _check_weights(folder: Path, stem: str, target: str) -> None:
    if any(folder.glob(f"{stem}*.safetensors")):
        if stem == "model" and not (folder / "config.json").is_file():
            raise CheckpointError(f"{target}: {folder} holds weights but no config.json")
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise CheckpointError(
            f"{target}: its weights are pickled, so reading them could run code; save them "
            "as safetensors (save_pretrained does)"
        )
    raise CheckpointError(f"{target}: {folder} holds no {stem}*.safetensors")


def _base(
    adapter: Path,
    *,
    weights: bool,
    ask_hub: bool,
    progress: bool,
    notify: Callable[[str], None],
) -> Located:
    """
    Find the base that *adapter* was trained on, from its config.
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
        base = locate(reference, weights=weights, ask_hub=ask_hub, progress=progress, notify=notify)
    except CheckpointError as exc:
        raise CheckpointError(f"the base of adapter {adapter}: {exc}") from exc
    if base.adapter is not None:
        raise CheckpointError(f"the base of adapter {adapter} is an adapter too; merge that first")
    return base
