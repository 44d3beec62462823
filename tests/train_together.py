"""Several processes that train one tiny model together on the CPU, without the seconds that a launcher needs."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pixio_edge.errors import PixioEdgeError
from pixio_edge.training.processes import Processes
from pixio_edge.training.supervised import train

# Long for a loaded runner; a process that hangs must fail its test and not the whole run.
TIMEOUT_S = 120


def train_together(
    config: Any, run: Path, *, count: int, broken: int | None = None, verb: Callable[..., nn.Module] = train
) -> list[dict[str, Any]]:
    """Train in `count` processes; what each ended with: its weights, or the name and message of its error.

    `broken` names a process that gets other data, which does not exist; `verb` is what is called with `config`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pixio_edge.training.supervised"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = [
        context.Process(target=_train_rank, args=((rank, count, port), config, run, rank == broken, verb))
        for rank in range(count)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(TIMEOUT_S)
    hanging = [rank for rank, process in enumerate(ranks) if process.is_alive()]
    for rank in hanging:
        ranks[rank].kill()
    assert not hanging
    return [_outcome(run, rank) for rank in range(count)]


def _train_rank(
    place: tuple[int, int, int], config: Any, run: Path, is_broken: bool, verb: Callable[..., nn.Module]
) -> None:
    rank, count, port = place
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before accelerate warns that it sets them
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    processes = Processes("cpu")
    assert processes.count == count
    if is_broken:
        object.__setattr__(config, "pool", Path("nowhere"))
    try:
        model = verb(config, run, processes=processes)
    except PixioEdgeError as error:
        _error_path(run, rank).write_text(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return
    torch.save(model.state_dict(), _weights_path(run, rank))


def _outcome(run: Path, rank: int) -> dict[str, Any]:
    if _error_path(run, rank).exists():
        error: dict[str, Any] = json.loads(_error_path(run, rank).read_text())
        return error
    return {"weights": torch.load(_weights_path(run, rank), weights_only=True)}


def _weights_path(run: Path, rank: int) -> Path:
    return run.with_name(f"{run.name}-{rank}.pt")


def _error_path(run: Path, rank: int) -> Path:
    return run.with_name(f"{run.name}-{rank}.json")
