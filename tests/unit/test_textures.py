from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from texture_making import COLOURS, ROWS, write_index, write_textures

from pixio_edge.errors import InputError
from pixio_edge.scenes.noise import noise_backdrop, noise_texture
from pixio_edge.scenes.texture_folder import list_textures
from pixio_edge.scenes.textures import (
    BACKDROP_SIZE,
    GAMMA_TABLE,
    MIP_LEVELS,
    NOISE_BACKDROPS,
    NOISE_TEXTURES,
    TILE_PX,
    USES,
    TextureAtlas,
    load_atlas,
)


def unpack(texels: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.stack([texels >> 16 & 255, texels >> 8 & 255, texels & 255], axis=-1)


def uses_of(atlas: TextureAtlas, origin: str) -> set[str]:
    index = atlas.origins.index(origin)
    return {use for use, members in atlas.uses.items() if index in members}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("textures") / "mine"
    write_textures(folder)
    return folder


@pytest.fixture(scope="module")
def noise() -> TextureAtlas:
    return load_atlas()


@pytest.fixture(scope="module")
def atlas(folder: Path) -> TextureAtlas:
    return load_atlas(folder)


def test_noise_serves_every_use_when_there_is_no_folder(noise: TextureAtlas) -> None:
    assert noise.texels.dtype == np.int32
    assert len(noise.texels) == NOISE_TEXTURES == len(noise.origins)
    assert noise.backdrops.shape == (NOISE_BACKDROPS, *BACKDROP_SIZE)
    assert set(noise.origins) == set(noise.backdrop_origins) == {"noise"}
    assert noise.uses.keys() == USES.keys()
    for members in noise.uses.values():
        assert set(members) == set(range(NOISE_TEXTURES))


def test_noise_is_the_same_for_a_seed_and_differs_between_textures(noise: TextureAtlas) -> None:
    other = load_atlas(seed=1)

    assert np.array_equal(load_atlas().texels, noise.texels)
    assert not np.array_equal(other.texels, noise.texels)
    assert len({tuple(row.tolist()) for row in noise.texels[:, :64]}) == NOISE_TEXTURES


def test_noise_wraps_around_without_a_seam() -> None:
    """Steps across the border are like steps inside: the median texture of many, as stripes may end anywhere."""
    ratios = []
    for seed in range(40):
        image = noise_texture(np.random.default_rng(seed), 128).astype(float)
        inside, seam = np.abs(np.diff(image, axis=1)).mean(), np.abs(image[:, 0] - image[:, -1]).mean()
        ratios.append(seam / inside)

    assert np.median(ratios) < 1.5


def test_noise_sky_is_above_and_ground_below() -> None:
    image = noise_backdrop(np.random.default_rng(0), (64, 96))

    assert image.shape == (64, 96, 3)
    assert image[:32].mean() > image[32:].mean()


def as_light(packed: NDArray[np.int32]) -> NDArray[np.float32]:
    return np.stack([GAMMA_TABLE[packed >> bits & 255] for bits in (16, 8, 0)], axis=-1)


def test_mip_levels_are_packed_one_after_another_and_keep_the_mean_light(noise: TextureAtlas) -> None:
    sides = [TILE_PX >> level for level in range(MIP_LEVELS)]
    starts = [sum(side**2 for side in sides[:level]) for level in range(MIP_LEVELS)]

    assert noise.texels.shape[1] == starts[-1] + sides[-1] ** 2
    base = as_light(noise.texels[:, : TILE_PX**2]).mean(axis=1)
    for start, side in zip(starts, sides, strict=True):
        mean = as_light(noise.texels[:, start : start + side**2]).mean(axis=1)
        assert np.abs(mean - base).max() < 0.004, side


def test_next_mip_level_is_the_area_mean_of_the_light_of_the_one_before(noise: TextureAtlas) -> None:
    base = as_light(noise.texels[5, : TILE_PX**2]).reshape(TILE_PX // 2, 2, TILE_PX // 2, 2, 3).mean(axis=(1, 3))

    half = as_light(noise.texels[5, TILE_PX**2 : TILE_PX**2 + (TILE_PX // 2) ** 2])

    assert np.abs(half.reshape(TILE_PX // 2, TILE_PX // 2, 3) - base).max() <= 0.005  # rounded to bytes


def test_mean_colours_are_those_of_the_textures_as_light(atlas: TextureAtlas) -> None:
    means = atlas.means

    assert means.shape == (len(atlas.origins), 3)
    # Half of the image has each colour.
    expected = GAMMA_TABLE[np.array(COLOURS["wood"])].mean(axis=0)
    np.testing.assert_allclose(means[atlas.origins.index("surfaces/wood.png")], expected, atol=2 / 255)


def test_images_are_put_to_the_uses_of_their_tags_when_there_is_an_index(atlas: TextureAtlas) -> None:
    assert uses_of(atlas, "surfaces/wood.png") == {use for use, tags in USES.items() if "wood" in tags}
    assert uses_of(atlas, "surfaces/brick.png") == {"wall", "facade", "brick"}
    assert uses_of(atlas, "surfaces/odd.png") == {"object"}  # a tag that no use knows
    assert uses_of(atlas, "photos/photo.png") == {"object", "picture"}  # whatever is on it
    assert atlas.backdrop_origins[-1] == "backdrops/sky.png"
    assert len(atlas.backdrops) == NOISE_BACKDROPS + 1


def test_every_use_keeps_some_noise_and_prefers_images(atlas: TextureAtlas) -> None:
    for use, members in atlas.uses.items():
        noise = [index for index in members if atlas.origins[index] == "noise"]
        real = [index for index in members if atlas.origins[index] != "noise"]
        assert noise, use
        assert not real or len(noise) <= max(1, len(real) // 4), use


def test_image_keeps_its_colours_and_its_upper_side(atlas: TextureAtlas) -> None:
    texture = unpack(atlas.texels[atlas.origins.index("surfaces/brick.png"), : TILE_PX**2])
    texture = texture.reshape(TILE_PX, TILE_PX, 3)
    panorama = unpack(atlas.backdrops[-1])

    assert texture[10, 10].tolist() == list(COLOURS["brick"][0])
    assert texture[-10, 10].tolist() == list(COLOURS["brick"][1])
    assert panorama[10, 10].tolist() == list(COLOURS["sky"][0])
    assert panorama[-10, -10].tolist() == list(COLOURS["sky"][1])


def test_any_folder_of_images_serves_as_objects_when_there_is_no_index(tmp_path: Path) -> None:
    write_textures(tmp_path / "mine", indexed=False)

    atlas = load_atlas(tmp_path / "mine")

    files = {f"{group}/{row[0]}" for group, rows in ROWS.items() for row in rows}
    assert set(atlas.origins) == {"noise"} | files
    assert uses_of(atlas, "surfaces/brick.png") == {"object"}
    assert len(atlas.backdrops) == NOISE_BACKDROPS


def test_rows_of_the_index_are_kept_whole(folder: Path) -> None:
    found = {image.file.name: image for image in list_textures(folder)}

    brick = found["brick.png"]
    assert (brick.group, brick.tag, brick.licence, brick.author) == ("surfaces", "brick", "CC BY-SA 3.0", "B_Maker")
    assert [str(image.file) for image in list_textures(folder)] == [
        f"{group}/{row[0]}" for group in sorted(ROWS) for row in ROWS[group]
    ]


def make_missing(folder: Path) -> None:
    pass


def make_empty(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")


def make_index_without_tag(folder: Path) -> None:
    (folder / "surfaces").mkdir(parents=True)
    write_index(folder / "surfaces" / "index.csv", (("wood.png",),), ("file",))


def make_index_of_missing_image(folder: Path) -> None:
    (folder / "surfaces").mkdir(parents=True)
    write_index(folder / "surfaces" / "index.csv", (("gone.png", "wood"),), ("file", "tag"))


def make_index_that_leaves_its_folder(folder: Path) -> None:
    (folder / "surfaces").mkdir(parents=True)
    write_index(folder / "surfaces" / "index.csv", (("../../secret.png", "wood"),), ("file", "tag"))


def make_text_as_image(folder: Path) -> None:
    folder.mkdir()
    (folder / "text.jpg").write_text("no image")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_missing, "no such folder"),
        (make_empty, "no image, expected JPEG, PNG or WebP"),
        (make_index_without_tag, "no column tag"),
        (make_index_of_missing_image, r"gone\.png"),
        (make_index_that_leaves_its_folder, "expected a path inside its folder"),
        (make_text_as_image, r"text\.jpg"),
    ],
)
def test_folder_is_refused_in_one_line_when_it_cannot_be_used(make: object, message: str, tmp_path: Path) -> None:
    make(tmp_path / "mine")  # type: ignore[operator]

    with pytest.raises(InputError, match=message) as caught:
        load_atlas(tmp_path / "mine")

    assert "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)
