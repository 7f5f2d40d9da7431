"""
Greedy answers to prompts that share prefixes: the same tokens as the plain loop, faster.

A prefix is computed once. Rows are opened many at a time, their own tokens packed without padding;
a draft of the answer, where there is one, is verified in that same forward: what it agrees with is
kept, and decoding goes on behind it. Then all open rows, of whichever prefix, are decoded together,
one token a forward. A row that is done is replaced by the next prompt, in place.

Batched sums are rounded in another order than those of one prompt alone. Where the two best tokens
are closer than that noise the row is given up as `Row.close`, to be decided the plain way.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from harness.backends.engine.attention import (
    OpenPass,
    Part,
    Pass,
    Prefix,
    PrefixPass,
    Shelf,
    StepPass,
    shared_prefix_attention,
)
from harness.backends.engine.decoding import Answer, OutOfMemory, Prompt, Stops, model_at_work
from harness.backends.engine.prefixes import Group

TOKENS = 1024
"""How many tokens are opened in one forward, about: more gain nothing and hold more memory."""

_LOGITS = 2**27
"""How many logits one forward may give: the rows of a large vocabulary are long."""


@dataclass(slots=True)
class Row:
    """
    An answer in the making. Keys and values of all its tokens but the last are on the shelf.
    """

    prompt: Prompt
    group: int
    """Which prefix it begins with."""
    own: int
    """Tokens of the prompt behind the prefix."""
    draft: Sequence[int]
    ids: list[int] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    """For each of *ids* the logits of what the prompt watches."""
    filled: int = 0
    """Slots in use."""
    close: bool = False
    """At some place two tokens were as good as equal: these *ids* are not to be trusted."""


class Engine:
    """
    The answers to the prompts of *groups*, each of which has a prefix of a token at least.

    After OutOfMemory it can be run again with fewer rows: nothing that was decided is lost.
    """

    def __init__(
        self,
        model: Any,
        groups: Sequence[Group],
        *,
        stops: Stops,
        most: int,
    ) -> None:
        self._model, self._stops, self._most = model, stops, most
        self.noise = 0.0
        """Two logits that are no further apart are as good as equal."""
        self._groups = groups
        self._tokens = max(1, min(TOKENS, _LOGITS // model.get_output_embeddings().weight.shape[0]))
        self.waiting: deque[Row] = deque()
        known = model.get_input_embeddings().weight.shape[0]
        for number, group in enumerate(groups):
            rows = [
                Row(
                    prompt,
                    number,
                    len(prompt.ids) - group.prefix,
                    _usable(prompt, stops, most, known),
                )
                for prompt in group.prompts
            ]
            # Rows of like length are opened together. Stable: the same prompts make the same
            # batches.
            rows.sort(key=lambda row: -row.own - len(row.draft))
            self.waiting += rows
        self._open: list[Row] = []
        """The first rows of the shelf, those of a group beside each other."""
        self._done: list[Row] = []
        self._prefixes: dict[int, Prefix] = {}
        self._shelf = Shelf(0, 0)

    def row_bytes(self) -> int:
        """
        What a row may come to take in memory, its share of the prefix included.

        Raises:
            OutOfMemory: if not even the prefix fits.
            BackendError: if the model breaks, or cannot be run in this way.
        """
        shares = [group.prefix // len(group.prompts) for group in self._groups]
        with self._at_work():
            prefix = self._prefix(self.waiting[0].group)
        return prefix.token_bytes * (self._slots + max(shares))

    @property
    def _slots(self) -> int:
        """
        How many tokens a row may come to hold.
        """
        return max((row.own for row in self.waiting), default=0) + self._most

    def run(self, rows: int) -> Iterator[list[Row]]:
        """
        Give rows as they are done, a quarter of *rows* at least each time but the last.

        Raises:
            OutOfMemory: if *rows* do not fit; what is not done waits again.
            BackendError: if the model breaks.
        """
        if self._done:
            # Left from before memory ran out.
            done, self._done = self._done, []
            yield done
        rows = min(rows, len(self.waiting))
        self._shelf = Shelf(rows, self._slots)
        try:
            while self.waiting or self._open:
                with self._at_work():
                    # Few at a time would be opened at the price of many.
                    if self.waiting and 4 * (rows - len(self._open)) >= rows:
                        self._open_more(rows)
                    else:
                        self._step()
                self._done += self._take_done()
                if 4 * len(self._done) >= rows or not (self.waiting or self._open):
                    done, self._done = self._done, []
                    yield done
        except OutOfMemory:
            for row in reversed(self._open):
                # What it has said so far is now the draft of what it will say.
                again = Row(row.prompt, row.group, row.own, row.ids or row.draft)
                self.waiting.appendleft(again)
            self._open = []
            self._shelf = Shelf(0, 0)
            self._prefixes.clear()
            raise

    def logits(self, prompts: Sequence[Prompt], drafts: Sequence[Sequence[int]]) -> list[Any]:
        """
        Open *prompts* at once with *drafts* as they are, and decode one token more. They have the
        keys of some that wait, and begin as those do.

        Gives for each the logits at its end, at each token of its draft and at the token decided
        then: what a check of this way of running the model compares.
        """
        import torch

        given = {prompt.key: (prompt, ids) for prompt, ids in zip(prompts, drafts, strict=True)}
        rows, fed = [], []
        for row in self.waiting:
            if row.prompt.key in given:
                prompt, ids = given[row.prompt.key]
                more = len(prompt.ids) - len(row.prompt.ids)
                rows.append(Row(prompt, row.group, row.own + more, ids))
                fed.append(ids)
        lengths = [row.own + len(ids) for row, ids in zip(rows, fed, strict=True)]
        with self._at_work():
            shelf = Shelf(len(rows), max(lengths) + 1)
            parts = self._opened(shelf, 0, rows, fed).split([len(ids) + 1 for ids in fed])
            decided = [int(part[-1].argmax()) for part in parts]
            pass_ = StepPass(shelf, self._parts(rows, lengths))
            stepped = self._forward(decided, pass_, range(len(rows)))
            found = {
                row.prompt.key: torch.cat([part, last[None]])
                for row, part, last in zip(rows, parts, stepped, strict=True)
            }
        return [found[prompt.key] for prompt in prompts]

    def _at_work(self) -> AbstractContextManager[None]:
        return model_at_work([row.prompt for row in (*self._open, *self.waiting)])

    def _prefix(self, group: int) -> Prefix:
        """
        Give the keys and values of a prefix, computed on first use.
        """
        if group not in self._prefixes:
            length = self._groups[group].prefix
            prefix = Prefix(length)
            ids = self._groups[group].prompts[0].ids[:length]
            self._forward(ids, PrefixPass(prefix), [length - 1])
            self._prefixes[group] = prefix
        return self._prefixes[group]

    def _parts(self, rows: Sequence[Row], lengths: Sequence[int]) -> list[Part]:
        """
        Put the *lengths* of *rows* in the parts that the rows are of.
        """
        numbered = groupby(zip(rows, lengths, strict=True), key=lambda pair: pair[0].group)
        return [
            Part(self._prefix(number), [length for _, length in pairs])
            for number, pairs in numbered
        ]

    def _open_more(self, rows: int) -> None:
        """
        Open waiting rows in one forward, and verify their drafts in it.
        """
        fresh: list[Row] = []
        cells = 0
        while self.waiting and len(self._open) + len(fresh) < rows:
            row = self.waiting[0]
            if not fresh or fresh[-1].group != row.group:
                # The first of a group is the longest: in attention the others are padded to it.
                longest = row.own + len(row.draft)
            cells += longest
            if fresh and cells > self._tokens:
                break
            fresh.append(self.waiting.popleft())
        first = len(self._open)
        self._open += fresh
        # Behind a token that ends the answer nothing is decided.
        fed = [
            row.draft[:-1] if _ends(row.draft, self._stops, self._most) else row.draft
            for row in fresh
        ]
        logits = self._opened(self._shelf, first, fresh, fed)
        best, close = self._decide(logits)
        at = 0
        for row, ids in zip(fresh, fed, strict=True):
            end = at + len(ids) + 1
            for place in range(at, end):
                self._take(row, best[place], close[place], logits[place])
                known = place - at
                if known >= len(row.draft) or row.draft[known] != best[place]:
                    break
            row.filled = row.own + len(row.ids) - 1
            at = end

    def _opened(
        self, shelf: Shelf, first: int, rows: Sequence[Row], fed: Sequence[Sequence[int]]
    ) -> Any:
        """
        Give the logits at the end of each of *rows*' prompts and at each token *fed* behind it, of
        shape (places, vocabulary).
        """
        ids: list[int] = []
        keep: list[int] = []
        for row, draft in zip(rows, fed, strict=True):
            keep += range(len(ids) + row.own - 1, len(ids) + row.own + len(draft))
            ids += [*row.prompt.ids[len(row.prompt.ids) - row.own :], *draft]
        lengths = [row.own + len(draft) for row, draft in zip(rows, fed, strict=True)]
        return self._forward(ids, OpenPass(shelf, first, self._parts(rows, lengths)), keep)

    def _step(self) -> None:
        """
        Decode one token of each open row.
        """
        parts = self._parts(self._open, [row.filled for row in self._open])
        pass_ = StepPass(self._shelf, parts)
        logits = self._forward([row.ids[-1] for row in self._open], pass_, range(len(self._open)))
        best, close = self._decide(logits)
        for row, *decided in zip(self._open, best, close, logits, strict=True):
            self._take(row, *decided)
            row.filled += 1

    def _forward(self, ids: Sequence[int], pass_: Pass, keep: Sequence[int]) -> Any:
        """
        Give the logits at the places *keep*, of shape (places, vocabulary).
        """
        import torch

        device = self._model.device
        with shared_prefix_attention(self._model), torch.inference_mode():
            pass_.to(device)
            return self._model(
                input_ids=torch.tensor([ids], device=device),
                position_ids=pass_.positions[None],
                use_cache=False,
                logits_to_keep=torch.tensor(list(keep), device=device),
                harness_pass=pass_,
            ).logits[0]

    def _decide(self, logits: Any) -> tuple[list[int], list[bool]]:
        """
        Give the best token of each place, and whether the second best is as good as it.
        """
        import torch

        with torch.inference_mode():
            top, best = logits.max(dim=-1)
            logits.scatter_(1, best[:, None], float("-inf"))
            gap = top - logits.amax(dim=-1)
            # In place, as they are many; put right again.
            logits.scatter_(1, best[:, None], top[:, None])
        # Not the other way round: what is no number is close to everything.
        return best.tolist(), (~(gap > self.noise)).tolist()

    def _take(self, row: Row, id_: int, close: bool, logits: Any) -> None:
        row.ids.append(id_)
        row.close = row.close or close
        if row.prompt.watched:
            row.seen.append(logits[list(row.prompt.watched)].float().cpu())

    def _take_done(self) -> list[Row]:
        """
        Close the rows that are done, and forget the prefixes that no other row needs.
        """
        done = []
        for place in reversed(range(len(self._open))):
            row = self._open[place]
            if row.close or _ends(row.ids, self._stops, self._most):
                done.append(row)
                self._close(place)
        # Those that wait behind the first one are of its group or of later ones.
        needed = {row.group for row in (*self._open, *islice(self.waiting, 1))}
        for group in self._prefixes.keys() - needed:
            del self._prefixes[group]
        return done[::-1]

    def _close(self, place: int) -> None:
        """
        Free a place of the shelf: the last row of the group moves there, the last of the next group
        to where that was, and so on, so that those of a group stay beside each other.
        """
        for last in range(place, len(self._open)):
            row = self._open[last]
            if last + 1 < len(self._open) and self._open[last + 1].group == row.group:
                continue
            if last != place:
                self._shelf.move(last, place, row.filled)
                self._open[place] = row
            place = last
        self._open.pop()


def answer_of(row: Row, stops: Stops) -> Answer:
    """
    Give the answer that a row holds once it is done.
    """
    return Answer(ids=row.ids, stopped=row.ids[-1] in stops.ids, watched=row.seen)


def _usable(prompt: Prompt, stops: Stops, most: int, known: int) -> Sequence[int]:
    """
    Cut a draft where an answer of these tokens would end, and before a token that is none of the
    *known* first ones: a tokenizer may have tokens that the model has not.
    """
    draft = prompt.draft[:most]
    for index, id_ in enumerate(draft):
        if not 0 <= id_ < known:
            return draft[:index]
        if id_ in stops.ids:
            return draft[: index + 1]
    return draft


def _ends(ids: Sequence[int], stops: Stops, most: int) -> bool:
    return bool(ids) and (ids[-1] in stops.ids or len(ids) >= most)
