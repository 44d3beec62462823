"""`examples/cpp`: built where ONNX Runtime's headers are at hand, and held against a conformance folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tiny_bundle import write_tiny_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.conformance.check import check_output
from pixio_edge.conformance.write import write_conformance

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"
TIMEOUT_S = 300
HEADER = "onnxruntime_cxx_api.h"
# Where a package or an unpacked release puts the header; the variable is the one that README.md of the example names.
ROOT = os.environ.get("ONNXRUNTIME_ROOT") or None
IN_ROOT = ("include", "include/onnxruntime", "headers")
OF_SYSTEM = (Path("/usr/local/include"), Path("/usr/local/include/onnxruntime"), Path("/usr/include/onnxruntime"))
WHEEL = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.1.*"))
# The second is larger than the picture, so that a resize which grows is checked too.
SIZES = ((32, 48), (512, 656))


def find_headers(root: str | None) -> Path:
    """Folder of the header; without one the tests are skipped, or fail where a folder was named that lacks it."""
    folders = OF_SYSTEM if root is None else tuple(Path(root) / name for name in IN_ROOT)
    found = next((folder for folder in folders if (folder / HEADER).is_file()), None)
    if found is None and root is not None:
        pytest.fail(f"ONNXRUNTIME_ROOT={root}: no {HEADER} in {', '.join(IN_ROOT)}; see examples/cpp/README.md")
    if found is None:
        pytest.skip(f"no {HEADER} on this host; set ONNXRUNTIME_ROOT, see examples/cpp/README.md")
    return found


def require_tools(root: str | None) -> None:
    """Skip without a compiler, CMake or a library, but fail where the caller asked for the tests by naming a folder."""
    missing = [name for name in ("cmake", "c++") if shutil.which(name) is None]
    if not WHEEL or sys.platform != "linux":
        missing.append("the library of the onnxruntime wheel, which only Linux has")
    if missing and root is not None:
        pytest.fail(f"ONNXRUNTIME_ROOT={root}: missing {', '.join(missing)}")
    if missing:
        pytest.skip(f"missing {', '.join(missing)}")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, with the library that Python uses here; every warning is an error."""
    include = find_headers(ROOT)
    require_tools(ROOT)
    library = tmp_path_factory.mktemp("onnxruntime")
    (library / "libonnxruntime.so.1").symlink_to(WHEEL[-1])
    (library / "libonnxruntime.so").symlink_to("libonnxruntime.so.1")
    build = tmp_path_factory.mktemp("cpp")
    found = [f"-DONNXRUNTIME_INCLUDE_DIR={include}", f"-DONNXRUNTIME_LIBRARY={library / 'libonnxruntime.so'}"]
    for command in (
        ["cmake", "-S", str(EXAMPLE), "-B", str(build), "-DCMAKE_CXX_FLAGS=-Werror", *found],
        ["cmake", "--build", str(build)],
    ):
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    return build / "depth"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", sizes=SIZES)


@pytest.fixture(scope="module")
def folder(tiny: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("conformance") / "tiny"
    write_conformance(tiny, target)
    return target


def test_named_folder_without_headers_fails_instead_of_skipping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pytest.fail.Exception, match=rf"ONNXRUNTIME_ROOT={tmp_path}: no {HEADER}"):
        find_headers(str(tmp_path))
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / HEADER).touch()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_headers(str(tmp_path)) == tmp_path / "include"
    with pytest.raises(pytest.fail.Exception, match=r"missing cmake, c\+\+"):
        require_tools(str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="missing cmake"):
        require_tools(None)


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_program_passes_every_case_and_python_agrees(program: Path, tiny: Bundle, folder: Path, tmp_path: Path) -> None:
    result = run(program, tiny.folder, folder, "--runs", "1", "--output", tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"ONNX Runtime {onnxruntime.__version__}" in result.stdout
    assert "4 of 4 passed" in result.stdout
    assert result.stdout.count("median") == len(SIZES)
    for name in ("onnx-fp32-32x48", "onnx-fp32-512x656", "prepare-32x48", "prepare-512x656"):
        assert check_output(folder, name, tmp_path / f"{name}.npy"), name


def test_program_fails_a_case_that_is_outside_of_its_limits(
    program: Path, tiny: Bundle, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    expected = np.load(copy / "golden_32x48.depth.npy")
    np.save(copy / "golden_32x48.depth.npy", expected * 1.01)

    result = run(program, tiny.folder, copy, "--case", "onnx-fp32-32x48")

    assert result.returncode == 1, result.stdout + result.stderr
    assert "FAIL  onnx-fp32-32x48" in result.stdout


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (("conformance.json", b'{"schema_version": '), "not JSON"),
        (("conformance.json", b"[" * 5000), "not JSON"),
        (("golden_32x48.depth.npy", b"depth"), "not a .npy"),
        (("picture.npy", b"\x93NUMPY\x01\x00\xff\xff{}"), "not of its dtype"),
    ],
    ids=["cut off", "too deep", "no array", "no header"],
)
def test_program_refuses_a_damaged_folder_in_one_line(
    program: Path, folder: Path, tmp_path: Path, damage: tuple[str, bytes], message: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / damage[0]).write_bytes(damage[1])

    result = run(program, folder, copy, "--runs", "1")

    assert result.returncode == 2, result.stdout
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_program_says_how_it_is_used(program: Path, tmp_path: Path) -> None:
    assert "usage" in run(program).stderr
    assert run(program).returncode == 2
    assert "--nope" in run(program, tmp_path, tmp_path, "--nope", "1").stderr


@pytest.mark.slow
def test_program_reproduces_nano(program: Path, tmp_path: Path) -> None:
    bundle = Bundle.open("nano")
    write_conformance(bundle, tmp_path / "nano")

    result = run(program, bundle.folder, tmp_path / "nano", "--runs", "3")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "21 of 21 passed" in result.stdout
