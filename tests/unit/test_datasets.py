from __future__ import annotations

import csv
import logging
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pixio_edge.errors import InputError, MissingDependencyError
from pixio_edge.evaluation.crops import eigen_crop_nyu, garg_crop
from pixio_edge.evaluation.datasets import open_datasets, preload
from pixio_edge.evaluation.index_folder import IndexFolder
from pixio_edge.evaluation.kitti import KittiFolder
from pixio_edge.evaluation.nyu import NyuLabelled
from pixio_edge.point_cloud import Intrinsics

SIZE = (4, 5)

STORED = np.array([[0, 100, 1000, 2000, 10000]] * 4, dtype=np.uint16)

NYU_SHAPE = (480, 640)

DRIVE = "2011_09_26_drive_0002_sync"


def write_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def write_rgb(path: Path, size: tuple[int, int] = SIZE) -> None:
    picture = np.zeros((*size, 3), dtype=np.uint8)
    picture[..., 2] = 200  # OpenCV stores blue first, so this is red
    write_png(path, picture)


def write_set(folder: Path, **cells: str) -> Path:
    """One row: an image of 4 x 5 pixels, depth in millimetres, and whatever columns are given."""
    write_rgb(folder / "rgb" / "a.png")
    write_png(folder / "depth" / "a.png", STORED)
    row = {"rgb": "rgb/a.png", "depth": "depth/a.png", "scale": "1000", **cells}
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return folder


def test_index_folder_reads_image_depth_and_bounds(tmp_path: Path):
    dataset = IndexFolder(write_set(tmp_path / "room", min="0.1", max="2"))

    (sample,) = dataset

    assert (dataset.name, len(dataset), sample.name, sample.unit) == ("room", 1, "rgb/a.png", "m")
    assert sample.rgb[0, 0].tolist() == [200, 0, 0]
    np.testing.assert_allclose(sample.depth_gt[0], [0.0, 0.1, 1.0, 2.0, 10.0], rtol=1e-7)
    assert sample.depth_gt.dtype == np.float32
    assert sample.valid[0].tolist() == [False, True, True, True, False]  # both bounds belong to the range


def test_index_folder_takes_every_stored_depth_when_there_are_no_bounds(tmp_path: Path):
    (sample,) = IndexFolder(write_set(tmp_path))

    assert sample.valid[0].tolist() == [False, True, True, True, True]


def test_index_folder_turns_calibrated_disparity_into_metres(tmp_path: Path):
    cells = {"kind": "disparity", "scale": "100", "fx": "500", "baseline_m": "0.2", "doffs_px": "10"}

    (sample,) = IndexFolder(write_set(tmp_path, **cells))

    # Stored 1000 is 10 px, so Z = 500 * 0.2 / (10 + 10).
    assert sample.unit == "m"
    assert sample.depth_gt[0, 2] == pytest.approx(5.0)
    assert not sample.valid[0, 0]


@pytest.mark.parametrize("blank", ["fx", "baseline_m", "doffs_px"])
def test_index_folder_uses_disparity_as_inverse_depth_when_calibration_is_incomplete(tmp_path: Path, blank: str):
    cells = {"kind": "disparity", "scale": "100", "fx": "500", "baseline_m": "0.2", "doffs_px": "10"} | {blank: ""}

    (sample,) = IndexFolder(write_set(tmp_path, **cells))

    assert sample.unit is None
    assert sample.depth_gt[0, 2] == pytest.approx(1 / 10)


def test_index_folder_drops_disparity_that_a_negative_offset_puts_behind_infinity(tmp_path: Path):
    cells = {"kind": "disparity", "scale": "100", "fx": "500", "baseline_m": "0.2", "doffs_px": "-10"}

    (sample,) = IndexFolder(write_set(tmp_path, **cells))

    assert sample.valid[0].tolist() == [False, False, False, True, True]
    assert np.isfinite(sample.depth_gt).all()


