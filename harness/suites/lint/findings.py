"""
What `harness suite check` finds, and the codes of its rules.
"""

from dataclasses import dataclass
from typing import Literal

from harness.diagnostics import Steps

LintCode = Literal[
    "invalid",
    "impossible_value",
    "unreachable_value",
    "wrong_format",
    "required_absent",
    "required_undeclared",
    "nullable",
    "no_effect",
    "free_text",
    "no_tools",
    "passes_all",
    "contradiction",
    "reference_fails",
    "duplicate_prompt",
    "near_duplicate",
    "near_training",
    "unbalanced",
    "lone_cases",
    "unreachable",
    "unmarked_document",
    "proposed",
]
"""docs/suites.md describes each rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """
    One thing an author should fix.
    """

    file: str
    line: int | None
    code: LintCode
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.code}: {self.message}"


Found = tuple[Steps, LintCode, str]
"""A finding before its line is looked up."""
