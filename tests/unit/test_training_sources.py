from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import h5py  # type: ignore[import-untyped]
import numpy as np
import pytest
import scipy.io  # type: ignore[import-untyped]
from small_pool import write_index_folder, write_small_pool

from pixio_edge.errors import InputError
from pixio_edge.training.sources import SampleSource, SceneSource, hold_back, open_source
from pixio_edge.training.supervised import open_sources
from pixio_edge.training.train_config import DataPart, TrainConfig

DRIVE = "2011_09_26/2011_09_26_drive_0002_sync"
KITTI_DEPTH = "2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000005.png"


def write_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def test_index_folder_gives_inverse_depth_and_where_it_is_known(tmp_path: Path) -> None:
    source = open_source(str(write_index_folder(tmp_path / "room", max="10")))

    image = source.read(0)

    assert source.refresh() == 1
    assert source.is_metric()
    assert image.valid is not None
    assert not image.valid[:, :2].any()
    assert image.valid[:, 2:].all()
    assert (image.inverse[image.valid] == 0.5).all()
    assert np.isfinite(image.inverse).all()


@pytest.mark.parametrize(
    ("cells", "metric"),
    [({"kind": "disparity"}, False), ({"kind": "disparity", "fx": "9", "baseline_m": "1", "doffs_px": "0"}, True)],
)
def test_disparity_is_metric_when_its_camera_is_known(cells: dict[str, str], metric: bool, tmp_path: Path) -> None:
    source = open_source(str(write_index_folder(tmp_path / "stereo", **cells)))

    assert source.is_metric() is metric
    assert (source.read(0).valid is None) is False


def test_nyu_split_list_is_read_in_millimetres_without_its_white_border(tmp_path: Path) -> None:
    depth = np.full((480, 640), 2500, dtype=np.uint16)
    depth[:, 300:] = 11_000  # beyond the range of 10 m
    write_png(tmp_path / "sync" / "kitchen_0001" / "rgb_00045.jpg", np.full((480, 640, 3), 9, dtype=np.uint8))
    write_png(tmp_path / "sync" / "kitchen_0001" / "sync_depth_00045.png", depth)
    split = tmp_path / "lists" / "nyu_train.txt"
    split.parent.mkdir()
    split.write_text(
        "/kitchen_0001/rgb_00045.jpg /kitchen_0001/sync_depth_00045.png 518.8579\n"
        "/kitchen_0001/rgb_00046.jpg None 518.8579\n"
    )

    source = open_source(f"{split}@{tmp_path}")
    image = source.read(0)

    assert source.refresh() == 1  # the line without depth is left out
    assert image.rgb.shape == (426, 560, 3)
    assert image.valid is not None
    assert image.valid[:, : 300 - 41].all()
    assert not image.valid[:, 300 - 41 :].any()
    assert np.allclose(image.inverse[image.valid], 1 / 2.5)


def test_kitti_split_list_finds_raw_images_as_jpeg_and_annotated_depth(tmp_path: Path) -> None:
    depth = np.zeros((20, 60), dtype=np.uint16)
    depth[10:] = 4 * 256
    write_png(tmp_path / "raw" / DRIVE / "image_02" / "data" / "0000000005.jpg", np.zeros((20, 60, 3), np.uint8))
    write_png(tmp_path / "data_depth_annotated" / "train" / KITTI_DEPTH, depth)
    split = tmp_path / "eigen_train.txt"
    split.write_text(f"{DRIVE}/image_02/data/0000000005.png {KITTI_DEPTH} 721.5377\n")

    image = open_source(str(split)).read(0)

    assert image.valid is not None
    assert image.valid.sum() == 10 * 60
    assert (image.inverse[image.valid] == 0.25).all()


def test_kitti_folder_is_read_without_a_list(tmp_path: Path) -> None:
    drive = tmp_path / "2011_09_26_drive_0002_sync"
    write_png(drive / "image_02" / "data" / "0000000005.png", np.zeros((20, 60, 3), np.uint8))
    write_png(drive / "proj_depth" / "groundtruth" / "image_02" / "0000000005.png", np.full((20, 60), 512, np.uint16))

    image = open_source(str(tmp_path)).read(0)

    assert (image.inverse == 0.5).all()


def test_labelled_nyu_file_gives_its_training_split_and_never_the_test_images(tmp_path: Path) -> None:
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        file["images"] = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 3, 640, 480), np.uint8)
        file["depths"] = np.full((3, 640, 480), 2.0, np.float32)
    scipy.io.savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [3]], "testNdxs": [[2]]})

    source = open_source(str(path))

    assert source.refresh() == 2
    assert [int(source.read(index).rgb[0, 0, 0]) for index in range(2)] == [0, 2]
    assert source.read(1).rgb.shape == (426, 560, 3)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a.jpg b.png 1\n", "sync_depth"),
        ("a b c d\n", "4 words"),
        ("a None 1\n", "no labelled image"),
        ("/x/rgb.jpg /x/sync_depth_1.png 1\n", "expected that file below"),
    ],
)
def test_split_list_is_refused_when_it_cannot_be_used(text: str, fragment: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(text)

    with pytest.raises(InputError, match=fragment):
        open_source(str(tmp_path / "list.txt"))


def test_source_is_refused_when_nothing_known_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing that is known"):
        open_source(str(tmp_path))


def test_last_tenth_is_held_back_and_not_trained_on(tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool", images=24)

    trained, measured = hold_back(open_source(str(tmp_path / "pool")))

    whole = SceneSource(tmp_path / "pool")
    assert (trained.refresh(), measured.refresh()) == (22, 2)
    assert np.array_equal(trained.read(21).rgb, whole.read(21).rgb)
    assert np.array_equal(measured.read(0).rgb, whole.read(22).rgb)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    write_small_pool(tmp_path / "pool")
    write_small_pool(tmp_path / "held_back", seed=1)
    write_index_folder(tmp_path / "room", images=4)
    return TrainConfig("tiny", tmp_path / "pool", tmp_path / "held_back", images=8)


def test_scenes_are_measured_on_when_scenes_are_trained_on(config: TrainConfig, tmp_path: Path) -> None:
    mixed = replace(config, data=(DataPart("scenes", 0.7), DataPart(str(tmp_path / "room"), 0.3)))

    trained, measured = open_sources(mixed)

    assert [(type(source), source.refresh(), weight) for source, weight in trained] == [
        (SceneSource, 24, 0.7),
        (SampleSource, 4, 0.3),
    ]
    assert [source.name for source in measured] == [str(tmp_path / "held_back")]


def test_a_part_of_the_data_is_measured_on_when_no_scenes_are(config: TrainConfig, tmp_path: Path) -> None:
    alone = replace(config, data=(DataPart(str(tmp_path / "room")),))

    trained, measured = open_sources(alone)
    named, chosen = open_sources(replace(alone, measure_on=(str(tmp_path / "pool"),)))

    assert (trained[0][0].refresh(), measured[0].refresh()) == (3, 1)
    assert (named[0][0].refresh(), chosen[0].refresh()) == (4, 24)


def test_metric_depth_is_refused_when_labels_have_no_scale(config: TrainConfig, tmp_path: Path) -> None:
    write_index_folder(tmp_path / "stereo", kind="disparity")
    data = (DataPart("scenes"), DataPart(str(tmp_path / "stereo")))

    with pytest.raises(InputError, match="unknown scale"):
        open_sources(replace(config, data=data, max_depth=10.0))
    open_sources(replace(config, data=data))
