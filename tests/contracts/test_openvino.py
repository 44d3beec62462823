"""OpenVINO keeps the contract in fp32 and bf16, and executes in the precision it was told to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.host import probe_host
from pixio_edge.parity import Tolerance
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.ov import OpenVinoRuntime
from pixio_edge.runtimes.registry import make_runtime
from tests.contracts.runtime_contract import RuntimeContract
from tests.tiny_bundle import write_tiny_bundle

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

# bf16 keeps 8 bits of mantissa: one rounding is 2^-9 = 0.002, and the tiny graph rounds input, weights and activations.
BF16_TOLERANCE = Tolerance(max_rel=0.01)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("openvino") / "tiny")


class TestOpenVino(RuntimeContract):
    runtime_name = "openvino"


@pytest.mark.skipif(probe_host().lacks_bf16, reason="this processor has no bf16 arithmetic")
class TestOpenVinoBf16(RuntimeContract):
    runtime_name = "openvino"
    options = RuntimeOptions(threads=1, precision="bf16")

    @pytest.fixture
    def bundle(self, tmp_path: Path) -> Bundle:
        return write_tiny_bundle(tmp_path / "bf16", tolerance=BF16_TOLERANCE)


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin", "link.bin"])
def test_openvino_refuses_weights_outside_the_bundle(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    hostile = write_tiny_bundle(tmp_path / "hostile", location=location.format(folder=tmp_path))
    (hostile.folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    runtime = make_runtime("openvino", hostile.read_artifact(hostile.artifacts[0]), RuntimeOptions())

    with pytest.raises(RuntimeUnavailableError, match="cannot open artifact"):
        runtime.open()


def test_openvino_that_is_not_installed_is_named_with_its_extra(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    runtime = make_runtime("openvino", bundle.read_artifact(bundle.artifacts[0]), RuntimeOptions())

    with pytest.raises(MissingDependencyError, match=r"pip install 'pixio-edge\[openvino\]'"):
        runtime.open()


@pytest.mark.skipif(sys.platform != "linux", reason="this system has no thread affinity")
def test_cores_are_not_claimed_when_the_device_is_not_there(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenVinoRuntime, "_pool_cores", "")
    options = RuntimeOptions(provider="abacus", pin_cores=(min(os.sched_getaffinity(0)),))

    with pytest.raises(RuntimeUnavailableError, match="'abacus'"):
        make_runtime("openvino", bundle.read_artifact(bundle.artifacts[0]), options).open()

    assert OpenVinoRuntime._pool_cores == ""


PINNED = """
import os, sys
from pathlib import Path
import numpy as np
from pixio_edge.bundle import Bundle
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime

def allowed():
    lists = {}
    for task in Path("/proc/self/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        lists[task.name] = next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list"))
    return lists

import openvino
core, before, mine = int(sys.argv[2]), allowed(), os.sched_getaffinity(0)
bundle = Bundle.open(sys.argv[1])
artifact = bundle.read_artifact(bundle.artifacts[0])
with make_runtime("openvino", artifact, RuntimeOptions(pin_cores=(core,))) as runtime:
    runtime.run({"image": np.zeros(artifact.entry.inputs[0].shape, np.uint8)})
    print(sorted(set(value for name, value in allowed().items() if name not in before)))
assert os.sched_getaffinity(0) == mine
try:
    make_runtime("openvino", artifact, RuntimeOptions()).open()
except RuntimeUnavailableError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="this system has no thread affinity")
def test_openvino_binds_its_threads_and_refuses_a_second_choice_in_one_process(bundle: Bundle) -> None:
    """In its own process, because OpenVINO's pool of threads lives as long as the process."""
    core = max(os.sched_getaffinity(0))

    result = subprocess.run(
        [sys.executable, "-c", PINNED, str(bundle.folder), str(core)], capture_output=True, text=True, check=True
    )

    threads, refusal = result.stdout.splitlines()
    assert threads == str([str(core)])
    assert refusal.startswith(f"pin_cores: got None, but OpenVINO runs with ({core},) in this process")
