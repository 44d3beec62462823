"""The input pipeline: rows of coming batches made ahead on threads, handed out step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pixio_edge.training.objective import Batch, Item, Rows

# Steps that are made ahead: enough to hide one slow file, few enough to fit into memory.
PREFETCH = 3


def stream(
    rows: Rows[Item, Batch], *, steps: range, parts: Sequence[range], workers: int = 1
) -> Generator[tuple[Batch, ...], None, None]:
    """Batches of a range of steps in order.

    Args:
        rows: Makes images; what a row of a step is does not depend on threads.
        steps: Steps to make batches for.
        parts: Which rows of each batch, in parts that become a batch of their own each.
        workers: Threads.

    Yields:
        The parts of one step.

    Raises:
        InputError: A file is missing or damaged.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:

        def submit(step: int) -> list[list[Future[Item]]]:
            return [[pool.submit(rows.make, step, row) for row in part] for part in parts]

        pending = deque(submit(step) for step in steps[:PREFETCH])
        try:
            for position in range(len(steps)):
                made = [[future.result() for future in part] for part in pending.popleft()]
                if position + PREFETCH < len(steps):
                    pending.append(submit(steps[position + PREFETCH]))
                yield tuple(rows.collate(items) for items in made)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def make_batches(rows: Rows[Item, Batch], batch: int, *, steps: range) -> list[Batch]:
    """Whole batches of a few steps, made here and kept: what a run is measured on.

    Args:
        rows: Makes images.
        batch: Rows of each.
        steps: Steps to make batches for.

    Raises:
        InputError: A file is missing or damaged.
    """
    return [rows.collate([rows.make(step, row) for row in range(batch)]) for step in steps]
