"""
Runs kept under the digest of all that made them, so that what was asked once is not asked again.
"""

from pathlib import Path
from typing import Any

from harness.canonical import digest
from harness.checkpoints.cache import file_digest
from harness.checkpoints.digests import adapter_digest
from harness.checkpoints.locate import Located, locate
from harness.checkpoints.reference import parse_reference
from harness.errors import CheckpointError, boundary
from harness.provenance import packages
from harness.runs.rescore import rejudge
from harness.runs.store import StoredRun, load_run
from harness.runs.verify import verified
from harness.scoring.cases import SCORER_VERSION
from harness.workflow.run import RunPlan

_TOKENIZER_FILES = ("tokenizer*", "chat_template*", "vocab*", "merges.txt", "special_tokens*")

_HOW = (
    *("dialect", "device", "dtype", "batch_size", "repeats", "tool_names", "opened", "arm"),
    *("environment", "tokenizer", "latency"),
)
"""The options that a run is made by, besides those that choose its cases and its generation."""


def kept_in(folder: Path, name: str, content: object, plan: RunPlan) -> Path:
    """
    Return the folder in *folder* of the run by *plan* of a checkpoint with this *content*: its name
    begins with *name*, and ends with the digest of all that makes the run.
    """
    made_of = {
        "checkpoint": content,
        "suite": plan.suite.digest,
        "cases": [case.digest for case in plan.cases],
        "generation": plan.generation.to_json(),
        "how": {each: getattr(plan.options, each) for each in _HOW},
        "packages": packages(),
    }
    return folder / f"{name}-{digest(made_of).removeprefix('sha256:')[:12]}"


def judged_now(folder: Path) -> StoredRun:
    """
    Return the complete run in *folder* as it is judged now.

    Raises:
        StoreError: if it does not follow from its evidence.
    """
    stored = verified(load_run(folder))
    return stored if stored.record.scorer_version == SCORER_VERSION else rejudge(stored)


def content_named(text: str) -> dict[str, Any] | None:
    """
    Return the digests of the files of the checkpoint *text*, without opening it; None of one that
    is no files: a function, or a server.

    Raises:
        CheckpointError: if it cannot be found or read.
    """
    reference = parse_reference(text)
    inner = reference.inner or reference
    if inner.scheme == "replay":
        with boundary(CheckpointError, f"{text} cannot be digested"):
            return {"reference": text, "file": file_digest(Path(inner.target).expanduser())}
    if inner.scheme not in ("hf", "gguf", "llamacpp", "embedded"):
        return None
    # The same weights may be run in several ways.
    return {"reference": text, **content_of(locate(inner))}


def content_of(located: Located) -> dict[str, Any]:
    """
    Return the digests of a checkpoint's files: of its weights, and of its tokenizer as it is saved.

    Raises:
        CheckpointError: if one cannot be read.
    """
    with boundary(CheckpointError, f"{located.reference} cannot be digested"):
        own = located.adapter or located.folder
        return {
            "weights": [file_digest(f) for f in sorted(located.folder.glob("model*.safetensors"))],
            "gguf": located.gguf and file_digest(located.gguf),
            "config": [file_digest(f) for f in located.folder.glob("config.json")],
            "adapter": located.adapter and adapter_digest(located.adapter),
            "tokenizer": {
                file.name: file_digest(file)
                for folder in {located.folder, own}
                for pattern in _TOKENIZER_FILES
                for file in sorted(folder.glob(pattern))
                if file.is_file()
            },
        }
