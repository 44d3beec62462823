"""The search: planted costs are found, and no more layers go back to float than have to."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from block_bundle import picture, with_types
from tiny_graphs import SIZES, block_graph

from pixio_edge.calibration.agreement import Agreement
from pixio_edge.calibration.budget import Budget
from pixio_edge.calibration.emit import emit, expected_int8
from pixio_edge.calibration.pareto import Pareto, ParetoPoint, counts_to_try, save_pareto
from pixio_edge.calibration.search import LayerSensitivity, rank_layers, return_layers
from pixio_edge.calibration.table import ActivationRange, CalibrationTable, Provenance
from pixio_edge.calibration.trial import TrialImages, open_graph
from pixio_edge.errors import InputError

COSTS = {"a": 0.001, "b": 0.020, "c": 0.004, "d": 0.020}
LAYERS = tuple(COSTS)


class PlantedImages:
    """Stands for `TrialImages`: a candidate is the set of its float layers, and every other layer has its cost."""

    def __init__(self) -> None:
        self.measured: list[frozenset[str]] = []

    def measure(self, candidate: frozenset[str]) -> Agreement:
        self.measured.append(candidate)
        cost = sum(cost for layer, cost in COSTS.items() if layer not in candidate)
        return Agreement(cost, 1.0 - cost / 10, 1.0, 1.0, 30.0)


def planted() -> Any:
    return cast("Any", PlantedImages())


def keep(layers: Collection[str]) -> Any:
    return frozenset(layers)


def test_layers_are_ranked_by_what_they_cost_alone() -> None:
    images, seen = planted(), []

    ranking = rank_layers(keep, LAYERS, images, progress=lambda *step: seen.append(step))

    assert [item.layer for item in ranking] == ["b", "d", "c", "a"]
    assert [item.agreement.abs_rel for item in ranking] == pytest.approx([0.02, 0.02, 0.004, 0.001])
    assert [len(candidate) for candidate in images.measured] == [3, 3, 3, 3]
    assert [step[:2] for step in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("points", "expected"),
    [(12.0, ()), (0.7, ("b",)), (0.13, ("b", "d")), (0.026, ("b", "d", "c")), (0.001, ("b", "d", "c", "a"))],
)
def test_as_few_layers_as_the_budget_asks_for_go_back_to_float(points: float, expected: tuple[str, ...]) -> None:
    ranking = rank_layers(keep, LAYERS, planted())

    steps = return_layers(keep, ranking, planted(), Budget(points))

    assert steps[-1].keep_float == expected
    assert [len(step.keep_float) for step in steps] == list(range(len(expected) + 1))
    assert [step.agreement.abs_rel for step in steps] == sorted((s.agreement.abs_rel for s in steps), reverse=True)


def test_layers_in_float_already_stay_there_and_are_not_returned_twice() -> None:
    ranking = rank_layers(keep, LAYERS, planted())

    steps = return_layers(keep, ranking, planted(), Budget(0.03), start=("b",))

    assert [step.keep_float for step in steps] == [("b",), ("b", "d"), ("b", "d", "c")]


def table_of(graph: onnx.ModelProto, images: list[np.ndarray], *, broken: str | None = None) -> CalibrationTable:
    """Ranges by running the float graph; that of one tensor a twentieth of what it should be."""
    layers = expected_int8(graph, "openvino")
    tensors = {node.input[0] for node in graph.graph.node if node.name in layers}
    ranges = {}
    for tensor in tensors:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        del copy.graph.output[:]
        copy.graph.output.extend([onnx.ValueInfoProto(name=tensor)])
        values = np.stack([open_graph(copy, 1)(image) for image in images])
        high = float(np.abs(values).max()) * (0.05 if tensor == broken else 1.0)
        ranges[tensor] = ActivationRange(low=-high, high=high, seen_low=-high, seen_high=high)
    provenance = Provenance(
        tool="tests", created="now", graph_sha256="0" * 64, images=1, images_sha256="0" * 64, source="made", config={}
    )
    return CalibrationTable(provenance=provenance, activations=ranges)


def test_layer_with_a_broken_range_is_found_in_a_real_graph() -> None:
    graph = with_types(block_graph())
    images = [picture(SIZES[0], seed=seed)[None] for seed in range(2)]
    broken = next(node.input[0] for node in graph.graph.node if node.name == "fc2")
    table = table_of(graph, images, broken=broken)
    layers = sorted(expected_int8(graph, "openvino"))
    trial = TrialImages(graph, images, "relative_inverse", 1)

    def candidate(kept: Collection[str]) -> onnx.ModelProto:
        return emit(graph, table, "openvino", keep_float=kept)

    ranking = rank_layers(candidate, layers, trial)
    steps = return_layers(candidate, ranking, trial, Budget(0.5))

    assert ranking[0].layer == "fc2"
    assert ranking[0].agreement.abs_rel > 3 * ranking[1].agreement.abs_rel
    assert steps[-1].keep_float[:1] == ("fc2",)
    assert len(steps[-1].keep_float) < len(layers)
    assert trial.measure(graph).abs_rel < 1e-9


def test_trial_needs_images() -> None:
    with pytest.raises(InputError, match="got 0 images"):
        TrialImages(block_graph(), [], "relative_inverse", 1)


@pytest.mark.parametrize(
    ("layers", "expected"), [(1, (0,)), (2, (0, 1)), (5, (0, 1, 2, 4)), (68, (0, 1, 2, 4, 8, 16, 32, 64))]
)
def test_pareto_tries_doubling_numbers_of_float_layers(layers: int, expected: tuple[int, ...]) -> None:
    assert counts_to_try(layers) == expected


def test_pareto_is_saved_as_json_and_as_a_picture(tmp_path: Path) -> None:
    agreement = Agreement(0.01, 1.0, 0.9, 1.0, 30.0)
    points = (ParetoPoint((), agreement, 10.0, is_best=True), ParetoPoint(("a",), agreement, 12.0, is_best=False))
    ranking = (LayerSensitivity("a", agreement),)

    files = save_pareto(Pareto("ort", "ort-x86", (64, 64), 2, 30.0, points, ranking), Budget(), tmp_path)

    record, drawn = files
    assert '"float_ms": 30.0' in record.read_text()
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pareto_ort-x86.json", "pareto_ort-x86.png"]
