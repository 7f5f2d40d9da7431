"""
The shared layout computes the loss and the gradients of the padded one.
"""

import pytest

from harness.checkpoints.loading import load_model, load_tokenizer
from harness.checkpoints.locate import locate
from harness.checkpoints.reference import parse_reference
from harness.finetuning.encoding import encode_rows
from harness.finetuning.shared_prefix import (
    collate_shared,
    common_prefix,
    shares_exactly,
    token_losses,
    worth_sharing,
)

from .conftest import TRAIN


@pytest.fixture
def opened(base):
    located = locate(parse_reference(str(base)))
    encoded = encode_rows(load_tokenizer(located), TRAIN, 1024)
    rows = [{"input_ids": list(row.ids), "labels": list(row.labels)} for row in encoded]
    return load_model(located, dtype="float32", device="cpu"), rows


def test_losses_and_gradients_are_those_of_trls_padded_batch(opened):
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model, rows = opened
    padded = DataCollatorForLanguageModeling(pad_token_id=258)(rows)
    expected = model(**padded).loss
    expected.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()

    shared = token_losses(model, collate_shared(rows)).mean()
    shared.backward()

    torch.testing.assert_close(shared, expected)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_padded_layout_gives_the_same_token_losses(opened):
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model, rows = opened
    padded = DataCollatorForLanguageModeling(pad_token_id=258)(rows)

    torch.testing.assert_close(
        token_losses(model, collate_shared(rows)), token_losses(model, padded)
    )


def test_a_model_that_sees_the_rows_beside_it_is_found_out(opened, monkeypatch):
    """
    As one with a state that runs through the sequence would: it ignores the mask.
    """
    model, rows = opened
    assert shares_exactly(model, rows)

    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda attention_mask=None, **others: forward(**others))

    assert not shares_exactly(model, rows)


def test_the_prefix_ends_before_the_token_that_predicts_the_first_label():
    alike = {"input_ids": [1, 2, 3, 4, 5], "labels": [-100, -100, -100, 4, 5]}

    assert 2 == common_prefix([alike, alike])
    assert 1 == common_prefix([alike, {**alike, "input_ids": [1, 9, 3, 4, 5]}])


def test_rows_with_nothing_in_common_are_padded_as_ever():
    one = {"input_ids": [1, 2, 3], "labels": [-100, -100, 3]}
    other = {"input_ids": [7, 8, 9], "labels": [-100, -100, 9]}

    assert not worth_sharing([one, other])
    assert worth_sharing([one, one])
