"""What `pixio-edge train` refuses before any work, and how it ends."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from small_pool import write_small_pool

from pixio_edge import host
from pixio_edge.cli.train import parse_data, parse_optimizer, parse_stages, train
from pixio_edge.cli.training_output import duration
from pixio_edge.errors import InputError, OutputError, PixioEdgeError
from pixio_edge.scenes.selection import Purpose, scene_seed
from pixio_edge.scenes.studio import Studio
from pixio_edge.training.device import open_device
from pixio_edge.training.learner import Learner
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.scene_plan import HELD_BACK, POOL
from pixio_edge.training.session import TrainingSession
from pixio_edge.training.train_config import DataPart


def test_stages_are_shares_with_pixels_per_image() -> None:
    assert parse_stages(["0.35:96x128", ".45:128x160", "0.2:192x256"]) == ((0.35, 12288), (0.45, 20480), (0.2, 49152))


def test_stages_are_left_to_the_default_when_none_is_given() -> None:
    assert parse_stages(None) is None
    assert parse_stages([]) is None


@pytest.mark.parametrize("texts", [["big"], ["1:96"], ["96x128"]])
def test_stages_are_refused_when_they_are_none(texts: list[str]) -> None:
    with pytest.raises(InputError, match="--stage"):
        parse_stages(texts)


def test_data_have_weights_and_the_drive_of_a_path_is_none() -> None:
    assert parse_data(None) is None
    assert parse_data(["0.7:scenes", ".3:a/b", r"C:\data", "2:list.txt@root"]) == (
        DataPart("scenes", 0.7),
        DataPart("a/b", 0.3),
        DataPart(r"C:\data"),
        DataPart("list.txt@root", 2.0),
    )


def test_optimizer_is_known_by_its_name() -> None:
    assert (parse_optimizer("Muon"), parse_optimizer("adamw")) == ("muon", "adamw")


@pytest.mark.parametrize(("device", "has_cuda"), [("abacus", True), ("cuda", False), ("", False)])
def test_device_is_refused_when_it_is_not_here(device: str, has_cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)

    with pytest.raises(InputError, match="device"):
        open_device(device)


def test_device_is_opened_with_its_threads_when_it_is_here() -> None:
    before = torch.get_num_threads()
    try:
        assert open_device("cpu", threads=1).type == "cpu"
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"stages": ["big"]}, "--stage"),
        ({"stages": ["0.9:48x64", "0.9:48x64"]}, "add up to 1"),
        ({"preset": "giant"}, "giant"),
        ({"textures": Path("nowhere")}, "nowhere"),
        ({"scene_size": "wide"}, "--scene-size"),
        ({"scene_size": "15x64"}, "at least 16 pixels"),
        ({"device": "abacus"}, "abacus"),
        ({"encoder_from": Path("nowhere.safetensors")}, "nowhere.safetensors"),
        ({"scenes": 0}, "at least 1"),
        ({"data": ["nowhere"]}, "nothing that is known"),
        ({"data": ["0:scenes"]}, "got weight 0"),
        ({"measure_on": ["nowhere"]}, "nothing that is known"),
        ({"max_depth": 0.0}, "max_depth"),
        ({"layer_decay": 1.5}, "layer_decay"),
        ({"optimizer": "sgd"}, "--optimizer"),
        ({"layout": ["moon"]}, "layout 'moon': unknown, expected one of room, "),
    ],
)
def test_nothing_is_written_when_an_option_is_wrong(options: dict[str, Any], fragment: str, tmp_path: Path) -> None:
    common: dict[str, Any] = {"preset": "tiny", "scenes": 8, "held_back": 8, "images": 8, "batch": 4, "rate": 1e-3}
    common |= {"textures": None, "stages": None, "seed": 0, "device": "cpu", "renderers": 1, "threads": None}

    with pytest.raises(PixioEdgeError, match=fragment):
        train(tmp_path / "run", **(common | options))

    assert list(tmp_path.iterdir()) == []


def prepare_run(run: Path) -> dict[str, Any]:
    """A run whose scenes are there, so that nothing has to be rendered; the options that belong to it."""
    for part, seed in ((POOL, scene_seed(0, Purpose.TRAINING)), (HELD_BACK, scene_seed(0, Purpose.HELD_BACK))):
        write_small_pool(run / part, images=8, seed=seed)
    return {
        "preset": "tiny",
        "scenes": 8,
        "held_back": 8,
        "scene_size": "48x64",
        "images": 8,
        "batch": 4,
        "rate": 1e-3,
        "stages": ["1:48x64"],
        "seed": 0,
        "device": "cpu",
        "renderers": 1,
        "threads": 1,
    }


def test_run_ends_with_its_weights_and_losses_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"

    train(run, **prepare_run(run), json=True)

    record = json.loads(capsys.readouterr().out)
    assert record["weights"] == str(run / "model.safetensors")
    assert record["step"] == 2
    assert record["images"] == 8
    assert record["held_back"] > 0
    assert record["row_prior"] > 0
    assert (run / "curve.png").is_file()


def test_first_interruption_saves_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    options = prepare_run(run) | {"images": 400}
    plain_step = Learner.train_step

    def interrupted_step(self: Learner[Any], parts: Any) -> Any:
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)
        return plain_step(self, parts)

    monkeypatch.setattr(Learner, "train_step", interrupted_step)
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(typer.Exit) as stopped:
        train(run, **options)

    assert stopped.value.exit_code == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert RunFolder(run).steps_done() == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_dry_run_estimates_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    options = prepare_run(tmp_path / "elsewhere") | {"stages": ["0.5:48x64", "0.5:64x64"], "images": 800}

    train(run, **options, dry_run=True, json=True)
    record = json.loads(capsys.readouterr().out)
    train(run, **options, dry_run=True)
    table = capsys.readouterr().out

    assert not run.exists()
    assert record["scenes_to_render"] == 16
    assert record["render_s"] == pytest.approx(16 / record["scenes_per_s"])
    assert [(stage["images"], stage["pixels"]) for stage in record["stages"]] == [(400, 3072), (400, 4096)]
    assert record["train_s"] == pytest.approx(sum(stage["seconds"] for stage in record["stages"]))
    assert record["total_s"] == pytest.approx(record["start_s"] + record["render_s"] + record["train_s"])
    for stage in record["stages"]:
        slower = min(stage["images_per_s"], stage["input_images_per_s"])
        assert stage["seconds"] == pytest.approx(400 / slower)
        assert stage["bound_by"] == ("training" if slower == stage["images_per_s"] else "input")
    assert [line.split("  ")[0] for line in table.splitlines()[1:]] == [
        *("start rendering", "render scenes", "train at 3072 pixels", "train at 4096 pixels", "in all")
    ]


@pytest.mark.parametrize(("renderers", "expected"), [(None, 3), (2, 2)])
def test_scenes_are_rendered_by_as_many_processes_as_cores_may_be_used(
    renderers: int | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def render(self: TrainingSession, **_: Any) -> None:
        seen.append(self.renderers)
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "usable_cores", lambda: 3)
    monkeypatch.setattr(TrainingSession, "render", render)

    with pytest.raises(typer.Exit):
        train(tmp_path / "run", **prepare_run(tmp_path / "elsewhere") | {"renderers": renderers})

    assert seen == [expected]


def test_layouts_are_part_of_what_a_run_holds(tmp_path: Path) -> None:
    run = tmp_path / "run"

    with pytest.raises(InputError, match=r"layouts.*tabletop"):
        train(run, **prepare_run(run), layout=["tabletop:2"])


def test_run_folder_that_cannot_be_made_is_found_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: object) -> None:
        raise AssertionError("textures are loaded")

    monkeypatch.setattr(Studio, "__enter__", load)
    (tmp_path / "run").write_text("in the way")

    with pytest.raises(OutputError, match="cannot create folder"):
        train(tmp_path / "run", **prepare_run(tmp_path / "elsewhere"))


def test_sigterm_while_rendering_leaves_nothing_in_the_folder_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(*_: object, **__: object) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(TrainingSession, "render", render)

    with pytest.raises(typer.Exit) as stopped:
        train(tmp_path / "run", **prepare_run(tmp_path / "elsewhere"))

    assert stopped.value.exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler


def test_dry_run_counts_what_is_left_when_a_run_has_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    options = prepare_run(run)
    train(run, **options)
    capsys.readouterr()

    train(run, **options, dry_run=True, json=True)

    record = json.loads(capsys.readouterr().out)
    assert record["scenes_to_render"] == 0
    assert record["stages"] == []
    assert record["total_s"] == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 min 00 s"), (59.6, "1 min 00 s"), (754, "12 min 34 s"), (7380, "2 h 03 min")]
)
def test_duration_reads_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
