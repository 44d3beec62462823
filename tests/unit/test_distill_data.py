from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_photos import write_photos, write_shard

from pixio_edge.errors import InputError
from pixio_edge.training.distill_data import DistillRows
from pixio_edge.training.photos import Photo, Photos, open_photos
from pixio_edge.training.teacher import Lesson

PIXELS = 48 * 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_photos(tmp_path_factory.mktemp("distill") / "photos")


def lesson_of_colours(photo: Photo) -> Lesson:
    """A teacher that says what it sees: red as depth, all colours as tokens, in the size of the image."""
    seen = photo.rgb.astype(np.float16)
    return Lesson(seen[..., 0], seen, seen.mean(axis=0)[:3])


def rows_of(photos: Photos, *, augment: bool = False, min_area: float = 0.45, seed: int = 5) -> DistillRows:
    return DistillRows(
        photos,
        lesson_of_colours,
        pixels_of=lambda step: PIXELS,
        seed=seed,
        patch=16,
        min_area=min_area,
        augment=augment,
    )


def colours(image: torch.Tensor) -> NDArray[np.float32]:
    """The student's view as 0 to 255."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    result: NDArray[np.float32] = ((image.permute(0, 2, 3, 1) * std + mean) * 255).numpy()
    return result


def test_folder_gives_all_images_below_it_in_order_and_without_results(folder: Path, tmp_path: Path) -> None:
    photos = open_photos([str(folder)])
    single = open_photos([str(folder / "0.png")])

    assert len(photos) == 8
    assert photos.read(0).rgb.shape == (60, 80, 3)
    assert len({photos.read(index).sha256 for index in range(8)}) == 8
    assert single.read(0).sha256 == photos.read(0).sha256 == photos.sha256_of(0)
    (tmp_path / "a.depth.png").write_bytes((folder / "0.png").read_bytes())
    (tmp_path / ".hidden.png").write_bytes((folder / "0.png").read_bytes())
    with pytest.raises(InputError, match="got none"):
        open_photos([str(tmp_path)])


def test_shard_gives_the_same_images_as_the_folder(folder: Path, tmp_path: Path) -> None:
    shard = write_shard(folder, tmp_path / "shards-0.tar")
    photos, packed, found = (open_photos([str(place)]) for place in (folder, shard, tmp_path))

    assert len(packed) == len(found) == 8
    given = {photos.read(index).sha256: photos.read(index).rgb for index in range(8)}
    for index in range(8):
        photo = packed.read(index)
        assert np.array_equal(photo.rgb, given[photo.sha256])
        assert packed.sha256_of(index) == photo.sha256
        assert found.sha256_of(index) == photo.sha256


def test_shard_is_refused_when_it_is_compressed_or_cut_off(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(folder / "0.png", arcname="0.png")
    whole = write_shard(folder, tmp_path / "whole.tar")
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:900])

    with pytest.raises(InputError, match="expected an uncompressed tar file"):
        open_photos([str(tmp_path / "packed.tar")])
    with pytest.raises(InputError, match=r"cut.tar: cannot be read"):
        open_photos([str(tmp_path / "cut.tar")])


def test_damaged_picture_in_a_shard_is_named_with_the_shard(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "half.png"
    picture.write_bytes((folder / "0.png").read_bytes()[:-100])
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(picture, arcname="inside/half.png")

    with pytest.raises(InputError, match=r"a.tar/inside/half.png: the image data is cut off"):
        open_photos([str(tmp_path / "a.tar")]).read(0)


def test_last_tenth_is_held_back_and_one_image_is_too_few(folder: Path) -> None:
    photos = open_photos([str(folder)])

    trained, held_back = photos.hold_back()

    assert (len(trained), len(held_back)) == (7, 1)
    assert held_back.read(0).sha256 == photos.read(7).sha256
    with pytest.raises(InputError, match="at least 2"):
        held_back.hold_back()


@pytest.mark.parametrize("min_area", [0.45, 1.0])
def test_label_and_tokens_lie_where_the_view_of_the_student_does(folder: Path, min_area: float) -> None:
    rows = rows_of(open_photos([str(folder)]), min_area=min_area)

    for step in range(6):
        batch = rows.collate([rows.make(step, row) for row in range(4)])
        view = colours(batch.image)
        assert batch.label is not None
        assert batch.patches is not None
        # Not equal: colours are rounded to 8 bits, and resized by fixed-point arithmetic. Measured .26 to .58; away by
        # two pixels it is 3 to 6.
        assert np.abs(batch.label.numpy() - view[..., 0]).mean() < 1
        high, wide = (side // 16 for side in batch.image.shape[-2:])
        tokens = batch.patches.reshape(4, high, wide, 3).numpy()
        # Values at the centres of patches against the four pixels around; measured .6 to 3.7, noise included.
        around = view.reshape(4, high, 16, wide, 16, 3)[:, :, 7:9, :, 7:9].mean(axis=(2, 4))
        assert np.abs(tokens - around).mean() < 5


def test_mirrored_views_are_drawn_and_their_labels_are_mirrored_too(folder: Path) -> None:
    """The label of a view that is brighter to the right is so too, for both directions."""
    rows = rows_of(open_photos([str(folder)]), min_area=1.0)
    slopes = []
    for step in range(40):
        batch = rows.make(step, 0)
        assert batch.label is not None
        view, label = colours(batch.image)[0, ..., 0], batch.label[0].numpy()
        across = np.arange(view.shape[1]) - (view.shape[1] - 1) / 2
        slopes.append(((view * across).mean(), (label * across).mean()))

    ours, theirs = np.array(slopes).T
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    assert (ours > 0).any()
    assert (ours < 0).any()


def test_augmentation_changes_the_colours_of_the_student_and_nothing_else(folder: Path) -> None:
    photos = open_photos([str(folder)])
    plain, strong = (rows_of(photos, augment=augment).make(2, 1) for augment in (False, True))

    assert plain.label is not None
    assert strong.label is not None
    assert torch.equal(plain.label, strong.label)
    assert not torch.equal(plain.image, strong.image)
    assert colours(strong.image).min() > -1e-3
    assert colours(strong.image).max() < 255.01


def test_row_depends_on_seed_step_and_row_alone(folder: Path) -> None:
    photos = open_photos([str(folder)])

    def images(seed: int) -> list[torch.Tensor]:
        rows = rows_of(photos, augment=True, seed=seed)
        return [rows.make(step, row).image for step in range(3) for row in range(2)]

    first, again, other = images(1), images(1), images(2)

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, again, strict=True))
    assert any(
        ours.shape != theirs.shape or not torch.equal(ours, theirs) for ours, theirs in zip(first, other, strict=True)
    )


def test_batch_is_channels_last_with_its_step_and_optional_parts(folder: Path) -> None:
    rows = rows_of(open_photos([str(folder)]))
    rows._lesson_on = lambda photo: Lesson(np.zeros((4, 4), np.float16), None, None)

    batch = rows.collate([rows.make(7, row) for row in range(2)]).to(torch.device("cpu"))

    assert batch.image.is_contiguous(memory_format=torch.channels_last)
    assert batch.image.shape[0] == 2
    assert batch.step == 7
    assert batch.patches is None
    assert batch.class_tokens is None
    assert rows.facts() == {"photos": 8}
