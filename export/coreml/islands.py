"""What stays in float32 when a program is converted to half precision: decided for each MIL operation.

Half precision has 11 bits and ends at 65504. Sums over many terms overflow or lose their small terms first: the
residual stream of a deep ViT, the variance inside LayerNorm, the scores before softmax; and rounding the depth at the
end shows as steps on smooth surfaces. (lightly-train issue 858, Video-Depth-Anything issues 92 and 97 report the black
frames that come of it.)
"""

from __future__ import annotations

from typing import Any

TOKENS_RANK = 3
"""Tokens are (1, N, D); maps are (1, C, H, W)."""

WHOLE = frozenset({"softmax", "layer_norm"})
PRODUCTS = frozenset({"conv", "linear", "matmul"})


def is_half(operation: Any) -> bool:
    """Whether an operation of a MIL program may run in half precision; for `FP16ComputePrecision`."""
    return not (
        operation.op_type in WHOLE or _is_score(operation) or _is_residual(operation) or _is_behind_products(operation)
    )


def _is_score(operation: Any) -> bool:
    """The product whose result goes into softmax."""
    return operation.op_type == "matmul" and any(child.op_type == "softmax" for child in _readers(operation))


def _is_residual(operation: Any) -> bool:
    """Sums and concatenations of tokens."""
    is_sum = operation.op_type in {"add", "concat"}
    return is_sum and len(operation.outputs) == 1 and operation.outputs[0].rank == TOKENS_RANK


def _is_behind_products(operation: Any) -> bool:
    """What is made of the last convolution's result: resize, activation and scale of the depth."""
    if operation.op_type in PRODUCTS or operation.op_type == "const":
        return False
    waiting, seen = [operation], set()
    while waiting:
        for child in _readers(waiting.pop()):
            if child.op_type in PRODUCTS:
                return False
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return True


def _readers(operation: Any) -> list[Any]:
    return [child for output in operation.outputs for child in output.child_ops]
