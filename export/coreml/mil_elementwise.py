"""Operations on each element: arithmetic, comparison, activations, casts.

Semantics are those of Apple's MIL documentation (apple.github.io/coremltools, source "mil.mil.ops.defs").
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pixio_edge.export.coreml.mil_call import MIL_OPS, TORCH_DTYPES, Call, mil_op

GELU_SIGMOID_SLOPE = 1.702

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "floor_div": torch.floor_divide,
    "mod": torch.remainder,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "pow": torch.pow,
    "equal": torch.eq,
    "not_equal": torch.ne,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}
UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    "relu": torch.relu,
    "relu6": functional.relu6,
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": functional.silu,
    "sin": torch.sin,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}


def _enter_plain() -> None:
    for name, binary in BINARY.items():
        MIL_OPS[name] = lambda call, compute=binary: compute(call.tensor("x"), call.tensor("y"))  # type: ignore[misc]
    for name, unary in UNARY.items():
        MIL_OPS[name] = lambda call, compute=unary: compute(call.tensor("x"))  # type: ignore[misc]


_enter_plain()


@mil_op("real_div")
def real_div(call: Call) -> Tensor:
    """Quotient; of whole numbers, the part before the point."""
    x, y = call.tensor("x"), call.tensor("y")
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


@mil_op("inverse")
def inverse(call: Call) -> Tensor:
    """1 / (x + epsilon)."""
    return 1.0 / (call.tensor("x") + call.number("epsilon"))


@mil_op("log")
def log(call: Call) -> Tensor:
    """Natural logarithm of x + epsilon."""
    return torch.log(call.tensor("x") + call.number("epsilon"))


@mil_op("rsqrt")
def rsqrt(call: Call) -> Tensor:
    """1 / √(x + epsilon)."""
    return torch.rsqrt(call.tensor("x") + call.number("epsilon"))


@mil_op("clip")
def clip(call: Call) -> Tensor:
    """Within [alpha, beta]."""
    return call.tensor("x").clamp(call.number("alpha"), call.number("beta"))


@mil_op("threshold")
def threshold(call: Call) -> Tensor:
    """At least alpha."""
    return call.tensor("x").clamp(min=call.number("alpha"))


@mil_op("cast")
def cast(call: Call) -> Tensor:
    """Another type; floats lose what is after the point when they become whole numbers."""
    name = call.text("dtype")
    if name not in TORCH_DTYPES:
        raise call.refuse(f"dtype '{name}'")
    return call.tensor("x").to(TORCH_DTYPES[name])


@mil_op("select")
def select(call: Call) -> Tensor:
    """A where cond holds, else b."""
    return torch.where(call.tensor("cond").bool(), call.tensor("a"), call.tensor("b"))


@mil_op("gelu")
def gelu(call: Call) -> Tensor:
    """Gaussian error linear unit, exact or by either approximation."""
    x, mode = call.tensor("x"), call.text("mode")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(GELU_SIGMOID_SLOPE * x)
    return functional.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@mil_op("leaky_relu")
def leaky_relu(call: Call) -> Tensor:
    """x, or alpha·x below zero."""
    return functional.leaky_relu(call.tensor("x"), call.number("alpha"))


@mil_op("elu")
def elu(call: Call) -> Tensor:
    """x, or alpha·(eˣ - 1) below zero."""
    return functional.elu(call.tensor("x"), call.number("alpha"))


@mil_op("clamped_relu")
def clamped_relu(call: Call) -> Tensor:
    """x, or alpha·x below zero, and at most beta."""
    return functional.leaky_relu(call.tensor("x"), call.number("alpha")).clamp(max=call.number("beta"))


@mil_op("linear_activation")
def linear_activation(call: Call) -> Tensor:
    """alpha·x + beta."""
    return call.number("alpha") * call.tensor("x") + call.number("beta")


@mil_op("sigmoid_hard")
def sigmoid_hard(call: Call) -> Tensor:
    """alpha·x + beta within [0, 1]."""
    return (call.number("alpha") * call.tensor("x") + call.number("beta")).clamp(0.0, 1.0)


@mil_op("prelu")
def prelu(call: Call) -> Tensor:
    """x, or alpha·x below zero with one alpha for each channel, which is the second dimension."""
    return functional.prelu(call.tensor("x"), call.tensor("alpha"))
