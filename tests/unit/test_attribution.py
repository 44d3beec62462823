from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shared_data import SHARED_DATA
from texture_making import ROWS, write_index, write_textures

from pixio_edge.errors import InputError
from pixio_edge.scenes.attribution import LICENCES, drawn_textures, write_attribution
from pixio_edge.scenes.library import Library
from pixio_edge.scenes.scene import VIEWS
from pixio_edge.scenes.textures import TextureAtlas, load_atlas

SHARED_TEXTURES = SHARED_DATA.parent / "textures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_textures(tmp_path / "mine")
    return tmp_path / "mine"


def section_of(text: str, licence: str) -> str:
    return next(part for part in text.split("\n## ") if part.startswith(f"{licence}:"))


def test_attribution_names_author_source_licence_and_change(folder: Path, tmp_path: Path) -> None:
    count = write_attribution(folder, tmp_path / "ATTRIBUTION.md")

    text = (tmp_path / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert count == 5
    assert "was changed: cropped, resized, recompressed, and rendered as surface texture" in " ".join(text.split())
    brick = section_of(text, "CC BY-SA 3.0")
    assert "<https://creativecommons.org/licenses/by-sa/3.0/>" in brick
    assert "Share-alike" in brick
    assert r"brick.png, by B\_Maker, from [maker/bricks]" in brick
    assert "(https://github.com/maker/bricks/blob/abcdef0123/the%20brick.png)" in brick
    assert "licence stated in: readme.txt" in brick
    photo = section_of(text, "CC BY 2.0")
    assert "photo.png, by D Maker, from somewhere else; licence stated in: https://photos.example/1" in photo


def test_attribution_keeps_the_mit_notice_with_its_holders_when_there_is_an_mit_image(
    folder: Path, tmp_path: Path
) -> None:
    write_attribution(folder, tmp_path / "with.md")
    write_attribution(folder, tmp_path / "without.md", used={"surfaces/wood.png"})

    text = " ".join((tmp_path / "with.md").read_text(encoding="utf-8").split())
    assert "by C Maker (1)" in text
    assert "The above copyright notice and this permission notice shall be included" in text
    assert "permission notice" not in (tmp_path / "without.md").read_text(encoding="utf-8")


def test_attribution_has_only_what_was_used_when_that_is_known(folder: Path, tmp_path: Path) -> None:
    count = write_attribution(folder, tmp_path / "ATTRIBUTION.md", used={"photos/photo.png", "backdrops/sky.png"})

    text = (tmp_path / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert count == 2
    assert "photo.png" in text
    assert "maker/skies" in text
    assert "author not known" in text
    assert "brick" not in text


def test_attribution_has_no_path_of_this_host(folder: Path, tmp_path: Path) -> None:
    write_attribution(folder, tmp_path / "ATTRIBUTION.md")

    text = (tmp_path / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "mine" not in text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a.png", "All rights reserved", "", "somewhere", "Someone", "wood"), "got licence 'All rights reserved'"),
        (("a.png", "", "", "somewhere", "Someone", "wood"), "got licence ''"),
        (("a.png", "CC BY 4.0", "", "somewhere", "", "wood"), "got no author"),
        (("a.png", "CC0-1.0", "", "", "", "wood"), "got no source"),
    ],
)
def test_image_is_refused_when_its_licence_cannot_be_met(
    row: tuple[str, ...], message: str, folder: Path, tmp_path: Path
) -> None:
    write_index(folder / "surfaces" / "index.csv", (*ROWS["surfaces"], row))

    with pytest.raises(InputError, match=message) as caught:
        write_attribution(folder, tmp_path / "ATTRIBUTION.md")

    assert r"surfaces/a.png" in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert not (tmp_path / "ATTRIBUTION.md").exists()


def test_drawn_textures_are_those_that_scenes_have_on_them(folder: Path, library: Library) -> None:
    atlas = load_atlas(folder)

    few, many = drawn_textures(1, 2 * VIEWS, atlas, library), drawn_textures(1, 40 * VIEWS, atlas, library)

    assert few <= many <= {*atlas.origins, *atlas.backdrop_origins} - {"noise"}
    # Every use has few images besides noise, so that forty scenes have drawn them all.
    assert {"surfaces/wood.png", "surfaces/brick.png", "photos/photo.png"} <= many
    assert drawn_textures(1, 8 * VIEWS, atlas, library, {"shelf": 1.0}) != drawn_textures(1, 8 * VIEWS, atlas, library)


def test_drawn_textures_are_none_when_all_is_noise(atlas: TextureAtlas, library: Library) -> None:
    assert drawn_textures(1, 3, atlas, library) == frozenset()


def test_every_licence_links_to_its_text() -> None:
    assert all(licence.url.startswith("https://") and licence.note.endswith(".") for licence in LICENCES.values())
    per_image = [name for name, licence in LICENCES.items() if licence.per_image]
    assert np.all([name.startswith("CC BY") for name in per_image])
    assert {name for name in LICENCES if name.startswith("CC BY")} == set(per_image)


@pytest.mark.skipif(not SHARED_TEXTURES.is_dir(), reason="the texture folder beside the checkout is not on this host")
def test_texture_folder_beside_the_checkout_is_attributed_whole(tmp_path: Path) -> None:
    count = write_attribution(SHARED_TEXTURES, tmp_path / "ATTRIBUTION.md")

    text = (tmp_path / "ATTRIBUTION.md").read_text(encoding="utf-8")
    rows = sum(len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in SHARED_TEXTURES.glob("*/index.csv"))
    assert count == rows > 2000
    assert str(SHARED_TEXTURES.parent) not in text
