"""
Which cases of a suite are asked.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.canonical import digest
from harness.errors import UsageError
from harness.suites.suite import Case, Suite
from harness.wording import suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    So many cases, drawn by a seed.
    """

    size: int
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    How cases were chosen. Each part narrows what the parts before it left; None or () does nothing.
    """

    cases: tuple[str, ...] = ()
    """Ids."""
    expression: str | None = None
    """An expression over ids and tags (`matcher`)."""
    tags: tuple[str, ...] = ()
    """Tags that a case must have; one with ``!`` before it, that it must not have."""
    failed: str | None = None
    """A run; those that failed in it are chosen."""
    sample: Sample | None = None
    limit: int | None = None
    """How many at most, the first in suite order."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Choice":
        """
        Read what `to_json` gives; other keys are ignored.
        """
        sample = data.get("sample")
        return cls(
            cases=tuple(data.get("cases", ())),
            expression=data.get("expression"),
            tags=tuple(data.get("tags", ())),
            failed=data.get("failed"),
            sample=None if sample is None else Sample(**sample),
            limit=data.get("limit"),
        )

    def to_json(self) -> dict[str, Any]:
        """
        Return the choice in JSON types; what does nothing is left out, but for limit and tags.
        """
        sample = self.sample
        data: dict[str, Any] = {
            "cases": list(self.cases) or None,
            "expression": self.expression,
            "failed": self.failed,
            "sample": None if sample is None else {"size": sample.size, "seed": sample.seed},
        }
        kept = {key: value for key, value in data.items() if value is not None}
        return kept | {"limit": self.limit, "tags": list(self.tags)}


def select(suite: Suite, choice: Choice, failed: Collection[str] | None = None) -> tuple[Case, ...]:
    """
    Return the cases of *suite* that *choice* means, in suite order. *failed* has the ids of
    those that failed in the run it names.

    Raises:
        UsageError: if none is left, or for an unknown id or tag or an expression that is not valid.
    """
    chosen: Sequence[Case] = suite.cases
    for narrow in (_by_id, _by_expression, _by_tags):
        chosen = narrow(suite, choice, chosen)
    if failed is not None:
        chosen = [case for case in chosen if case.id in failed]
        if not chosen:
            raise UsageError(f"no case of suite {suite.name} that is chosen failed in that run")
    if choice.sample is not None:
        chosen = stratified(chosen, choice.sample)
    if choice.limit is not None:
        if choice.limit < 1:
            raise UsageError(f"--limit {choice.limit} leaves no case; it must be 1 or more")
        chosen = chosen[: choice.limit]
    return tuple(chosen)


def _by_id(suite: Suite, choice: Choice, cases: Sequence[Case]) -> Sequence[Case]:
    if not choice.cases:
        return cases
    wanted = {suite.case(identity).id for identity in choice.cases}
    return [case for case in cases if case.id in wanted]


def _by_expression(suite: Suite, choice: Choice, cases: Sequence[Case]) -> Sequence[Case]:
    if choice.expression is None:
        return cases
    matches = matcher(choice.expression)
    chosen = [case for case in cases if matches((case.id, *case.tags))]
    if not chosen:
        raise UsageError(
            f"suite {suite.name}: -k {choice.expression!r} matches no case"
            f"{_unheard_of(choice.expression, suite)}"
        )
    return chosen


def _unheard_of(expression: str, suite: Suite) -> str:
    names = [name for case in suite.cases for name in (case.id, *case.tags)]
    for kind, text in _words(expression):
        if kind == "name" and not any(text.casefold() in name.casefold() for name in names):
            return f"; no id or tag contains {text!r}{suggest(text, _tags(suite))}"
    return ""


def _by_tags(suite: Suite, choice: Choice, cases: Sequence[Case]) -> Sequence[Case]:
    if not choice.tags:
        return cases
    for tag in choice.tags:
        name, known = tag.removeprefix("!"), _tags(suite)
        if name not in known:
            raise UsageError(f"suite {suite.name} has no case tagged {name}{suggest(name, known)}")
    chosen = [
        case
        for case in cases
        if all((tag.removeprefix("!") in case.tags) != tag.startswith("!") for tag in choice.tags)
    ]
    if not chosen:
        raise UsageError(
            f"suite {suite.name} has no case that fits all of these tags: {', '.join(choice.tags)}"
        )
    return chosen


def _tags(suite: Suite) -> set[str]:
    return {tag for case in suite.cases for tag in case.tags}


def stratified(cases: Sequence[Case], sample: Sample) -> Sequence[Case]:
    """
    Return a sample of *cases* in their order: of those with the same tags, the share that there is
    of them in *cases*, rounded up or down.

    It is systematic: cases with the same tags stand together, shuffled by the seed, and every k-th
    is taken, from a start that the seed chooses. The same everywhere.
    """
    if sample.size >= len(cases):
        return cases
    beside = sorted(cases, key=lambda case: (sorted(case.tags), digest([sample.seed, case.id])))
    # In parts of the distance between two that are taken.
    start = int(digest(sample.seed).removeprefix("sha256:")[:8], 16)
    taken = {
        beside[(number * 2**32 + start) * len(cases) // (sample.size * 2**32)].id
        for number in range(sample.size)
    }
    return [case for case in cases if case.id in taken]


# The grammar of pytest's -k: https://docs.pytest.org/en/stable/reference/reference.html, "-k".

_WORD = re.compile(r"\s*(?:(?P<parenthesis>[()])|(?P<name>[\w:+\-.\[\]\\/]+)|(?P<other>\S))")

Matcher = Callable[[Iterable[str]], bool]
"""Whether a case with these names, its id and its tags, is meant."""


def matcher(expression: str) -> Matcher:
    """
    Return what an expression of words, ``and``, ``or``, ``not`` and parentheses means: a word holds
    if one of the names contains it, whatever the case of its letters.

    Raises:
        UsageError: if the expression is not valid, naming the column.
    """
    return _Expression(expression).read()


def _words(expression: str) -> Iterator[tuple[str, str]]:
    for found in _WORD.finditer(expression):
        kind = str(found.lastgroup)
        text = found[kind]
        yield (text if kind == "parenthesis" or text in ("and", "or", "not") else kind), text


class _Expression:
    """
    A parser by recursive descent: ``or`` binds weakest, ``not`` strongest.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        columns = [found.start(str(found.lastgroup)) for found in _WORD.finditer(text)]
        words = zip(_words(text), columns, strict=True)
        self._left = [(kind, word, column + 1) for (kind, word), column in words]
        self._left.append(("end", "", len(text) + 1))

    def read(self) -> Matcher:
        meant = self._either()
        if self._left[0][0] != "end":
            self._refuse("the end, and, or or")
        return meant

    def _either(self) -> Matcher:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda names: any(part(names) for part in parts)

    def _both(self) -> Matcher:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda names: all(part(names) for part in parts)

    def _one(self) -> Matcher:
        if self._take("not"):
            inner = self._one()
            return lambda names: not inner(names)
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                self._refuse("a closing parenthesis")
            return inner
        word = self._left[0][1].casefold()
        if not self._take("name"):
            self._refuse("a word, not or a parenthesis")
        return lambda names: any(word in name.casefold() for name in names)

    def _take(self, kind: str) -> bool:
        if self._left[0][0] != kind:
            return False
        self._left.pop(0)
        return True

    def _refuse(self, wanted: str) -> None:
        _, word, column = self._left[0]
        found = repr(word) if word else "the end"
        raise UsageError(f"-k {self._text!r}, column {column}: expected {wanted}, found {found}")
