"""Names, shapes and dtypes of graph inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One graph input or output; shapes are static, as every artifact is built for one size."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 - read by pydantic when a manifest is parsed

    def check(self, array: NDArray[np.generic]) -> None:
        """Compare an array with this specification.

        Raises:
            SpecError: The shape or dtype differs.
        """
        if tuple(array.shape) != self.shape or array.dtype.name != self.dtype:
            raise SpecError(
                f"tensor '{self.name}': got {array.dtype.name} {tuple(array.shape)}, expected {self.dtype} "
                f"{self.shape}. Fix: prepare images with ImageSpec.prepare(image, size) of this bundle"
            )
