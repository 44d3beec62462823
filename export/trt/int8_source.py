"""The INT8 graphs that typed ones are made from: those of `quantize` for TensorRT, or made from its table."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import onnx

from pixio_edge.calibration.emit import emit
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.calibration.table import load_table
from pixio_edge.errors import InputError
from pixio_edge.quantization import QuantizationEntry

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.calibration.emit import Flavour
    from pixio_edge.calibration.table import CalibrationTable
    from pixio_edge.manifest import ArtifactEntry, FileEntry
    from pixio_edge.sizes import Size

FLAVOUR: Flavour = "tensorrt"

# Whose layers are given back to float where `quantize` has not been run for TensorRT: the flavours of the same pairs.
SYMMETRIC_FLAVOURS: tuple[Flavour, ...] = (FLAVOUR, "openvino")

CALIBRATION_ROLE = "calibration"


def has_table(bundle: Bundle) -> bool:
    """Whether a bundle was calibrated, so that it can be exported in INT8."""
    return _table_entry(bundle) is not None


class Int8Graphs:
    """INT8 graph of each size, weights in memory.

    Args:
        bundle: Where they come from.

    Raises:
        BundleError: It has no fp32 ONNX artifact.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.ladder = FloatLadder(bundle)

    def require_table(self) -> FileEntry:
        """The calibration table of the bundle.

        Raises:
            InputError: It has none.
        """
        entry = _table_entry(self._bundle)
        if entry is None:
            raise InputError(
                "INT8 for TensorRT: the bundle has no calibration table, expected one. "
                "Fix: pixio-edge quantize FOLDER --data PHOTOS first, or leave INT8 out"
            )
        return entry

    def __getitem__(self, size: Size) -> onnx.ModelProto:
        """INT8 graph of a size.

        Raises:
            InputError: There is no table.
            BundleError: A file is damaged.
        """
        ready = next((a for a in _of_flavour(self._bundle, FLAVOUR) if a.size == size), None)
        if ready is not None:
            return onnx.load(self._bundle.read_artifact(ready).path)
        return emit(self.ladder[size], self._table, FLAVOUR, keep_float=self.facts.keep_float)

    @cached_property
    def facts(self) -> QuantizationEntry:
        """How the graphs were quantised; accuracy only where `quantize` measured this flavour."""
        for flavour in SYMMETRIC_FLAVOURS:
            known = next((a.quantization for a in _of_flavour(self._bundle, flavour)), None)
            if known is not None and flavour == FLAVOUR:
                return known
            if known is not None:
                return QuantizationEntry(
                    flavour=FLAVOUR, keep_float=known.keep_float, calibration=self.require_table().path
                )
        return QuantizationEntry(flavour=FLAVOUR, calibration=self.require_table().path)

    @cached_property
    def _table(self) -> CalibrationTable:
        return load_table(self._bundle.read_file(self.require_table()))


def _of_flavour(bundle: Bundle, flavour: Flavour) -> list[ArtifactEntry]:
    return [a for a in bundle.artifacts if a.kind == "onnx" and a.flavour == flavour]


def _table_entry(bundle: Bundle) -> FileEntry | None:
    """Of several tables the one that the artifacts closest to TensorRT were made from."""
    for flavour in SYMMETRIC_FLAVOURS:
        for artifact in _of_flavour(bundle, flavour):
            if artifact.quantization is not None and artifact.quantization.calibration is not None:
                return bundle.manifest.all_files()[artifact.quantization.calibration]
    return bundle.manifest.file_of_role(CALIBRATION_ROLE)
