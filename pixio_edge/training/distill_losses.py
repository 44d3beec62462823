"""Losses of a student that is taught by a model: its depth as pseudo-labels, its tokens as features.

Each is a mean over pixels or tokens of an image and then over images, as in `losses`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pixio_edge.training.losses import affine_invariant_loss, gradient_loss

# A map whose values deviate less from their median counts as constant. Students are held at a deviation near 1.
MIN_DEVIATION = 1e-3


def standardise(values: Tensor) -> Tensor:
    """Take off the median and divide by the mean absolute deviation from it, per image.

    Ranftl et al., "Towards Robust Monocular Depth Estimation" (MiDaS, TPAMI 2022), equations 5 and 6; also what Depth
    Anything (arXiv 2401.10891, section 3.1) compares. The median of an even number of values is the lower one.

    Args:
        values: (B, H, W), any scale above 0 and any shift.

    Returns:
        (B, H, W), differentiable also through median and deviation.
    """
    median = values.flatten(1).median(dim=1).values[:, None, None]
    deviation = (values - median).abs().mean((1, 2), keepdim=True)
    return (values - median) / deviation.clamp(min=MIN_DEVIATION)


def kept_pixels(residual: Tensor, dropped: float) -> Tensor:
    """The pixels of each image that are left when those with the largest residuals are dropped.

    MiDaS trims the largest residuals, as a good part of them are errors of the label (equation 8); Depth Anything V2
    drops the worst tenth of a pseudo-labelled image (arXiv 2406.09414, section 5).

    Args:
        residual: (B, H, W).
        dropped: Share of the pixels to drop, rounded down to whole pixels; of equal residuals all are kept.

    Returns:
        bool (B, H, W).
    """
    size = residual.detach().abs().flatten(1)
    count = size.shape[1]
    limit = size.kthvalue(count - int(dropped * count), dim=1).values
    return (size <= limit[:, None]).reshape(residual.shape)


def pseudo_label_loss(
    prediction: Tensor, label: Tensor, *, gradient_weight: float, dropped: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Scale-and-shift-invariant loss plus gradient matching, without the worst pixels.

    L_ssi + w L_gm of Depth Anything V2 (arXiv 2406.09414, section 5, w = 2): the mean absolute difference of what
    `standardise` makes of both, and `losses.gradient_loss` of that difference (MiDaS, equation 11). Both leave out the
    pixels that `kept_pixels` drops. MiDaS has a factor of 1/2 on the first term, Depth Anything has none, as here.

    Args:
        prediction: Relative inverse depth (B, H, W).
        label: Inverse depth of the teacher (B, H, W), up to scale and shift.
        gradient_weight: Weight w.
        dropped: Share of the pixels to drop.

    Returns:
        The loss, and its two terms, detached.
    """
    residual = standardise(prediction) - standardise(label)
    kept = kept_pixels(residual, dropped)
    invariant, gradient = affine_invariant_loss(residual, kept), gradient_loss(residual, valid=kept)
    return invariant + gradient_weight * gradient, {"invariant": invariant.detach(), "gradient": gradient.detach()}


def cosine_loss(tokens: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos of the angle between tokens and their targets, in [0, 2].

    Args:
        tokens: (B, N, D).
        target: (B, N, D).
    """
    return (1 - functional.cosine_similarity(tokens, target, dim=-1)).mean()


def feature_loss(class_tokens: Tensor, patches: Tensor, target_class_tokens: Tensor, target_patches: Tensor) -> Tensor:
    """Half of `cosine_loss` on class tokens, half on patch tokens.

    Pixio's own distillation (Yang et al., arXiv 2512.15715, section 7.2, and its published code): the student's tokens
    after its last norm and a projector, the teacher's of its last block before any norm. Where the two have different
    numbers of class tokens, their means are compared.

    Args:
        class_tokens: (B, N, D), projected to the teacher's width.
        patches: (B, P, D), projected.
        target_class_tokens: (B, M, D).
        target_patches: (B, P, D).
    """
    if class_tokens.shape[1] != target_class_tokens.shape[1]:
        class_tokens, target_class_tokens = (
            tokens.mean(dim=1, keepdim=True) for tokens in (class_tokens, target_class_tokens)
        )
    return (cosine_loss(class_tokens, target_class_tokens) + cosine_loss(patches, target_patches)) / 2


def ramp_prior(label: Tensor) -> Tensor:
    """What a model predicts that looks at nothing and takes what is lower in the picture for nearer, (B, H, W)."""
    rows = torch.linspace(-1, 1, label.shape[1], device=label.device)
    return rows[None, :, None].expand_as(label)
