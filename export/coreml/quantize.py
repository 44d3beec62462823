"""Writes quantize and dequantize into a MIL program: INT8 weights and activations by a calibration table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.calibration.qparams import along
from pixio_edge.errors import CheckFailedError
from pixio_edge.export.coreml.library import load_builder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.export.coreml.calibrated import QuantizedLayer
    from pixio_edge.export.coreml.options import Target

LAYERS = frozenset({"linear", "conv"})

SMALLEST_HALF = float(np.finfo(np.float16).tiny)
"""A scale below it loses bits in half precision, and engines may flush it to zero."""

LARGEST_INTEGER = 127
"""Symmetric, as everywhere in calibration: -128 is not used."""

Key = tuple[tuple[int, ...], bytes]


def quantizer(layers: Sequence[QuantizedLayer], target: Target) -> Callable[[Any], None]:
    """A transform for `convert` that quantises those layers of a half-precision program.

    A layer is found by its weight: shape and content after rounding to half precision. Each quantised tensor gets one
    pair of quantize and dequantize for all layers that read it.

    Args:
        layers: What to quantise.
        target: Oldest system; iOS18 has another operation for integer weights.

    Raises:
        CheckFailedError: When it runs: a layer is not in the program exactly once, or a scale is too small.
    """

    def transform(function: Any) -> None:
        _Quantizer(function, layers, target).run_()

    return transform


class _Quantizer:
    """One run over one function of a program."""

    def __init__(self, function: Any, layers: Sequence[QuantizedLayer], target: Target) -> None:
        self._function = function
        self._layers = layers
        self._target = target
        self._mb = load_builder()
        self._pairs: dict[tuple[str, float], Any] = {}

    def run_(self) -> None:
        wanted = {_key(layer.weight.astype(np.float16)): layer for layer in self._layers}
        operations = [
            op for op in self._function.operations if op.op_type in LAYERS and op.inputs["weight"].val is not None
        ]
        found = Counter(_key(operation.inputs["weight"].val) for operation in operations)
        for key, layer in wanted.items():
            if found[key] != 1:
                raise CheckFailedError(
                    f"w8a8: layer '{layer.name}' with weight {layer.weight.shape}: found {found[key]} times in the "
                    "Core ML program, expected once. Fix: please report the model; --variant w8 does without"
                )
        with self._function:
            for operation in operations:  # in the order of the program, so that a pair comes before all its readers
                key = _key(operation.inputs["weight"].val)
                if key in wanted:
                    self._quantize_(operation, wanted[key])

    def _quantize_(self, operation: Any, layer: QuantizedLayer) -> None:
        inputs = dict(operation.inputs)
        inputs["x"] = self._pair(operation, layer)
        inputs["weight"] = self._weight(operation, layer)
        build = getattr(self._mb, operation.op_type)
        result = build(**inputs, name=f"{operation.name}_int8", before_op=operation)
        self._function.replace_uses_of_var_after_op(anchor_op=operation, old_var=operation.outputs[0], new_var=result)
        self._function.remove_ops([operation])

    def _pair(self, operation: Any, layer: QuantizedLayer) -> Any:
        """The activation after quantize and dequantize."""
        source = operation.inputs["x"]
        key = (source.name, layer.input_scale)
        if key not in self._pairs:
            scale = _half(layer.input_scale, layer)
            quantized = self._mb.quantize(
                input=source, scale=scale, output_dtype="int8", name=f"{source.name}_quantize", before_op=operation
            )
            self._pairs[key] = self._mb.dequantize(
                input=quantized, scale=scale, name=f"{source.name}_dequantize", before_op=operation
            )
        return self._pairs[key]

    def _weight(self, operation: Any, layer: QuantizedLayer) -> Any:
        name = f"{operation.inputs['weight'].name}_int8"
        # Of a channel of tiny weights the step is coarser than its scale asks for; beside the others it does not count.
        scales = np.maximum(layer.weight_scales, SMALLEST_HALF).astype(np.float16)
        shaped = along(scales, 0, layer.weight.ndim)
        steps = np.rint(layer.weight.astype(np.float64) / shaped.astype(np.float64))
        integers = np.clip(steps, -LARGEST_INTEGER, LARGEST_INTEGER).astype(np.int8)
        if self._target == "iOS18":
            return self._mb.constexpr_blockwise_shift_scale(data=integers, scale=shaped, name=name, before_op=operation)
        return self._mb.constexpr_affine_dequantize(
            quantized_data=integers, zero_point=np.int8(0), scale=scales, axis=0, name=name, before_op=operation
        )


def _key(weight: NDArray[Any]) -> Key:
    return weight.shape, np.ascontiguousarray(weight, np.float16).tobytes()


def _half(scale: float, layer: QuantizedLayer) -> np.float16:
    if not scale >= SMALLEST_HALF:
        raise CheckFailedError(
            f"w8a8: layer '{layer.name}': the scale of its input is {scale:.3g}, expected at least "
            f"{SMALLEST_HALF:.3g}, the smallest of half precision. Fix: --variant w8"
        )
    return np.float16(scale)
