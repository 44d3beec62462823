"""The benchmark that compares students on scenes and on photos."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.host import probe_host

pytest.importorskip("torch", reason="torch, of the extra train, is not installed")
ROOT = Path(__file__).parents[2]


class Stored:
    """Two images of 4x6 pixels: the upper row is sky, the next is 100 m away, the rest 2 m and 4 m."""

    def __len__(self) -> int:
        return 2

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        inverse = np.full((4, 6), 0.5 / (index + 1), dtype=np.float16)
        inverse[0], inverse[1] = 0, 0.01
        return np.full((4, 6, 3), index, dtype=np.uint8), inverse


def test_scenes_count_up_to_80_m_and_sky_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    transfer = importlib.import_module("transfer")

    first, second = transfer.PoolDataset("mine", Stored(), 2)

    assert (first.name, second.name, first.unit) == ("mine/0", "mine/1", "m")
    assert not first.valid[:2].any() and first.valid[2:].all()
    assert np.unique(first.depth_gt[first.valid]).tolist() == [2.0]
    assert np.unique(second.depth_gt[second.valid]).tolist() == [4.0]
    assert np.isfinite(first.depth_gt).all()


def test_table_has_a_row_per_student_and_the_row_index_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables = importlib.import_module("training_tables")
    about = {"pixels": 49152, "host": probe_host().to_json(), "run": "2026-01-01T00:00:00Z", "commit": "c" * 40}
    values = {("a", "scenes"): 0.5, ("a", "photos"): 0.6, ("b", "scenes"): 0.7, ("b", "photos"): 0.8}
    records = [
        about | {"student": student, "domain": domain, "delta1": value, "delta1_floor": 0.4}
        for (student, domain), value in values.items()
    ]

    rows = [line for line in tables.render_transfer(records).splitlines() if line.startswith("| ")]

    assert rows[2:] == ["| a | 0.500 | 0.600 |", "| b | 0.700 | 0.800 |", "| row index | 0.400 | 0.400 |"]
