"""The shapes of published models, counted without allocating one."""

from __future__ import annotations

import pytest

from pixio_edge.errors import InputError
from pixio_edge.models.presets import ENCODERS, PRESETS, STUDENTS, build_encoder, build_model
from pixio_edge.models.teachers import TEACHERS

# Pixio's are those of the hub; DINOv2's those of its paper's repository.
ENCODER_PARAMETERS = {
    "pixio-vitb16": 85_855_488,
    "pixio-vitl16": 303_377_408,
    "pixio-vith16": 631_013_120,
    "pixio-vit1b16": 1_361_515_008,
    "pixio-vit5b16": 5_440_939_008,
    # 22 M, 86 M and 304 M as published, without the mask token.
    "dinov2-vits14": 22_056_192,
    "dinov2-vitb14": 86_579_712,
    "dinov2-vitl14": 304_367_616,
}
# As published, in millions.
HEAD_PARAMETERS = {
    "pixio-vitb16-indoor": 32.65,
    "pixio-vitl16-indoor": 34.09,
    "pixio-vith16-outdoor": 35.53,
    "pixio-vit1b16-indoor": 36.97,
    "pixio-vit5b16-outdoor": 45.62,
    "depth-anything-v2-small": 2.73,
    "depth-anything-v2-metric-outdoor-base": 10.89,
    "depth-anything-v2-large": 30.95,
}
TAPS = {
    "pixio-vitb16-indoor": (2, 5, 8, 11),
    "pixio-vitl16-indoor": (5, 11, 17, 23),
    "pixio-vith16-indoor": (7, 15, 23, 31),
    "pixio-vit1b16-indoor": (11, 23, 35, 47),
    "pixio-vit5b16-indoor": (11, 23, 35, 47),
    "depth-anything-v2-small": (2, 5, 8, 11),
    "depth-anything-v2-base": (2, 5, 8, 11),
    "depth-anything-v2-large": (4, 11, 17, 23),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_has_as_many_parameters_as_the_published_one(name: str) -> None:
    encoder = build_encoder(name, device="meta")

    assert all(parameter.is_meta for parameter in encoder.parameters())
    assert sum(parameter.numel() for parameter in encoder.parameters()) == ENCODER_PARAMETERS[name]
    assert encoder.config.embed_dim % encoder.config.num_heads == 0


@pytest.mark.parametrize("name", HEAD_PARAMETERS)
def test_head_has_as_many_parameters_as_the_published_one(name: str) -> None:
    head = build_model(name, device="meta").head
    width = head.config.widths[3]
    # The coarsest fusion of checkpoints has a residual unit that is never run; ours has none.
    unused = 2 * (9 * width * width + width)

    count = sum(parameter.numel() for parameter in head.parameters()) + unused

    assert round(count / 1e6, 2) == HEAD_PARAMETERS[name]


@pytest.mark.parametrize("name", TAPS)
def test_blocks_are_tapped_where_the_published_heads_tap_them(name: str) -> None:
    assert PRESETS[name].head.indices == TAPS[name]


def test_metric_models_know_their_largest_depth() -> None:
    farthest = {name: config.head.max_depth for name, config in TEACHERS.items()}

    assert farthest["pixio-vith16-indoor"] == 10
    assert farthest["pixio-vith16-outdoor"] == 80
    assert farthest["depth-anything-v2-metric-indoor-small"] == 20
    assert farthest["depth-anything-v2-metric-outdoor-large"] == 80
    assert farthest["depth-anything-v2-base"] is None
    assert len(TEACHERS) == 2 * 5 + 3 * 3
    assert set(PRESETS) == set(STUDENTS) | set(TEACHERS)


def test_names_that_are_near_are_offered_when_there_is_none_of_that_name() -> None:
    with pytest.raises(InputError, match=r"preset 'depth-anything-small': unknown.*did you mean depth-anything-v2-sm"):
        build_model("depth-anything-small")
    with pytest.raises(InputError, match=r"encoder 'pixio-vits16': unknown.*did you mean pixio-vit.16\?"):
        build_encoder("pixio-vits16")
