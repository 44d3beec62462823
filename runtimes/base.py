"""What every runtime does, and the value types it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pixio_edge import env
from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.host import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from pixio_edge.bundle import VerifiedArtifact
    from pixio_edge.manifest import Precision
    from pixio_edge.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How to run an artifact.

    Args:
        threads: Threads for one inference; None takes `env.threads`, or else one for each usable core.
        pin_cores: Hardware threads to bind to, one for each thread; None leaves placement to the system.
        precision: Precision to execute in; some runtimes execute an fp32 graph in bf16.
        provider: Which device library inside the runtime, such as "cuda" in ort; None takes the CPU.
    """

    threads: int | None = None
    pin_cores: tuple[int, ...] | None = None
    precision: Precision = "fp32"
    provider: str | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise SpecError(
                f"threads: got {self.threads}, expected at least 1. Fix: give 1 or more, or None for the default"
            )
        if self.pin_cores is None:
            return
        if not self.pin_cores or min(self.pin_cores) < 0 or len(set(self.pin_cores)) != len(self.pin_cores):
            raise SpecError(
                f"pin_cores: got {self.pin_cores}, expected different core numbers from 0. Fix: name each core once"
            )
        if self.threads is not None and self.threads != len(self.pin_cores):
            raise SpecError(
                f"pin_cores: got {len(self.pin_cores)} cores for {self.threads} threads, expected as many. "
                "Fix: name one core for each thread, or leave threads out"
            )

    @property
    def thread_count(self) -> int:
        """Number of threads that will be used."""
        if self.pin_cores is not None:
            return len(self.pin_cores)
        return self.threads or env.threads() or usable_cores()


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What really runs, asked of the engine and not of the options.

    Args:
        runtime: Name in `registry.RUNTIMES`.
        version: Version of the engine.
        device: Device or provider that executes.
        precision: Precision asked for; `kernels` says what each operator really used.
        threads: Threads that the engine uses for one inference.
        kernels: Executed operators as "Operator/precision" with their number; None when not looked at.
        fallbacks: Operators that run elsewhere than on `device`, as "Operator on provider"; None when not looked at.
        implementation: What runs the fused operators and why, where a runtime has such; else None.
        device_ms: Median milliseconds on each device that was tried, where the runtime chose by measuring; else None.
        nodes: Executed operators by provider, device or compute unit, where `fallbacks` is not empty; None when not
            looked at, and when all are on `device`.
    """

    runtime: str
    version: str
    device: str
    precision: str
    threads: int
    kernels: Mapping[str, int] | None = None
    fallbacks: tuple[str, ...] | None = None
    implementation: str | None = None
    device_ms: Mapping[str, float] | None = None
    nodes: Mapping[str, int] | None = None

    @property
    def nodes_by_device(self) -> Mapping[str, int] | None:
        """Executed operators by provider, device or compute unit; None when not looked at."""
        if self.nodes is not None or self.kernels is None or self.fallbacks:
            return self.nodes
        return {self.device: sum(self.kernels.values())}

    @property
    def int8_ops(self) -> int | None:
        """Matrix products and convolutions that execute in INT8; None when not looked at."""
        return self._count(lambda precision: precision == "int8")

    @property
    def float_ops(self) -> int | None:
        """Matrix products and convolutions that execute in a float type; None when not looked at."""
        return self._count(lambda precision: precision in ("fp32", "fp16", "bf16"))

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)

    def _count(self, accept: Callable[[str], bool]) -> int | None:
        if self.kernels is None:
            return None
        total = 0
        for key, count in self.kernels.items():
            operator, _, precision = key.rpartition("/")
            total += count if is_heavy(operator) and accept(precision) else 0
        return total


# Parts of the names that engines give to matrix products and convolutions; all else is cheap beside them.
HEAVY_NAMES = ("conv", "matmul", "mm", "attention", "fullyconnected", "inner_product", "mha")


def is_heavy(operator: str) -> bool:
    """Whether an operator is a matrix product or convolution, by any engine's name for it."""
    name = operator.lower()
    # "linear" and "convert" only as whole names: bilinear resizing is cheap, and so is a change of type.
    return name == "linear" or (name != "convert" and any(part in name for part in HEAVY_NAMES))


