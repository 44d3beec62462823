"""BatchNorm over the whole batch when several processes hold its parts.

Statistics of each process's part alone would be noisier, would make the result depend on the number of processes, and
would leave each process with running statistics of its own. torch's own synchronised BatchNorm runs on GPUs only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function


class ProcessGroupBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` with the statistics of the batches of all processes, which are equally large, on any device."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape.

        In eval mode this is plain BatchNorm with the stored statistics.
        """
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = distributed.get_world_size()
        mean = _sum_over_processes(values.mean((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().mean((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach(), count * x.numel() // x.shape[1])
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            raise TypeError("BatchNorm without running statistics cannot be exported")
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        # The stored variance is the unbiased one, as in torch.
        self.running_var.lerp_(variance * (pixels / max(1, pixels - 1)), momentum)


class _Sum(Function):
    """Sum over processes, with a gradient: the loss of each depends on the pixels of all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def _sum_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def synchronise_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Exchange every `BatchNorm2d` below a module for a synchronised one that holds the same tensors.

    Args:
        module: Changed in place; names of weights stay.
        device: On a GPU it is torch's own.
    """
    for name, child in list(module.named_children()):
        if type(child) is not nn.BatchNorm2d:
            synchronise_batch_norm(child, device)
            continue
        if device.type == "cpu":
            setattr(module, name, _exchange(child))
        else:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]


def _exchange(norm: nn.BatchNorm2d) -> ProcessGroupBatchNorm2d:
    synchronised = ProcessGroupBatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    synchronised.weight, synchronised.bias = norm.weight, norm.bias
    synchronised.running_mean, synchronised.running_var = norm.running_mean, norm.running_var
    synchronised.num_batches_tracked = norm.num_batches_tracked
    synchronised.train(norm.training)
    return synchronised
