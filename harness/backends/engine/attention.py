"""
Attention over prefixes that rows share and what each row has of its own, in place.

`transformers` lets an attention function be registered by name, and hands it what a model's forward
is called with. So the model's own code computes everything but attention: its projections, norms
and rotary positions, which come from the positions it is told. Tokens of all rows are packed one
after another, without padding, as in one long row; which row a token belongs to and what it may see
is known here alone. Sliding windows are held by positions, so that padding cannot shift them.

Keys and values are kept once per key/value head and never expanded: the query heads that share one
are put beside each other in one product (Ainslie et al., "GQA", 2023). The keys of the prefix are
multiplied with the queries of all its rows at once (Juravsky et al., "Hydragen", 2024).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import BackendError

NAME = "harness_shared_prefix"

_SCORES = 2**23
"""How many scores are held at once: more are computed a few queries at a time."""


class Prefix:
    """
    Keys and values of the first *length* tokens of some rows.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.layers: dict[int, tuple[Any, Any]] = {}
        """Layer -> keys and values, each of shape (key/value heads, length, width)."""

    @property
    def token_bytes(self) -> int:
        """
        What one token's keys and values take, over all layers.
        """
        sizes = [int(each.nbytes) for pair in self.layers.values() for each in pair]
        return sum(sizes) // self.length


class Shelf:
    """
    Keys and values of up to *rows* rows of up to *slots* tokens, those behind their prefix.

    Preallocated: a row that is done is overwritten by the next one. Layers are made when their
    first keys come, so their number and shapes need not be known.
    """

    def __init__(self, rows: int, slots: int) -> None:
        self._rows, self._slots = rows, slots
        self._layers: dict[int, tuple[Any, Any]] = {}

    def put(self, layer: int, row: Any, slot: Any, key: Any, value: Any) -> tuple[Any, Any]:
        """
        Keep *key* and *value*, each of shape (key/value heads, tokens, width), in *slot* of *row*
        of each token.

        Gives all keys and values of the layer, each of shape (rows, key/value heads, slots, width).
        """
        if layer not in self._layers:
            self._layers[layer] = (
                key.new_empty((self._rows, key.shape[0], self._slots, key.shape[-1])),
                # Weight zero of what was never written must be zero, and not "not a number".
                value.new_zeros((self._rows, value.shape[0], self._slots, value.shape[-1])),
            )
        keys, values = self._layers[layer]
        keys[row, :, slot] = key.transpose(0, 1)
        values[row, :, slot] = value.transpose(0, 1)
        return keys, values

    def move(self, source: int, target: int, length: int) -> None:
        """
        Let row *target* be what row *source* is, of which *length* slots are in use.
        """
        import torch

        # The layers were made in a forward, so they may be written to in this mode alone.
        with torch.inference_mode():
            for pair in self._layers.values():
                for each in pair:
                    each[target, :, :length] = each[source, :, :length]


@dataclass(frozen=True, slots=True)
class Part:
    """
    Rows beside each other with the same prefix, and how many tokens each has behind it.
    """

    prefix: Prefix
    lengths: Sequence[int]


class PrefixPass:
    """
    One forward over the tokens of a prefix itself.
    """

    def __init__(self, prefix: Prefix) -> None:
        import torch

        self._prefix = prefix
        self.positions = torch.arange(prefix.length)
        """Where each packed token stands in its own conversation."""

    def to(self, device: Any) -> None:
        """
        Move the indices to where the model is.
        """
        self.positions = self.positions.to(device)

    def attend(self, layer: int, query: Any, key: Any, value: Any, rule: "Rule") -> Any:
        """
        Give (tokens, heads, width) for query (heads, tokens, width) and keys and values alike.
        """
        self._prefix.layers[layer] = (key.contiguous(), value.contiguous())
        places = self.positions
        return _attend(query[None], None, (key[None], value[None]), rule, places, places)[0]


