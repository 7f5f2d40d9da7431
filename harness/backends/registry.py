"""
Opens the backend that serves a reference.
"""

from harness.backends.base import Backend, BackendOptions
from harness.checkpoints.reference import SCHEMES, parse_reference
from harness.errors import BackendError, boundary


def open_backend(text: str, options: BackendOptions) -> Backend:
    """
    Open the checkpoint that *text* names, such as ``hf:org/name`` or a folder.

    Raises:
        UsageError: for a reference that names nothing, or that no backend serves.
        BackendError: if the backend itself cannot be loaded.
        CheckpointError, DialectError, TranscriptError: as the backend says.
    """
    reference = parse_reference(text)
    opener = SCHEMES.load(reference.scheme)
    with boundary(BackendError, f"{reference} cannot be opened"):
        backend: Backend = opener(reference, options)
        return backend
