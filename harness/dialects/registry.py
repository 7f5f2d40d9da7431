"""
All dialects by name, and how the dialect of a chat template is found.

Those of this package are in the files of this folder, each with a tuple ``DIALECTS``; other
packages add theirs by entry points in the group ``harness.dialects``: the name is what
``--dialect`` takes, the object a `Dialect`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from harness import dialects
from harness.checkpoints.checkpoint import Checkpoint
from harness.dialects.base import Dialect
from harness.dialects.response_template import NAME as RESPONSE_TEMPLATE
from harness.dialects.response_template import ResponseTemplate, from_file, of_tokenizer
from harness.errors import DialectError, boundary
from harness.plugins import Family


@cache
def _built_in() -> Mapping[str, Dialect]:
    """
    Import every file of this folder and return the dialects in its ``DIALECTS``.
    """
    modules = [
        import_module(f"{dialects.__name__}.{file.name}")
        for file in iter_modules(dialects.__path__)
        if not file.ispkg
    ]
    return {member.name: member for module in modules for member in getattr(module, "DIALECTS", ())}


_FAMILY = Family(
    group="harness.dialects",
    noun="dialect",
    built_in=_built_in,
    fits=lambda name, member: isinstance(member, Dialect) and member.name == name,
    error=DialectError,
)

names = _FAMILY.names
added = _FAMILY.added


def dialect(name: str) -> Dialect:
    """
    Return the dialect called *name*; with ``response-template:FILE``, the one that FILE describes.

    Raises:
        DialectError: if there is none, or it cannot be loaded.
    """
    word, colon, file = name.partition(":")
    if word == RESPONSE_TEMPLATE:
        if not colon:
            raise DialectError(
                f"dialect {name} needs a checkpoint's own tokenizer, and there is none here; "
                f"name a template with --dialect {name}:FILE"
            )
        return from_file(Path(file).expanduser())
    loaded: Dialect = _FAMILY.load(name)
    return loaded


def chosen(asked: str | None, template: str, tokenizer: Any) -> Dialect:
    """
    Return the dialect that was *asked* for, or else that of the chat template of *tokenizer*.

    Raises:
        DialectError: as for `dialect` and `detect`.
    """
    if asked == RESPONSE_TEMPLATE:
        return of_tokenizer(tokenizer)
    return dialect(asked) if asked else detect(template)


def own_template(spoken: Dialect) -> str | None:
    """
    Return what must be stored of a dialect, in addition to its name, to find it again.
    """
    return spoken.template if isinstance(spoken, ResponseTemplate) else None


def spoken_by(checkpoint: Checkpoint) -> Dialect:
    """
    Return the dialect that *checkpoint* was read with.

    Raises:
        DialectError: as for `dialect`.
    """
    if checkpoint.dialect == RESPONSE_TEMPLATE:
        with boundary(
            DialectError, "the run does not contain the response template it was read with"
        ):
            template = json.loads(checkpoint.response_template or "")
        return ResponseTemplate(template)
    return dialect(checkpoint.dialect)


def detect(template: str) -> Dialect:
    """
    Find the dialect in which a chat template (its Jinja source) writes calls.

    Raises:
        DialectError: if no dialect recognizes it, or more than one does.
    """
    found = [member for member in map(dialect, names()) if member.recognises(template)]
    if len(found) == 1:
        return found[0]
    if found:
        both = " and ".join(member.name for member in found)
        raise DialectError(f"the chat template fits {both}; choose one with --dialect")
    raise DialectError(
        "the chat template writes tool calls in no known format; "
        f"choose one with --dialect: {', '.join(names())}"
    )