class OpenPass:
    """
    One forward over the first tokens of fresh rows, those from *first* on: as many of each as its
    part says, packed in this order.
    """

    def __init__(self, shelf: Shelf, first: int, parts: Sequence[Part]) -> None:
        import torch

        self._shelf = shelf
        self._prefixes = [part.prefix for part in parts]
        self._grids: list[Any] = []
        """For each part a rectangle with a row for each row, of the places of its tokens among all;
        cells behind a row's end repeat its first token: none of the row's own looks at them."""
        self._cells: list[Any] = []
        """The cells that are not behind an end."""
        begin = 0
        for part in parts:
            sizes = torch.tensor(part.lengths)
            place = torch.arange(int(sizes.max()))
            there = place < sizes[:, None]
            begins = (begin + sizes.cumsum(0) - sizes)[:, None]
            self._grids.append(torch.where(there, begins + place, begins))
            self._cells.append(there.flatten().nonzero().flatten())
            begin += int(sizes.sum())
        lengths = [length for part in parts for length in part.lengths]
        rows = torch.arange(first, first + len(lengths))
        self._row = torch.repeat_interleave(rows, torch.tensor(lengths))
        self._slot = torch.cat([torch.arange(length) for length in lengths])
        self._behind = _behind(parts, [sum(part.lengths) for part in parts])

    def to(self, device: Any) -> None:
        """
        Move the indices to where the model is.
        """
        for name in ("_row", "_slot", "_behind"):
            setattr(self, name, getattr(self, name).to(device))
        self._grids = [each.to(device) for each in self._grids]
        self._cells = [each.to(device) for each in self._cells]

    @property
    def positions(self) -> Any:
        """
        Where each packed token stands in its own conversation.
        """
        return self._slot + self._behind

    def attend(self, layer: int, query: Any, key: Any, value: Any, rule: "Rule") -> Any:
        """
        Give (tokens, heads, width) for query (heads, tokens, width) and keys and values alike.
        """
        import torch

        self._shelf.put(layer, self._row, self._slot, key, value)
        out = []
        for prefix, grid, cells in zip(self._prefixes, self._grids, self._cells, strict=True):
            own = (_rectangle(key, grid), _rectangle(value, grid))
            places = torch.arange(grid.shape[1], device=query.device)
            asked = _rectangle(query, grid)
            found = _attend(asked, prefix.layers[layer], own, rule, places, places)
            out.append(found.flatten(0, 1)[cells])
        return torch.cat(out)


class StepPass:
    """
    One forward over one more token of each of the first rows of the shelf, those of *parts*.
    """

    def __init__(self, shelf: Shelf, parts: Sequence[Part]) -> None:
        import torch

        self._shelf, self._parts = shelf, parts
        self._slot = torch.tensor([length for part in parts for length in part.lengths])
        self._row = torch.arange(len(self._slot))
        self._behind = _behind(parts, [len(part.lengths) for part in parts])

    def to(self, device: Any) -> None:
        """
        Move the indices to where the model is.
        """
        for name in ("_row", "_slot", "_behind"):
            setattr(self, name, getattr(self, name).to(device))

    @property
    def positions(self) -> Any:
        """
        Where each packed token stands in its own conversation.
        """
        return self._slot + self._behind

    def attend(self, layer: int, query: Any, key: Any, value: Any, rule: "Rule") -> Any:
        """
        Give (rows, heads, width) for query (heads, rows, width) and keys and values alike.
        """
        import torch

        keys, values = self._shelf.put(layer, self._row, self._slot, key, value)
        asked = query.transpose(0, 1)[:, :, None]
        out = []
        begin = 0
        for part in self._parts:
            rows = slice(begin, begin + len(part.lengths))
            reach = max(part.lengths) + 1
            own = (keys[rows, :, :reach], values[rows, :, :reach])
            places = torch.arange(reach, device=query.device)
            slots = self._slot[rows, None]
            shared = part.prefix.layers[layer]
            out.append(_attend(asked[rows], shared, own, rule, slots, places)[:, 0])
            begin = rows.stop
        return torch.cat(out)


def _behind(parts: Sequence[Part], tokens: Sequence[int]) -> Any:
    """
    Give for each token, of which each part has so many, how long the prefix before it is.
    """
    import torch

    lengths = torch.tensor([part.prefix.length for part in parts])
    return torch.repeat_interleave(lengths, torch.tensor(tokens))


def _rectangle(packed: Any, grid: Any) -> Any:
    """
    Give (rows, heads, longest, width) of (heads, tokens, width), by the places in *grid*.
    """
    return packed[:, grid.flatten()].unflatten(1, grid.shape).transpose(0, 1)


Pass = PrefixPass | OpenPass | StepPass


class Rule:
    """
    What a layer's attention does beside the products: scale, window, cap.
    """

    def __init__(self, scale: float, window: int | None, cap: float | None) -> None:
        self.scale, self.window, self.cap = scale, window, cap


