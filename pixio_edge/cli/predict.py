"""`pixio-edge predict`: images to depth files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import print_json, print_problem, track
from pixio_edge.cli.options import (
    VIEWING_RANGE_M,
    BundleOption,
    ColormapOption,
    JsonOption,
    OutputFolder,
    PinCoresOption,
    PrecisionOption,
    ProviderOption,
    RuntimeOption,
    SizeOption,
    ThreadsOption,
    check_colormap,
    examples,
    parse_cores,
    parse_precision,
    parse_size,
)
from pixio_edge.cli.output import save_all, unique_stems
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.depth import DepthMap
    from pixio_edge.prediction_sheet import PredictionSheet

EXAMPLES = examples(
    "pixio-edge predict photo.jpg",
    "pixio-edge predict photos/ 'more/*.png' -o out --ply --sheet out/sheet.jpg",
    "pixio-edge predict photo.jpg --runtime ort --threads 2 --json",
)


@dataclass(frozen=True, slots=True)
class Job:
    """One image and the name its results carry."""

    image: Path
    stem: str


def predict(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Images, folders, or quoted globs.")],
    output: OutputFolder = Path("out"),
    bundle: BundleOption = "nano",
    runtime: RuntimeOption = None,
    precision: PrecisionOption = None,
    size: SizeOption = None,
    threads: ThreadsOption = None,
    pin_cores: PinCoresOption = None,
    provider: ProviderOption = None,
    colormap: ColormapOption = "inferno",
    ply: Annotated[bool, typer.Option("--ply", help="Also write <stem>.ply, a coloured point cloud.")] = False,
    fov: Annotated[float, typer.Option("--fov", help="Horizontal field of view in degrees, for --ply.")] = 65.0,
    cloud_range: Annotated[
        tuple[float, float],
        typer.Option(
            "--cloud-range", metavar="NEAR FAR", help="Metres between which --ply puts relative depth, for viewing."
        ),
    ] = VIEWING_RANGE_M,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Also write one picture of all images above their depth.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Estimate depth and write <stem>.depth.png (16-bit), <stem>.color.png and <stem>.npy (float32) per image.

    An image that cannot be used is reported, the others are done, and the exit status is 2.
    """
    from pixio_edge.estimator import DepthEstimator
    from pixio_edge.files import create_folder
    from pixio_edge.image import read_image
    from pixio_edge.prediction_sheet import PredictionSheet, check_folder

    check_colormap(colormap)
    check_folder(sheet, to_be_made=output)
    create_folder(output)
    jobs, problems = plan_jobs(images)
    results: list[dict[str, Any]] = []
    pictures = PredictionSheet(colormap)
    with DepthEstimator.open(
        bundle,
        runtime=runtime,
        precision=parse_precision(precision),
        size=parse_size(size),
        threads=threads,
        pin_cores=parse_cores(pin_cores),
        provider=provider,
    ) as estimator:
        for job in track(jobs, total=len(jobs), label="predict"):
            try:
                rgb = read_image(job.image)
                depth = estimator.predict(rgb)
            except InputError as error:
                problems.append((str(job.image), str(error)))
                print_problem(str(error))
                continue
            if sheet is not None:
                pictures.add(rgb, depth, job.stem)
            files = save_all(depth, output, job.stem, colormap=colormap)
            if ply:
                files["ply"] = save_cloud(depth, rgb, output / f"{job.stem}.ply", fov=fov, cloud_range=cloud_range)
            results.append(describe(job, depth, files))
            if not json:
                print(summary(results[-1]))
    if sheet is not None and results:
        save_sheet(pictures, sheet)
    conclude(results, problems, json=json)


def conclude(results: list[dict[str, Any]], problems: list[tuple[str, str]], *, json: bool) -> None:
    """Print everything as JSON if asked, and end with the exit status that the problems deserve."""
    if json:
        print_json(results + [{"image": image, "error": message} for image, message in problems])
    if problems:
        raise typer.Exit(InputError.exit_code)


def plan_jobs(patterns: list[str]) -> tuple[list[Job], list[tuple[str, str]]]:
    """Find the images and give each a name of its own; patterns without a match are reported and returned."""
    from pixio_edge.image import find_images

    found: dict[Path, None] = {}
    problems: list[tuple[str, str]] = []
    for pattern in patterns:
        try:
            found.update(dict.fromkeys(find_images([pattern])))
        except InputError as error:
            problems.append((pattern, str(error)))
            print_problem(str(error))
    return [Job(image, stem) for image, stem in zip(found, unique_stems(list(found)), strict=True)], problems


def save_sheet(pictures: PredictionSheet, path: Path) -> None:
    """Write the picture of all images; says how many it has no room for."""
    pictures.save(path)
    if pictures.left_out:
        print_problem(f"{path}: {pictures.left_out} images are not on it, which is full. Fix: name fewer images")


def save_cloud(
    depth: DepthMap, rgb: NDArray[np.uint8], path: Path, *, fov: float, cloud_range: tuple[float, float]
) -> str:
    """Write the point cloud, coloured by the image; `cloud_range` is used for relative maps alone."""
    from pixio_edge.point_cloud import Intrinsics

    viewing_range = cloud_range if depth.kind == "relative_inverse" else None
    cloud = depth.to_point_cloud(Intrinsics.from_fov(depth.size, fov), rgb=rgb, relative_depth_range=viewing_range)
    cloud.save_ply(path)
    return str(path)


def describe(job: Job, depth: DepthMap, files: dict[str, str]) -> dict[str, Any]:
    """Record of one prediction, as `--json` prints it."""
    record: dict[str, Any] = {
        "image": str(job.image),
        "size": list(depth.size),
        "kind": depth.kind,
        "unit": depth.unit,
        "source": depth.source,
        "files": files,
    }
    if depth.timing is not None:
        timing = depth.timing
        record |= {"pre_ms": timing.pre_ms, "infer_ms": timing.infer_ms, "post_ms": timing.post_ms}
    return record


def summary(record: dict[str, Any]) -> str:
    """One line for a person about one prediction."""
    steps = [step for step in ("pre", "infer", "post") if f"{step}_ms" in record]
    timing = " + ".join(f"{step} {record[f'{step}_ms']:.1f}" for step in steps)
    names = " ".join(Path(path).name for path in record["files"].values())
    return f"{record['image']} -> {names}  [{record['source']}: {timing} ms]"
