"""Where to render and train."""

from __future__ import annotations

import torch

from pixio_edge.errors import InputError


def open_device(name: str, *, threads: int | None = None) -> torch.device:
    """Choose a device by name and set the number of CPU threads of torch.

    Args:
        name: "cpu" or "cuda".
        threads: For this whole process; None leaves it to torch.

    Raises:
        InputError: It is neither the CPU nor a GPU that torch sees.
    """
    has_cuda = torch.cuda.is_available()
    if name not in ("cpu", "cuda") or (name == "cuda" and not has_cuda):
        expected = "cpu or cuda" if has_cuda else "cpu, as torch sees no GPU here"
        raise InputError(f"device: got '{name}', expected {expected}. Fix: use cpu")
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.device(name)
