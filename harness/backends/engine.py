"""
Greedy answers to prompts that share a prefix: the same tokens as the plain loop, faster.

The prefix is computed once. Rows are opened many at a time, their own tokens packed without
padding; a draft of the answer, where there is one, is verified in that same forward: what it
agrees with is kept, and decoding goes on behind it. Then all open rows are decoded together, one
token a forward. A row that is done is replaced by the next prompt, in place.

Batched sums are rounded in another order than those of one prompt alone. Where the two best tokens
are closer than that noise the row is given up as `Row.close`, to be decided the plain way.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.backends.attention import (
    OpenPass,
    Pass,
    PrefixPass,
    Shelf,
    StepPass,
    shared_prefix_attention,
)
from harness.backends.decoding import Answer, OutOfMemory, Prompt, Stops, model_at_work

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
    The answers to *prompts*, whose first *prefix* tokens are the same.

    After OutOfMemory it can be run again with fewer rows: nothing that was decided is lost.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Prompt],
        *,
        prefix: int,
        stops: Stops,
        most: int,
    ) -> None:
        self._model, self._stops, self._most = model, stops, most
        self.noise = 0.0
        """Two logits that are no further apart are as good as equal."""
        self._prefix = prompts[0].ids[:prefix]
        self._tokens = max(1, min(TOKENS, _LOGITS // model.get_output_embeddings().weight.shape[0]))
        rows = [Row(prompt, _usable(prompt.draft, stops, most)) for prompt in prompts]
        # Rows of like length are opened together. Stable: the same prompts make the same batches.
        rows.sort(key=lambda row: -len(row.prompt.ids) - len(row.draft))
        self.waiting = deque(rows)
        self._open: list[Row] = []
        self._done: list[Row] = []
        self._shelf: Shelf | None = None

    def row_bytes(self) -> int:
        """
        What a row may come to take in memory.

        Raises:
            OutOfMemory: if not even the prefix fits.
            BackendError: if the model breaks, or cannot be run in this way.
        """
        return self._filled_shelf().token_bytes * max(1, self._slots)

    @property
    def _slots(self) -> int:
        """
        How many tokens a row may come to hold.
        """
        longest = max((len(row.prompt.ids) for row in self.waiting), default=0)
        return longest - len(self._prefix) + self._most

    def run(self, rows: int) -> Iterator[list[Row]]:
        """
        Give rows as they are done, a quarter of *rows* at least each time but the last.

        Raises:
            OutOfMemory: if *rows* do not fit; what is not done waits again.
            BackendError: if the model breaks.
        """
        shelf = self._filled_shelf()
        if self._done:
            # Left from before memory ran out.
            done, self._done = self._done, []
            yield done
        rows = min(rows, len(self.waiting))
        try:
            with model_at_work([row.prompt for row in self.waiting]):
                shelf.reserve(rows, self._slots)
            while self.waiting or self._open:
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
                self.waiting.appendleft(Row(row.prompt, row.ids or row.draft))
            self._open = []
            shelf.reserve(0, 0)
            raise

    def logits(self, prompts: Sequence[Prompt], drafts: Sequence[Sequence[int]]) -> list[Any]:
        """
        Open *prompts* at once with *drafts* as they are, and decode one token more.

        Gives for each the logits at its end, at each token of its draft and at the token decided
        then: what a check of this way of running the model compares.
        """
        import torch

        shelf = self._filled_shelf()
        own = [[*p.ids[len(self._prefix) :], *d] for p, d in zip(prompts, drafts, strict=True)]
        keep: list[int] = []
        begin = 0
        for ids, draft in zip(own, drafts, strict=True):
            keep += range(begin + len(ids) - len(draft) - 1, begin + len(ids))
            begin += len(ids)
        lengths = [len(ids) for ids in own]
        shelf.reserve(len(own), max(lengths) + 1)
        packed = [id_ for ids in own for id_ in ids]
        opened = self._forward(packed, OpenPass(shelf, range(len(own)), lengths), keep)
        parts = opened.split([len(draft) + 1 for draft in drafts])
        decided = [int(part[-1].argmax()) for part in parts]
        stepped = self._forward(decided, StepPass(shelf, lengths), range(len(own)))
        return [torch.cat([part, last[None]]) for part, last in zip(parts, stepped, strict=True)]

    def _filled_shelf(self) -> Shelf:
        """
        Give the shelf with the prefix on it, computed on first use.
        """
        if self._shelf is None:
            shelf = Shelf(len(self._prefix))
            self._forward(self._prefix, PrefixPass(shelf), [len(self._prefix) - 1])
            self._shelf = shelf
        return self._shelf

    def _open_more(self, rows: int) -> None:
        """
        Open waiting rows in one forward, and verify their drafts in it.
        """
        shelf = self._filled_shelf()
        behind = len(self._prefix)
        fresh: list[Row] = []
        # The first is the longest, and the others are padded to it in attention.
        longest = len(self.waiting[0].prompt.ids) - behind + len(self.waiting[0].draft)
        while (
            self.waiting
            and len(self._open) + len(fresh) < rows
            and (not fresh or (len(fresh) + 1) * longest <= self._tokens)
        ):
            fresh.append(self.waiting.popleft())
        first = len(self._open)
        self._open += fresh
        ids: list[int] = []
        keep: list[int] = []
        lengths = []
        for row in fresh:
            own = row.prompt.ids[behind:]
            # Behind a token that ends the answer nothing is decided.
            fed = row.draft[:-1] if _ends(row.draft, self._stops, self._most) else row.draft
            keep += range(len(ids) + len(own) - 1, len(ids) + len(own) + len(fed))
            ids += [*own, *fed]
            lengths.append(len(own) + len(fed))
        slots = range(first, len(self._open))
        logits = self._forward(ids, OpenPass(shelf, slots, lengths), keep)
        best, close = self._decide(logits)
        at = 0
        for row, length in zip(fresh, lengths, strict=True):
            filled = len(row.prompt.ids) - behind
            end = at + length - filled + 1
            for place in range(at, end):
                self._take(row, best[place], close[place], logits[place])
                known = place - at
                if known >= len(row.draft) or row.draft[known] != best[place]:
                    break
            row.filled = filled + len(row.ids) - 1
            at = end

    def _step(self) -> None:
        """
        Decode one token of each open row.
        """
        shelf = self._filled_shelf()
        pass_ = StepPass(shelf, [row.filled for row in self._open])
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
        with (
            model_at_work([row.prompt for row in (*self._open, *self.waiting)]),
            shared_prefix_attention(self._model),
            torch.inference_mode(),
        ):
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
        Close the rows that are done; the last one open moves to the place of each.
        """
        shelf = self._filled_shelf()
        done = []
        for place in reversed(range(len(self._open))):
            row = self._open[place]
            if row.close or _ends(row.ids, self._stops, self._most):
                done.append(row)
                last = self._open.pop()
                if last is not row:
                    shelf.move(len(self._open), place, last.filled)
                    self._open[place] = last
        return done[::-1]


def answer_of(row: Row, stops: Stops) -> Answer:
    """
    Give the answer that a row holds once it is done.
    """
    return Answer(ids=row.ids, stopped=row.ids[-1] in stops.ids, watched=row.seen)


def _usable(draft: Sequence[int], stops: Stops, most: int) -> Sequence[int]:
    """
    Cut a draft where an answer of these tokens would end.
    """
    for index, id_ in enumerate(draft[:most]):
        if id_ in stops.ids:
            return draft[: index + 1]
    return draft[:most]


def _ends(ids: Sequence[int], stops: Stops, most: int) -> bool:
    return bool(ids) and (ids[-1] in stops.ids or len(ids) >= most)
