"""What an engine is made of: its layers, the types they compute in, and the graph nodes that they took in.

With a GPU the engine inspector gives this as JSON. An engine that was built ahead of time cannot be opened on a host
without a GPU, but the builder logs the same list as text when its profiling verbosity is "detailed".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# As the library spells them: data types of Myelin (TensorRT 10 and later, and TensorRT for RTX), and the formats of
# older layers, such as "Channel major FP16 format where C % 8 == 0".
TYPES = {
    "Float": "fp32",
    "FP32": "fp32",
    "Half": "fp16",
    "FP16": "fp16",
    "BFloat16": "bf16",
    "BF16": "bf16",
    "Int8": "int8",
    "INT8": "int8",
    "UInt8": "uint8",
    "UINT8": "uint8",
}
FUSED_ATTENTION = "mha"
"""In the names that the library gives to kernels that hold a whole softmax(QK)V."""

# What multiplies, by kind: "gemm", "correlation" (a convolution), "CaskConvolution", "MatrixMultiply", …; and by the
# names of generated and fused kernels, which are put together from what they do: "__myl_FcAddRelu_…", "_gemm_mha_v2_…".
_PRODUCT_KIND = re.compile(r"gemm|correlation|convolution|matrixmultiply|fullyconnected|mha", re.I)
_PRODUCT_NAME = re.compile(r"^_.*(?:Fc|Corr|Conv(?!ert)|Gemm|MatMul|gemm|mha)")

_LAYERS = "Layers:"
_LAYER = re.compile(r"(?:^|\s)Name: ([^,{}\[\]]*), LayerType: (\w+), (.*?)(?=\sName: [^,{}\[\]]*, LayerType: |$)", re.S)
_END_OF_LAYERS = re.compile(r"\s+(?:I/O Tensors|Bindings|Engine Metadata):")
_PART = re.compile(r"(Inputs|Constants|Outputs): \[(.*?)\](?=, (?:Constants|Outputs|TacticName)|$)", re.S)
_TYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class EngineLayer:
    """One step of an engine.

    Args:
        name: As the library names it.
        kind: As the library names it: "gemm", "correlation" (a convolution), "kgen" (a generated kernel), ….
        inputs: Types of what it reads, without constants, in our spelling ("fp16") where it is known.
        outputs: Types of what it writes.
        nodes: Names of the graph nodes that it took in.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def precision(self) -> str:
        """Type of the first thing it reads: what a matrix product or convolution multiplies."""
        return self.inputs[0] if self.inputs else "none"

    @property
    def is_product(self) -> bool:
        """Whether it is a matrix product or convolution, alone or with what was fused to it."""
        return bool(self.inputs and (_PRODUCT_KIND.search(self.kind) or _PRODUCT_NAME.search(self.name)))

    @property
    def is_attention(self) -> bool:
        """Whether it is a whole softmax(QK)V in one kernel."""
        return FUSED_ATTENTION in self.name


def layers_of_log(messages: Iterable[str]) -> tuple[EngineLayer, ...]:
    """Layers of the last engine in a detailed log; empty if it has none.

    Args:
        messages: Of the builder, each on one line.
    """
    lists = [text for text in messages if text.lstrip().startswith(_LAYERS)]
    if not lists:
        return ()
    text = _END_OF_LAYERS.split(lists[-1].lstrip()[len(_LAYERS) :], maxsplit=1)[0]
    return tuple(_layer_of_text(name, kind, rest) for name, kind, rest in _LAYER.findall(text))


def layers_of_json(text: str) -> tuple[EngineLayer, ...]:
    """Layers in what `EngineInspector.get_engine_information` gives as JSON.

    At a profiling verbosity below "detailed" the library gives names alone; such layers have no types.
    """
    layers = json.loads(text).get("Layers", [])
    return tuple(_layer_of_json(layer) for layer in layers)


def count_precisions(layers: Iterable[EngineLayer]) -> dict[str, int]:
    """How many layers multiply in which type, most frequent first."""
    return dict(Counter(layer.precision for layer in layers if layer.is_product).most_common())


def _layer_of_text(name: str, kind: str, rest: str) -> EngineLayer:
    parts: dict[str, tuple[str, ...]] = {
        part: tuple(_spelling(found) for found in _TYPE.findall(content)) for part, content in _PART.findall(rest)
    }
    nodes = tuple(dict.fromkeys(_NODE.findall(rest)))
    return EngineLayer(name, kind, parts.get("Inputs", ()), parts.get("Outputs", ()), nodes)


def _layer_of_json(layer: str | Mapping[str, Any]) -> EngineLayer:
    if isinstance(layer, str):
        return EngineLayer(layer, "unknown", (), (), ())
    types = {
        side: tuple(_json_type(tensor) for tensor in layer.get(side, ()) if isinstance(tensor, Mapping))
        for side in ("Inputs", "Outputs")
    }
    nodes = tuple(dict.fromkeys(_NODE.findall(str(layer.get("Metadata", "")))))
    name, kind = str(layer.get("Name", "")), str(layer.get("LayerType", "unknown"))
    return EngineLayer(name, kind, types["Inputs"], types["Outputs"], nodes)


def _json_type(tensor: Mapping[str, Any]) -> str:
    # TensorRT 10 has "Format/Datatype", 11 and TensorRT for RTX "Datatype" beside "Format".
    text = str(tensor.get("Datatype") or tensor.get("Format/Datatype") or "")
    return next((_spelling(word) for word in re.split(r"\W+", text) if word in TYPES), text or "none")


def _spelling(word: str) -> str:
    return TYPES.get(word, word.lower())
