"""The names under which checkpoints keep an encoder's weights, turned into those of `PixioEncoder`.

Spellings, found by the class token's name and by what stands before it:
- original (`blocks.0.attn.qkv.weight`): bare in Pixio's `.pth`; behind `encoder.` in its depth evaluation and in our
  checkpoints; behind `pretrained.` in Depth Anything V2;
- transformers on disk (`encoder.layer.0.attention.attention.query.weight`), where Pixio's MLP is `mlp.fc1` as the
  authors converted it and `intermediate.dense` as transformers 5.23 saves it;
- transformers in memory from 5.9 on (`layers.0.attention.q_proj.weight`);
- both of these inside a backbone (`pixio.`, `encoder.` or `backbone.` in front).
q, k and v are packed in the original, and three tensors in transformers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pixio_edge.errors import InputError

# In front of everything, from data-parallel, compiled and training wrappers.
WRAPPERS = ("module.", "_orig_mod.", "model.")

# Needed by masked pretraining only.
UNUSED = frozenset({"mask_token", "embeddings.mask_token"})

_EMBEDDINGS = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm": "norm",
}
_BLOCK = re.compile(r"(?:encoder\.)?layers?\.(\d+)\.(.+)")
_IN_BLOCK = {
    "norm1": "norm1",
    "layernorm_before": "norm1",
    "norm2": "norm2",
    "layernorm_after": "norm2",
    "attention.attention.query": "attn.q",
    "attention.attention.key": "attn.k",
    "attention.attention.value": "attn.v",
    "attention.q_proj": "attn.q",
    "attention.k_proj": "attn.k",
    "attention.v_proj": "attn.v",
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}


@dataclass(frozen=True, slots=True)
class EncoderTensors:
    """A checkpoint taken apart.

    Attributes:
        encoder: The encoder's tensors by the names of `PixioEncoder`; names that no spelling has are kept.
        others: All other tensors by their names in the file, without wrappers.
    """

    encoder: dict[str, Tensor]
    others: dict[str, Tensor]


def split_encoder(tensors: Mapping[str, Tensor], *, source: str) -> EncoderTensors:
    """Find the encoder in a checkpoint and rename its tensors.

    Args:
        tensors: By the names in the file.
        source: Where they come from, for messages.

    Returns:
        Both parts; no encoder if there is not exactly one class token, which loading then reports.

    Raises:
        InputError: Two tensors have the same meaning.
    """
    tensors = _unwrap(dict(tensors))
    markers = [name for name in tensors if name.rpartition(".")[2] == "cls_token"]
    if len(markers) != 1:
        return EncoderTensors({}, tensors)
    marker = markers[0]
    is_original = not marker.endswith("embeddings.cls_token")
    prefix = marker.removesuffix("cls_token" if is_original else "embeddings.cls_token")
    inner = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    others = {name: value for name, value in tensors.items() if not name.startswith(prefix)}
    inner = {name: value for name, value in inner.items() if name not in UNUSED}
    if is_original:
        return EncoderTensors(inner, others)
    _settle_final_norm_(inner, others)
    return EncoderTensors(_pack(rename_all(inner, _from_transformers, source=source)), others)


def rename_all(tensors: Mapping[str, Tensor], rename: Callable[[str], str], *, source: str) -> dict[str, Tensor]:
    """Tensors under new names.

    Args:
        tensors: By their old names.
        rename: Old name to new name.
        source: Where they come from, for messages.

    Raises:
        InputError: Two get the same name.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        new = rename(name)
        if new in renamed:
            raise InputError(
                f"checkpoint {source}: has '{new}' in two spellings, one of them '{name}', expected one. "
                "Fix: save it again with one library"
            )
        renamed[new] = value
    return renamed


def _unwrap(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in (*WRAPPERS, *WRAPPERS):  # they may be nested, in any order
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def _settle_final_norm_(inner: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    """Choose between the two final norms of a `PixioBackbone` saved by transformers from 5.9 on.

    Its feature maps go through the outer one, so that is the trained one, except in a backbone made from a `PixioModel`
    checkpoint: transformers (up to 5.23 at least) then leaves the outer one as it was created, ones and zeros, and the
    trained one is inside.
    """
    outer = {name: others[name] for name in ("layernorm.weight", "layernorm.bias") if name in others}
    if len(outer) != 2:
        return
    untouched = bool((outer["layernorm.weight"] == 1).all()) and bool((outer["layernorm.bias"] == 0).all())
    for name, value in outer.items():
        del others[name]
        if not untouched or name not in inner:
            inner[name] = value


def _from_transformers(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    start, rest = (f"blocks.{block[1]}.", block[2]) if block else ("", name)
    table = _IN_BLOCK if block else _EMBEDDINGS
    if rest in table:
        return start + table[rest]
    module, _, parameter = rest.rpartition(".")
    return f"{start}{table[module]}.{parameter}" if module in table else name


def _pack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stack q, k and v along their rows, where all three are there."""
    packed = dict(tensors)
    for name in tensors:
        if ".attn.q." not in name:
            continue
        parts = [name.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in tensors for part in parts):
            packed[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat([packed.pop(part) for part in parts])
    return packed
