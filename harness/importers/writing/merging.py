"""
A case as it was imported, as the sources have it now, and as the suite has it: three into one.

What only the sources changed is taken over. What was edited in the suite stays, and where the
sources changed it too, that is said. Cases are merged key by key, expected calls argument by
argument; a constraint is one value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.diagnostics import Steps


class _Absent:
    """
    The value of a key that is not there.
    """


ABSENT = _Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """
    A merged case.
    """

    row: Mapping[str, Any]
    kept: tuple[tuple[Steps, Any, Any], ...]
    """What the sources changed and the suite keeps: where, what the sources say now, and what the
    suite says; `ABSENT` where it is not there."""


def merge(
    base: Mapping[str, Any] | None, sources: Mapping[str, Any], suite: Mapping[str, Any]
) -> Merged:
    """
    Merge one case; *base* is None if it is not known how it was imported.

    Then every difference may be an edit of the suite, and nothing is taken over.
    """
    merger = _Merger(known=base is not None)
    row = merger.value(ABSENT if base is None else base, sources, suite, ())
    return Merged(row=row, kept=tuple(merger.kept))


@dataclass(slots=True, kw_only=True)
class _Merger:
    known: bool
    kept: list[tuple[Steps, Any, Any]] = field(default_factory=list)

    def value(self, base: Any, sources: Any, suite: Any, steps: Steps) -> Any:
        if _same(sources, suite) or (self.known and _same(sources, base)):
            return suite
        if self.known and _same(suite, base):
            return sources
        if not self.known and sources is ABSENT:
            return suite
        if isinstance(sources, Mapping) and isinstance(suite, Mapping) and _of_parts(steps):
            if _kinds(sources) == _kinds(suite):
                return self._mapping(base, sources, suite, steps)
        elif steps[-1:] == ("calls",) and _tools(sources) == _tools(suite):
            inner = base if _tools(base) == _tools(suite) else [ABSENT] * len(suite)
            return [
                self.value(old, new, here, (*steps, index))
                for index, (old, new, here) in enumerate(zip(inner, sources, suite, strict=True))
            ]
        elif steps == ("tags",) and self.known:
            return _tags(base, sources, suite)
        self.kept.append((steps, sources, suite))
        return suite

    def _mapping(
        self, base: Any, sources: Mapping[str, Any], suite: Mapping[str, Any], steps: Steps
    ) -> dict[str, Any]:
        before = base if isinstance(base, Mapping) else {}
        merged = {}
        for key in dict.fromkeys([*suite, *sources]):
            old, new, here = (each.get(key, ABSENT) for each in (before, sources, suite))
            value = self.value(old, new, here, (*steps, key))
            if value is not ABSENT:
                merged[key] = value
        return merged


def _same(one: Any, other: Any) -> bool:
    # In JSON, 1 and true are not the same.
    return one is other or (
        type(one) is type(other)
        and (
            (
                isinstance(one, dict)
                and one.keys() == other.keys()
                and all(_same(value, other[key]) for key, value in one.items())
            )
            or (isinstance(one, list) and len(one) == len(other) and all(map(_same, one, other)))
            or (not isinstance(one, dict | list) and one == other)
        )
    )


def _of_parts(steps: Steps) -> bool:
    """
    Return whether what is at *steps* is merged by its parts: a case, an expectation, a call, its
    arguments.
    """
    return (
        steps in ((), ("expect",))
        or (len(steps) == 3 and steps[:2] == ("expect", "calls"))
        or (len(steps) == 4 and steps[1] == "calls" and steps[-1] == "arguments")
    )


def _kinds(value: Mapping[str, Any]) -> set[str]:
    """
    Return which of the keys are there that exclude each other.
    """
    return {key for key in ("calls", "abstain", "any_of") if key in value}


def _tools(calls: Any) -> list[Any] | None:
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        return None
    return [call.get("tool") for call in calls]


def _tags(base: Any, sources: Any, suite: Any) -> Any:
    before, now, here = (each if isinstance(each, list) else [] for each in (base, sources, suite))
    kept = [tag for tag in here if tag in now or tag not in before]
    tags = [*kept, *(tag for tag in now if tag not in before and tag not in kept)]
    return tags or ABSENT
