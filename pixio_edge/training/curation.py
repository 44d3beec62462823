"""Harder images drawn more often: each image by its own reconstruction loss, as far as the run knows it.

Pixio (arXiv 2512.15715, section on self-curation) reads a stream of web images and accepts each with a probability of
its reconstruction loss under an earlier model (`accept if rand <= loss`): what is easy to paint, such as text on white,
teaches little. Here there is no earlier model and no stream but a set that is seen many times, so the loss is that of
the run itself: a running mean per image, 1 (always accepted) until it was first seen. To propose images evenly and
accept by probability draws each in proportion to its probability, so one weighted draw does the same.

What a step draws must not depend on how far ahead threads work or where a run was interrupted. So the losses are frozen
at every `every`-th step, and a step draws by the last frozen ones that are sure to be known when its rows are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixio_edge.errors import InputError
from pixio_edge.training.pipeline import PREFETCH

# Rows of a step may be made as soon as the step this many before it is done, and its losses known.
LAG = PREFETCH + 1
# Of the newest loss of an image in its running mean: crops and masks of one image differ, and the model gets better.
NEWEST_SHARE = 0.3
# Least probability of an image, so that its loss is looked at again some time.
LEAST_CHANCE = 0.05

Gather = Callable[[Tensor], Tensor]


def acceptance(losses: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability with which each image is accepted: its loss, at least `LEAST_CHANCE` and at most 1.

    Args:
        losses: Running losses, NaN where an image was never seen, whose probability is 1.
    """
    chances: NDArray[np.float64] = np.clip(np.nan_to_num(losses.astype(np.float64), nan=1.0), LEAST_CHANCE, 1.0)
    return chances


@dataclass(frozen=True, slots=True)
class _Frozen:
    """The losses before a step, and what is drawn by them."""

    before: int
    losses: NDArray[np.float32]
    bounds: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", np.cumsum(acceptance(self.losses)))


class Curation(nn.Module):
    """Running loss of each image, and draws by it; no parameters, kept in the checkpoint of a run.

    Args:
        count: Number of images.
        every: Steps after which losses begin to count; None: all images are drawn evenly, always.
        gather: What all processes have of a tensor, along its first axis, the same in each.

    Raises:
        InputError: There are fewer steps than the input pipeline is ahead.
    """

    def __init__(self, count: int, every: int | None, *, gather: Gather = lambda tensor: tensor) -> None:
        super().__init__()
        if every is not None and every < LAG:
            raise InputError(
                f"curation: got {every} steps, expected at least {LAG}, as batches are made ahead. Fix: raise it"
            )
        self.count, self.every, self._gather = count, every, gather
        self._losses = np.full(count, np.nan, dtype=np.float32)
        # The last two: when the newest is frozen, rows that draw by the one before may still be in the making.
        self._frozen: tuple[_Frozen, ...] = ()
        # Not read before they count, since a processor waits for its GPU to read a value.
        self._pending: list[tuple[Tensor, Tensor]] = []

    def draw(self, step: int, rng: np.random.Generator) -> int:
        """Number of an image for a step; called from several threads."""
        before = 0 if self.every is None else (step - LAG) // self.every * self.every
        if before <= 0:
            return int(rng.integers(self.count))
        bounds = next(frozen.bounds for frozen in self._frozen if frozen.before == before)
        return int(min(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"), self.count - 1))

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """Note the losses of a step's images; all processes have to call this.

        Args:
            step: The step, never lower than in the call before.
            index: Numbers of this process's images, int64 (B,).
            losses: Their losses, (B,).
        """
        if self.every is None:
            return
        newest = step // self.every * self.every
        if newest > (self._frozen[-1].before if self._frozen else 0):
            self._frozen = (*self._frozen[-1:], _Frozen(newest, self.losses()))
        self._pending.append((self._gather(index), self._gather(losses.detach().float())))

    def losses(self) -> NDArray[np.float32]:
        """Running loss of each image so far, NaN where it was not seen; a copy."""
        for index, losses in self._pending:
            for image, loss in zip(index.tolist(), losses.tolist(), strict=True):
                old = self._losses[image]
                self._losses[image] = loss if np.isnan(old) else old + NEWEST_SHARE * (loss - old)
        self._pending = []
        return self._losses.copy()

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint keeps; on the CPU, wherever the model is, since drawing happens there."""
        return {
            "losses": torch.from_numpy(self.losses()),
            "frozen": [(frozen.before, torch.from_numpy(frozen.losses)) for frozen in self._frozen],
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_extra_state` gave.

        Raises:
            InputError: It is that of another number of images.
        """
        losses = state["losses"].cpu().numpy().copy()
        if len(losses) != self.count:
            raise InputError(
                f"pretraining: got {self.count} images, expected the {len(losses)} that the run was started with. "
                "Fix: use another run folder, or the same images"
            )
        self._losses, self._pending = losses, []
        self._frozen = tuple(_Frozen(before, frozen.cpu().numpy().copy()) for before, frozen in state["frozen"])
