"""Who made the textures that scenes were rendered with, as the licences of the images ask to be said.

Weights do not contain the images. Whoever ships such weights, or renders, ships this text with them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pixio_edge.errors import InputError
from pixio_edge.files import write_text_atomic
from pixio_edge.scenes.library import Library
from pixio_edge.scenes.render import sample_scene
from pixio_edge.scenes.scene import VIEWS
from pixio_edge.scenes.texture_folder import TextureImage, list_textures
from pixio_edge.scenes.textures import TextureAtlas

CREATIVE_COMMONS = "https://creativecommons.org/licenses"


@dataclass(frozen=True, slots=True)
class Licence:
    """What a licence asks for.

    Attributes:
        url: Its text.
        per_image: Every image is named with author and source; else each source once.
        note: One sentence on what it asks for.
    """

    url: str
    per_image: bool
    note: str


_FREE = "No attribution is required; given with thanks."
_BY = "Attribution: author and source are named below; the changes are those at the top of this file."
_BY_SA = f"{_BY} Share-alike: adaptations of these images that are shared carry the same licence."
_MIT = "The notice at the end of this file applies, with the copyright holders named here."
LICENCES: dict[str, Licence] = {
    "CC0-1.0": Licence("https://creativecommons.org/publicdomain/zero/1.0/", False, _FREE),
    "CC0-1.0 (Unsplash before 2017-06-08)": Licence("https://creativecommons.org/publicdomain/zero/1.0/", False, _FREE),
    "CC BY 2.0": Licence(f"{CREATIVE_COMMONS}/by/2.0/", True, _BY),
    "CC BY 3.0": Licence(f"{CREATIVE_COMMONS}/by/3.0/", True, _BY),
    "CC BY 4.0": Licence(f"{CREATIVE_COMMONS}/by/4.0/", True, _BY),
    "CC BY-SA 2.0": Licence(f"{CREATIVE_COMMONS}/by-sa/2.0/", True, _BY_SA),
    "CC BY-SA 3.0": Licence(f"{CREATIVE_COMMONS}/by-sa/3.0/", True, _BY_SA),
    "CC BY-SA 4.0": Licence(f"{CREATIVE_COMMONS}/by-sa/4.0/", True, _BY_SA),
    "CC BY-SA (version not stated)": Licence("https://creativecommons.org/share-your-work/cclicenses/", True, _BY_SA),
    "MIT": Licence("https://opensource.org/license/mit", False, _MIT),
    "MIT (repo LICENSE); upstream Amazon Lumberyard Bistro": Licence("https://opensource.org/license/mit", False, _MIT),
    "MIT-0": Licence("https://opensource.org/license/mit-0", False, _FREE),
    "Unsplash License": Licence("https://unsplash.com/license", False, _FREE),
    "Unsplash (repo: public domain)": Licence("https://unsplash.com/license", False, _FREE),
    "Public domain": Licence("https://creativecommons.org/publicdomain/mark/1.0/", False, _FREE),
    "Public domain (artist dead > 70 years)": Licence(
        "https://creativecommons.org/publicdomain/mark/1.0/", False, _FREE
    ),
    "No known copyright restrictions (Flickr Commons)": Licence("https://www.flickr.com/commons/usage/", False, _FREE),
}

_INTRODUCTION = """\
# Attribution of texture images

