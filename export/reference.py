"""The oracle of the parity gate: the torch model as it was trained, on the input that the graph takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.models.depth_model import DepthModel


def normalise(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn uint8 RGB (B, H, W, 3) into the ImageNet-normalised (B, 3, H, W) that models are trained on."""
    mean = torch.tensor(IMAGE_MEAN, dtype=dtype)[:, None, None]
    std = torch.tensor(IMAGE_STD, dtype=dtype)[:, None, None]
    return (image.permute(0, 3, 1, 2).to(dtype) / 255.0 - mean) / std


@torch.no_grad()
def reference_depth(model: DepthModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run the model without any rewrite, in its own precision.

    Args:
        model: In eval mode, on the CPU.
        image: uint8 RGB (1, H, W, 3).

    Returns:
        float32 (1, H, W), a new array.

    Raises:
        ValueError: The model is in training mode, where BatchNorm would use the statistics of this one image.
    """
    if model.training:
        raise ValueError("the reference model is in training mode; call eval() first")
    depth: Tensor = model(normalise(torch.from_numpy(image), next(model.parameters()).dtype))
    result: NDArray[np.float32] = depth.float().numpy()
    return result
