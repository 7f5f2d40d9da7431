"""
The name of a checkpoint: a scheme and its target, such as ``hf:org/name@revision``.

This is the one list of schemes and the one parser. The backend that serves a scheme is named beside
it; other packages add theirs by entry points in group ``harness.backends``, whose name is the
scheme and whose object is called with a `Reference` and `harness.backends.base.BackendOptions`.
"""

import re
from dataclasses import dataclass

from harness.errors import BackendError, UsageError
from harness.plugins import Family

SCHEMES = Family(
    group="harness.backends",
    noun="backend",
    built_in={
        "completions": "harness.backends.served.completions:CompletionsBackend.open",
        "continuous": "harness.backends.continuous:ContinuousBackend.open",
        "embedded": "harness.backends.transformers:TransformersBackend.open",
        "gguf": "harness.backends.transformers:TransformersBackend.open",
        "hf": "harness.backends.transformers:TransformersBackend.open",
        "llamacpp": "harness.backends.llamacpp:LlamaCppBackend.open",
        "openai": "harness.backends.served.chat:ChatBackend.open",
        "python": "harness.backends.python:PythonBackend.open",
        "replay": "harness.backends.replay:ReplayBackend.open",
        "vllm": "harness.backends.vllm:VllmBackend.open",
    },
    error=BackendError,
)
"""Every scheme, and the backend that serves it."""

WRAPPERS = frozenset({"continuous", "vllm"})
"""Built-in schemes that only say how to run a checkpoint: another reference follows them. The
object of an added one says so by an attribute ``wraps``."""

SERVED = frozenset({"completions", "openai"})
"""Built-in schemes of models behind a URL: ``MODEL@URL`` follows them."""

HUB_ID = re.compile(r"(?P<id>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[^@\s]+))?")
"""An id on the Hugging Face hub. ``./name`` is not one: it is a folder."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOGIN = re.compile(r"://[^/\s]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """
    A checkpoint reference, split: ``hf:org/name@revision`` has scheme hf and a target.
    """

    scheme: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.target}"

    @property
    def inner(self) -> "Reference | None":
        """
        The checkpoint behind a scheme that only says how to run it, such as ``vllm:``; else None.

        Raises:
            UsageError, BackendError: as `parse_reference`.
        """
        return parse_reference(self.target) if _wraps(self.scheme) else None


def parse_reference(text: str) -> Reference:
    """
    Split a checkpoint reference. Text without a known scheme is a folder or a hub id: ``hf:``.

    Raises:
        UsageError: if nothing follows the scheme, for a URL, or for a user name or password in
            one, which the message does not repeat.
        BackendError: if two packages define the same scheme.
    """
    if _LOGIN.search(text):
        raise UsageError(
            "a checkpoint's URL is stored with the run, so it has no user name or password; put a "
            "key into an environment variable and name that with --api-key-env"
        )
    scheme, colon, target = text.partition(":")
    schemes = SCHEMES.names()
    if not colon or scheme not in schemes:
        if _URL.match(text):
            served = ", ".join(f"{scheme}:" for scheme in schemes)
            raise UsageError(
                f"checkpoint {text!r} is a URL, which names no checkpoint by itself: write "
                f"openai:MODEL@URL, or give a folder, a hub id, or one of {served}"
            )
        scheme, target = "hf", text
    if not target:
        raise UsageError(
            f"checkpoint {text!r} names nothing; try hf:org/name, a folder, gguf:FILE, "
            "embedded:smollm2-135m, replay:FILE, python:package.module:function or openai:MODEL@URL"
        )
    reference = Reference(scheme=scheme, target=target)
    if reference.inner is not None and _wraps(reference.inner.scheme):
        raise UsageError(f"checkpoint {text!r}: drop {scheme}: or {reference.inner.scheme}:")
    return reference


def is_served(text: str) -> bool:
    """
    Return whether a reference names a model behind a URL, by a built-in scheme.
    """
    return text.partition(":")[0] in SERVED


def _wraps(scheme: str) -> bool:
    return scheme in WRAPPERS or (
        scheme in SCHEMES.added() and bool(getattr(SCHEMES.load(scheme), "wraps", False))
    )
