"""Torch eager keeps the contract, on a checkpoint of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("safetensors", reason="the extra 'export' is not installed")

from pixio_edge.bundle import Bundle  # noqa: E402
from pixio_edge.bundle_writer import write_bundle  # noqa: E402
from pixio_edge.errors import InputError, RuntimeUnavailableError  # noqa: E402
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements  # noqa: E402
from pixio_edge.models.checkpoints import save_checkpoint  # noqa: E402
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD, DepthModel  # noqa: E402
from pixio_edge.models.presets import build_model  # noqa: E402
from pixio_edge.parity import Tolerance  # noqa: E402
from pixio_edge.runtimes.base import Runtime, RuntimeOptions  # noqa: E402
from pixio_edge.runtimes.registry import make_runtime  # noqa: E402
from pixio_edge.tensor import TensorSpec  # noqa: E402
from tests.contracts.runtime_contract import RuntimeContract  # noqa: E402
from tests.tiny_bundle import tiny_header, tiny_image  # noqa: E402

SIZES = ((64, 64), (64, 96))
# The reference is the same model in float64, so this is the rounding of float32 in some dozens of layers.
TOLERANCE = Tolerance(rel_l2=1e-4)


def random_model() -> DepthModel:
    torch.manual_seed(0)
    return build_model("tiny").eval()


def reference(model: DepthModel, image: np.ndarray) -> np.ndarray:
    """float64, with the normalisation written out once more."""
    mean, std = np.asarray(IMAGE_MEAN), np.asarray(IMAGE_STD)
    normalised = ((image / 255.0 - mean) / std).transpose(0, 3, 1, 2)
    with torch.no_grad():
        return model.double()(torch.from_numpy(normalised)).numpy().astype(np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("pytorch") / "tiny"
    with write_bundle(folder, tiny_header()) as writer:
        save_checkpoint(writer.folder / "weights.safetensors", random_model())
        checkpoint = writer.describe("weights.safetensors", "checkpoint")
        for size in SIZES:
            shape = f"{size[0]}x{size[1]}"
            image = tiny_image(size)[None]
            np.savez(writer.folder / f"golden_{shape}.npz", image=image, depth=reference(random_model(), image))
            writer.add_file(f"golden_{shape}.npz", "golden")
            writer.add_artifact(
                ArtifactEntry(
                    name=f"torch-fp32-{shape}",
                    kind="safetensors",
                    precision="fp32",
                    size=size,
                    path=checkpoint.path,
                    sha256=checkpoint.sha256,
                    bytes=checkpoint.bytes,
                    inputs=(TensorSpec("image", (1, *size, 3), "uint8"),),
                    outputs=(TensorSpec("depth", (1, *size), "float32"),),
                    requires=Requirements(runtimes=("pytorch",)),
                    golden=f"golden_{shape}.npz",
                    tolerance=TOLERANCE,
                    verified=True,
                )
            )
    return Bundle.open(folder)


class TestPyTorch(RuntimeContract):
    runtime_name = "pytorch"

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


def open_pytorch(bundle: Bundle, options: RuntimeOptions) -> Runtime:
    return make_runtime("pytorch", bundle.read_artifact(bundle.artifacts[0]), options)


def test_pytorch_in_bf16_executes_convolutions_in_bf16(bundle: Bundle) -> None:
    with open_pytorch(bundle, RuntimeOptions(threads=1, precision="bf16")) as runtime:
        kernels = runtime.info(profile=True).kernels

    assert kernels is not None
    assert kernels["conv2d/bf16"] > 0
    assert "conv2d/fp32" not in kernels


def test_pytorch_puts_the_threads_of_the_process_back(bundle: Bundle) -> None:
    before = torch.get_num_threads()

    with open_pytorch(bundle, RuntimeOptions(threads=before + 1)) as runtime:
        assert runtime.info().threads == before + 1

    assert torch.get_num_threads() == before


def test_pytorch_refuses_to_pin_cores(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"pin_cores: .*Fix: start the process with taskset"):
        open_pytorch(bundle, RuntimeOptions(pin_cores=(0,))).open()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kernels_that_are_forced_are_not_replaced_by_the_plain_model(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "cuda")

    with pytest.raises(RuntimeUnavailableError, match=rf"got provider cpu in {precision} with PIXIO_EDGE_KERNELS=cuda"):
        open_pytorch(bundle, RuntimeOptions(threads=1, precision=precision)).open()


def test_checkpoint_that_is_not_one_is_an_input_error(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"no tensors")
    artifact = bundle.read_artifact(bundle.artifacts[0])
    broken = type(artifact)(artifact.entry, tmp_path)

    with pytest.raises(InputError, match="cannot be read"):
        make_runtime("pytorch", broken, RuntimeOptions()).open()
