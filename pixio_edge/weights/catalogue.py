"""The weights that `pixio-edge pull` knows by name, with their terms."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from pixio_edge.errors import InputError
from pixio_edge.manifest import LicenceEntry

SUFFIXES = (".safetensors", ".pth")
BYTES_PER_PARAMETER = 4  # float32


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence as a person has to know it.

    Args:
        name: SPDX identifier, or its title where it has none.
        commercial: Whether commercial use is allowed.
        summary: What it asks, in a sentence of ours; the text itself is what counts.
        url: Where the text is.
    """

    name: str
    commercial: bool
    summary: str
    url: str

    def to_entry(self) -> LicenceEntry:
        """The same as a manifest records it."""
        return LicenceEntry(weights=self.name, commercial=self.commercial, notice=f"{self.summary} {self.url}")


@dataclass(frozen=True, slots=True)
class Weights:
    """One published file.

    Args:
        name: What the user types.
        what: What the file holds.
        repository: Owner and name on the Hugging Face hub.
        file: Name of the file in it.
        parameters: Number of weights, the encoder's alone for an encoder.
        terms: Its licence.
        gated: Whether the owner has to let each account in.
        commit: Commit to take it from; None where none was recorded, and the first pull pins what it found.
        sha256: Its content; None as for `commit`.
    """

    name: str
    what: str
    repository: str
    file: str
    parameters: int
    terms: Terms
    gated: bool = False
    commit: str | None = None
    sha256: str | None = None

    @property
    def bytes_about(self) -> int:
        """Size if every parameter is a float32; the hub says the exact one before a download begins."""
        return self.parameters * BYTES_PER_PARAMETER

    @property
    def page(self) -> str:
        """Where access to a gated repository is asked for."""
        return f"https://huggingface.co/{self.repository}"


FAIR_NONCOMMERCIAL = Terms(
    "FAIR Noncommercial Research License v1",
    commercial=False,
    summary="Noncommercial research only, and so for everything derived from the weights or computed with them; "
    "passed on only under the same agreement, and named in publications.",
    url="https://github.com/facebookresearch/pixio/blob/main/LICENSE",
)
CC_BY_NC = Terms(
    "CC-BY-NC-4.0",
    commercial=False,
    summary="Noncommercial use only, with credit to the authors.",
    url="https://creativecommons.org/licenses/by-nc/4.0/",
)
APACHE = Terms(
    "Apache-2.0",
    commercial=True,
    summary="Any use, with the licence and the notices kept.",
    url="https://www.apache.org/licenses/LICENSE-2.0",
)


def _pixio(size: str, parameters: int) -> Weights:
    return Weights(
        name=f"pixio-{size}",
        what="Pixio encoder",
        repository=f"facebook/pixio-{size}",
        file=f"pixio_{size}.pth",
        parameters=parameters,
        terms=FAIR_NONCOMMERCIAL,
        gated=True,
    )


def _depth_anything(size: str, parameters: int, terms: Terms) -> tuple[Weights, Weights]:
    """The authors' checkpoint and the same weights under the names of transformers."""
    name, repository = f"depth-anything-v2-{size.lower()}", f"depth-anything/Depth-Anything-V2-{size}"
    original = f"depth_anything_v2_vit{size[0].lower()}.pth"
    what = "Depth Anything V2, relative depth"
    return (
        Weights(name, what, repository, original, parameters, terms),
        Weights(f"{name}-hf", f"{what} (transformers)", f"{repository}-hf", "model.safetensors", parameters, terms),
    )


# Counts of Pixio are those of the encoder, computed from its shape and equal to what the hub states.
# The metric Depth Anything V2 models are left out until their terms are as plain as these.
CATALOGUE: tuple[Weights, ...] = (
    _pixio("vitb16", 85_855_488),
    _pixio("vitl16", 303_377_408),
    _pixio("vith16", 631_013_120),
    _pixio("vit1b16", 1_361_515_008),
    _pixio("vit5b16", 5_440_939_008),
    *_depth_anything("Small", 24_785_089, APACHE),
    *_depth_anything("Base", 97_500_000, CC_BY_NC),
    *_depth_anything("Large", 335_300_000, CC_BY_NC),
)


def find_weights(name: str) -> Weights:
    """Look weights up by name.

    Raises:
        InputError: None are known by that name.
    """
    names = [weights.name for weights in CATALOGUE]
    if name in names:
        return CATALOGUE[names.index(name)]
    near = get_close_matches(name, names, n=1)
    fix = f"did you mean {near[0]}?" if near else "pixio-edge pull --list shows them"
    raise InputError(f"weights '{name}': unknown, expected one of {', '.join(names)}. Fix: {fix}")
