"""Real RGB-D pairs that lie beside a checkout on some hosts; tests that need them skip elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason="the real RGB-D sets (../shared/data beside the checkout) are not on this host"
)
