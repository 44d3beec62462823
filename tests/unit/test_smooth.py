"""Groups that can be smoothed, found from structure; smoothing that changes no output; strengths that are searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from calibration_images import random_calibration_set
from onnx import TensorProto, helper, numpy_helper
from random_models import CONFIGS, random_image, random_model
from tiny_graphs import SIZES, WIDTH, block_graph, tiny_graph, tiny_graphs

from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.smooth import SmoothingGroup, apply_smoothing_, find_groups, smoothed_tensor
from pixio_edge.calibration.smooth_search import ALPHAS, QUIET_CHANNEL, choose_smoothing, smoothing_factors
from pixio_edge.calibration.table import SmoothingEntry
from pixio_edge.errors import SchemaError
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.onnx import export_graphs

# float32 sums in the same order, of numbers that were scaled up and down by up to e^3: measured at most 6e-7.
EXACT = 1e-5
# How far apart planted channels are; those reported for self-supervised ViTs are 30 to 100 times the others.
OUTLIER = 60.0


def kinds(graph: onnx.ModelProto) -> list[tuple[str, str, tuple[str, ...]]]:
    groups = find_groups(QuantGraph(graph))
    return [(group.kind, group.source, tuple(layer.name for layer in group.layers)) for group in groups]


def group_of(graph: onnx.ModelProto, source: str) -> SmoothingGroup:
    (found,) = [group for group in find_groups(QuantGraph(graph)) if group.source == source]
    return found


def entry_for(group: SmoothingGroup, factors: np.ndarray) -> SmoothingEntry:
    names = tuple(layer.name for layer in group.layers)
    values = tuple(factors.tolist())
    return SmoothingEntry(kind=group.kind, source=group.source, layers=names, alpha=0.5, factors=values)


def random_entries(graph: onnx.ModelProto) -> list[SmoothingEntry]:
    generator = np.random.default_rng(0)
    groups = find_groups(QuantGraph(graph))
    return [entry_for(group, np.exp(generator.normal(size=len(group.channels)))) for group in groups]


def smoothed(graph: onnx.ModelProto, entries: list[SmoothingEntry] | tuple[SmoothingEntry, ...]) -> onnx.ModelProto:
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    apply_smoothing_(QuantGraph(copy), entries)
    onnx.checker.check_model(copy, full_check=True)
    return copy


def depth(graph: onnx.ModelProto, size: tuple[int, int] = SIZES[0]) -> np.ndarray:
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["depth"], {"image": random_image(size)})[0]


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(a).max())


def constant(graph: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(tensor) for tensor in graph.graph.initializer if tensor.name == name)


def insert_after(graph: onnx.ModelProto, tensor: str, operator: str, operand: str, output: str) -> None:
    """Put a node with a constant operand behind a tensor, before all that reads it."""
    position = 1 + next(index for index, node in enumerate(graph.graph.node) if tensor in node.output)
    for node in graph.graph.node:
        for index, name in enumerate(node.input):
            if name == tensor:
                node.input[index] = output
    graph.graph.node.insert(position, helper.make_node(operator, [tensor, operand], [output], name=output))


def test_block_has_its_four_groups() -> None:
    assert kinds(block_graph()) == [
        ("layer_norm", "norm1", ("qkv",)),
        ("value", "qkv", ("proj",)),
        ("layer_norm", "norm2", ("fc1",)),
        ("gelu", "gelu", ("fc2",)),
    ]


def test_value_channels_are_those_of_v_for_heads_packed_with_q_and_k() -> None:
    groups = [group for group in find_groups(QuantGraph(tiny_graph())) if group.kind == "value"]

    assert groups
    for group in groups:
        width = len(group.channels)
        assert group.channels == tuple(range(2 * width, 3 * width))


# Exporting takes seconds each: one with a LayerScale is enough for every day.
QUICK = "depth_anything"
MODELS = [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(CONFIGS)]


@pytest.mark.parametrize("name", MODELS)
def test_every_block_of_exported_models_has_all_groups_and_the_final_norm_none(name: str) -> None:
    ((_, graph),) = export_graphs(random_model(name), ExportRequest((SIZES[0],)), {})

    found = Counter(kind for kind, _, _ in kinds(graph))
    blocks = CONFIGS[name].encoder.depth
    assert {kind: found[kind] for kind in ("layer_norm", "value", "gelu")} == {
        "layer_norm": 2 * blocks,
        "value": blocks,
        "gelu": blocks,
    }
    assert not [source for _, source, _ in kinds(graph) if source.startswith("encoder.norm/")]


def test_groups_are_found_without_names() -> None:
    graph = block_graph()
    named = [(kind, len(layers)) for kind, _, layers in kinds(graph)]
    tensors: dict[str, str] = {"image": "image", "depth": "depth", "": ""}
    for index, node in enumerate(graph.graph.node):
        node.name = f"n{index}"
        for names in (node.input, node.output):
            names[:] = [tensors.setdefault(name, f"t{len(tensors)}") for name in names]
    for tensor in graph.graph.initializer:
        tensor.name = tensors[tensor.name]

    assert [(kind, len(layers)) for kind, _, layers in kinds(graph)] == named


def test_three_linears_behind_one_norm_are_one_group() -> None:
    """As in exports of models whose q, k and v are layers of their own."""
    graph = block_graph()
    weight, bias = constant(graph, "qkv.weight"), constant(graph, "qkv.bias")
    split = next(index for index, node in enumerate(graph.graph.node) if node.name == "split")
    del graph.graph.node[split - 2 : split + 1]
    for index, name in enumerate("vkq"):
        part = slice((2 - index) * WIDTH, (3 - index) * WIDTH)
        graph.graph.initializer.append(numpy_helper.from_array(weight[:, part].copy(), f"{name}.weight"))
        graph.graph.initializer.append(numpy_helper.from_array(bias[part].copy(), f"{name}.bias"))
        product = helper.make_node("MatMul", ["norm1", f"{name}.weight"], [f"{name}.product"], name=f"{name}.layer")
        add = helper.make_node("Add", [f"{name}.product", f"{name}.bias"], [name], name=f"{name}.add")
        graph.graph.node.insert(split - 2, add)
        graph.graph.node.insert(split - 2, product)
    QuantGraph(graph).drop_unused_constants()

    assert kinds(graph)[:2] == [
        ("layer_norm", "norm1", ("q.layer", "k.layer", "v.layer")),
        ("value", "v.layer", ("proj",)),
    ]
    assert relative_difference(depth(block_graph()), depth(graph)) < EXACT
    assert relative_difference(depth(graph), depth(smoothed(graph, random_entries(graph)))) < EXACT


@pytest.mark.parametrize(("tensor", "lost"), [("norm1", "norm1"), ("values", "qkv"), ("gelu", "gelu"), ("v", "qkv")])
def test_no_group_where_something_else_reads_the_activation(tensor: str, lost: str) -> None:
    graph = block_graph()
    graph.graph.node.append(helper.make_node("Abs", [tensor], ["other"], name="other"))

    assert lost not in [source for _, source, _ in kinds(graph)]
    assert len(kinds(graph)) == len(kinds(block_graph())) - 1


@pytest.mark.parametrize(("tensor", "lost"), [("norm2", "norm2"), ("gelu", "gelu"), ("values", "qkv")])
def test_no_group_where_the_activation_is_an_output(tensor: str, lost: str) -> None:
    graph = block_graph()
    graph.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))

    assert lost not in [source for _, source, _ in kinds(graph)]


def test_convolutions_behind_relu_are_a_group_unless_a_sum_reads_them() -> None:
    convolutions = {source: layers for kind, source, layers in kinds(tiny_graph()) if kind == "conv"}

    assert convolutions["head.output_conv1/Conv"] == ("head.output_conv2/Conv",)  # behind a Resize
    assert convolutions["encoder.patch_embed.stage4.1.conv1.conv/Conv"] == (
        "encoder.patch_embed.stage4.1.conv2.conv/Conv",
    )
    assert "encoder.patch_embed.stage4.1.conv2.conv/Conv" not in convolutions


@pytest.mark.parametrize("make", [block_graph, tiny_graph])
@pytest.mark.parametrize("size", SIZES)
def test_smoothing_of_all_groups_changes_no_output(
    make: Callable[[tuple[int, int]], onnx.ModelProto], size: tuple[int, int]
) -> None:
    graph = make(size)
    expected = depth(graph, size)

    result = smoothed(graph, random_entries(graph))

    assert expected.std() > 0
    assert relative_difference(expected, depth(result, size)) < EXACT


def test_smoothing_divides_the_activation_and_multiplies_the_weight() -> None:
    graph = block_graph()
    factors = np.linspace(0.5, 4, WIDTH)

    result = smoothed(graph, [entry_for(group_of(graph, "norm1"), factors)])

    for name in ("norm1.scale", "norm1.shift"):
        np.testing.assert_allclose(constant(result, name), constant(graph, name) / factors, rtol=1e-6)
    np.testing.assert_allclose(
        constant(result, "qkv.weight"), constant(graph, "qkv.weight") * factors[:, None], rtol=1e-6
    )


def test_value_smoothing_divides_only_v() -> None:
    graph = block_graph()

    result = smoothed(graph, [entry_for(group_of(graph, "qkv"), np.full(WIDTH, 4.0))])

    for name in ("qkv.weight", "qkv.bias"):
        before, after = constant(graph, name), constant(result, name)
        np.testing.assert_array_equal(after[..., : 2 * WIDTH], before[..., : 2 * WIDTH])
        np.testing.assert_array_equal(after[..., 2 * WIDTH :], before[..., 2 * WIDTH :] / 4)


def test_all_sizes_get_the_same_weights() -> None:
    graphs = tiny_graphs()
    entries = random_entries(graphs[SIZES[0]])

    results = [smoothed(graphs[size], entries) for size in SIZES]

    weights = [
        {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in result.graph.initializer if tensor.dims}
        for result in results
    ]
    names = {layer.weight for layer in QuantGraph(results[0]).layers()}
    assert names
    assert all(weights[0][name] == weights[1][name] for name in names)


def test_only_gelu_costs_a_node() -> None:
    graph = block_graph()
    entries = random_entries(graph)

    folded = smoothed(graph, [entry for entry in entries if entry.kind != "gelu"])
    everything = smoothed(graph, entries)

    assert len(folded.graph.node) == len(graph.graph.node)
    added = [node for node in everything.graph.node if node.name not in {other.name for other in graph.graph.node}]
    assert [(node.op_type, node.output[0]) for node in added] == [("Mul", smoothed_tensor(group_of(graph, "gelu")))]
    assert [layer.input for layer in QuantGraph(everything).layers() if layer.name == "fc2"] == [added[0].output[0]]


def test_constants_that_others_share_stay_as_they_are() -> None:
    """The exporter stores equal constants once, such as the scales of norms that were not trained."""
    graph = block_graph()
    for node in graph.graph.node:
        if node.name == "norm2":
            node.input[1:] = ["norm1.scale", "norm1.shift"]
        if node.name == "proj.out":
            node.input[1] = "norm1.shift"
    QuantGraph(graph).drop_unused_constants()
    entries = random_entries(graph)

    result = smoothed(graph, entries[:1])

    np.testing.assert_array_equal(constant(result, "norm1.scale"), constant(graph, "norm1.scale"))
    assert relative_difference(depth(graph), depth(result)) < EXACT
    assert relative_difference(depth(graph), depth(smoothed(graph, entries))) < EXACT


def test_layer_scale_behind_a_linear_breaks_nothing() -> None:
    graph = block_graph()
    scale = np.linspace(0.1, 1, WIDTH, dtype=np.float32)
    graph.graph.initializer.append(numpy_helper.from_array(scale, "scale"))
    insert_after(graph, "proj.out", "Mul", "scale", "proj.scaled")
    insert_after(graph, "fc2.out", "Mul", "scale", "fc2.scaled")

    assert kinds(graph) == kinds(block_graph())
    assert relative_difference(depth(graph), depth(smoothed(graph, random_entries(graph)))) < EXACT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "norm3"}, "'norm3'"),
        ({"kind": "gelu"}, "it is none"),
        ({"layers": ("fc1",)}, "it is qkv"),
        ({"factors": (1.0,) * (WIDTH - 1)}, f"got {WIDTH - 1} factors, expected {WIDTH}"),
        ({"factors": (0.0,) * WIDTH}, "positive"),
    ],
)
def test_entries_of_another_graph_are_refused(change: dict[str, object], message: str) -> None:
    graph = block_graph()
    entry = entry_for(group_of(graph, "norm1"), np.ones(WIDTH)).model_copy(update=change)

    with pytest.raises(SchemaError, match=message):
        smoothed(graph, [entry])


def test_the_same_group_cannot_be_smoothed_twice() -> None:
    graph = block_graph()
    entry = entry_for(group_of(graph, "gelu"), np.ones(4 * WIDTH))

    with pytest.raises(SchemaError, match="each once"):
        smoothed(graph, [entry, entry])


def test_factors_share_the_range_by_alpha_and_have_mean_one() -> None:
    activation, weight = np.array([4.0, 1.0, 0.25]), np.array([1.0, 1.0, 4.0])

    np.testing.assert_allclose(smoothing_factors(activation, np.ones(3), 1.0), [4.0, 1.0, 0.25])
    np.testing.assert_allclose(smoothing_factors(activation, np.ones(3), 0.5), [2.0, 1.0, 0.5])
    half = smoothing_factors(activation, weight, 0.5)
    np.testing.assert_allclose(half / half[1], [2.0, 1.0, 0.25])
    assert np.prod(half) == pytest.approx(1)


def test_silent_channels_have_factor_one_and_quiet_ones_are_not_amplified_to_full_range() -> None:
    activation = np.array([0.0, 1.0, 1.0, 1e-6, 1.0, 1.0])

    factors = smoothing_factors(activation, np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0]), 1.0)

    assert factors[0] == factors[2] == 1
    assert factors[3] / factors[1] == pytest.approx(QUIET_CHANNEL)


def plant(graph: onnx.ModelProto, channels: tuple[int, ...], source: str = "norm1") -> None:
    """Make channels of an activation large and the rows that read them small: the function stays the same."""
    group = group_of(graph, source)
    factors = np.ones(len(group.channels))
    factors[list(channels)] = 1 / OUTLIER
    apply_smoothing_(QuantGraph(graph), [entry_for(group, factors)])


def test_search_finds_planted_outliers(tmp_path: Path) -> None:
    graph = block_graph()
    plant(graph, (3, 8))
    images = random_calibration_set(tmp_path, SIZES[0])

    entries = choose_smoothing({SIZES[0]: graph}, images, CalibrationConfig(threads=1))

    (entry,) = [entry for entry in entries if entry.source == "norm1"]
    assert entry.alpha in ALPHAS
    others = np.delete(entry.factors, [3, 8])
    assert min(entry.factors[3], entry.factors[8]) > OUTLIER / 4 * np.median(others)


def test_convolutions_are_smoothed_only_where_they_are_bad(tmp_path: Path) -> None:
    source = "head.output_conv1/Conv"
    images = random_calibration_set(tmp_path, SIZES[0])
    fine, bad = tiny_graph(), tiny_graph()
    plant(bad, (2,), source)

    chosen = [choose_smoothing({SIZES[0]: graph}, images, CalibrationConfig(threads=1)) for graph in (fine, bad)]

    assert [source in [entry.source for entry in entries] for entries in chosen] == [False, True]


def test_search_leaves_out_a_gelu_that_is_fine_and_groups_without_gain(tmp_path: Path) -> None:
    graph = block_graph()
    images = random_calibration_set(tmp_path, SIZES[0])
    generous = choose_smoothing({SIZES[0]: graph}, images, CalibrationConfig(threads=1))

    again = choose_smoothing({SIZES[0]: smoothed(graph, generous)}, images, CalibrationConfig(threads=1))

    assert "gelu" not in [entry.kind for entry in generous]
    assert not {entry.source for entry in again} & {entry.source for entry in generous}


def test_a_fixed_strength_goes_to_every_group_that_folds_and_off_to_none(tmp_path: Path) -> None:
    graphs = {SIZES[0]: block_graph()}
    images = random_calibration_set(tmp_path, SIZES[0], count=1)

    fixed = choose_smoothing(graphs, images, CalibrationConfig(smoothing=0.3, threads=1))

    assert [(entry.kind, entry.alpha) for entry in fixed] == [("layer_norm", 0.3), ("value", 0.3), ("layer_norm", 0.3)]
    assert choose_smoothing(graphs, images, CalibrationConfig(smoothing=False)) == ()


def test_search_is_repeatable_and_leaves_the_graphs_alone(tmp_path: Path) -> None:
    graph = block_graph()
    plant(graph, (1,))
    before = graph.SerializeToString()
    images = random_calibration_set(tmp_path, SIZES[0])

    first, second = (choose_smoothing({SIZES[0]: graph}, images, CalibrationConfig(threads=1)) for _ in range(2))

    assert first == second
    assert graph.SerializeToString() == before