class Runtime(ABC):
    """Executes one artifact. Construction is free; `open` loads and `close` releases everything.

    The public methods check, the underscored ones of a subclass work. Not safe for concurrent `run` from several
    threads: open one runtime in each.

    Args:
        artifact: From `Bundle.read_artifact`.
        options: How to run it.
    """

    name: ClassVar[str]

    def __init__(self, artifact: VerifiedArtifact, options: RuntimeOptions) -> None:
        self.artifact = artifact
        self.options = options
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether `run` may be called."""
        return self._is_open

    def open(self) -> None:
        """Load the artifact; does nothing when already open.

        Raises:
            MissingDependencyError: The engine is not installed.
            RuntimeUnavailableError: The engine cannot run this artifact with these options here.
            SpecError: The graph has other inputs or outputs than the manifest says.
        """
        if self._is_open:
            return
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        self._is_open = True

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Execute once.

        Args:
            feeds: Every input by name, with exactly the dtype and shape of its specification. Not kept after the call.

        Returns:
            Every output by name. The arrays belong to the caller; later calls never write to them.

        Raises:
            RuntimeUnavailableError: The runtime is not open.
            SpecError: An input is missing, unknown, or of another dtype or shape.
        """
        self._require_open("run()")
        inputs = self.artifact.entry.inputs
        if len(feeds) != len(inputs) or any(spec.name not in feeds for spec in inputs):
            raise SpecError(
                f"inputs: got {sorted(feeds)}, expected {sorted(spec.name for spec in inputs)}. "
                "Fix: feed every input of the artifact by its name"
            )
        for spec in inputs:
            spec.check(feeds[spec.name])
        return self._run({spec.name: np.ascontiguousarray(feeds[spec.name]) for spec in inputs})

    def close(self) -> None:
        """Release the engine's memory and threads; does nothing when not open."""
        self._close()
        self._is_open = False

    @classmethod
    def list_providers(cls) -> tuple[str, ...]:
        """What the installed engine can execute on here, by the names that `RuntimeOptions.provider` takes.

        Raises:
            MissingDependencyError: The engine is not installed.
        """
        return ("cpu",)

    def info(self, *, profile: bool = False) -> RuntimeInfo:
        """Say what runs.

        Args:
            profile: Also look at the executed operators, which may execute the graph once more on zeros.

        Raises:
            RuntimeUnavailableError: The runtime is not open.
        """
        self._require_open("info()")
        return self._info(profile=profile)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _open(self) -> None:
        """Load the engine and the artifact."""

    @abstractmethod
    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Execute on checked, contiguous feeds; return arrays that nothing else refers to."""

    @abstractmethod
    def _close(self) -> None:
        """Drop what `_open` made, also after a failed `_open`; must be repeatable."""

    @abstractmethod
    def _info(self, *, profile: bool) -> RuntimeInfo:
        """See `info`."""

    def _require_open(self, call: str) -> None:
        if not self._is_open:
            raise RuntimeUnavailableError(
                f"runtime '{self.name}': got {call} while closed, expected open. Fix: call it inside 'with runtime:'"
            )

    def _check_specs(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Compare what the graph has with what the manifest says."""
        entry = self.artifact.entry
        for kind, found, expected in (("inputs", inputs, entry.inputs), ("outputs", outputs, entry.outputs)):
            if set(found) != set(expected):
                raise SpecError(
                    f"artifact '{entry.name}': graph has {kind} {_names(found)}, the manifest says {_names(expected)}. "
                    "Fix: export the bundle again"
                )


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name}:{spec.dtype}{list(spec.shape)}" for spec in specs) or "none"
