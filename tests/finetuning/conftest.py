"""
A model of some thousand weights, with the real Hermes template and a tokenizer of single bytes.
"""

from importlib import resources
from pathlib import Path

import pytest

from harness.finetuning import Row
from harness.messages import Message, Tool, ToolCall

END = "<|im_end|>"

SEARCH = Tool.from_schema(
    {
        "name": "search",
        "description": "Look it up.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    }
)
SUM = Tool.from_schema(
    {
        "name": "sum",
        "description": "Add.",
        "parameters": {
            "type": "object",
            "properties": {"terms": {"type": "array", "items": {"type": "number"}}},
        },
    }
)


def row(prompt: str, call: ToolCall, *tools: Tool, source: str = "train.jsonl:1") -> Row:
    return Row(
        messages=(
            Message(role="developer", content="Call."),
            Message(role="user", content=prompt),
            Message(role="assistant", tool_calls=(call,)),
        ),
        tools=tools,
        source=source,
    )


def searches(*queries: str) -> tuple[Row, ...]:
    return tuple(
        row(f"find {query}", ToolCall(name="search", arguments={"query": query}), SEARCH)
        for query in queries
    )


TRAIN = searches("a cat", "the sun", "red", "Oslo trams")
VALID = searches("a dog", "the moon")


def hermes() -> str:
    return (resources.files("harness.checkpoints") / "hermes.jinja").read_text("utf-8")


def make_base(folder: Path, template: str, *, seed: int = 7) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    specials = ["<|im_start|>", END, "<pad>"]
    inner.add_special_tokens(specials)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=END, pad_token="<pad>", chat_template=template
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(letters) + len(specials),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"), hermes())
