from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper
from tiny_graphs import CLASS_TOKENS, SIZES, WIDTH, Size, block_graph, linear_graph

from pixio_edge.calibration import collect as collecting
from pixio_edge.calibration.collect import collect, layer_tensors, stream_tensors
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.observers import Mse, Percentile
from pixio_edge.calibration.tensor_statistics import TensorAccumulator
from pixio_edge.errors import InputError, SpecError
from pixio_edge.image import ImageSpec, write_image

CONFIG = CalibrationConfig(threads=1)

# Sums of some thousand float32 values in another order; measured 3e-7 of the largest value.
MEAN_TOLERANCE = 1e-5

# What 36 more images may add to the peak of traced memory. Keeping their tensors adds 2.6 MB, keeping the images
# alone 0.7 MB; measured 47 KB, most of it names.
MEMORY_GROWTH_BYTES = 100_000


def block_graphs() -> dict[Size, onnx.ModelProto]:
    return {size: block_graph(size) for size in SIZES}


def open_images(folder: Path, count: int, *, seed: int = 0) -> CalibrationSet:
    """Images of both shapes of the ladder, at the sizes of the graphs and at others."""
    generator = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for index in range(count):
        size = ((64, 64), (96, 160), (48, 80), (70, 64))[index % 4]
        write_image(folder / f"{index:02d}.png", generator.integers(0, 256, (*size, 3), dtype=np.uint8))
    return CalibrationSet.open(folder, images=count)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> CalibrationSet:
    return open_images(tmp_path_factory.mktemp("images"), 8)


def run_plainly(graphs: Mapping[Size, onnx.ModelProto], image: np.ndarray, tensors: list[str]) -> list[np.ndarray]:
    """The nearest size by hand, and ONNX Runtime without any optimisation."""
    size = SIZES[1] if image.shape[1] > 1.2 * image.shape[0] else SIZES[0]
    model = onnx.ModelProto.FromString(graphs[size].SerializeToString())
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(tensors, {"image": ImageSpec().prepare(image, size)})


def test_layer_tensors_are_inputs_and_outputs_of_all_layers_once() -> None:
    names = layer_tensors(block_graph())

    layers = QuantGraph(block_graph()).layers()
    assert len(names) == len(set(names))
    assert set(names) == {name for layer in layers for name in (layer.input, layer.output)}
    assert {"qkv.out", "gelu", "stem", "norm1"} <= set(names)


def test_stream_gives_what_a_plain_run_of_the_nearest_size_gives(images: CalibrationSet) -> None:
    graphs, tensors = block_graphs(), ["gelu", "stem", "depth", "qkv.out"]

    streamed = list(stream_tensors(graphs, images.images(), tensors))

    assert len(streamed) == images.count
    for image, values in zip(images.images(), streamed, strict=True):
        assert list(values) == tensors
        for value, expected in zip(values.values(), run_plainly(graphs, image, tensors), strict=True):
            assert value.shape == expected.shape
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    assert {values["depth"].shape for values in streamed} == {(1, *size) for size in SIZES}


def test_stream_gives_the_input_of_the_graph_too(images: CalibrationSet) -> None:
    image = next(images.images())

    (values,) = stream_tensors(block_graphs(), [image], ["image"])

    assert np.array_equal(values["image"], ImageSpec().prepare(image, values["image"].shape[1:3]))


def test_stream_takes_an_image_only_when_it_is_needed(images: CalibrationSet) -> None:
    taken: list[int] = []

    def watched() -> Iterator[np.ndarray]:
        for index, image in enumerate(images.images()):
            taken.append(index)
            yield image

    done: list[tuple[int, int]] = []
    stream = stream_tensors(
        block_graphs(), watched(), ["gelu"], progress=lambda *state: done.append(state), total=images.count
    )
    next(stream)
    next(stream)

    assert taken == [0, 1]
    assert done == [(1, 8)]


