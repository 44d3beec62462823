"""What a training run keeps on disk: its values, its log, its last state and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pixio_edge.errors import InputError
from pixio_edge.files import atomic_path, create_folder, write_text_atomic

CONFIG, LOG, STATE, WEIGHTS, CURVE = "config.json", "log.jsonl", "checkpoint.pt", "model.safetensors", "curve.png"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder that one run owns.

    Attributes:
        path: The folder; `claim` creates it.
    """

    path: Path

    @property
    def weights(self) -> Path:
        """Averaged weights, safetensors with the model's shape."""
        return self.path / WEIGHTS

    @property
    def curve(self) -> Path:
        """The log as a plot, PNG."""
        return self.path / CURVE

    def claim(self, config: Mapping[str, Any]) -> None:
        """Note the values of a new run, or check that they are those of the run that the folder holds.

        Args:
            config: What a resumed run has to have in common with its beginning, as JSON values.

        Raises:
            InputError: The folder holds a run with other values.
            OutputError: The folder cannot be written.
        """
        self.check(config)
        create_folder(self.path)
        if not (self.path / CONFIG).exists():
            write_text_atomic(self.path / CONFIG, json.dumps(config, indent=1) + "\n")

    def check(self, config: Mapping[str, Any]) -> None:
        """Check that the folder holds no run, or one with these values.

        Args:
            config: As for `claim`.

        Raises:
            InputError: The folder holds a run with other values.
        """
        record = self.path / CONFIG
        if not record.exists():
            return
        found = json.loads(record.read_text(encoding="utf-8"))
        changed = sorted(key for key in {*config, *found} if config.get(key) != found.get(key))
        if changed:
            raise InputError(
                f"run '{self.path}': got other values for {', '.join(changed)} than the run was started with, expected "
                f"the same. Fix: use another folder, or the values in {CONFIG}"
            )

    def steps_done(self) -> int:
        """Step of the last state, 0 before the first.

        Raises:
            InputError: The file is damaged.
        """
        state = self.load_state(torch.device("cpu"))
        return int(state["step"]) if state else 0

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add one line of values, with the `step` that they belong to, to the log."""
        with (self.path / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """All lines of the log in order; empty before the first."""
        path = self.path / LOG
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def cut_log(self, step: int) -> None:
        """Drop what was logged after a step, and half a line that a killed run may have left.

        Raises:
            OutputError: The folder cannot be written.
        """
        path = self.path / LOG
        if path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
            write_text_atomic(path, "".join(f"{line}\n" for line in kept))

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Replace the last state by a new one.

        Args:
            state: Tensors and plain values, nested as state dicts are.

        Raises:
            OutputError: The folder cannot be written.
        """
        with atomic_path(self.path / STATE) as temporary:
            torch.save(dict(state), temporary)

    def load_state(self, device: torch.device) -> dict[str, Any] | None:
        """The last state, its tensors on `device`, or None before the first; no code in the file is run.

        Raises:
            InputError: The file is damaged.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # a damaged file raises whatever its bytes lead to
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"run '{path}': cannot be read ({reason}). Fix: delete it to start anew") from error
        return state


def _step_of(line: str) -> float:
    """Step of a log line, beyond all steps if it is not whole."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")
