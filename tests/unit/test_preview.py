from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pixio_edge.cli.options import LayoutOption, parse_layouts
from pixio_edge.cli.scenes import scenes
from pixio_edge.errors import InputError, OutputError, PixioEdgeError
from pixio_edge.evaluation.index_folder import IndexFolder
from pixio_edge.scenes import preview as preview_module
from pixio_edge.scenes import studio as studio_module
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.layouts import LAYOUTS
from pixio_edge.scenes.library import Library, make_library
from pixio_edge.scenes.mesh import Look, Model
from pixio_edge.scenes.preview import contact_sheet, encode_millimetres, sheet_cell, showcase, write_scenes
from pixio_edge.scenes.render import render, render_scene, sample_scene
from pixio_edge.scenes.selection import Purpose, scene_seed
from pixio_edge.scenes.shapes import box
from pixio_edge.scenes.studio import Studio
from pixio_edge.scenes.textures import TextureAtlas

SIZE = (32, 48)


def test_preview_is_a_data_set_with_exact_depth(tmp_path: Path, atlas: TextureAtlas, library: Library) -> None:
    names = write_scenes(tmp_path / "scenes", range(3, 13), size=SIZE, seed=7)

    expected = render(scene_seed(7, Purpose.PREVIEW), range(3, 13), SIZE, atlas, library)
    samples = list(IndexFolder(tmp_path / "scenes"))
    assert names == [f"{kind}_{index:04d}" for kind, index in zip(expected.kinds, range(3, 13), strict=True)]
    assert len(samples) == 10
    for row, sample in enumerate(samples):
        depth = expected.depth[row]
        stored = np.isfinite(depth) & (depth < 65.535)
        assert np.array_equal(sample.rgb, expected.rgb[row])
        assert np.array_equal(sample.valid, stored)
        # Rounded to millimetres.
        assert np.abs(sample.depth_gt[stored] - depth[stored]).max() <= 0.00051
        assert sample.intrinsics is not None
        assert sample.intrinsics.fx == pytest.approx(float(expected.focal_px[row]), abs=1e-3)
        assert (sample.intrinsics.cx, sample.intrinsics.cy) == (23.5, 15.5)  # of 48x32 pixels, the first at 0


def test_contact_sheet_shows_every_scene_above_its_depth(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", range(6), size=SIZE)

    sheet = cv2.imread(str(tmp_path / "scenes" / "contact_sheet.png"))
    assert sheet.shape == (2 * 2 * SIZE[0], 4 * SIZE[1], 3)
    first = cv2.imread(str(next(iter(sorted((tmp_path / "scenes").glob("*_0000.png"))))))
    assert np.array_equal(sheet[: SIZE[0], : SIZE[1]], first)
    assert (sheet[2 * SIZE[0] :, 2 * SIZE[1] :] == 0).all()  # six scenes in two rows of four


def test_sky_is_shown_as_far_on_a_contact_sheet() -> None:
    images = np.stack([np.full((10, 20, 3), 40 * k, dtype=np.uint8) for k in range(6)])
    depths = np.stack([np.full((10, 20), 1.0 + k, dtype=np.float32) for k in range(6)])
    depths[0, :5] = np.inf

    sheet = contact_sheet([sheet_cell(image, depth) for image, depth in zip(images, depths, strict=True)])

    assert sheet.shape == (40, 80, 3)
    assert (sheet[:10, 20:40] == 40).all()
    assert (sheet[20:30, 20:40] == 200).all()
    assert sheet[10, 0].sum() < sheet[19, 0].sum()


def test_millimetres_are_zero_for_sky_and_for_what_is_too_far() -> None:
    depth = np.array([[1.2344, np.inf], [65.5351, 65.536]], dtype=np.float32)

    stored = cv2.imdecode(np.frombuffer(encode_millimetres(depth), dtype=np.uint8), cv2.IMREAD_UNCHANGED)

    assert stored.dtype == np.uint16
    assert stored.tolist() == [[1234, 0], [65535, 0]]


def test_verb_writes_one_layout_and_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes(tmp_path / "out", count=2, layout=["street"], size="32x48", json=True)

    record = json.loads(capsys.readouterr().out)
    assert record["names"] == ["street_0000", "street_0001"]
    with (tmp_path / "out" / "index.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["rgb"] for row in csv.DictReader(stream)] == ["street_0000.png", "street_0001.png"]


def test_verb_writes_things_by_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str], library: Library) -> None:
    scenes(tmp_path / "out", count=2, models="seat", size="32x48", json=True)

    names = json.loads(capsys.readouterr().out)["names"]
    assert names == [f"{library.names[index]}_{index:04d}" for index in library.of("seat")[:2]]
    assert {path.name for path in (tmp_path / "out").glob("*.depth.png")} == {f"{name}.depth.png" for name in names}


