"""What a bundle says about a model besides its weights, for the manifest and for the metadata inside each graph."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from pixio_edge._version import __version__
from pixio_edge.errors import InputError
from pixio_edge.export.base import OUTPUT_NAME
from pixio_edge.export.prepare import prepare
from pixio_edge.image import ImageSpec
from pixio_edge.manifest import BundleHeader, LicenceEntry, ModelEntry, OutputEntry, cost_size
from pixio_edge.sizes import Size

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

    from pixio_edge.models.depth_model import DepthConfig, DepthModel


@dataclass(frozen=True, slots=True)
class BundleDetails:
    """What only the caller knows about a model.

    Args:
        name: Name of the bundle, such as "nano".
        preset: Preset that the model was built from.
        licence: What may be done with the weights.
        licence_file: Licence text to pack.
        attribution_file: Credits for the training data to pack.
        training: How the weights came to be; free form.
        commit: Commit of the training code.
        family: Kind of architecture.
    """

    name: str
    preset: str
    licence: LicenceEntry
    licence_file: Path | None = None
    attribution_file: Path | None = None
    training: dict[str, JsonValue] | None = None
    commit: str | None = None
    family: str = "pixio-dpt"

    def documents(self) -> list[tuple[Path, str, str]]:
        """Source, name in the bundle and role of each text to pack.

        Raises:
            InputError: A file is missing.
        """
        given = [(self.licence_file, "LICENSE", "licence"), (self.attribution_file, "ATTRIBUTION", "attribution")]
        documents = []
        for source, stem, role in given:
            if source is None:
                continue
            if not source.is_file():
                raise InputError(f"{role} file {source}: no such file. Fix: check the path")
            documents.append((source, f"{stem}{source.suffix}", role))
        return documents


def bundle_header(model: DepthModel, details: BundleDetails) -> BundleHeader:
    """The part of the manifest that describes the model."""
    return BundleHeader(
        model=ModelEntry(
            name=details.name,
            preset=details.preset,
            family=details.family,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            gflop=round(count_gflop(model, cost_size(model.config.encoder.patch_size)), 3),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            tool=f"pixio-edge {__version__}",
            commit=details.commit,
        ),
        image=ImageSpec(multiple_of=model.config.encoder.patch_size),
        output=describe_output(model.config),
        licence=details.licence,
        training=details.training,
    )


def describe_output(config: DepthConfig) -> OutputEntry:
    """The contract of a model's output, from the shape of its head."""
    head = config.head
    if head.max_depth is not None:
        return OutputEntry(
            name=OUTPUT_NAME, kind="metric", direction="larger_is_farther", unit="m", range=(0.0, head.max_depth)
        )
    lowest = 0.0 if head.non_negative else None
    return OutputEntry(
        name=OUTPUT_NAME, kind="relative_inverse", direction="larger_is_nearer", unit=None, range=(lowest, None)
    )


def graph_metadata(header: BundleHeader) -> dict[str, str]:
    """The contract of a graph for its own `metadata_props`, so that a graph without its bundle still explains itself.

    The time of the export is left out: equal weights give equal graphs.
    """
    record = header.model_dump(mode="json", include={"model", "image", "output", "licence"})
    del record["model"]["created"]
    return {f"pixio_edge.{name}": json.dumps(value, sort_keys=True) for name, value in record.items()}


def count_gflop(model: DepthModel, size: Size) -> float:
    """Cost of one forward pass of the exported graph in 1e9 operations of its convolutions and matrix products.

    A multiply-add counts as two.
    """
    prepared = prepare(model, size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        prepared(torch.zeros(1, *size, 3, dtype=torch.uint8))
    return counter.get_total_flops() / 1e9
