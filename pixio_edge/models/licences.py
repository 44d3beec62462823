"""Terms of the published weights behind a preset."""

from __future__ import annotations

from pixio_edge.manifest import LicenceEntry
from pixio_edge.weights.catalogue import CATALOGUE


def licence_of_preset(preset: str) -> LicenceEntry | None:
    """Terms of the weights that were published for a preset, or of the encoder that its weights derive from.

    Args:
        preset: Such as "depth-anything-v2-small", or "pixio-vitb16-indoor", whose head users train on the published
            encoder, and whose terms are therefore the encoder's.

    Returns:
        None for our students, whose terms depend on what they were trained on, and for Depth Anything V2's metric
        models, whose terms are to be read where they were published.
    """
    for weights in CATALOGUE:
        if preset == weights.name or preset.startswith(f"{weights.name}-"):
            return weights.terms.to_entry()
    return None
