"""One or several processes that train one model: who does what, and how they hear of each other's errors.

Built on `accelerate`: started plainly there is one process, started by `accelerate launch` (or torchrun) there are as
many as it says, on one machine or several.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs  # type: ignore[import-untyped]
from torch import Tensor, distributed, nn

from pixio_edge.errors import InputError, PixioEdgeError
from pixio_edge.training.batch_norm import synchronise_batch_norm

Value = TypeVar("Value")

# What a process may report before a step; the highest of all counts.
GO_ON, STOP, FAILED = 0, 1, 2
# Others wait that long for one that renders; torch's default of half an hour would end the run.
PATIENCE = timedelta(days=7)


class PeerFailedError(PixioEdgeError):
    """Another process of this run failed; its own message says why."""


class Processes:
    """This process among those of the run.

    Args:
        device: "cpu", or "cuda": the GPU of this process.

    Raises:
        InputError: The launcher has initialised another kind of device in this process.
    """

    def __init__(self, device: str) -> None:
        try:
            # Precision is the objectives' business: losses stay in float32.
            self._accelerator = Accelerator(cpu=device == "cpu", mixed_precision="no")
        except ValueError as error:
            raise InputError(
                f"device: got '{device}', expected the one that this process has begun with "
                f"({' '.join(str(error).split())}). Fix: use one device per process"
            ) from error
        # A group of its own for words, not tensors: it needs no GPU, and its patience is longer.
        self._words = distributed.new_group(backend="gloo", timeout=PATIENCE) if self.count > 1 else None

    @property
    def count(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self._accelerator.process_index)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes, logs and draws progress."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        device = torch.device(self._accelerator.device)
        # accelerate numbers processors too, and torch.load knows none of these numbers.
        return torch.device("cpu") if device.type == "cpu" else device

    def wrap(self, module: nn.Module, *, has_unused: bool = False) -> nn.Module:
        """The module, such that gradients after `backward` are those of the whole batch; its parameters stay the same.

        Args:
            module: On `device`; with several processes its BatchNorms are exchanged for synchronised ones in place.
            has_unused: Whether some of its parameters take no part in the loss; to look for them costs time.
        """
        if self.count == 1:
            return module
        synchronise_batch_norm(module, self.device)
        self._accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=has_unused)
        wrapped: nn.Module = self._accelerator.prepare_model(module)
        return wrapped

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Within it, gradients of a wrapped module only add up here; the next backward outside exchanges them."""
        context: AbstractContextManager[None] = self._accelerator.no_sync(wrapped)
        return context

    def mean(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Means over all processes of some scalars; all of them have to ask, with the same names."""
        stacked = torch.stack([value.detach().float() for value in values.values()])
        mean: Tensor = self._accelerator.reduce(stacked, reduction="mean") if self.count > 1 else stacked
        return dict(zip(values, mean.tolist(), strict=True))

    def gather(self, values: Tensor) -> Tensor:
        """What all processes have of a tensor on `device`, along its first axis; all ask, with the same shape."""
        gathered: Tensor = self._accelerator.gather(values) if self.count > 1 else values
        return gathered

    def agree(self, word: int) -> int:
        """The highest of what all processes report; all of them have to ask."""
        if self._words is None:
            return word
        words = torch.tensor([word], dtype=torch.int64)
        distributed.all_reduce(words, distributed.ReduceOp.MAX, group=self._words)
        return int(words)

    def together(self, work: Callable[[], Value]) -> Value:
        """Do something in every process; when it fails in one, all of them raise.

        Raises:
            PeerFailedError: It failed elsewhere. Where it failed, its own error is raised.
        """
        try:
            value = work()
        except BaseException:
            self.agree(FAILED)
            raise
        if self.agree(GO_ON) == FAILED:
            raise PeerFailedError("training: another process of this run failed. Fix: see its message")
        return value

    def on_main(self, work: Callable[[], Value]) -> Value | None:
        """Do something in the main process while the others wait; None in these.

        Raises:
            PeerFailedError: It failed in the main process, whose own error is raised there.
        """
        return self.together(lambda: work() if self.is_main else None)

    def share(self, batch: int, parts: int) -> tuple[range, ...]:
        """The rows of a whole batch that this process takes, in parts of equal length.

        Args:
            batch: Rows of the whole batch.
            parts: Parts whose gradients are added up before the weights move.

        Raises:
            InputError: The batch cannot be split evenly, so that images would not all count the same.
        """
        pieces = self.count * parts
        if batch % pieces:
            raise InputError(
                f"training: got a batch of {batch} images for {self.count} processes with {parts} parts each, expected "
                f"a multiple of {pieces}. Fix: use a batch of {-(-batch // pieces) * pieces}"
            )
        length = batch // pieces
        first = self.rank * parts * length
        return tuple(range(first + part * length, first + (part + 1) * length) for part in range(parts))
