"""A runtime outside the contract would drift, so each one that is registered has a test class."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixio_edge.runtimes.registry import RUNTIMES

TESTED = {
    name
    for path in Path(__file__).parent.glob("test_*.py")
    for name in re.findall(r'^    runtime_name = "([\w-]+)"$', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
}


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_every_registered_runtime_inherits_the_contract(name: str) -> None:
    assert name in TESTED
