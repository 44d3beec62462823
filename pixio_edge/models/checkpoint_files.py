"""Reads the tensors of a checkpoint, whatever its container (safetensors, shards, torch's own); writes safetensors.

No container may run code: files of torch (`.pt`, `.pth`, `.bin`) are read with `weights_only=True`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pixio_edge.errors import InputError
from pixio_edge.files import write_bytes_atomic
from pixio_edge.models.checkpoint_names import INDEX_NAME, INDEX_SUFFIX, WEIGHTS_NAME

# Key of the model's shape in the metadata of a file, as JSON.
CONFIG_KEY = "config"

# Keys under which training code wraps a state dict.
STATE_KEYS = ("model", "state_dict")


@dataclass(frozen=True, slots=True)
class Content:
    """What a checkpoint holds.

    Attributes:
        tensors: By the names in the file.
        config_json: The model's shape, if the file says it.
    """

    tensors: Mapping[str, Tensor]
    config_json: str | None


def read_checkpoint(path: Path) -> Content:
    """Read all tensors of a checkpoint into memory.

    Args:
        path: A `.safetensors` file, the `.safetensors.index.json` of several, a folder as transformers saves it, or a
            torch file with a state dict, bare or under "model" or "state_dict".

    Raises:
        InputError: The file is missing or damaged, or holds something else.
    """
    if path.is_dir():
        index = path / INDEX_NAME
        path = index if index.is_file() else path / WEIGHTS_NAME
    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file. Fix: give the path of a .safetensors or .pt file")
    if path.name.endswith(INDEX_SUFFIX):
        return _read_shards(path)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def write_safetensors(path: Path, tensors: dict[str, Tensor], config_json: str) -> None:
    """Write tensors and the shape of their model, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    # Not save_file: it makes files that only their owner may read, also inside an installed package.
    write_bytes_atomic(path, save(tensors, metadata={CONFIG_KEY: config_json}))


def _read_safetensors(path: Path, names: Iterable[str] | None = None) -> Content:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            wanted = file.keys() if names is None else names
            return Content({name: file.get_tensor(name) for name in wanted}, metadata.get(CONFIG_KEY))
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"checkpoint {path}: cannot be read ({_one_line(error)}). Fix: copy or train it again"
        ) from error


def _read_shards(index: Path) -> Content:
    """Read the files that an index names; they lie beside it, and only what it lists is read."""
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, file in places.items():
            if Path(file).name != file:
                raise ValueError(f"shard {file!r} is not a file beside it")
            shards.setdefault(file, []).append(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"checkpoint {index}: no index of shards ({_one_line(error)}). Fix: copy the whole folder again"
        ) from error
    tensors: dict[str, Tensor] = {}
    for file, names in shards.items():
        tensors |= _read_safetensors(index.parent / file, names).tensors
    return Content(tensors, None)


def _read_torch(path: Path) -> Content:
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        raise InputError(
            f"checkpoint {path}: cannot be read as tensors only ({_one_line(error)}). Fix: save a plain state dict"
        ) from error
    wrappers = [key for key in STATE_KEYS if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping)]
    state = loaded[wrappers[0]] if wrappers else loaded
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"checkpoint {path}: holds no state dict, bare or under 'model'. Fix: save model.state_dict()")
    config_json = loaded.get(CONFIG_KEY) if wrappers else None
    return Content(state, config_json if isinstance(config_json, str) else None)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
