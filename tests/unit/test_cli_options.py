"""Texts of the command line to values, and names of results."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixio_edge.cli.evaluate import parse_crop
from pixio_edge.cli.options import check_colormap, parse_cores, parse_precision, parse_size
from pixio_edge.cli.output import unique_stems
from pixio_edge.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [(None, None), ("256x192", (256, 192)), ("256", (256, 256)), (" 16X32 ", (16, 32)), ("8×4", (8, 4))],
)
def test_size_is_height_then_width(text: str | None, size: tuple[int, int] | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "256x", "0x16", "16x0", "-16x16", "16x16x3", "1.5x2", "big"])
def test_size_is_refused_when_it_is_none(text: str) -> None:
    with pytest.raises(InputError, match="--size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "cores"), [(None, None), ("0", (0,)), ("0,2", (0, 2)), ("4-7,5", (4, 5, 6, 7))])
def test_cores_are_numbers_and_ranges(text: str | None, cores: tuple[int, ...] | None) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1"])
def test_cores_are_refused_when_they_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--pin-cores"):
        parse_cores(text)


def test_precision_is_one_of_the_known_names() -> None:
    assert parse_precision("BF16") == "bf16"
    assert parse_precision(None) is None
    with pytest.raises(InputError, match="fp12"):
        parse_precision("fp12")


def test_colormap_is_one_of_the_known_names() -> None:
    assert check_colormap("turbo") == "turbo"
    with pytest.raises(InputError, match="beige"):
        check_colormap("beige")


@pytest.mark.parametrize(
    ("images", "stems"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["x/a.jpg", "y/a.jpg", "z/a.png"], ["a", "a-2", "a-3"]),
        (["x/a.jpg", "y/A.jpg"], ["a", "A-2"]),
        (["a.jpg", "x/a.png", "a-2.jpg"], ["a", "a-3", "a-2"]),
    ],
)
def test_stems_are_unique_even_without_case_and_beside_real_names(images: list[str], stems: list[str]) -> None:
    assert unique_stems([Path(image) for image in images]) == stems


def test_crop_is_one_of_the_known_names() -> None:
    assert (parse_crop("none"), parse_crop("garg")) == ("none", "garg")
    with pytest.raises(InputError, match="--kitti-crop"):
        parse_crop("square")
