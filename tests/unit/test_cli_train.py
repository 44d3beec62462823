"""What `pixio-edge train` refuses before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pixio_edge.cli.train import parse_stages, train
from pixio_edge.errors import InputError
from pixio_edge.training.device import open_device


def test_stages_are_shares_with_pixels_per_image() -> None:
    assert parse_stages(["0.35:96x128", ".45:128x160", "0.2:192x256"]) == ((0.35, 12288), (0.45, 20480), (0.2, 49152))


def test_stages_are_left_to_the_default_when_none_is_given() -> None:
    assert parse_stages(None) is None
    assert parse_stages([]) is None


@pytest.mark.parametrize("texts", [["big"], ["1:96"], ["96x128"], ["0.5:96x128"], ["0.9:8x8", "0.9:8x8"]])
def test_stages_are_refused_when_they_are_none_or_do_not_add_up(texts: list[str]) -> None:
    with pytest.raises(InputError, match="--stage"):
        parse_stages(texts)


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
    [({"stages": ["big"]}, "--stage"), ({"preset": "giant"}, "giant"), ({"textures": Path("nowhere")}, "nowhere")],
)
def test_nothing_is_written_when_an_option_is_wrong(options: dict[str, Any], fragment: str, tmp_path: Path) -> None:
    common: dict[str, Any] = {"preset": "tiny", "scenes": 8, "held_back": 8, "images": 8, "batch": 4, "rate": 1e-3}
    common |= {"textures": None, "stages": None, "seed": 0, "device": "cpu", "compiled": False, "threads": None}

    with pytest.raises(InputError, match=fragment):
        train(tmp_path / "run", **(common | options))

    assert list(tmp_path.iterdir()) == []
