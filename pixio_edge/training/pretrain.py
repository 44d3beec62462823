"""Pretraining of a student's encoder on plain images: Pixio's objective in small.

Yang et al., "In Pursuit of Pixel Supervision for Visual Pre-training" (arXiv 2512.15715): a masked autoencoder (He et
al. 2022) that hides 75 % of an image in blocks of 4x4 patches (`masking`), with 8 class tokens and a deep narrow
decoder (`mae_decoder`), on images that are drawn by how hard they are (`curation`). What is kept is the encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixio_edge.image import write_image
from pixio_edge.models.checkpoints import save_encoder
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD, DepthConfig
from pixio_edge.models.pixio import PixioEncoder
from pixio_edge.models.presets import find_preset
from pixio_edge.training.curation import Curation
from pixio_edge.training.loop import Progress, fit
from pixio_edge.training.mae_decoder import (
    DecoderConfig,
    MaskedAutoencoder,
    cut_patches,
    hidden_of,
    join_patches,
    patch_statistics,
    reconstruction_losses,
)
from pixio_edge.training.masking import BlockGrid, block_grid
from pixio_edge.training.objective import Objective
from pixio_edge.training.pipeline import make_batches
from pixio_edge.training.pretrain_config import PretrainConfig
from pixio_edge.training.pretrain_data import (
    ImageSet,
    ImageSource,
    PhotoImages,
    PoolImages,
    PretrainBatch,
    PretrainRows,
    hold_back_images,
)
from pixio_edge.training.processes import Processes
from pixio_edge.training.supervised import HELD_BACK_BATCHES, HELD_BACK_SEED

PICTURE = "reconstructions.png"
# Of the picture; each takes a row.
PICTURE_IMAGES = 8
# RGB of what is hidden in the picture.
HIDDEN_GREY = 128


class PretrainObjective(Objective[PretrainBatch]):
    """Pixels of hidden patches, from those of visible ones.

    Args:
        config: Values of the run; the weights are drawn from its seed.
        curation: Is told the loss of each image.
        held_back: What the averaged model is measured on; empty where it is not asked for.

    Raises:
        InputError: There is no such preset, or the decoder has no such shape.
    """

    def __init__(self, config: PretrainConfig, curation: Curation, held_back: tuple[PretrainBatch, ...] = ()) -> None:
        super().__init__()
        self.config, self.curation = config, curation
        self.shape: DepthConfig = find_preset(config.preset)
        self.model: MaskedAutoencoder = build_autoencoder(config)
        self._held_back = held_back

    def forward(self, batch: PretrainBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean of `reconstruction_losses` over the images, which curation is told of."""
        losses, _ = self._reconstruct(self.model, batch)
        self.curation.observe(batch.step, batch.index, losses)
        return losses.mean(), {}

    @torch.inference_mode()
    def measure(self, average: nn.Module) -> dict[str, float]:
        """Loss on held-back images, and that of a model that paints every patch in its mean colour."""
        device = next(average.parameters()).device
        measured = []
        for batch in (each.to(device) for each in self._held_back):
            losses, painted = self._reconstruct(average, batch)
            blank = reconstruction_losses(torch.zeros_like(painted), batch.image, self._hidden(batch))
            measured.append((float(losses.mean()), float(blank.mean())))
        held_back, prior = (float(np.mean(values)) for values in zip(*measured, strict=True))
        return {"held_back": held_back, "constant_prior": prior}

    def save(self, path: Path, average: nn.Module) -> None:
        """Write the averaged encoder, and beside it a picture of what the averaged model paints."""
        if not isinstance(average, MaskedAutoencoder):
            raise TypeError(f"got {type(average).__name__}, expected MaskedAutoencoder")
        save_encoder(path, average.encoder, self.shape)
        write_image(path.with_name(PICTURE), self.picture(average))

    @torch.inference_mode()
    def picture(self, average: nn.Module) -> NDArray[np.uint8]:
        """Held-back crops, what is seen of them, and what is painted, side by side, RGB (rows, columns, 3).

        As in MAE's figures a painted patch has the mean and deviation of the true one, which the model is not asked
        for, and what is seen is shown as it is.
        """
        first = self._held_back[0].to(next(average.parameters()).device)
        batch = PretrainBatch(first.step, *(part[:PICTURE_IMAGES] for part in (first.index, first.image, first.blocks)))
        _, painted = self._reconstruct(average, batch)
        patch = self.shape.encoder.patch_size
        true = cut_patches(batch.image, patch)
        mean, deviation = patch_statistics(true)
        hidden = self._hidden(batch)[..., None]
        grid = self._grid(batch).patches
        restored = join_patches(torch.where(hidden, painted.float() * deviation + mean, true), grid, patch)
        mask = join_patches(hidden.expand_as(true), grid, patch)
        original, result = _to_rgb(batch.image), _to_rgb(restored)
        seen = np.where(mask.permute(0, 2, 3, 1).cpu().numpy(), np.uint8(HIDDEN_GREY), original)
        rows = np.concatenate([original, seen, result], axis=2)
        return np.ascontiguousarray(np.concatenate(list(rows), axis=0))

    def _reconstruct(self, model: nn.Module, batch: PretrainBatch) -> tuple[Tensor, Tensor]:
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self.config.bf16):
            painted: Tensor = model(batch.image, batch.blocks, self._grid(batch))
        return reconstruction_losses(painted, batch.image, self._hidden(batch)), painted

    def _hidden(self, batch: PretrainBatch) -> Tensor:
        return hidden_of(batch.blocks, self._grid(batch))

    def _grid(self, batch: PretrainBatch) -> BlockGrid:
        patch = self.shape.encoder.patch_size
        return block_grid(batch.image.shape[-2] // patch, batch.image.shape[-1] // patch)


def build_autoencoder(config: PretrainConfig) -> MaskedAutoencoder:
    """A fresh encoder of the run's preset and seed, with its decoder.

    Raises:
        InputError: There is no such preset, or the decoder has no such shape.
    """
    encoder = find_preset(config.preset).encoder
    usual = DecoderConfig.beside(encoder)
    width, depth = config.decoder_width, config.decoder_depth
    decoder = DecoderConfig(
        width=usual.width if width is None else width, depth=usual.depth if depth is None else depth
    )
    torch.manual_seed(config.seed)
    return MaskedAutoencoder(PixioEncoder(encoder), decoder)


def open_images(config: PretrainConfig) -> tuple[ImageSet, ImageSet]:
    """What a run trains on and what it is measured on.

    Raises:
        InputError: Photos are missing or too few, or a pool has no finished shard.
    """
    sources: list[ImageSource] = [PhotoImages(source) for source in config.photos]
    if config.pool is not None:
        sources.append(PoolImages(config.pool))
    return hold_back_images(sources)


def held_back_batches(config: PretrainConfig, images: ImageSet) -> tuple[PretrainBatch, ...]:
    """What a run is measured on: the same crops and masks in every run, in the size of its last stage."""
    pixels, patch = config.stages[-1][1], find_preset(config.preset).encoder.patch_size
    even = Curation(len(images), every=None)
    rows = PretrainRows(images, even, pixels_of=lambda _: pixels, seed=HELD_BACK_SEED, patch=patch)
    return tuple(make_batches(rows, config.batch, steps=range(HELD_BACK_BATCHES)))


def pretrain(
    config: PretrainConfig,
    folder: Path,
    *,
    processes: Processes | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PixioEncoder:
    """Pretrain, or go on with, the run in `folder`; see `loop.fit`.

    Args:
        config: The run; a resumed run must have the same values, those in `RunConfig.PASSING` apart.
        folder: Run folder, created if missing.
        processes: Those that train together; None: this one, or those that a launcher has started.
        on_step: Called after every step, in the main process.
        should_stop: Asked after every step; the run is saved and ends early when it says yes.

    Returns:
        The averaged encoder, as far as it has come.

    Raises:
        CheckFailedError: Weights are not finite any more.
        InputError: The folder holds another run or is damaged, or images are missing or damaged.
        OutputError: The folder cannot be written.
        PeerFailedError: Another process failed.
    """
    processes = processes or Processes(config.device)
    gather = processes.gather

    def prepare() -> tuple[PretrainRows, PretrainObjective]:
        trained, measured = open_images(config)
        curation = Curation(len(trained), config.curate_every, gather=gather)
        # Only the main process measures.
        held_back = held_back_batches(config, measured) if processes.is_main else ()
        objective = PretrainObjective(config, curation, held_back)
        patch = objective.shape.encoder.patch_size
        rows = PretrainRows(trained, curation, pixels_of=config.pixels_of, seed=config.seed, patch=patch)
        return rows, objective

    rows, objective = processes.together(prepare)
    average = fit(config, folder, objective, rows, processes=processes, on_step=on_step, should_stop=should_stop)
    if not isinstance(average, MaskedAutoencoder):
        raise TypeError(f"got {type(average).__name__}, expected MaskedAutoencoder")
    return average.encoder


def _to_rgb(image: Tensor) -> NDArray[np.uint8]:
    """The models' input (B, 3, H, W) as RGB (B, H, W, 3)."""
    mean, std = np.array(IMAGE_MEAN, np.float32), np.array(IMAGE_STD, np.float32)
    colour = image.permute(0, 2, 3, 1).float().cpu().numpy() * std + mean
    return np.asarray(np.round(np.clip(colour, 0.0, 1.0) * 255), dtype=np.uint8)
