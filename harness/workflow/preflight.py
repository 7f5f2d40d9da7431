"""
What is checked before a checkpoint is asked: by ``harness run``, and by ``harness doctor REF``.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

from harness.backends.base import Backend, Finding, Preflighted, Stability
from harness.backends.registry import open_backend
from harness.checkpoints.chat_template import chat_template, preflight
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.dialects.registry import chosen
from harness.errors import BackendError, HarnessError
from harness.runs.runner import keys, request
from harness.suites.suite import Suite
from harness.workflow.options import Progress, RunOptions

_PARTS = ("tools", "system", "calls", "results")
_NAMES = ("tool declarations", "system text", "assistant calls", "tool results")


def check(backend: Backend, suite: Suite, progress: Progress) -> Stability | None:
    """
    Check *backend* with the cases of *suite*, if it is one that can be checked; notes go to
    *progress*. Return how stable its answers are, where that is found out.

    Raises:
        BackendError: with everything that is broken.
    """
    found = findings(backend, suite)
    if broken := [f"{each.what}: {each.finding}" for each in found if each.broken]:
        raise BackendError("preflight: " + "; ".join(broken) + ". --no-preflight asks all the same")
    for each in found:
        progress.notify(f"preflight: {each.what}: {each.finding}")
    return stability(found)


def findings(backend: Backend, suite: Suite) -> tuple[Finding, ...]:
    """
    Return what is found out about *backend* with the cases of *suite*: nothing about one that is
    not checked.
    """
    if not isinstance(backend, Preflighted):
        return ()
    asked = [request(suite, case, key) for case in suite.cases for key in keys([case])]
    return tuple(backend.preflight(asked))


def stability(found: Iterable[Finding]) -> Stability | None:
    """
    Return how stable answers are by a preflight: the least stable of several servers.
    """
    known = [each.stability for each in found if each.stability is not None]
    return max(known, key=lambda each: each.differing / each.asked, default=None)


def examine(text: str, options: RunOptions) -> Iterator[Finding]:
    """
    Yield what is found out about a checkpoint without running it on a suite: of a server, whether
    it shows tools, reads calls and answers alike; of a local one, whether its chat template does.

    Raises:
        HarnessError: of the kind that fits, if it cannot be opened.
    """
    reference = parse_reference(text)
    inner = reference.inner or reference
    if inner.scheme in ("hf", "gguf", "llamacpp", "embedded"):
        tokenizer = load_tokenizer(locate(inner, weights=inner.scheme != "hf"))
        spoken = chosen(options.dialect, chat_template(tokenizer), tokenizer)
        yield Finding(what="dialect", finding=spoken.name)
        for part, name in zip(_PARTS, _NAMES, strict=True):
            yield _tried(name, partial(preflight, tokenizer, **{part: True}))
        return
    with closing(open_backend(text, options.backend_options(progress=Progress()))) as backend:
        yield Finding(what="dialect", finding=backend.checkpoint.dialect)
        if server := backend.describe().get("server"):
            said = ", ".join(f"{name} {value}" for name, value in server.items() if value)
            yield Finding(what="server", finding=said)
        if isinstance(backend, Preflighted):
            yield from backend.preflight(())


def _tried(name: str, look: Callable[[], None]) -> Finding:
    try:
        look()
    except HarnessError as exc:
        return Finding(what=name, finding=str(exc), broken=True)
    return Finding(what=name, finding="shown")
