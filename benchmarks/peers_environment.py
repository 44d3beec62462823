"""Makes the environment that Ultralytics runs in, apart from ours: its licence (AGPL-3.0) and its pins are its own.

    python benchmarks/peers_environment.py             # build/peers/venv
    python benchmarks/peers_environment.py --dry-run   # only say the commands

Ultralytics and torchvision are installed without what they depend on, which would bring a CUDA build of torch and
another OpenCV. Only its command for exporting is used, and none of its code is read by ours: `peers_prepare.py` gets
ONNX files from it.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path("build/peers/venv")
TORCH = "torch==2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Installed alone. The versions that the records were made with.
ALONE = ("ultralytics==8.4.190", "torchvision==0.28.*")
# What they import when a model is built and exported.
NEEDED = (
    "matplotlib",
    "numpy",
    "onnx",
    "onnxscript",
    "onnxslim",
    "opencv-python-headless",
    "pillow",
    "polars",
    "psutil",
    "pyyaml",
    "requests",
    "scipy",
    "ultralytics-thop",
)


def list_commands(folder: Path, torch_index: str | None) -> list[list[str]]:
    """Commands that make the environment, in order.

    Args:
        folder: Where it goes.
        torch_index: Package index of CPU builds of torch; None leaves it to pip's own settings.
    """
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    index = [] if torch_index is None else ["--index-url", torch_index]
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, *index, TORCH],
        [*pip, "--no-deps", *ALONE],
        [*pip, *NEEDED],
    ]


def main() -> None:
    """Run the commands, or print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--torch-index", help=f"for example {TORCH_CPU_INDEX}; by default pip's own")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    arguments = parser.parse_args()
    for command in list_commands(arguments.folder, arguments.torch_index):
        print(shlex.join(command), flush=True)
        if not arguments.dry_run:
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
