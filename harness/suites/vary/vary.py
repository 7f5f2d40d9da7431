"""
A suite varied: each case keeps its id, group, tags and expectation and names the case it was made
of, so that a run of the variant is compared with a run of the suite case by case.

The same suite, variation and seed make the same variant, on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import UsageError
from harness.suites.suite import Suite
from harness.suites.vary.prompts import CHANGES, reworded
from harness.suites.vary.tools import renamed, shuffled, with_distractors
from harness.wording import count

Tools = Literal["shuffled", "distractors", "renamed"]
Prompt = Literal["typos", "lower", "polite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """
    What is varied.
    """

    tools: Tools | None = None
    distractors: int = 0
    """How many tools are added; 0 unless *tools* says distractors."""
    prompt: Prompt | None = None
    seed: int = 0

    @property
    def how(self) -> tuple[str, ...]:
        """
        The variation in words, one for each thing varied.
        """
        said = []
        if self.tools == "distractors":
            said.append(count(self.distractors, "distractor"))
        elif self.tools is not None:
            said.append(f"tools {self.tools}")
        if self.prompt is not None:
            said.append(f"prompts {_SAID[self.prompt]}")
        return tuple(said)

    @property
    def suffix(self) -> str:
        """
        What the name of a variant has behind that of its suite.
        """
        parts = [self.tools, self.distractors or None, self.prompt, self.seed or None]
        return "-".join(str(part) for part in parts if part is not None)


_SAID = {"lower": "in lower case", "polite": "politely worded", "typos": "with typing errors"}


def vary(suite: Suite, variation: Variation) -> dict[str, Any]:
    """
    Return the document of *suite*, varied.

    Raises:
        UsageError: if nothing is to be varied, or it cannot be in this suite.
    """
    if not variation.how:
        raise UsageError("nothing to vary: add --tools or --prompt")
    if "variant" in suite.document:
        of = suite.document["variant"]["of"]
        raise UsageError(f"{suite.name} is a variant itself; vary {of}, all at once")
    if variation.tools is not None and not suite.declare_tools:
        raise UsageError(f"{suite.name} shows no tools (declare_tools: false); drop --tools")
    if variation.tools in ("renamed", "distractors") and "environment" in suite.document:
        raise UsageError(
            f"{suite.name} names its tools in its environment; drop --tools {variation.tools}"
        )
    if variation.tools == "shuffled" and all(len(case.tools) < 2 for case in suite.cases):
        raise UsageError(f"no case of {suite.name} has two tools to shuffle; drop --tools")
    document: Mapping[str, Any] = suite.document
    if variation.tools == "shuffled":
        document = shuffled(document, variation.seed)
    elif variation.tools == "distractors":
        document = with_distractors(document, variation.distractors, variation.seed)
    elif variation.tools == "renamed":
        document = renamed(document, variation.seed)
    rows = document["cases"]
    if variation.prompt is not None:
        rows = [reworded(row, CHANGES[variation.prompt], variation.seed) for row in rows]
    asked = {case.id: case.digest for case in suite.cases}
    how = ", ".join(variation.how)
    return {
        **document,
        "name": f"{suite.name}-{variation.suffix}",
        "description": f"{suite.name} {suite.version}, {how}",
        "variant": {
            "of": suite.name,
            "version": suite.version,
            "digest": suite.digest,
            "how": list(variation.how),
            "seed": variation.seed,
        },
        "cases": [{**row, "variant_of": asked[row["id"]]} for row in rows],
    }
