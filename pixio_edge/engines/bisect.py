"""Which nodes have to compute in fp32 so that an engine is finite and in parity.

What breaks in fp16 is a stretch of the graph: a value that is too large, and everything up to the node that makes it
small again. Nodes are looked at in graph order. Two binary searches find the end and the beginning of the stretch, with
one build for each step, and what builds are left take nodes out of it that are not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

DEFAULT_BUILDS = 24
"""Two searches among the 200 nodes of a ViT-S take 16 builds; the rest is for the nodes between two bad ones. At a
minute for each on an Orin this is as long as people wait."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What a search found.

    Args:
        nodes: Names that compute in fp32, in graph order: the last set that was built and passed.
        builds: How many engines were built for it.
    """

    nodes: tuple[str, ...]
    builds: int


class _OutOfBuildsError(Exception):
    """The search ends with the best set so far."""


class _Search:
    def __init__(self, nodes: Sequence[str], passes: Callable[[tuple[str, ...]], bool], limit: int) -> None:
        self.best = tuple(nodes)
        self.builds = 0
        self._nodes = tuple(nodes)
        self._passes = passes
        self._limit = limit

    def tries(self, chosen: Sequence[str]) -> bool:
        """Build once; remember a smaller set that passes."""
        if self.builds >= self._limit:
            raise _OutOfBuildsError
        self.builds += 1
        if not self._passes(tuple(chosen)):
            return False
        if len(chosen) < len(self.best):
            self.best = tuple(chosen)
        return True

    def narrow(self) -> None:
        """The shortest passing beginning of the graph, and of that the shortest passing end."""
        low, high = 0, len(self._nodes)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.tries(self._nodes[:middle]) else (middle, high)
        end = high
        low, high = 0, end
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.tries(self._nodes[middle:end]) else (low, middle)

    def shrink(self) -> None:
        """Leave out parts, from halves to single nodes (delta debugging, Zeller and Hildebrandt 2002)."""
        parts = 2
        while len(self.best) > 1:
            kept = self.best
            size = -(-len(kept) // parts)
            for start in range(0, len(kept), size):
                if self.tries(kept[:start] + kept[start + size :]):
                    parts = max(2, parts - 1)
                    break
            else:
                if size == 1:
                    return
                parts = min(len(kept), parts * 2)


def find_pins(
    nodes: Sequence[str], passes: Callable[[tuple[str, ...]], bool], *, max_builds: int = DEFAULT_BUILDS
) -> Pins | None:
    """Find a small set of nodes that have to compute in fp32.

    Args:
        nodes: Names of all that may be pinned, in graph order. Without any of them the engine is known to fail.
        passes: Builds an engine with these nodes in fp32, runs it, and says whether it is finite and in parity.
        max_builds: After as many the smallest set so far is the answer.

    Returns:
        None if the engine fails with all of them in fp32 as well: then precision is not the reason.
    """
    search = _Search(nodes, passes, max_builds)
    if not nodes or not search.tries(nodes):
        return None if search.builds or not nodes else Pins((), 0)
    try:
        search.narrow()
        search.shrink()
    except _OutOfBuildsError:
        pass
    return Pins(search.best, search.builds)
