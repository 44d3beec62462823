"""What the files of NVIDIA systems tell, from texts of such machines."""

from __future__ import annotations

import pytest

from pixio_edge.nvidia import JETPACKS, Nvidia, find_jetpack, read_nvidia

ORIN_FILES = {
    "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
    "/proc/driver/nvidia/version": (
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  (buildbrain@mobile)  Wed\n"
        "GCC version:  collect2: error\n"
    ),
    "/usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
    "/proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
}
DESKTOP_VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.82.07  Wed Aug 27 10:00:00 UTC 2025\n"


def read(files: dict[str, str]) -> Nvidia | None:
    return read_nvidia(lambda path: files.get(path, ""))


def test_orin_with_jetpack_6_2_is_known_by_its_files() -> None:
    assert read(ORIN_FILES) == Nvidia(driver="540.4.0", cuda="12.6.11", l4t="36.4.3", jetpack="6.2", sm="8.7")


def test_desktop_has_a_driver_and_no_jetpack() -> None:
    assert read({"/proc/driver/nvidia/version": DESKTOP_VERSION}) == Nvidia(driver="580.82.07")


def test_machine_without_nvidia_has_nothing() -> None:
    assert read({}) is None


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"cuda": 12}', '{"cuda": {"name": "x"}}'])
def test_version_of_cuda_that_cannot_be_read_is_unknown(text: str) -> None:
    assert read(ORIN_FILES | {"/usr/local/cuda/version.json": text}) == Nvidia(
        driver="540.4.0", l4t="36.4.3", jetpack="6.2", sm="8.7"
    )


@pytest.mark.parametrize(
    ("l4t", "version", "tensorrt"),
    [
        ("36.4.3", "6.2", "10.3"),
        ("36.4.4", "6.2.1", "10.3"),
        ("36.4.0", "6.1", "10.3"),
        ("36.3.0", "6.0", "8.6"),
        ("35.6.2", "5", "8.5"),
        ("38.4.0", "7.1", "10.13"),
        ("39.2.0", "7.2", "10.16"),
        ("39.2.1", "7.2.1", "10.16"),
        ("39.2.2", "7.2.2", "10.16"),
    ],
)
def test_release_of_jetson_linux_names_jetpack_and_its_tensorrt(l4t: str, version: str, tensorrt: str) -> None:
    jetpack = find_jetpack(l4t)

    assert jetpack is not None
    assert (jetpack.version, jetpack.tensorrt) == (version, tensorrt)


@pytest.mark.parametrize("l4t", [None, "32.7.1", "360.1.0", "99.0", "39.2.3", "39.4.0"])
def test_release_that_is_not_known_has_no_jetpack(l4t: str | None) -> None:
    assert find_jetpack(l4t) is None


def test_longer_releases_are_looked_at_before_those_they_start_with() -> None:
    for index, jetpack in enumerate(JETPACKS):
        assert not any(jetpack.l4t.startswith(f"{earlier.l4t}.") for earlier in JETPACKS[:index])


@pytest.mark.parametrize(
    ("l4t", "tensorrt", "runs"),
    [
        ("36.4.3", "10.3.0", True),
        ("36.4.3", "10.30.0", False),
        ("36.4.3", "11.4.1", False),
        ("39.2.1", "10.16.2", True),
        ("39.2.1", "11.4.1", False),
        ("39.2.2", "11.4.0.106", False),
        ("39.2.2", "11.4.1", True),
        ("39.2.2", "11.5.0.1", True),
        ("39.2.2", "10.16.2", True),
        ("39.2.2", "10.17.0", False),
    ],
)
def test_jetpack_names_the_versions_of_tensorrt_that_run_on_it(l4t: str, tensorrt: str, runs: bool) -> None:
    jetpack = find_jetpack(l4t)

    assert jetpack is not None
    assert jetpack.runs(tensorrt) is runs
