from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.image import read_image
from pixio_edge.scenes import sheet as module
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.library import make_library
from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.render import Rendered
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.sheet import main, sheet, showcase
from pixio_edge.scenes.textures import load_atlas


def small_library() -> object:
    def cube(rng: np.random.Generator) -> Model:
        return Model(box(tuple(rng.uniform(0.2, 2.0, 3))), [Look("plastic")])

    return make_library({"cube": ("thing", cube, 3)})


def test_a_sheet_has_each_image_above_its_depth() -> None:
    images = np.stack([np.full((10, 20, 3), 40 * k, np.uint8) for k in range(6)])
    depths = np.stack([np.full((10, 20), 1.0 + k, np.float32) for k in range(6)])
    depths[0, :5] = np.inf
    picture = sheet(Rendered(images, depths, np.ones(6, np.float32), ("x",) * 6))
    assert picture.shape == (40, 80, 3)
    assert (picture[:10, 20:40] == 40).all() and (picture[20:30, 20:40] == 200).all()
    assert (picture[10, 0] != picture[19, 0]).any()  # sky is not as near as the rest
    assert (picture[20:, 40:] == 0).all()


def test_a_model_is_shown_whole_and_large() -> None:
    library = small_library()
    kit = Kit(np.random.default_rng(0), load_atlas(), library)
    for index in library.of("cube"):
        scene = showcase(kit, index)
        rendered = module.render_scene(scene, library, load_atlas(), (48, 48), seed=0, effects=False)
        scene.instances.pop()
        empty = module.render_scene(scene, library, load_atlas(), (48, 48), seed=0, effects=False)
        rows, columns = np.nonzero(rendered.depth[0] < empty.depth[0] - 1e-3)
        assert rows.min() > 0 and rows.max() < 47 and columns.min() > 0 and columns.max() < 47
        assert len(rows) > 100


def test_the_command_writes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "build_library", small_library)
    out = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["sheet", str(out), "--models", "thing", "--count", "2", "--size", "32x48"])
    main()
    assert read_image(out).shape == (64, 96, 3)
