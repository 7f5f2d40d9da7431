"""
Which backend serves a reference.

Built-in backends are in a table; others come by entry points in group ``harness.backends``, whose
name is the scheme and whose object is called with a `Reference` and `BackendOptions`. Nothing is
imported before it is asked for.
"""

import importlib
from importlib.metadata import entry_points
from operator import attrgetter

from harness.backends.base import Backend, BackendOptions
from harness.checkpoint import Reference, parse_reference
from harness.errors import BackendError, UsageError, boundary

GROUP = "harness.backends"

_BUILT_IN = {
    "embedded": "harness.backends.transformers:TransformersBackend.open",
    "gguf": "harness.backends.transformers:TransformersBackend.open",
    "hf": "harness.backends.transformers:TransformersBackend.open",
    "python": "harness.backends.python:PythonBackend.open",
    "replay": "harness.backends.replay:ReplayBackend.open",
}

_LATER = {
    "openai": "an OpenAI-compatible server",
    "vllm": "vLLM",
}


def schemes() -> tuple[str, ...]:
    """
    Give every scheme a reference can begin with, sorted.

    Raises:
        BackendError: if two packages offer different backends for one scheme.
    """
    return tuple(sorted(_targets()))


def open_backend(text: str, options: BackendOptions) -> Backend:
    """
    Open the checkpoint that *text* names, such as ``hf:org/name`` or a folder.

    Raises:
        UsageError: for a reference that names nothing, or a scheme that is not served yet.
        BackendError: if the backend itself cannot be loaded.
        CheckpointError, DialectError, TranscriptError: as the backend says.
    """
    targets = _targets()
    reference = _reference(text, targets)
    target = targets[reference.scheme]
    module, _, attribute = target.partition(":")
    with boundary(BackendError, f"backend {reference.scheme!r} ({target}) cannot be loaded"):
        opener = attrgetter(attribute)(importlib.import_module(module))
    with boundary(BackendError, f"{reference} cannot be opened"):
        backend: Backend = opener(reference, options)
        return backend


def _reference(text: str, targets: dict[str, str]) -> Reference:
    scheme, colon, target = text.partition(":")
    if colon and scheme in _LATER and scheme not in targets:
        raise UsageError(
            f"checkpoint {text!r}: {_LATER[scheme]} is not served yet. Until then write a function "
            "that asks it and give python:package.module:function, or replay its answers with "
            "replay:FILE"
        )
    if colon and target and scheme in targets:
        return Reference(scheme=scheme, target=target)
    return parse_reference(text)


def _targets() -> dict[str, str]:
    targets = dict(_BUILT_IN)
    for point in entry_points(group=GROUP):
        if targets.setdefault(point.name, point.value) != point.value:
            raise BackendError(
                f"two backends serve {point.name!r}: {targets[point.name]} and {point.value}; "
                "uninstall one of the packages that bring them"
            )
    return targets
