"""What TensorRT refuses in a graph, found before any build and without TensorRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixio_edge.errors import CheckFailedError
from pixio_edge.export.trt.recipe import OLDEST_TENSORRT

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of a rule.

    Attributes:
        node: Name of the node, or of the value or part of the graph that it is about.
        rule: Short name of the rule.
        message: What was found and what is expected.
        fix: What to do about it.
    """

    node: str
    rule: str
    message: str
    fix: str


def lint(model: onnx.ModelProto, tensorrt: str = OLDEST_TENSORRT) -> tuple[Finding, ...]:
    """Find what a version of TensorRT refuses.

    Args:
        model: The graph; its weights may be external.
        tensorrt: Oldest version that has to build it, such as "10.3".
    """
    return ()


def require_buildable(model: onnx.ModelProto, tensorrt: str = OLDEST_TENSORRT) -> None:
    """Refuse a graph that a version of TensorRT would refuse.

    Raises:
        CheckFailedError: There are findings; the message names the first and how many there are.
    """
    findings = lint(model, tensorrt)
    if findings:
        first = findings[0]
        raise CheckFailedError(
            f"node {first.node}: {first.message} ({len(findings)} findings for TensorRT {tensorrt}). Fix: {first.fix}"
        )
