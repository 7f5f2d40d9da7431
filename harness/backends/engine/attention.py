"""
Attention over a shared prefix and over each row's own tokens, in place.

`transformers` lets an attention function be registered by name and passes on what a model's forward
is called with. So the model's own code computes everything but attention: its projections, norms
and rotary embeddings, which follow the positions given to it. The tokens of all rows are packed one
after another without padding, as in one long row; only this module knows which row a token belongs
to and what it may attend to. Sliding windows are applied by position, so padding cannot shift them.

Keys and values are stored once per key/value head and never expanded: the query heads that share
one are computed in one product (Ainslie et al., "GQA", 2023). The keys of the prefix are multiplied
with the queries of all its rows at once (Juravsky et al., "Hydragen", 2024).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import BackendError

NAME = "harness_shared_prefix"

_MAX_SCORES = 2**23
"""How many attention scores are held at once; larger passes are split along the queries."""


class Prefix:
    """
    Keys and values of the first *length* tokens, shared by all rows that begin with them.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.layers: dict[int, tuple[Any, Any]] = {}
        """Layer -> keys and values, each of shape (key/value heads, length, width)."""

    @property
    def token_bytes(self) -> int:
        """
        Bytes that one token's keys and values take, over all layers.
        """
        sizes = [int(each.nbytes) for pair in self.layers.values() for each in pair]
        return sum(sizes) // self.length


class KVCache:
    """
    Keys and values of up to *rows* rows of up to *slots* tokens, those after their shared prefix.

    Preallocated: a finished row is overwritten by the next one. A layer is allocated on its first
    write, so the number and shapes of the layers need not be known.
    """

    def __init__(self, rows: int, slots: int) -> None:
        self._rows, self._slots = rows, slots
        self._layers: dict[int, tuple[Any, Any]] = {}

    def write(self, layer: int, row: Any, slot: Any, key: Any, value: Any) -> tuple[Any, Any]:
        """
        Store *key* and *value*, each of shape (key/value heads, tokens, width), in the *row* and
        *slot* of each token.

        Returns all keys and values of the layer, of shape (rows, key/value heads, slots, width).
        """
        if layer not in self._layers:
            self._layers[layer] = (
                key.new_empty((self._rows, key.shape[0], self._slots, key.shape[-1])),
                # Zeros, since an unwritten slot is multiplied with a weight of zero: a NaN there
                # would spread.
                value.new_zeros((self._rows, value.shape[0], self._slots, value.shape[-1])),
            )
        keys, values = self._layers[layer]
        keys[row, :, slot] = key.transpose(0, 1)
        values[row, :, slot] = value.transpose(0, 1)
        return keys, values

    def copy_row(self, source: int, target: int, length: int) -> None:
        """
        Copy the first *length* slots of row *source* to row *target*.
        """
        import torch

        # The layers were made in inference mode and may be written to in that mode only.
        with torch.inference_mode():
            for pair in self._layers.values():
                for each in pair:
                    each[target, :, :length] = each[source, :, :length]


@dataclass(frozen=True, slots=True)
class Segment:
    """
    Adjacent rows with the same prefix, and how many tokens each has after it.
    """

    prefix: Prefix
    lengths: Sequence[int]


class PrefixPrefill:
    """
    One forward pass over the tokens of a prefix itself.
    """

    def __init__(self, prefix: Prefix) -> None:
        import torch

        self._prefix = prefix
        self.positions = torch.arange(prefix.length)
        """The position of each packed token in its own conversation."""

    def to(self, device: Any) -> None:
        """
        Move the indices to *device*, the model's.
        """
        self.positions = self.positions.to(device)

    def attend(
        self, layer: int, query: Any, key: Any, value: Any, parameters: "AttentionParameters"
    ) -> Any:
        """
        Return (tokens, heads, width) for query, key and value of shape (heads, tokens, width).
        """
        self._prefix.layers[layer] = (key.contiguous(), value.contiguous())
        own = (key[None], value[None])
        return _attend(query[None], None, own, parameters, self.positions, self.positions)[0]


