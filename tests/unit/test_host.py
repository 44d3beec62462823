"""What the host probe finds, here and from texts of other machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixio_edge import host as host_module
from pixio_edge.host import PACKAGES, peak_rss_mib, probe_host, usable_cores

TWO_SOCKETS = "\n\n".join(
    f"processor\t: {i}\nmodel name\t: Xeon\nphysical id\t: {i // 4}\ncore id\t: {i % 2}\nflags\t: avx2 avx512f amx_bf16"
    for i in range(8)
)
ARM_CPUINFO = "processor\t: 0\nFeatures\t: fp asimd asimddp bf16 i8mm\nCPU part\t: 0xd40\n"


def with_files(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(host_module, "_read_text", lambda path: files.get(path, ""))


def test_probe_describes_this_machine() -> None:
    host = probe_host()

    assert host.logical_cores == os.cpu_count()
    assert 1 <= host.usable_cores <= host.physical_cores <= host.logical_cores
    assert host.python == ".".join(map(str, sys.version_info[:3]))
    assert host.packages["numpy"]
    assert set(host.packages) <= set(PACKAGES)
    assert json.loads(json.dumps(host.to_json()))["cpu"] == host.cpu


def test_probe_imports_none_of_the_packages_it_names() -> None:
    code = "import sys; from pixio_edge.host import probe_host; probe_host(); print(sorted(sys.modules))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    for package in ("numpy", "cv2", "onnxruntime", "openvino", "torch", "onnx"):
        assert f"'{package}'" not in result.stdout


def test_physical_cores_are_counted_over_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    with_files(monkeypatch, {"/proc/cpuinfo": TWO_SOCKETS})
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    host = probe_host()

    assert (host.logical_cores, host.physical_cores, host.cpu) == (8, 4, "Xeon")
    assert host.isa == ("avx2", "avx512f", "amx_bf16")
    assert not host.lacks_bf16


def test_arm_features_are_read_and_cores_fall_back_to_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with_files(monkeypatch, {"/proc/cpuinfo": ARM_CPUINFO})

    host = probe_host()

    assert host.isa == ("asimddp", "i8mm", "bf16")
    assert host.physical_cores == host.logical_cores


def test_unknown_instruction_sets_are_not_taken_for_missing_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with_files(monkeypatch, {})

    host = probe_host()

    assert host.isa == ()
    assert not host.lacks_bf16


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("", 4)],
)
def test_default_threads_respect_the_quota_of_the_container(
    monkeypatch: pytest.MonkeyPatch, cpu_max: str, expected: int
) -> None:
    with_files(monkeypatch, {"/proc/cpuinfo": TWO_SOCKETS, "/sys/fs/cgroup/cpu.max": cpu_max})
    monkeypatch.setattr(host_module, "_affinity", lambda: tuple(range(8)))

    assert usable_cores() == expected


def test_default_threads_respect_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    with_files(monkeypatch, {"/proc/cpuinfo": TWO_SOCKETS})
    monkeypatch.setattr(host_module, "_affinity", lambda: (3,))

    assert usable_cores() == 1


def test_jetson_board_and_gpus_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_files(monkeypatch, {"/proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0"})

    assert probe_host().gpus[-1] == "NVIDIA Jetson Orin Nano Developer Kit"


@pytest.mark.parametrize(("version", "expected"), [("15.5", "15.5"), ("", None)])
def test_version_of_macos_is_known_only_there(
    monkeypatch: pytest.MonkeyPatch, version: str, expected: str | None
) -> None:
    monkeypatch.setattr(host_module.platform, "mac_ver", lambda: (version, ("", "", ""), "arm64"))

    assert probe_host().macos == expected


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not tell")
def test_peak_memory_grows_with_use() -> None:
    before = peak_rss_mib()
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    after = peak_rss_mib()

    assert before is not None
    assert after is not None
    assert 10 < before <= after
    assert after < 100_000, "MiB, not KiB or bytes"
