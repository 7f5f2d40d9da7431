"""
One serialization for every value that is stored or digested.

Canonical JSON here is: keys sorted by code point, no white space between tokens, UTF-8 without
escapes beyond those JSON requires (half a surrogate pair is one: UTF-8 cannot hold it), no NaN and
no infinities. A value read from this form is serialized to the same bytes again, so their digest
is an identity. (RFC 8785 differs in its number format only; Python's
shortest round-trip form is used, as every reader of these files is Python.)
"""

import hashlib
import json
import json.encoder
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, cast

_SURROGATE = re.compile("[\ud800-\udfff]")


class _Encoder(json.JSONEncoder):
    """
    The standard encoder, set up once: it sets itself up again for every value, which takes longer
    than encoding a short one.
    """

    def __init__(self, *, sort_keys: bool) -> None:
        super().__init__(
            ensure_ascii=False,
            separators=(",", ":"),
            allow_nan=False,
            # Looking for values that hold themselves takes as long again: JSON has none.
            check_circular=False,
            sort_keys=sort_keys,
        )
        make = getattr(json.encoder, "c_make_encoder", None)  # CPython's, where it is compiled
        self._set_up = make and make(
            *(None, self.default, json.encoder.encode_basestring, None),
            *(self.key_separator, self.item_separator, sort_keys, self.skipkeys, self.allow_nan),
        )

    def iterencode(self, o: Any, _one_shot: bool = False) -> Iterator[str]:
        """
        Return the parts of *o* as JSON.
        """
        if self._set_up is None:
            return super().iterencode(o, _one_shot)
        return cast(Iterator[str], self._set_up(o, 0))


_AS_WRITTEN = _Encoder(sort_keys=False)
_CANONICAL = _Encoder(sort_keys=True)


def canonical_json(value: Any) -> str:
    """
    Return *value* (JSON types only) as canonical JSON.

    Raises:
        ValueError: for NaN or an infinity.
        TypeError: for a value that is not a JSON type.
    """
    return _without_halves(_CANONICAL.encode(value))


def as_written(value: Any) -> str:
    """
    Return *value* as JSON like `canonical_json`, but with keys in their own order.

    For what a chat template shows in that order: tools and the calls of a history. Two orders make
    two prompts.
    """
    return _without_halves(_AS_WRITTEN.encode(value))


def _without_halves(text: str) -> str:
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def parse_json(text: str) -> Any:
    """
    Parse JSON that `canonical_json` can write again.

    Raises:
        ValueError: if it is not JSON, or holds NaN or a number too large for a float.
        RecursionError: if it is nested too deep.
    """
    return _DECODER.decode(text)


def fields_from(block: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """
    Return an object of JSON as the keyword arguments of the dataclass *cls*: those keys of *block*
    that it has no field for, which another version or program wrote, as its field ``extra``.
    """
    known = {field.name for field in fields(cls)} - {"extra"}
    extra = {key: value for key, value in block.items() if key not in known}
    return {**{key: value for key, value in block.items() if key in known}, "extra": extra}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    # JSON allows 1e999, which Python reads as infinity and no record can hold.
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large to be stored")
    return value


# Made once, as the encoders are.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def digest(value: Any) -> str:
    """
    Return the SHA-256 of the canonical JSON of *value*, as ``sha256:<64 hex digits>``.
    """
    return digest_bytes([canonical_json(value).encode()])


def digest_bytes(chunks: Iterable[bytes | bytearray]) -> str:
    """
    Return the SHA-256 of a stream of bytes, as ``sha256:<64 hex digits>``.
    """
    sha = hashlib.sha256()
    for chunk in chunks:
        sha.update(chunk)
    return f"sha256:{sha.hexdigest()}"
