"""
Greedy answers to prompts that share prefixes: the same tokens as the plain loop, faster.

A prefix is computed once. New rows are prefilled many at a time, their own tokens packed without
padding; a draft of the answer, where there is one, is verified in that same forward pass: the
tokens that agree are kept, and decoding continues after them. Then all running rows, whatever their
prefix, are decoded together, one token per step. A finished row is replaced in place by the next
prompt (continuous batching).

Batched sums are rounded in a different order than those of a single prompt. Where the two best
tokens are closer than that noise, the row is given up as a near-tie (`Row.near_tie`), to be decided
by the plain loop.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from harness.backends.engine.attention import (
    DecodeStep,
    ForwardPass,
    KVCache,
    Prefill,
    Prefix,
    PrefixPrefill,
    Segment,
    shared_prefix_attention,
)
from harness.backends.engine.decoding import Answer, OutOfMemory, Prompt, Stops, model_errors
from harness.backends.engine.prefixes import Group

PREFILL_TOKENS = 1024
"""About how many tokens one prefill computes: more gain nothing and take more memory."""

_MAX_LOGITS = 2**27
"""How many logits one forward pass may return: the rows of a large vocabulary are long."""


@dataclass(slots=True)
class Row:
    """
    An answer in progress. The cache holds keys and values of all its tokens but the last.
    """

    prompt: Prompt
    group: int
    """The number of the group whose prefix it begins with."""
    own: int
    """Tokens of the prompt after the prefix."""
    draft: Sequence[int]
    ids: list[int] = field(default_factory=list)
    """The tokens of the answer so far."""
    watched: list[Any] = field(default_factory=list)
    """For each of *ids* the logits that the prompt watches."""
    cached: int = 0
    """Tokens in the cache."""
    near_tie: bool = False
    """At some position the two best tokens were a near-tie: *ids* cannot be relied on."""


class Engine:
    """
    Answers the prompts of *groups*, each of which has a prefix of at least one token.

    After OutOfMemory it can be run again with fewer rows: no decided token is lost.
    """

    def __init__(
        self,
        model: Any,
        groups: Sequence[Group],
        *,
        stops: Stops,
        max_new_tokens: int,
    ) -> None:
        self._model, self._stops, self._max_new_tokens = model, stops, max_new_tokens
        self.near_tie = 0.0
        """The largest difference between two logits that counts as a near-tie."""
        self._groups = groups
        vocabulary = model.get_output_embeddings().weight.shape[0]
        self._prefill_tokens = max(1, min(PREFILL_TOKENS, _MAX_LOGITS // vocabulary))
        self.waiting: deque[Row] = deque()
        known = model.get_input_embeddings().weight.shape[0]
        for number, group in enumerate(groups):
            rows = [
                Row(
                    prompt,
                    number,
                    len(prompt.ids) - group.prefix,
                    _usable_draft(prompt, stops, max_new_tokens, known),
                )
                for prompt in group.prompts
            ]
            # Rows of similar length are prefilled together. The sort is stable: the same prompts
            # make the same batches.
            rows.sort(key=lambda row: -row.own - len(row.draft))
            self.waiting += rows
        self._running: list[Row] = []
        """The first rows of the cache, those of a group beside each other."""
        self._finished: list[Row] = []
        self._prefixes: dict[int, Prefix] = {}
        self._cache = KVCache(0, 0)

    def row_bytes(self) -> int:
        """
        Return the most bytes that a row may take in memory, its share of the prefix included.

        Raises:
            OutOfMemory: if not even the prefix fits.
            BackendError: if the model fails, or cannot be run in this way.
        """
        shares = [group.prefix // len(group.prompts) for group in self._groups]
        with self._model_errors():
            prefix = self._prefix(self.waiting[0].group)
        return prefix.token_bytes * (self._slots + max(shares))

    @property
    def _slots(self) -> int:
        """
        The most tokens that a row may hold in the cache.
        """
        return max((row.own for row in self.waiting), default=0) + self._max_new_tokens

    def run(self, rows: int) -> Iterator[list[Row]]:
        """
        Yield rows as they finish, at least a quarter of *rows* each time but the last.

        Raises:
            OutOfMemory: if *rows* do not fit; unfinished rows are waiting again.
            BackendError: if the model fails.
        """
        if self._finished:
            # Left over from before memory ran out.
            finished, self._finished = self._finished, []
            yield finished
        rows = min(rows, len(self.waiting))
        self._cache = KVCache(rows, self._slots)
        try:
            while self.waiting or self._running:
                with self._model_errors():
                    # Prefilling a few rows costs nearly as much as prefilling many.
                    if self.waiting and 4 * (rows - len(self._running)) >= rows:
                        self._prefill(rows)
                    else:
                        self._decode_step()
                self._finished += self._take_finished()
                if 4 * len(self._finished) >= rows or not (self.waiting or self._running):
                    finished, self._finished = self._finished, []
                    yield finished
        except OutOfMemory:
            for row in reversed(self._running):
                # What it has decided so far becomes its draft.
                again = Row(row.prompt, row.group, row.own, row.ids or row.draft)
                self.waiting.appendleft(again)
            self._running = []
            self._cache = KVCache(0, 0)
            self._prefixes.clear()
            raise

    def logits(self, prompts: Sequence[Prompt], drafts: Sequence[Sequence[int]]) -> list[Any]:
        """
        Prefill *prompts* together with *drafts* as they are, and decode one more token. Their keys
        must be those of waiting rows, and they must begin with the same prefixes.

        Returns for each prompt the logits at its end, at each token of its draft and at the decoded
        token: what a check of this way of running the model compares.
        """
        import torch

        given = {prompt.key: (prompt, ids) for prompt, ids in zip(prompts, drafts, strict=True)}
        rows, verified = [], []
        for row in self.waiting:
            if row.prompt.key in given:
                prompt, ids = given[row.prompt.key]
                more = len(prompt.ids) - len(row.prompt.ids)
                rows.append(Row(prompt, row.group, row.own + more, ids))
                verified.append(ids)
        lengths = [row.own + len(ids) for row, ids in zip(rows, verified, strict=True)]
        with self._model_errors():
            cache = KVCache(len(rows), max(lengths) + 1)
            prefilled = self._prefill_logits(cache, 0, rows, verified)
            by_row = prefilled.split([len(ids) + 1 for ids in verified])
            decided = [int(logits[-1].argmax()) for logits in by_row]
            step = DecodeStep(cache, self._segments(rows, lengths))
            decoded = self._forward(decided, step, range(len(rows)))
            found = {
                row.prompt.key: torch.cat([logits, last[None]])
                for row, logits, last in zip(rows, by_row, decoded, strict=True)
            }
        return [found[prompt.key] for prompt in prompts]

    def _model_errors(self) -> AbstractContextManager[None]:
        return model_errors([row.prompt for row in (*self._running, *self.waiting)])

    def _prefix(self, group: int) -> Prefix:
        """
        Return the keys and values of a group's prefix, computed on first use.
        """
        if group not in self._prefixes:
            length = self._groups[group].prefix
            prefix = Prefix(length)
            ids = self._groups[group].prompts[0].ids[:length]
            self._forward(ids, PrefixPrefill(prefix), [length - 1])
            self._prefixes[group] = prefix
        return self._prefixes[group]

    def _segments(self, rows: Sequence[Row], lengths: Sequence[int]) -> list[Segment]:
        """
        Return one segment for each run of *rows* of the same group, with their *lengths*.
        """
        numbered = groupby(zip(rows, lengths, strict=True), key=lambda pair: pair[0].group)
        return [
            Segment(self._prefix(number), [length for _, length in pairs])
            for number, pairs in numbered
        ]

    def _prefill(self, rows: int) -> None:
        """
        Start waiting rows in one forward pass, and verify their drafts in it.
        """
        fresh: list[Row] = []
        cells = 0
        while self.waiting and len(self._running) + len(fresh) < rows:
            row = self.waiting[0]
            if not fresh or fresh[-1].group != row.group:
                # The first row of a group is the longest: attention pads the others to it.
                longest = row.own + len(row.draft)
            cells += longest
            if fresh and cells > self._prefill_tokens:
                break
            fresh.append(self.waiting.popleft())
        first = len(self._running)
        self._running += fresh
        # Nothing is decided after a token that ends the answer.
        drafts = [row.draft[:-1] if self._ends(row.draft) else row.draft for row in fresh]
        logits = self._prefill_logits(self._cache, first, fresh, drafts)
        best, near_tie = self._decide(logits)
        begin = 0
        for row, draft in zip(fresh, drafts, strict=True):
            end = begin + len(draft) + 1
            for place in range(begin, end):
                self._append(row, best[place], near_tie[place], logits[place])
                known = place - begin
                if known >= len(row.draft) or row.draft[known] != best[place]:
                    break
            row.cached = row.own + len(row.ids) - 1
            begin = end

    def _prefill_logits(
        self, cache: KVCache, first: int, rows: Sequence[Row], drafts: Sequence[Sequence[int]]
    ) -> Any:
        """
        Return the logits at the end of each row's prompt and at each token of its draft, of shape
        (places, vocabulary).
        """
        ids: list[int] = []
        keep: list[int] = []
        for row, draft in zip(rows, drafts, strict=True):
            keep += range(len(ids) + row.own - 1, len(ids) + row.own + len(draft))
            ids += [*row.prompt.ids[len(row.prompt.ids) - row.own :], *draft]
        lengths = [row.own + len(draft) for row, draft in zip(rows, drafts, strict=True)]
        return self._forward(ids, Prefill(cache, first, self._segments(rows, lengths)), keep)

    def _decode_step(self) -> None:
        """
        Decode one token of each running row.
        """
        rows = self._running
        step = DecodeStep(self._cache, self._segments(rows, [row.cached for row in rows]))
        logits = self._forward([row.ids[-1] for row in rows], step, range(len(rows)))
        best, near_tie = self._decide(logits)
        for row, *decided in zip(rows, best, near_tie, logits, strict=True):
            self._append(row, *decided)
            row.cached += 1

    def _forward(self, ids: Sequence[int], forward_pass: ForwardPass, keep: Sequence[int]) -> Any:
        """
        Return the logits at the places *keep*, of shape (places, vocabulary).
        """
        import torch

        device = self._model.device
        with shared_prefix_attention(self._model), torch.inference_mode():
            forward_pass.to(device)
            return self._model(
                input_ids=torch.tensor([ids], device=device),
                position_ids=forward_pass.positions[None],
                use_cache=False,
                logits_to_keep=torch.tensor(list(keep), device=device),
                harness_pass=forward_pass,
            ).logits[0]

    def _decide(self, logits: Any) -> tuple[list[int], list[bool]]:
        """
        Return the best token of each place, and whether the second best is a near-tie with it.
        """
        import torch

        with torch.inference_mode():
            top, best = logits.max(dim=-1)
            # In place, as there are many; restored below.
            logits.scatter_(1, best[:, None], float("-inf"))
            gap = top - logits.amax(dim=-1)
            logits.scatter_(1, best[:, None], top[:, None])
        # Not `gap <= self.near_tie`: a NaN is a near-tie too.
        return best.tolist(), (~(gap > self.near_tie)).tolist()

    def _append(self, row: Row, id_: int, near_tie: bool, logits: Any) -> None:
        row.ids.append(id_)
        row.near_tie = row.near_tie or near_tie
        if row.prompt.watched:
            row.watched.append(logits[list(row.prompt.watched)].float().cpu())

    def _take_finished(self) -> list[Row]:
        """
        Take finished rows out of the cache, and drop the prefixes that no other row needs.
        """
        finished = []
        for place in reversed(range(len(self._running))):
            row = self._running[place]
            if row.near_tie or self._ends(row.ids):
                finished.append(row)
                self._free(place)
        # Rows that wait behind the first one are of its group or of later ones.
        needed = {row.group for row in (*self._running, *islice(self.waiting, 1))}
        for group in self._prefixes.keys() - needed:
            del self._prefixes[group]
        return finished[::-1]

    def _free(self, place: int) -> None:
        """
        Free a row of the cache: the last row of the group moves there, the last of the next group
        to where that one was, and so on, so that the rows of a group stay beside each other.
        """
        for last in range(place, len(self._running)):
            row = self._running[last]
            if last + 1 < len(self._running) and self._running[last + 1].group == row.group:
                continue
            if last != place:
                self._cache.copy_row(last, place, row.cached)
                self._running[place] = row
            place = last
        self._running.pop()

    def _ends(self, ids: Sequence[int]) -> bool:
        return bool(ids) and (ids[-1] in self._stops.ids or len(ids) >= self._max_new_tokens)


def answer_of(row: Row, stops: Stops) -> Answer:
    """
    Return the answer that a finished row holds.
    """
    return Answer(ids=row.ids, stopped=row.ids[-1] in stops.ids, watched=row.watched)


def _usable_draft(prompt: Prompt, stops: Stops, max_new_tokens: int, known: int) -> Sequence[int]:
    """
    Cut a draft where its answer would end, and before any token id that is not below *known*: a
    tokenizer may have tokens that the model lacks.
    """
    draft = prompt.draft[:max_new_tokens]
    for index, id_ in enumerate(draft):
        if not 0 <= id_ < known:
            return draft[:index]
        if id_ in stops.ids:
            return draft[: index + 1]
    return draft
