"""Encoder plus head: the model that is trained and exported."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from pixio_edge.models.dpt import DPTHead, HeadConfig
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder

# ImageNet statistics of RGB in [0, 1]; the models take images normalised with them (folded into the exported graph).
# Also those of Pixio and Depth Anything V2; the defaults of transformers' BitImageProcessor are CLIP's, wrong for both.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class DepthConfig:
    """Shape of a whole model."""

    encoder: EncoderConfig
    head: HeadConfig


class DepthModel(nn.Module):
    """Monocular depth: normalised image to relative inverse depth (larger is nearer, up to scale and shift) or metres.

    It is metres where the head's shape has a `max_depth`.

    Args:
        config: Shape of encoder and head.
    """

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.config = config
        stem = config.encoder.stem
        self.encoder = PixioEncoder(config.encoder)
        self.head = DPTHead(
            config.head,
            embed_dim=config.encoder.embed_dim,
            stem_channels=(stem.channels[1], stem.channels[2]) if stem else None,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, H, W), RGB in [0, 1] minus mean over std, to depth (B, H, W)."""
        features = self.encoder.forward_intermediates(image, self.config.head.indices)
        depth: Tensor = self.head(features, (image.shape[-2], image.shape[-1]))
        return depth
