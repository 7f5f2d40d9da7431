"""
What APIs return, as lines of transcripts.jsonl.

A line may hold a whole response instead of its message: by itself, under ``response`` (as gateways
log it, perhaps as JSON text), under ``message``, or as a line of a batch's output. Its message is
kept as it came; tokens and the reason why the answer ended are taken from beside it, unless the
line says them itself.

- OpenAI chat completions: ``choices[0].message``, ``finish_reason``, ``usage.completion_tokens``
  (https://platform.openai.com/docs/api-reference/chat/object); completions: ``choices[0].text``;
- OpenAI responses: the items of ``output``, put together as a message
  (https://platform.openai.com/docs/api-reference/responses/object);
- Anthropic messages: ``content``, ``stop_reason``, ``usage.output_tokens``
  (https://docs.anthropic.com/en/api/messages);
- OpenAI batches: ``custom_id`` with ``response.body`` or ``error``
  (https://platform.openai.com/docs/api-reference/batch/request-output);
- Anthropic batches: ``custom_id`` with ``result``
  (https://docs.anthropic.com/en/api/retrieving-message-batch-results).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.canonical import parse_json

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_use": "tool_calls",
}
"""The names of other APIs for OpenAI's ``finish_reason``."""

_UNFINISHED = ("queued", "in_progress", "cancelled", "failed")
"""What OpenAI's responses are when they hold no answer."""

ANSWERS = ("output", "message", "error")


def as_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *row*, which may hold a whole response, with the keys of transcripts.jsonl.

    Its ``case`` may be missing. What is not a response is left as it is, for
    `Transcript.from_row` to judge.

    Raises:
        ValueError: if it holds a response that is not one answer.
    """
    line = dict(row)
    if line.get("case") is None and line.get("custom_id") is not None:
        line["case"] = line["custom_id"]
    if isinstance(line.get("case"), int) and not isinstance(line["case"], bool):
        line["case"] = str(line["case"])  # an id that looks like a number is one in JSON
    found = _answer(line)
    if isinstance(line.get("error"), Mapping):
        line["error"] = _reason(line["error"])
    if found and line.get("error"):
        found = {"error": str(line["error"])}
    if found:
        for name in ANSWERS:
            line.pop(name, None)
    # What surrounds an answer in somebody's log is none of a run's evidence.
    line.pop("response", None)
    given = {key: value for key, value in line.items() if value is not None}
    return {**_counted(line), **found, **given}


def _answer(line: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the answer in *line* if it is a response; empty if it says its answer in our keys.
    """
    if is_response(line):
        return _read(line)
    message = line.get("message")
    if isinstance(message, Mapping) and (is_response(message) or "stop_reason" in message):
        return _read(message)
    if any(line.get(name) is not None for name in ANSWERS):
        return {}
    result = line.get("result")
    if isinstance(result, Mapping) and isinstance(result.get("type"), str):
        return _result(result)
    response = _object(line.get("response"))
    return {} if response is None else _response(response)


