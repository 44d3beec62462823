"""`pixio-edge demo`: the carried sample scenes, whose depth is known exactly, or a photo."""

from __future__ import annotations

import json as json_format
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import print_json, print_table
from pixio_edge.cli.options import (
    VIEWING_RANGE_M,
    BundleOption,
    JsonOption,
    OutputFolder,
    RuntimeOption,
    ThreadsOption,
    examples,
)
from pixio_edge.cli.output import prepare_folder, save_all
from pixio_edge.errors import BundleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.depth import DepthMap
    from pixio_edge.estimator import DepthEstimator
    from pixio_edge.point_cloud import Intrinsics

EXAMPLES = examples("pixio-edge demo", "pixio-edge demo photo.jpg -o out")

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"
INDEX = "samples.json"
# For a photo whose camera is unknown: the main camera of most phones is near this.
ASSUMED_FOV_DEG = 65.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One rendered scene: its image, its exact depth in metres, and its camera."""

    name: str
    image: Path
    depth: Path
    scale: float
    intrinsics: Intrinsics


def demo(
    image: Annotated[Path | None, typer.Argument(help="A photo; the carried sample scenes when left out.")] = None,
    output: OutputFolder = Path("out"),
    bundle: BundleOption = "nano",
    runtime: RuntimeOption = None,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Run on sample scenes with known depth, write every kind of result, and print latency and delta1."""
    from pixio_edge.estimator import DepthEstimator

    prepare_folder(output)
    with DepthEstimator.open(bundle, runtime=runtime, threads=threads) as estimator:
        if image is None:
            records = [run_sample(sample, estimator, output) for sample in read_samples(SAMPLES)]
        else:
            records = [run_photo(image, estimator, output)]
    if json:
        print_json(records)
    else:
        print_records(records, output)


def read_samples(folder: Path) -> list[Sample]:
    """Read the list of sample scenes.

    Raises:
        BundleError: The package carries none.
    """
    from pixio_edge.point_cloud import Intrinsics

    try:
        entries = json_format.loads((folder / INDEX).read_text(encoding="utf-8"))["samples"]
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder / INDEX}: not found, expected the sample scenes. Fix: reinstall pixio-edge, or name a photo"
        ) from error
    return [
        Sample(
            name=entry["name"],
            image=folder / f"{entry['name']}.png",
            depth=folder / f"{entry['name']}.depth.png",
            scale=entry["scale"],
            intrinsics=Intrinsics(entry["fx"], entry["fy"], entry["cx"], entry["cy"]),
        )
        for entry in entries
    ]


def run_sample(sample: Sample, estimator: DepthEstimator, output: Path) -> dict[str, Any]:
    """Predict a scene, compare it with its exact depth, and write the results; the cloud is aligned to that depth."""
    import numpy as np

    from pixio_edge.evaluation.depth_png import read_depth_png
    from pixio_edge.evaluation.protocol import evaluate_sample
    from pixio_edge.evaluation.report import ImageResult
    from pixio_edge.evaluation.samples import DepthSample
    from pixio_edge.image import read_image

    rgb = read_image(sample.image)
    known = read_depth_png(sample.depth) / np.float32(sample.scale)
    depth, load_ms = predict_warm(estimator, rgb)
    result = evaluate_sample(lambda _: depth.inverse(), DepthSample(sample.name, rgb, known, known > 0, "m"))
    files = save_all(depth, output, sample.name, colormap="inferno")
    cloud = depth.align_to(known, known > 0).to_point_cloud(sample.intrinsics, rgb=rgb)
    cloud.save_ply(output / f"{sample.name}.ply")
    record = describe(sample.name, depth, load_ms, files | {"ply": str(output / f"{sample.name}.ply")})
    if isinstance(result, ImageResult) and result.floor is not None:
        record |= {"delta1": result.metrics.delta1, "floor_delta1": result.floor.delta1}
    return record


def run_photo(image: Path, estimator: DepthEstimator, output: Path) -> dict[str, Any]:
    """Predict a photo and write the results; the cloud has an assumed camera and range, for viewing only."""
    from pixio_edge.image import read_image
    from pixio_edge.point_cloud import Intrinsics

    rgb = read_image(image)
    depth, load_ms = predict_warm(estimator, rgb)
    files = save_all(depth, output, image.stem, colormap="inferno")
    camera = Intrinsics.from_fov(depth.size, ASSUMED_FOV_DEG)
    viewing_range = VIEWING_RANGE_M if depth.kind == "relative_inverse" else None
    cloud = depth.to_point_cloud(camera, rgb=rgb, relative_depth_range=viewing_range)
    cloud.save_ply(output / f"{image.stem}.ply")
    return describe(str(image), depth, load_ms, files | {"ply": str(output / f"{image.stem}.ply")})


def predict_warm(estimator: DepthEstimator, rgb: NDArray[np.uint8]) -> tuple[DepthMap, float]:
    """Predict twice, so that the timing is not that of loading; also the milliseconds until the first result."""
    started = time.perf_counter()
    estimator.predict(rgb)
    first_ms = (time.perf_counter() - started) * 1e3
    return estimator.predict(rgb), first_ms


def describe(name: str, depth: DepthMap, first_ms: float, files: dict[str, str]) -> dict[str, Any]:
    """Record of one demo image, as `--json` prints it."""
    record: dict[str, Any] = {"image": name, "size": list(depth.size), "source": depth.source, "first_ms": first_ms}
    if depth.timing is not None:
        record |= {"pre_ms": depth.timing.pre_ms, "infer_ms": depth.timing.infer_ms, "post_ms": depth.timing.post_ms}
    return record | {"files": files}


def print_records(records: list[dict[str, Any]], output: Path) -> None:
    """Print a table for a person."""
    columns = ("image", "size", "source", "first_ms", "pre_ms", "infer_ms", "post_ms", "delta1", "floor_delta1")
    shown = [column for column in columns if any(column in record for record in records)]
    print_table(shown, [[text(record.get(column)) for column in shown] for record in records])
    count = sum(len(record["files"]) for record in records)
    print(f"\n{count} files in {output}/: coloured PNG, 16-bit PNG, npy, PLY point cloud")


def text(value: Any) -> str:
    """Show sizes as HxW and numbers briefly."""
    if isinstance(value, list):
        return "x".join(str(side) for side in value)
    return f"{value:.2f}" if isinstance(value, float) else str(value if value is not None else "-")
