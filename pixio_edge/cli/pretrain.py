"""`pixio-edge pretrain`: a student's encoder from plain images, by painting what is hidden of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixio_edge.cli.extras import needs_extra
from pixio_edge.cli.options import JsonOption, examples
from pixio_edge.cli.train import parse_optimizer, parse_stages
from pixio_edge.cli.training_output import TrainingMeter, finish, log_to_stderr

if TYPE_CHECKING:
    from pixio_edge.training.pretrain_config import PretrainConfig
    from pixio_edge.training.processes import Processes

EXAMPLES = examples(
    "pixio-edge pretrain runs/pretrained --images path/to/photos --images path/to/more",
    "pixio-edge pretrain runs/pretrained --pool runs/nano/pool --count 200000",
    "pixio-edge train runs/nano --encoder-from runs/pretrained/model.safetensors --textures path/to/textures",
    "accelerate launch --num_processes 4 -m pixio_edge.cli.main pretrain runs/pretrained --images photos --device cuda",
)


def pretrain(
    run: Annotated[Path, typer.Argument(help="Run folder: log, curve, checkpoints, weights, reconstructions.")],
    preset: Annotated[str, typer.Option("--preset", help="Model whose encoder is pretrained.")] = "nano",
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images", metavar="SOURCE", help="Images to learn on: folder, with all below; .tar shard; glob; repeat."
        ),
    ] = None,
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Rendered scenes, such as RUN/pool of a training.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Crops of images to see in all.")] = 200_000,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Crops per step.")] = 32,
    rate: Annotated[float, typer.Option("--rate", help="Peak learning rate.")] = 1e-3,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Steps in which the rate rises to its peak.")] = 500,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="SHARE:HxW",
            help="Share of the crops and their area; repeat in order. Crops are square, with sides of whole blocks of "
            "4x4 patches. Default: 1:256x256.",
        ),
    ] = None,
    curation: Annotated[
        bool, typer.Option("--curation/--no-curation", help="Draw images more often that are harder to paint.")
    ] = True,
    decoder_width: Annotated[
        int | None, typer.Option("--decoder-width", help="Width of the decoder. Default: half of the encoder's.")
    ] = None,
    decoder_depth: Annotated[
        int | None, typer.Option("--decoder-depth", help="Blocks of the decoder. Default: as many as the encoder's.")
    ] = None,
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="muon (with AdamW for what is no matrix of a block) or adamw.")
    ] = "muon",
    bf16: Annotated[
        bool, typer.Option("--bf16/--fp32", help="Precision inside the model; weights are float32.")
    ] = True,
    accumulate: Annotated[
        int, typer.Option("--accumulate", min=1, help="Parts of a batch whose gradients are added up; saves memory.")
    ] = 1,
    compile_model: Annotated[
        bool, typer.Option("--compile-model", help="Fuse the model with torch.compile; each crop size compiles once.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads that prepare images.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the weights, the order and the masks.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", min=1, help="Threads. Default: torch decides.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Pretrain an encoder on plain images without labels, as Pixio was: hide 75 % in blocks of patches, paint the rest.

    The last tenth of each source is held back. The same command goes on where it stopped; Ctrl-C saves first. The
    averaged encoder is RUN/model.safetensors, for `pixio-edge train --encoder-from`; RUN/reconstructions.png shows
    held-back images, what is seen of them, and what is painted.
    """
    with needs_extra("train", "pixio-edge pretrain"):
        from pixio_edge.training.device import open_device
        from pixio_edge.training.pretrain_config import CURATE_EVERY, STAGES, PretrainConfig
        from pixio_edge.training.processes import Processes
    config = PretrainConfig(
        preset,
        tuple(images or ()),
        pool,
        CURATE_EVERY if curation else None,
        decoder_width,
        decoder_depth,
        stages=parse_stages(stages) or STAGES,
        images=count,
        batch=batch,
        rate=rate,
        warmup=warmup,
        seed=seed,
        device=device,
        bf16=bf16,
        optimizer=parse_optimizer(optimizer),
        accumulate=accumulate,
        compiled=compile_model,
        workers=workers,
    )
    open_device(device, threads=threads)
    processes = Processes(device)
    log_to_stderr(processes)
    finish(run, processes, is_done=pretrain_with_progress(config, run, processes), json=json)


def pretrain_with_progress(config: PretrainConfig, run: Path, processes: Processes) -> bool:
    """Pretrain under a progress bar; False if it was interrupted, after saving."""
    from pixio_edge.training import pretrain as training

    with TrainingMeter(config.batch, processes) as meter:
        training.pretrain(config, run, processes=processes, on_step=meter.show, should_stop=lambda: meter.is_stopped)
        return not meter.is_stopped