def _object(value: Any) -> Mapping[str, Any] | None:
    """
    Return an object, which may be JSON text, as databases and gateways export it.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = parse_json(value)
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"an object that is JSON text cannot be read: {exc}") from exc
    return value if isinstance(value, Mapping) else None


def is_response(value: Mapping[str, Any]) -> bool:
    """
    Return whether *value* is a whole response of an API this module knows.
    """
    return (
        isinstance(value.get("choices"), list)
        or (value.get("object") == "response" and isinstance(value.get("output"), list))
        or (value.get("type") == "message" and isinstance(value.get("content"), list))
    )


def failure(body: Mapping[str, Any]) -> str | None:
    """
    Return in words the error that *body* reports, of a whole response or of its one choice; None
    if it reports none. An error counts more than what is beside it: gateways add an empty choice.
    """
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    for holder in (body, first):
        if isinstance(holder, Mapping) and holder.get("error"):
            return _reason(holder["error"])
    return None


def unanswered(message: Mapping[str, Any], finish_reason: Any) -> str | None:
    """
    Return why *message*, as a server sent it, is not the model's answer; None if it may be one.

    A model may say nothing at all, but not because it was stopped by a filter or an error, or
    because its calls were lost on the way.
    """
    content, calls = message.get("content"), message.get("tool_calls")
    if content is not None and not isinstance(content, str | list):
        return "the content of the message is neither text nor a list"
    if calls is not None and not isinstance(calls, list):
        return "the tool_calls of the message are not a list"
    if finish_reason in BROKEN_OFF:
        return f"the answer was broken off: finish_reason {finish_reason}"
    if content or calls or message.get("function_call"):
        return None
    if finish_reason == "content_filter":
        return "the answer was withheld: finish_reason content_filter"
    if finish_reason in ("tool_calls", "function_call"):
        return f"the calls are missing: finish_reason {finish_reason} and neither call nor text"
    return None


BROKEN_OFF = ("abort", "error")
"""The values of ``finish_reason`` of answers that the server did not end."""


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    status = response.get("status_code")
    body = (_object(response["body"]) or {}) if "body" in response else response
    if is_response(body) and not (isinstance(status, int) and status >= 400):
        return _read(body)
    reason = failure(body)
    if reason is not None:
        return {"error": reason if status is None else f"HTTP {status}: {reason}"}
    if isinstance(status, int) and status >= 400:
        return {"error": f"HTTP {status}"}
    if "body" in response and response["body"] is None:
        return {"error": "a response without a body"}
    raise ValueError(
        "its \"response\" is not a response of OpenAI's or Anthropic's API; put the answer into "
        '"message"'
    )


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    if result["type"] == "succeeded" and isinstance(result.get("message"), Mapping):
        return _read(result["message"])
    error = result.get("error")
    return {"error": result["type"] if error is None else _reason(error)}


def _reason(error: Any) -> str:
    """
    Return an API's error in words.
    """
    if not isinstance(error, Mapping):
        return str(error)
    if isinstance(error.get("error"), Mapping):
        error = error["error"]
    said = [str(error[key]) for key in ("code", "type", "message") if error.get(key)]
    return ": ".join(dict.fromkeys(said)) or "an error without words"


def _read(body: Mapping[str, Any]) -> dict[str, Any]:
    failed = failure(body)
    if failed is not None:
        return {"error": failed}
    if isinstance(body.get("choices"), list):
        found, reason = _choice(body)
    elif body.get("object") == "response":
        found, reason = _items(body)
    else:
        found = {"message": {"role": body.get("role"), "content": body.get("content")}}
        reason = body.get("stop_reason")
    said = found.get("message", {"content": found.get("output")})
    missing = None if "error" in found else unanswered(said, reason)
    if missing is not None:
        return {"error": missing}
    if isinstance(reason, str):
        found["finish_reason"] = _REASONS.get(reason, reason)
    return {**found, **_counted(body)}


def _counted(body: Mapping[str, Any]) -> dict[str, Any]:
    usage = body.get("usage")
    if not isinstance(usage, Mapping):
        return {}
    names = ("completion_tokens", "output_tokens")
    tokens = next((usage[name] for name in names if usage.get(name) is not None), None)
    return {"output_tokens": tokens} if is_count(tokens) else {}


def is_count(value: Any) -> bool:
    """
    Return whether *value* is a number of tokens that a transcript can hold.
    """
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _choice(body: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    choices = body["choices"]
    if len(choices) != 1:
        raise ValueError(
            f"its response holds {len(choices)} choices and a line is one answer; write a line for "
            'each, with "repeat" from 0'
        )
    choice = choices[0] if isinstance(choices[0], Mapping) else {}
    reason = choice.get("finish_reason")
    if isinstance(choice.get("message"), Mapping):
        return {"message": choice["message"]}, reason
    if isinstance(choice.get("text"), str):
        return {"output": choice["text"]}, reason
    if "delta" in choice:
        raise ValueError(
            "its response is one piece of a stream; store the whole answer, put together"
        )
    raise ValueError("its response holds no message: choices[0] has neither message nor text")


def _items(body: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    if body.get("status") in _UNFINISHED:
        return {"error": f"the response is {body['status']}"}, None
    said: list[str] = []
    thought: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in body["output"]:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if kind == "message":
            said += _texts(item.get("content"))
        elif kind == "reasoning":
            thought += _texts(item.get("summary"))
        elif kind == "function_call":
            function = {key: item.get(key) for key in ("name", "arguments")}
            calls.append({"id": item.get("call_id"), "type": "function", "function": function})
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said) or None}
    if thought:
        message["reasoning_content"] = "".join(thought)
    if calls:
        message["tool_calls"] = calls
    details = body.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    return {"message": message}, reason or ("tool_calls" if calls else "stop")


def _texts(parts: Any) -> list[str]:
    return [
        part["text"]
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    ]


# What was asked, where a line says it.


def asked(row: Mapping[str, Any]) -> tuple[str, bool] | None:
    """
    Return the last user message of the request in *row*, and whether results of tools follow it.

    A request is ``messages`` (OpenAI, Anthropic), ``input`` (OpenAI responses) or ``prompt``, of
    the line itself, or of its ``request`` or ``body``. None if there is none.
    """
    for holder in _holders(row):
        for key in ("messages", "input", "prompt"):
            given = holder.get(key)
            if isinstance(given, str) and given.strip():
                return given.strip(), False
            if isinstance(given, list) and (found := _last_question(given)) is not None:
                return found
    return None


def _holders(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield row
    for name in ("request", "body"):
        if (inner := _object(row.get(name))) is not None:
            yield inner
            if (body := _object(inner.get("body"))) is not None:
                yield body


def _last_question(messages: Sequence[Any]) -> tuple[str, bool] | None:
    answered = False
    for message in reversed(messages):
        if not isinstance(message, Mapping):
            continue
        content = message.get("content")
        text = content if isinstance(content, str) else "".join(_texts(content))
        if message.get("role") == "user" and text.strip():
            return text.strip(), answered
        answered = answered or _is_result(message)
    return None


def _is_result(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return (
        message.get("role") in ("tool", "function")
        or message.get("type") == "function_call_output"
        or (
            isinstance(content, list)
            and any(isinstance(p, Mapping) and p.get("type") == "tool_result" for p in content)
        )
    )