class Prefill:
    """
    One forward pass over the first tokens of new rows, those from row *first* on: of each row as
    many as its segment says, packed in this order.
    """

    def __init__(self, cache: KVCache, first: int, segments: Sequence[Segment]) -> None:
        import torch

        self._cache = cache
        self._prefixes = [segment.prefix for segment in segments]
        self._grids: list[Any] = []
        """For each segment, (rows, longest row): the index of each token among the packed ones.
        Cells past a row's end repeat its first token; causality hides them from the row's own."""
        self._cells: list[Any] = []
        """For each segment, the cells of its flattened grid that are not past a row's end."""
        begin = 0
        for segment in segments:
            sizes = torch.tensor(segment.lengths)
            place = torch.arange(int(sizes.max()))
            inside = place < sizes[:, None]
            begins = (begin + sizes.cumsum(0) - sizes)[:, None]
            self._grids.append(torch.where(inside, begins + place, begins))
            self._cells.append(inside.flatten().nonzero().flatten())
            begin += int(sizes.sum())
        lengths = [length for segment in segments for length in segment.lengths]
        rows = torch.arange(first, first + len(lengths))
        self._row = torch.repeat_interleave(rows, torch.tensor(lengths))
        self._slot = torch.cat([torch.arange(length) for length in lengths])
        tokens = [sum(segment.lengths) for segment in segments]
        self._prefix_length = _prefix_lengths(segments, tokens)

    def to(self, device: Any) -> None:
        """
        Move the indices to *device*, the model's.
        """
        for name in ("_row", "_slot", "_prefix_length"):
            setattr(self, name, getattr(self, name).to(device))
        self._grids = [each.to(device) for each in self._grids]
        self._cells = [each.to(device) for each in self._cells]

    @property
    def positions(self) -> Any:
        """
        The position of each packed token in its own conversation.
        """
        return self._slot + self._prefix_length

    def attend(
        self, layer: int, query: Any, key: Any, value: Any, parameters: "AttentionParameters"
    ) -> Any:
        """
        Return (tokens, heads, width) for query, key and value of shape (heads, tokens, width).
        """
        import torch

        self._cache.write(layer, self._row, self._slot, key, value)
        out = []
        for prefix, grid, cells in zip(self._prefixes, self._grids, self._cells, strict=True):
            own = (_unpacked(key, grid), _unpacked(value, grid))
            slots = torch.arange(grid.shape[1], device=query.device)
            queries = _unpacked(query, grid)
            found = _attend(queries, prefix.layers[layer], own, parameters, slots, slots)
            out.append(found.flatten(0, 1)[cells])
        return torch.cat(out)


class DecodeStep:
    """
    One forward pass over one more token of each of the cache's first rows, those of *segments*.
    """

    def __init__(self, cache: KVCache, segments: Sequence[Segment]) -> None:
        import torch

        self._cache, self._segments = cache, segments
        self._slot = torch.tensor([length for segment in segments for length in segment.lengths])
        self._row = torch.arange(len(self._slot))
        tokens = [len(segment.lengths) for segment in segments]
        self._prefix_length = _prefix_lengths(segments, tokens)

    def to(self, device: Any) -> None:
        """
        Move the indices to *device*, the model's.
        """
        for name in ("_row", "_slot", "_prefix_length"):
            setattr(self, name, getattr(self, name).to(device))

    @property
    def positions(self) -> Any:
        """
        The position of each packed token in its own conversation.
        """
        return self._slot + self._prefix_length

    def attend(
        self, layer: int, query: Any, key: Any, value: Any, parameters: "AttentionParameters"
    ) -> Any:
        """
        Return (rows, heads, width) for query, key and value of shape (heads, rows, width).
        """
        import torch

        keys, values = self._cache.write(layer, self._row, self._slot, key, value)
        queries = query.transpose(0, 1)[:, :, None]
        out = []
        begin = 0
        for segment in self._segments:
            rows = slice(begin, begin + len(segment.lengths))
            reach = max(segment.lengths) + 1
            own = (keys[rows, :, :reach], values[rows, :, :reach])
            slots = torch.arange(reach, device=query.device)
            shared = segment.prefix.layers[layer]
            query_slots = self._slot[rows, None]
            out.append(_attend(queries[rows], shared, own, parameters, query_slots, slots)[:, 0])
            begin = rows.stop
        return torch.cat(out)


def _prefix_lengths(segments: Sequence[Segment], tokens: Sequence[int]) -> Any:
    """
    Return the length of each token's prefix, of which tokens each segment has so many.
    """
    import torch

    lengths = torch.tensor([segment.prefix.length for segment in segments])
    return torch.repeat_interleave(lengths, torch.tensor(tokens))


def _unpacked(packed: Any, grid: Any) -> Any:
    """
    Return (rows, heads, longest row, width) from (heads, tokens, width), by the indices in *grid*.
    """
    return packed[:, grid.flatten()].unflatten(1, grid.shape).transpose(0, 1)


ForwardPass = PrefixPrefill | Prefill | DecodeStep


