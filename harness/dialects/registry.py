"""
The dialects there are, and which one reads what.

Built-in dialects are in a table; others come by entry points in group ``harness.dialects``, whose
name is the word for ``--dialect`` and whose object is a `Dialect`. Nothing is imported before it is
asked for.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.dialects.base import Dialect
from harness.dialects.response_template import NAME as RESPONSE_TEMPLATE
from harness.dialects.response_template import ResponseTemplate, from_file, of_tokenizer
from harness.errors import DialectError, boundary
from harness.plugins import Family

_FAMILY = Family(
    group="harness.dialects",
    noun="dialect",
    built_in={
        "anthropic": "harness.dialects.anthropic:ANTHROPIC",
        "command-a": "harness.dialects.command:COMMAND_A",
        "command-r": "harness.dialects.command:COMMAND_R",
        "deepseek-v3": "harness.dialects.deepseek:DEEPSEEK_V3",
        "deepseek-v3.1": "harness.dialects.deepseek:DEEPSEEK_V31",
        "deepseek-v3.2": "harness.dialects.deepseek_v32:DEEPSEEK_V32",
        "functiongemma": "harness.dialects.functiongemma:FUNCTIONGEMMA",
        "gemma-4": "harness.dialects.gemma4:GEMMA_4",
        "glm-4": "harness.dialects.glm4:GLM_4",
        "glm-4.5": "harness.dialects.glm45:GLM_45",
        "gorilla": "harness.dialects.python_lines:GORILLA",
        "granite": "harness.dialects.granite:GRANITE",
        "granite-20b": "harness.dialects.granite20b:GRANITE_20B",
        "harmony": "harness.dialects.harmony:HARMONY",
        "hermes": "harness.dialects.hermes:HERMES",
        "kimi-k2": "harness.dialects.kimi_k2:KIMI_K2",
        "llama3-json": "harness.dialects.llama3_json:LLAMA3_JSON",
        "minimax-m1": "harness.dialects.minimax:MINIMAX_M1",
        "minimax-m2": "harness.dialects.minimax:MINIMAX_M2",
        "mistral": "harness.dialects.mistral:MISTRAL",
        "mistral-v11": "harness.dialects.mistral:MISTRAL_V11",
        "native": "harness.dialects.native:NATIVE",
        "olmo-3": "harness.dialects.python_lines:OLMO_3",
        "phi-4-mini": "harness.dialects.phi4_mini:PHI4_MINI",
        "pythonic": "harness.dialects.pythonic:PYTHONIC",
        "qwen3-coder": "harness.dialects.qwen3_coder:QWEN3_CODER",
        "raven": "harness.dialects.python_lines:RAVEN",
        "tool-code": "harness.dialects.python_lines:TOOL_CODE",
        "xlam": "harness.dialects.xlam:XLAM",
    },
    error=DialectError,
)

names = _FAMILY.names


def dialect(name: str) -> Dialect:
    """
    Give the dialect called *name*; with ``response-template:FILE``, the one that FILE describes.

    Raises:
        DialectError: if there is none, or it cannot be loaded.
    """
    word, colon, file = name.partition(":")
    if word == RESPONSE_TEMPLATE:
        if not colon:
            raise DialectError(
                f"dialect {name} is that of a checkpoint's own tokenizer, and there is none here; "
                f"give a template with --dialect {name}:FILE"
            )
        return from_file(Path(file).expanduser())
    loaded = _FAMILY.load(name)
    if not isinstance(loaded, Dialect) or loaded.name != name:
        target = _FAMILY.target(name)
        raise DialectError(f"{target} is no dialect called {name!r}; see harness.dialects.base")
    return loaded


def chosen(asked: str | None, template: str, tokenizer: Any) -> Dialect:
    """
    Give the dialect *asked* for, or else the one of the chat template of *tokenizer*.

    Raises:
        DialectError: as `dialect` and `detect`.
    """
    if asked == RESPONSE_TEMPLATE:
        return of_tokenizer(tokenizer)
    return dialect(asked) if asked else detect(template)


def own_template(spoken: Dialect) -> str | None:
    """
    Give what has to be kept of a dialect to find it again, beside its name.
    """
    return spoken.template if isinstance(spoken, ResponseTemplate) else None


def spoken_by(checkpoint: Mapping[str, Any]) -> Dialect:
    """
    Give the dialect of a ``checkpoint`` block of run.json.

    Raises:
        DialectError: as `dialect`.
    """
    if checkpoint["dialect"] == RESPONSE_TEMPLATE:
        with boundary(DialectError, "the run does not hold the response template it was read with"):
            template = json.loads(checkpoint["response_template"])
        return ResponseTemplate(template)
    return dialect(checkpoint["dialect"])


def detect(template: str) -> Dialect:
    """
    Find the dialect in which a chat template (its Jinja source) writes calls.

    Raises:
        DialectError: if no dialect, or more than one, recognises it.
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
