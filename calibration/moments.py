"""First and second moments of what layers read, float and quantised, over calibration images."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.collect import stream_tensors
from pixio_edge.calibration.simulate import fake_quantize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.collect import Progress
    from pixio_edge.calibration.config import CalibrationConfig
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.calibration.layer_rows import RowSource
    from pixio_edge.calibration.table import ActivationRange
    from pixio_edge.image import ImageSpec
    from pixio_edge.sizes import Size

# Rows drawn from each image. 128 images then give 16,384 rows, several times the 576 to 3,072 columns of the layers of
# a ViT-S or ViT-B, which a Gram matrix of full rank needs; more rows of the same images say little new.
ROWS_PER_IMAGE = 128


@dataclass(slots=True)
class Moments:
    """Sums over the rows that were seen; K columns.

    Attributes:
        rows: Their number.
        total: Sum of the float rows, float64 (K,).
        quantized_total: Sum of the rows after a round trip through INT8, float64 (K,).
        gram: Sum of the outer products of the quantised rows, float32 (K, K); None where it was not asked for.
    """

    rows: int
    total: NDArray[np.float64]
    quantized_total: NDArray[np.float64]
    gram: NDArray[np.float32] | None

    @classmethod
    def empty(cls, columns: int, *, with_gram: bool) -> Moments:
        """Of no rows."""
        gram = np.zeros((columns, columns), np.float32) if with_gram else None
        return cls(0, np.zeros(columns), np.zeros(columns), gram)

    def add(self, rows: NDArray[np.float32], quantized: NDArray[np.float32]) -> None:
        """Take rows (T, K) into account, and the same rows quantised."""
        self.rows += len(rows)
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.quantized_total += quantized.sum(axis=0, dtype=np.float64)
        if self.gram is not None:
            self.gram += quantized.T @ quantized


def collect_moments(
    graphs: Mapping[Size, onnx.ModelProto],
    calibration_set: CalibrationSet,
    sources: Collection[RowSource],
    activations: Mapping[str, ActivationRange],
    *,
    config: CalibrationConfig,
    with_gram: bool,
    image_spec: ImageSpec | None = None,
    progress: Progress | None = None,
) -> dict[RowSource, Moments]:
    """Moments of rows, in one pass over the images; memory does not grow with their number.

    Args:
        graphs: Graph of each size with smoothing applied, weights in memory.
        calibration_set: The images.
        sources: Whose rows.
        activations: Calibrated range of each of their tensors.
        config: Its seed draws the rows; its threads are used.
        with_gram: Whether Gram matrices are wanted.
        image_spec: How images are prepared.
        progress: Called after each image.
    """
    moments: dict[RowSource, Moments] = {}
    # One for each source, so that its rows do not depend on what else is collected.
    generators = {source: np.random.default_rng([config.seed, zlib.crc32(repr(source).encode())]) for source in sources}
    streamed = stream_tensors(
        graphs,
        calibration_set.images(),
        tuple(dict.fromkeys(source.tensor for source in sources)),
        image_spec=image_spec,
        threads=config.threads,
        progress=progress,
        total=calibration_set.count,
    )
    for values in streamed:
        for source in sources:
            rows = source.sample(values[source.tensor], ROWS_PER_IMAGE, generators[source])
            found = activations[source.tensor]
            if source not in moments:
                moments[source] = Moments.empty(rows.shape[1], with_gram=with_gram)
            moments[source].add(rows, fake_quantize(rows, found.low, found.high))
    return moments
