"""
An OpenAI-compatible server on this machine that breaks in a chosen way.

Its answers depend on the prompt alone, so that two runs are equal. A fault is a function that is
given the request and returns whether it answered; `FaultServer.faults` holds those in force.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["Asked"], bool]


class Asked(BaseHTTPRequestHandler):
    """
    One request.
    """

    protocol_version = "HTTP/1.1"
    # Otherwise each answer waits for the client's acknowledgement of its headers.
    disable_nagle_algorithm = True
    server: "FaultServer"
    body: Any

    def do_GET(self) -> None:
        self.take(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.take(json.loads(self.rfile.read(length)))

    def take(self, body: Any) -> None:
        self.body = body
        with self.server.lock:
            self.server.seen.append((self.path, body, dict(self.headers)))
        if any(fault(self) for fault in self.server.faults):
            return
        self.answer()

    def answer(self) -> None:
        """
        Answer as a server does that works.
        """
        if self.path in self.server.pages:
            self.send(self.server.pages[self.path])
        elif self.path == "/v1/chat/completions":
            self.chat()
        elif self.path == "/v1/completions":
            self.complete()
        else:
            self.send({"detail": "Not Found"}, 404)

    @property
    def asks(self) -> bool:
        """
        Whether a case is asked, and not the probe.
        """
        return self.body is not None and self.body.get("max_tokens", 1) > 1

    @property
    def question(self) -> str:
        """
        The last user message, or the prompt.
        """
        if "messages" in self.body:
            return str(self.body["messages"][-1]["content"])
        return str(self.body["prompt"])

    def chat(self, **message: Any) -> None:
        """
        Answer a chat with *message*, or what the model makes of the question.
        """
        said = {"role": "assistant", **(message or self.server.model(self.body))}
        called = bool(said.get("tool_calls"))
        choice = {"message": said, "finish_reason": "tool_calls" if called else "stop"}
        self.choose(choice, read=self.server.count(self.body))

    def complete(self) -> None:
        text = f"echo {len(self.question)}"
        prompt = self.body["prompt"]
        # It has no tokenizer: of a text it does not say how many tokens it read.
        read = len(prompt) if isinstance(prompt, list) else None
        self.choose({"text": text, "finish_reason": "stop"}, read=read)

    def choose(self, choice: dict[str, Any], read: int | None = 20, **extra: Any) -> None:
        """
        Answer with one choice, in the form that was asked for.
        """
        body = {
            "id": f"chatcmpl-{time.time_ns()}",
            "created": int(time.time()),
            "object": "chat.completion",
            "model": self.body["model"],
            "system_fingerprint": self.server.fingerprint,
            "usage": {"prompt_tokens": read, "completion_tokens": 3},
            **extra,
        }
        if not self.body.get("stream"):
            self.send({**body, "choices": [{"index": 0, **choice}]})
            return
        self.stream(list(pieces(body, choice)))

    def stream(self, events: list[Any], *, done: bool = True) -> None:
        texts = [f"data: {json.dumps(event)}\n\n" for event in events]
        if done:
            texts.append("data: [DONE]\n\n")
        self.raw("".join(texts).encode(), kind="text/event-stream")

    def send(self, value: Any, status: int = 200, **headers: str) -> None:
        self.raw(json.dumps(value).encode(), status=status, **headers)

    def raw(
        self, body: bytes, *, status: int = 200, kind: str = "application/json", **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        """
        Close the connection.
        """
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


def pieces(body: Mapping[str, Any], choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """
    Yield a response as the events of a stream.
    """
    around = {key: value for key, value in body.items() if key != "usage"}
    around["object"] = "chat.completion.chunk"
    if "text" in choice:
        middle = len(choice["text"]) // 2
        for text in (choice["text"][:middle], choice["text"][middle:]):
            yield {**around, "choices": [{"index": 0, "text": text, "finish_reason": None}]}
        yield {
            **around,
            "choices": [{"index": 0, "text": "", "finish_reason": choice["finish_reason"]}],
        }
    else:
        message = choice["message"]
        yield {**around, "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
        for name, value in message.items():
            if name == "tool_calls":
                for number, call in enumerate(value):
                    head = {**call["function"], "arguments": ""}
                    yield delta(around, tool_calls=[{**call, "index": number, "function": head}])
                    for letter in call["function"]["arguments"]:
                        piece = {"index": number, "function": {"arguments": letter}}
                        yield delta(around, tool_calls=[piece])
            elif name != "role" and value is not None:
                yield delta(around, **{name: value[:2]})
                yield delta(around, **{name: value[2:]})
        end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        yield {**around, "choices": [end]}
    yield {**around, "choices": [], "usage": body["usage"]}


def delta(around: Mapping[str, Any], **said: Any) -> dict[str, Any]:
    return {**around, "choices": [{"index": 0, "delta": said, "finish_reason": None}]}


def model(body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Call the first tool with the question, where there is one; else repeat the question.
    """
    question = str(body["messages"][-1]["content"])
    if not body.get("tools"):
        return {"content": question.upper()}
    name = body["tools"][0]["function"]["name"]
    call = {"name": name, "arguments": json.dumps({"query": question})}
    return {
        "content": None,
        "tool_calls": [{"id": "call00001", "type": "function", "function": call}],
    }


def count(body: Mapping[str, Any]) -> int:
    """
    Return how many tokens a request has: one for four letters.
    """
    return len(json.dumps([body["messages"], body.get("tools")])) // 4


class FaultServer(ThreadingHTTPServer):
    """
    The server, on a port of its own.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *faults: Fault, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        super().__init__(address, Asked)
        self.faults = list(faults)
        self.lock = threading.Lock()
        self.seen: list[tuple[str, Any, dict[str, str]]] = []
        self.fingerprint: str | None = "fp-1"
        self.model: Callable[[Mapping[str, Any]], dict[str, Any]] = model
        self.count: Callable[[Mapping[str, Any]], int] = count
        """How many tokens a request has."""
        self.pages: dict[str, Any] = {
            "/v1/models": {
                "data": [{"id": "cand", "owned_by": "vllm", "max_model_len": 4096}],
                "object": "list",
            },
            "/version": {"version": "0.32.0"},
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def answered(self) -> list[Any]:
        """
        The bodies of the requests for an answer to a case.
        """
        return [body for _, body, _ in self.seen if body is not None and body["max_tokens"] > 1]

    def handle_error(self, *_: Any) -> None:
        pass  # a client that hangs up is what these tests are about


@contextmanager
def fault_server(*faults: Fault) -> Iterator[FaultServer]:
    """
    Run a server with *faults* in force.
    """
    server = FaultServer(*faults)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
