"""OpenVINO is imported without its converter, and nobody else in the process loses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

WITHOUT = """
import sys
from pixio_edge.runtimes.ov_library import import_openvino
openvino = import_openvino()
assert openvino is import_openvino() and openvino.Core
assert not [name for name in sys.modules if name.startswith(("openvino.tools.ovc", "openvino_telemetry"))]
from openvino import convert_model
from openvino.tools.ovc import convert_model as same
assert convert_model is same and openvino.convert_model is same
try:
    openvino.no_such_thing
except AttributeError as error:
    assert "no_such_thing" in str(error)
else:
    raise SystemExit("an attribute that does not exist was found")
"""

AFTER_SOMEBODY = """
import sys
import openvino
before = openvino.convert_model
from pixio_edge.runtimes.ov_library import import_openvino
assert import_openvino().convert_model is before
assert "__getattr__" not in vars(openvino)
"""


@pytest.mark.parametrize("program", [WITHOUT, AFTER_SOMEBODY], ids=["first", "after somebody else"])
def test_openvino_is_imported_without_its_converter_which_stays_usable(program: str) -> None:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert result.returncode == 0, result.stderr
