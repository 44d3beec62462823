"""Every spelling in which Pixio's weights exist, from a tiny random encoder to files and back, against transformers.

Traps of transformers that these tests walk around, seen in 5.23: `AutoBackbone.from_pretrained` refuses a local folder;
`PixioBackbone` made from a model's checkpoint has an untrained norm; releases before 5.9 take 256x256 only, and later
ones cut off what is no whole patch, where the original and we refuse the image; `hidden_states` are before the norm.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pixio_names import SMALL, random_encoder, to_transformers, transformers_config
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PixioBackbone, PixioModel

from pixio_edge.errors import InputError
from pixio_edge.models.checkpoints import load_checkpoint, load_encoder
from pixio_edge.models.depth_model import DepthConfig
from pixio_edge.models.pixio import PixioEncoder
from pixio_edge.models.teachers import pixio_head

# Both are float32 and compute the same in the same order; what is left is rounding of differently fused products.
TOLERANCE = 1e-5

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def original() -> PixioEncoder:
    torch.set_num_threads(1)
    return random_encoder()


@pytest.fixture(scope="module")
def reference(original: PixioEncoder) -> PixioModel:
    model = PixioModel(transformers_config()).eval().requires_grad_(False)
    model.load_state_dict(to_transformers(original.state_dict(), in_memory=True), strict=True)
    return model


def write_bare(folder: Path, state: State, _: PixioModel) -> Path:
    torch.save(state, folder / "pixio_vitx16.pth")
    return folder / "pixio_vitx16.pth"


def write_wrapped(folder: Path, state: State, _: PixioModel) -> Path:
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, folder / "wrapped.pth")
    return folder / "wrapped.pth"


def write_evaluation(folder: Path, state: State, _: PixioModel) -> Path:
    head = {"head.1.weight": torch.zeros(1, 96, 1, 1), "head.1.bias": torch.zeros(1)}
    torch.save({f"encoder.{name}": value for name, value in state.items()} | head, folder / "evaluation.pth")
    return folder / "evaluation.pth"


def write_converted(folder: Path, state: State, _: PixioModel) -> Path:
    save_file(to_transformers(state, in_memory=False), folder / "model.safetensors")
    return folder / "model.safetensors"


def write_saved(folder: Path, _: State, model: PixioModel) -> Path:
    """Since 5.9 it calls the MLP `intermediate.dense` and `output.dense` on disk."""
    model.save_pretrained(folder)
    assert "encoder.layer.0.intermediate.dense.weight" in load_file(folder / "model.safetensors")
    return folder


def write_shards(folder: Path, _: State, model: PixioModel) -> Path:
    model.save_pretrained(folder, max_shard_size="200KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder / "model.safetensors.index.json"


def write_memory(folder: Path, _: State, model: PixioModel) -> Path:
    torch.save(model.state_dict(), folder / "memory.bin")
    return folder / "memory.bin"


def write_backbone(folder: Path, _: State, model: PixioModel) -> Path:
    """With the norm that its feature maps go through outside, and another one, never used, inside."""
    backbone = PixioBackbone(transformers_config())
    backbone.pixio.load_state_dict(model.state_dict())
    backbone.layernorm.load_state_dict(model.layernorm.state_dict())
    torch.nn.init.zeros_(backbone.pixio.layernorm.bias)
    backbone.save_pretrained(folder)
    names = load_file(folder / "model.safetensors").keys()
    assert {"layernorm.weight", "encoder.layernorm.weight", "encoder.encoder.layer.0.norm1.weight"} <= names
    return folder


def write_backbone_from_model(folder: Path, _: State, model: PixioModel) -> Path:
    """The trap: transformers leaves the outer norm of a backbone untrained when it loads the checkpoint of a model."""
    model.save_pretrained(folder / "model")
    PixioBackbone.from_pretrained(folder / "model").save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    assert torch.equal(tensors["layernorm.weight"], torch.ones(SMALL.embed_dim))
    assert "pixio.encoder.layer.0.norm1.weight" in tensors
    return folder


def write_backbone_in_memory(folder: Path, _: State, model: PixioModel) -> Path:
    state = {f"pixio.{name}": value for name, value in model.state_dict().items()}
    outer = {name: value for name, value in model.state_dict().items() if name.startswith("layernorm.")}
    torch.save({"state_dict": state | outer}, folder / "backbone.pt")
    return folder / "backbone.pt"


SPELLINGS: dict[str, Callable[[Path, State, PixioModel], Path]] = {
    "original": write_bare,
    "original in a wrapper": write_wrapped,
    "original with a head": write_evaluation,
    "transformers on disk, converted": write_converted,
    "transformers on disk, saved": write_saved,
    "transformers on disk, in shards": write_shards,
    "transformers in memory": write_memory,
    "backbone on disk": write_backbone,
    "backbone made from a model": write_backbone_from_model,
    "backbone in memory": write_backbone_in_memory,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@torch.inference_mode()
def test_encoder_is_bit_equal_when_loaded_from_any_spelling(
    tmp_path: Path, original: PixioEncoder, reference: PixioModel, spelling: str
) -> None:
    path = SPELLINGS[spelling](tmp_path, original.state_dict(), reference)

    loaded = load_encoder(path, SMALL)

    state = loaded.state_dict()
    assert {name for name, value in original.state_dict().items() if not torch.equal(state[name], value)} == set()
    assert not loaded.training
    image = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    expected = reference(image).last_hidden_state
    torch.testing.assert_close(loaded(image), expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_fp16_weights_become_float32_when_loaded(tmp_path: Path, original: PixioEncoder) -> None:
    halves = {name: value.half() for name, value in original.state_dict().items()}
    save_file(halves, tmp_path / "half.safetensors")

    loaded = load_encoder(tmp_path / "half.safetensors", SMALL)

    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    assert torch.equal(loaded.pos_embed, halves["pos_embed"].float())


def drop_key(state: State) -> None:
    del state["encoder.layer.1.attention.attention.key.bias"]


def add_key(state: State) -> None:
    state["embeddings.register_tokens"] = torch.zeros(1)


def shrink(state: State) -> None:
    state["embeddings.position_embeddings"] = state["embeddings.position_embeddings"][:, :-1].clone()


def repeat(state: State) -> None:
    state["layers.0.layernorm_before.weight"] = state["encoder.layer.0.norm1.weight"].clone()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_key, r"1 missing blocks\.1\.attn\.qkv\.bias; 2 unexpected blocks\.1\.attn\.q\.bias"),
        (add_key, r"1 unexpected embeddings\.register_tokens"),
        (shrink, r"1 of another shape pos_embed \(got \(1, 263, 48\), expected \(1, 264, 48\)\)"),
        (repeat, r"has 'blocks\.0\.norm1\.weight' in two spellings"),
    ],
)
def test_keys_are_named_when_an_encoder_does_not_fit(
    tmp_path: Path, original: PixioEncoder, change: Callable[[State], None], message: str
) -> None:
    state = to_transformers(original.state_dict(), in_memory=False)
    change(state)
    save_file(state, tmp_path / "model.safetensors")

    with pytest.raises(InputError, match=message) as caught:
        load_encoder(tmp_path, SMALL)

    assert "\n" not in str(caught.value)


def test_keys_that_are_neither_encoder_nor_head_are_refused(tmp_path: Path, original: PixioEncoder) -> None:
    state = {f"encoder.{name}": value for name, value in original.state_dict().items()}
    torch.save(state | {"decoder.weight": torch.zeros(1)}, tmp_path / "more.pt")

    with pytest.raises(InputError, match=r"1 unexpected decoder\.weight"):
        load_encoder(tmp_path / "more.pt", SMALL)


def test_encoder_alone_is_no_depth_model(tmp_path: Path, original: PixioEncoder) -> None:
    torch.save(original.state_dict(), tmp_path / "pixio_vitx16.pth")

    with pytest.raises(InputError, match="an encoder without a depth head"):
        load_checkpoint(tmp_path / "pixio_vitx16.pth", DepthConfig(SMALL, pixio_head(4, 10.0)))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "no index of shards"),
        ("[]", "no index of shards"),
        ('{"weight_map": {"a": 3}}', "no index of shards"),
        ('{"weight_map": {"a": "../outside.safetensors"}}', "is not a file beside it"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "cannot be read"),
        ('{"weight_map": {"absent": "there.safetensors"}}', "cannot be read"),
    ],
)
def test_index_of_shards_is_refused_in_one_line_when_it_is_damaged(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    save_file({"a": torch.zeros(1)}, tmp_path / "there.safetensors")

    with pytest.raises(InputError, match=message) as caught:
        load_encoder(tmp_path, SMALL)

    assert "\n" not in str(caught.value)
