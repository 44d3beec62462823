"""Losses for relative depth: alignment, affine-invariant inverse depth, multi-scale gradients.

After Ranftl et al., "Towards Robust Monocular Depth Estimation" (MiDaS, TPAMI 2022), equations 4-11, with two
changes: residuals are measured relative to the true inverse depth, because the depth metrics (delta1, AbsRel) are
ratios and the far half of a scene is nearly invisible in absolute inverse depth; and the alignment matches mean and
standard deviation.

Every term that compares with a label takes a mask of the pixels that have one. Means are taken over the labelled pixels
of each image and then over all images of the batch, where an image without labels counts as 0: so the loss of a batch
is the mean of the losses of its parts, however it is split over processes. With all pixels labelled, mask or none gives
the same bits.
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


def ratio_residual(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Residual after alignment, relative to the softened target: (s p + t - d) / soften(d), (B, H, W), 0 without label.

    Args:
        prediction: Relative inverse depth (B, H, W).
        target: Inverse depth in 1/m (B, H, W), 0 for sky; anything where there is no label.
        valid: bool (B, H, W), pixels that have a label; None: all.
    """
    if valid is None:
        softened = soften(target)
        return (align_moments(prediction, target, softened**-2) - target) / softened
    target = torch.where(valid, target, 0.0)
    softened = soften(target, valid)
    residual = (align_moments(prediction, target, softened**-2 * valid) - target) / softened
    return torch.where(valid, residual, 0.0)


def soften(target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Inverse depth plus a share of the image's median: what a residual is measured against, (B, H, W) and positive.

    Sky counts like a pixel at the median; at its own value of 0 a few sky pixels would outweigh the rest of the image.

    Args:
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        valid: bool (B, H, W), pixels that the median is taken of; None: all.
    """
    labelled = target > 0 if valid is None else (target > 0) & valid
    seen = torch.where(labelled, target, torch.nan).flatten(1)
    median = seen.nanmedian(dim=1).values.nan_to_num(MIN_MEDIAN).clamp(min=MIN_MEDIAN)[:, None, None]
    return torch.where(target > 0, target + RATIO_OFFSET * median, (1 + RATIO_OFFSET) * median)


def anchor_loss(prediction: Tensor) -> Tensor:
    """Pull of each image's prediction towards mean 0 and standard deviation 1.

    The other terms do not see scale and shift, so nothing else stops the head's weights from growing without bound; in
    a first run they did and drowned the stem's fine detail. It asks for no label, so it holds for every pixel.

    Args:
        prediction: Relative inverse depth (B, H, W).
    """
    flat = prediction.flatten(1)
    return flat.mean(1).square().mean() + (flat.std(1) + 1e-3).log().square().mean()


def bound_loss(prediction: Tensor) -> Tensor:
    """Pull back of values beyond `OUTPUT_BOUND`, which in an image of mean 0 and deviation 1 only outliers reach.

    The alignment divides by the prediction's deviation, so a head can make its residuals small by one huge value where
    that costs least. A first student did: nine pixels in the corner, where the convolutions see their padding, held 50
    times the range of the picture. It asks for no label, so it holds for every pixel.

    Args:
        prediction: Relative inverse depth (B, H, W).
    """
    return torch.relu(prediction.abs() - OUTPUT_BOUND).square().mean()


def label_weights(valid: Tensor) -> Tensor:
    """Weights that turn a mean over all pixels into the mean over images of each one's mean over its labels.

    Args:
        valid: bool (B, …), pixels that have a label.

    Returns:
        float32 (B, …): 0 without label, else pixels over labels of the image, which is exactly 1 in a dense one.
    """
    share = valid.flatten(1).float().mean(1).clamp(min=1e-9)
    return valid / share.reshape(-1, *[1] * (valid.ndim - 1))


def affine_invariant_loss(residual: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean absolute residual, as a scalar: MiDaS's L_ssi under the weighting of `ratio_residual`.

    Args:
        residual: (B, H, W).
        valid: bool (B, H, W), pixels that have a label; None: all.
    """
    return _labelled_mean(residual.abs(), valid)


def gradient_loss(residual: Tensor, scales: int = GRADIENT_SCALES, valid: Tensor | None = None) -> Tensor:
    """Mean absolute difference of neighbouring residuals, summed over scales, each half the size of the one before.

    MiDaS equation 11: keeps edges where the target has them and surfaces smooth where it has none.

    Args:
        residual: (B, H, W), each side at least 2 ** scales.
        scales: Number of scales.
        valid: bool (B, H, W), pixels that have a label; a difference counts where both do. None: all.
    """
    total = residual.new_zeros(())
    for scale in range(scales):
        part = residual[:, :: 2**scale, :: 2**scale]
        mask = None if valid is None else valid[:, :: 2**scale, :: 2**scale]
        across = None if mask is None else mask[:, :, 1:] & mask[:, :, :-1]
        down = None if mask is None else mask[:, 1:] & mask[:, :-1]
        total = total + _labelled_mean((part[:, :, 1:] - part[:, :, :-1]).abs(), across)
        total = total + _labelled_mean((part[:, 1:] - part[:, :-1]).abs(), down)
    return total


def _labelled_mean(values: Tensor, valid: Tensor | None) -> Tensor:
    return values.mean() if valid is None else (values * label_weights(valid)).mean()


def invariant_loss(
    prediction: Tensor, target: Tensor, *, gradient_weight: float, valid: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Affine-invariant and gradient term together, which is what predictions are compared by, and each for the log.

    Args:
        prediction: Relative inverse depth (B, H, W).
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        gradient_weight: Weight of the gradient term.
        valid: bool (B, H, W), pixels that have a label; None: all.
    """
    residual = ratio_residual(prediction.float(), target, valid)
    affine, gradient = affine_invariant_loss(residual, valid), gradient_loss(residual, valid=valid)
    return affine + gradient_weight * gradient, {"affine": affine.detach(), "gradient": gradient.detach()}


def depth_loss(
    prediction: Tensor, target: Tensor, *, gradient_weight: float, valid: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """What is trained on: `invariant_loss`, the anchor and the bound; arguments and terms as there."""
    invariant, terms = invariant_loss(prediction, target, gradient_weight=gradient_weight, valid=valid)
    anchor, bound = anchor_loss(prediction.float()), bound_loss(prediction.float())
    terms = {**terms, "anchor": anchor.detach(), "bound": bound.detach()}
    return invariant + ANCHOR_WEIGHT * anchor + bound, terms


def row_prior_loss(target: Tensor, *, gradient_weight: float, valid: Tensor | None = None) -> float:
    """Invariant loss of "lower in the picture is nearer": what a model scores that has seen nothing in the image.

    Args:
        target: Inverse depth in 1/m (B, H, W), 0 for sky.
        gradient_weight: As for `invariant_loss`.
        valid: bool (B, H, W), pixels that have a label; None: all.
    """
    rows = torch.arange(target.shape[1], dtype=torch.float32, device=target.device)[None, :, None].expand_as(target)
    return float(invariant_loss(rows, target, gradient_weight=gradient_weight, valid=valid)[0])
