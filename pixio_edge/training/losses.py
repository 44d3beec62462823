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
# Just strong enough to hold the scale: the term is about 0.1 in training, so it adds 0.002 to losses of 0.1 and more.
ANCHOR_WEIGHT = 0.02
# In deviations from the mean; real maps stay below 2.5.
OUTPUT_BOUND = 3.5
# Smallest median inverse depth (1/m) reckoned with: 10 km, for images of nothing but sky.
MIN_MEDIAN = 1e-4


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
    """Residual after alignment, relative to the softened target: (s p + t - d) / soften(d), (B, H, W).

    Args:
        prediction: Relative inverse depth (B, H, W).
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
    """
    softened = soften(target)
    return (align_moments(prediction, target, softened**-2) - target) / softened


def soften(target: Tensor) -> Tensor:
    """Inverse depth plus a share of the image's median: what a residual is measured against, (B, H, W) and positive.

    Sky counts like a pixel at the median; at its own value of 0 a few sky pixels would outweigh the rest of the image.

    Args:
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
    """
    seen = torch.where(target > 0, target, torch.nan).flatten(1)
    median = seen.nanmedian(dim=1).values.nan_to_num(MIN_MEDIAN).clamp(min=MIN_MEDIAN)[:, None, None]
    return torch.where(target > 0, target + RATIO_OFFSET * median, (1 + RATIO_OFFSET) * median)


def anchor_loss(prediction: Tensor) -> Tensor:
    """Pull of each image's prediction towards mean 0 and standard deviation 1.

    The other terms do not see scale and shift, so nothing else stops the head's weights from growing without bound; in
    a first run they did and drowned the stem's fine detail.

    Args:
        prediction: Relative inverse depth (B, H, W).
    """
    flat = prediction.flatten(1)
    return flat.mean(1).square().mean() + (flat.std(1) + 1e-3).log().square().mean()


def bound_loss(prediction: Tensor) -> Tensor:
    """Pull back of values beyond `OUTPUT_BOUND`, which in an image of mean 0 and deviation 1 only outliers reach.

    The alignment divides by the prediction's deviation, so a head can make its residuals small by one huge value where
    that costs least. A first student did: nine pixels in the corner, where the convolutions see their padding, held 50
    times the range of the picture.

    Args:
        prediction: Relative inverse depth (B, H, W).
    """
    return torch.relu(prediction.abs() - OUTPUT_BOUND).square().mean()


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


def invariant_loss(prediction: Tensor, target: Tensor, *, gradient_weight: float) -> tuple[Tensor, dict[str, float]]:
    """Affine-invariant and gradient term together, which is what predictions are compared by, and each for the log.

    Args:
        prediction: Relative inverse depth (B, H, W).
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        gradient_weight: Weight of the gradient term.
    """
    residual = ratio_residual(prediction.float(), target)
    affine, gradient = affine_invariant_loss(residual), gradient_loss(residual)
    terms = {"affine": float(affine.detach()), "gradient": float(gradient.detach())}
    return affine + gradient_weight * gradient, terms


def depth_loss(prediction: Tensor, target: Tensor, *, gradient_weight: float) -> tuple[Tensor, dict[str, float]]:
    """What is trained on: `invariant_loss`, the anchor and the bound; arguments and terms as there."""
    invariant, terms = invariant_loss(prediction, target, gradient_weight=gradient_weight)
    anchor, bound = anchor_loss(prediction.float()), bound_loss(prediction.float())
    terms = {**terms, "anchor": float(anchor.detach()), "bound": float(bound.detach())}
    return invariant + ANCHOR_WEIGHT * anchor + bound, terms


def row_prior_loss(target: Tensor, *, gradient_weight: float) -> float:
    """Invariant loss of "lower in the picture is nearer": what a model scores that has seen nothing in the image.

    Args:
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        gradient_weight: As for `invariant_loss`.
    """
    rows = torch.arange(target.shape[1], dtype=torch.float32, device=target.device)[None, :, None].expand_as(target)
    return float(invariant_loss(rows, target, gradient_weight=gradient_weight)[0])
