"""Teachers and the cache of what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from random_models import CONFIGS, random_image, random_model
from small_photos import write_teacher
from tiny_bundle import write_tiny_bundle

from pixio_edge.errors import BundleError, CheckFailedError, InputError, LicenceError
from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.models.pixio import PixioEncoder
from pixio_edge.training.photos import Photo
from pixio_edge.training.teacher import Teacher, hash_weights, inverse_label, open_teacher
from pixio_edge.training.teacher_cache import Lessons, TeacherCache

# float16 keeps 11 bits of values up to about 5.
HALF_TOLERANCE = 3e-3


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def picture(seed: int = 0, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    image: np.ndarray = random_image(size, seed=seed)[0]
    return image


def photo(seed: int = 0) -> Photo:
    return Photo(f"{seed:064x}", picture(seed))


def shown(rgb: np.ndarray) -> torch.Tensor:
    scaled = (torch.from_numpy(rgb).float() / 255 - torch.tensor(IMAGE_MEAN)) / torch.tensor(IMAGE_STD)
    return scaled.permute(2, 0, 1)[None]


@pytest.mark.parametrize("name", CONFIGS)
def test_lesson_is_the_depth_and_the_last_tokens_before_the_norm(name: str) -> None:
    model = random_model(name)
    teacher = Teacher(model, name=name)

    lesson = teacher.teach(picture(), tokens=True)

    with torch.inference_mode():
        depth, tokens = model(shown(picture())), model.encoder(shown(picture()))
    assert lesson.label is not None
    assert lesson.patches is not None
    assert lesson.class_tokens is not None
    inverse = 1 / depth if model.config.head.max_depth else depth
    assert np.corrcoef(lesson.label.ravel().astype(np.float64), inverse.numpy().ravel())[0, 1] > 0.999
    count = model.config.encoder.num_cls_tokens
    assert lesson.patches.shape == (4, 4, 32)
    assert lesson.class_tokens.shape == (count, 32)
    given = np.concatenate([lesson.class_tokens, lesson.patches.reshape(16, 32)]).astype(np.float32)
    normed = model.encoder.norm(torch.from_numpy(given)).detach().numpy()
    assert normed == pytest.approx(tokens[0].numpy(), abs=20 * HALF_TOLERANCE)
    assert lesson.bytes == 2 * (64 * 64 + (16 + count) * 32)


def test_tokens_are_of_the_last_block_also_when_the_head_does_not_read_it() -> None:
    model = random_model("stem")
    short = Teacher(model, name="stem")
    expected = short.teach(picture(), tokens=True)
    object.__setattr__(model.config.head, "indices", (0, 1))
    try:
        lesson = short.teach(picture(), tokens=True)
    finally:
        object.__setattr__(model.config.head, "indices", (1, 2))

    assert lesson.patches is not None
    assert expected.patches is not None
    assert np.array_equal(lesson.patches, expected.patches)


def test_label_has_median_0_and_deviation_1_whatever_the_unit() -> None:
    depth = torch.tensor([[[1.0, 2.0, 4.0, 8.0, 0.0]]])  # the last is nearer than inverse depth has values for

    relative, other = inverse_label(depth, None), inverse_label(depth * 1e-6, None)
    metric = inverse_label(depth, 10.0)

    assert torch.allclose(relative, other, atol=1e-5)
    # Median 2, deviations 1, 0, 2, 6, 2: mean 2.2.
    assert torch.allclose(relative[0, 0], (depth[0, 0] - 2) / 2.2, atol=1e-5)
    # Inverse: 1, .5, .25, .125, 100 (at 1 cm). Median .5, deviations .5, 0, .25, .375, 99.5: mean 20.125.
    expected = (torch.tensor([1, 0.5, 0.25, 0.125, 100.0]) - 0.5) / 20.125
    assert torch.allclose(metric[0, 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("full", "side", "size"),
    [((100, 200), 64, (64, 128)), ((200, 100), 70, (144, 64)), ((64, 64), None, (64, 64)), ((10, 900), 32, (32, 128))],
)
def test_image_is_shown_in_its_shape_in_whole_patches(
    full: tuple[int, int], side: int | None, size: tuple[int, int]
) -> None:
    teacher = Teacher(random_model("plain"), name="plain", side=side)

    assert teacher.size_for(full) == size
    label = teacher.teach(picture(size=(64, 96)), tokens=False).label
    assert label is not None
    assert label.shape == teacher.size_for((64, 96))


def test_encoder_alone_teaches_tokens_and_no_depth() -> None:
    teacher = Teacher(PixioEncoder(CONFIGS["plain"].encoder), name="encoder")

    lesson = teacher.teach(picture(), tokens=True)

    assert not teacher.has_depth
    assert lesson.label is None
    assert lesson.patches is not None
    assert lesson.patches.any()


def test_teacher_is_refused_when_it_says_what_is_not_finite() -> None:
    model = random_model("plain")
    model.head.output_conv3.bias.fill_(float("nan"))

    with pytest.raises(CheckFailedError, match="not finite"):
        Teacher(model, name="plain").teach(picture(), tokens=False)


def test_hash_is_of_the_weights_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", random_model("stem"))

    opened = open_teacher(str(tmp_path / "a.safetensors"))

    assert opened.sha256 == hash_weights(random_model("stem")) != hash_weights(random_model("stem", seed=1))
    assert opened.licence is None


def test_bundle_teaches_with_its_terms_only_if_it_has_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(tmp_path / "bundle", sizes=((32, 32),))

    with pytest.raises(BundleError, match="has no checkpoint"):
        open_teacher(str(tmp_path / "bundle"))
    embedded = open_teacher("nano")
    monkeypatch.setenv("PIXIO_EDGE_REQUIRE_COMMERCIAL", "1")

    assert embedded.licence is not None
    assert embedded.licence.commercial
    assert open_teacher("nano").sha256 == embedded.sha256


def test_noncommercial_teacher_is_refused_when_commercial_use_is_insisted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_teacher(tmp_path / "pixio_vitb16.pth")  # never read: its name says enough
    monkeypatch.setenv("PIXIO_EDGE_REQUIRE_COMMERCIAL", "1")

    with pytest.raises(LicenceError, match="forbids commercial use"):
        open_teacher(str(path), "pixio-vitb16")


class CountingTeacher(Teacher):
    asked = 0

    def teach(self, rgb: np.ndarray, *, tokens: bool) -> object:  # type: ignore[override]
        self.asked += 1
        return super().teach(rgb, tokens=tokens)


@pytest.mark.parametrize("tokens", [False, True])
def test_teacher_is_asked_once_for_each_image_and_the_cache_gives_the_same(tokens: bool, tmp_path: Path) -> None:
    teacher = CountingTeacher(random_model("stem"), name="stem")
    lessons = Lessons(teacher, tokens=tokens, folder=tmp_path / "cache")

    first = [lessons.on(photo(seed)) for seed in (0, 1, 0, 1)]
    again = Lessons(teacher, tokens=tokens, folder=tmp_path / "cache").on(photo(0))
    uncached = Lessons(Teacher(random_model("stem"), name="stem"), tokens=tokens).on(photo(0))

    assert teacher.asked == 2
    for name in ("label", "patches", "class_tokens"):
        kept = [getattr(lesson, name) for lesson in (first[0], first[2], again, uncached)]
        if not tokens and name != "label":
            assert kept == [None] * 4
            continue
        assert all(each.dtype == np.float16 for each in kept)
        assert all(np.array_equal(each, kept[0]) for each in kept)
    assert not np.array_equal(first[0].label, first[1].label)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_cache_tells_teachers_sizes_and_kinds_apart(tmp_path: Path) -> None:
    teacher, other = (Teacher(random_model("stem", seed=seed), name="stem") for seed in (0, 1))
    larger = Teacher(random_model("stem"), name="again", side=80)

    caches = [
        TeacherCache(tmp_path, teacher, tokens=False),
        TeacherCache(tmp_path, teacher, tokens=True),
        TeacherCache(tmp_path, other, tokens=False),
        TeacherCache(tmp_path, larger, tokens=False),
    ]

    assert len({cache.folder for cache in caches}) == 4
    assert not list(tmp_path.iterdir())


def test_damaged_lesson_is_named(tmp_path: Path) -> None:
    cache = TeacherCache(tmp_path, Teacher(random_model("stem"), name="stem"), tokens=False)
    path = cache.path_of(photo().sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 no lesson")

    with pytest.raises(InputError, match="a damaged lesson"):
        cache.get(photo().sha256)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="a damaged lesson"):
        cache.get(photo().sha256)
