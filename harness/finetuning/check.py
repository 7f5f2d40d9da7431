"""
Rows looked at before anything is trained: what would be learned, and what is wrong with it.

Training refuses the first row that it cannot learn. Here all that is found is listed, and beside it
what only shows in the result: a tool without a row, one question with two answers, a row that is
nearly a case of the suite.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Literal

from harness.canonical import digest
from harness.checkpoints.chat_template import chat_template
from harness.errors import HarnessError
from harness.finetuning.declarations import Declaration, shown_otherwise, trained_with
from harness.finetuning.encoding import Encoded, check_labels, check_template, encode_row
from harness.finetuning.recipe import Recipe
from harness.finetuning.rows import Row, plain
from harness.finetuning.shared_prefix import IGNORED
from harness.finetuning.split import NO_CALL, Split, kinds_of
from harness.messages import to_chat
from harness.suites.lint.similarity import near
from harness.suites.lint.suite_rules import AGAINST_TRAINING
from harness.wording import count, named

EXAMPLES = 3
"""How many rows are shown token by token."""

Code = Literal[
    "leak",
    "near_leak",
    "duplicate",
    "contradiction",
    "both_sides",
    "untaught",
    "too_long",
    "not_learned",
    "template",
    "other_declarations",
]
"""docs/finetune.md describes each."""

_MARKED = re.compile(r"{%-?\s*generation\s*-?%}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFinding:
    """
    One thing that an author should fix before training.
    """

    source: str
    """The row, ``train.jsonl:3``, or what it is about."""
    code: Code
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.code}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """
    One token of a row; several where a character is spread over them.
    """

    text: str
    learned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """
    One row, token by token.
    """

    source: str
    kind: str
    """The tools that it calls, or `NO_CALL`."""
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    How often a tool is called: in rows, and in what the suite expects.
    """

    name: str
    """The tool, or `NO_CALL`."""
    train: int
    valid: int
    expected: int | None
    """In how many turns of the suite; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """
    Tokens of a row: the shortest, the median and the longest.
    """

    shortest: int
    median: int
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Lengths":
        """
        Return those of at least one length.
        """
        return cls(shortest=min(lengths), median=median_low(lengths), longest=max(lengths))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRows:
    """
    What training on some rows would do.
    """

    train: int
    valid: int
    split: Split | None
    """How the validation rows were chosen, if none were given."""
    lengths: Lengths | None
    """Of whole rows; None if no row can be learned."""
    learned: Lengths | None
    """Of what is learned in them."""
    max_length: int
    kinds: tuple[Kind, ...]
    examples: tuple[Shown, ...]
    stops: Mapping[str, int]
    """Each token that ends an answer -> in how many rows it is learned."""
    notes: tuple[str, ...]
    """What is done with the rows and is worth knowing: history, rewritten answers."""
    findings: tuple[RowFinding, ...]


def check_rows(
    tokenizer: Any,
    *,
    train: Sequence[Row],
    valid: Sequence[Row],
    recipe: Recipe,
    heldout_prompts: Collection[str] = (),
    asked: Sequence[Declaration] = (),
    expected: Mapping[str, int] | None = None,
    split: Split | None = None,
) -> CheckedRows:
    """
    Return what *tokenizer* makes of the rows, and all that is wrong with them. No model is loaded.

    *heldout_prompts*, *asked* and *split* are as `harness.finetuning.finetune.finetune` takes them;
    *expected* counts in how many turns the suite expects each tool, or `NO_CALL`.
    """
    rows = [*train, *valid]
    findings = [*_leaks(rows, heldout_prompts), *_alike(train, valid), *_untaught(train, expected)]
    try:
        check_template(tokenizer, rows)
        if how := shown_otherwise(trained_with(tokenizer, train), tokenizer, asked):
            findings.append(_about("the suite", "other_declarations", f"when it is asked, {how}"))
    except HarnessError as exc:
        findings.append(_about("the chat template", "template", str(exc)))
    encoded: list[tuple[Row, list[Encoded]]] = []
    marked = _MARKED.search(chat_template(tokenizer)) is not None
    for row in rows:
        try:
            made = encode_row(tokenizer, row)
            encoded.append((row, made))
            if marked:
                _check_markers(tokenizer, made)
        except HarnessError as exc:
            said = str(exc).removeprefix(f"{row.source}: ")
            findings.append(_about(row.source, "not_learned", said))
    sequences = [one for _, made in encoded for one in made]
    findings += _sequence_findings(sequences, recipe.max_length)
    stops = Counter(
        tokenizer.decode([end]) for _, made in encoded for end in {e for m in made for e in m.ends}
    )
    return CheckedRows(
        train=len(train),
        valid=len(valid),
        split=split,
        lengths=Lengths.of([len(one.ids) for one in sequences]) if sequences else None,
        learned=Lengths.of([_learned(one) for one in sequences]) if sequences else None,
        max_length=recipe.max_length,
        kinds=tuple(_kinds(train, valid, expected)),
        examples=tuple(_examples(tokenizer, encoded)),
        stops=dict(sorted(stops.items())),
        notes=tuple(_notes(rows, encoded)),
        findings=tuple(findings),
    )


def _about(source: str, code: Code, message: str) -> RowFinding:
    return RowFinding(source=source, code=code, message=message)


def _leaks(rows: Sequence[Row], heldout_prompts: Collection[str]) -> Iterator[RowFinding]:
    """
    Yield the rows that ask what the suite asks, and those that nearly do.
    """
    heldout = sorted(heldout_prompts)
    exact = {plain(prompt) for prompt in heldout}
    asked = [(row, prompt) for row in rows for prompt in row.prompts]
    for row, prompt in asked:
        if plain(prompt) in exact:
            yield _about(row.source, "leak", f"its prompt is a case of the suite: {prompt!r}")
    others = [(row, prompt) for row, prompt in asked if plain(prompt) not in exact]
    for found in near([text for _, text in others], heldout, threshold=AGAINST_TRAINING):
        row, prompt = others[found.position]
        yield _about(
            row.source,
            "near_leak",
            f"{prompt!r} is {found.similarity:.2f} similar to a case of the suite: "
            f"{heldout[found.other]!r}",
        )


def _alike(train: Sequence[Row], valid: Sequence[Row]) -> Iterator[RowFinding]:
    """
    Yield rows that say the same as an earlier one, or something else to the same question.
    """
    first: dict[str, tuple[Row, str, bool]] = {}
    for row, trained in (*((row, True) for row in train), *((row, False) for row in valid)):
        told = digest(to_chat(row.messages))
        question = digest(
            [[plain(prompt) for prompt in row.prompts], [tool.schema for tool in row.tools]]
        )
        earlier = first.setdefault(question, (row, told, trained))
        if earlier[0] is row:
            continue
        if not trained and earlier[2]:
            yield _about(
                row.source, "both_sides", f"it is validated on what {earlier[0].source} teaches"
            )
        elif told == earlier[1]:
            yield _about(row.source, "duplicate", f"the same as {earlier[0].source}")
        else:
            yield _about(
                row.source,
                "contradiction",
                f"the same question as {earlier[0].source}, and another answer",
            )


def _untaught(train: Sequence[Row], expected: Mapping[str, int] | None) -> Iterator[RowFinding]:
    """
    Yield what the suite expects and no row teaches.
    """
    taught = {kind for row in train for kind in kinds_of(row)}
    for kind, turns in sorted((expected or {}).items()):
        if turns and kind not in taught:
            what = "answers without a call" if kind == NO_CALL else f"calls of {kind}"
            yield _about(
                "the suite",
                "untaught",
                f"{count(turns, 'turn')} of it expect {what}, and no row teaches any",
            )


def _check_markers(tokenizer: Any, made: Sequence[Encoded]) -> None:
    """
    Check that the template's own markers, which the trainer goes by, mark what is to be learned.

    Raises:
        TrainingError: showing what would be learned instead.
    """
    for one in made:
        if one.history:
            # The markers are not used then.
            continue
        rendered = tokenizer.apply_chat_template(
            list(one.chat),
            tools=list(one.tools) or None,
            chat_template=chat_template(tokenizer),
            return_assistant_tokens_mask=True,
            return_dict=True,
        )
        ids = rendered["input_ids"]
        labels = [
            id_ if mark else IGNORED
            for id_, mark in zip(ids, rendered["assistant_masks"], strict=True)
        ]
        check_labels(tokenizer, one, ids, labels)


def _sequence_findings(sequences: Sequence[Encoded], max_length: int) -> Iterator[RowFinding]:
    for one in sequences:
        if len(one.ids) > max_length:
            yield _about(
                one.source,
                "too_long",
                f"{len(one.ids)} tokens, and would be cut at max_length {max_length}",
            )
        if one.unshown:
            yield _about(
                one.source,
                "not_learned",
                "the chat template does not show its reasoning_content",
            )


def _learned(one: Encoded) -> int:
    return sum(label != IGNORED for label in one.labels)


def _kinds(
    train: Sequence[Row], valid: Sequence[Row], expected: Mapping[str, int] | None
) -> Iterator[Kind]:
    trained = Counter(kind for row in train for kind in kinds_of(row))
    validated = Counter(kind for row in valid for kind in kinds_of(row))
    for name in sorted({*trained, *validated, *(expected or {})}):
        yield Kind(
            name=name,
            train=trained[name],
            valid=validated[name],
            expected=None if expected is None else expected.get(name, 0),
        )


def _examples(tokenizer: Any, encoded: Sequence[tuple[Row, Sequence[Encoded]]]) -> Iterator[Shown]:
    """
    Yield the first rows of as many kinds as there are, then other rows.
    """
    firsts: dict[frozenset[str], int] = {}
    for index, (row, _) in enumerate(encoded):
        firsts.setdefault(kinds_of(row), index)
    order = [*firsts.values(), *(i for i in range(len(encoded)) if i not in firsts.values())]
    for index in order[:EXAMPLES]:
        row, made = encoded[index]
        yield Shown(
            source=made[0].source,
            kind=" + ".join(sorted(kinds_of(row))),
            tokens=tuple(_tokens(tokenizer, made[0])),
        )


def _tokens(tokenizer: Any, one: Encoded) -> Iterator[Token]:
    """
    Yield the text of a row in the stretches that its tokens cover.
    """
    given = tokenizer(one.text, add_special_tokens=False, return_offsets_mapping=True)
    reached = 0
    pieces = list(zip(given["offset_mapping"], one.labels, strict=True))
    for index, ((_, end), label) in enumerate(pieces):
        # A character of several tokens has its offsets in each of them: it goes with the last.
        if index + 1 < len(pieces) and pieces[index + 1][0][0] < end:
            continue
        if end > reached:
            yield Token(text=one.text[reached:end], learned=label != IGNORED)
            reached = end


def _notes(rows: Sequence[Row], encoded: Sequence[tuple[Row, Sequence[Encoded]]]) -> Iterator[str]:
    history: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row.history:
            history[row.source] += len(row.history)
    if history:
        yield (
            f"{count(sum(history.values()), 'answer')} in {count(len(history), 'row')} shown "
            f"and not learned (weight 0): {named(history)}"
        )
    if split := [row.source for row, made in encoded if len(made) > 1]:
        yield (
            f"{count(len(split), 'row')} learned answer by answer, as the chat template rewrites "
            f"earlier answers: {named(split)}"
        )
