"""Exports Ultralytics YOLO26n-depth with its own tool, from its own configuration, with random weights.

Run by the interpreter of `peers_environment.py`, in a folder that the files may be written to; imports nothing of ours.

    python peers_yolo_export.py 256 640 768
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

NAME = "yolo26n-depth"


def main() -> None:
    """One ONNX file for each input side on the command line, and what made them."""
    torch: Any = importlib.import_module("torch")
    ultralytics: Any = importlib.import_module("ultralytics")
    facts: dict[str, Any] = {"ultralytics": ultralytics.__version__, "torch": torch.__version__}
    for side in map(int, sys.argv[1:]):
        torch.manual_seed(0)
        model = ultralytics.YOLO(f"{NAME}.yaml")
        facts["parameters"] = sum(parameter.numel() for parameter in model.model.parameters())
        exported = Path(model.export(format="onnx", imgsz=side, device="cpu"))
        exported.replace(f"{NAME}_{side}x{side}.onnx")
    Path(f"{NAME}.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
