from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from texture_making import write_textures

from pixio_edge.errors import InputError
from pixio_edge.image import write_image
from pixio_edge.scenes.identity import SCENES, scenes_digest, textures_digest


def test_digest_of_scenes_is_that_of_all_code_that_draws(tmp_path: Path) -> None:
    copy = tmp_path / "scenes"
    shutil.copytree(SCENES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = scenes_digest(copy)

    for name in ("studio.py", "preview.py", "drawing/compiled_folder.py"):
        (copy / name).write_text("changed")
    scenes_digest.cache_clear()
    assert scenes_digest(copy) == before == scenes_digest()

    seen = {before}
    for name in ("kit.py", "layouts/room.py", "things/seats.py", "drawing/sensor.py", "render.py"):
        (copy / name).write_text((copy / name).read_text(encoding="utf-8") + "x = 1", encoding="utf-8")
        scenes_digest.cache_clear()
        seen.add(scenes_digest(copy))
    assert len(seen) == 6


def test_digest_of_textures_is_that_of_images_and_tags_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("a/textures", "b/others"):
        write_textures(tmp_path / place)
        write_textures(tmp_path / place / "plain", indexed=False)
    first, second = tmp_path / "a/textures", tmp_path / "b/others"

    assert textures_digest(first) == textures_digest(second)
    assert textures_digest(first / "plain") == textures_digest(second / "plain") != textures_digest(first)
    assert textures_digest(None) == "noise"

    digests = {textures_digest(first)}
    (second / "surfaces" / "notes.txt").write_text("no texture")
    digests.add(textures_digest(second))
    assert len(digests) == 1
    index = second / "surfaces" / "index.csv"
    index.write_text(index.read_text().replace(",wood", ",metal"))
    digests.add(textures_digest(second))
    write_image(second / "surfaces" / "wood.png", np.zeros((60, 80, 3), np.uint8))
    digests.add(textures_digest(second))
    assert len(digests) == 3


def test_image_that_is_changed_while_running_is_seen(tmp_path: Path) -> None:
    write_textures(tmp_path, indexed=False)
    before, path = textures_digest(tmp_path), tmp_path / "surfaces" / "wood.png"

    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, (1, 1))

    assert textures_digest(tmp_path) != before


def test_texture_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_textures(tmp_path)
    (tmp_path / "surfaces" / "brick.png").unlink()

    with pytest.raises(InputError, match=r"cannot read '.*brick\.png' .*Fix: put it there"):
        textures_digest(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        textures_digest(tmp_path / "nowhere")
