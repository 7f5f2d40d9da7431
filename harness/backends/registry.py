"""
Which backend serves a reference.

Built-in backends are in a table; others come by entry points in group ``harness.backends``, whose
name is the scheme and whose object is called with a `Reference` and `BackendOptions`. Nothing is
imported before it is asked for.
"""

from harness.backends.base import Backend, BackendOptions
from harness.checkpoints.reference import Reference, parse_reference
from harness.errors import BackendError, UsageError, boundary
from harness.plugins import Family

_FAMILY = Family(
    group="harness.backends",
    noun="backend",
    built_in={
        "continuous": "harness.backends.continuous:ContinuousBackend.open",
        "embedded": "harness.backends.transformers:TransformersBackend.open",
        "gguf": "harness.backends.transformers:TransformersBackend.open",
        "hf": "harness.backends.transformers:TransformersBackend.open",
        "python": "harness.backends.python:PythonBackend.open",
        "replay": "harness.backends.replay:ReplayBackend.open",
        "vllm": "harness.backends.vllm:VllmBackend.open",
    },
    error=BackendError,
)

_LATER = {
    "openai": "an OpenAI-compatible server",
}


schemes = _FAMILY.names
"""Every scheme a reference can begin with, sorted."""


def open_backend(text: str, options: BackendOptions) -> Backend:
    """
    Open the checkpoint that *text* names, such as ``hf:org/name`` or a folder.

    Raises:
        UsageError: for a reference that names nothing, or a scheme that is not served yet.
        BackendError: if the backend itself cannot be loaded.
        CheckpointError, DialectError, TranscriptError: as the backend says.
    """
    reference = _reference(text)
    opener = _FAMILY.load(reference.scheme)
    with boundary(BackendError, f"{reference} cannot be opened"):
        backend: Backend = opener(reference, options)
        return backend


def _reference(text: str) -> Reference:
    scheme, colon, target = text.partition(":")
    targets = schemes()
    if colon and scheme in _LATER and scheme not in targets:
        raise UsageError(
            f"checkpoint {text!r}: {_LATER[scheme]} is not served yet. Until then write a function "
            "that asks it and give python:package.module:function, or replay its answers with "
            "replay:FILE"
        )
    if colon and target and scheme in targets:
        return Reference(scheme=scheme, target=target)
    return parse_reference(text)
