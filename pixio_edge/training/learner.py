"""An objective in training: weights, their average, optimisers, and the step that moves them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Generic

import torch
from torch import Tensor, nn

from pixio_edge.training.objective import Batch, Objective
from pixio_edge.training.optimizer import (
    RATE_SHARE,
    average_decay,
    build_optimizers,
    learning_rate,
    update_average,
)
from pixio_edge.training.processes import Processes
from pixio_edge.training.run_config import RunConfig

GRADIENT_CLIP = 1.0
# Steps in the seed of torch's generator, so that runs with neighbouring seeds do not share any.
SEED_STRIDE = 1 << 32


class Learner(Generic[Batch]):
    """An objective with all that its training keeps from step to step.

    Args:
        objective: Freshly made on the CPU; taken over.
        config: Values of the run.
        processes: Those that train it together.
    """

    def __init__(self, objective: Objective[Batch], config: RunConfig, processes: Processes) -> None:
        self.config, self.processes, self.objective = config, processes, objective
        self._frozen = _freeze(objective) if config.freeze_encoder else None
        # Channels last is what convolutions are fastest in. (The stubs of torch lack the argument.)
        objective.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(objective.model).eval()
        self.optimizers = build_optimizers(
            objective,
            objective.encoder,
            rate=config.rate,
            weight_decay=config.weight_decay,
            muon=config.optimizer == "muon",
            layer_decay=config.layer_decay,
        )
        self._shares = [[group[RATE_SHARE] for group in each.param_groups] for each in self.optimizers]
        if config.compiled:
            objective.model.compile()
        self._wrapped: nn.Module = objective
        self.step = 0

    def join(self) -> None:
        """Exchange gradients with the other processes from now on; all of them have to call this."""
        self._wrapped = self.processes.wrap(self.objective, has_unused=self.objective.has_unused)

    def train_step(self, parts: Sequence[Batch]) -> tuple[Tensor, dict[str, Tensor]]:
        """Move the weights by one batch.

        Args:
            parts: This process's rows of the batch, in parts of equal length whose gradients are added up.

        Returns:
            The loss, and its terms, of the rows of this process: means over the parts, on the device.
        """
        config = self.config
        torch.manual_seed((config.seed * SEED_STRIDE + self.step) * self.processes.count + self.processes.rank)
        self.objective.train()
        if self._frozen is not None:
            self._frozen.eval()  # its BatchNorms would go on learning statistics
        losses = [self._backward(part, last=part is parts[-1], share=1 / len(parts)) for part in parts]
        torch.nn.utils.clip_grad_norm_(self.objective.parameters(), GRADIENT_CLIP)
        rate = learning_rate(self.step, steps=config.steps, warmup=config.warmup, peak=config.rate)
        for optimizer, shares in zip(self.optimizers, self._shares, strict=True):
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                group["lr"] = rate * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        update_average(self.average, self.objective.model, average_decay(self.step, config.average))
        self.step += 1
        terms = {name: sum(each[1][name] for each in losses) / len(losses) for name in losses[0][1]}
        return torch.stack([loss for loss, _ in losses]).mean(), terms  # type: ignore[return-value]

    def _backward(self, part: Batch, *, last: bool, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Add the gradients of a part; those of all processes are exchanged with the last."""
        with nullcontext() if last else self.processes.unsynchronised(self._wrapped):
            loss, terms = self._wrapped(part.to(self.processes.device))
            (loss * share).backward()
        return loss.detach(), terms

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later `load_state_dict` needs to go on exactly here; tensors are shared, not copied."""
        own = "model."
        return {
            "model": self.objective.model.state_dict(),
            "beside": {key: value for key, value in self.objective.state_dict().items() if not key.startswith(own)},
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        model = {f"model.{key}": value for key, value in state["model"].items()}
        self.objective.load_state_dict(model | state.get("beside", {}))
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]


def _freeze(objective: Objective[Any]) -> nn.Module:
    encoder = objective.encoder
    if encoder is None:
        raise TypeError(f"{type(objective).__name__} has no encoder to freeze")
    return encoder.requires_grad_(False)
