"""
The prompts of a stored run, rendered again from the checkpoint's own tokenizer and template.

No weights are read, the hub is not asked, and files are used only if they still have the digests of
the run: a prompt rendered with another template would be false evidence.
"""

from typing import Any

from harness.checkpoints.chat_template import chat_template, conversation, render
from harness.checkpoints.digests import tokenizer_digests
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.errors import HarnessError
from harness.runs.record import RunRecord
from harness.runs.runner import request
from harness.suites.suite import Case, Suite
from harness.transcript import Key


def tokenizer_of(record: RunRecord) -> tuple[Any, str]:
    """
    Return the tokenizer of the checkpoint that *record* was made with, or None and the reason.
    """
    checkpoint = record.checkpoint
    if checkpoint.template is None:
        return None, f"{checkpoint.reference} has no chat template of its own"
    try:
        tokenizer = load_tokenizer(locate(parse_reference(checkpoint.reference), ask_hub=False))
        found = tokenizer_digests(tokenizer)
    except HarnessError as exc:
        return None, str(exc)
    for part, digest in found.items():
        if digest != getattr(checkpoint, part):
            return None, f"the {part} of {checkpoint.reference} has changed since the run"
    return tokenizer, ""


def rendered_prompt(tokenizer: Any, suite: Suite, case: Case, key: Key) -> str:
    """
    Return the prompt of one turn as the model sees it, special tokens included.

    Raises:
        TemplateError: if the template refuses the conversation.
    """
    asked = request(suite, case, key)
    rows = conversation(asked.messages, chat_template(tokenizer))
    ids = render(tokenizer, rows, [tool.schema for tool in asked.tools])
    return str(tokenizer.decode(ids, skip_special_tokens=False))
