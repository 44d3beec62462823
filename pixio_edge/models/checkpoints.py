"""Weights of models on disk: safetensors that carry the model's shape, so that a file alone rebuilds the model.

Published checkpoints of Pixio and Depth Anything V2 are read too, in every spelling of their names
(`encoder_spellings`, `head_spellings`) and every container (`checkpoint_files`); they need the name of a preset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import JsonValue, TypeAdapter, ValidationError
from torch import Tensor

from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.models.checkpoint_files import read_checkpoint, write_safetensors
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.encoder_spellings import split_encoder
from pixio_edge.models.head_spellings import HEAD_PREFIXES, rename_head
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder
from pixio_edge.weights.terms import check_weights

# An error names this many keys of each kind; the rest is counted.
KEYS_IN_ERROR = 3

_CONFIG_ADAPTER = TypeAdapter(DepthConfig)


def save_checkpoint(path: Path, model: DepthModel, *, half: bool = False) -> None:
    """Write the weights and the shape of a model as safetensors.

    Args:
        path: The file, by custom with the suffix `.safetensors`.
        model: The model; not changed.
        half: Round floating point values to fp16, for half the size.

    Raises:
        CheckFailedError: A value is not finite, or too large for fp16.
        OutputError: The file cannot be written.
    """
    _save(path, model, model.config, half=half)


def save_encoder(path: Path, encoder: PixioEncoder, config: DepthConfig) -> None:
    """Write an encoder alone, for `load_encoder`.

    Args:
        path: The file, by custom with the suffix `.safetensors`.
        encoder: The encoder; not changed.
        config: Shape of the depth model that it is part of.

    Raises:
        CheckFailedError: A value is not finite.
        OutputError: The file cannot be written.
    """
    _save(path, encoder, config, half=False)


def load_checkpoint(path: Path, config: DepthConfig | None = None) -> DepthModel:
    """Rebuild a model from its weights; every key has to be there with the right shape, and no other.

    Args:
        path: What `save_checkpoint` wrote, or a published checkpoint of an encoder with its depth head; see
            `read_checkpoint` for the kinds of files.
        config: Shape of the model; None takes the one stored in the file.

    Returns:
        The model in eval mode, float32, on the CPU.

    Raises:
        InputError: The file is missing or damaged, has no shape and none is given, or does not fit the shape.
        LicenceError: Commercial use is insisted on, and the file is known to forbid it.
    """
    path = Path(path)
    check_weights(path)
    content = read_checkpoint(path)
    if config is None:
        if content.config_json is None:
            raise InputError(
                f"checkpoint {path}: does not say the model's shape. Fix: name the preset it was made with"
            )
        config = config_from_json(content.config_json, source=str(path))
    parts = split_encoder(content.tensors, source=str(path))
    if parts.encoder and not parts.others:
        raise InputError(
            f"checkpoint {path}: got an encoder without a depth head, expected both. "
            "Fix: train a head on it, or take a checkpoint of a depth model"
        )
    tensors = {f"encoder.{name}": value for name, value in parts.encoder.items()}
    tensors |= rename_head(parts.others, source=str(path))
    with torch.device("meta"):
        model = DepthModel(config)
    load_weights_(model, tensors, source=str(path))
    return model.eval()


def load_encoder(path: Path, config: EncoderConfig) -> PixioEncoder:
    """Load an encoder, bare or out of a depth model, whose head is then left aside.

    Args:
        path: A published checkpoint; see `read_checkpoint` for the kinds of files.
        config: Shape of the encoder, such as `ENCODERS["pixio-vitb16"]`.

    Returns:
        The encoder in eval mode, float32, on the CPU.

    Raises:
        InputError: The file is missing or damaged, or does not fit the shape.
        LicenceError: As for `load_checkpoint`.
    """
    path = Path(path)
    check_weights(path)
    parts = split_encoder(read_checkpoint(path).tensors, source=str(path))
    with torch.device("meta"):
        encoder = PixioEncoder(config)
    strays = {name: value for name, value in parts.others.items() if not name.startswith(HEAD_PREFIXES)}
    load_weights_(encoder, parts.encoder | strays, source=str(path))
    return encoder.eval()


def load_weights_(model: torch.nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Copy tensors into a model by name; floating point types are converted.

    Args:
        model: Receives the weights; one on the meta device takes the tensors over as they are, without a copy.
        tensors: As `model.state_dict()` names them.
        source: Where they come from, for messages.

    Raises:
        InputError: A key is missing, unexpected or of another shape; nothing was copied.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    misshaped = [
        f"{name} (got {tuple(tensors[name].shape)}, expected {tuple(value.shape)})"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    problems = [
        f"{len(names)} {kind} {', '.join(names[:KEYS_IN_ERROR])}{', …' if len(names) > KEYS_IN_ERROR else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped))
        if names
    ]
    if problems:
        raise InputError(
            f"checkpoint {source}: does not fit the model: {'; '.join(problems)}. "
            "Fix: use the preset that the checkpoint was trained with"
        )
    is_empty = any(value.is_meta for value in wanted.values())
    model.load_state_dict({name: tensors[name].to(value.dtype) for name, value in wanted.items()}, assign=is_empty)


def _save(path: Path, model: torch.nn.Module, config: DepthConfig, *, half: bool) -> None:
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckFailedError(
                f"weight '{name}': has values that are not finite{' in fp16' if half else ''}, expected finite ones. "
                "Fix: train again with a lower learning rate, or save in fp32"
            )
    write_safetensors(path, tensors, config_to_json(config))


def config_to_json(config: DepthConfig) -> str:
    """The shape of a model as JSON text."""
    return _CONFIG_ADAPTER.dump_json(config).decode()


def config_from_json(text: str, *, source: str) -> DepthConfig:
    """Read what `config_to_json` wrote.

    Args:
        text: JSON.
        source: Where it comes from, for messages.

    Raises:
        InputError: A field is missing, unknown or of the wrong type.
    """
    fix = "Fix: export or train again with this release"
    try:
        config = _CONFIG_ADAPTER.validate_json(text, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "config"
        raise InputError(f"checkpoint {source}: model shape: {place}: {problem['msg']}. {fix}") from error
    # Dataclasses ignore fields they do not know, and a field that is ignored would change the model. A field that is
    # missing is younger than the file and has its default.
    if not _is_part(json.loads(text), json.loads(config_to_json(config))):
        raise InputError(f"checkpoint {source}: model shape has fields that this release does not know. {fix}")
    return config


def _is_part(given: JsonValue, known: JsonValue) -> bool:
    """Whether every field of `given` is in `known` with the same value."""
    if isinstance(given, dict) and isinstance(known, dict):
        return all(name in known and _is_part(value, known[name]) for name, value in given.items())
    return given == known
