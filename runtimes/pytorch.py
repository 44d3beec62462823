"""Torch on the checkpoint of a bundle.

On the CPU it is torch eager: the reference that the graphs are compared with, and slow beside them. On an NVIDIA GPU,
in fp16 or bf16, it is the fused kernels of `pixio_edge.kernels` in one CUDA graph: see `pytorch_cuda`.
"""

from __future__ import annotations

import importlib
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pixio_edge import env
from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.runtimes.base import Runtime, RuntimeInfo, RuntimeOptions
from pixio_edge.runtimes.pytorch_cuda import DTYPES, PIXEL_MAX, CudaForward
from pixio_edge.runtimes.registry import reason_against_provider
from pixio_edge.tensor import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import ModuleType

    from numpy.typing import NDArray

    from pixio_edge.bundle import VerifiedArtifact

PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "uint8": "int8", "int8": "int8"}


class PyTorchRuntime(Runtime):
    """Runs the torch model of a checkpoint, which has no fixed size: that of the artifact is the one it is fed.

    The number of threads is a setting of the whole process in torch; it is set before each run and put back on `close`.

    Raises:
        MissingDependencyError: On `open`: torch is not installed, or for fp16 and bf16 on a GPU the extra `cuda`.
        RuntimeUnavailableError: On `open`: no such device, one that does not execute in this precision, cores to pin to
            are given, or PIXIO_EDGE_KERNELS=cuda asks for kernels that do not run there.
    """

    name: ClassVar[str] = "pytorch"

    def __init__(self, artifact: VerifiedArtifact, options: RuntimeOptions) -> None:
        super().__init__(artifact, options)
        self._model: Any = None
        self._forward: CudaForward | None = None
        self._device = ""
        self._threads_before: int | None = None

    @classmethod
    def list_providers(cls) -> tuple[str, ...]:
        """Devices that torch sees."""
        return _devices(_import_torch())

    def _open(self) -> None:
        torch = _import_torch()
        if self.options.pin_cores is not None:
            raise RuntimeUnavailableError(
                "pin_cores: torch does not let its threads be bound, expected none. Fix: start the process with taskset"
            )
        self._device = _find_device(torch, self.options.provider)
        against = reason_against_provider(self.name, self.options.precision, self.options.provider)
        if against is not None:
            message = f"runtime '{self.name}': got provider {self.options.provider or 'cpu'}, it {against}"
            raise RuntimeUnavailableError(message)
        # By name: the models are above the runtimes, and only this reference looks up.
        checkpoints = importlib.import_module("pixio_edge.models.checkpoints")
        self._threads_before = torch.get_num_threads()
        model = checkpoints.load_checkpoint(self.artifact.path)
        entry = self.artifact.entry
        if self._device.startswith("cuda") and self.options.precision in DTYPES:
            shape, precision = entry.inputs[0].shape, self.options.precision
            self._forward = CudaForward(torch, model, shape=shape, device=self._device, precision=precision)
        else:
            self._refuse_forced_kernels()
            self._model = model.to(self._device)
        outputs = self._run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in entry.inputs})
        found = [TensorSpec(name, array.shape, array.dtype.name) for name, array in outputs.items()]
        self._check_specs(entry.inputs, found)

    def _refuse_forced_kernels(self) -> None:
        """The plain model has none of the kernels that PIXIO_EDGE_KERNELS=cuda asks for."""
        if env.kernels() == "cuda":
            raise RuntimeUnavailableError(
                f"runtime '{self.name}': got provider {self._device} in {self.options.precision} with "
                "PIXIO_EDGE_KERNELS=cuda, expected provider cuda in fp16 or bf16, which alone run the kernels. "
                "Fix: choose these, or unset PIXIO_EDGE_KERNELS"
            )

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        torch = _import_torch()
        torch.set_num_threads(self.options.thread_count)
        entry = self.artifact.entry
        if self._forward is not None:
            return {entry.outputs[0].name: self._forward.run(feeds[entry.inputs[0].name])}
        image = torch.from_numpy(feeds[entry.inputs[0].name].copy()).to(self._device)  # (1, H, W, 3)
        with torch.inference_mode(), self._autocast(torch):
            depth = self._model(_normalise(torch, image))
        return {entry.outputs[0].name: depth.float().cpu().numpy()}

    def _close(self) -> None:
        if self._threads_before is not None:
            _import_torch().set_num_threads(self._threads_before)
        self._model = None
        self._forward = None
        self._device = ""
        self._threads_before = None

    def _info(self, *, profile: bool) -> RuntimeInfo:
        torch = _import_torch()
        torch.set_num_threads(self.options.thread_count)
        return RuntimeInfo(
            runtime=self.name,
            version=torch.__version__,
            device=self._device,
            precision=self.options.precision,
            threads=torch.get_num_threads(),
            kernels=self._count_kernels() if profile else None,
            fallbacks=() if profile else None,
            implementation=None if self._forward is None else self._forward.describe(),
        )

    def _autocast(self, torch: ModuleType) -> AbstractContextManager[Any]:
        if self.options.precision == "bf16":
            context: AbstractContextManager[Any] = torch.autocast(self._device.partition(":")[0], dtype=torch.bfloat16)
            return context
        return nullcontext()

    def _count_kernels(self) -> Counter[str]:
        """Execute once on zeros and note every operator that torch dispatches, and which kernels of ours start."""
        if self._forward is not None:
            return self._forward.count_kernels(_count_dispatched)
        feeds = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.artifact.entry.inputs}
        return _count_dispatched(lambda: self._run(feeds))


def _count_dispatched(work: Callable[[], object]) -> Counter[str]:
    """Operators that torch dispatches while something runs, each with the dtype of its first input."""
    kernels: Counter[str] = Counter()
    mode = importlib.import_module("torch.utils._python_dispatch").TorchDispatchMode

    class Count(mode):  # type: ignore[misc, valid-type] # the base is known only once torch is imported
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kernels[f"{function.overloadpacket.__name__}/{_precision_of(args)}"] += 1
            return function(*args, **(kwargs or {}))

    with Count():
        work()
    return kernels


def _normalise(torch: ModuleType, image: Any) -> Any:
    """(1, H, W, 3) uint8 to (1, 3, H, W) as the model was trained on; exported graphs have this in their weights."""
    model = importlib.import_module("pixio_edge.models.depth_model")
    mean, std = (torch.tensor(values, device=image.device) for values in (model.IMAGE_MEAN, model.IMAGE_STD))
    return ((image.float() / PIXEL_MAX - mean) / std).permute(0, 3, 1, 2).contiguous()


def _precision_of(args: tuple[Any, ...]) -> str:
    dtype = str(getattr(args[0], "dtype", "none")).removeprefix("torch.") if args else "none"
    return PRECISIONS.get(dtype, dtype)


def _find_device(torch: ModuleType, name: str | None) -> str:
    available = _devices(torch)
    device = (name or "cpu").lower()
    if device not in available:
        raise RuntimeUnavailableError(
            f"pytorch provider '{name}': no such device here, expected one of: {', '.join(available)}. "
            "Fix: choose one of these"
        )
    return device


def _devices(torch: ModuleType) -> tuple[str, ...]:
    """Names for torch; "cuda" is the first GPU, others have their number."""
    gpus = tuple(f"cuda:{index}" if index else "cuda" for index in range(torch.cuda.device_count()))
    return (
        "cpu",
        *(gpus if torch.cuda.is_available() else ()),
        *(("mps",) if torch.backends.mps.is_available() else ()),
    )


def _import_torch() -> ModuleType:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingDependencyError("torch", "export", "the runtime 'pytorch'") from error
