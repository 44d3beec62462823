from __future__ import annotations

import pytest
import torch
from random_models import random_model

from pixio_edge.errors import MissingDependencyError
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.onnx import export_graphs


def test_missing_exporter_is_explained_when_torch_cannot_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")

    monkeypatch.setattr(torch.onnx, "export", fail)

    with pytest.raises(MissingDependencyError, match=r"'onnxscript'.*pip install 'pixio-edge\[export\]'"):
        list(export_graphs(random_model("plain"), ExportRequest(((64, 64),)), {}))
