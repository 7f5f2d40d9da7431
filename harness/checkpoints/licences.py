"""
Licences of embedded models that a person has to accept before the weights are used.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from harness.errors import CheckpointError, UsageError
from harness.wording import suggest

ACCEPTED = "HARNESS_ACCEPT_LICENCE"
"""The environment variable that names accepted licences, with commas between them."""


class Licence(NamedTuple):
    """
    Terms that are not those of free software.

    Not a dataclass: the help of commands names them, and imports no more than that takes.
    """

    name: str
    """By which it is accepted."""
    title: str
    terms: str
    """Where it can be read."""
    notice: str
    """What has to accompany the weights, and anything made from them."""


GEMMA = Licence(
    name="gemma",
    title="the Gemma Terms of Use, with their Prohibited Use Policy",
    terms="https://ai.google.dev/gemma/terms",
    notice="Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms",
)

LICENCES: Mapping[str, Licence] = {each.name: each for each in (GEMMA,)}


def accept(name: str) -> None:
    """
    Accept a licence for this process and those that it starts.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in LICENCES:
        raise UsageError(f"unknown licence {name!r} to accept{suggest(name, LICENCES)}")
    if name not in (accepted := _accepted()):
        os.environ[ACCEPTED] = ",".join((*accepted, name))


def check_accepted(licence: Licence, what: str) -> None:
    """
    Refuse *what* unless its licence was accepted.

    Raises:
        CheckpointError: with where the terms are, and how they are accepted.
    """
    if licence.name not in _accepted():
        raise CheckpointError(
            f"{what} is under {licence.title}: read {licence.terms}, then accept them with "
            f"--accept-licence {licence.name} or {ACCEPTED}={licence.name}"
        )


def _accepted() -> list[str]:
    named = os.environ.get(ACCEPTED, "").split(",")
    return [name.strip() for name in named if name.strip()]