def test_index_folder_reads_intrinsics_when_all_four_are_known(tmp_path: Path):
    cells = {"fx": "500", "fy": "501", "cx": "2", "cy": "1.5"}

    (known,) = IndexFolder(write_set(tmp_path / "a", **cells))
    (partly,) = IndexFolder(write_set(tmp_path / "b", **(cells | {"cy": ""})))

    assert known.intrinsics == Intrinsics(500, 501, 2, 1.5)
    assert partly.intrinsics is None


def test_index_folder_crops_a_frame_whose_note_mentions_a_white_border(tmp_path: Path):
    folder = write_set(tmp_path, note="white undistortion border in RGB")
    write_rgb(folder / "rgb" / "a.png", NYU_SHAPE)
    write_png(folder / "depth" / "a.png", np.full(NYU_SHAPE, 1500, dtype=np.uint16))

    (sample,) = IndexFolder(folder)

    assert sample.valid.sum() == 426 * 560
    assert sample.valid[45, 41]
    assert not sample.valid[44, 41]


def test_index_folder_leaves_rows_without_depth_out(tmp_path: Path):
    folder = write_set(tmp_path)
    with (folder / "index.csv").open("a", encoding="utf-8") as file:
        file.write("rgb/photo.jpg,,\n")

    assert len(IndexFolder(folder)) == 1


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"kind": "stereo"}, "line 2: got kind 'stereo', expected depth or disparity"),
        ({"scale": ""}, "line 2: got scale '', expected a positive number"),
        ({"scale": "0"}, "line 2: got scale '0', expected a positive number"),
        ({"scale": "nan"}, "line 2: got scale 'nan', expected a positive number"),
        ({"scale": "mm"}, "line 2: got scale 'mm', expected a number"),
        ({"min": "a"}, "line 2: got min 'a', expected a number"),
        ({"rgb": ""}, "line 2: got no rgb"),
        ({"depth": ""}, "got 0 rows with depth"),
        ({"fx": "-1", "fy": "1", "cx": "1", "cy": "1"}, "line 2: intrinsics: got fx=-1.0"),
    ],
)
def test_index_folder_refuses_a_bad_cell_and_names_the_line(tmp_path: Path, cells: dict[str, str], message: str):
    with pytest.raises(InputError, match=message):
        IndexFolder(write_set(tmp_path, **cells))


def test_index_folder_names_the_columns_that_are_missing(tmp_path: Path):
    (tmp_path / "index.csv").write_text("rgb,width\na.png,5\n", encoding="utf-8")

    with pytest.raises(InputError, match="got columns rgb, width, expected also depth, scale"):
        IndexFolder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01rgb"])
def test_index_folder_refuses_a_file_that_is_not_csv_text(tmp_path: Path, content: bytes):
    (tmp_path / "index.csv").write_bytes(content)

    with pytest.raises(InputError, match=r"index\.csv: "):
        IndexFolder(tmp_path)


def test_index_folder_without_index_says_so(tmp_path: Path):
    with pytest.raises(InputError, match=r"index\.csv: not found, expected a CSV"):
        IndexFolder(tmp_path)


@pytest.mark.parametrize("name", ["rgb/a.png", "depth/a.png"])
def test_index_folder_names_an_image_that_is_missing(tmp_path: Path, name: str):
    folder = write_set(tmp_path)
    (folder / name).unlink()

    with pytest.raises(InputError, match=f"{name}: no such file"):
        list(IndexFolder(folder))


def test_index_folder_refuses_depth_of_another_size_than_its_image(tmp_path: Path):
    folder = write_set(tmp_path)
    write_rgb(folder / "rgb" / "a.png", (8, 10))

    with pytest.raises(InputError, match=r"rgb/a\.png: got depth of 4x5 for an image of 8x10"):
        list(IndexFolder(folder))


def test_index_folder_refuses_depth_of_8_bits(tmp_path: Path):
    folder = write_set(tmp_path)
    write_png(folder / "depth" / "a.png", np.ones(SIZE, dtype=np.uint8))

    with pytest.raises(InputError, match=r"got uint8 \(4, 5\), expected uint16"):
        list(IndexFolder(folder))


