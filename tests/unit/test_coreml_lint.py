"""What falls off the Neural Engine is named with its rule, and what runs there is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from coremltools import RangeDim

from pixio_edge.export.coreml.interpreter import load_program
from pixio_edge.export.coreml.lint import ANE_OPS, FIXES, SINCE, lint_program, summarise
from tests.coreml_packages import SIZE, convert_tiny
from tests.mil_programs import mb, mil_program


def halves(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float16)


def rules(make: Callable[..., Any], *arrays: np.ndarray) -> set[tuple[str, str, str]]:
    return {(f.op_type, f.rule, f.severity) for f in lint_program(mil_program(make, *arrays))}


def test_program_in_fp16_with_known_operations_has_no_findings() -> None:
    def make(x: Any) -> Any:
        y = mb.conv(x=x, weight=halves(4, 3, 3, 3), pad_type="same")
        y = mb.layer_norm(x=mb.reshape(x=y, shape=[1, 4, 64]), axes=[-1])
        return mb.softmax(x=mb.matmul(x=y, y=y, transpose_y=True))

    program = mil_program(make, halves(1, 3, 8, 8))

    assert lint_program(program) == ()
    assert summarise(program).to_json() == {
        "on": {"conv": 1, "reshape": 1, "layer_norm": 1, "matmul": 1, "softmax": 1},
        "some_chips": {},
        "off": {},
    }


@pytest.mark.parametrize(
    ("make", "array", "expected"),
    [
        (lambda x: mb.cumsum(x=x), halves(2, 3), ("cumsum", "operation", "off")),
        (lambda x: mb.sin(x=x), halves(2, 3), ("sin", "operation", "some_chips")),
        (lambda x: mb.add(x=x, y=x), np.zeros((2, 3), np.float32), ("add", "type", "off")),
        (lambda x: mb.add(x=x, y=x), np.zeros((2, 3), np.int32), ("add", "type", "off")),
        (lambda x: mb.relu(x=x), halves(1, 1, 1, 1, 1, 2), ("relu", "rank", "off")),
        (lambda x: mb.relu(x=x), halves(1, 1, 16385), ("relu", "size", "some_chips")),
        (lambda x: mb.relu(x=x), halves(1, 1, 65537), ("relu", "size", "off")),
        (
            lambda x: mb.conv(x=x, weight=halves(1, 1, 16, 16), strides=[16, 16], pad_type="valid"),
            halves(1, 1, 32, 32),
            ("conv", "kernel", "some_chips"),
        ),
    ],
    ids=["operation", "later", "fp32", "int32", "rank", "size", "huge", "kernel"],
)
def test_operation_that_breaks_a_rule_is_found(
    make: Callable[..., Any], array: np.ndarray, expected: tuple[str, str, str]
) -> None:
    assert rules(make, array) == {expected}


@pytest.mark.parametrize(("name", "fix"), [("image__biased__", "nothing: coremltools adds"), ("sum", "convert it in")])
def test_bias_of_an_image_is_told_from_other_arithmetic_in_fp32(name: str, fix: str) -> None:
    (finding,) = lint_program(mil_program(lambda x: mb.add(x=x, y=x, name=name), np.zeros((2, 3), np.float32)))

    assert finding.fix.startswith(fix)


def test_input_of_an_operation_counts_as_much_as_its_output() -> None:
    def make(x: Any) -> Any:
        return mb.reduce_sum(x=x, axes=[-1])

    assert rules(make, halves(1, 1, 16385)) == {("reduce_sum", "size", "some_chips")}


def test_many_channels_and_large_weights_are_no_finding() -> None:
    def make(x: Any) -> Any:
        return mb.conv(x=x, weight=halves(2, 20000, 1, 1), pad_type="valid")

    assert rules(make, halves(1, 20000, 2, 2)) == set()


def test_casts_between_halves_and_floats_are_no_finding() -> None:
    def make(x: Any) -> Any:
        return mb.cast(x=mb.relu(x=mb.cast(x=x, dtype="fp16")), dtype="fp32")

    assert rules(make, np.zeros((1, 3), np.float32)) == set()


def test_shape_that_is_not_known_is_found_unless_sizes_are_listed(tmp_path: Path) -> None:
    listed = load_program(convert_tiny(tmp_path / "listed.mlpackage", precision="FLOAT16", sizes=(SIZE, (24, 16))))
    free = load_program(
        convert_tiny(tmp_path / "free.mlpackage", precision="FLOAT16", size=(RangeDim(8, 32), SIZE[1]), example=SIZE)
    )

    assert {finding.rule for finding in lint_program(listed)} == set()
    assert {(finding.op_type, finding.rule) for finding in lint_program(free)} >= {("conv", "dynamic")}


def test_weights_that_are_decompressed_are_not_counted() -> None:
    def make(x: Any) -> Any:
        weight = mb.constexpr_affine_dequantize(
            quantized_data=np.zeros((2, 3), np.int8), zero_point=np.int8(0), scale=np.float16(1.0), axis=0
        )
        return mb.linear(x=x, weight=weight)

    program = mil_program(make, halves(1, 3), target="iOS16")

    assert lint_program(program) == ()
    assert summarise(program).on == {"linear": 1}


def test_operation_with_two_reasons_is_counted_once_by_the_worse() -> None:
    program = mil_program(lambda x: mb.sin(x=x), np.zeros((2, 3), np.float32))

    findings = lint_program(program)

    assert {finding.rule for finding in findings} == {"operation", "type"}
    assert summarise(program, findings).to_json() == {"on": {}, "some_chips": {}, "off": {"sin": 1}}


def test_message_is_one_line_with_a_fix() -> None:
    (finding,) = lint_program(mil_program(lambda x: mb.mod(x=x, y=x, name="rest"), halves(2)))

    assert finding.message == "rest (mod): the engine is not known to have it. Fix: x - y · floor(x / y)"


def test_known_sets_do_not_overlap() -> None:
    assert not ANE_OPS & set(SINCE)
    assert not (ANE_OPS | set(SINCE)) & set(FIXES)
