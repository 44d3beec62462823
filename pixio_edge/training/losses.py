"""Losses for relative depth: alignment, affine-invariant inverse depth, multi-scale gradients.

After Ranftl et al., "Towards Robust Monocular Depth Estimation" (MiDaS, TPAMI 2022), equations 4-11, with two
changes: residuals are measured relative to the true inverse depth, because the depth metrics (delta1, AbsRel) are
ratios and the far half of a scene is nearly invisible in absolute inverse depth; and the alignment matches mean and
standard deviation.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Softens the ratio for far pixels and sky, as a share of the image's median inverse depth.
RATIO_OFFSET = 0.3
# Ridge on the variance of the prediction, relative to its mean square: a constant prediction does not divide by zero.
RIDGE = 1e-4
GRADIENT_SCALES = 4


def align_moments(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Give the prediction the weighted mean and standard deviation of the target, per image.

    The scale is positive by construction, as with MiDaS's median and mean deviation: a least-squares scale may be
    negative, and then nothing would tie "larger" to "nearer".

    Args:
        prediction: (B, H, W), any scale and shift.
        target: (B, H, W).
        weight: (B, H, W), at least 0; 0 excludes a pixel.

    Returns:
        (B, H, W). Differentiable in the prediction, also through the fit.
    """
    total = weight.sum((1, 2), keepdim=True).clamp(min=1e-9)

    def moments(values: Tensor) -> tuple[Tensor, Tensor]:
        mean = (weight * values).sum((1, 2), keepdim=True) / total
        variance = (weight * (values - mean).square()).sum((1, 2), keepdim=True) / total
        return mean, variance

    mean_p, variance_p = moments(prediction)
    mean_t, variance_t = moments(target)
    ridge = RIDGE * (weight * prediction.square()).sum((1, 2), keepdim=True).detach() / total + 1e-12
    return ((variance_t + 1e-12) / (variance_p + ridge)).sqrt() * (prediction - mean_p) + mean_t


def ratio_residual(prediction: Tensor, target: Tensor) -> Tensor:
    """Residual after alignment, relative to the target: (s p + t - d) / (d + c median(d)), (B, H, W).

    Args:
        prediction: Relative inverse depth (B, H, W).
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
    """
    offset = RATIO_OFFSET * target.flatten(1).median(dim=1).values[:, None, None].clamp(min=1e-4)
    softened = target + offset
    return (align_moments(prediction, target, softened**-2) - target) / softened


def affine_invariant_loss(residual: Tensor) -> Tensor:
    """Mean absolute residual of (B, H, W), as a scalar: MiDaS's L_ssi under the weighting of `ratio_residual`."""
    return residual.abs().mean()


def gradient_loss(residual: Tensor, scales: int = GRADIENT_SCALES) -> Tensor:
    """Mean absolute difference of neighbouring residuals, summed over scales, each half the size of the one before.

    MiDaS equation 11: keeps edges where the target has them and surfaces smooth where it has none.

    Args:
        residual: (B, H, W), each side at least 2 ** scales.
        scales: Number of scales.
    """
    total = residual.new_zeros(())
    for scale in range(scales):
        part = residual[:, :: 2**scale, :: 2**scale]
        total = total + (part[:, :, 1:] - part[:, :, :-1]).abs().mean() + (part[:, 1:] - part[:, :-1]).abs().mean()
    return total


def depth_loss(prediction: Tensor, target: Tensor, *, gradient_weight: float) -> tuple[Tensor, dict[str, float]]:
    """Sum of both terms, and each of them for the log.

    Args:
        prediction: Relative inverse depth (B, H, W).
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        gradient_weight: Weight of the gradient term.
    """
    residual = ratio_residual(prediction.float(), target)
    affine, gradient = affine_invariant_loss(residual), gradient_loss(residual)
    terms = {"affine": float(affine.detach()), "gradient": float(gradient.detach())}
    return affine + gradient_weight * gradient, terms


def row_prior_loss(target: Tensor, *, gradient_weight: float) -> float:
    """Loss of "lower in the picture is nearer": what a model scores before it has seen anything in the image.

    Args:
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        gradient_weight: As for `depth_loss`.
    """
    rows = torch.arange(target.shape[1], dtype=torch.float32, device=target.device)[None, :, None].expand_as(target)
    return float(depth_loss(rows, target, gradient_weight=gradient_weight)[0])
