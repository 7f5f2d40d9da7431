"""
Attention over a prefix that all rows share and what each row has of its own, in place.

`transformers` lets an attention function be registered by name, and hands it what a model's forward
is called with. So the model's own code computes everything but attention: its projections, norms
and rotary positions, which come from the positions it is told. Tokens of all rows are packed one
after another, without padding, as in one long row; which row a token belongs to and what it may see
is known here alone. Sliding windows are held by positions, so that padding cannot shift them.

Keys and values are kept once per key/value head and never expanded: the query heads that share one
are put beside each other in one product (Ainslie et al., "GQA", 2023). The keys of the prefix are
multiplied with the queries of all rows at once (Juravsky et al., "Hydragen", 2024).
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from harness.errors import BackendError

NAME = "harness_shared_prefix"

_SCORES = 2**23
"""How many scores are held at once: more are computed a few queries at a time."""


class Shelf:
    """
    Keys and values of one prefix and of up to *rows* rows of up to *slots* tokens behind it.

    Preallocated: a row that is done is overwritten by the next one. Layers are made when their
    first keys come, so their number and shapes need not be known.
    """

    def __init__(self, prefix: int) -> None:
        self.prefix = prefix
        """Tokens of the prefix."""
        self.rows = self.slots = 0
        self._shared: dict[int, tuple[Any, Any]] = {}
        self._own: dict[int, tuple[Any, Any]] = {}

    @property
    def token_bytes(self) -> int:
        """
        What one token's keys and values take, over all layers, once the prefix is there.
        """
        pairs = self._shared.values()
        return sum(int(each.nbytes) for pair in pairs for each in pair) // self.prefix

    def reserve(self, rows: int, slots: int) -> None:
        """
        Make room; what rows held is gone.
        """
        self._own.clear()
        self.rows, self.slots = rows, slots
        for layer, (keys, values) in self._shared.items():
            self._own[layer] = (
                keys.new_empty((rows, keys.shape[0], slots, keys.shape[-1])),
                # Weight zero of what was never written must be zero, and not "not a number".
                values.new_zeros((rows, values.shape[0], slots, values.shape[-1])),
            )

    def share(self, layer: int, keys: Any, values: Any) -> None:
        """
        Keep the prefix's keys and values, each of shape (key/value heads, prefix, width).
        """
        self._shared[layer] = (keys.contiguous(), values.contiguous())

    def shared(self, layer: int) -> tuple[Any, Any]:
        """
        Give them.
        """
        return self._shared[layer]

    def own(self, layer: int) -> tuple[Any, Any]:
        """
        Give the rows' own, each of shape (rows, key/value heads, slots, width).
        """
        return self._own[layer]

    def move(self, source: int, target: int, length: int) -> None:
        """
        Let row *target* be what row *source* is, of which *length* slots are in use.
        """
        for pair in self._own.values():
            for each in pair:
                each[target, :, :length] = each[source, :, :length]


class PrefixPass:
    """
    One forward over the tokens of the prefix itself.
    """

    def __init__(self, shelf: Shelf) -> None:
        import torch

        self._shelf = shelf
        self.positions = torch.arange(shelf.prefix)
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
        self._shelf.share(layer, key, value)
        places = self.positions
        return _attend(query[None], None, (key[None], value[None]), rule, places, places)[0]


class OpenPass:
    """
    One forward over the first tokens of fresh rows: *lengths* of them, packed in this order.
    """

    def __init__(self, shelf: Shelf, slots: Sequence[int], lengths: Sequence[int]) -> None:
        import torch

        self._shelf = shelf
        width = max(lengths)
        sizes = torch.tensor(lengths)
        place = torch.arange(width)
        there = place < sizes[:, None]
        begins = sizes.cumsum(0) - sizes
        # Token of each cell of a rectangle with a row for each row: cells behind the end repeat the
        # first token; none of the row's own looks at them.
        self._grid = torch.where(there, begins[:, None] + place, begins[:, None])
        self._cells = there.flatten().nonzero().flatten()
        self._row = torch.repeat_interleave(torch.tensor(slots), sizes)
        self._slot = torch.cat([torch.arange(length) for length in lengths])

    def to(self, device: Any) -> None:
        """
        Move the indices to where the model is.
        """
        for name in ("_grid", "_cells", "_row", "_slot"):
            setattr(self, name, getattr(self, name).to(device))

    @property
    def positions(self) -> Any:
        """
        Where each packed token stands in its own conversation.
        """
        return self._slot + self._shelf.prefix

    def attend(self, layer: int, query: Any, key: Any, value: Any, rule: "Rule") -> Any:
        """
        Give (tokens, heads, width) for query (heads, tokens, width) and keys and values alike.
        """
        import torch

        keys, values = self._shelf.own(layer)
        keys[self._row, :, self._slot] = key.transpose(0, 1)
        values[self._row, :, self._slot] = value.transpose(0, 1)
        rows, width = self._grid.shape
        flat = self._grid.flatten()

        def rectangle(packed: Any) -> Any:
            heads = packed.shape[0]
            return packed[:, flat].view(heads, rows, width, -1).transpose(0, 1)

        places = torch.arange(width, device=query.device)
        out = _attend(
            rectangle(query),
            self._shelf.shared(layer),
            (rectangle(key), rectangle(value)),
            rule,
            places,
            places,
        )
        return out.flatten(0, 1)[self._cells]


class StepPass:
    """
    One forward over one more token of each of the first rows of the shelf.
    """

    def __init__(self, shelf: Shelf, lengths: Sequence[int]) -> None:
        import torch

        self._shelf = shelf
        self._count, self._reach = len(lengths), max(lengths) + 1
        self._row = torch.arange(self._count)
        self._slot = torch.tensor(lengths)

    def to(self, device: Any) -> None:
        """
        Move the indices to where the model is.
        """
        self._row, self._slot = self._row.to(device), self._slot.to(device)

    @property
    def positions(self) -> Any:
        """
        Where each token stands in its own conversation.
        """
        return self._slot + self._shelf.prefix

    def attend(self, layer: int, query: Any, key: Any, value: Any, rule: "Rule") -> Any:
        """
        Give (rows, heads, width) for query (heads, rows, width) and keys and values alike.
        """
        import torch

        keys, values = self._shelf.own(layer)
        keys[self._row, :, self._slot] = key.transpose(0, 1)
        values[self._row, :, self._slot] = value.transpose(0, 1)
        own = (keys[: self._count, :, : self._reach], values[: self._count, :, : self._reach])
        places = torch.arange(self._reach, device=query.device)
        out = _attend(
            query.transpose(0, 1)[:, :, None],
            self._shelf.shared(layer),
            own,
            rule,
            self._slot[:, None],
            places,
        )
        return out[:, 0]


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
