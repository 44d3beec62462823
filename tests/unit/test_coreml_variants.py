"""Variants: smaller weights, the layout of the Neural Engine, several sizes in one package."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

import torch
from coreml_models import (
    SIZE,
    function,
    one_layer,
    operations,
    random_image,
    random_model,
    run_package,
    tiny_model,
    write,
)

from pixio_edge.errors import InputError
from pixio_edge.export.coreml import variants
from pixio_edge.export.coreml.ane import channels_first
from pixio_edge.export.coreml.convert import Conversion, convert
from pixio_edge.export.coreml.enumerated import prepare_enumerated
from pixio_edge.export.coreml.palettes import palettize
from pixio_edge.export.coreml.variants import VariantSource, convert_variant
from pixio_edge.export.prepare import PreparedModel, prepare
from pixio_edge.export.reference import reference_depth
from pixio_edge.parity import Tolerance, compare

# Rewrites in float64 differ by rounding alone; a wrong one is off by more than 1e-3.
EXACT = Tolerance(max_rel=1e-12)
# Float32 on both sides, summed in another order: measured at most 7e-7.
FLOAT32 = Tolerance(max_rel=1e-5)
# Of this tiny model, whose few channels average little away: measured 0.012, 0.006, 0.038.
STORED_SMALL = {"w8": Tolerance(rel_l2=0.04), "p8": Tolerance(rel_l2=0.03), "p6": Tolerance(rel_l2=0.12)}

ENUMERATED = ((64, 64), (64, 96), (96, 64))


def source(name: str, *sizes: tuple[int, int]) -> VariantSource:
    def refuse(_: PreparedModel) -> object:
        raise AssertionError("the table was asked for")

    model = tiny_model() if name == "tiny" else random_model(name)
    return VariantSource(model, sizes or (SIZE,), refuse)  # type: ignore[arg-type]


@pytest.mark.slow
def test_weights_are_stored_small_and_the_program_computes_nearly_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, image = source("tiny"), random_image(SIZE)
    plain = convert_variant(given, "fp16", "iOS16", "array")
    monkeypatch.setattr(variants, "convert", lambda *_, **__: plain)  # converted once, compressed three times
    reference = run_package(write(plain, tmp_path / "plain", given.model), image)
    sizes = {}

    for variant, limit in STORED_SMALL.items():
        conversion = convert_variant(given, variant, "iOS16", "array")  # type: ignore[arg-type]
        package = write(conversion, tmp_path / variant, given.model)
        parity = compare(reference, run_package(package, image), limit)
        assert parity, parity.message
        assert parity.rel_l2 > 0
        sizes[variant] = len(b"".join(path.read_bytes() for path in package.rglob("weight.bin")))
        kinds = Counter(op.op_type for op in function(conversion).operations)
        assert kinds["constexpr_affine_dequantize" if variant == "w8" else "constexpr_lut_to_dense"] >= 10

    whole = (tmp_path / "plain/model.mlpackage/Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    assert sizes["p6"] < sizes["w8"] < 0.7 * whole
    assert sizes["p8"] < 0.8 * whole


@pytest.mark.parametrize("name", ["stem", "plain", "pixio", "depth_anything"])
@pytest.mark.parametrize("fold", [False, True])
def test_engine_layout_computes_the_same(name: str, fold: bool) -> None:
    prepared = prepare(random_model(name).double(), SIZE, fold_layer_norms=fold)
    image = torch.from_numpy(random_image(SIZE))

    with torch.no_grad():
        rewritten = channels_first(prepared)(image).numpy()
        before = prepared(image).numpy()

    parity = compare(before, rewritten, EXACT)
    assert parity, parity.message


@pytest.mark.slow
def test_engine_layout_has_convolutions_one_head_at_a_time(tmp_path: Path) -> None:
    given, image = source("tiny"), random_image(SIZE)

    conversion = convert_variant(given, "ane", "iOS16", "array")

    kinds = Counter(op.op_type for op in operations(conversion))
    blocks, heads = given.model.config.encoder.depth, given.model.config.encoder.num_heads
    assert kinds["softmax"] == blocks * heads
    assert kinds["einsum"] == 2 * blocks * heads
    taps = len(given.model.config.head.indices)
    assert kinds["matmul"] == 0
    assert kinds["linear"] == taps  # the readouts: a vector each
    assert kinds["batch_norm"] == taps  # the affine part of the last norm; that of the others is in the next layer
    depth = run_package(write(conversion, tmp_path, given.model), image)
    assert compare(reference_depth(given.model, image), depth, Tolerance(rel_l2=0.01))


def test_engine_layout_is_only_made_of_prepared_models() -> None:
    with pytest.raises(TypeError, match="expected a prepared model"):
        channels_first(PreparedModel(random_model("stem"), None))


@pytest.mark.parametrize("name", ["stem", "plain", "pixio", "depth_anything"])
def test_enumerated_model_computes_what_the_model_does_at_every_size(name: str) -> None:
    model = random_model(name)

    prepared = prepare_enumerated(model, ENUMERATED)

    for size in ENUMERATED:
        image = random_image(size)
        parity = compare(reference_depth(model, image), prepared(torch.from_numpy(image)).numpy(), FLOAT32)
        assert parity, f"{size}: {parity.message}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stem", "pixio", "depth_anything"])
def test_enumerated_package_computes_what_the_model_does_at_every_size(tmp_path: Path, name: str) -> None:
    given = source(name, *ENUMERATED)

    conversion = convert_variant(given, "fp32", "iOS16", "array")

    assert conversion.frontend == "torch.jit.trace"
    package = write(conversion, tmp_path, given.model)
    for size in ENUMERATED:
        image = random_image(size)
        parity = compare(reference_depth(given.model, image), run_package(package, image), FLOAT32)
        assert parity, f"{size}: {parity.message}"


def test_enumerated_size_with_an_odd_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"--enumerated: got 48x64, expected two multiples of 32.*Fix: "):
        prepare_enumerated(random_model("stem"), [(64, 64), (48, 64)])


def test_more_sizes_than_core_ml_takes_are_refused() -> None:
    sizes = [(32, 32 * number) for number in range(1, 130)]

    with pytest.raises(InputError, match="got 129 sizes, expected at most 128"):
        prepare_enumerated(random_model("stem"), sizes)


@pytest.mark.parametrize("bits", [2, 6, 8])
def test_palette_is_nearer_than_equal_steps(bits: int) -> None:
    weight = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float16)

    palette, indices = palettize(weight, bits)

    step = np.ptp(weight.astype(np.float64)) / (2**bits - 1)
    equal = np.round((weight - weight.min()) / step) * step + weight.min()
    assert palette.shape == (2**bits,) and palette.dtype == np.float16
    assert (np.diff(palette) >= 0).all()
    assert indices.dtype == np.uint8 and indices.shape == (weight.size,)
    error = np.square(palette[indices].astype(np.float64) - weight.reshape(-1)).mean()
    assert error < 0.95 * np.square(equal - weight).mean()  # of 8 bits little is left to win: 0.89
    assert np.abs(palette[indices].astype(np.float64) - weight.reshape(-1)).max() < 6 * step


def test_palette_of_few_values_is_exact() -> None:
    weight = np.array([[0.5, -1.0], [0.5, 3.0]], np.float16)

    palette, indices = palettize(weight, 6)

    np.testing.assert_array_equal(palette[indices].reshape(2, 2), weight)
    assert palette.shape == (64,)


def test_palette_gives_every_weight_its_nearest_value() -> None:
    weight = np.random.default_rng(1).normal(size=3000).astype(np.float16)

    palette, indices = palettize(weight, 4)

    distances = np.abs(weight.astype(np.float64)[:, None] - palette.astype(np.float64)[None])
    chosen = distances[np.arange(weight.size), indices]
    # The palette itself is rounded to half precision after the choice.
    assert (chosen <= distances.min(axis=1) + 2e-3).all()


def test_transform_of_one_conversion_does_not_stay_for_the_next() -> None:
    seen: list[object] = []

    first = convert(one_layer(), [SIZE], transform=seen.append)
    second = convert(one_layer(), [SIZE])

    assert len(seen) == 1
    assert isinstance(first, Conversion) and isinstance(second, Conversion)
