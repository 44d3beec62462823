"""What a camera does to an ideal image: exposure, colour cast, tone curve, vignette, blur, noise, JPEG blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# Luminance quantisation table of JPEG (ITU-T T.81, annex K), used for all three channels.
_JPEG_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def photograph(colour: Tensor, generator: torch.Generator) -> Tensor:
    """Turn rendered colour into something a cheap camera might have taken.

    Args:
        colour: (B, 3, H, W), about [0, 1] and above; H and W multiples of 8.
        generator: CPU generator; every image draws its own effects.

    Returns:
        (B, 3, H, W) in [0, 1].
    """

    def draw(low: float, high: float, *shape: int) -> Tensor:
        values = torch.rand(shape or (colour.shape[0], 1, 1, 1), generator=generator) * (high - low) + low
        return values.to(colour.device)

    batch = colour.shape[0]
    # Auto-exposure towards a mid grey, as cameras do, with an error of its own.
    level = colour.clamp(0, 2).mean(dim=(1, 2, 3), keepdim=True).clamp(min=0.02)
    image = colour * (0.42 / level) ** draw(0.6, 1.0) * torch.exp(draw(-0.35, 0.35))
    image = image * torch.exp(draw(-0.12, 0.12, batch, 3, 1, 1))
    image = image / (1 + 0.25 * image) * 1.25  # soft shoulder
    image = image.clamp(0, 1) ** draw(0.75, 1.25)
    image = image * _vignette(image, draw(0.0, 0.35))
    image = _blur(image, draw(-0.8, 0.9).clamp(min=0.0))
    noise = draw(-0.03, 0.035).clamp(min=0.0)
    grain = torch.randn(image.shape, generator=generator).to(image.device)
    image = image + grain * noise * (0.4 + image).sqrt()
    strength = draw(-1.5, 1.0).clamp(min=0.0)
    return jpeg_like(image.clamp(0, 1), strength).clamp(0, 1)


def jpeg_like(image: Tensor, strength: Tensor) -> Tensor:
    """Quantise 8x8 DCT blocks, as JPEG does, on every channel alike.

    Args:
        image: (B, C, H, W) in [0, 1]; H and W multiples of 8.
        strength: (B, 1, 1, 1), 0 for none and 1 for about quality 50.

    Returns:
        (B, C, H, W), a little outside [0, 1] in places.
    """
    basis = dct_basis(image.device)
    table = torch.tensor(_JPEG_TABLE, dtype=image.dtype, device=image.device) / 255.0
    batch, channels, height, width = image.shape
    blocks = image.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    step = (table * strength[..., None, None]).clamp(min=1e-6)
    coefficients = basis @ blocks @ basis.T
    kept = (coefficients / step).round() * step
    restored = basis.T @ kept @ basis
    return restored.transpose(3, 4).reshape(image.shape)


def dct_basis(device: torch.device) -> Tensor:
    """Orthonormal 8-point DCT-II, one frequency per row, (8, 8)."""
    k = torch.arange(8, dtype=torch.float32)[:, None]
    n = torch.arange(8, dtype=torch.float32)[None]
    basis = torch.cos(math.pi * (2 * n + 1) * k / 16) * 0.5
    basis[0] = math.sqrt(1 / 8)
    return basis.to(device)


def _vignette(image: Tensor, strength: Tensor) -> Tensor:
    rows = torch.linspace(-1, 1, image.shape[-2], device=image.device)[:, None]
    columns = torch.linspace(-1, 1, image.shape[-1], device=image.device)[None]
    return 1 - strength * (rows**2 + columns**2) / 2


def _blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Separable Gaussian blur with one sigma (pixels) per image."""
    offsets = torch.arange(-3, 4, device=image.device, dtype=image.dtype)
    weights = torch.exp(-(offsets**2) / (2 * sigma.flatten()[:, None].clamp(min=1e-2) ** 2))
    weights = weights / weights.sum(dim=1, keepdim=True)
    channels = image.shape[1]
    kernel = weights.repeat_interleave(channels, dim=0)[:, None]  # (B * C, 1, 7)
    flat = functional.pad(image.flatten(0, 1)[None], (3, 3, 3, 3), mode="replicate")
    flat = functional.conv2d(flat, kernel[:, :, None, :], groups=flat.shape[1])
    flat = functional.conv2d(flat, kernel[:, :, :, None], groups=flat.shape[1])
    return flat[0].reshape(image.shape)
