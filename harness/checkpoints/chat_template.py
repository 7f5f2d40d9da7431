"""
The chat template: what a checkpoint really sees of a conversation and its tools.

A template drops things silently, and the model is then blamed for what it was never shown. So a
preflight renders sentinels and looks for them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.canonical import digest_bytes
from harness.errors import CheckpointError, TemplateError, boundary
from harness.messages import REASONING_KEYS, Message, Tool, to_chat

_CALL_ID = "call00001"  # nine letters and digits, as some templates require
_SYSTEM, _RESULT, _VALUE = "sentinel-system", "sentinel-result", "sentinel-value"
_TOOL, _PARAMETER = "sentinel_tool", "sentinel_parameter"
_MARK = "sentinel-user"
_USER: Mapping[str, Any] = {"role": "user", "content": _MARK}
_ASSISTANT: Mapping[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "type": "function",
            "id": _CALL_ID,
            "function": {"name": _TOOL, "arguments": {_PARAMETER: _VALUE}},
        }
    ],
}
_TOOLS: Sequence[Mapping[str, Any]] = (
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "A sentinel.",
            "parameters": {
                "type": "object",
                "properties": {_PARAMETER: {"type": "string", "description": "A sentinel."}},
                "required": [_PARAMETER],
            },
        },
    },
)


def chat_template(tokenizer: Any) -> str:
    """
    Return the Jinja source of the template that renders tool calls.

    Raises:
        CheckpointError: if the tokenizer has none.
    """
    template = tokenizer.chat_template
    if isinstance(template, Mapping):
        template = template.get("tool_use") or template.get("default")
    if not isinstance(template, str) or not template:
        raise CheckpointError(
            f"{tokenizer.name_or_path} has no chat template; put a chat_template.jinja next to its "
            "tokenizer"
        )
    return template


def knows_developer(template: str) -> bool:
    """
    Return whether a template handles the role developer. Most do not, and would drop the message.
    """
    return "developer" in template


def reasoning_key(template: str) -> str:
    """
    Return the member of `REASONING_KEYS` by which a template asks for an assistant's thinking.

    It is the first one if the template asks for none and so shows no thinking at all.
    """
    for key in REASONING_KEYS:
        if re.search(rf"\.{key}\b|['\"]{key}['\"]", template):
            return key
    return REASONING_KEYS[0]


def conversation(messages: Sequence[Message], template: str) -> list[dict[str, Any]]:
    """
    Return *messages* in the chat format with the roles and keys that *template* handles.

    The role developer becomes system where the template does not know it, and an assistant's
    thinking goes under the name by which the template asks for it.
    """
    rows = to_chat(messages)
    thinking = reasoning_key(template)
    for row in rows:
        if REASONING_KEYS[0] in row:
            row[thinking] = row.pop(REASONING_KEYS[0])
    if not knows_developer(template):
        for row in rows:
            if row["role"] == "developer":
                row["role"] = "system"
    return rows


def render(
    tokenizer: Any, rows: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> list[int]:
    """
    Return the token ids of a conversation up to where the assistant's answer begins.

    A template writes the beginning-of-sequence token itself if there is one, so none is added.

    Raises:
        TemplateError: if the template refuses the conversation.
    """
    with boundary(TemplateError, "the chat template cannot render this conversation"):
        encoded = tokenizer.apply_chat_template(
            [dict(row) for row in rows],
            tools=[dict(tool) for tool in tools] or None,
            chat_template=chat_template(tokenizer),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )
        return [int(id_) for id_ in encoded["input_ids"]]


def declaration(tokenizer: Any, system: Message | None, tools: Sequence[Tool]) -> str:
    """
    Return the digest of everything that a conversation shows before the user's first word.

    That is the system text and the declarations of *tools*, as the template renders them: their
    order, and the order of the keys in each, included.

    Raises:
        TemplateError: if the template cannot render them.
    """
    template = chat_template(tokenizer)
    messages = [message for message in (system, Message(role="user", content=_MARK)) if message]
    with boundary(TemplateError, "the chat template cannot render the declarations of tools"):
        text = tokenizer.apply_chat_template(
            conversation(messages, template),
            tools=[dict(tool.schema) for tool in tools] or None,
            chat_template=template,
            tokenize=False,
        )
    before, _, after = str(text).partition(_MARK)
    # Some templates write the tools after the user's words.
    return digest_bytes([before.encode(), b"\0", after.encode()])


def preflight(
    tokenizer: Any,
    *,
    tools: bool = False,
    system: bool = False,
    calls: bool = False,
    results: bool = False,
) -> None:
    """
    Refuse a template that does not show the model everything that will be put into it.

    Raises:
        TemplateError: naming which of tool declarations, system text, assistant calls and tool
            results (those asked for) are dropped or cannot be rendered.
        CheckpointError: if there is no template.
    """
    answered = {"role": "tool", "name": _TOOL, "tool_call_id": _CALL_ID, "content": _RESULT}
    probes: list[tuple[bool, str, list[Mapping[str, Any]], bool, tuple[str, ...]]] = [
        (tools, "tool declarations", [_USER], True, (_TOOL, _PARAMETER)),
        (
            system,
            "the system text",
            [{"role": "system", "content": _SYSTEM}, _USER],
            False,
            (_SYSTEM,),
        ),
        (
            calls,
            "assistant calls",
            [_USER, _ASSISTANT, answered],
            False,
            (_TOOL, _PARAMETER, _VALUE),
        ),
        (results, "tool results", [_USER, _ASSISTANT, answered], False, (_RESULT,)),
    ]
    template = chat_template(tokenizer)
    dropped = []
    for wanted, part, rows, declared, sentinels in probes:
        if not wanted:
            continue
        with boundary(TemplateError, f"the chat template cannot render {part}"):
            text = tokenizer.apply_chat_template(
                [dict(row) for row in rows],
                tools=[dict(tool) for tool in _TOOLS] if declared else None,
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
            )
        if not all(sentinel in text for sentinel in sentinels):
            dropped.append(part)
    if dropped:
        way_out = (
            "; or set `declare_tools: false` in suite.yaml if its tools are trained in"
            if dropped == ["tool declarations"]
            else ""
        )
        raise TemplateError(
            f"the chat template of {tokenizer.name_or_path} drops {' and '.join(dropped)}; give it "
            f"a chat_template.jinja that shows them{way_out}"
        )
