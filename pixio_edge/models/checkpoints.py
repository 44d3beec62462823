"""Weights of depth models on disk: safetensors that carry the model's shape, so that a file alone rebuilds the model.

Files of torch (`.pt`, `.pth`) are read too, with `weights_only=True`, so that no code in them runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.files import write_bytes_atomic
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.weights.terms import check_weights

# Key of the model's shape in the metadata of a file, as JSON.
CONFIG_KEY = "config"

# An error names this many keys of each kind; the rest is counted.
KEYS_IN_ERROR = 3

_CONFIG_ADAPTER = TypeAdapter(DepthConfig)


@dataclass(frozen=True, slots=True)
class _Content:
    """What a checkpoint file holds: tensors by name, and the model's shape as JSON if it is there."""

    tensors: Mapping[str, Tensor]
    config_json: str | None


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
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckFailedError(
                f"weight '{name}': has values that are not finite{' in fp16' if half else ''}, expected finite ones. "
                "Fix: train again with a lower learning rate, or save in fp32"
            )
    # Not save_file: it makes files that only their owner may read, also inside an installed package.
    write_bytes_atomic(path, save(tensors, metadata={CONFIG_KEY: config_to_json(model.config)}))


def load_checkpoint(path: Path, config: DepthConfig | None = None) -> DepthModel:
    """Rebuild a model from its weights; every key has to be there with the right shape, and no other.

    Args:
        path: safetensors of `save_checkpoint`, or a torch file with a state dict, bare or under "model".
        config: Shape of the model; None takes the one stored in the file.

    Returns:
        The model in eval mode, float32, on the CPU.

    Raises:
        InputError: The file is missing or damaged, has no shape and none is given, or does not fit the shape.
        LicenceError: Commercial use is insisted on, and the file is known to forbid it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file. Fix: give the path of a .safetensors or .pt file")
    check_weights(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if config is None:
        if content.config_json is None:
            raise InputError(
                f"checkpoint {path}: does not say the model's shape. Fix: name the preset it was made with"
            )
        config = config_from_json(content.config_json, source=str(path))
    model = DepthModel(config)
    load_weights_(model, content.tensors, source=str(path))
    return model.eval()


def load_weights_(model: torch.nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Copy tensors into a model by name; floating point types are converted.

    Args:
        model: Receives the weights.
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
    model.load_state_dict({name: tensors[name].to(value.dtype) for name, value in wanted.items()})


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
    # Dataclasses ignore fields they do not know, and a field that is ignored would change the model.
    if json.loads(config_to_json(config)) != json.loads(text):
        raise InputError(f"checkpoint {source}: model shape has fields that this release does not know. {fix}")
    return config


def _read_safetensors(path: Path) -> _Content:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            return _Content({name: file.get_tensor(name) for name in file.keys()}, metadata.get(CONFIG_KEY))  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"checkpoint {path}: cannot be read ({_one_line(error)}). Fix: copy or train it again"
        ) from error


def _read_torch(path: Path) -> _Content:
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        raise InputError(
            f"checkpoint {path}: cannot be read as tensors only ({_one_line(error)}). Fix: save a plain state dict"
        ) from error
    state = loaded.get("model", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"checkpoint {path}: holds no state dict, bare or under 'model'. Fix: save model.state_dict()")
    config_json = loaded.get(CONFIG_KEY) if state is not loaded else None
    return _Content(state, config_json if isinstance(config_json, str) else None)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
