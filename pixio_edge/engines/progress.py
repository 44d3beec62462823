"""How far a build is, from the nested phases that TensorRT reports."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from pixio_edge.engines.build import Progress
    from pixio_edge.engines.interruption import Interruption


@dataclass(slots=True)
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class PhaseTree:
    """Phases that are under way: each has a number of steps, and a phase inside it is a part of its current step."""

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {}
        self._highest = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        self._phases[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, index: int) -> None:
        """A step of a phase is done, counted from 0."""
        if name in self._phases:
            self._phases[name].done = max(self._phases[name].done, index + 1)

    def finish(self, name: str) -> None:
        """A phase is over; its parent reports the step."""
        self._phases.pop(name, None)

    @property
    def share(self) -> float:
        """Of all the work, 0..1; it never goes back, though phases that come later may be announced late."""
        shares = dict.fromkeys(self._phases, 0.0)
        # Children begin after their parents, so from the last to the first every child is known before its parent.
        for name in reversed(self._phases):
            phase = self._phases[name]
            own = min(1.0, (min(phase.done, phase.steps) + shares[name]) / phase.steps)
            if phase.parent in shares:
                shares[phase.parent] = max(shares[phase.parent], own)
            else:
                self._highest = max(self._highest, own)
        return self._highest

    @property
    def label(self) -> str:
        """Name of the phase that began last."""
        return next(reversed(self._phases), "")


def make_monitor(library: ModuleType, interruption: Interruption, progress: Progress | None) -> Any:
    """An IProgressMonitor that reports, and cancels the build after an interruption.

    The library may call it from several threads.
    """

    class Monitor(library.IProgressMonitor):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            # The base class is of C++ and has to be constructed by name.
            library.IProgressMonitor.__init__(self)
            self._tree, self._lock = PhaseTree(), Lock()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock:
                self._tree.start(phase_name, parent_phase, num_steps)
                self._report()

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._lock:
                self._tree.step(phase_name, step)
                self._report()
            return not interruption.is_made

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                self._tree.finish(phase_name)

        def _report(self) -> None:
            if progress is not None:
                progress(self._tree.share, self._tree.label)

    return Monitor()