def test_index_folder_refuses_a_depth_file_that_is_cut_off(tmp_path: Path):
    folder = write_set(tmp_path)
    path = folder / "depth" / "a.png"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InputError, match="cut off"):
        list(IndexFolder(folder))


def test_open_datasets_opens_one_set_and_a_folder_of_sets(tmp_path: Path):
    write_set(tmp_path / "b")
    write_set(tmp_path / "a")

    assert [dataset.name for dataset in open_datasets(tmp_path)] == ["a", "b"]
    assert [dataset.name for dataset in open_datasets(tmp_path / "b")] == ["b"]


def test_open_datasets_leaves_out_a_folder_of_plain_photos(tmp_path: Path):
    write_set(tmp_path / "room")
    write_set(tmp_path / "photos", depth="")

    assert [dataset.name for dataset in open_datasets(tmp_path)] == ["room"]


def test_open_datasets_refuses_a_folder_without_sets_and_one_that_is_missing(tmp_path: Path):
    with pytest.raises(InputError, match="got no data set with depth"):
        open_datasets(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_datasets(tmp_path / "nowhere")


def test_preload_holds_the_samples_and_reads_no_file_again(tmp_path: Path):
    folder = write_set(tmp_path / "room")

    (loaded,) = preload(open_datasets(folder))
    (folder / "rgb" / "a.png").unlink()

    assert (loaded.name, len(loaded), len(list(loaded)), len(list(loaded))) == ("room", 1, 1, 1)


def write_nyu(path: Path, *, count: int = 3, depth_keys: tuple[str, ...] = ("depths",)) -> Path:
    """The layout of nyu_depth_v2_labeled.mat; image i has red = i + 1 and depth i + 1 m, with row 100 at 20 m."""
    h5py = pytest.importorskip("h5py")
    height, width = NYU_SHAPE
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (count, 3, width, height), np.uint8, compression="gzip")
        for key in depth_keys:
            file.create_dataset(key, (count, width, height), np.float32, compression="gzip")
        for index in range(count):
            images[index, 0] = index + 1
            images[index, 1, :, 0] = 77  # green in the top row
            for offset, key in enumerate(depth_keys):
                file[key][index] = index + 1 + offset / 10
                file[key][index, :, 100] = 20.0
                file[key][index, 200, :] = 0.0
    return path


def test_nyu_transposes_images_and_depth_and_applies_crop_and_range(tmp_path: Path):
    dataset = NyuLabelled(write_nyu(tmp_path / "nyu_depth_v2_labeled.mat"))

    samples = list(dataset)

    assert (dataset.name, len(dataset), [sample.name for sample in samples]) == (
        "nyu_v2_all",
        3,
        ["0001", "0002", "0003"],
    )
    assert samples[1].rgb.shape == (*NYU_SHAPE, 3)
    assert samples[1].rgb[0, 5].tolist() == [2, 77, 0]
    assert samples[1].rgb[1, 5].tolist() == [2, 0, 0]
    assert samples[1].depth_gt[300, 300] == 2.0
    assert samples[1].valid.sum() == (426 - 1) * (560 - 1)  # the crop without the row beyond 10 m and the column at 0
    assert not samples[1].valid[100].any()
    assert samples[1].intrinsics is not None


def test_nyu_prefers_raw_depth_and_says_so(tmp_path: Path):
    dataset = NyuLabelled(write_nyu(tmp_path / "a.mat", depth_keys=("depths", "rawDepths")))

    assert next(iter(dataset)).depth_gt[300, 300] == pytest.approx(1.1)
    assert "rawDepths" in dataset.note


