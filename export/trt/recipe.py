"""How a device builds engines from the typed graphs of a bundle: `tensorrt_recipe.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic import ValidationError as PydanticValidationError

from pixio_edge.errors import BundleError, SchemaError
from pixio_edge.manifest_base import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry

RECIPE = "tensorrt_recipe.json"
RECIPE_ROLE = "recipe"
RECIPE_VERSION: Literal[1] = 1

KIND = "tensorrt"
"""`ArtifactEntry.kind` of a typed ONNX graph that engines are built from."""

OLDEST_TENSORRT = "10.3"
"""Of JetPack 6."""
NEWEST_TENSORRT = "11"
"""Newest major version whose rules are known."""

# Where building takes seconds and an engine runs for months, more tactics are worth trying than the default of 3; 5 is
# the most, and also takes minutes (TensorRT, BuilderConfig.builder_optimization_level).
OPTIMIZATION_LEVEL = 4

# What tactics may use while they are timed, bytes: an Orin Nano has 8 GiB for everything, and the largest layer of a
# ViT-S at 518x518 needs a tenth of this.
WORKSPACE = 1 << 30

# Beside the engines in the user's cache. TensorRT itself refuses one of another version or device.
TIMING_CACHE = "timing.cache"


class InputProfile(Record):
    """Shapes of one input that an engine takes; all the same, since every size has a graph of its own.

    Attributes:
        input: Name of the graph input.
        minimum: Smallest shape.
        optimum: Shape that tactics are timed at.
        maximum: Largest shape.
    """

    input: str
    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


class ArtifactRecipe(Record):
    """What is particular to one artifact.

    Attributes:
        artifact: Its name.
        profile: One entry for each input.
    """

    artifact: str
    profile: tuple[InputProfile, ...]


class BuildRecipe(Record):
    """The whole of the file; the same for all versions of TensorRT in its range.

    Attributes:
        recipe_version: Version of this schema.
        oldest_tensorrt: Oldest version whose rules the graphs follow.
        newest_tensorrt: Newest major version.
        network_flags: Members of NetworkDefinitionCreationFlag. Precision is in the graph, so the network is strongly
            typed; TensorRT 11 has no other, and takes the flag.
        builder_flags: Members of BuilderFlag; none that sets a precision, which a strongly typed network refuses.
        optimization_level: Of the builder, 0 to 5.
        workspace: Memory for tactics, bytes.
        timing_cache: File name in the folder of engines.
        artifacts: One entry for each typed graph.
    """

    recipe_version: Literal[1] = RECIPE_VERSION
    oldest_tensorrt: str = OLDEST_TENSORRT
    newest_tensorrt: str = NEWEST_TENSORRT
    network_flags: tuple[str, ...] = ("STRONGLY_TYPED",)
    builder_flags: tuple[str, ...] = ()
    optimization_level: Annotated[int, Field(ge=0, le=5)] = OPTIMIZATION_LEVEL
    workspace: Annotated[int, Field(gt=0)] = WORKSPACE
    timing_cache: str = TIMING_CACHE
    artifacts: tuple[ArtifactRecipe, ...]

    def of(self, artifact: ArtifactEntry) -> ArtifactRecipe:
        """What an artifact needs.

        Raises:
            BundleError: The recipe does not list it.
        """
        found = next((entry for entry in self.artifacts if entry.artifact == artifact.name), None)
        if found is None:
            raise BundleError(
                f"{RECIPE}: does not list artifact '{artifact.name}'. Fix: pixio-edge export --format tensorrt"
            )
        return found

    def to_json(self) -> str:
        """Serialise with sorted keys and a final line feed, so that equal recipes are equal bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def make_recipe(artifacts: Iterable[ArtifactEntry]) -> BuildRecipe:
    """Recipe for the typed graphs among some artifacts."""
    return BuildRecipe(
        artifacts=tuple(
            ArtifactRecipe(
                artifact=entry.name,
                profile=tuple(
                    InputProfile(input=spec.name, minimum=spec.shape, optimum=spec.shape, maximum=spec.shape)
                    for spec in entry.inputs
                ),
            )
            for entry in artifacts
            if entry.kind == KIND
        )
    )


def read_recipe(bundle: Bundle) -> BuildRecipe:
    """Recipe of a bundle, its hash checked.

    Raises:
        BundleError: It has none, or the file is damaged.
        SchemaError: It is not a recipe, or one of a newer schema.
    """
    entry = bundle.manifest.file_of_role(RECIPE_ROLE)
    if entry is None:
        raise BundleError(
            f"{bundle.folder}: has no recipe for TensorRT. Fix: pixio-edge export --format tensorrt "
            f"{bundle.folder} -o FOLDER"
        )
    text = bundle.read_file(entry).read_text(encoding="utf-8")
    try:
        return BuildRecipe.model_validate_json(text)
    except PydanticValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the recipe"
        raise SchemaError(
            f"{entry.path}: field '{place}': {problem['msg']}. Fix: export the bundle again with this release"
        ) from error
