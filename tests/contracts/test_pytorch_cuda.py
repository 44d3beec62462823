"""Torch on a GPU keeps the contract of every runtime: on a stand-in everywhere, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("safetensors", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

from pixio_edge.bundle import Bundle  # noqa: E402
from pixio_edge.bundle_writer import write_bundle  # noqa: E402
from pixio_edge.errors import RuntimeUnavailableError  # noqa: E402
from pixio_edge.golden import BF16_TOLERANCE, check_golden  # noqa: E402
from pixio_edge.manifest import ArtifactEntry, Requirements  # noqa: E402
from pixio_edge.models.checkpoints import save_checkpoint  # noqa: E402
from pixio_edge.models.depth_model import DepthModel  # noqa: E402
from pixio_edge.runtimes import pytorch  # noqa: E402
from pixio_edge.runtimes.base import Runtime, RuntimeOptions  # noqa: E402
from pixio_edge.runtimes.registry import make_runtime  # noqa: E402
from pixio_edge.tensor import TensorSpec  # noqa: E402
from tests.contracts.runtime_contract import RuntimeContract  # noqa: E402
from tests.contracts.test_pytorch import reference  # noqa: E402
from tests.fake_cuda_core import FakeCuda, install  # noqa: E402
from tests.fake_torch_cuda import FakeTorch, FakeTorchCuda  # noqa: E402
from tests.random_models import CONFIGS, randomise_  # noqa: E402
from tests.tiny_bundle import tiny_header, tiny_image  # noqa: E402

SIZES = ((32, 32), (32, 48))


def random_model() -> DepthModel:
    """A small model with heads of a width that there is a kernel for."""
    config = CONFIGS["stem"]
    return randomise_(DepthModel(replace(config, encoder=replace(config.encoder, embed_dim=128, num_heads=2))))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("pytorch-cuda") / "small"
    with write_bundle(folder, tiny_header()) as writer:
        save_checkpoint(writer.folder / "weights.safetensors", random_model())
        checkpoint = writer.describe("weights.safetensors", "checkpoint")
        for size in SIZES:
            golden = f"golden_{size[0]}x{size[1]}.npz"
            image = tiny_image(size)[None]
            np.savez(writer.folder / golden, image=image, depth=reference(random_model(), image))
            writer.add_file(golden, "golden")
            writer.add_artifact(
                ArtifactEntry(
                    name=f"torch-fp32-{size[0]}x{size[1]}",
                    kind="safetensors",
                    precision="fp32",
                    size=size,
                    path=checkpoint.path,
                    sha256=checkpoint.sha256,
                    bytes=checkpoint.bytes,
                    inputs=(TensorSpec("image", (1, *size, 3), "uint8"),),
                    outputs=(TensorSpec("depth", (1, *size), "float32"),),
                    requires=Requirements(runtimes=("pytorch",)),
                    golden=golden,
                    tolerance=BF16_TOLERANCE,
                    verified=True,
                )
            )
    return Bundle.open(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[FakeTorchCuda]:
    """A host with one Orin: kernels are chosen for it, and what runs is the operators' reference."""
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(cache))
    cuda = FakeTorchCuda()
    monkeypatch.setattr(pytorch, "_import_torch", lambda: FakeTorch(cuda))
    with install(monkeypatch, FakeCuda()):
        yield cuda


class CudaContract(RuntimeContract):
    runtime_name = "pytorch"
    options: ClassVar[RuntimeOptions] = RuntimeOptions(threads=1, precision="fp16", provider="cuda")

    def heavy_ops(self) -> tuple[int, int]:
        """Each layer with weights runs once, and each block has one attention."""
        kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
        model = random_model()
        layers = sum(isinstance(module, kinds) for module in model.modules())
        return 0, layers + model.config.encoder.depth

    def test_graph_that_differs_from_the_manifest_is_refused(self, bundle: Bundle, closed: Runtime) -> None:
        """A checkpoint has no size of its own, so what can differ is the output."""
        entry = closed.artifact.entry
        lying = entry.model_copy(update={"outputs": (TensorSpec("depth", (1, 1, *entry.size), "float32"),)})
        runtime = make_runtime(self.runtime_name, bundle.read_artifact(lying), self.options)

        with pytest.raises(Exception, match=f"artifact '{entry.name}': graph has outputs depth:float32"):
            runtime.open()

    def test_info_says_what_runs_the_operators_and_why(self, runtime: Runtime) -> None:
        implementation = runtime.info().implementation

        assert implementation is not None
        assert implementation.startswith("cuda: sm_")

    def test_looking_at_the_kernels_leaves_the_results_as_they_are(
        self, runtime: Runtime, feeds: dict[str, np.ndarray]
    ) -> None:
        images = [feeds["image"], 255 - feeds["image"]]
        before = [runtime.run({"image": image})["depth"] for image in images]
        runtime.info(profile=True)
        after = [runtime.run({"image": image})["depth"] for image in images]

        np.testing.assert_array_equal(after, before)


