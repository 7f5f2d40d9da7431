"""
What of a suite's declarations of tools a checkpoint is shown: all of it, and as it was trained?
"""

from pathlib import Path
from typing import TYPE_CHECKING

from harness.backends.base import Backend, Templated
from harness.checkpoints.loading import load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.not_shown import not_shown
from harness.checkpoints.reference import parse_reference
from harness.runs.runner import request
from harness.suites.suite import Suite
from harness.transcript import Key

if TYPE_CHECKING:
    from harness.finetuning.declarations import Declaration


def declarations_of(suite: Suite) -> "tuple[Declaration, ...]":
    """
    Return what the cases of *suite* show before the user's first word, each once.
    """
    from harness.finetuning.declarations import Declaration

    asked = (request(suite, case, Key(case.id)) for case in suite.cases)
    found: dict[tuple[object, ...], Declaration] = {}
    for each in asked:
        system = [m.content for m in each.messages[:1] if m.role in ("system", "developer")]
        # Cases that share the suite's tools share them as one object.
        found.setdefault((*system, *map(id, each.tools)), Declaration.of(each.messages, each.tools))
    return tuple(found.values())


def asked_otherwise(reference: str, suite: Suite) -> str | None:
    """
    Return in words how *suite* shows its tools otherwise than the fine-tune *reference* was trained
    with; None where it shows them alike, or nothing is known of a training.

    Raises:
        StoreError: if the fine-tune's training.json cannot be read.
        TemplateError: if its template cannot render the suite's declarations.
    """
    parsed = parse_reference(reference)
    if parsed.scheme != "hf":
        return None
    # All of fine-tuning comes with it, which judging stored text does without.
    from harness.finetuning.declarations import read_declarations, shown_otherwise

    if not (known := read_declarations(Path(parsed.target).expanduser())):
        return None
    tokenizer = load_tokenizer(locate(parsed))
    how = shown_otherwise(known, tokenizer, declarations_of(suite))
    return None if how is None else f"{reference}: {how}"


def left_out(backend: Backend, suite: Suite) -> tuple[str, ...]:
    """
    Return what the backend's chat template does not show of the tools of *suite*, a line for each
    tool (`harness.checkpoints.not_shown`); nothing where no template of its own writes the prompts.

    Raises:
        TemplateError: if the template cannot render a tool.
    """
    if not isinstance(backend, Templated) or not suite.declare_tools:
        return ()
    return not_shown(backend.tokenizer, suite.tools)
