"""A function of ours as the last pass over a MIL program, before coremltools writes it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pixio_edge.export.coreml.library import load_passes

if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE = "pixio_edge"
NAME = "transform"


def pipeline_with(ct: Any, transform: Callable[[Any], None] | None) -> Any:
    """The default pipeline, and then a function.

    Args:
        ct: `coremltools`.
        transform: Takes function "main" of the program and edits it; None for the default pipeline alone.
    """
    pipeline = ct.PassPipeline.DEFAULT
    if transform is not None:
        name = _register()
        # `append_pass` would add to the list that all default pipelines of the process share.
        pipeline.passes = [*pipeline.passes, name]
        pipeline.set_options(name, {"transform": transform})
    return pipeline


@cache
def _register() -> str:
    """Tell coremltools of a pass that calls what its option holds; gives its name."""
    base, registry = load_passes()

    class Transform(base):  # type: ignore[misc, valid-type]
        transform: Any = None

        def apply(self, prog: Any) -> None:
            self.transform(prog.functions["main"])

    registry.add(NAMESPACE, Transform, False, NAME)
    return f"{NAMESPACE}::{NAME}"
