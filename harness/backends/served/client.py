"""
HTTP to the servers of one model: how requests are sent, tried again, limited and refused.

An answer is read piece by piece: one over `LIMIT` bytes, or that does not end within the time of
one try, is an error in bounded memory and time. Nothing here knows what is asked.
"""

import asyncio
import contextlib
import email.utils
import importlib
import json
import random
import re
import ssl
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from harness.backends.served.address import Key
from harness.backends.served.answers import choice_of, whole
from harness.canonical import parse_json
from harness.errors import BackendError

TRIES = 5
LIMIT = 50_000_000
"""The longest answer, in bytes."""
LONGEST_WAIT = 120.0
"""A ``Retry-After`` beyond it, in seconds, ends the tries."""
SET_ASIDE = 3
"""After so many failures in a row a server is not asked any more, while there are others."""

_AGAIN = (408, 409, 429)
_OF_THE_REQUEST = (400, 413, 422, 429)
# These say that a request is bad, or one too many, and nothing against the server.
FIRST_WAIT = 0.5
"""Seconds before the second try; twice as many before each further one."""
LOADING = 600.0
"""How many seconds a server that loads its model is waited for before anything is asked."""
_LOADS = re.compile(r"\bload(?:ing|s)?\b|\bwarm|\bstarting\b", re.IGNORECASE)
# What llama.cpp, TGI and gateways say meanwhile, with HTTP 503.
_LONGEST_LOOK = 5.0
_CONNECT = 10.0
_SHOWN = 300
# Characters of a server's own words in a message.


class RequestError(BackendError):
    """
    A request that brought no answer; the message says why.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status, where there was one."""


