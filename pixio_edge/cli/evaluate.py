"""`pixio-edge evaluate`: accuracy of a bundle on images with known depth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.console import Meter, print_json, print_table
from pixio_edge.cli.options import (
    BundleArgument,
    JsonOption,
    PrecisionOption,
    ProviderOption,
    RuntimeOption,
    SizeOption,
    ThreadsOption,
    examples,
    parse_precision,
    parse_size,
)
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixio_edge.evaluation.kitti import KittiCrop
    from pixio_edge.evaluation.samples import DepthDataset

EXAMPLES = examples(
    "pixio-edge evaluate nano --data path/to/sets",
    "pixio-edge evaluate nano --data path/to/sets --set kitti --set tabletop --json",
    "pixio-edge evaluate nano --data path/to/sets --sheet sheet.png",
    "pixio-edge evaluate my-bundle --data nyu_depth_v2_labeled.mat --runtime ort",
)


def evaluate(
    data: Annotated[
        Path,
        typer.Option("--data", "-d", help="Folder of sets with index.csv, one set, NYUv2's labelled .mat, or KITTI."),
    ],
    bundle: BundleArgument = "nano",
    sets: Annotated[list[str] | None, typer.Option("--set", help="Only the set of this name; may be repeated.")] = None,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = None,
    size: SizeOption = None,
    threads: ThreadsOption = None,
    provider: ProviderOption = None,
    kitti_crop: Annotated[
        str, typer.Option("--kitti-crop", help="none, or garg: score KITTI inside that crop.")
    ] = "none",
    per_image: Annotated[bool, typer.Option("--per-image", help="With --json, add every image to its set.")] = False,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="Also write a picture: the worst, middle and best image of each set."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure delta1, AbsRel and more on images with known depth, beside the floor that the bare row index reaches.

    Scale and shift are aligned per image in inverse depth; images are averaged per set, then sets (macro).
    """
    from pixio_edge.estimator import DepthEstimator
    from pixio_edge.evaluation.contact_sheet import save_contact_sheet, telling_rows
    from pixio_edge.evaluation.datasets import open_datasets
    from pixio_edge.evaluation.protocol import evaluate as run_protocol
    from pixio_edge.prediction_sheet import check_folder

    check_folder(sheet)
    datasets = choose_sets(open_datasets(data, kitti_crop=parse_crop(kitti_crop)), sets or [])
    with (
        DepthEstimator.open(
            bundle,
            runtime=runtime,
            precision=parse_precision(precision),
            size=parse_size(size),
            threads=threads,
            provider=provider,
        ) as estimator,
        Meter("evaluate") as meter,
    ):

        def predict(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            return estimator.predict(rgb).inverse()

        report = run_protocol(predict, datasets, progress=meter.update)
        if sheet is not None:
            save_contact_sheet(sheet, telling_rows(predict, datasets, report))
    if json:
        print_json({"bundle": bundle, "data": str(data)} | report.to_json(per_image=per_image))
        return
    header, *rows = report.to_table()
    print_table(header, rows)


def parse_crop(name: str) -> KittiCrop:
    """Read a crop of KITTI.

    Raises:
        InputError: There is none of that name.
    """
    crops: tuple[KittiCrop, ...] = ("none", "garg")
    for crop in crops:
        if crop == name:
            return crop
    raise InputError(f"--kitti-crop: got '{name}', expected one of {', '.join(crops)}. Fix: choose one of these")


def choose_sets(datasets: list[DepthDataset], names: list[str]) -> list[DepthDataset]:
    """Keep the sets that were asked for, all when none was.

    Raises:
        InputError: A name is not among them.
    """
    known = {dataset.name: dataset for dataset in datasets}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"--set: got '{unknown[0]}', expected one of {', '.join(known)}. Fix: choose from these")
    return [known[name] for name in dict.fromkeys(names)] or datasets
