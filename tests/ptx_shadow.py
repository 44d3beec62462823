"""Who touched a byte last and when: the happens-before test behind the race checks.

The order that is accepted is the one the CUDA programming guide gives: an access is before another when the same thread
made both, when a barrier for both warps (bar.sync, also with a thread count) lies between them, or, inside one warp, a
bar.warp.sync (__syncwarp). Shuffles and votes are not in that list: the guide, "Warp Shuffle Functions", says that they
imply no memory barrier; neither do mma and ldmatrix. Blocks are never ordered. Barriers are followed with one vector
clock for each warp, so that order through a third warp counts, and order that only another group of warps has does not.
"""

import numpy as np
from ptx_errors import RaceError

WARP = 32
NOBODY = np.int64(-1)
_TIME_BITS, _PLACE_BITS, _THREAD_BITS = 20, 16, 23
_TIME = np.int64((1 << _TIME_BITS) - 1)
_PLACE = np.int64((1 << _PLACE_BITS) - 1)
_THREAD_SHIFT = _TIME_BITS + _PLACE_BITS
_THREAD = np.int64((1 << _THREAD_BITS) - 1)
_ATOMIC = np.int64(1) << 59
_SEVERAL_LANES, _SEVERAL_WARPS, _SEVERAL_BLOCKS = np.int64(1) << 60, np.int64(1) << 61, np.int64(1) << 62
_SEVERAL = _SEVERAL_LANES | _SEVERAL_WARPS | _SEVERAL_BLOCKS


