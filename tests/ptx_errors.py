"""What can go wrong while PTX runs in the emulator: one type per checker, so that a test can ask for exactly one."""


class PtxError(Exception):
    """A kernel did something that it must not do; the message names the instruction and its line in the PTX.

    Attributes:
        where: The instruction with its line, set by the scheduler that ran it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.where = ""

    def __str__(self) -> str:
        return f"{self.args[0]} [{self.where}]" if self.where else str(self.args[0])


class UnknownInstructionError(PtxError):
    """The emulator has no meaning for this instruction or one of its qualifiers."""


class OutOfBoundsError(PtxError):
    """An access outside every buffer of its state space."""


class MisalignedError(PtxError):
    """An access whose address is not a multiple of its size (PTX ISA, "Addresses as Operands")."""


class RaceError(PtxError):
    """Two threads touch the same byte, one of them writes, and nothing orders the two accesses."""


class UninitialisedError(PtxError):
    """A read of bytes that nobody has written."""


class AsyncCopyError(PtxError):
    """The destination of a cp.async is touched before the issuing thread has waited for it."""


class DivergenceError(PtxError):
    """Not all threads of the warp or block that an instruction needs arrive at it."""
