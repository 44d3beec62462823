"""Input sizes of models, as (height, width) in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pixio_edge.errors import SpecError

Size = tuple[int, int]


def size_label(size: Size) -> str:
    """Height and width as they appear in file and artifact names, such as "192x256"."""
    return f"{size[0]}x{size[1]}"


def choose_size(sizes: Iterable[Size], image_size: Size) -> Size:
    """Size whose aspect ratio is nearest to an image's, by the ratio of the ratios; among equals, the larger area.

    Args:
        sizes: Available (height, width).
        image_size: (height, width) of the image.

    Raises:
        SpecError: There are no sizes.
    """
    candidates = list(sizes)
    if not candidates:
        raise SpecError("sizes: got none, expected at least one. Fix: choose a bundle with artifacts")
    wanted = math.log(image_size[0] / image_size[1])

    def distance(size: Size) -> tuple[float, int]:
        # Rounded so that 256x256 and 384x384 are equally square.
        return round(abs(math.log(size[0] / size[1]) - wanted), 9), -size[0] * size[1]

    return min(candidates, key=distance)
