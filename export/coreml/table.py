"""What a bundle knows about INT8, as far as Core ML can use it: its calibration table and which layers stay float."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.calibration.table import CalibrationTable, load_table
from pixio_edge.export.coreml.request import table_entry

if TYPE_CHECKING:
    import onnx

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import FileEntry

# Flavours of the same arithmetic: signed, symmetric, one scale for a tensor. What their search gave back to float is
# too coarse for eight bits in Core ML too. The first that a bundle has counts.
LIKE_COREML = ("tensorrt", "openvino")


class BundleCalibration:
    """The calibration of a bundle, read when it is first asked for.

    Args:
        bundle: Where it is.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @cached_property
    def table(self) -> CalibrationTable:
        """The table.

        Raises:
            BundleError: The bundle has none, or it is damaged.
        """
        return load_table(self._bundle.read_file(self._entry))

    @property
    def path(self) -> str:
        """Where the table is in the bundle."""
        return self._entry.path

    @cached_property
    def keep_float(self) -> tuple[str, ...]:
        """Layers that a search gave back to float."""
        for flavour in LIKE_COREML:
            for artifact in self._bundle.artifacts:
                if artifact.kind == "onnx" and artifact.flavour == flavour and artifact.quantization is not None:
                    return artifact.quantization.keep_float
        return ()

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """A float graph, weights in memory; of any size, as names and weights are those of all sizes.

        Raises:
            BundleError: The bundle has none.
        """
        ladder = FloatLadder(self._bundle)
        return ladder[next(iter(ladder))]

    @property
    def _entry(self) -> FileEntry:
        return table_entry(self._bundle)
