"""Pretraining runs: they learn, go on where they stopped, and give weights that training begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_pool import write_small_pool
from train_together import train_together

from pixio_edge.errors import CheckFailedError, InputError
from pixio_edge.models.checkpoints import load_checkpoint, load_encoder
from pixio_edge.models.presets import find_preset
from pixio_edge.training.pretrain import PICTURE, build_autoencoder, open_images, pretrain
from pixio_edge.training.pretrain_config import PretrainConfig
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.supervised import build_student
from pixio_edge.training.train_config import TrainConfig

# Of the loss on held-back crops, over that of painting each patch in its mean colour; measured 0.89.
LEARNT_SHARE = 0.95
# As in test_training_processes: sums in another order, over the norm of what training has changed. Measured 0.001.
WEIGHT_TOLERANCE = 0.03


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PretrainConfig:
    folder = tmp_path_factory.mktemp("pretrain")
    write_small_pool(folder / "pool", images=10)
    return PretrainConfig(
        "tiny",
        pool=folder / "pool",
        images=48,
        batch=4,
        stages=((1.0, 64 * 64),),
        curate_every=4,
        warmup=2,
        log_every=1,
        save_every=6,
        bf16=False,
    )


def flat(module: torch.nn.Module | dict[str, torch.Tensor]) -> torch.Tensor:
    values = module if isinstance(module, dict) else module.state_dict()
    return torch.cat([value.flatten() for value in values.values() if value.is_floating_point()])


def test_pretraining_lowers_the_loss_on_held_back_images(tmp_path: Path) -> None:
    # Plain shades: a model this small learns nothing of full scenes in so few steps.
    write_small_pool(tmp_path / "pool", images=40)
    config = PretrainConfig(
        "tiny",
        pool=tmp_path / "pool",
        images=960,
        batch=8,
        stages=((1.0, 64 * 64),),
        curate_every=8,
        rate=3e-3,
        warmup=10,
        average=0.9,
        log_every=10,
        save_every=60,
        bf16=False,
    )

    pretrain(config, tmp_path / "run")

    log = RunFolder(tmp_path / "run").read_log()
    losses = [line["loss"] for line in log if "loss" in line]
    measured = [line for line in log if "held_back" in line]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert measured[-1]["held_back"] < LEARNT_SHARE * measured[-1]["constant_prior"]
    assert measured[-1]["held_back"] < measured[0]["held_back"]
    assert measured[-1]["constant_prior"] == pytest.approx(767 / 768, abs=0.02)  # the unbiased variance over 768 values


def test_run_goes_on_to_the_same_bits_as_unbroken(config: PretrainConfig, tmp_path: Path) -> None:
    steps = {"stopped": 0}

    def should_stop() -> bool:
        steps["stopped"] += 1
        return steps["stopped"] in (5, 10)

    unbroken = pretrain(config, tmp_path / "unbroken")
    for _ in range(2):
        pretrain(config, tmp_path / "run", should_stop=should_stop)
    resumed = pretrain(config, tmp_path / "run", should_stop=should_stop)

    assert torch.equal(flat(resumed), flat(unbroken))
    states, logs = [], []
    for name in ("unbroken", "run"):
        folder = RunFolder(tmp_path / name)
        states.append(folder.load_state(torch.device("cpu")))
        logs.append([{key: line[key] for key in line if key != "images_per_s"} for line in folder.read_log()])
    assert logs[0] == logs[1]
    assert states[0]["model"].keys() > {f"encoder.{name}" for name in unbroken.state_dict()}
    assert all(torch.equal(value, states[1]["model"][name]) for name, value in states[0]["model"].items())
    curation = [state["beside"]["curation._extra_state"] for state in states]
    assert torch.equal(curation[0]["losses"], curation[1]["losses"])
    assert [before for before, _ in curation[0]["frozen"]] == [before for before, _ in curation[1]["frozen"]] == [4, 8]


def test_curation_changes_what_is_learnt_once_losses_count(config: PretrainConfig, tmp_path: Path) -> None:
    logs = []
    for name, every in (("curated", 4), ("even", None)):
        pretrain(replace(config, curate_every=every), tmp_path / name)
        logs.append([line["loss"] for line in RunFolder(tmp_path / name).read_log() if "loss" in line])

    # Steps are logged from 1; the ninth is the first that draws by the losses of the first four.
    assert logs[0][:8] == logs[1][:8]
    assert logs[0][8:] != logs[1][8:]


def test_two_processes_end_with_the_weights_and_losses_of_one(config: PretrainConfig, tmp_path: Path) -> None:
    short = replace(config, images=40, average=0.0)
    together = train_together(short, tmp_path / "together", count=2, verb=pretrain)
    alone = pretrain(short, tmp_path / "alone")

    first, second = (flat(each["weights"]) for each in together)
    start = flat(build_autoencoder(short).encoder)
    assert torch.equal(first, second)
    assert float((first - flat(alone)).norm() / (flat(alone) - start).norm()) < WEIGHT_TOLERANCE
    states = [RunFolder(tmp_path / name).load_state(torch.device("cpu")) for name in ("together", "alone")]
    losses = [state["beside"]["curation._extra_state"]["losses"] for state in states]
    # Both know the losses of all images, though each process has seen half of them.
    assert torch.equal(losses[0].isnan(), losses[1].isnan())
    assert torch.allclose(*losses, rtol=1e-2, equal_nan=True)


def test_training_begins_with_the_pretrained_encoder(config: PretrainConfig, tmp_path: Path) -> None:
    encoder = pretrain(replace(config, images=8), tmp_path / "run")
    weights = RunFolder(tmp_path / "run").weights

    student = build_student(TrainConfig("tiny", tmp_path, tmp_path, images=1, encoder_from=weights))

    assert torch.equal(flat(student.encoder), flat(encoder))
    assert torch.equal(flat(load_encoder(weights, find_preset("tiny").encoder)), flat(encoder))
    with pytest.raises(InputError, match="an encoder without a depth head"):
        load_checkpoint(weights)


def test_picture_shows_originals_what_is_seen_and_what_is_painted(config: PretrainConfig, tmp_path: Path) -> None:
    pretrain(replace(config, images=8), tmp_path / "run")

    picture = cv2.imread(str(tmp_path / "run" / PICTURE))

    assert picture.shape == (4 * 64, 3 * 64, 3)
    original, seen, painted = (picture[:, column : column + 64].astype(int) for column in (0, 64, 128))
    grey = (seen == 128).all(axis=-1)
    assert grey.mean() == pytest.approx(0.75)
    # Up to a rounding of what was normalised and back.
    assert np.abs(original - seen)[~grey].max() <= 1
    assert np.abs(original - painted)[~grey].max() <= 1
    assert np.abs(original - painted)[grey].max() > 1


def test_folders_and_a_pool_are_pretrained_on_together(config: PretrainConfig, tmp_path: Path) -> None:
    for number in range(3):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((70, 90, 3), number, dtype=np.uint8))

    trained, held_back = open_images(replace(config, photos=(str(tmp_path),)))

    assert (len(trained), len(held_back)) == (2 + 9, 1 + 1)
    assert trained.read(1).shape == (70, 90, 3)
    assert trained.read(2).shape == (48, 64, 3)


def test_run_is_refused_when_its_images_have_changed(config: PretrainConfig, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.full((70, 90, 3), number, dtype=np.uint8))
    own = replace(config, pool=None, photos=(str(folder),))
    pretrain(own, tmp_path / "run", should_stop=lambda: True)
    (folder / "0.png").unlink()

    with pytest.raises(InputError, match="got 2 images, expected the 3"):
        pretrain(own, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"preset": "giant"}, "giant"),
        ({"pool": Path("nowhere")}, "nowhere"),
        ({"photos": ("missing",)}, "missing"),
        ({"decoder_width": 7}, "multiple of 4"),
        ({"decoder_depth": 0}, "got depth 0"),
        ({"curate_every": 1}, "curation"),
    ],
)
def test_run_is_refused_before_anything_is_written(
    changes: dict[str, object], fragment: str, config: PretrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=fragment):
        pretrain(replace(config, **changes), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_run_without_images_is_refused() -> None:
    with pytest.raises(InputError, match="got no images"):
        PretrainConfig("tiny", images=1)


def test_weights_that_are_not_finite_are_not_saved(config: PretrainConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match="not finite"):
        pretrain(replace(config, rate=1e30, warmup=0), tmp_path / "run")

    assert not RunFolder(tmp_path / "run").weights.exists()
