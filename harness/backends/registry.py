"""
Opens the backend that serves a reference.
"""

from harness.backends.base import Backend, BackendOptions
from harness.checkpoints.reference import SCHEMES, SERVED, Reference, parse_reference
from harness.errors import BackendError, UsageError, boundary


def open_backend(text: str, options: BackendOptions) -> Backend:
    """
    Open the checkpoint that *text* names, such as ``hf:org/name`` or a folder.

    Raises:
        UsageError: for a reference that names nothing, or that no backend serves.
        BackendError: if the backend itself cannot be loaded.
        CheckpointError, DialectError, TranscriptError: as the backend says.
    """
    reference = parse_reference(text)
    _check_options(reference, options)
    opener = SCHEMES.load(reference.scheme)
    with boundary(BackendError, f"{reference} cannot be opened"):
        backend: Backend = opener(reference, options)
        return backend


def _check_options(reference: Reference, options: BackendOptions) -> None:
    if options.tensor_parallel is not None and reference.scheme != "vllm":
        raise UsageError(f"--tensor-parallel is for vllm:; drop it for {reference}")
    if reference.scheme in SERVED or reference.scheme in SCHEMES.added():
        return
    for name in ("tokenizer", "concurrency", "api_key_env", "request_timeout"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is for a model behind a URL (openai:, completions:); "
                f"drop it for {reference}"
            )
