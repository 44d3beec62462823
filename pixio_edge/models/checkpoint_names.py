"""How checkpoints are recognised by their names, without loading torch."""

from __future__ import annotations

from pathlib import Path

# What a file of transformers is called inside its folder; the index lists the files that hold the shards.
WEIGHTS_NAME = "model.safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
INDEX_NAME = f"model{INDEX_SUFFIX}"

SUFFIXES = (".safetensors", INDEX_SUFFIX, ".pt", ".pth", ".bin")


def is_checkpoint(path: Path) -> bool:
    """Whether a path is named as a checkpoint is, or is a folder in which transformers saved a model."""
    if path.is_dir():
        return any((path / name).is_file() for name in (WEIGHTS_NAME, INDEX_NAME))
    return path.name.endswith(SUFFIXES)