def test_model_is_shown_whole_and_large(atlas: TextureAtlas) -> None:
    def box_of(rng: np.random.Generator) -> Model:
        return Model(box(tuple(rng.uniform(0.2, 2.0, 3))), [Look("plastic")])

    library = make_library({"box": ("thing", box_of, 3)})
    for index in library.of("thing"):
        scene = showcase(Kit(np.random.default_rng(0), atlas, library), index)
        with_it = render_scene(scene, library, atlas, (48, 48), seed=0, effects=False)
        scene.instances.pop()
        empty = render_scene(scene, library, atlas, (48, 48), seed=0, effects=False)

        rows, columns = np.nonzero(with_it.depth[0] < empty.depth[0] - 1e-3)
        assert min(rows.min(), columns.min()) > 0
        assert max(rows.max(), columns.max()) < 47
        assert len(rows) > 100


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"size": "15x48"}, "at least 16 pixels"),
        ({"layout": ["moon"]}, "layout 'moon': unknown, expected one of room, "),
        ({"textures": Path("nowhere")}, "nowhere"),
        ({"models": "moon"}, "models 'moon': unknown, expected one of"),
        ({"models": "seat", "layout": ["room"]}, "--models: got --layout as well"),
        ({"models": "seat", "size": "15x48"}, "at least 16 pixels"),
    ],
)
def test_verb_writes_nothing_when_an_option_is_wrong(options: dict[str, Any], fragment: str, tmp_path: Path) -> None:
    with pytest.raises(PixioEdgeError, match=fragment):
        scenes(tmp_path / "out", **({"count": 1, "size": "32x48"} | options))

    assert list(tmp_path.iterdir()) == []


def test_preview_is_refused_when_its_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")

    with pytest.raises(OutputError, match="cannot create folder"):
        write_scenes(tmp_path / "out", range(1), size=SIZE)


def test_folder_that_cannot_be_written_is_found_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("textures are loaded")

    monkeypatch.setattr(studio_module, "load_atlas", load)
    monkeypatch.setattr(preview_module, "load_atlas", load)
    (tmp_path / "out").write_text("in the way")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "index.csv").write_text("rgb,depth\n")

    for options in ({"layout": ["room"]}, {"models": "seat"}):
        with pytest.raises(OutputError, match="cannot create folder"):
            scenes(tmp_path / "out", count=1, **options)
        with pytest.raises(InputError, match="got a data set, expected none"):
            scenes(tmp_path / "set", count=1, **options)

    assert (tmp_path / "set" / "index.csv").read_text() == "rgb,depth\n"


def test_interrupted_scenes_are_a_data_set_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio_module, "TASK_IMAGES", 2)

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "scenes", range(40), size=SIZE, progress=interrupt)

    assert len(list(IndexFolder(tmp_path / "scenes"))) == 4
    assert len(list((tmp_path / "scenes").glob("*.png"))) == 4 + 4 + 1


def test_nothing_stays_when_scenes_end_before_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(studio_module, "render", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "a" / "b", range(4), size=SIZE)

    assert list(tmp_path.iterdir()) == []


def test_images_are_written_as_they_come_and_the_sheet_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio_module, "TASK_IMAGES", 4)
    monkeypatch.setattr(preview_module, "SHEET_IMAGES", 5)
    folder, written = tmp_path / "scenes", []

    def count(done: int, total: int) -> None:
        written.append((done, len(list(folder.glob("*.depth.png")))))

    write_scenes(folder, range(12), size=SIZE, progress=count)

    assert written == [(4, 4), (8, 8), (12, 12)]
    assert cv2.imread(str(folder / "contact_sheet.png")).shape == (2 * 2 * SIZE[0], 4 * SIZE[1], 3)


def test_layouts_are_drawn_as_their_weights_say(atlas: TextureAtlas, library: Library) -> None:
    weights = {"shelf": 1.0, "tabletop": 3.0}

    kinds = [sample_scene(5, number, atlas, library, weights).kind for number in range(60)]

    assert set(kinds) == {"shelf", "tabletop"}
    assert 35 <= kinds.count("tabletop") <= 55
    turned = dict(reversed(weights.items()))
    assert [sample_scene(5, number, atlas, library, turned).kind for number in range(8)] == kinds[:8]


def test_layouts_and_effects_reach_the_processes(studio: Studio, atlas: TextureAtlas, library: Library) -> None:
    (part,) = studio.render(5, range(2), SIZE, layouts={"shelf": 1.0}, effects=False)

    assert part.kinds == ("shelf", "shelf")
    expected = render(5, range(2), SIZE, atlas, library, layouts={"shelf": 1.0}, effects=False)
    assert np.array_equal(part.rgb, expected.rgb)


def test_layouts_are_read_with_their_weights() -> None:
    assert parse_layouts(None) == {}
    assert parse_layouts(["tabletop:2.5", "shelf"]) == {"tabletop": 2.5, "shelf": 1.0}
    for texts in (["tabletop:"], ["tabletop:much"], ["shelf:0"], ["shelf", "shelf:2"], [":2"]):
        with pytest.raises(InputError, match="layout"):
            parse_layouts(texts)


def test_every_layout_is_named_in_the_help() -> None:
    (option,) = LayoutOption.__metadata__
    assert all(f"{name}," in option.help or f"{name}." in option.help for name in LAYOUTS)


def test_seeds_of_two_purposes_never_meet() -> None:
    seeds = [scene_seed(seed, purpose) for seed in range(100) for purpose in Purpose]

    assert len(set(seeds)) == 300
