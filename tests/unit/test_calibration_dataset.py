from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from pixio_edge.calibration import dataset
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.sampling import describe_image, spread_order
from pixio_edge.errors import InputError
from pixio_edge.image import write_image
from pixio_edge.video import VideoWriter


def picture(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Coarse random colours, so that each seed looks different."""
    generator = np.random.default_rng(seed)
    cells = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(cells, size[::-1], interpolation=cv2.INTER_NEAREST)


def fill(folder: Path, seeds: range, *, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        write_image(folder / f"{seed:03d}{suffix}", picture(seed))
    return folder


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoWriter(path, fps=10.0, size=frames[0].shape[:2]) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_folder_gives_its_images_in_rgb(tmp_path: Path) -> None:
    fill(tmp_path, range(3))

    found = CalibrationSet.open(tmp_path)

    assert found.count == 3
    assert sorted(found.names) == ["000.png", "001.png", "002.png"]
    assert found.source == tmp_path.name
    for name, image in zip(found.names, found.images(), strict=True):
        assert np.array_equal(image, picture(int(name[:3])))


def test_images_are_read_from_the_disk_each_time(tmp_path: Path) -> None:
    fill(tmp_path, range(2))
    found = CalibrationSet.open(tmp_path)
    first = list(found.images())
    write_image(tmp_path / found.names[0], picture(7))

    assert not np.array_equal(next(found.images()), first[0])


@pytest.mark.parametrize("column", ["rgb", "file"])
def test_index_names_the_images_of_a_folder(tmp_path: Path, column: str) -> None:
    fill(tmp_path / "pictures", range(4))
    lines = [f"depth,{column},scale", ",pictures/001.png,", ",,", ",pictures/003.png,1"]
    (tmp_path / "index.csv").write_text("\n".join(lines))

    assert sorted(CalibrationSet.open(tmp_path).names) == ["pictures/001.png", "pictures/003.png"]


def test_folder_of_sets_gives_the_images_of_all(tmp_path: Path) -> None:
    for name, seeds in (("a", range(2)), ("b", range(2, 5))):
        fill(tmp_path / name / "rgb", seeds)
        rows = "\n".join(f"rgb/{seed:03d}.png" for seed in seeds)
        (tmp_path / name / "index.csv").write_text(f"rgb\n{rows}\n")
    fill(tmp_path / "without_index", range(9, 11))

    names = CalibrationSet.open(tmp_path).names

    assert sorted(names) == ["a/rgb/000.png", "a/rgb/001.png", "b/rgb/002.png", "b/rgb/003.png", "b/rgb/004.png"]


def test_folder_of_plain_folders_gives_the_images_of_all(tmp_path: Path) -> None:
    fill(tmp_path / "a", range(2))
    fill(tmp_path / "b", range(2, 4))

    assert sorted(CalibrationSet.open(tmp_path).names) == ["a/000.png", "a/001.png", "b/002.png", "b/003.png"]


def test_list_and_glob_give_files(tmp_path: Path) -> None:
    fill(tmp_path / "a", range(3))
    fill(tmp_path / "b", range(3, 5))

    listed = CalibrationSet.open([tmp_path / "a" / "002.png", str(tmp_path / "b")])
    matched = CalibrationSet.open(str(tmp_path / "*" / "00[13].png"))

    assert sorted(listed.names) == ["a/002.png", "b/003.png", "b/004.png"]
    assert sorted(matched.names) == ["a/001.png", "b/003.png"]


def test_set_is_the_same_each_time_and_its_digest_tells_the_content(tmp_path: Path) -> None:
    fill(tmp_path / "one", range(40))
    fill(tmp_path / "two", range(40))
    first, again, copy = (CalibrationSet.open(tmp_path / name, images=5) for name in ("one", "one", "two"))

    assert (first.names, first.sha256) == (again.names, again.sha256)
    assert first.sha256 == copy.sha256
    write_image(tmp_path / "two" / copy.names[3], picture(99))
    assert CalibrationSet.open(tmp_path / "two", images=5).sha256 != first.sha256


def test_seed_decides_which_candidates_are_looked_at(tmp_path: Path) -> None:
    fill(tmp_path, range(40))

    names = {CalibrationSet.open(tmp_path, images=3, seed=seed).names for seed in range(4)}

    assert len(names) > 1


def test_folder_of_many_images_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, range(40))
    read: list[Path] = []
    original = dataset.read_checked
    monkeypatch.setattr(dataset, "read_checked", lambda path: read.append(path) or original(path))

    assert CalibrationSet.open(tmp_path, images=5).count == 5
    assert len(read) == 5 * dataset.CANDIDATES_PER_IMAGE


def test_small_set_is_not_lost_beside_a_large_one(tmp_path: Path) -> None:
    fill(tmp_path / "large", range(60))
    fill(tmp_path / "small", range(100, 103))

    candidates = dataset._draw(dataset.list_images(tmp_path), 12, seed=0)

    assert len(candidates) == 12
    assert sum(path.parent.name == "small" for path in candidates) == 3


def test_near_duplicates_are_not_all_taken(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for index in range(30):  # one scene under noise, as from a standing camera
        noise = generator.integers(-3, 4, (48, 64, 3))
        write_image(tmp_path / f"same_{index:02d}.png", np.clip(picture(0) + noise, 0, 255).astype(np.uint8))
    for seed in range(1, 8):
        write_image(tmp_path / f"other_{seed}.png", picture(seed))

    names = CalibrationSet.open(tmp_path, images=8, seed=0).names

    # A draw of 32 from 37 may miss some of the seven others; all that are candidates are taken before a second `same`.
    assert sum(name.startswith("same") for name in names) <= 8 - 5
    assert len(names) == 8


def test_copies_of_a_file_count_once(tmp_path: Path) -> None:
    fill(tmp_path, range(2))
    (tmp_path / "copy.png").write_bytes((tmp_path / "001.png").read_bytes())

    assert CalibrationSet.open(tmp_path).count == 2


def test_spread_order_takes_the_typical_first_then_the_farthest() -> None:
    points = np.array([[0.0], [0.1], [0.5], [0.9], [1.0], [0.52]], np.float32)

    assert spread_order(points, 3) == [2, 0, 4]
    assert sorted(spread_order(points, 100)) == list(range(6))


def test_spread_order_takes_each_image_once_when_all_look_the_same() -> None:
    assert spread_order(np.ones((4, 2), np.float32), 4) == [0, 1, 2, 3]


def test_description_tells_colour_edges_and_shape_apart() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    red, wide = flat.copy(), np.full((64, 128, 3), 128, np.uint8)
    red[..., 0] = 255
    striped = np.where(np.arange(64)[:, None, None] % 8 < 4, 28, 228) * np.ones((1, 64, 3))

    others = [red, wide, striped.astype(np.uint8)]

    distances = [float(np.linalg.norm(describe_image(flat) - describe_image(other))) for other in others]
    assert all(0.1 < distance < 1.0 for distance in distances)
    assert np.linalg.norm(describe_image(flat) - describe_image(flat[:32, :32])) == 0.0


def test_images_of_one_shape_follow_each_other(tmp_path: Path) -> None:
    shapes = [(64, 48), (48, 64), (64, 64)]
    for index in range(12):
        write_image(tmp_path / f"{index:02d}.png", picture(index, shapes[index % 3]))

    sizes = [image.shape[:2] for image in CalibrationSet.open(tmp_path).images()]

    assert sizes == [(64, 48)] * 4 + [(64, 64)] * 4 + [(48, 64)] * 4


def test_subset_is_what_a_smaller_set_would_be(tmp_path: Path) -> None:
    fill(tmp_path, range(8))
    whole = CalibrationSet.open(tmp_path, images=8)

    assert whole.subset(3).names == CalibrationSet.open(tmp_path, images=3).names
    assert whole.subset(3).sha256 != whole.sha256
    assert whole.subset(100) == whole
    with pytest.raises(InputError, match="got 0, expected at least 1"):
        whole.subset(0)


def test_unreadable_images_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, range(3))
    (tmp_path / "bad.png").write_bytes((tmp_path / "000.png").read_bytes()[:100])
    (tmp_path / "index.csv").write_text("rgb\n000.png\n001.png\nbad.png\nmissing.png\n")

    with caplog.at_level(logging.WARNING):
        found = CalibrationSet.open(tmp_path)

    assert (found.count, found.skipped) == (2, 2)
    assert "bad.png" in caplog.text
    assert "missing.png: no such file" in caplog.text


def test_video_gives_frames_spread_over_its_length(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [picture(index // 4) for index in range(100)])

    found = CalibrationSet.open(path, images=6)

    frames = [int(name.rpartition("#")[2]) for name in found.names]
    assert found.names[0].startswith("clip.mp4#")
    assert frames == sorted(set(frames))
    # Every scene lasts four frames: no two of the six show the same.
    assert len({frame // 4 for frame in frames}) == 6
    assert frames[0] < 34
    assert frames[-1] >= 66
    for frame, image in zip(frames, found.images(), strict=True):
        assert np.abs(image.astype(int) - picture(frame // 4)).mean() < 12  # lossy
    assert found.sha256 == CalibrationSet.open(path, images=6).sha256
    assert found.subset(2).count == len(list(found.subset(2).images())) == 2


def test_candidate_frames_have_an_even_distance_and_are_bounded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [picture(0)] * 50)

    assert dataset._look_at_frames(path, 8)[0] == list(range(0, 50, 8))
    assert dataset._look_at_frames(path, 7)[0] == list(range(0, 50, 8))
    assert dataset._look_at_frames(path, 5)[0] == list(range(0, 50, 16))
    assert dataset._look_at_frames(path, 50)[0] == list(range(50))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "no such file or folder"),
        ("empty", r"got no image, expected images or index.csv.*Fix: "),
        ("empty/*.png", "matches no file"),
        ("empty.csv", r"got no row with an image.*Fix: "),
        ("columns", r"got columns image, expected rgb or file.*Fix: "),
        ("broken", r"none of 1 can be read, the first because: .*x.png.*Fix: "),
        ("text.mp4", r"not a video.*Fix: "),
    ],
)
def test_source_that_gives_nothing_is_explained(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    for folder, content in (("empty.csv", "rgb\n\n"), ("columns", "image\nx.png\n"), ("broken", "rgb\nx.png\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "index.csv").write_text(content)
    (tmp_path / "broken" / "x.png").write_bytes(b"no picture")
    (tmp_path / "text.mp4").write_text("no video")

    with pytest.raises(InputError, match=message) as caught:
        CalibrationSet.open(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_lists_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got an empty list"):
        CalibrationSet.open([])
    with pytest.raises(InputError, match="give the video alone"):
        CalibrationSet.open([tmp_path / "a.mp4", tmp_path])
    with pytest.raises(InputError, match="images: got 0"):
        CalibrationSet.open(tmp_path, images=0)


def test_sizes_of_other_shapes_see_crops_of_the_images(tmp_path: Path) -> None:
    found = CalibrationSet.open(fill(tmp_path, range(12)))  # 48x64 each

    covered = found.covering([(48, 64), (96, 32), (32, 96)])

    shapes = [image.shape[:2] for image in covered.images()]
    assert shapes == [(48, 64)] * 12 + [(48, 16)] * 8 + [(21, 64)] * 8
    assert (covered.count, covered.crops, found.crops) == (28, 16, 0)
    assert len(set(covered.names)) == covered.count
    assert covered.sha256 != found.sha256


def test_crop_is_the_middle_of_its_image(tmp_path: Path) -> None:
    found = CalibrationSet.open(fill(tmp_path, range(1))).covering([(48, 64), (96, 32)])

    whole, crop = found.images()

    assert np.array_equal(crop, whole[:, 24:40])


def test_set_that_covers_every_size_stays_as_it_is(tmp_path: Path) -> None:
    found = CalibrationSet.open(fill(tmp_path, range(8)))
    covered = found.covering([(48, 64), (96, 32)])

    assert found.covering([(48, 64)]) is found
    assert covered.covering([(48, 64), (96, 32)]) is covered


def test_frames_of_a_video_are_cropped_too(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.avi", [picture(seed) for seed in range(10)])

    covered = CalibrationSet.open(video).covering([(48, 64), (96, 32)])

    shapes = [image.shape[:2] for image in covered.images()]
    assert shapes == [(48, 64)] * 10 + [(48, 16)] * 8
