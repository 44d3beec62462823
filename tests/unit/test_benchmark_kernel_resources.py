"""The table of what kernels take of a GPU: warps by the tightest limit, one row for each entry point and variant."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pixio_edge.kernels.catalogue import SMS, find_kernel

ROOT = Path(__file__).parents[2]


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import kernel_resources  # noqa: PLC0415

    return kernel_resources


@pytest.mark.parametrize(
    ("registers", "shared_bytes", "sm", "warps"),
    [
        (168, 0, "sm_86", 12),  # 3 blocks of 168 x 128 registers
        (169, 0, "sm_86", 8),  # in units of 8: 176, and a third block has no room
        (32, 64 * 1024, "sm_86", 4),  # 100 KiB have room for 65 once
        (32, 64 * 1024, "sm_87", 8),  # 164 KiB twice
        (32, 0, "sm_86", 48),
        (32, 0, "sm_80", 64),
    ],
)
def test_warps_at_once_follow_from_the_tightest_limit(
    resources: ModuleType, registers: int, shared_bytes: int, sm: str, warps: int
) -> None:
    assert resources.warps_at_once(registers, shared_bytes, 128, sm) == warps


def test_every_listed_gpu_has_limits(resources: ModuleType) -> None:
    assert set(resources.LIMITS) == set(SMS)


def test_compiled_variant_gives_a_row_for_each_entry_point(resources: ModuleType) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")
    kernel = find_kernel("bias_gelu")

    rows = resources.measure(kernel, "sm_87", {"ELEMENT_BF16": 0})

    assert {row["entry"] for row in rows} == set(kernel.entries)
    assert all(row["spill_bytes"] == 0 < row["registers"] for row in rows)
    assert all(row["warps"] is None for row in rows), "its blocks depend on the channels"


def test_table_has_a_row_for_each_entry_point_and_a_column_for_each_gpu(resources: ModuleType) -> None:
    entries = [entry(head_dim=head_dim, bf16=bf16) for head_dim in (64, 80) for bf16 in (0, 1)]
    spilling = [*entries[:-1], entries[-1] | {"spill_bytes": 12}]

    text = resources.render([record("sm_80", entries), record("sm_87", spilling)])

    assert text.count("`attention_64`") == 2
    assert "| `attention_64` | head_dim 80 | 64.0 | 168 · 8 | 168 · 8 |" in text
    assert "8 entry points" in text
    assert "12 bytes spilled" in text


def test_entry_point_that_was_not_compiled_for_a_gpu_is_a_dash(resources: ModuleType) -> None:
    records = [record("sm_80", [entry()]), record("sm_87", [entry(), entry(head_dim=96, warps=None)])]

    assert "| head_dim 96 | 64.0 | — | 168 |" in resources.render(records)


def test_nothing_measured_is_said_so(resources: ModuleType) -> None:
    assert resources.render([]) == resources.NOT_MEASURED


def record(sm: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    common = {"kernel": "attention", "nvrtc": "13.5", "run": "2026-01-01T00:00:00Z", "commit": "abc"}
    return common | {"sm": sm, "entries": entries}


def entry(*, head_dim: int = 64, bf16: int = 0, warps: int | None = 8) -> dict[str, Any]:
    return {
        "entry": "attention_64",
        "defines": {"HEAD_DIM": head_dim, "ELEMENT_BF16": bf16},
        "registers": 168,
        "spill_bytes": 0,
        "shared_bytes": 64 * 1024,
        "warps": warps,
    }
