"""
One spelling for every value that is stored or digested.

Canonical JSON here is: keys sorted by code point, no white space between tokens, UTF-8 without
escapes beyond those JSON requires (half a surrogate pair is one: UTF-8 cannot hold it), no NaN and
no infinities. What was read from this form is spelled with the same bytes again, so a digest of
them is an identity. (RFC 8785 differs in its number format only; Python's
shortest round-trip form is used, as every reader of these files is Python.)
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical_json(value: Any) -> str:
    """
    Spell *value* (JSON types only) in its one canonical form.

    Raises:
        ValueError: for NaN or an infinity.
        TypeError: for a value JSON does not know.
    """
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def as_written(value: Any) -> str:
    """
    Spell *value* with its keys in the order they have.

    For what a chat template shows in that order: tools and the calls of a history. Two orders are
    two prompts.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def parse_json(text: str) -> Any:
    """
    Read JSON that can be spelled again.

    Raises:
        ValueError: if it is none, or holds NaN or a number beyond all others.
        RecursionError: if it is nested too deep.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    # JSON allows 1e999, which no record can hold: Python reads it as an infinity.
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond every number that can be stored")
    return value


def digest(value: Any) -> str:
    """
    Name *value* by the SHA-256 of its canonical JSON, as ``sha256:<64 hex digits>``.
    """
    return digest_bytes([canonical_json(value).encode()])


def digest_bytes(chunks: Iterable[bytes]) -> str:
    """
    Name a stream of bytes by its SHA-256, as ``sha256:<64 hex digits>``.
    """
    sha = hashlib.sha256()
    for chunk in chunks:
        sha.update(chunk)
    return f"sha256:{sha.hexdigest()}"
