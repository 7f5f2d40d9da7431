"""
Which prompts share a prefix worth computing once, on token ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from harness.backends.engine.decoding import Prompt

WORTH = 2048
"""Tokens that a longer prefix must save over the shorter one around it: below that, answering its
prompts apart from the others costs more than it saves."""

MAX_RATIO = 2
"""Rows that are decoded together all have as many cache slots as the longest needs: at most so many
times what the row itself needs."""

_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    Prompts whose first *prefix* tokens are the same.

    At least one token of each is left over: an answer is decided after a prompt's last token.
    """

    prefix: int
    prompts: tuple[Prompt, ...]


def groups(prompts: Sequence[Prompt], worth: int = WORTH) -> list[Group]:
    """
    Put each of *prompts* in the group with the longest prefix that is worth its own computation.

    A suite with one list of tools makes one group; each further list with enough cases makes one.
    The result depends on the prompts alone, not on their order.
    """
    ordered = sorted(prompts, key=lambda prompt: (prompt.ids, prompt.key))
    found: list[Group] = []
    for _, same in groupby(ordered, key=lambda prompt: prompt.ids[0]):
        own, rest = _split(list(same), 0, worth, 0)
        found += own
        if rest:
            found.append(Group(prefix=_common(rest), prompts=tuple(rest)))
    return found


def together(groups: Sequence[Group], max_new_tokens: int) -> list[list[Group]]:
    """
    Put groups together whose prompts need about as many cache slots after the prefix, an answer of
    *max_new_tokens* included. The largest go first, so that what does not fit shows early.
    """

    def slots(group: Group) -> int:
        return max(len(prompt.ids) for prompt in group.prompts) - group.prefix + max_new_tokens

    found: list[list[Group]] = []
    for group in sorted(groups, key=slots, reverse=True):
        if not found or slots(found[-1][0]) > MAX_RATIO * slots(group):
            found.append([])
        found[-1].append(group)
    return found


def _split(
    ordered: list[Prompt], shared: int, worth: int, depth: int
) -> tuple[list[Group], list[Prompt]]:
    """
    Return the groups that are worthwhile below a prefix of *shared* tokens, and the prompts left.
    """
    longest = max(len(prompt.ids) for prompt in ordered)
    if depth > _MAX_DEPTH or (len(ordered) - 1) * (longest - shared) < worth:
        return [], ordered
    prefix = _common(ordered)
    found: list[Group] = []
    rest: list[Prompt] = []
    for branch in _branches(ordered, prefix):
        own, left = _split(branch, prefix, worth, depth + 1) if len(branch) > 1 else ([], branch)
        found += own
        rest += left
    if rest and (len(rest) - 1) * (_common(rest) - shared) >= worth:
        found.append(Group(prefix=_common(rest), prompts=tuple(rest)))
        rest = []
    return found, rest


def _branches(ordered: Sequence[Prompt], prefix: int) -> Iterator[list[Prompt]]:
    for _, branch in groupby(ordered, key=lambda prompt: prompt.ids[prefix]):
        yield list(branch)


def _common(ordered: Sequence[Prompt]) -> int:
    """
    Return how many first tokens all have in common, leaving one of the shortest prompt over.
    """
    ids = attrgetter("ids")
    # What the first and the last in order share, all of them share.
    first, last = ids(min(ordered, key=ids)), ids(max(ordered, key=ids))
    shortest = min(len(prompt.ids) for prompt in ordered)
    same = 0
    for one, other in zip(first[: shortest - 1], last[: shortest - 1], strict=False):
        if one != other:
            break
        same += 1
    return same