def test_nyu_takes_the_official_test_split_when_it_lies_beside_the_file(tmp_path: Path):
    scipy_io = pytest.importorskip("scipy.io")
    path = write_nyu(tmp_path / "nyu_depth_v2_labeled.mat")
    scipy_io.savemat(tmp_path / "splits.mat", {"trainNdxs": [[2]], "testNdxs": [[1], [3]]})

    (dataset,) = open_datasets(tmp_path)

    assert (dataset.name, [sample.name for sample in dataset]) == ("nyu_v2_test", ["0001", "0003"])
    assert "official test split" in dataset.note
    assert open_datasets(path)[0].name == "nyu_v2_test"


def test_nyu_refuses_a_split_that_does_not_fit(tmp_path: Path):
    scipy_io = pytest.importorskip("scipy.io")
    path = write_nyu(tmp_path / "a.mat", count=1)
    scipy_io.savemat(tmp_path / "splits.mat", {"testNdxs": [[1], [2]]})

    with pytest.raises(InputError, match=r"expected 1\.\.1"):
        NyuLabelled(path)


@pytest.mark.parametrize("content", [b"", b"not matlab at all", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_nyu_refuses_a_split_that_is_not_matlab(tmp_path: Path, content: bytes):
    pytest.importorskip("scipy.io")
    path = write_nyu(tmp_path / "a.mat", count=1)
    (tmp_path / "splits.mat").write_bytes(content)

    with pytest.raises(InputError, match="has no readable testNdxs"):
        NyuLabelled(path)


def test_nyu_refuses_a_file_that_is_not_hdf5(tmp_path: Path):
    pytest.importorskip("h5py")
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600))

    with pytest.raises(InputError, match=r"not a MATLAB v7\.3"):
        open_datasets(path)


