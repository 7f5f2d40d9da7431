"""
The same loss for less work without a GPU: the common prefix of a batch is computed once.

Rows of one suite begin with the same system text and tool declarations, and the loss needs
logits only where the assistant speaks. So a batch is laid out as one sequence, the common prefix
followed by the rest of each row, with an attention mask that keeps the rows apart and positions
that continue the prefix; and the head is computed only for tokens that are learned. The loss and
its gradients are those of the padded batch up to rounding; `shares_exactly` checks that on the
model itself, as one with memory besides attention (a convolution, a state) would differ.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

IGNORED = -100
"""The label of a token that is not learned; PyTorch's convention."""

TOLERANCE = 1e-3
"""Largest difference of a token's loss between the two layouts. Rounding in float32 causes about
1e-5; a token that attends to too much or too little causes more than 0.1."""


LONGEST = 2048
"""Maximum length of a shared sequence, in tokens."""


def collate_shared(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Lay out tokenized rows (``input_ids``, ``labels``) as one sequence with a common prefix.
    """
    import torch

    prefix = common_prefix(rows)
    first = rows[0]["input_ids"][:prefix]
    ids, labels = list(first), [IGNORED] * prefix
    positions, segments = list(range(prefix)), [0] * prefix
    for number, row in enumerate(rows, start=1):
        rest = row["input_ids"][prefix:]
        ids += rest
        labels += row["labels"][prefix:]
        positions += range(prefix, prefix + len(rest))
        segments += [number] * len(rest)
    segment = torch.tensor(segments)
    earlier = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    own = (segment[:, None] == segment[None, :]) | (segment[None, :] == 0)
    mask = torch.zeros(len(ids), len(ids))
    mask.masked_fill_(~(earlier & own), torch.finfo(mask.dtype).min)
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": mask[None, None],
        "labels": torch.tensor([labels]),
    }


def common_prefix(rows: Sequence[Mapping[str, Any]]) -> int:
    """
    Count the tokens that all *rows* begin with, up to the token before the first learned one.

    That token must stay in the row: its logits are compared with the first label.
    """
    learned = min(
        next(index for index, label in enumerate(row["labels"]) if label != IGNORED) for row in rows
    )
    limit = max(0, learned - 1)
    first = rows[0]["input_ids"]
    for index in range(limit):
        if any(row["input_ids"][index] != first[index] for row in rows[1:]):
            return index
    return limit


def worth_sharing(rows: Sequence[Mapping[str, Any]]) -> bool:
    """
    Return whether one sequence of *rows* is less work than a padded batch of them.

    Attention is quadratic in the length of a sequence, so a very long one is not worth it.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    prefix = common_prefix(rows)
    together = prefix + sum(len(row["input_ids"]) - prefix for row in rows)
    return together <= LONGEST and together < longest * len(rows)


def token_losses(model: Any, inputs: Mapping[str, Any]) -> Any:
    """
    Return the loss of every learned token of a batch in either layout, row by row.
    """
    import torch

    targets = inputs["labels"][:, 1:]
    learned = targets != IGNORED
    columns = learned.any(dim=0).nonzero()[:, 0]
    others = {key: value for key, value in inputs.items() if key != "labels"}
    logits = model(**others, use_cache=False, logits_to_keep=columns).logits
    chosen = learned[:, columns]
    return torch.nn.functional.cross_entropy(
        logits[chosen].float(), targets[:, columns][chosen], reduction="none"
    )


def can_share(model: Any) -> bool:
    """
    Return whether *model* can compute the logits of chosen positions only.
    """
    own = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(type(own).forward).parameters


def shares_exactly(model: Any, rows: Sequence[Mapping[str, Any]]) -> bool:
    """
    Return whether *rows* have the same losses in one sequence as they have one by one.
    """
    import torch

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            together = token_losses(model, collate_shared(rows))
            alone = torch.cat(
                [
                    token_losses(
                        model,
                        {key: torch.tensor([row[key]]) for key in ("input_ids", "labels")},
                    )
                    for row in rows
                ]
            )
    finally:
        model.train(training)
    return bool(torch.allclose(together, alone, rtol=0.0, atol=TOLERANCE))
