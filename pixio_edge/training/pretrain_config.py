"""The values of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pixio_edge.errors import InputError
from pixio_edge.training.run_config import RunConfig

# Steps from one look at the losses of images to the next.
CURATE_EVERY = 100
# All crops at the size at which Pixio was pretrained.
STAGES = ((1.0, 256 * 256),)


@dataclass(frozen=True, slots=True)
class PretrainConfig(RunConfig):
    """A pretraining run; see `RunConfig` for what all runs have. Its `images` are crops, square at every stage.

    Attributes:
        preset: Depth model whose encoder is pretrained.
        photos: Plain images, as `photos.open_photos` takes them; of each the last tenth is held back.
        pool: Folder of rendered scenes, whose colours are images too.
        curate_every: Steps after which images are drawn by their newest losses; None: all are drawn evenly.
        decoder_width: Width of the decoder; None: half of the encoder's.
        decoder_depth: Blocks of the decoder; None: as many as the encoder's.
        stages: As in `RunConfig`; all at 256x256 unless given.

    Raises:
        InputError: As for `RunConfig`, or there are no images.
    """

    LATER: ClassVar[frozenset[str]] = frozenset()

    preset: str
    photos: tuple[str, ...] = ()
    pool: Path | None = None
    curate_every: int | None = CURATE_EVERY
    decoder_width: int | None = None
    decoder_depth: int | None = None
    stages: tuple[tuple[float, int], ...] = field(default=STAGES, kw_only=True)

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        if not self.photos and self.pool is None:
            raise InputError("pretraining: got no images, expected photos or a pool of scenes. Fix: name one")
