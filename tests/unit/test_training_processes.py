"""Training in two processes on the CPU (gloo) against one process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_pool import write_small_pool
from torch import Tensor
from train_together import train_together

from pixio_edge.errors import InputError
from pixio_edge.training.processes import Processes
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.supervised import build_student, train
from pixio_edge.training.train_config import TrainConfig

# Sums over processes add up in another order than sums over a batch, and both optimisers amplify that: AdamW where a
# gradient is nearly 0, Muon in the weakest directions of a matrix. Over the norm of what training has changed; measured
# 0.001 to 0.008. With BatchNorm statistics of each process's own part it was 0.17.
WEIGHT_TOLERANCE = 0.03
# Of a loss of about 1; measured 2e-6 at the third step, 2e-5 on held-back images.
LOSS_TOLERANCE = 2e-4


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("together")
    write_small_pool(folder / "pool")
    write_small_pool(folder / "held_back", seed=1)
    return TrainConfig(
        "tiny",
        folder / "pool",
        folder / "held_back",
        images=12,
        batch=4,
        stages=((1.0, 48 * 64),),
        warmup=2,
        log_every=1,
        save_every=3,
        average=0.0,
        bf16=False,
    )


def flat(weights: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in weights.values() if value.is_floating_point()])


def difference(first: dict[str, Tensor], second: dict[str, Tensor], config: TrainConfig) -> float:
    """Norm of the difference over the norm of what training has changed."""
    start = flat(build_student(config).state_dict())
    return float((flat(first) - flat(second)).norm() / (flat(second) - start).norm())


def test_two_processes_end_with_the_weights_of_one_and_one_of_them_writes(config: TrainConfig, tmp_path: Path) -> None:
    together = train_together(config, tmp_path / "together", count=2)
    alone = train(config, tmp_path / "alone").state_dict()

    first, second = (each["weights"] for each in together)
    # Not close but equal: each process moves its own copy of the weights, by Muon and AdamW.
    assert all(torch.equal(first[name], second[name]) for name in alone)
    assert difference(first, alone, config) < WEIGHT_TOLERANCE
    logs = [RunFolder(tmp_path / name).read_log() for name in ("together", "alone")]
    assert len(logs[0]) == len(logs[1]) == 4  # three steps and one measurement: one process has written
    for ours, theirs in zip(*logs, strict=True):
        assert ours.keys() == theirs.keys()
        for key in ("loss", "affine", "gradient", "held_back"):
            assert ours.get(key, 0.0) == pytest.approx(theirs.get(key, 0.0), abs=LOSS_TOLERANCE)


def test_run_of_one_process_goes_on_in_two_with_parts_and_a_frozen_encoder(config: TrainConfig, tmp_path: Path) -> None:
    other = replace(config, freeze_encoder=True, accumulate=2, optimizer="adamw")
    unbroken = train(other, tmp_path / "unbroken").state_dict()

    train(other, tmp_path / "run", should_stop=lambda: True)
    first, second = (each["weights"] for each in train_together(other, tmp_path / "run", count=2))

    assert [line["step"] for line in RunFolder(tmp_path / "run").read_log() if "loss" in line] == [1, 2, 3]
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert difference(first, unbroken, other) < WEIGHT_TOLERANCE


@pytest.mark.parametrize("broken", [0, 1])
def test_no_process_hangs_when_another_one_fails(broken: int, config: TrainConfig, tmp_path: Path) -> None:
    outcomes = train_together(config, tmp_path / "run", count=2, broken=broken)

    assert outcomes[broken]["error"] == "InputError"
    assert "nowhere" in outcomes[broken]["message"]
    assert outcomes[1 - broken]["error"] == "PeerFailedError"
    assert not (tmp_path / "run").exists()


def test_batch_is_refused_when_it_cannot_be_split_evenly(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Fix: use a batch of 6"):
        train(replace(config, accumulate=3), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_errors_elsewhere_reach_a_single_process_as_they_are() -> None:
    processes = Processes("cpu")

    assert processes.is_main
    assert processes.on_main(lambda: 5) == 5
    with pytest.raises(json.JSONDecodeError):
        processes.together(lambda: json.loads("{"))