Training scenes were rendered with the images below as surfaces, pictures and skies. The images themselves are not part
of this distribution. Every image was changed: cropped, resized, recompressed, and rendered as surface texture or
backdrop.
"""

_MIT_NOTICE = """\
## MIT licence text

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def write_attribution(folder: Path, destination: Path, *, used: Collection[str] | None = None) -> int:
    """Write the attribution of a texture folder as Markdown, grouped by licence; no path of this host appears in it.

    Args:
        folder: Textures with `index.csv` files that have licences, see `texture_folder`.
        destination: The file.
        used: Only these images, as paths below the folder (`drawn_textures`); None: all that an atlas loads.

    Returns:
        Number of images in the file.

    Raises:
        InputError: An image has a licence that is not in `LICENCES`, or lacks the source or author that it asks for.
        OutputError: The file cannot be written.
    """
    images = [image for image in list_textures(folder) if used is None or str(image.file) in used]
    groups: dict[str, list[TextureImage]] = {name: [] for name in LICENCES}
    for image in images:
        _check(image)
        groups[image.licence].append(image)
    sections = [_section(name, group) for name, group in groups.items() if group]
    if any(group for name, group in groups.items() if LICENCES[name].note == _MIT):
        sections.append(_MIT_NOTICE)
    write_text_atomic(destination, "\n".join([_INTRODUCTION, *sections]))
    return len(images)


def drawn_textures(
    seed: int, images: int, atlas: TextureAtlas, library: Library, layouts: Mapping[str, float] | None = None
) -> frozenset[str]:
    """Images that the scenes of a pool have on them, seen or hidden, as paths below the texture folder.

    Args:
        seed: Seed of the pool.
        images: Number of its images; some milliseconds for each scene of `VIEWS` of them.
        atlas: Textures of the pool.
        library: Models of the pool.
        layouts: Those of the pool, with their weights; None: all.
    """
    drawn: set[str] = set()
    for number in range(-(-images // VIEWS)):
        scene = sample_scene(seed, number, atlas, library, layouts)
        surfaces = [surface for instance in scene.instances for surface in instance.surfaces]
        drawn.update(atlas.origins[surface.texture] for surface in surfaces)
        drawn.add(atlas.backdrop_origins[scene.backdrop])
    return frozenset(drawn - {"noise"})


def _check(image: TextureImage) -> None:
    if image.licence not in LICENCES:
        raise InputError(
            f"texture {image.file}: got licence '{image.licence}', expected one of {', '.join(LICENCES)}. "
            "Fix: remove the image, or add what the licence asks for to LICENCES"
        )
    needed = ("source",) if LICENCES[image.licence].note == _FREE else ("source", "author")
    missing = [name for name in needed if not getattr(image, name)]
    if missing:
        raise InputError(
            f"texture {image.file}: got no {' and no '.join(missing)} in index.csv, but {image.licence} asks for it. "
            "Fix: fill it in, or remove the image"
        )


def _section(name: str, images: Sequence[TextureImage]) -> str:
    licence = LICENCES[name]
    count = "1 image" if len(images) == 1 else f"{len(images)} images"
    lines = _per_image(images) if licence.per_image else _per_source(images)
    return "\n".join([f"## {name}: {count}\n", f"Licence: <{licence.url}>. {licence.note}\n", *lines, ""])


def _per_image(images: Sequence[TextureImage]) -> Iterator[str]:
    for image in images:
        evidence = f"; licence stated in: {_plain(image.licence_evidence)}" if image.licence_evidence else ""
        yield f"- {_plain(image.file.name)}, by {_plain(image.author)}, from {_link(image.source)}{evidence}"


def _per_source(images: Sequence[TextureImage]) -> Iterator[str]:
    counted = Counter((image.source.partition(" ")[0], image.author) for image in images)
    for (source, author), count in sorted(counted.items()):
        yield f"- {_link(source)}, {f'by {_plain(author)}' if author else 'author not known'} ({count})"


def _link(source: str) -> str:
    """`owner/repository@commit path` as a link to where it was taken from; anything else as it is."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{7,40})(?: (.+))?", source)
    if match is None:
        return _plain(source)
    repository, commit, path = match.groups()
    place = f"blob/{commit}/{quote(path)}" if path else f"tree/{commit}"
    return f"[{repository}](https://github.com/{repository}/{place})"


def _plain(text: str) -> str:
    """Text without what Markdown would read as markup."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", " ".join(text.split()))
