"""A torch module to a Core ML program: `torch.export` first, tracing where that fails, and it says which."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.base import INPUT_NAME, OUTPUT_NAME
from pixio_edge.export.coreml.islands import is_half
from pixio_edge.export.coreml.library import load_coremltools, quiet
from pixio_edge.export.coreml.passes import pipeline_with
from pixio_edge.export.coreml.planar import CHANNELS
from pixio_edge.sizes import size_label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pixio_edge.export.coreml.options import Target
    from pixio_edge.export.coreml.planar import PlanarModel
    from pixio_edge.sizes import Size

logger = logging.getLogger(__name__)

Compute = Literal["fp16", "fp16-islands", "fp32"]
Frontend = Literal["torch.export", "torch.jit.trace"]
ENUMERATED_FRONTENDS: tuple[Frontend, ...] = ("torch.jit.trace",)

# What the converter raises for graphs that it does not understand; anything else is a defect and is passed on.
CONVERSION_ERRORS = (NotImplementedError, ValueError, RuntimeError, TypeError, KeyError, AssertionError)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted model.

    Attributes:
        model: `coremltools.models.MLModel`, not loaded: it can be saved and changed, not run.
        frontend: What read the torch module.
        fallback: Why it was not torch.export; None if it was.
    """

    model: Any
    frontend: Frontend
    fallback: str | None = None


def convert(
    model: PlanarModel,
    sizes: Sequence[Size],
    *,
    compute: Compute = "fp16",
    target: Target = "iOS16",
    frontends: Sequence[Frontend] = ("torch.export", "torch.jit.trace"),
    transform: Callable[[Any], None] | None = None,
) -> Conversion:
    """Convert a module to an ML program with an RGB image input and one output.

    Args:
        model: What to convert, in eval mode.
        sizes: Height and width of the image; several are enumerated, the first is the default, and the module has to
            take all of them.
        compute: Precision of its arithmetic; the output is float32 as an array, half precision as an image.
        target: Oldest system that it runs on.
        frontends: What to read the module with, in order of preference. Enumerated sizes are traced: torch.export would
            want one range of sizes for each side instead of a list of pairs.
        transform: Edits function "main" of the MIL program when all of coremltools' passes are through.

    Raises:
        CheckFailedError: No frontend could convert it.
        MissingDependencyError: coremltools is not installed.
    """
    settings = _Settings(tuple(sizes), compute, target, transform)
    problems: list[str] = []
    for frontend in frontends if len(sizes) == 1 else ENUMERATED_FRONTENDS:
        try:
            program = READERS[frontend](model, sizes[0])
            converted = _convert(program, model, settings)
        except CONVERSION_ERRORS as error:
            problems.append(f"{frontend}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            logger.warning("Core ML conversion with %s", problems[-1])
            continue
        return Conversion(converted, frontend, "; ".join(problems) or None)
    raise CheckFailedError(
        f"Core ML conversion at {size_label(sizes[0])}: {'; '.join(problems)}. "
        "Fix: another --variant or --target; if all fail, please report the model"
    )


@dataclass(frozen=True, slots=True)
class _Settings:
    sizes: tuple[Size, ...]
    compute: Compute
    target: Target
    transform: Callable[[Any], None] | None


def _convert(program: Any, model: PlanarModel, settings: _Settings) -> Any:
    ct = load_coremltools()
    if model.is_image:
        output = ct.ImageType(name=OUTPUT_NAME, color_layout=ct.colorlayout.GRAYSCALE_FLOAT16)
    else:
        output = ct.TensorType(name=OUTPUT_NAME, dtype=np.float32)
    shapes = [(1, CHANNELS, *size) for size in settings.sizes]
    image = ct.ImageType(
        name=INPUT_NAME,
        shape=shapes[0] if len(shapes) == 1 else ct.EnumeratedShapes(shapes=shapes, default=shapes[0]),
        scale=1.0,
        bias=list(model.bias),
        color_layout=ct.colorlayout.RGB,
    )
    with quiet():
        return ct.convert(
            program,
            inputs=[image],
            outputs=[output],
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, settings.target),
            compute_precision=_compute_precision(ct, settings.compute),
            pass_pipeline=pipeline_with(ct, settings.transform),
            skip_model_load=True,
        )


def _compute_precision(ct: Any, compute: Compute) -> Any:
    if compute == "fp16-islands":
        return ct.transform.FP16ComputePrecision(op_selector=is_half)
    return ct.precision.FLOAT16 if compute == "fp16" else ct.precision.FLOAT32


def _export(model: PlanarModel, size: Size) -> Any:
    """Through torch.export. Decomposed at once: since torch 2.9 it gives the training dialect, which coremltools lacks.

    coremltools pull request 2743 does that inside; can be deleted when it is released.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, (_example(size),), strict=False).run_decompositions({})


def _trace(model: PlanarModel, size: Size) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, _example(size))  # type: ignore[no-untyped-call]


def _example(size: Size) -> torch.Tensor:
    return torch.zeros(1, CHANNELS, *size)


READERS: dict[Frontend, Callable[[PlanarModel, Size], Any]] = {"torch.export": _export, "torch.jit.trace": _trace}
