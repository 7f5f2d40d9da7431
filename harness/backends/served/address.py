"""
Where a served model is: ``MODEL@URL``, or ``MODEL@URL1,URL2`` for several servers of one model.
"""

import os
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from harness.checkpoints.reference import Reference
from harness.errors import UsageError

_TARGET = re.compile(r"(?P<model>(?!https?://).+?)@(?P<urls>https?://.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    A model's name and the URLs of its servers, without a slash at the end.
    """

    model: str
    urls: tuple[str, ...]

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """
        Read what follows ``openai:`` or ``completions:``.

        Raises:
            UsageError: if it is not MODEL@URL, or a URL holds what must not be stored: a user name,
                a password or a query string. The message does not repeat them.
        """
        scheme = reference.scheme
        match = _TARGET.fullmatch(reference.target)
        if match is None:
            # Not repeated: whatever was written may hold a password.
            raise UsageError(
                f"a checkpoint behind a URL is written {scheme}:MODEL@URL, such as "
                f"{scheme}:my-model@http://localhost:8000/v1"
            )
        urls = tuple(url.strip().rstrip("/") for url in match["urls"].split(","))
        for url in urls:
            _check(url, f"checkpoint {scheme}:{match['model']}")
        if len(set(urls)) < len(urls):
            raise UsageError(f"checkpoint {scheme}:{match['model']}: a URL is named twice")
        return cls(model=match["model"], urls=urls)


def _check(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise UsageError(f"{what}: each URL has a host and begins with http:// or https://")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            f"{what}: a URL is stored with the run, so it has no user name, query or fragment; put "
            "a key into an environment variable and name that with --api-key-env"
        )


class Key:
    """
    An API key, which shows itself nowhere.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Key(...)"

    @classmethod
    def from_environment(cls, name: str | None) -> "Key | None":
        """
        Return the key in the environment variable *name*; None without a name.

        Raises:
            UsageError: if the variable is not set, or holds what no HTTP header can.
        """
        if name is None:
            return None
        # In no local variable, which some tracebacks show.
        key = cls(os.environ.get(name, "").strip())
        if not key._text:
            raise UsageError(f"--api-key-env {name}: the environment has no such variable")
        if not key._can_be_sent:
            raise UsageError(
                f"--api-key-env {name}: its value is not a key: it has fewer than {_SHORTEST} "
                "characters, or some that an HTTP header cannot hold"
            )
        return key

    @property
    def _can_be_sent(self) -> bool:
        return self._text.isascii() and self._text.isprintable() and len(self._text) >= _SHORTEST

    def header(self) -> dict[str, str]:
        """
        Return the header that carries the key.
        """
        return {"Authorization": f"Bearer {self._text}"}

    @property
    def is_secret(self) -> bool:
        """
        Whether it is so long that a model does not write it by chance, as it may write ``none`` or
        ``test``, with which servers that need no key are called.
        """
        return len(self._text) >= _SECRET

    def removed_from(self, text: str) -> str:
        """
        Return *text*, which a server may have echoed, without the key.
        """
        return text.replace(self._text, "[key]")


_SHORTEST, _SECRET = 4, 16
