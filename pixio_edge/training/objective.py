"""The seam between what is learnt and how a run is kept: an objective has the losses, the loop has all the rest.

A training verb is an `Objective` (a module with a loss), `Rows` (the images of a batch, one by one), and a call of
`loop.fit`, which brings the run folder, going on where a run stopped, logging, several processes, optimisers, schedule
and weight average.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Self


class Movable(Protocol):
    """What a batch has to be able to do."""

    def to(self, device: torch.device) -> Self:
        """The batch with its tensors on a device."""
        ...


Item = TypeVar("Item")
Batch = TypeVar("Batch", bound=Movable)
Batch_co = TypeVar("Batch_co", bound=Movable, covariant=True)


class Rows(Protocol[Item, Batch_co]):
    """Where the images of batches come from.

    Image `row` of step `step` must depend on the two (and a seed) alone. Then a run that goes on sees what an unbroken
    one sees, and so do several processes together, each of which makes only its own rows.
    """

    def make(self, step: int, row: int) -> Item:
        """One image of a batch; called from several threads at once, with any choice already made at random.

        Raises:
            InputError: A file is missing or damaged.
        """
        ...

    def collate(self, items: list[Item]) -> Batch_co:
        """Items of one step as a batch on the CPU."""
        ...

    def facts(self) -> dict[str, Any]:
        """What is worth a column in every line of the log."""
        ...


class Objective(nn.Module, ABC, Generic[Batch]):
    """What a run learns: the model that is kept, everything else that has gradients, and the loss.

    Whatever has parameters to train is a submodule: `model`, and for instance a projector or a decoder beside it. What
    is frozen and not worth saving, such as a teacher, is no submodule: keep it in a tuple.

    Attributes:
        model: What is averaged, measured and saved.
        has_unused: Whether some parameters take no part in the loss, such as blocks after the last that is read.
    """

    model: nn.Module
    has_unused: bool = False

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch, and its terms for the log, detached scalars.

        The loss has to be a mean over images, so that it is the mean over the parts of a split batch. torch's global
        generator is seeded for each step (and differs between processes); random choices that several processes have
        to share belong into the batch.

        Args:
            batch: On the device of the model.
        """

    @abstractmethod
    def measure(self, average: nn.Module) -> dict[str, float]:
        """Values for the log that say how good the averaged model is; asked in the main process only.

        Args:
            average: The averaged `model`, in eval mode.
        """

    @abstractmethod
    def save(self, path: Path, average: nn.Module) -> None:
        """Write the averaged model as safetensors.

        Raises:
            CheckFailedError: A value is not finite.
            OutputError: The file cannot be written.
        """

    @property
    def encoder(self) -> nn.Module | None:
        """The encoder, with `blocks` and `norm`, for optimisers and for freezing; None: there is none."""
        encoder = getattr(self.model, "encoder", None)
        return encoder if isinstance(encoder, nn.Module) else None
