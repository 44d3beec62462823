"""From samples to pixels: a tent of 3 x 3 half-pixel samples, of which only those that need it are shaded.

Shading every sample would cost four times as much. A sample between pixel centres takes the colour of a centre that sees
the same surface beside it, and is shaded by itself only where none does: thin things.
"""

from __future__ import annotations

import numpy as np

from pixio_edge.scenes.jit import exact


@exact
def lonely_samples(winner, surface, samples):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Rows and columns of the samples that no centre can lend its colour, into `samples` (N, 2); returns their number."""
    rows, columns = winner.shape
    count = 0
    for y in range(rows):
        for x in range(columns):
            if (y & 1 and x & 1) or _lender(winner, surface, y, x) >= 0:
                continue
            samples[count, 0], samples[count, 1] = y, x
            count += 1
    return count


@exact
def _lender(winner, surface, y, x) -> int:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Sample number of a centre beside (y, x) that sees the same surface, or -1."""
    rows, columns = winner.shape
    mine = winner[y, x]
    step_y, step_x = 1 - (y & 1), 1 - (x & 1)
    found = -1
    for a in range(y - step_y, y + step_y + 1, 2):
        for b in range(x - step_x, x + step_x + 1, 2):
            if a < 0 or b < 0 or a >= rows or b >= columns:
                continue
            other = winner[a, b]
            if other == mine:
                return a * columns + b
            if other >= 0 and mine >= 0 and surface[other] == surface[mine]:
                found = a * columns + b
    return found


@exact
def blend(winner, surface, colour, image) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Pixels (H, W, 3) of the samples' colours; those that were not shaded are filled in first."""
    rows, columns = winner.shape
    for y in range(rows):
        for x in range(columns):
            if y & 1 and x & 1:
                continue
            lender = _lender(winner, surface, y, x)
            if lender >= 0:
                for k in range(3):
                    colour[y, x, k] = colour[lender // columns, lender % columns, k]
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for k in range(3):
                total = 0.0
                for a in range(3):
                    weight = 2.0 if a == 1 else 1.0
                    y, x = 2 * i + a, 2 * j
                    # Highlights are cut as a sensor does: else one sample outshines its pixel.
                    total += weight * (
                        min(colour[y, x, k], np.float32(4.0))
                        + 2 * min(colour[y, x + 1, k], np.float32(4.0))
                        + min(colour[y, x + 2, k], np.float32(4.0))
                    )
                image[i, j, k] = total / 16
