"""A model in training: weights, their average, optimisers, and the step that moves them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from pixio_edge.models.checkpoints import load_checkpoint
from pixio_edge.models.presets import build_model
from pixio_edge.training.losses import depth_loss, invariant_loss
from pixio_edge.training.optimizer import average_decay, build_optimizers, learning_rate, update_average
from pixio_edge.training.train_config import TrainConfig

GRADIENT_CLIP = 1.0


class Student:
    """A freshly initialised model with all that its training keeps from step to step.

    Args:
        config: Values of the run; the weights are drawn from its seed.

    Raises:
        InputError: There is no such preset, or the encoder's checkpoint is not one of it.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.device = torch.device(config.device)
        torch.manual_seed(config.seed)
        self.model = build_model(config.preset)
        if config.encoder_from is not None:
            source = load_checkpoint(config.encoder_from, self.model.config)
            self.model.encoder.load_state_dict(source.encoder.state_dict())
        # Channels last is what convolutions are fastest in. (The stubs of torch lack the argument.)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).eval()
        self.optimizers = build_optimizers(self.model, rate=config.rate, weight_decay=config.weight_decay)
        self.step = 0

    def train_step(self, image: Tensor, target: Tensor) -> tuple[float, dict[str, float]]:
        """Move the weights by one batch.

        Args:
            image: (B, 3, H, W), ImageNet-normalised, on any device.
            target: Inverse depth in 1/m (B, H, W), 0 for sky.

        Returns:
            The loss, and its terms.
        """
        config = self.config
        rate = learning_rate(self.step, steps=config.steps, warmup=config.warmup, peak=config.rate)
        self.model.train()
        loss, terms = depth_loss(
            self._predict(self.model, image), target.to(self.device), gradient_weight=config.gradient_weight
        )
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_CLIP)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        update_average(self.average, self.model, average_decay(self.step, config.average))
        self.step += 1
        return float(loss.detach()), terms

    @torch.inference_mode()
    def measure(self, image: Tensor, target: Tensor) -> float:
        """Invariant loss of the averaged weights; arguments as for `train_step`."""
        prediction = self._predict(self.average, image)
        loss, _ = invariant_loss(prediction, target.to(self.device), gradient_weight=self.config.gradient_weight)
        return float(loss)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later `load_state_dict` needs to go on exactly here; tensors are shared, not copied."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]

    def _predict(self, model: torch.nn.Module, image: Tensor) -> Tensor:
        laid_out = image.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            prediction: Tensor = model(laid_out)
        return prediction
