"""The names under which checkpoints keep a depth head's weights, turned into those of `DPTHead`.

Pixio's evaluation writes `head.scratch.refinenet1…`, Depth Anything V2 `depth_head.scratch.refinenet1…`, both with the
finest level as 1; transformers writes `neck.fusion_stage.layers.0…` with the coarsest as 0, and `head.conv1…`. Ours are
`head.fusions.0…`, the finest first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from pixio_edge.models.encoder_spellings import rename_all

# What names of heads begin with, in any spelling.
HEAD_PREFIXES = ("head.", "depth_head.", "neck.")

# The coarsest fusion has no path to add to; its first residual unit has weights in every checkpoint and is never run.
_UNUSED = re.compile(r"scratch\.refinenet4\.resConfUnit1\..+|neck\.fusion_stage\.layers\.0\.residual_layer1\..+")

_COARSEST = 3

_ORIGINAL = (
    (re.compile(r"projects\.(\d)\.(.+)"), r"token_levels.\1.project.\2"),
    (re.compile(r"resize_layers\.(\d)\.(.+)"), r"token_levels.\1.resize.\2"),
    (re.compile(r"scratch\.output_conv(?:\.0|1)\.(.+)"), r"output_conv1.\1"),
    (re.compile(r"scratch\.output_conv2\.0\.(.+)"), r"output_conv2.\1"),
    (re.compile(r"scratch\.output_conv(?:\.2|2\.2)\.(.+)"), r"output_conv3.\1"),
)
_LEVEL_CONV = re.compile(r"scratch\.layer([1-4])_rn\.(.+)")
_FUSION = re.compile(r"scratch\.refinenet([1-4])\.(out_conv|resConfUnit1|resConfUnit2)\.(.+)")

_TRANSFORMERS = (
    (re.compile(r"neck\.reassemble_stage\.layers\.(\d)\.projection\.(.+)"), r"token_levels.\1.project.\2"),
    (re.compile(r"neck\.reassemble_stage\.layers\.(\d)\.resize\.(.+)"), r"token_levels.\1.resize.\2"),
    (re.compile(r"neck\.convs\.(\d)\.(.+)"), r"level_convs.\1.\2"),
    (re.compile(r"head\.conv([123])\.(.+)"), r"output_conv\1.\2"),
)
_FUSION_TRANSFORMERS = re.compile(
    r"neck\.fusion_stage\.layers\.([0-3])\.(projection|residual_layer1|residual_layer2)\.(.+)"
)
_PARTS = {
    "out_conv": "out_conv",
    "projection": "out_conv",
    "resConfUnit1": "level_unit",
    "residual_layer1": "level_unit",
    "resConfUnit2": "path_unit",
    "residual_layer2": "path_unit",
}


def rename_head(tensors: Mapping[str, Tensor], *, source: str) -> dict[str, Tensor]:
    """A head's tensors by the names of `DepthModel`; names that no spelling has are kept.

    Args:
        tensors: By the names in the file, without what stands before a whole model.
        source: Where they come from, for messages.

    Raises:
        InputError: Two tensors have the same meaning.
    """
    if any(name.startswith("neck.") for name in tensors):
        used = {name: value for name, value in tensors.items() if not _UNUSED.fullmatch(name)}
        return rename_all(used, _from_transformers, source=source)
    for prefix in ("depth_head.", "head."):
        if any(name.startswith(f"{prefix}scratch.") for name in tensors):
            plain = {name.removeprefix(prefix): value for name, value in tensors.items()}
            used = {name: value for name, value in plain.items() if not _UNUSED.fullmatch(name)}
            return rename_all(used, _from_original, source=source)
    return dict(tensors)


def _from_original(name: str) -> str:
    if level := _LEVEL_CONV.fullmatch(name):
        return f"head.level_convs.{int(level[1]) - 1}.{level[2]}"
    if fusion := _FUSION.fullmatch(name):
        return f"head.fusions.{int(fusion[1]) - 1}.{_PARTS[fusion[2]]}.{fusion[3]}"
    return _by_table(name, _ORIGINAL)


def _from_transformers(name: str) -> str:
    if fusion := _FUSION_TRANSFORMERS.fullmatch(name):
        parameter = fusion[3].replace("convolution", "conv")
        return f"head.fusions.{_COARSEST - int(fusion[1])}.{_PARTS[fusion[2]]}.{parameter}"
    return _by_table(name, _TRANSFORMERS)


def _by_table(name: str, table: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, template in table:
        if match := pattern.fullmatch(name):
            return f"head.{match.expand(template)}"
    return name
