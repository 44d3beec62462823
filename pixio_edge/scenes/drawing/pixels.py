"""From samples to pixels: a tent of 3 x 3 half-pixel samples, of which only those that need it are shaded.

Shading every sample would cost four times as much. A sample between pixel centres takes the colour of a centre beside
it that sees the same surface, and is shaded by itself only where none does: thin things.
"""

from __future__ import annotations

import numpy as np

from pixio_edge.scenes.drawing.jit import Array, exact, exact_part, quick


@exact
def lend_colours(winner: Array, surface: Array, colour: Array, samples: Array) -> int:
    """Copy the colours of the centres to the samples between them.

    Args:
        winner: int32 (2H + 1, 2W + 1), triangles.
        surface: int32 (T,), surface of each triangle.
        colour: float32 (2H + 1, 2W + 1, 3), read at the centres and written between them.
        samples: int32 (N, 2), gets row and column of those that no centre can lend its colour to.

    Returns:
        How many of these there are.
    """
    rows, columns = winner.shape
    count = 0
    for y in range(rows):
        for x in range(0, columns, 1 + (y & 1)):
            lender = _lender(winner, surface, y, x)
            if lender < 0:
                samples[count, 0], samples[count, 1] = y, x
                count += 1
                continue
            a, b = lender // columns, lender % columns
            colour[y, x, 0], colour[y, x, 1], colour[y, x, 2] = colour[a, b, 0], colour[a, b, 1], colour[a, b, 2]
    return count


@exact_part
def _lender(winner: Array, surface: Array, y: int, x: int) -> int:
    """Sample number of a centre beside (y, x) that sees the same triangle, or surface, or -1."""
    rows, columns = winner.shape
    mine = winner[y, x]
    step_y, step_x = 1 - (y & 1), 1 - (x & 1)
    found = -1
    for a in range(max(1, y - step_y), min(rows - 1, y + step_y + 1), 2):
        for b in range(max(1, x - step_x), min(columns - 1, x + step_x + 1), 2):
            other = winner[a, b]
            if other == mine:
                return int(a * columns + b)
            if other >= 0 and mine >= 0 and surface[other] == surface[mine]:
                found = a * columns + b
    return found


@quick
def blend(colour: Array, image: Array) -> None:
    """Pixels (H, W, 3) of the samples' colours."""
    for i in range(image.shape[0]):
        y = 2 * i
        for j in range(image.shape[1]):
            x = 2 * j
            for k in range(3):
                top = colour[y, x, k] + 2 * colour[y, x + 1, k] + colour[y, x + 2, k]
                middle = colour[y + 1, x, k] + 2 * colour[y + 1, x + 1, k] + colour[y + 1, x + 2, k]
                low = colour[y + 2, x, k] + 2 * colour[y + 2, x + 1, k] + colour[y + 2, x + 2, k]
                image[i, j, k] = (top + 2 * middle + low) * np.float32(1 / 16)
