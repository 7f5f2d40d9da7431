"""
Accepted changes among the pairs of two runs (`harness.runs.accepted`).
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """
    A case of which a wrong answer was accepted, and what became of it.
    """

    case: str
    state: Literal["unchanged", "changed_again", "expired"]
    """``unchanged``: the answer is the accepted one and the pair counts as unchanged;
    ``changed_again``: it is another wrong one; ``expired``: it is the accepted one, for which the
    date has passed. The latter two count like any other pair."""
    reason: str
    """Why it was accepted."""
    until: date | None
