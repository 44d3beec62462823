"""A depth model on an NVIDIA GPU: fused operators in half precision, and the whole forward as one CUDA graph.

The graph reads the image from one buffer and writes the depth to another, so that an inference is two copies and one
start, whatever the model has of layers. Nothing is allocated on the GPU and no kernel is looked up while it runs.
"""

from __future__ import annotations

import importlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge import env
from pixio_edge.kernels.launch import Started, record_starts
from pixio_edge.kernels.select import Selection, insist, select

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

    from pixio_edge.manifest import Precision

PIXEL_MAX = 255.0
DTYPES: dict[Precision, str] = {"fp16": "float16", "bf16": "bfloat16"}
WARM_UP_RUNS = 3
"""Forwards before the graph is recorded: the first compiles and loads kernels, cuDNN then measures its own, and one is
left to be sure (torch's notes on CUDA graphs ask for a few, on a stream of their own)."""


class CudaForward:
    """One model for images of one size on one GPU.

    Args:
        torch: The library.
        model: A `DepthModel`, which is converted and moved.
        shape: Of the input, (1, H, W, 3).
        device: Such as "cuda" or "cuda:1".
        precision: Of weights and matrix products; the residual stream is float32.

    Raises:
        RuntimeUnavailableError: The kernels cannot run on this GPU or with this model, and PIXIO_EDGE_KERNELS does not
            ask for their reference.
    """

    def __init__(
        self, torch: ModuleType, model: Any, *, shape: tuple[int, ...], device: str, precision: Precision
    ) -> None:
        self._torch = torch
        self._precision = precision
        # With its number: "cuda" alone would be whatever device is the current one when it is used.
        self._device = torch.device(device if ":" in device else f"{device}:0")
        self.selection = select_all(model.config.encoder, device=device, dtype=DTYPES[precision])
        dtype = getattr(torch, DTYPES[precision])
        # By name: the models are above the runtimes.
        fused = importlib.import_module("pixio_edge.models.fused")
        self._model = fused.FusedDepthModel(model, size=shape[1:3]).convert_(self._device, dtype)
        self._dtype = dtype
        with torch.cuda.device(self._device):
            self._prepare(shape)
            self._record()

    def run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth (1, H, W) of an image (1, H, W, 3); the array belongs to the caller."""
        cuda = self._torch.cuda
        with cuda.device(self._device), cuda.stream(self._stream):
            self._pinned_image.copy_(self._torch.from_numpy(image))
            self._image.copy_(self._pinned_image, non_blocking=True)
            self._graph.replay()
            self._pinned_depth.copy_(self._depth, non_blocking=True)
            self._stream.synchronize()
        depth: NDArray[np.float32] = self._pinned_depth.numpy().copy()
        return depth

    def describe(self) -> str:
        """What runs the fused operators, and why."""
        return f"{self.selection.implementation}: {self.selection.reason}"

    def count_kernels(self, count: Callable[[Callable[[], object]], Counter[str]]) -> Counter[str]:
        """Operators of the forward with their number: those of torch by name, ours by entry point and code.

        The kernels of ours are those that were put into the graph.

        Args:
            count: Runs something, and counts what torch dispatches.
        """
        cuda = self._torch.cuda
        with cuda.device(self._device), cuda.stream(self._stream), record_starts() as started:
            dispatched = count(self._forward)
            self._stream.synchronize()
        own = Counter(f"{name_start(start)}/{self._precision}" for start in self._started)
        if Counter(map(name_start, started)) != Counter(map(name_start, self._started)):
            raise RuntimeError("the forward starts other kernels than are in its graph: a defect, please report it")
        # Where the reference ran, the operator's own name is all there is.
        hidden = FUSED_OPERATORS if own else ()
        return own + Counter({key: n for key, n in dispatched.items() if key.partition("/")[0] not in hidden})

    def _prepare(self, shape: tuple[int, ...]) -> None:
        """Buffers that the graph is tied to, and the normalisation of images in one product and sum."""
        torch = self._torch
        statistics = importlib.import_module("pixio_edge.models.depth_model")
        mean, std = (torch.tensor(values) for values in (statistics.IMAGE_MEAN, statistics.IMAGE_STD))
        self._scale = (1 / (PIXEL_MAX * std)).to(self._device)
        self._offset = (-mean / std).to(self._device)
        self._image = torch.zeros(shape, dtype=torch.uint8, device=self._device)
        self._pinned_image = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._pinned_depth = torch.zeros(shape[:3], dtype=torch.float32, pin_memory=True)
        self._stream = torch.cuda.Stream(self._device)

    def _record(self) -> None:
        torch, cuda = self._torch, self._torch.cuda
        # cuDNN measures its kernels in the first forwards and takes the same in the graph.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            self._stream.wait_stream(cuda.current_stream())
            with cuda.stream(self._stream):
                for _ in range(WARM_UP_RUNS):
                    self._forward()
            self._stream.synchronize()
            self._graph = cuda.CUDAGraph()
            # Work of other threads neither ends the recording nor gets into it.
            recording = cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local")
            with record_starts() as started, recording:
                self._depth = self._forward()
        self._started: list[Started] = started

    def _forward(self) -> Any:
        """Depth (1, H, W), float32, of what is in the image's buffer."""
        with self._torch.inference_mode():
            normalised = self._torch.addcmul(self._offset, self._image.float(), self._scale)
            # Channels last is how images arrive and how convolutions on a GPU want them: nothing is moved.
            return self._model(normalised.to(self._dtype).permute(0, 3, 1, 2)).float()


FUSED_OPERATORS = ("attention", "add_layer_norm", "bias_gelu")


def select_all(encoder: Any, *, device: str, dtype: str) -> Selection:
    """What runs the fused operators of an encoder: all kernels, or all references.

    Args:
        encoder: An `EncoderConfig`.
        device: Such as "cuda:1".
        dtype: Such as "float16".

    Raises:
        RuntimeUnavailableError: A kernel cannot run, and PIXIO_EDGE_KERNELS does not ask for the reference.
    """
    facts: dict[str, dict[str, int]] = {
        "attention": {"head_dim": encoder.embed_dim // encoder.num_heads},
        "add_layer_norm": {"channels": encoder.embed_dim},
        "bias_gelu": {"channels": encoder.embed_dim * encoder.mlp_ratio},
    }
    selections = []
    for name, fact in facts.items():
        selection = select(name, device=device, dtype=dtype, **fact)
        insist(name, selection, forced=env.kernels())
        selections.append(selection)
    return selections[0]


def name_start(start: Started) -> str:
    """An entry point with the GPU and the code it is of, such as "attention_64 sm_87 0123456789abcdef"."""
    return f"{start.entry} {start.sm} {start.digest}"
