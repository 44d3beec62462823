"""Where an exported model comes from: a checkpoint file, or the checkpoint inside a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pixio_edge.bundle import Bundle
from pixio_edge.errors import BundleError, InputError
from pixio_edge.models.checkpoint_names import is_checkpoint
from pixio_edge.models.checkpoints import load_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import PRESETS, find_preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pixio_edge.manifest import LicenceEntry, Manifest


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A model and what is known about it.

    Args:
        model: The model, in eval mode.
        preset: Name of its preset; "custom" if its shape is none of ours.
        manifest: Manifest of the bundle it was in; None for a bare checkpoint.
        documents: Licence and attribution texts of that bundle, by role.
    """

    model: DepthModel
    preset: str
    manifest: Manifest | None = None
    documents: Mapping[str, Path] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """Kind of architecture, as manifests name it."""
        return "dinov2-dpt" if self.model.config.encoder.layer_scale else "pixio-dpt"

    def licence(self) -> LicenceEntry:
        """Licence of the weights, as the bundle says.

        Raises:
            InputError: There is no bundle that says it.
        """
        if self.manifest is None:
            raise InputError("a checkpoint does not say its licence. Fix: give the licence of the weights")
        return self.manifest.licence


def open_source(source: str, preset: str | None = None) -> ExportSource:
    """Load the model to export.

    Args:
        source: Path of a checkpoint or of a folder that transformers saved, or name or path of a bundle.
        preset: Shape of a checkpoint that does not carry its own.

    Raises:
        InputError: The checkpoint cannot be used, or the preset is unknown.
        BundleError: No such bundle, or it has no checkpoint.
    """
    config = find_preset(preset) if preset is not None else None
    path = Path(source)
    if is_checkpoint(path):
        model = load_checkpoint(path, config)
        return ExportSource(model, _preset_of(model))
    bundle = Bundle.open(source)
    entry = bundle.manifest.file_of_role("checkpoint")
    if entry is None:
        raise BundleError(f"bundle '{source}': has no checkpoint, expected one. Fix: export from the checkpoint file")
    model = load_checkpoint(bundle.read_file(entry), config)
    roles = {"licence", "attribution"}
    documents = {entry.role: bundle.read_file(entry) for entry in bundle.manifest.files if entry.role in roles}
    return ExportSource(model, _preset_of(model), bundle.manifest, documents)


def _preset_of(model: DepthModel) -> str:
    return next((name for name, config in PRESETS.items() if config == model.config), "custom")
