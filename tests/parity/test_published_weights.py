"""The real Pixio-H, where somebody has it: the values that transformers publishes for it.

The weights are gated and noncommercial, so no test host has them by itself. PIXIO_EDGE_GOLDEN_FOLDER names a folder
with `pixio_vith16.pth` or transformers' `model.safetensors`, and `000000039769.jpg` of COCO's validation images 2017.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pixio_edge.models.checkpoints import load_encoder
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.models.presets import ENCODERS

FOLDER = os.environ.get("PIXIO_EDGE_GOLDEN_FOLDER", "")
PICTURE = "000000039769.jpg"
WEIGHTS = ("pixio_vith16.pth", "model.safetensors", "model.safetensors.index.json")

# From the slow test of PixioModel in transformers: three patch tokens, their first three channels; its tolerance.
EXPECTED = ((0.7420, -1.4220, 0.1580), (0.3938, -1.4386, 0.2878), (0.2898, -1.4012, 0.3667))
TOLERANCE = 1e-4


@pytest.mark.skipif(not FOLDER, reason=f"PIXIO_EDGE_GOLDEN_FOLDER names no folder with Pixio-H and {PICTURE}")
@torch.inference_mode()
def test_tokens_of_pixio_h_are_the_published_ones() -> None:
    image_module = pytest.importorskip("PIL.Image")
    found = [Path(FOLDER) / name for name in WEIGHTS if (Path(FOLDER) / name).is_file()]
    assert found, f"{FOLDER} has none of {WEIGHTS}"
    # Squashed to 256x256 with bicubic sampling, not cropped: the defaults of transformers' processor would be wrong.
    picture = image_module.open(Path(FOLDER) / PICTURE).convert("RGB").resize((256, 256), image_module.BICUBIC)
    pixels = (np.asarray(picture, np.float32) / 255 - np.array(IMAGE_MEAN, np.float32)) / np.array(
        IMAGE_STD, np.float32
    )
    encoder = load_encoder(found[0], ENCODERS["pixio-vith16"])

    tokens = encoder(torch.from_numpy(pixels).permute(2, 0, 1)[None])

    assert tokens.shape == (1, 264, 1280)
    torch.testing.assert_close(tokens[0, 8:11, :3], torch.tensor(EXPECTED), atol=TOLERANCE, rtol=TOLERANCE)
