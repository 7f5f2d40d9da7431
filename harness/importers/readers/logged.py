"""
What was asked and answered in a log of a model behind an API: a line, or a span, at a time.

- A line of a gateway: the request, with ``messages`` and ``tools``, by itself or under
  ``request``, ``body``, ``request_body`` or ``input``; the response under ``response``,
  ``response_body`` or ``output``, or beside the request (`harness.backends.responses`). Each may be
  JSON text.
- A span of OpenTelemetry's conventions for generative AI: ``gen_ai.input.messages``,
  ``gen_ai.output.messages``, ``gen_ai.system_instructions`` and ``gen_ai.tool.definitions`` among
  its attributes or those of one of its events; a span a line, or the ``resourceSpans`` of an
  exporter. (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.backends.responses import as_line
from harness.canonical import as_written
from harness.documents import decode_json
from harness.importers.readers.rows import Row

_REQUESTS = ("request", "body", "request_body", "input")
_RESPONSES = ("response", "response_body", "output")

KNOWN = frozenset(
    """
    id messages tools functions request body request_body input response response_body output
    message choices object created model usage system_fingerprint service_tier tool_choice metadata
    user timestamp time created_at start_time end_time startTime endTime latency latency_ms
    duration duration_ms cost status status_code provider tags trace_id span_id traceId spanId
    custom_id error temperature top_p max_tokens max_completion_tokens stream stop seed n logprobs
    top_logprobs frequency_penalty presence_penalty logit_bias response_format parallel_tool_calls
    store stream_options reasoning_effort safety_identifier prompt_cache_key method url headers
    completion_tokens prompt_tokens total_tokens request_id model_parameters
    """.split()
)
"""The keys of a gateway's line that are read, or that say how an answer was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    One request and its answer.
    """

    row: Row
    messages: Sequence[Any]
    tools: Any
    answer: Mapping[str, Any]
    """The message of the assistant."""


def spans_of(row: Row) -> list[Row] | None:
    """
    Return the spans in *row*, each with the row's line; None if it holds no span.
    """
    found = _first(row.value, "resourceSpans", "resource_spans")
    if isinstance(found, list):
        scopes = [
            scope
            for resource in found
            for scope in _first(resource, "scopeSpans", "scope_spans") or ()
        ]
        return [replace(row, value=dict(span)) for scope in scopes for span in scope["spans"]]
    attributes = row.value.get("attributes")
    if isinstance(attributes, Mapping | list) and "messages" not in row.value:
        return [row]
    return None


def exchange(row: Row) -> Exchange:
    """
    Return the request and the answer in a line of a gateway.

    Raises:
        ValueError: if it holds no chat, or no answer to it.
    """
    value = row.value
    asked = _request(value)
    messages = _decoded(asked.get("messages"))
    if not isinstance(messages, list) or not messages:
        raise ValueError('no "messages": not a request to a chat API')
    return Exchange(row=row, messages=messages, tools=_tools(asked, value), answer=_answer(value))


def _request(value: Mapping[str, Any]) -> Mapping[str, Any]:
    holders: list[Mapping[str, Any]] = [value]
    for name in _REQUESTS:
        inner = _decoded(value.get(name))
        if isinstance(inner, Mapping):
            body = _decoded(inner.get("body"))
            holders += [inner, body] if isinstance(body, Mapping) else [inner]
    return next((holder for holder in holders if holder.get("messages")), value)


def _tools(asked: Mapping[str, Any], value: Mapping[str, Any]) -> Any:
    settings = value.get("model_parameters")
    for holder in (asked, value, settings if isinstance(settings, Mapping) else {}):
        for name in ("tools", "functions"):
            if holder.get(name):
                return _decoded(holder[name])
    return None


def _answer(value: Mapping[str, Any]) -> Mapping[str, Any]:
    given: Mapping[str, Any] = value
    for name in _RESPONSES:
        inner = _decoded(value.get(name))
        if isinstance(inner, Mapping):
            given = {"message": inner} if inner.get("role") == "assistant" else {"response": inner}
            break
    else:
        given = {key: value[key] for key in ("choices", "message", "error") if key in value}
    line = as_line(given)
    if line.get("error"):
        raise ValueError("the request failed")
    if line.get("finish_reason") == "length":
        raise ValueError("the answer was cut off")
    message = line.get("message")
    if not isinstance(message, Mapping):
        raise ValueError("no answer of a chat API beside the request")
    return message


# Spans


def span_exchange(row: Row) -> Exchange:
    """
    Return the request and the answer in a span.

    Raises:
        ValueError: if it holds no chat, or no answer to it.
    """
    said = _attributes(row.value.get("attributes"))
    for event in row.value.get("events") or ():
        said = {**_attributes(event.get("attributes")), **said}
    operation = said.get("gen_ai.operation.name", "chat")
    if operation not in ("chat", "generate_content"):
        raise ValueError(f"a span of the operation {operation!r}, which is no chat")
    if "gen_ai.input.messages" not in said:
        raise ValueError("a span without gen_ai.input.messages: contents were not recorded")
    asked = _decoded(said["gen_ai.input.messages"])
    answered = _decoded(said.get("gen_ai.output.messages")) or []
    system = _decoded(said.get("gen_ai.system_instructions"))
    messages = [
        *([{"role": "system", "content": _texts(system)}] if system else []),
        *(message for each in asked for message in _messages(each)),
    ]
    if len(answered) != 1:
        raise ValueError(f"a span with {len(answered)} answers")
    if answered[0].get("finish_reason") == "length":
        raise ValueError("the answer was cut off")
    if said.get("error.type") or answered[0].get("finish_reason") in ("error", "content_filter"):
        raise ValueError("the request failed")
    (answer,) = _messages(answered[0])
    tools = _decoded(said.get("gen_ai.tool.definitions"))
    return Exchange(row=row, messages=messages, tools=tools, answer=answer)


def _attributes(given: Any) -> dict[str, Any]:
    """
    Return attributes by name, as an SDK prints them or as OTLP writes them in JSON.
    """
    if isinstance(given, Mapping):
        return dict(given)
    return {each["key"]: _value(each["value"]) for each in given or ()}


def _value(given: Mapping[str, Any]) -> Any:
    (kind, value), *_ = given.items()
    if kind in ("arrayValue", "array_value"):
        return [_value(each) for each in value.get("values", ())]
    if kind in ("kvlistValue", "kvlist_value"):
        return _attributes(value.get("values"))
    return value


def _messages(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """
    Yield what a message in parts is in the chat format: a result of a tool is a message of its own.
    """
    parts = given["parts"]
    others = [part for part in parts if part.get("type") != "tool_call_response"]
    calls = [
        {
            "id": part.get("id"),
            "type": "function",
            "function": {"name": part["name"], "arguments": part.get("arguments") or {}},
        }
        for part in others
        if part.get("type") == "tool_call"
    ]
    if others or not parts:
        message: dict[str, Any] = {"role": given["role"], "content": _texts(others)}
        if calls:
            message["tool_calls"] = calls
        yield message
    for part in parts:
        if part.get("type") == "tool_call_response":
            result = part.get("response", part.get("result"))
            yield {
                "role": "tool",
                "tool_call_id": part.get("id"),
                "content": result if isinstance(result, str) else as_written(result),
            }


def _texts(parts: Iterable[Mapping[str, Any]]) -> str:
    said = []
    for part in parts:
        kind = part.get("type")
        if kind == "text":
            said.append(part["content"])
        elif kind not in ("tool_call", "reasoning"):
            raise ValueError(f"a message holds a part of type {kind!r}, which is not text")
    return "".join(said)


def _first(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if name in value), None)


def _decoded(value: Any) -> Any:
    """
    Return a value, which may be JSON text of an object or a list, as databases export it.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return decode_json(value)
    return value
