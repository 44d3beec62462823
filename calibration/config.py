"""What a calibration is asked for.

Ranges of activations are by mean squared error unless asked otherwise, because it was the best on nano. Depth of INT8
against fp32 in dB (signal to noise around the mean of the depth, mean over 51 photos that were not calibrated on, no
smoothing, weights rounded to nearest, 128 photos to calibrate on; symmetric int8 in flavour `openvino`, uint8
convolutions and dynamic products in `ort-x86`):

| method | openvino | worst photo | ort-x86 | worst photo |
|---|---:|---:|---:|---:|
| minmax | 28.8 | 14.7 | 32.3 | 20.6 |
| moving_average | 30.3 | 19.0 | 32.2 | 17.0 |
| percentile 99.99 | 31.9 | 21.8 | 34.8 | 22.2 |
| mse | 32.9 | 20.7 | 34.7 | 24.4 |
| entropy | 31.1 | 17.1 | 34.4 | 20.2 |

Percentile 99.9 was 6 dB below 99.99 in both, 99.999 within 1 dB. The gain is in the maps: `mse` for them alone was
0.1 dB below `mse` for all, `mse` for tokens alone no better than minmax. With 32 photos `mse` led as well.

Weights are rounded to nearest unless asked otherwise: with ranges by `mse`, second-order rounding lost 0.3 dB on nano.
On the hard case (`benchmarks/hard_case.py`) it won 0.5 dB with 4 blocks and 0.9 dB with 12.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pixio_edge.errors import InputError

if TYPE_CHECKING:
    from pydantic import JsonValue

ActivationMethod = Literal["minmax", "moving_average", "percentile", "mse", "entropy"]
WeightMethod = Literal["minmax", "mse"]
Rounding = Literal["nearest", "gptq"]
SEARCH: Literal["search"] = "search"


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How ranges, factors and weights are chosen.

    Args:
        images: Number of images to take from the source.
        seed: Of everything that is drawn; equal seeds give equal tables.
        activation_method: How ranges of activations are chosen; see `observers`.
        percentile: Share of the values, in percent, that method "percentile" keeps inside the range; (50, 100].
        weight_method: "minmax" covers all weights of a channel; "mse" clips where that lowers the squared error.
        smoothing: False for none, True or "search" for a strength searched for each layer, or one strength in [0, 1]
            for all.
        rounding: "nearest", or "gptq", which lets later weights of a channel make up for the rounding of earlier ones.
        bias_correction: Whether the mean error of each output channel is added to its bias.
        threads: Of the runtime while calibrating; None leaves it to the runtime.

    Raises:
        InputError: A value is not one of these.
    """

    images: int = 128
    seed: int = 0
    activation_method: ActivationMethod = "mse"
    percentile: float = 99.99
    weight_method: WeightMethod = "minmax"
    smoothing: bool | float | Literal["search"] = SEARCH
    rounding: Rounding = "nearest"
    bias_correction: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        _require(self.images >= 1, "images", self.images, "at least 1")
        _require(self.seed >= 0, "seed", self.seed, "at least 0")
        for name, choices in (
            ("activation_method", get_args(ActivationMethod)),
            ("weight_method", get_args(WeightMethod)),
            ("rounding", get_args(Rounding)),
        ):
            _require(getattr(self, name) in choices, name, getattr(self, name), f"one of {', '.join(choices)}")
        _require(50 < self.percentile <= 100, "percentile", self.percentile, "more than 50, at most 100")
        is_strength = not isinstance(self.smoothing, str) and 0 <= self.smoothing <= 1
        _require(is_strength or self.smoothing == SEARCH, "smoothing", self.smoothing, f"off, '{SEARCH}' or 0 to 1")
        _require(self.threads is None or self.threads >= 1, "threads", self.threads, "at least 1")

    def to_json(self) -> dict[str, JsonValue]:
        """The fields as plain JSON values, for the provenance of a table."""
        return asdict(self)


def _require(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise InputError(f"calibration {name}: got {got}, expected {expected}. Fix: change it or leave it out")