@pytest.mark.usefixtures("stand_in")
class TestOnAStandIn(CudaContract):
    # What runs is the CPU, which is slow in fp16.
    options: ClassVar[RuntimeOptions] = RuntimeOptions(threads=1, precision="bf16", provider="cuda")

    def test_every_inference_replays_the_one_graph(
        self, stand_in: FakeTorchCuda, closed: Runtime, feeds: dict[str, np.ndarray]
    ) -> None:
        with closed as runtime:
            runtime.run(feeds)
            runtime.run(feeds)

        (graph,) = stand_in.graphs
        assert graph.replays == 3  # one when it was opened, to look at the outputs
        assert stand_in.capture_modes == ["thread_local"]


@pytest.mark.cuda
class TestOnAGpu(CudaContract):
    @pytest.fixture(autouse=True)
    def own_cache(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        monkeypatch.setenv("PIXIO_EDGE_CACHE", str(cache))

    def test_kernels_of_ours_are_named_with_their_number(self, runtime: Runtime) -> None:
        kernels = runtime.info(profile=True).kernels
        depth = random_model().config.encoder.depth

        assert kernels is not None
        counts = {
            name: sum(n for key, n in kernels.items() if key.startswith(name) and " sm_" in key) for name in NAMES
        }
        assert counts == {"attention_": depth, "add_layer_norm_": 2 * depth + 1, "bias_gelu_": depth}


@pytest.mark.cuda
class TestOnAGpuInBf16(TestOnAGpu):
    options: ClassVar[RuntimeOptions] = RuntimeOptions(threads=1, precision="bf16", provider="cuda")


NAMES = ("attention_", "add_layer_norm_", "bias_gelu_")


def open_with(bundle: Bundle, options: RuntimeOptions) -> Runtime:
    return make_runtime("pytorch", bundle.read_artifact(bundle.artifacts[0]), options)


def test_fp16_is_refused_on_the_processor(bundle: Bundle) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"got provider cpu, it executes fp16 on provider cuda alone.*Fix"
    ):
        open_with(bundle, RuntimeOptions(precision="fp16")).open()


@pytest.mark.usefixtures("stand_in")
def test_fp16_on_a_gpu_is_in_the_graph_as_well(bundle: Bundle) -> None:
    with open_with(bundle, RuntimeOptions(precision="fp16", provider="cuda")) as runtime:
        report = check_golden(bundle, runtime)
        kernels = runtime.info(profile=True).kernels

    assert report, report.message
    assert kernels is not None
    assert {key.rpartition("/")[2] for key in kernels if "conv" in key} == {"fp16"}


@pytest.mark.usefixtures("stand_in")
def test_gpu_that_cannot_run_the_kernels_is_refused_with_what_is_in_the_way(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RuntimeOptions(precision="fp16", provider="cuda")
    with install(monkeypatch, FakeCuda(capabilities=((7, 2),))):
        with pytest.raises(RuntimeUnavailableError, match=r"got GPU 'sm_72'.*PIXIO_EDGE_KERNELS=reference"):
            open_with(bundle, options).open()

        monkeypatch.setenv("PIXIO_EDGE_KERNELS", "reference")
        with open_with(bundle, options) as runtime:
            info = runtime.info(profile=True)

    assert info.implementation == "reference: PIXIO_EDGE_KERNELS=reference"
    assert info.kernels is not None
    assert info.kernels["attention/fp16"] == random_model().config.encoder.depth


@pytest.mark.usefixtures("stand_in")
def test_fp32_on_a_gpu_is_the_plain_model(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "_find_device", lambda *_: "cpu")

    with open_with(bundle, RuntimeOptions(provider="cuda")) as runtime:
        assert runtime.info().implementation is None


def test_gpus_are_listed_by_number_after_the_first(stand_in: FakeTorchCuda) -> None:
    stand_in.devices = 3

    assert pytorch.PyTorchRuntime.list_providers()[:4] == ("cpu", "cuda", "cuda:1", "cuda:2")
