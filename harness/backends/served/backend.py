"""
What chat and raw completions share: settling what the server takes, many requests at once, and the
server's identity.

Sampling is said in full, so that no setting of the server decides an answer in silence. A field
that the server refuses is dropped, once, when it is opened, and is named in run.json.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

from harness.backends.base import BackendOptions, Finding, Generation, Request
from harness.backends.engine.decoding import row_seed
from harness.backends.served import client as http
from harness.backends.served.address import Address, Key
from harness.backends.served.answers import starts_answer, whole
from harness.backends.served.client import Client, Reply, RequestError
from harness.backends.served.identity import Identity, changes, identify
from harness.backends.served.preflight import (
    OTHERS,
    answers_are_stable,
    asking,
    defaults_are_greedy,
    tried,
)
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.reference import Reference
from harness.errors import BackendError, UsageError
from harness.messages import Message
from harness.transcript import Key as AnswerKey
from harness.transcript import Timing, Transcript

CONCURRENCY = 8
"""How many requests are in flight at once by default."""

TIMEOUT = 300.0
"""Seconds for one try of one request, by default."""

REFUSED = (400, 422)
"""What a server answers that refuses a field of a request."""

_SHORT = Generation(max_new_tokens=24)
_QUESTIONS = tuple(
    Request(
        key=AnswerKey(f"preflight-{number}"),
        messages=(Message(role="user", content=f"What is {number} and {number}?"),),
        tools=(),
    )
    for number in range(1 + OTHERS)
)
_LOOKS = 3
# How often a server that does not answer who it is, is asked after a run.
_CHANGES = 8
# A server behind a load balancer may be another one with each answer.
_SEED = 2**31 - 1
# Servers read a seed as a signed number of 32 bits.


class ServedBackend(ABC):
    """
    One model of a server.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    """Where requests go, behind the URL."""

    def __init__(self, *, address: Address, client: Client, options: BackendOptions) -> None:
        self._model = address.model
        self._urls = address.urls
        self._client = client
        self._concurrency = _concurrency(options)
        self._notify = options.notify
        self._refused: tuple[str, ...] = ()
        self._fingerprints: tuple[str, ...] = ()
        self._streaming: dict[str, Any] = {"stream_options": {"include_usage": True}}
        self._seen: dict[str, str] = {}
        """Model and fingerprint of the first answer."""
        self._apart: set[str] = set()
        self._unanswered: frozenset[str] = frozenset()
        self._identity: Identity
        self._checkpoint: Checkpoint

    @classmethod
    def open(cls, reference: Reference, options: BackendOptions) -> Self:
        """
        Ask the server who it is, and which fields of a request it takes.

        Raises:
            UsageError: for a reference that is not MODEL@URL, a key that is not there, or --device
                and --dtype, which are the server's.
            BackendError: if the server cannot be reached, refuses the key, or lacks the model.
        """
        address = Address.of(reference)
        for name in ("device", "dtype"):
            if getattr(options, name) is not None:
                raise UsageError(f"a server chooses its {name} by itself; drop --{name}")
        with ExitStack() as stack:
            client = Client(
                address.urls,
                key=Key.from_environment(options.api_key_env),
                timeout=options.request_timeout or TIMEOUT,
                concurrency=_concurrency(options),
                notify=options.notify,
            )
            stack.callback(client.close)
            backend = cls(address=address, client=client, options=options)
            backend._identity = identify(client, address.urls, address.model)
            backend._unanswered = frozenset(client.unanswered)
            opened = backend._opened(reference, options)
            backend._settle(options)
            backend._checkpoint = backend._named(opened)
            stack.pop_all()
        return backend

    @property
    def checkpoint(self) -> Checkpoint:
        """
        What is known of the model.
        """
        return self._checkpoint

    def describe(self) -> Mapping[str, Any]:
        """
        Return the ``backend`` block of run.json. ``batch`` is the number of requests at once, and
        ``server`` what the server said of itself.
        """
        server = {
            **self._identity.to_json(),
            "fingerprints": list(self._fingerprints),
            "refused": list(self._refused),
        }
        return {
            "name": self.name,
            "dtype": None,
            "device": None,
            "batch": self._concurrency,
            "attention": None,
            "server": {**server, **self._also()},
        }

    def changes(self) -> Sequence[str]:
        """
        Return in what the server has become another since it was opened, a line each.
        """
        found = sorted(self._apart)[:_CHANGES]
        for number in range(_LOOKS):
            if number:
                time.sleep(http.FIRST_WAIT * 2**number)
            try:
                now = identify(self._client, self._urls, self._model)
            except BackendError as exc:
                self._notify(f"note: the server cannot be asked again who it is: {exc}")
                return found
            apart = changes(self._identity.to_json(), now.to_json())
            # Some paths of some servers fail always, and did when it was opened.
            unanswered = self._client.unanswered - self._unanswered
            if not apart or not unanswered:
                return [*apart, *found]
        self._notify(
            f"note: the server cannot be asked again who it is: no answer from {min(unanswered)}"
        )
        return found

    def answer(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Sequence[Transcript]]:
        """
        Answer *requests*, as many at once as the server is to get, each as soon as it is there.
        """
        return self._answers(requests, generation, timed=False)

    def answer_under_load(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* as `answer` does, but as streams, and time each.

        A clock starts when a request is sent, not when it begins to wait for its turn here.
        """
        for group in self._answers(requests, generation, timed=True):
            yield from group

    def _answers(
        self, requests: Sequence[Request], generation: Generation, *, timed: bool
    ) -> Iterator[Sequence[Transcript]]:
        self._check(requests)
        waiting = iter(requests)
        asked: dict[Future[Reply], tuple[Request, Any]] = {}
        try:
            while True:
                failed = []
                # As many again are at hand, so that the server never waits for this thread.
                while len(asked) < 2 * self._concurrency:
                    request = next(waiting, None)
                    if request is None:
                        break
                    made = self._payload(request, generation)
                    if isinstance(made, Transcript):
                        failed.append(made)
                        continue
                    payload, kept = made
                    future = (
                        self._stream(payload) if timed else self._client.submit(self.path, payload)
                    )
                    asked[future] = (request, kept)
                if failed:
                    yield failed
                if not asked:
                    return
                done, _ = wait(asked, return_when=FIRST_COMPLETED)
                yield [self._read(future, *asked.pop(future), timed=timed) for future in done]
        finally:
            for future in asked:
                future.cancel()

    def answer_alone(
        self, requests: Sequence[Request], generation: Generation
    ) -> Iterator[Transcript]:
        """
        Answer *requests* one at a time as streams and time them, after one that is not counted.

        The clock starts when the request is handed to the HTTP client. The first token is the first
        piece with text, thinking or a call in it.
        """
        self._check(requests)
        for index, request in enumerate(requests):
            made = self._payload(request, generation)
            if isinstance(made, Transcript):
                yield made
                continue
            payload, kept = made
            if index == 0:
                self._warm_up(payload)
            future = self._stream(payload)
            wait([future])
            yield self._read(future, request, kept, timed=True)

    def preflight(self, requests: Sequence[Request]) -> Iterator[Finding]:
        """
        Look for what goes wrong in silence, with each server: see
        `harness.backends.served.preflight`.
        """
        for url in self._urls:
            for found in tried(self._checks(requests, url)):
                alone = len(self._urls) == 1
                yield found if alone else replace(found, what=f"{found.what} of {url}")

    def _checks(
        self, requests: Sequence[Request], url: str
    ) -> list[tuple[str, Callable[[], Finding]]]:
        """
        Return what `preflight` checks of one server; here what chat and raw completions share.
        """
        _, _, submit = asking(self._client, self.path, url)
        kind = self._identity.kind
        rows = [self._payload(each, _SHORT) for each in (*requests[: 1 + OTHERS], *_QUESTIONS)]
        payloads = [row[0] for row in rows if not isinstance(row, Transcript)]
        first, others = payloads[0], payloads[1 : 1 + OTHERS]
        settings = tuple(sampling(_SHORT, None))
        return [
            ("same answer", partial(answers_are_stable, submit, first, others, kind)),
            ("default sampling", partial(defaults_are_greedy, submit, first, settings, kind)),
        ]

    def close(self) -> None:
        """
        Close the connections.
        """
        self._client.close()

    @abstractmethod
    def _opened(self, reference: Reference, options: BackendOptions) -> Checkpoint:
        """
        Get ready for requests; return what is known of the checkpoint.
        """

    @abstractmethod
    def _payload(
        self, request: Request, generation: Generation
    ) -> "tuple[dict[str, Any], Any] | Transcript":
        """
        Return what is posted and what reading the answer needs; or why it cannot be asked.
        """

    @abstractmethod
    def _transcript(
        self, key: AnswerKey, body: Mapping[str, Any], kept: Any, timing: Timing | None
    ) -> Transcript:
        """
        Return the answer in *body*.

        Raises:
            ValueError: with the reason, if there is none.
        """

    @abstractmethod
    def _probe(self) -> dict[str, Any]:
        """
        Return a small request without sampling settings, to see what the server takes.
        """

    def _also(self) -> Mapping[str, Any]:
        """
        Return what else is settled with the server.
        """
        return {}

    def _settle(self, options: BackendOptions) -> None:
        """
        Ask each server once, without the fields that one of them refuses.

        Raises:
            BackendError: if one refuses the request for another reason, or their answers say that
                they are not alike.
        """
        for url in self._urls:
            body = self._probed(url, options)
            self._settled(body)
            before = dict(self._seen)
            self._note(body)
            if self._apart:
                apart = ", ".join(sorted(self._apart))
                raise BackendError(f"{self._urls[0]} and {url} are not the same: {apart}")
            if len(self._seen) > len(before) and before:
                unsaid = min(self._seen.keys() - before.keys())
                raise BackendError(
                    f"{self._urls[0]} and {url} are not the same: only the second says its {unsaid}"
                )
        if "system_fingerprint" in self._seen:
            self._fingerprints = (self._seen["system_fingerprint"],)

    def _probed(self, url: str, options: BackendOptions) -> Mapping[str, Any]:
        droppable = [*sampling(Generation(), None), *self._optional()]
        while True:
            payload = self._without_refused({**self._probe(), **sampling(Generation(), None)})
            try:
                return self._client.submit(self.path, payload, at=url, patient=True).result().body
            except RequestError as exc:
                named = [name for name in droppable if name in payload and _names(exc, name)]
                if exc.status not in REFUSED or not named:
                    raise
                self._refused = (*self._refused, *named)
                options.notify(f"the server refuses {', '.join(named)}: not sent")

    def _named(self, opened: Checkpoint) -> Checkpoint:
        """
        Return *opened* with the name that the first answer gives the model, where it is another
        than the one asked for: an alias may mean another model tomorrow.
        """
        name = self._seen.get("model", self._model)
        if name == self._model:
            return opened
        return replace(opened, extra={**opened.extra, "answers_as": name})

    def _check(self, requests: Sequence[Request]) -> None:  # noqa: B027 - a hook
        """
        Check what all of *requests* need, before any is asked.
        """

    def _optional(self) -> Sequence[str]:
        """
        Return the fields of `_payload` that can be dropped, beside sampling.
        """
        return ()

    def _settled(self, body: Mapping[str, Any]) -> None:  # noqa: B027 - a hook
        """
        Look at the answer to the probe.
        """

    def _without_refused(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in payload.items() if name not in self._refused}

    def _stream(self, payload: Mapping[str, Any]) -> Future[Reply]:
        streamed = {**payload, "stream": True, **self._streaming}
        return self._client.submit(self.path, streamed, starts=starts_answer)

    def _warm_up(self, payload: Mapping[str, Any]) -> None:
        try:
            self._stream(payload).result()
        except RequestError as exc:
            # An error that stays is that of the case, which is asked next.
            if exc.status in REFUSED and _names(exc, "stream_options"):
                self._streaming = {}
                wait([self._stream(payload)])

    def _read(
        self, future: Future[Reply], request: Request, kept: Any, *, timed: bool = False
    ) -> Transcript:
        try:
            reply = future.result()
            body = reply.body if reply.pieces is None else self._client.clean(whole(reply.pieces))
            timing = None
            if timed:
                timing = Timing(latency_ms=reply.latency_ms, ttft_ms=reply.ttft_ms)
            transcript = self._transcript(request.key, body, kept, timing)
        except (RequestError, ValueError) as exc:
            return Transcript(key=request.key, error=self._client.without_key(str(exc)))
        self._note(body)
        return transcript

    def _note(self, body: Mapping[str, Any]) -> None:
        """
        Remember what the first answer says of its maker, and hold later ones to it.
        """
        said = {
            name: body[name]
            for name in ("model", "system_fingerprint")
            if isinstance(body.get(name), str)
        }
        for name, value in said.items():
            if self._seen.setdefault(name, value) != value:
                self._apart.add(f"{name} of an answer was {self._seen[name]} and is {value}")


def sampling(generation: Generation, key: AnswerKey | None) -> dict[str, Any]:
    """
    Return every sampling setting that servers know, as a request has them.

    Greedy answers need only a temperature of 0; the rest is said because a server's defaults come
    from the checkpoint's own settings, penalties among them.
    """
    settings: dict[str, Any] = {
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        # The same by the name that llama.cpp gives it: one of its servers has 1.1 by default.
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": generation.seed & _SEED,
    }
    if generation.do_sample:
        settings["temperature"] = 1.0 if generation.temperature is None else generation.temperature
        settings["top_p"] = 1.0 if generation.top_p is None else generation.top_p
        settings["top_k"] = generation.top_k or 0
        if key is not None:
            settings["seed"] = row_seed(generation.seed, key) & _SEED
    return settings


def _names(exc: Exception, field: str) -> bool:
    return re.search(rf"\b{field}\b", str(exc)) is not None


def _concurrency(options: BackendOptions) -> int:
    return options.batch_size or options.concurrency or CONCURRENCY
