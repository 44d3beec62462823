"""What can be asked of a Core ML export, without coremltools."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pixio_edge.errors import InputError
from pixio_edge.export.coreml.options import VARIANTS, read_options


def test_every_variant_is_taken_for_the_newest_target() -> None:
    options = read_options(tuple(VARIANTS), "iOS18", "image")

    assert options.variants == tuple(VARIANTS)
    assert (options.target, options.output, options.enumerated) == ("iOS18", "image", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variants": ("fp8",)}, "--variant: got 'fp8', expected one of fp16"),
        ({"variants": ()}, "at least one"),
        ({"variants": ("w8", "w8")}, "each once"),
        ({"target": "iOS15"}, "--target: got 'iOS15'"),
        ({"output": "video"}, "--depth-output: got 'video'"),
        ({"variants": ("fp16", "w8a8")}, "--variant w8a8: got --target iOS16, expected iOS17"),
        ({"variants": ("ane",), "enumerated": True}, "--variant ane: got --enumerated"),
        ({"output": "image", "enumerated": True}, "--depth-output image: got --enumerated"),
    ],
)
def test_option_is_refused_with_what_is_expected(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_options(**arguments)  # type: ignore[arg-type]

    assert "Fix: " in str(caught.value)


def test_options_are_read_without_torch_and_coremltools() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['coremltools'] = None; "
        "from pixio_edge.export.coreml.options import read_options; read_options()"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
