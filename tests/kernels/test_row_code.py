"""Machine code of the kernels that work on rows, for GPUs that are not there."""

from __future__ import annotations

import pytest
from compiled_kernels import shipped_cubin
from cubin_code import count_accesses

from pixio_edge.kernels.catalogue import SMS, find_kernel
from pixio_edge.kernels.geometry_rows import MOST_THREADS

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

REGISTERS = 65_536  # of a multiprocessor (CUDA C++ Programming Guide, "Technical Specifications")
BLOCK_THREADS = 128
# Of a multiprocessor at least, by the vectors of one: what the geometries' docstrings count on.
LIVING_THREADS = {
    "add_layer_norm": {3: 512, 5: 384},
    "bias_gelu": {1: 1536, 2: 1536, 3: 1024, 5: 768},
}
VARIANTS = [(name, defines) for name in LIVING_THREADS for defines in find_kernel(name).variants()]
Accesses = dict[tuple[str, int], int]


def expected_accesses(entry: str, defines: dict[str, int]) -> Accesses:
    """Loads and stores by bytes of a thread: all of 16, but for codes (8) and the scale of a row (4)."""
    vectors, quantize = int(entry[-1]), "int8" in entry
    if entry.startswith("bias_gelu"):
        loads, stores = 2 * vectors if quantize else vectors + 1, 0  # one bias for all rows of a thread
    else:
        words = 1 + defines["RESIDUAL_FP32"]  # of 16 bytes in a vector of the residual stream
        loads, stores = vectors * (words + 5), vectors * words
    written = {("STG", 8): vectors, ("STG", 4): 1} if quantize else {}
    wide = stores if quantize else stores + vectors
    return {("LDG", 16): loads, **({("STG", 16): wide} if wide else {}), **written}


def assert_rows_stay_in_registers_and_move_by_16_bytes(name: str, sm: str, defines: dict[str, int]) -> None:
    compiled = shipped_cubin(name, sm, defines)

    accesses = count_accesses(compiled.cubin)
    assert set(compiled.resources) == set(find_kernel(name).entries)
    for entry, resources in compiled.resources.items():
        assert (resources.spill_bytes, resources.stack_bytes) == (0, 0), entry
        assert accesses[entry] == expected_accesses(entry, defines), entry
        vectors = int(entry[-1])
        registers = -(-resources.registers // 8) * 8  # they are given out by eights
        assert REGISTERS // (registers * BLOCK_THREADS) * BLOCK_THREADS >= LIVING_THREADS[name][vectors], entry
        assert registers * MOST_THREADS.get(vectors, BLOCK_THREADS) <= REGISTERS, entry


# One variant of each; all of them are among the slow ones.
@pytest.mark.parametrize(("name", "defines"), [VARIANTS[0], VARIANTS[4]], ids=str)
def test_code_for_an_orin_keeps_rows_in_registers_and_moves_them_by_16_bytes(
    name: str, defines: dict[str, int]
) -> None:
    assert_rows_stay_in_registers_and_move_by_16_bytes(name, "sm_87", defines)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "defines"), VARIANTS, ids=str)
@pytest.mark.parametrize("sm", SMS)
def test_code_for_any_gpu_keeps_rows_in_registers_and_moves_them_by_16_bytes(
    sm: str, name: str, defines: dict[str, int]
) -> None:
    assert_rows_stay_in_registers_and_move_by_16_bytes(name, sm, defines)
