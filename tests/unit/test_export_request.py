from __future__ import annotations

import numpy as np
import pytest

from pixio_edge.errors import InputError
from pixio_edge.export.base import ExportRequest, default_sizes
from pixio_edge.export.golden_image import make_golden_image
from pixio_edge.manifest import cost_size


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((), "expected at least one"),
        (((64, 64), (64, 64)), "each once"),
        (((64, 70),), r"Fix: take the nearest, 64x64"),
        (((0, 64),), r"Fix: take the nearest, 16x64"),
        (((-16, 64),), "expected two multiples of 16"),
        (((64, 64, 3),), "expected two multiples of 16"),
    ],
)
def test_request_is_refused_when_a_size_cannot_be_exported(sizes: tuple[tuple[int, int], ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExportRequest(sizes)


@pytest.mark.parametrize("patch", [14, 16])
def test_default_ladder_is_accepted_and_has_each_shape_upright_too(patch: int) -> None:
    sizes = default_sizes(patch)

    ExportRequest(sizes, multiple_of=patch)
    assert {(width, height) for height, width in sizes} == set(sizes)
    patches = [height * width // patch**2 for height, width in sizes]
    assert max(patches) < 1.06 * min(patches)  # 266 against 252 in the ladder of patch 16


def test_cost_is_stated_for_whole_patches() -> None:
    assert [cost_size(patch) for patch in (14, 16)] == [(252, 252), (256, 256)]


def test_golden_image_is_the_same_and_uses_the_whole_range_when_made_twice() -> None:
    first, second = make_golden_image((64, 96)), make_golden_image((64, 96))

    assert first.shape == (1, 64, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert first.min() < 32
    assert first.max() > 224
    assert all(first[..., channel].std() > 20 for channel in range(3))