class _AgainError(RequestError):
    """
    One failed try that may be repeated.
    """

    def __init__(self, message: str, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(message, status)
        self.wait = wait
        """How many seconds the server asks to wait."""

    @property
    def loads(self) -> bool:
        """
        Whether the server says that it still loads its model.
        """
        return self.status == 503 and _LOADS.search(str(self)) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    What a server answered with: a JSON object.
    """

    body: Mapping[str, Any]
    pieces: tuple[Mapping[str, Any], ...] | None = None
    """The events of a streamed answer; None for one in one piece."""
    latency_ms: float
    """From when the request was handed over to the end of the answer."""
    ttft_ms: float | None = None
    """The same to the first piece that `starts` the answer."""
    url: str
    server: str | None = None
    """The header ``Server``."""


@dataclass(slots=True, eq=False)
class _Server:
    url: str
    busy: int = 0
    failed: int = 0
    aside: bool = False


class Client:
    """
    Connections to the servers of one model, kept open by an event loop in a thread of its own.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        key: Key | None = None,
        timeout: float = 300.0,
        concurrency: int = 8,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        from anyio.from_thread import start_blocking_portal

        self._servers = [_Server(url) for url in urls]
        self._key = key
        self._timeout = timeout
        self._notify = notify
        self._library = _library()
        self._waits = False
        self._pending: set[Future[Reply]] = set()
        self.unanswered: set[str] = set()
        """The URLs whose last `look_up` failed in a way that does not say that nothing is there."""
        with contextlib.ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            self._http = self._portal.call(self._opened, concurrency)
            self._slots = asyncio.Semaphore(concurrency)
            stack.callback(self._portal.call, self._http.aclose)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """
        Drop what is in flight and close all connections.
        """
        for future in list(self._pending):
            future.cancel()
        self._stack.close()

    def clean(self, value: Any) -> Any:
        """
        Return a JSON *value* without the key, which a server may have repeated, even in pieces. It
        may hold an answer, so a key that is a word (`Key.is_secret`) is left in it.
        """
        if self._key is None or not self._key.is_secret:
            return value
        if isinstance(value, str):
            return self._key.removed_from(value)
        if isinstance(value, Mapping):
            return {self.clean(name): self.clean(each) for name, each in value.items()}
        return [self.clean(each) for each in value] if isinstance(value, list) else value

    def without_key(self, said: str) -> str:
        """
        Return without the key what a server *said* that is not an answer: an error, a header.
        """
        return said if self._key is None else self._key.removed_from(said)

    def submit(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        starts: Callable[[Mapping[str, Any]], bool] | None = None,
        at: str | None = None,
        patient: bool = False,
    ) -> Future[Reply]:
        """
        Post *payload* to *path* of the server *at* a URL, or of the one with the least to do.

        With *starts* the answer is streamed, and the first event for which it is true is timed.
        With *patient* a server that loads its model is waited for.

        The future raises RequestError: with a message for each way to fail.
        """
        content = json.dumps(payload).encode()
        return self._begun(
            self._portal.start_task_soon(self._ask, path, content, starts, at, patient)
        )

    def _begun(self, future: Future[Reply]) -> Future[Reply]:
        """
        Keep *future*, so that `close` can end it.
        """
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def look_up(
        self, url: str, payload: Mapping[str, Any] | None = None, *, insist: bool = False
    ) -> Reply | None:
        """
        Return what is at *url*, of what a server says of itself; None where it says nothing there.

        With *insist* a server that cannot be reached is tried again, and one that loads its model
        is waited for.

        Raises:
            RequestError: with *insist*, if the server cannot be reached in `TRIES` tries.
        """
        content = None if payload is None else json.dumps(payload).encode()
        tries = TRIES if insist else 1
        self.unanswered.discard(url)
        try:
            return self._begun(
                self._portal.start_task_soon(self._looked_up, url, content, tries)
            ).result()
        except RequestError as exc:
            if exc.status is None or exc.status == 429 or exc.status >= 500:
                self.unanswered.add(url)
            if insist and isinstance(exc, _AgainError) and exc.status is None:
                raise RequestError(str(exc), exc.status) from None
            return None

    # All that follows runs in the event loop's thread.

    async def _opened(self, concurrency: int) -> Any:
        http = self._library
        # A proxy would be asked to reach this very machine.
        local = all(_is_local(server.url) for server in self._servers)
        return http.AsyncClient(
            timeout=http.Timeout(None, connect=_CONNECT),
            limits=http.Limits(max_connections=concurrency + 1, max_keepalive_connections=None),
            # The library sends no Authorization header on to another host.
            follow_redirects=True,
            max_redirects=3,
            trust_env=not local,
            # Here, and in no local variable, which some tracebacks show.
            headers=None if self._key is None else self._key.header(),
        )

    async def _looked_up(self, url: str, content: bytes | None, tries: int) -> Reply:
        number, until = 0, time.monotonic() + LOADING
        while True:
            try:
                return await self._tried(url, content, None, min(self._timeout, _CONNECT))
            except _AgainError as exc:
                if tries > 1 and await self._loaded(exc, url, until):
                    continue
                number += 1
                if number == tries or exc.status not in (None, 503):
                    raise
                wait = FIRST_WAIT * 2 ** (number - 1) if exc.wait is None else exc.wait
                await asyncio.sleep(min(wait, LONGEST_WAIT))

    async def _loaded(self, exc: _AgainError, url: str, until: float) -> bool:
        """
        Wait a little for a server that says, by *exc*, that it loads its model; return whether.
        """
        if not exc.loads or time.monotonic() > until:
            return False
        if not self._waits:
            self._notify(f"{_place(url)} loads its model: waiting for it")
        self._waits = True
        await asyncio.sleep(min(4 * FIRST_WAIT if exc.wait is None else exc.wait, _LONGEST_LOOK))
        return True

    async def _ask(
        self,
        path: str,
        content: bytes,
        starts: Callable[[Mapping[str, Any]], bool] | None,
        at: str | None,
        patient: bool,
    ) -> Reply:
        async with self._slots:
            number, until = 0, time.monotonic() + LOADING
            while True:
                number += 1
                server = self._least_busy(at)
                server.busy += 1
                try:
                    reply = await self._tried(server.url + path, content, starts, self._timeout)
                except _AgainError as exc:
                    if patient and await self._loaded(exc, server.url, until):
                        number -= 1
                        continue
                    self._count_failure(server, exc)
                    if number == TRIES or (exc.wait or 0) > LONGEST_WAIT:
                        tries = f"{number} tries" if number > 1 else "1 try"
                        raise RequestError(f"{exc} ({tries})", exc.status) from None
                    backoff = FIRST_WAIT * 2 ** (number - 1) * random.uniform(1, 1.25)
                    wait = backoff if exc.wait is None else exc.wait
                except RequestError as exc:
                    self._count_failure(server, exc)
                    raise
                else:
                    if _holds_answer(reply):
                        server.failed = 0
                    else:
                        self._count_failure(server)
                    return reply
                finally:
                    server.busy -= 1
                await asyncio.sleep(wait)

    def _least_busy(self, at: str | None) -> _Server:
        there = [
            server
            for server in self._servers
            if server.url == at or (at is None and not server.aside)
        ]
        return min(there, key=lambda server: server.busy)

    def _count_failure(self, server: _Server, exc: RequestError | None = None) -> None:
        if exc is not None and exc.status in _OF_THE_REQUEST:
            return
        server.failed += 1
        others = any(not other.aside for other in self._servers if other is not server)
        if server.failed >= SET_ASIDE and others and not server.aside:
            server.aside = True
            self._notify(f"{server.url} is set aside: it failed {server.failed} times in a row")

    async def _tried(
        self,
        url: str,
        content: bytes | None,
        starts: Callable[[Mapping[str, Any]], bool] | None,
        timeout: float,
    ) -> Reply:
        """
        Send one request once; an error has no frame that holds what the server said: it may have
        repeated the key, and some tracebacks show variables.

        Raises:
            RequestError: as `_try`.
        """
        try:
            return await self._try(url, content, starts, timeout)
        except RequestError as exc:
            raise exc.with_traceback(None) from None

    async def _try(
        self,
        url: str,
        content: bytes | None,
        starts: Callable[[Mapping[str, Any]], bool] | None,
        timeout: float,
    ) -> Reply:
        """
        Send one request once.

        Raises:
            _AgainError: for a failure that may pass; RequestError for one that will not.
        """
        http, place = self._library, _place(url)
        # A server that passes it on shows that its answer is ours.
        mark = _MARK + str(uuid.uuid4())[len(_MARK) :]
        headers = {"Accept-Encoding": "identity", "X-Request-Id": mark}
        if content is not None:
            headers["Content-Type"] = "application/json"
        method = "GET" if content is None else "POST"
        begun, answering = time.perf_counter(), False
        try:
            async with (
                asyncio.timeout(timeout),
                self._http.stream(method, url, content=content, headers=headers) as response,
            ):
                answering = True
                reading = _Body(response, begun, starts if response.status_code == 200 else None)
                body = await reading.read(place)
        except TimeoutError:
            what = "did not finish its answer" if answering else "gave no answer"
            raise RequestError(f"{place} {what} in {timeout:g} s (--request-timeout)") from None
        except http.TooManyRedirects:
            raise RequestError(f"{place} redirects more than three times") from None
        except (http.InvalidURL, http.UnsupportedProtocol):
            raise RequestError(
                f"{place} redirects to something that is not a web address"
            ) from None
        except http.ConnectError as exc:
            raise _unreachable(place, exc) from None
        except http.ConnectTimeout:
            raise _AgainError(f"{place} cannot be reached in {_CONNECT:g} s") from None
        except http.HTTPError as exc:
            if not answering:
                # Also a connection kept open that the server closed meanwhile.
                raise _AgainError(f"{place} closed the connection before it answered") from None
            why = self.without_key(" ".join(str(exc).split()))[:_SHOWN] or type(exc).__name__
            raise RequestError(f"{place} broke off in the middle of its answer: {why}") from None
        latency = (time.perf_counter() - begun) * 1000
        echoed = response.headers.get("x-request-id", mark)
        if echoed != mark and echoed.startswith(_MARK):
            raise RequestError(f"{place} gave the answer to another request")
        self._check_status(place, response, body)
        if starts is not None and reading.events is not None:
            return Reply(
                body={},
                pieces=tuple(self._event(place, text) for text in reading.events),
                latency_ms=latency,
                ttft_ms=reading.ttft_ms,
                url=url,
                server=self._server_header(response),
            )
        return Reply(
            body=self._object(place, body, response.headers.get("content-type", "")),
            latency_ms=latency,
            url=url,
            server=self._server_header(response),
        )

    def _server_header(self, response: Any) -> str | None:
        said = response.headers.get("server")
        return None if said is None else self.without_key(said)

    def _check_status(self, place: str, response: Any, body: bytes) -> None:
        status = response.status_code
        if status == 200:
            return
        said = self._said(body)
        message = f"{place}: HTTP {status}" + (f": {said}" if said else "")
        if status in _AGAIN or status >= 500:
            raise _AgainError(message, status, _retry_after(response.headers.get("retry-after")))
        if status in (401, 403):
            message += "; name the environment variable that holds the key with --api-key-env"
        elif status in (404, 405):
            message += "; the URL of most servers ends in /v1"
        raise RequestError(message, status)

    def _said(self, body: bytes) -> str:
        """
        Return a server's own words for what went wrong.
        """
        text = body.decode("utf-8", "replace")
        with contextlib.suppress(ValueError, RecursionError):
            text = reason(parse_json(text))
        return " ".join(self.without_key(text).split())[:_SHOWN]

    def _object(self, place: str, body: bytes, kind: str) -> Mapping[str, Any]:
        if not body.strip():
            raise RequestError(f"{place} answered with nothing")
        if "html" in kind or body.lstrip()[:1] == b"<":
            raise RequestError(
                f"{place} answered with a web page instead of JSON; the URL of most servers ends "
                "in /v1"
            )
        try:
            # Cleaned once it is read: JSON may write a letter of the key in other ways.
            value = self.clean(parse_json(body.decode("utf-8")))
        except (ValueError, RecursionError) as exc:
            why = self.without_key(str(exc))
            raise RequestError(f"{place} answered with what is not valid JSON: {why}") from None
        if not isinstance(value, Mapping):
            raise RequestError(f"{place} answered with JSON that is not an object")
        return value

    def _event(self, place: str, text: bytes) -> Mapping[str, Any]:
        try:
            value = self.clean(parse_json(text.decode("utf-8")))
        except (ValueError, RecursionError) as exc:
            why = self.without_key(str(exc))
            raise RequestError(f"{place} streamed what is not valid JSON: {why}") from None
        if not isinstance(value, Mapping):
            raise RequestError(f"{place} streamed JSON that is not an object")
        return value


class _Body:
    """
    An answer that is being read, whole or as a stream of events.
    """

    def __init__(
        self, response: Any, begun: float, starts: Callable[[Mapping[str, Any]], bool] | None
    ) -> None:
        self._response = response
        self._begun = begun
        self._starts = starts
        streamed = starts is not None and response.headers.get("content-type", "").startswith(
            "text/event-stream"
        )
        self.events: list[bytes] | None = [] if streamed else None
        self.ttft_ms: float | None = None

    async def read(self, place: str) -> bytes:
        """
        Return the whole body; that of a stream is in `events`, and empty here.
        """
        size, body = 0, bytearray()
        async for piece in self._response.aiter_bytes():
            size += len(piece)
            if size > LIMIT:
                raise RequestError(f"{place} answered with more than {LIMIT / 1e6:g} MB")
            body += piece
            if self.events is not None and b"\n" in piece:
                *lines, rest = bytes(body).split(b"\n")
                body = bytearray(rest)
                if any(self._line(line) for line in lines):
                    return b""
        if self.events is not None:
            # Some servers do not say that a stream is complete; its last event shows it.
            self._line(bytes(body))
            return b""
        return bytes(body)

    def _line(self, line: bytes) -> bool:
        """
        Take one line of a stream; return whether it says that the stream is complete.
        """
        assert self.events is not None
        if not line.startswith(b"data:"):
            return False
        text = line[5:].strip()
        if text == b"[DONE]":
            return True
        self.events.append(text)
        if self.ttft_ms is None and self._starts is not None:
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(text)
                if isinstance(value, Mapping) and self._starts(value):
                    self.ttft_ms = (time.perf_counter() - self._begun) * 1000
        return False


def _holds_answer(reply: Reply) -> bool:
    try:
        choice_of(reply.body if reply.pieces is None else whole(reply.pieces))
    except ValueError:
        return False
    return True


def reason(body: Any) -> str:
    """
    Return in words what an error body says: OpenAI's, FastAPI's, or as it is.
    """
    if isinstance(body, Mapping):
        for key in ("error", "detail", "message"):
            if body.get(key):
                return reason(body[key])
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)


def _library() -> Any:
    """
    Return the HTTP client that huggingface_hub brings: httpx2 since its version 2.4, else httpx.
    """
    return importlib.import_module("httpx2" if find_spec("httpx2") else "httpx")


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _unreachable(place: str, exc: Exception) -> RequestError:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return RequestError(f"{place} has no TLS certificate that can be verified: {cause}")
        if isinstance(cause, ConnectionRefusedError):
            break
        cause = cause.__cause__ or cause.__context__
    if cause is not None or "refused" in str(exc).lower() or "attempts failed" in str(exc):
        return _AgainError(f"{place} refuses connections; is the server running?")
    return _AgainError(f"{place} cannot be reached: {' '.join(str(exc).split())}")


def _retry_after(text: str | None) -> float | None:
    """
    Return the seconds of a ``Retry-After``, which is a number or a date.
    """
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


_MARK = "746f6f6c-6361-4c6c-"
# How each of our requests begins its id: a UUID, as llama-cpp-python's server refuses any other.
