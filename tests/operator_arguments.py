"""Small arguments for each operator of `pixio_edge.kernels.ops`; needs torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

HEADS, HEAD_DIM, TOKENS, CHANNELS = 2, 64, 17, 128
SCALE = HEAD_DIM**-0.5
EPS = 1e-6


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def attention_arguments(dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    return normal(2, TOKENS, 3, HEADS, HEAD_DIM, dtype=dtype), normal(3, HEADS, HEAD_DIM, dtype=dtype, seed=1), SCALE


def norm_arguments(dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    x, branch = normal(2, TOKENS, CHANNELS), normal(2, TOKENS, CHANNELS, dtype=dtype, seed=1)
    vectors = (normal(CHANNELS, dtype=dtype, seed=seed) for seed in (2, 3, 4, 5))
    return x, branch, *vectors, EPS


def gelu_arguments(dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    return normal(2, TOKENS, CHANNELS, dtype=dtype), normal(CHANNELS, dtype=dtype, seed=1)


OPERATORS: list[tuple[str, Callable[..., tuple[Any, ...]]]] = [
    ("attention", attention_arguments),
    ("attention_int8", attention_arguments),
    ("add_layer_norm", norm_arguments),
    ("add_layer_norm_int8", norm_arguments),
    ("bias_gelu", gelu_arguments),
    ("bias_gelu_int8", gelu_arguments),
]


def as_tuple(value: Any) -> tuple[Tensor, ...]:
    """The results of an operator, of which some have one and some have several."""
    return value if isinstance(value, tuple) else (value,)


def transposed(item: Any) -> Any:
    """The same values, of which rows that are neighbours are not so in memory."""
    is_large = isinstance(item, Tensor) and item.dim() >= 3 and item.shape[0] == 2
    return item.transpose(0, 1).contiguous().transpose(0, 1) if is_large else item


def addresses(*tensors: Tensor | None) -> tuple[int, ...]:
    return tuple(0 if tensor is None else tensor.data_ptr() for tensor in tensors)