class AttentionParameters:
    """
    What a layer's attention does besides the products: scale, sliding window, soft cap.
    """

    def __init__(self, scale: float, window: int | None, softcap: float | None) -> None:
        self.scale, self.window, self.softcap = scale, window, softcap


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
    harness_pass: ForwardPass | None = None,
    **others: Any,
) -> tuple[Any, None]:
    """
    The function `transformers` calls: query, key and value of shape (1, heads, tokens, width).
    """
    if harness_pass is None or attention_mask is not None or others.get("s_aux") is not None:
        raise BackendError("this model calls its attention in an unsupported way")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    parameters = AttentionParameters(scale, sliding_window, softcap)
    out = harness_pass.attend(module.layer_idx, query[0], key[0], value[0], parameters)
    return out[None], None


def _attend(
    query: Any,
    shared: tuple[Any, Any] | None,
    own: tuple[Any, Any],
    parameters: AttentionParameters,
    query_slots: Any,
    key_slots: Any,
) -> Any:
    """
    Return (rows, queries, heads, width).

    query: (rows, heads, queries, width); shared: (key/value heads, prefix, width); own: (rows,
    key/value heads, slots, width). *query_slots* and *key_slots* are positions after the prefix;
    the former may have a leading dimension of rows.
    """
    import torch

    rows, heads, queries, _ = query.shape
    keys_per_query = own[0].shape[2] + (shared[0].shape[1] if shared else 0)
    most = max(1, _MAX_SCORES // (rows * heads * keys_per_query))
    if queries <= most:
        return _attend_at_once(query, shared, own, parameters, query_slots, key_slots)
    chunks = [
        _attend_at_once(
            query[:, :, begin : begin + most],
            shared,
            own,
            parameters,
            query_slots[..., begin : begin + most],
            key_slots,
        )
        for begin in range(0, queries, most)
    ]
    return torch.cat(chunks, dim=1)


def _attend_at_once(
    query: Any,
    shared: tuple[Any, Any] | None,
    own: tuple[Any, Any],
    parameters: AttentionParameters,
    query_slots: Any,
    key_slots: Any,
) -> Any:
    import torch

    keys, values = own
    rows, heads, queries, width = query.shape
    groups, slots = keys.shape[1], keys.shape[2]
    each = heads // groups
    # (rows, key/value heads, query heads of one and queries, width)
    query = (query * parameters.scale).reshape(rows, groups, each * queries, width)
    hidden = key_slots > query_slots[..., None]
    if parameters.window is not None:
        hidden = hidden | (key_slots <= query_slots[..., None] - parameters.window)
    if query_slots.dim() == 2:
        hidden = hidden[:, None, None]
    # Rows outermost, as in the cache: there the keys are multiplied where they lie.
    scores = torch.matmul(query, keys.transpose(-1, -2)).view(rows, groups, each, queries, slots)
    if parameters.softcap is not None:
        scores = torch.tanh(scores / parameters.softcap) * parameters.softcap
    scores = scores.masked_fill_(hidden, float("-inf")).view(rows, groups, each * queries, slots)
    if shared is None:
        out = torch.matmul(torch.softmax(scores, dim=-1), values)
    else:
        prefix_keys, prefix_values = shared
        prefix = prefix_keys.shape[1]
        # Key/value heads outermost: one product with the queries of all rows.
        all_queries = query.transpose(0, 1).reshape(groups, -1, width)
        before = torch.matmul(all_queries, prefix_keys.transpose(-1, -2))
        if parameters.softcap is not None:
            before = torch.tanh(before / parameters.softcap) * parameters.softcap
        before = before.view(groups, rows, each, queries, prefix)
        if parameters.window is not None and parameters.window < prefix + slots:
            prefix_slots = torch.arange(-prefix, 0, device=query.device)
            far = prefix_slots <= query_slots[..., None] - parameters.window
            before.masked_fill_(far[:, None] if query_slots.dim() == 2 else far, float("-inf"))
        before = before.view(groups, rows, each * queries, prefix)
        weights = torch.softmax(torch.cat([before, scores.transpose(0, 1)], dim=-1), dim=-1)
        out = torch.matmul(weights[..., prefix:].transpose(0, 1), values)
        common = torch.matmul(weights[..., :prefix].reshape(groups, -1, prefix), prefix_values)
        out += common.view(groups, rows, each * queries, -1).transpose(0, 1)
    out = out.view(rows, groups, each, queries, -1)
    return out.permute(0, 3, 1, 2, 4).reshape(rows, queries, heads, -1)
