"""Loss for metric depth: the scale-invariant logarithmic error, as Pixio and Depth Anything V2 train with."""

from __future__ import annotations

import torch
from torch import Tensor

# Of the original: predictions are clamped there, and labels below it do not count.
MIN_DEPTH_M = 1e-3
# Share of the squared mean that is taken away: 1 would be blind to scale, 0 is the plain logarithmic error.
MEAN_SHARE = 0.5
# Below the square of any error that counts (0.1 %); keeps the gradient of the root finite in an image fitted exactly.
SQUARE_FLOOR = 1e-8


def metric_labels(inverse: Tensor, valid: Tensor | None, *, max_depth: float) -> tuple[Tensor, Tensor]:
    """Depth, and where it counts, from inverse depth.

    Args:
        inverse: Inverse depth in 1/m (B, H, W), 0 for sky.
        valid: bool (B, H, W), pixels that have a label; None: all.
        max_depth: Largest depth that counts, in metres.

    Returns:
        Depth in metres (B, H, W), 1 where it does not count, and bool (B, H, W): labelled, not sky, within the range.
    """
    seen = inverse > 0 if valid is None else (inverse > 0) & valid
    depth = 1.0 / torch.where(seen, inverse, 1.0)
    seen = seen & (depth >= MIN_DEPTH_M) & (depth <= max_depth)
    return torch.where(seen, depth, 1.0), seen


def silog_loss(prediction: Tensor, depth: Tensor, valid: Tensor) -> Tensor:
    """sqrt(mean(d^2) - 0.5 mean(d)^2) with d = ln(depth) - ln(prediction): Eigen et al., NeurIPS 2014, equation 4.

    The root and no factor, as in the training code of Pixio and Depth Anything V2 (BTS has a factor of 10 and a share
    of 0.85). They take all pixels of a process at once; here it is per image and then the mean over images, so that the
    loss does not depend on how a batch is split. For one image both are the same. An image without labels counts as 0.

    Args:
        prediction: Depth in metres (B, H, W).
        depth: Depth in metres (B, H, W), positive.
        valid: bool (B, H, W), pixels that count.
    """
    difference = torch.where(valid, depth.log() - prediction.float().clamp(min=MIN_DEPTH_M).log(), 0.0).flatten(1)
    count = valid.flatten(1).sum(1).clamp(min=1)
    mean, square = difference.sum(1) / count, difference.square().sum(1) / count
    error = (square - MEAN_SHARE * mean.square()).clamp(min=SQUARE_FLOOR).sqrt()
    return torch.where(valid.flatten(1).any(1), error, 0.0).mean()


def constant_prior_loss(depth: Tensor, valid: Tensor) -> float:
    """`silog_loss` of one depth everywhere, the geometric mean of the labels: a model that looks at nothing.

    Args:
        depth: Depth in metres (B, H, W), positive.
        valid: bool (B, H, W), pixels that count.
    """
    mean = torch.where(valid, depth.log(), 0.0).sum() / valid.sum().clamp(min=1)
    return float(silog_loss(mean.exp().expand_as(depth), depth, valid))