def test_statistics_are_those_of_all_values_at_once(images: CalibrationSet) -> None:
    graphs = block_graphs()
    names = layer_tensors(graphs[SIZES[0]])

    statistics = collect(graphs, images, CONFIG)

    assert tuple(statistics.tensors) == names
    assert statistics.images == images.count
    streamed = list(stream_tensors(graphs, images.images(), names, threads=1))
    for name in names:
        arrays = [values[name] for values in streamed]
        everything = np.concatenate([array.reshape(-1) for array in arrays])
        channel_axis = 1 if arrays[0].ndim == 4 else arrays[0].ndim - 1
        by_channel = np.concatenate(
            [np.moveaxis(array, channel_axis, 0).reshape(array.shape[channel_axis], -1) for array in arrays], axis=1
        )
        found, channels = statistics.range(name, "minmax"), statistics[name].channels
        assert (found.low, found.high) == (everything.min(), everything.max()) == (found.seen_low, found.seen_high)
        assert np.array_equal(channels.low, by_channel.min(axis=1))
        assert np.array_equal(channels.absmax, np.abs(by_channel).max(axis=1))
        scale = np.abs(everything).max()
        np.testing.assert_allclose(
            channels.mean, by_channel.mean(axis=1, dtype=np.float64), atol=MEAN_TOLERANCE * scale
        )
        for method, observer in (("percentile", Percentile(CONFIG.percentile)), ("mse", Mse())):
            observer.observe(everything)
            clipped = statistics.range(name, method)
            assert (clipped.low, clipped.high) == observer.range()


def test_default_range_is_by_the_method_of_the_configuration(images: CalibrationSet) -> None:
    statistics = collect(block_graphs(), images, CalibrationConfig(activation_method="percentile", percentile=90.0))

    assert statistics.range("gelu") == statistics.range("gelu", "percentile")
    assert statistics.range("gelu").high < statistics.range("gelu", "minmax").high


def test_class_tokens_are_told_from_patches(images: CalibrationSet) -> None:
    graphs = block_graphs()

    statistics = collect(graphs, images, CONFIG, tensors=["out", "gelu", "readout", "stem", "scores"])

    tokens = [values["out"][0] for values in stream_tensors(graphs, images.images(), ["out"])]
    found = statistics["out"].tokens
    assert found is not None
    assert np.array_equal(found.class_absmax, np.max([np.abs(t[:CLASS_TOKENS]).max(axis=1) for t in tokens], axis=0))
    assert found.patch_absmax == max(np.abs(t[CLASS_TOKENS:]).max() for t in tokens)
    medians = [np.median(np.abs(t[CLASS_TOKENS:]).max(axis=1)) for t in tokens]
    assert found.patch_median == pytest.approx(np.mean(medians))
    assert statistics["out"].kind == statistics["gelu"].kind == "tokens"
    assert (statistics["stem"].kind, statistics["stem"].tokens) == ("map", None)
    assert (statistics["readout"].kind, statistics["readout"].tokens) == ("vector", None)
    assert statistics["readout"].channels.low.shape == (WIDTH,)


def test_tensor_whose_width_depends_on_the_size_has_no_channels(images: CalibrationSet) -> None:
    scores = collect(block_graphs(), images, CONFIG, tensors=["scores"])["scores"]

    assert scores.channels.absmax.size == scores.channels.mean.size == 0
    assert scores.histogram.total == 4 * 18**2 + 4 * 17**2


def test_rows_that_are_no_tokens_have_no_token_statistics() -> None:
    accumulator = TensorAccumulator("same rows at two sizes")
    accumulator.add(np.ones((1, 18, 4)), patches=16)
    accumulator.add(np.ones((1, 18, 4)), patches=15)

    assert accumulator.finish().tokens is None


def test_dead_channel_and_constant_tensor_have_ranges() -> None:
    accumulator = TensorAccumulator("x")
    values = np.full((1, 3, 2, 2), 2.0, np.float32)
    values[:, 1] = 0.0
    for _ in range(3):
        accumulator.add(values, patches=1)
    channels = accumulator.finish().channels

    assert channels.absmax.tolist() == channels.mean.tolist() == [2.0, 0.0, 2.0]