def test_nyu_names_the_variables_of_another_matlab_file(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["images"] = np.zeros((1, 3, 640, 480), dtype=np.uint8)
        file["labels"] = np.zeros(1)

    with pytest.raises(InputError, match="got variables images, labels, expected images and depths"):
        NyuLabelled(tmp_path / "a.mat")


def test_nyu_refuses_arrays_of_another_shape(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["images"] = np.zeros((1, 3, 64, 48), dtype=np.uint8)
        file["depths"] = np.zeros((1, 64, 48), dtype=np.float32)

    with pytest.raises(InputError, match=r"got images \(1, 3, 64, 48\), expected \(1, 3, 640, 480\)"):
        NyuLabelled(tmp_path / "a.mat")


def test_nyu_names_the_extra_when_h5py_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)  # makes `import h5py` raise ImportError
    (tmp_path / "a.mat").write_bytes(b"x")

    with pytest.raises(MissingDependencyError, match=r"h5py.*pip install 'pixio-edge\[nyu\]'"):
        open_datasets(tmp_path / "a.mat")


KITTI_SIZE = (37, 120)


def kitti_depth() -> np.ndarray:
    stored = np.full(KITTI_SIZE, 256 * 5, dtype=np.uint16)
    stored[0] = 0
    stored[1] = 256 * 81  # beyond 80 m
    return stored


def write_kitti_selection(folder: Path) -> Path:
    stem = f"{DRIVE}_{{}}_0000000005_image_02"
    write_rgb(folder / "image" / f"{stem.format('image')}.png", KITTI_SIZE)
    write_png(folder / "groundtruth_depth" / f"{stem.format('groundtruth_depth')}.png", kitti_depth())
    (folder / "intrinsics").mkdir()
    (folder / "intrinsics" / f"{stem.format('image')}.txt").write_text(
        "721.5 0 596.5 0 721.6 149.8 0 0 1", encoding="utf-8"
    )
    return folder


def write_kitti_drive(images: Path, truth: Path, frame: str = "0000000005") -> None:
    write_rgb(images / "image_02" / "data" / f"{frame}.png", KITTI_SIZE)
    write_png(truth / "proj_depth" / "groundtruth" / "image_02" / f"{frame}.png", kitti_depth())


@pytest.mark.parametrize("parents", ["", "val_selection_cropped", "depth_selection/val_selection_cropped"])
def test_kitti_reads_the_selection_and_its_intrinsics(tmp_path: Path, parents: str):
    write_kitti_selection(tmp_path / parents)

    (dataset,) = open_datasets(tmp_path)

    (sample,) = dataset
    assert (dataset.name, sample.name) == ("kitti", f"{DRIVE}_image_0000000005_image_02")
    assert sample.depth_gt[5, 5] == 5.0
    assert sample.valid.sum() == (KITTI_SIZE[0] - 2) * KITTI_SIZE[1]
    assert sample.intrinsics == Intrinsics(721.5, 721.6, 596.5, 149.8)


@pytest.mark.parametrize("raw", ["2011_09_26", "raw/2011_09_26", "kitti_raw/2011_09_26"])
def test_kitti_finds_raw_images_beside_the_annotated_depth(tmp_path: Path, raw: str):
    write_kitti_drive(tmp_path / raw / DRIVE, tmp_path / "data_depth_annotated" / "val" / DRIVE)

    (dataset,) = open_datasets(tmp_path)

    assert [sample.name for sample in dataset] == [f"{DRIVE}/image_02/0000000005"]


def test_kitti_finds_images_merged_into_the_drive(tmp_path: Path):
    write_kitti_drive(tmp_path / "val" / DRIVE, tmp_path / "val" / DRIVE)

    assert len(KittiFolder(tmp_path)) == 1


def test_kitti_leaves_out_drives_without_images_and_says_which(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    other = "2011_09_26_drive_0099_sync"
    write_kitti_drive(tmp_path / "val" / DRIVE, tmp_path / "val" / DRIVE)
    write_png(tmp_path / "val" / other / "proj_depth" / "groundtruth" / "image_02" / "0000000005.png", kitti_depth())

    with caplog.at_level(logging.WARNING):
        dataset = KittiFolder(tmp_path)

    assert len(dataset) == 1
    assert f"no images for 1 drives, left out: {other}" in caplog.text


def test_kitti_names_a_frame_whose_image_is_missing(tmp_path: Path):
    write_kitti_drive(tmp_path / "val" / DRIVE, tmp_path / "val" / DRIVE)
    (tmp_path / "val" / DRIVE / "image_02" / "data" / "0000000005.png").unlink()

    with pytest.raises(InputError, match=r"0000000005\.png: no such file"):
        list(KittiFolder(tmp_path))


def test_kitti_refuses_a_folder_in_which_no_depth_has_an_image(tmp_path: Path):
    write_png(tmp_path / "val" / DRIVE / "proj_depth" / "groundtruth" / "image_02" / "0000000005.png", kitti_depth())

    with pytest.raises(InputError, match="got no annotated depth with its image"):
        open_datasets(tmp_path)


def test_kitti_garg_crop_keeps_only_its_pixels_and_is_named(tmp_path: Path):
    write_kitti_selection(tmp_path)

    (dataset,) = open_datasets(tmp_path, kitti_crop="garg")

    (sample,) = dataset
    assert dataset.name == "kitti_garg"
    # int(.40810811 * 37) = 15 to int(.99189189 * 37) = 36, int(.03594771 * 120) = 4 to int(.96405229 * 120) = 115.
    assert sample.valid.sum() == (36 - 15) * (115 - 4)


def test_kitti_refuses_intrinsics_that_are_not_nine_numbers(tmp_path: Path):
    folder = write_kitti_selection(tmp_path)
    next((folder / "intrinsics").iterdir()).write_text("1 2 3", encoding="utf-8")

    with pytest.raises(InputError, match="got 3 numbers, expected 9"):
        list(KittiFolder(folder))


def test_open_datasets_finds_kitti_and_index_folders_side_by_side(tmp_path: Path):
    write_set(tmp_path / "room")
    write_kitti_selection(tmp_path / "kitti_official")

    assert [dataset.name for dataset in open_datasets(tmp_path)] == ["kitti", "room"]


def test_crops_have_the_published_bounds():
    assert eigen_crop_nyu().sum() == 426 * 560
    rows, columns = np.nonzero(garg_crop((352, 1216)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (143, 348, 43, 1171)
