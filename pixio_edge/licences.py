"""The one place that refuses weights whose licence forbids commercial use, when the user insists on that.

`pixio-edge --require-commercial VERB`, or PIXIO_EDGE_REQUIRE_COMMERCIAL=1 for everything below a shell. A student
inherits the terms of its teacher: whoever exports it states them, and the manifest carries them on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge import env
from pixio_edge.errors import LicenceError

if TYPE_CHECKING:
    from pixio_edge.manifest import LicenceEntry


def check_commercial(licence: LicenceEntry, *, what: str, insist: bool | None = None) -> None:
    """Refuse weights that may not be used commercially, if that is insisted on.

    Args:
        licence: Terms of the weights.
        what: What they are, for the message.
        insist: Whether commercial use has to be allowed; None takes PIXIO_EDGE_REQUIRE_COMMERCIAL.

    Raises:
        LicenceError: It is insisted on, and it is not.
        InputError: The environment variable is neither yes nor no.
    """
    if licence.commercial or not (env.require_commercial() if insist is None else insist):
        return
    raise LicenceError(
        f"{what}: licence {licence.weights} forbids commercial use, expected one that allows it (--require-commercial "
        "or PIXIO_EDGE_REQUIRE_COMMERCIAL is set). Fix: use other weights, or unset it for noncommercial use"
    )