@contextlib.contextmanager
def shared_prefix_attention(model: Any) -> Iterator[None]:
    """
    Let *model* use this attention inside the block, and its own afterwards.

    Raises:
        BackendError: if the model does not let its attention be chosen.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _forward)
    configs = {id(config): config for config in _configs(model)}.values()
    before = [(config, config._attn_implementation) for config in configs]
    try:
        for config in configs:
            config._attn_implementation = NAME
        yield
    finally:
        for config, name in before:
            config._attn_implementation = name


def _configs(model: Any) -> Iterator[Any]:
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None and hasattr(config, "_attn_implementation"):
            yield config


def _forward(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    harness_pass: Pass | None = None,
    **others: Any,
) -> tuple[Any, None]:
    """
    The function `transformers` calls: query, key and value of shape (1, heads, tokens, width).
    """
    if harness_pass is None or attention_mask is not None or others.get("s_aux") is not None:
        raise BackendError("this model's attention is called in another way")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    rule = Rule(scale, sliding_window, softcap)
    out = harness_pass.attend(module.layer_idx, query[0], key[0], value[0], rule)
    return out[None], None


def _attend(
    query: Any,
    shared: tuple[Any, Any] | None,
    own: tuple[Any, Any],
    rule: Rule,
    asking: Any,
    asked: Any,
) -> Any:
    """
    Give (rows, queries, heads, width).

    query: (rows, heads, queries, width); shared: (key/value heads, prefix, width); own: (rows,
    key/value heads, slots, width). *asking* and *asked* are the places of queries and slots behind
    the prefix; the first may have a dimension of rows before.
    """
    import torch

    rows, heads, queries, _ = query.shape
    most = max(
        1, _SCORES // (rows * heads * (own[0].shape[2] + (shared[0].shape[1] if shared else 0)))
    )
    if queries <= most:
        return _attend_at_once(query, shared, own, rule, asking, asked)
    parts = [
        _attend_at_once(
            query[:, :, begin : begin + most],
            shared,
            own,
            rule,
            asking[..., begin : begin + most],
            asked,
        )
        for begin in range(0, queries, most)
    ]
    return torch.cat(parts, dim=1)


def _attend_at_once(
    query: Any,
    shared: tuple[Any, Any] | None,
    own: tuple[Any, Any],
    rule: Rule,
    asking: Any,
    asked: Any,
) -> Any:
    import torch

    keys, values = own
    rows, heads, queries, width = query.shape
    groups, slots = keys.shape[1], keys.shape[2]
    each = heads // groups
    # (rows, key/value heads, query heads of one and queries, width)
    query = (query * rule.scale).reshape(rows, groups, each * queries, width)
    hidden = asked > asking[..., None]
    if rule.window is not None:
        hidden = hidden | (asked <= asking[..., None] - rule.window)
    if asking.dim() == 2:
        hidden = hidden[:, None, None]
    # Rows outermost, as on the shelf: there the keys are multiplied where they lie.
    scores = torch.matmul(query, keys.transpose(-1, -2)).view(rows, groups, each, queries, slots)
    if rule.cap is not None:
        scores = torch.tanh(scores / rule.cap) * rule.cap
    scores = scores.masked_fill_(hidden, float("-inf")).view(rows, groups, each * queries, slots)
    if shared is None:
        out = torch.matmul(torch.softmax(scores, dim=-1), values)
    else:
        first_keys, first_values = shared
        prefix = first_keys.shape[1]
        # Key/value heads outermost: one product with the queries of all rows.
        asked_all = query.transpose(0, 1).reshape(groups, -1, width)
        before = torch.matmul(asked_all, first_keys.transpose(-1, -2))
        if rule.cap is not None:
            before = torch.tanh(before / rule.cap) * rule.cap
        before = before.view(groups, rows, each, queries, prefix)
        if rule.window is not None and rule.window < prefix + slots:
            places = torch.arange(-prefix, 0, device=query.device)
            far = places <= asking[..., None] - rule.window
            before.masked_fill_(far[:, None] if asking.dim() == 2 else far, float("-inf"))
        before = before.view(groups, rows, each * queries, prefix)
        weights = torch.softmax(torch.cat([before, scores.transpose(0, 1)], dim=-1), dim=-1)
        out = torch.matmul(weights[..., prefix:].transpose(0, 1), values)
        common = torch.matmul(weights[..., :prefix].reshape(groups, -1, prefix), first_values)
        out += common.view(groups, rows, each * queries, -1).transpose(0, 1)
    out = out.view(rows, groups, each, queries, -1)
    return out.permute(0, 3, 1, 2, 4).reshape(rows, queries, heads, -1)