class Clock:
    """Time that counts barriers, and ``seen[w, v]``: warp w knows all that warp v of its block did before that time."""

    def __init__(self, thread: np.ndarray, lanes_per_block: int, now: int) -> None:
        self.thread = thread.astype(np.int64)
        self.lanes_per_block = lanes_per_block
        self.warps_per_block = lanes_per_block // WARP
        self.now = np.int64(now)
        self.seen = np.zeros((len(thread) // WARP, self.warps_per_block), np.int64)

    def join_blocks(self, lanes: np.ndarray | slice) -> None:
        """A barrier of whole blocks, whose lanes these are."""
        self._tick()
        self.seen[self._warps(lanes)] = self.now

    def join(self, lanes: np.ndarray) -> None:
        """A barrier of some warps of one block, whose lanes these are."""
        self._tick()
        rows = self._warps(lanes)
        merged = self.seen[rows].max(0)
        merged[rows % self.warps_per_block] = self.now
        self.seen[rows] = merged

    def join_lanes(self, lanes: np.ndarray | slice) -> None:
        """A barrier inside each of the warps, whose lanes these are."""
        self._tick()
        rows = self._warps(lanes)
        self.seen[rows, rows % self.warps_per_block] = self.now

    def _warps(self, lanes: np.ndarray | slice) -> np.ndarray:
        return np.unique(np.arange(len(self.thread))[lanes] // WARP)

    def _tick(self) -> None:
        self.now += 1
        if self.now >= _TIME:
            raise OverflowError("the race checker counts no more than a million barriers: use check_races=False")


class Accessors:
    """The threads behind the units of one access.

    ``collective`` is an access by the whole warp through addresses of single lanes (ldmatrix): even what the lane that
    holds the address wrote itself needs a barrier, because the other lanes receive it.
    """

    __slots__ = ("clock", "collective", "key", "row", "thread")

    def __init__(self, clock: Clock, lanes: np.ndarray | slice, place: int, repeat: int, *, collective: bool) -> None:
        self.clock = clock
        self.thread = np.repeat(clock.thread[lanes], repeat)
        self.row = np.repeat(np.arange(len(clock.thread))[lanes] // WARP, repeat)
        self.key = (self.thread << _THREAD_SHIFT) | np.int64(min(place, int(_PLACE)) << _TIME_BITS) | clock.now
        self.collective = collective

    def name(self, thread: int) -> str:
        lanes = self.clock.lanes_per_block
        return f"thread {thread % lanes} of block {thread // lanes}"


class Shadow:
    """The last writer and the readers since then, for every unit of one memory region.

    Readers are one key, of the latest, and the warps they belong to.
    """

    def __init__(self, units: int) -> None:
        self.writer = np.full(units, NOBODY)
        self.reader = np.full(units, NOBODY)
        self.reading_warps = np.zeros(units, np.uint32)

    def read(self, units: np.ndarray, who: Accessors) -> None:
        """Record reads.

        Raises:
            RaceError: A writer is not ordered before one of them.
        """
        self._check_writer(units, who, "reads", atomic=False)
        before = self.reader[units]
        self.reader[units] = who.key
        mine = np.uint32(1) << (who.row % who.clock.warps_per_block).astype(np.uint32)
        now = self.reader[units]
        shared = (now != who.key) | ((before != NOBODY) & (before >> _TIME_BITS != who.key >> _TIME_BITS))
        if who.collective or shared.any():
            self._mark_shared(units, before, now, mine, who)
        else:
            self.reading_warps[units] = mine

    def write(self, units: np.ndarray, who: Accessors, *, atomic: bool = False) -> None:
        """Record writes.

        Raises:
            RaceError: A reader or writer is not ordered before one of them.
        """
        self._check_writer(units, who, "writes", atomic=atomic)
        readers = self.reader[units]
        present = readers != NOBODY
        if present.any():
            bad = present & ~_ordered(readers, who, self.reading_warps[units])
            if bad.any():
                _raise(who, readers, bad, "writes", "read")
        key = who.key | _ATOMIC if atomic else who.key
        self.writer[units] = key
        self.reader[units] = NOBODY
        self.reading_warps[units] = 0
        if not atomic and (bad := self.writer[units] != key).any():
            _raise(who, self.writer[units], bad, "writes", "writes in the same instruction")

    def _check_writer(self, units: np.ndarray, who: Accessors, verb: str, *, atomic: bool) -> None:
        writers = self.writer[units]
        present = writers != NOBODY
        if not present.any():
            return
        bad = present & ~_ordered(writers, who, None)
        if atomic:
            bad &= (writers & _ATOMIC) == 0
        if bad.any():
            _raise(who, writers, bad, verb, "wrote")

    def _mark_shared(
        self, units: np.ndarray, before: np.ndarray, now: np.ndarray, mine: np.ndarray, who: Accessors
    ) -> None:
        """Keep how far apart the readers of a unit are: it decides which barriers order them all."""
        wide = np.where(before != NOBODY, before & _SEVERAL, 0)
        lanes = who.clock.lanes_per_block
        for other in (before, now):
            thread = (other >> _THREAD_SHIFT) & _THREAD
            present = other != NOBODY
            wide |= np.where(present & (thread != who.thread), _SEVERAL_LANES, 0)
            wide |= np.where(present & (thread // WARP != who.thread // WARP), _SEVERAL_WARPS, 0)
            wide |= np.where(present & (thread // lanes != who.thread // lanes), _SEVERAL_BLOCKS, 0)
        if who.collective:
            wide |= _SEVERAL_LANES
        np.bitwise_or.at(self.reader, units, wide)
        np.bitwise_or.at(self.reading_warps, units, mine)


def _ordered(keys: np.ndarray, who: Accessors, warps: np.ndarray | None) -> np.ndarray:
    """Whether the accesses of ``keys`` happened before those of ``who``; meaningless where a key is NOBODY."""
    clock = who.clock
    thread = (keys >> _THREAD_SHIFT) & _THREAD
    time = keys & _TIME
    warp = thread // WARP
    same_block = thread // clock.lanes_per_block == who.thread // clock.lanes_per_block
    ordered = same_block & (time < clock.seen[who.row, warp % clock.warps_per_block])
    if warps is None:
        return ordered if who.collective else ordered | (thread == who.thread)
    ordered |= (thread == who.thread) & ((keys & _SEVERAL) == 0)
    if (many := np.flatnonzero(keys & _SEVERAL_WARPS)).size:
        reads = (warps[many, None] >> np.arange(clock.warps_per_block, dtype=np.uint32)) & 1 != 0
        known = (time[many, None] < clock.seen[who.row[many]]) | ~reads
        ordered[many] = known.all(1) & ((keys[many] & _SEVERAL_BLOCKS) == 0)
    return ordered


def _raise(who: Accessors, keys: np.ndarray, bad: np.ndarray, verb: str, other: str) -> None:
    first = int(np.flatnonzero(bad)[0])
    key = int(keys[first])
    mine, theirs = who.name(int(who.thread[first])), who.name((key >> _THREAD_SHIFT) & int(_THREAD))
    error = RaceError(f"race: {mine} {verb} what {theirs} {other}, without a barrier between")
    error.other_place = (key >> _TIME_BITS) & int(_PLACE)
    raise error
