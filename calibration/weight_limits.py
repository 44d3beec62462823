"""Where to clip the weights of each output channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pixio_edge.calibration.graph import QuantGraph

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from pixio_edge.calibration.config import CalibrationConfig

STEPS = 127
# Shares of the largest magnitude that are tried. At 8 bits clipping pays for channels with a far outlier only; below a
# half the clipped weight itself costs more than all rounding.
SHARES = tuple(float(share) for share in np.linspace(0.5, 1.0, 26))


def choose_weight_limits(graph: onnx.ModelProto, config: CalibrationConfig) -> dict[str, tuple[float, ...]]:
    """Largest magnitude that is kept of each output channel, by layer, for `CalibrationTable.weight_limits`.

    Args:
        graph: Graph with smoothing applied, weights in memory.
        config: Its `weight_method` says how.

    Returns:
        Empty for method "minmax", which clips nothing.
    """
    if config.weight_method == "minmax":
        return {}
    indexed = QuantGraph(graph)
    return {
        layer.name: tuple(
            float(limit) for limit in least_error_limits(indexed.constant(layer.weight), layer.channel_axis)
        )
        for layer in indexed.layers()
    }


def least_error_limits(weight: NDArray[np.generic], axis: int) -> NDArray[np.float32]:
    """Limit of each output channel with the least squared error after rounding to `STEPS` steps on each side.

    Args:
        weight: Any shape.
        axis: Counts output channels.

    Returns:
        float32 (channels,); 0 for a channel of zeros.
    """
    rows = np.moveaxis(np.asarray(weight, np.float64), axis, 0).reshape(weight.shape[axis], -1)
    largest = np.abs(rows).max(axis=1)
    best, least = largest.copy(), np.full(len(rows), np.inf)
    for share in SHARES[::-1]:  # the largest share first, so that clipping needs a real gain
        scale = np.where(largest > 0, share * largest / STEPS, 1.0)[:, None]
        error = np.square(np.clip(np.rint(rows / scale), -STEPS, STEPS) * scale - rows).sum(axis=1)
        is_better = error < least
        best[is_better], least[is_better] = share * largest[is_better], error[is_better]
    return np.asarray(best, np.float32)
