"""The estimator: one call from image to depth, and no session more than needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import pixio_edge
from pixio_edge.bundle import Bundle
from pixio_edge.errors import BundleError, InputError, PixioEdgeError, RuntimeUnavailableError, SpecError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.runtimes.ort import OrtRuntime
from tests.tiny_bundle import SIZES, WEIGHTS, tiny_image, tiny_reference, tiny_weights, write_tiny_bundle

# The reference is float64 and the restored map is interpolated in float32: a few roundings of 2^-24, with room.
RELATIVE_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("estimator") / "tiny")


@pytest.fixture
def estimator(bundle: Bundle) -> DepthEstimator:
    return DepthEstimator.open(bundle, runtime="ort", threads=1)


def test_prediction_is_the_graph_between_prepare_and_restore(bundle: Bundle, estimator: DepthEstimator) -> None:
    image = tiny_image((70, 100), seed=1)
    spec = bundle.manifest.image
    expected = spec.restore(tiny_reference(spec.prepare(image, (32, 48)), tiny_weights()), (70, 100))

    with estimator:
        depth = estimator.predict(image)

    assert depth.values.shape == (70, 100)
    assert depth.values.dtype == np.float32
    np.testing.assert_allclose(
        depth.values, expected, rtol=RELATIVE_TOLERANCE, atol=RELATIVE_TOLERANCE * expected.max()
    )


def test_result_says_what_it_is_and_where_the_time_went(estimator: DepthEstimator) -> None:
    with estimator:
        depth = estimator.predict(tiny_image((40, 40)))

    assert (depth.kind, depth.unit, depth.source) == ("relative_inverse", None, "ort/onnx-fp32-32x32")
    assert depth.timing is not None
    assert min(depth.timing.pre_ms, depth.timing.infer_ms, depth.timing.post_ms) > 0


@pytest.mark.parametrize("size", [(1, 1), (7, 5000), (5000, 7), (31, 33), (32, 32)])
def test_any_image_size_gives_depth_of_that_size(estimator: DepthEstimator, size: tuple[int, int]) -> None:
    with estimator:
        assert estimator.predict(tiny_image(size)).values.shape == size


@pytest.mark.parametrize(("size", "expected"), [((50, 50), (32, 32)), ((40, 60), (32, 48)), ((60, 40), (48, 32))])
def test_ladder_size_follows_the_aspect_ratio(
    estimator: DepthEstimator, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    with estimator:
        depth = estimator.predict(tiny_image(size))

    assert depth.source == f"ort/onnx-fp32-{expected[0]}x{expected[1]}"


def test_path_array_and_pil_give_the_same_depth(estimator: DepthEstimator, tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    image = tiny_image((40, 40))
    cv2.imwrite(str(tmp_path / "image.png"), image[..., ::-1])

    with estimator:
        from_array = estimator.predict(image).values
        from_path = estimator.predict(tmp_path / "image.png").values
        from_text = estimator.predict(str(tmp_path / "image.png")).values
        from_pil = estimator.predict(pil.fromarray(image)).values

    for other in (from_path, from_text, from_pil):
        np.testing.assert_array_equal(from_array, other)


def test_stream_reuses_one_session_and_aliases_nothing(
    estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = OrtRuntime._open

    def record(runtime: OrtRuntime) -> None:
        opened.append(runtime.artifact.entry.name)
        original(runtime)

    monkeypatch.setattr(OrtRuntime, "_open", record)
    frames = [tiny_image((32, 32), seed=seed) for seed in range(4)]

    with estimator:
        maps = list(estimator.stream(iter(frames)))
        alone = [estimator.predict(frame).values for frame in frames]

    assert opened == ["onnx-fp32-32x32"]
    for streamed, single in zip(maps, alone, strict=True):
        np.testing.assert_array_equal(streamed.values, single)


def test_stream_takes_a_frame_only_when_asked_for_its_depth(estimator: DepthEstimator) -> None:
    taken: list[int] = []

    def frames():
        for index in range(3):
            taken.append(index)
            yield tiny_image((32, 32))

    with estimator:
        stream = estimator.stream(frames())
        next(stream)

        assert taken == [0]


def test_opening_loads_no_engine_until_the_first_image(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    estimator = DepthEstimator.open(bundle, runtime="ort")

    with pytest.raises(RuntimeUnavailableError, match="onnxruntime cannot be imported"):
        estimator.predict(tiny_image((32, 32)))


def test_closing_releases_every_runtime_and_is_final(estimator: DepthEstimator) -> None:
    with estimator:
        for size in SIZES:
            estimator.predict(tiny_image(size))
        runtimes = [estimator.runtime(size) for size in SIZES]
    estimator.close()

    assert not any(runtime.is_open for runtime in runtimes)
    with pytest.raises(RuntimeUnavailableError, match=r"got a call after close\(\)"):
        estimator.predict(tiny_image((32, 32)))


def test_fixed_size_is_used_for_every_image(bundle: Bundle) -> None:
    with DepthEstimator.open(bundle, runtime="ort", size=(48, 32)) as estimator:
        assert estimator.sizes == ((48, 32),)
        assert estimator.predict(tiny_image((30, 90))).source == "ort/onnx-fp32-48x32"


def test_options_reach_the_runtime_and_info_says_so(bundle: Bundle) -> None:
    with DepthEstimator.open(bundle, runtime="ort", threads=3) as estimator:
        info = estimator.info(profile=True)

    assert (info.runtime, info.threads, info.float_ops) == ("ort", 3, 2)


def test_default_threads_come_from_the_environment(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXIO_EDGE_THREADS", "3")

    with DepthEstimator.open(bundle, runtime="ort") as estimator:
        assert estimator.info().threads == 3


def test_size_that_is_not_in_the_ladder_is_refused_by_runtime(estimator: DepthEstimator) -> None:
    with estimator, pytest.raises(RuntimeUnavailableError, match=r"got size \(64, 64\), expected one of"):
        estimator.runtime((64, 64))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_output_that_is_not_finite_is_an_error(
    estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def broken(_: OrtRuntime, __: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        depth = np.ones((1, 32, 32), np.float32)
        depth[0, 3, 4] = value
        return {"depth": depth}

    monkeypatch.setattr(OrtRuntime, "_run", broken)

    with estimator, pytest.raises(PixioEdgeError, match="values that are not finite") as caught:
        estimator.predict(tiny_image((32, 32)))

    assert "Fix: " in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        np.full((8, 8, 3), np.nan, np.float32),
        np.zeros((8, 8, 3), np.float64),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        None,
        "absent.jpg",
    ],
)
def test_image_that_cannot_be_used_is_an_input_error_before_any_engine_starts(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, image: object
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(InputError, match="Fix: "):
        DepthEstimator.open(bundle, runtime="ort").predict(image)


def test_damaged_weights_are_found_before_use(tmp_path: Path) -> None:
    damaged = write_tiny_bundle(tmp_path / "tiny")
    content = bytearray((damaged.folder / WEIGHTS).read_bytes())
    content[100] ^= 1
    (damaged.folder / WEIGHTS).write_bytes(content)

    with (
        DepthEstimator.open(damaged.folder, runtime="ort") as estimator,
        pytest.raises(BundleError, match="was altered"),
    ):
        estimator.predict(tiny_image((32, 32)))


def test_unverified_bundle_runs_only_when_allowed(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny", verified=False).folder

    with pytest.raises(RuntimeUnavailableError, match="never verified"):
        DepthEstimator.open(folder)
    with DepthEstimator.open(folder, runtime="ort", allow_unverified=True) as estimator:
        assert estimator.predict(tiny_image((32, 32))).values.any()


@pytest.mark.parametrize("options", [{"threads": 0}, {"pin_cores": ()}, {"pin_cores": (1, 1)}, {"pin_cores": (-1,)}])
def test_options_that_make_no_sense_are_refused_at_once(bundle: Bundle, options: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="Fix: "):
        DepthEstimator.open(bundle, runtime="ort", **options)  # type: ignore[arg-type]


def test_threads_that_do_not_match_the_pinned_cores_are_refused(bundle: Bundle) -> None:
    with pytest.raises(SpecError, match="got 2 cores for 3 threads"):
        DepthEstimator.open(bundle, runtime="ort", threads=3, pin_cores=(0, 1))


def test_public_names_are_all_there_and_nothing_else_is() -> None:
    for name in pixio_edge.__all__:
        assert getattr(pixio_edge, name) is not None
    assert dir(pixio_edge) == sorted(pixio_edge.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Depth'"):
        _ = pixio_edge.Depth  # type: ignore[attr-defined]


FRAMES = 2_000
# Allocators keep some freed blocks; a leak of one 96x96 depth map per frame would be 70 MiB.
MEMORY_GROWTH_LIMIT_MIB = 8.0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell resident memory")
@pytest.mark.parametrize("runtime", ["ort", "openvino"])
def test_memory_stays_flat_over_many_frames(bundle: Bundle, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    frames = [tiny_image((96, 96), seed=seed) for seed in range(8)]

    with DepthEstimator.open(bundle, runtime=runtime, threads=1) as estimator:
        for _ in estimator.stream(frames[index % 8] for index in range(200)):
            pass
        before = resident_mib()
        for _ in estimator.stream(frames[index % 8] for index in range(FRAMES)):
            pass
        growth = resident_mib() - before

    assert growth < MEMORY_GROWTH_LIMIT_MIB


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
