"""Memory of the emulated device: regions with bounds, alignment, initialisation, pending copies and races.

Every check works on units, the smallest access that the kernel makes in that state space: accesses are aligned to their
size (PTX ISA, "Addresses as Operands"), so that a unit is touched whole or not at all, and the check is exact per byte.
"""

import numpy as np
from ptx_errors import AsyncCopyError, MisalignedError, OutOfBoundsError, UninitialisedError
from ptx_shadow import Accessors, Shadow

POISON = 0xFF  # repeated, this is a NaN in fp16, bf16 and fp32, and -1 as an integer
GLOBAL_BASE = 0x7F_0000_0000_00
GUARD = 1 << 20
SHARED_WINDOW = 0x0100_0000_0000_0000
LOCAL_WINDOW = 0x0200_0000_0000_0000
VIEWS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Region:
    """``copies`` pieces of memory of ``size`` bytes each: one for a buffer, one for each block or thread otherwise."""

    def __init__(self, name: str, size: int, *, copies: int = 1, base: int = 0, unit: int = 1) -> None:
        self.name, self.size, self.base, self.unit = name, size, base, unit
        self.stride = -(-max(size, 1) // 16) * 16
        self.bytes = np.full(copies * self.stride, POISON, np.uint8)
        self.views = {width: self.bytes.view(dtype) for width, dtype in VIEWS.items()}
        self.initialised: np.ndarray | None = np.zeros(len(self.bytes) // unit, bool)
        self.pending = np.zeros(len(self.bytes) // unit, bool)
        self.pending_count = 0
        self._shadow: Shadow | None = None
        self.read_only = False

    def fill(self, data: bytes | np.ndarray) -> None:
        """Give a single-copy region its contents; all of it counts as initialised."""
        self.bytes[: len(data)] = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        self.initialised = None

    @property
    def shadow(self) -> Shadow:
        if self._shadow is None:
            self._shadow = Shadow(len(self.bytes) // self.unit)
        return self._shadow

    def offsets(
        self, addresses: np.ndarray, size: int, copy: np.ndarray | None, *, multiple: int | None = None
    ) -> np.ndarray:
        """Byte offsets into ``bytes`` of accesses of ``size`` bytes at int64 addresses, multiples of ``multiple``.

        Raises:
            OutOfBoundsError: One of them is not inside.
            MisalignedError: One of them is not a multiple of ``multiple``, by default ``size``.
        """
        multiple = multiple or size
        offsets = addresses - self.base
        if int(offsets.min()) < 0 or int(offsets.max()) > self.size - size:
            bad = int(np.flatnonzero((offsets < 0) | (offsets > self.size - size))[0])
            raise OutOfBoundsError(
                f"{size} bytes at byte {int(offsets[bad])} of {self.name}, which has {self.size} bytes (access {bad})"
            )
        if (offsets & (multiple - 1)).any():
            bad = int(np.flatnonzero(offsets & (multiple - 1))[0])
            raise MisalignedError(f"an access to byte {int(offsets[bad])} of {self.name}: not a multiple of {multiple}")
        return offsets if copy is None else offsets + copy * self.stride

    def units(self, offsets: np.ndarray, size: int) -> np.ndarray:
        """The units of accesses of ``size`` bytes, those of one access beside each other."""
        first = offsets // self.unit
        many = size // self.unit
        return first if many == 1 else (first[:, None] + np.arange(many)).ravel()

    def check_read(self, offsets: np.ndarray, size: int, who: Accessors | None) -> None:
        units = self.units(offsets, size)
        self._check_pending(units, "read")
        if self.initialised is not None and not self.initialised[units].all():
            bad = int(units[np.flatnonzero(~self.initialised[units])[0]]) * self.unit
            raise UninitialisedError(f"byte {bad % self.stride} of {self.name} is read but was never written")
        if who is not None:
            self.shadow.read(units, who)

    def check_write(self, offsets: np.ndarray, size: int, who: Accessors | None, *, atomic: bool = False) -> None:
        if self.read_only:
            raise OutOfBoundsError(f"a write to {self.name}, which is read only")
        units = self.units(offsets, size)
        self._check_pending(units, "written")
        if self.initialised is not None:
            self.initialised[units] = True
        if who is not None:
            self.shadow.write(units, who, atomic=atomic)

    def begin_async(self, offsets: np.ndarray, size: int, who: Accessors | None) -> None:
        """A cp.async to here starts: its bytes are poison until its issuing thread has waited."""
        units = self.units(offsets, size)
        self._check_pending(units, "written")
        if who is not None:
            self.shadow.write(units, who)
        self.pending[units] = True
        self.pending_count += len(offsets)

    def end_async(self, offsets: np.ndarray, size: int, who: Accessors | None) -> None:
        """The wait of the issuing thread has passed: from here on it is an ordinary write of that thread."""
        units = self.units(offsets, size)
        self.pending[units] = False
        self.pending_count -= len(offsets)
        if self.initialised is not None:
            self.initialised[units] = True
        if who is not None:
            self.shadow.write(units, who)

    def _check_pending(self, units: np.ndarray, verb: str) -> None:
        if self.pending_count and self.pending[units].any():
            bad = int(units[np.flatnonzero(self.pending[units])[0]]) * self.unit
            raise AsyncCopyError(f"byte {bad % self.stride} of {self.name} is {verb} before cp.async was waited for")


class GlobalMemory:
    """The buffers of a launch and the variables of the module, far apart in one address space."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.regions: list[Region] = []
        self.recent: Region | None = None
        self._next = GLOBAL_BASE

    def add(self, name: str, size: int) -> Region:
        region = Region(name, size, base=self._next, unit=self.unit)
        self._next += -(-size // 256) * 256 + GUARD
        self.regions.append(region)
        self.recent = region
        return region

    def find(self, addresses: np.ndarray) -> Region:
        """The region that holds all the addresses.

        Raises:
            OutOfBoundsError: They are in no buffer, or in several; `split` handles the latter.
        """
        first = int(addresses[0])
        recent = self.recent
        if recent is not None and 0 <= first - recent.base < recent.size:
            return recent
        for region in self.regions:
            if -GUARD // 2 <= first - region.base < region.size + GUARD // 2:
                self.recent = region
                return region
        raise OutOfBoundsError(f"address {first:#x} is in no buffer (a null or uninitialised pointer?)")
