"""`pixio-edge demo`: the carried sample scenes, whose depth is known exactly, or a photo."""

from __future__ import annotations

import time
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
from pixio_edge.cli.output import save_all
from pixio_edge.errors import BundleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.depth import DepthMap
    from pixio_edge.estimator import DepthEstimator
    from pixio_edge.evaluation.samples import DepthSample

EXAMPLES = examples("pixio-edge demo", "pixio-edge demo photo.jpg -o out")

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"
# For a photo whose camera is unknown: the main camera of most phones is near this.
ASSUMED_FOV_DEG = 65.0


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
    from pixio_edge.files import create_folder

    create_folder(output)
    with DepthEstimator.open(bundle, runtime=runtime, threads=threads) as estimator:
        records = run_samples(estimator, output) if image is None else [run_photo(image, estimator, output)]
    if json:
        print_json(records)
    else:
        print_records(records, output)


def run_samples(estimator: DepthEstimator, output: Path) -> list[dict[str, Any]]:
    """Predict every carried scene.

    Raises:
        BundleError: The package carries none.
    """
    from pixio_edge.evaluation.index_folder import IndexFolder

    if not (SAMPLES / "index.csv").is_file():
        raise BundleError(
            f"{SAMPLES}: not found, expected the sample scenes. Fix: reinstall pixio-edge, or name a photo"
        )
    return [run_sample(sample, estimator, output) for sample in IndexFolder(SAMPLES)]


def run_sample(sample: DepthSample, estimator: DepthEstimator, output: Path) -> dict[str, Any]:
    """Predict a scene, compare it with its exact depth, and write the results; the cloud is aligned to that depth."""
    from pixio_edge.evaluation.protocol import evaluate_sample
    from pixio_edge.evaluation.report import ImageResult

    stem = Path(sample.name).stem
    depth, first_ms = predict_warm(estimator, sample.rgb)
    result = evaluate_sample(lambda _: depth.inverse(), sample)
    files = save_all(depth, output, stem, colormap="inferno")
    if sample.intrinsics is not None:
        path = output / f"{stem}.ply"
        aligned = depth.align_to(sample.depth_gt, sample.valid)
        aligned.to_point_cloud(sample.intrinsics, rgb=sample.rgb).save_ply(path)
        files["ply"] = str(path)
    record = describe(stem, depth, first_ms, files)
    if isinstance(result, ImageResult) and result.floor is not None:
        record |= {"delta1": result.metrics.delta1, "floor_delta1": result.floor.delta1}
    return record


def run_photo(image: Path, estimator: DepthEstimator, output: Path) -> dict[str, Any]:
    """Predict a photo and write the results; the cloud has an assumed camera and range, for viewing only."""
    from pixio_edge.image import read_image
    from pixio_edge.point_cloud import Intrinsics

    rgb = read_image(image)
    depth, first_ms = predict_warm(estimator, rgb)
    files = save_all(depth, output, image.stem, colormap="inferno")
    camera = Intrinsics.from_fov(depth.size, ASSUMED_FOV_DEG)
    viewing_range = VIEWING_RANGE_M if depth.kind == "relative_inverse" else None
    cloud = depth.to_point_cloud(camera, rgb=rgb, relative_depth_range=viewing_range)
    cloud.save_ply(output / f"{image.stem}.ply")
    return describe(str(image), depth, first_ms, files | {"ply": str(output / f"{image.stem}.ply")})


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