def test_progress_is_told_after_each_image(images: CalibrationSet) -> None:
    told: list[tuple[int, int]] = []

    collect(block_graphs(), images, CONFIG, progress=lambda done, total: told.append((done, total)))

    assert told == [(done, 8) for done in range(1, 9)]


def test_graphs_are_not_changed(images: CalibrationSet) -> None:
    graphs = block_graphs()
    before = {size: graph.SerializeToString(deterministic=True) for size, graph in graphs.items()}

    collect(graphs, images, CONFIG)

    assert {size: graph.SerializeToString(deterministic=True) for size, graph in graphs.items()} == before


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = block_graphs()
    original = collecting._Session.run

    def run_traced(session: collecting._Session, prepared: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs in memory of numpy's, as tracemalloc does not see that of ONNX Runtime."""
        return {name: value.copy() for name, value in original(session, prepared).items()}

    monkeypatch.setattr(collecting._Session, "run", run_traced)
    few, many = open_images(tmp_path / "few", 4), open_images(tmp_path / "many", 40)
    collect(graphs, few, CONFIG)  # what is imported and cached at the first use

    def peak(images: CalibrationSet) -> int:
        tracemalloc.start()
        collect(graphs, images, CONFIG)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(many) - peak(few) < MEMORY_GROWTH_BYTES


def test_operator_that_nobody_quantises_is_no_obstacle(tmp_path: Path) -> None:
    graph = block_graph()
    gelu = next(node for node in graph.graph.node if node.name == "gelu")
    gelu.op_type = "Mish"

    assert "gelu" in collect({SIZES[0]: graph}, open_images(tmp_path, 2), CONFIG).tensors


@pytest.mark.parametrize(("bad", "kind"), [(np.nan, "NaN"), (np.inf, "an infinite value")])
def test_value_that_is_no_number_names_tensor_and_image(images: CalibrationSet, bad: float, kind: str) -> None:
    graphs = block_graphs()
    for graph in graphs.values():
        bias = next(tensor for tensor in graph.graph.initializer if tensor.name == "fc2.bias")
        value = numpy_helper.to_array(bias).copy()
        value[3] = bad
        bias.CopyFrom(numpy_helper.from_array(value, bias.name))

    with pytest.raises(InputError, match=rf"tensor 'fc2.out', image 0 \({images.names[0]}\): got {kind}.*Fix: "):
        collect(graphs, images, CONFIG, tensors=["gelu", "fc2.out"])


def test_tensor_that_one_graph_lacks_is_named(images: CalibrationSet) -> None:
    graphs = {SIZES[0]: block_graph(SIZES[0]), SIZES[1]: linear_graph(np.ones((2, 2)))}
    graphs[SIZES[1]].graph.input[0].name = "image"

    with pytest.raises(SpecError, match=r"graph 48x80: got no tensor 'gelu'.*Fix: "):
        list(stream_tensors(graphs, images.images(), ["gelu"]))
    with pytest.raises(SpecError, match="no tensor 'nonsense'"):
        collect(block_graphs(), images, CONFIG, tensors=["nonsense"])


def test_statistics_that_were_not_collected_are_an_error(images: CalibrationSet) -> None:
    with pytest.raises(SpecError, match=r"got none of tensor 'gelu'.*Fix: "):
        collect(block_graphs(), images, CONFIG, tensors=["stem"]).range("gelu")


def test_no_graph_is_an_error(images: CalibrationSet) -> None:
    with pytest.raises(InputError, match="got no graph"):
        collect({}, images, CONFIG)


def test_layers_of_the_hand_made_graph_are_all_found() -> None:
    names = [layer.name for layer in QuantGraph(block_graph()).layers()]

    assert names == ["stem", "qkv", "proj", "fc1", "fc2", "readout", "plane"]
    assert helper.tensor_dtype_to_np_dtype(block_graph().graph.input[0].type.tensor_type.elem_type) == np.uint8
