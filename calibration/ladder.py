"""The float graphs of a bundle, from which everything in this package is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import onnx

from pixio_edge.errors import BundleError
from pixio_edge.sizes import Size

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry

CACHE_BYTES = 1 << 30
"""Graphs stay in memory as long as they fit in this together; larger ones are read again each time."""


def float_artifacts(bundle: Bundle) -> tuple[ArtifactEntry, ...]:
    """The fp32 ONNX artifacts of a bundle, one for each size.

    Raises:
        BundleError: It has none.
    """
    found = tuple(a for a in bundle.artifacts if a.kind == "onnx" and a.precision == "fp32")
    if not found:
        raise BundleError(
            f"{bundle.folder}: has no fp32 ONNX artifact, expected one for each size to quantise. "
            "Fix: export it again with 'pixio-edge export', which keeps fp32"
        )
    return found


class FloatLadder(Mapping[Size, onnx.ModelProto]):
    """Float graph of each size, weights in memory, read and checked when first asked for.

    Treat the graphs as constant: they are shared.

    Args:
        bundle: Where they are.

    Raises:
        BundleError: It has no fp32 ONNX artifact.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.artifacts = {artifact.size: artifact for artifact in float_artifacts(bundle)}
        self._cache: dict[Size, onnx.ModelProto] = {}

    def __getitem__(self, size: Size) -> onnx.ModelProto:
        """Graph of a size.

        Raises:
            BundleError: Its files are damaged.
        """
        if size in self._cache:
            return self._cache[size]
        graph = onnx.load(self._bundle.read_artifact(self.artifacts[size]).path)
        if graph.ByteSize() * (len(self._cache) + 1) <= CACHE_BYTES:
            self._cache[size] = graph
        return graph

    def __iter__(self) -> Iterator[Size]:
        return iter(self.artifacts)

    def __len__(self) -> int:
        return len(self.artifacts)
