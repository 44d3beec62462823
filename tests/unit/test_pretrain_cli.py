"""What the options of `pixio-edge pretrain` become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from pixio_edge.cli import pretrain as verb
from pixio_edge.errors import InputError
from pixio_edge.training.pretrain_config import CURATE_EVERY, STAGES, PretrainConfig


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PretrainConfig]:
    """Runs that were asked for; none is done, as if each had been interrupted."""
    configs: list[PretrainConfig] = []

    def note(config: PretrainConfig, run: Path, processes: Any) -> bool:
        configs.append(config)
        return False

    monkeypatch.setattr(verb, "pretrain_with_progress", note)
    return configs


def test_options_become_the_values_of_a_run(asked: list[PretrainConfig]) -> None:
    with pytest.raises(typer.Exit):
        verb.pretrain(
            Path("run"),
            images=["photos", "more.tar"],
            count=64,
            batch=8,
            stages=["0.5:128x128", "0.5:256x256"],
            decoder_width=64,
            decoder_depth=3,
            optimizer="adamw",
            bf16=False,
            accumulate=2,
        )

    (config,) = asked
    assert (config.preset, config.photos, config.pool) == ("nano", ("photos", "more.tar"), None)
    assert (config.images, config.batch, config.accumulate) == (64, 8, 2)
    assert config.stages == ((0.5, 128 * 128), (0.5, 256 * 256))
    assert (config.decoder_width, config.decoder_depth, config.optimizer, config.bf16) == (64, 3, "adamw", False)


def test_crops_are_of_256_pixels_and_curated_unless_told(asked: list[PretrainConfig]) -> None:
    for curation in (True, False):
        with pytest.raises(typer.Exit):
            verb.pretrain(Path("run"), pool=Path("scenes"), curation=curation)

    assert [config.curate_every for config in asked] == [CURATE_EVERY, None]
    assert [config.stages for config in asked] == [STAGES, STAGES] == [((1.0, 65536),)] * 2
    assert asked[0].pool == Path("scenes")


def test_interruption_is_told_and_has_its_status(
    asked: list[PretrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as exit_info:
        verb.pretrain(Path("run"), images=["photos"])

    assert exit_info.value.exit_code == 130
    assert capsys.readouterr().err.strip() == (
        "pixio-edge: interrupted; run is saved, and the same command goes on from there"
    )
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("options", "fragment"),
    [({"stages": ["big"]}, "--stage"), ({"optimizer": "sgd"}, "--optimizer"), ({"device": "abacus"}, "abacus")],
)
def test_option_is_refused_when_it_means_nothing(
    options: dict[str, Any], fragment: str, asked: list[PretrainConfig]
) -> None:
    with pytest.raises(InputError, match=fragment):
        verb.pretrain(Path("run"), images=["photos"], **options)

    assert asked == []
