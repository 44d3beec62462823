from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from random_models import CONFIGS, random_model
from safetensors.torch import save_file

import pixio_edge
from pixio_edge.errors import CheckFailedError, InputError, OutputError
from pixio_edge.models.checkpoints import config_from_json, config_to_json, load_checkpoint, save_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import PRESETS


def equal(first: DepthModel, second: DepthModel) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("config", CONFIGS)
def test_model_is_the_same_when_saved_and_loaded(tmp_path: Path, config: str) -> None:
    model = random_model(config)

    save_checkpoint(tmp_path / "model.safetensors", model)
    loaded = load_checkpoint(tmp_path / "model.safetensors")

    assert loaded.config == model.config
    assert not loaded.training
    assert equal(loaded, model)


def test_checkpoint_can_be_read_by_other_users(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()

    save_checkpoint(tmp_path / "model.safetensors", random_model("stem"))

    assert (tmp_path / "model.safetensors").stat().st_mode == plain.stat().st_mode


def test_weights_are_rounded_once_when_saved_in_half(tmp_path: Path) -> None:
    model = random_model("stem")

    save_checkpoint(tmp_path / "half.safetensors", model, half=True)
    save_checkpoint(tmp_path / "full.safetensors", model)
    loaded = load_checkpoint(tmp_path / "half.safetensors")
    save_checkpoint(tmp_path / "again.safetensors", loaded, half=True)

    assert equal(load_checkpoint(tmp_path / "again.safetensors"), loaded)
    assert not equal(loaded, model)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().to(value.dtype)), name
    half, full = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full"))
    assert half < 0.6 * full


@pytest.mark.parametrize("wrapped", [False, True])
def test_torch_file_is_loaded_when_the_shape_is_given(tmp_path: Path, wrapped: bool) -> None:
    model = random_model("plain")
    state = model.state_dict()
    torch.save({"model": state, "step": 3} if wrapped else state, tmp_path / "model.pt")

    loaded = load_checkpoint(tmp_path / "model.pt", CONFIGS["plain"])

    assert equal(loaded, model)


def test_torch_file_is_loaded_without_a_shape_when_it_carries_one(tmp_path: Path) -> None:
    model = random_model("plain")
    torch.save({"model": model.state_dict(), "config": config_to_json(model.config)}, tmp_path / "model.pt")

    assert equal(load_checkpoint(tmp_path / "model.pt"), model)


def test_shape_from_before_a_field_existed_is_read_with_the_default_of_that_field() -> None:
    record = json.loads(config_to_json(PRESETS["nano"]))
    for part, younger in (
        ("encoder", ("layer_scale", "position_offset")),
        ("head", ("readout", "output", "max_depth")),
    ):
        for name in younger:
            del record[part][name]

    assert config_from_json(json.dumps(record), source="test") == PRESETS["nano"]


def test_embedded_weights_are_of_the_preset_nano() -> None:
    path = Path(pixio_edge.__file__).parent / "assets" / "nano" / "weights.safetensors"

    assert load_checkpoint(path).config == PRESETS["nano"]


def test_keys_are_named_when_a_checkpoint_does_not_fit(tmp_path: Path) -> None:
    state = random_model("plain").state_dict()
    for name in [name for name in state if name.startswith("encoder.blocks.3.")]:
        del state[name]
    state["encoder.extra"] = torch.zeros(1)
    state["encoder.norm.weight"] = torch.zeros(7)
    save_file(state, tmp_path / "other.safetensors")

    with pytest.raises(InputError) as caught:
        load_checkpoint(tmp_path / "other.safetensors", CONFIGS["plain"])

    message = str(caught.value)
    assert "12 missing encoder.blocks.3.norm1.weight, encoder.blocks.3.norm1.bias" in message
    assert ", …; 1 unexpected encoder.extra" in message
    assert "1 of another shape encoder.norm.weight (got (7,), expected (32,))" in message
    assert "\n" not in message


class Payload:
    """Pickled, it would run code on loading."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


def write_truncated(path: Path) -> None:
    save_checkpoint(path, random_model("stem"))
    path.write_bytes(path.read_bytes()[:-100])


BAD_FILES = {
    "missing": ("a.safetensors", lambda path: None, "no such file"),
    "folder": ("a.safetensors", lambda path: path.mkdir(), "no such file"),
    "empty": ("a.safetensors", lambda path: path.touch(), "cannot be read"),
    "truncated": ("a.safetensors", write_truncated, "cannot be read"),
    "text": ("a.pt", lambda path: path.write_text("hello"), "cannot be read as tensors only"),
    "code": ("a.pt", lambda path: torch.save(Payload(), path), "cannot be read as tensors only"),
    "no state": ("a.pt", lambda path: torch.save([1, 2], path), "holds no state dict"),
    "no shape": ("a.pt", lambda path: torch.save({"w": torch.zeros(1)}, path), "does not say the model's shape"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_file_is_refused_in_one_line_when_it_is_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name, write, message = BAD_FILES[kind]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)

    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(tmp_path / name)

    assert "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [float("nan"), 1e6], ids=["nan", "too large"])
def test_checkpoint_is_refused_and_not_written_when_a_weight_is_not_finite(tmp_path: Path, value: float) -> None:
    model = random_model("stem")
    model.head.output_conv3.bias.fill_(value)

    with pytest.raises(CheckFailedError, match=r"head\.output_conv3\.bias"):
        save_checkpoint(tmp_path / "model.safetensors", model, half=True)

    assert not list(tmp_path.iterdir())


def test_checkpoint_is_refused_when_the_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "no" / "model.safetensors", random_model("stem"))


@pytest.mark.parametrize("preset", PRESETS)
def test_shape_is_the_same_when_written_as_json_and_read(preset: str) -> None:
    assert config_from_json(config_to_json(PRESETS[preset]), source="test") == PRESETS[preset]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["encoder"].pop("depth"), "encoder.depth: Field required"),
        (lambda record: record["encoder"].update(depth="3"), "encoder.depth"),
        (lambda record: record["head"].update(novelty=1), "does not know"),
    ],
    ids=["missing", "wrong type", "unknown"],
)
def test_shape_is_refused_when_a_field_is_wrong(change: object, message: str) -> None:
    record = json.loads(config_to_json(PRESETS["tiny"]))
    change(record)  # type: ignore[operator]

    with pytest.raises(InputError, match=message):
        config_from_json(json.dumps(record), source="test")
