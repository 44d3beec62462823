from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from shared_data import SHARED_DATA, needs_shared_data

from pixio_edge.errors import InputError
from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.evaluation.protocol import MIN_VALID_PX, PROTOCOL, align_prediction, evaluate, evaluate_sample
from pixio_edge.evaluation.report import SkippedImage
from pixio_edge.evaluation.samples import DepthSample, LoadedDataset

SIZE = (6, 8)

EXACT = 1e-6  # float32 ground truth

FLOOR_DELTA1 = {
    "driving_other": 0.464,
    "eth3d_twoview": 0.409,
    "icl_synthetic": 0.515,
    "indoor_rgbd": 0.607,
    "kitti": 0.661,
    "middlebury": 0.793,
    "seven_scenes_redkitchen": 0.669,
    "tabletop": 0.652,
}
"""What the row index scores: measured once with numpy.linalg.lstsq, apart from this package."""

FLOOR_MACRO = 0.596
FLOOR_ABS = 6e-4  # the values above are rounded to three digits


def make_sample(
    name: str = "a", *, seed: int = 0, valid: np.ndarray | None = None, unit: str | None = "m"
) -> DepthSample:
    depth = np.random.default_rng(seed).uniform(1.0, 9.0, size=SIZE).astype(np.float32)
    mask = np.ones(SIZE, dtype=bool) if valid is None else valid
    # The image carries the index of the scene, so that a predictor can look the truth up.
    return DepthSample(name, np.full((*SIZE, 3), seed, dtype=np.uint8), depth, mask, unit)


def make_set(name: str, *samples: DepthSample) -> LoadedDataset:
    return LoadedDataset(name, f"made for {name}", samples)


def few_valid(count: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask.ravel()[:count] = True
    return mask


def predict_truth(rgb: np.ndarray) -> np.ndarray:
    return 3.0 / make_sample(seed=int(rgb[0, 0, 0])).depth_gt + 5.0


def predict_rows(rgb: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(rgb.shape[0], dtype=np.float32)[:, None], rgb.shape[1], axis=1)


def test_evaluate_scores_an_affine_copy_of_the_truth_as_perfect():
    report = evaluate(predict_truth, [make_set("s", make_sample(seed=0), make_sample("b", seed=1))])

    assert report.macro.delta1 == 1.0
    assert report.macro.abs_rel < EXACT
    assert report.macro_floor is not None
    assert report.macro_floor.delta1 < 1.0


def test_evaluate_scores_the_row_index_as_its_own_floor():
    report = evaluate(predict_rows, [make_set("s", *(make_sample(str(seed), seed=seed) for seed in range(4)))])

    assert report.macro == report.macro_floor


def test_evaluate_gives_every_image_of_a_set_the_same_weight_however_few_pixels_it_has():
    dense, sparse = make_sample("dense", seed=1), make_sample("sparse", seed=2, valid=few_valid(MIN_VALID_PX))

    result = evaluate(predict_rows, [make_set("s", dense, sparse)]).sets[0]

    first, second = (image.metrics.abs_rel for image in result.images)
    assert first != pytest.approx(second)
    assert result.metrics is not None
    assert result.metrics.abs_rel == pytest.approx((first + second) / 2)


def test_evaluate_gives_every_set_the_same_weight_however_few_images_it_has():
    large = make_set("large", *(make_sample(str(seed), seed=seed) for seed in range(5)))
    small = make_set("small", make_sample(seed=9))

    report = evaluate(predict_rows, [large, small])

    parts = [result.metrics.delta1 for result in report.sets if result.metrics is not None]
    assert parts[0] != pytest.approx(parts[1])
    assert report.macro.delta1 == pytest.approx(sum(parts) / 2)


def test_alignment_clamps_what_it_sends_behind_infinity_at_the_largest_valid_depth():
    valid = np.ones(SIZE, dtype=bool)
    valid[0, 0] = False
    sample = make_sample(seed=3, valid=valid)
    inverse = 1.0 / sample.depth_gt.astype(np.float64)
    inverse[0, 0] = -5.0  # the fit over the other pixels is exact, so this one stays negative

    aligned = align_prediction(inverse, sample)

    assert aligned[0, 0] == sample.depth_gt[valid].max()
    np.testing.assert_allclose(aligned[valid], sample.depth_gt[valid], rtol=EXACT)


def test_evaluate_clamps_at_the_largest_valid_depth_of_the_image():
    depth, inverse = np.full(SIZE, 9.0, dtype=np.float32), np.zeros(SIZE, dtype=np.float32)
    depth[:3], inverse[:3] = 1.0, 1.0
    inverse[-1, -1] = -1.0  # the fit, 0.795 p + 0.175, puts this far pixel behind infinity
    sample = DepthSample("a", np.zeros((*SIZE, 3), dtype=np.uint8), depth, np.ones(SIZE, dtype=bool), "m")

    image = evaluate(lambda rgb: inverse, [make_set("s", sample)]).sets[0].images[0]

    assert image.shift - image.scale < 0
    # Clamped at 9 m this pixel is right, and 23 others miss by 9 - 5.72 m; a clamp at 80 m would give 10.5 m in all.
    assert image.metrics.rmse == pytest.approx(2.2677, abs=1e-4)


def test_evaluate_skips_and_counts_an_image_with_too_few_valid_pixels(caplog: pytest.LogCaptureFixture):
    empty = make_sample("empty", seed=1, valid=few_valid(0))
    short = make_sample("short", seed=2, valid=few_valid(MIN_VALID_PX - 1))

    with caplog.at_level(logging.WARNING):
        report = evaluate(predict_truth, [make_set("s", make_sample("good"), empty, short)])

    assert [image.name for image in report.sets[0].images] == ["good"]
    assert [image.name for image in report.sets[0].skipped] == ["empty", "short"]
    assert report.to_json()["sets"]["s"]["skipped"][0] == {
        "name": "empty",
        "reason": "0 valid pixels, at least 10 needed",
    }
    assert report.to_json()["skipped"] == 2
    assert "s: 2 of 3 images skipped" in caplog.text


def test_evaluate_keeps_a_set_with_nothing_valid_in_the_report_but_out_of_the_mean():
    bad = make_set("bad", make_sample(valid=few_valid(0)))

    report = evaluate(predict_truth, [bad, make_set("good", make_sample())])

    assert report.macro.delta1 == 1.0
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert record["sets"]["bad"]["delta1"] is None
    assert record["sets"]["bad"]["images"] == 0


def test_evaluate_refuses_data_in_which_nothing_is_valid():
    with pytest.raises(InputError, match="got no image with 10 valid pixels or more"):
        evaluate(predict_truth, [make_set("bad", make_sample(valid=few_valid(0)))])


def test_evaluate_sample_does_not_run_the_predictor_on_an_image_it_skips():
    def fail(rgb: np.ndarray) -> np.ndarray:
        raise AssertionError(rgb.shape)

    assert isinstance(evaluate_sample(fail, make_sample(valid=few_valid(3))), SkippedImage)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_evaluate_refuses_a_prediction_that_is_not_finite_even_outside_the_valid_pixels(bad: float):
    def predict(rgb: np.ndarray) -> np.ndarray:
        inverse = predict_rows(rgb)
        inverse[-1, -1] = bad
        return inverse

    with pytest.raises(InputError, match="a: got NaN or infinity in 1 pixels of the prediction"):
        evaluate(predict, [make_set("s", make_sample(valid=few_valid(20)))])


def test_evaluate_refuses_a_prediction_of_another_size():
    with pytest.raises(InputError, match=r"a: got a prediction of shape \(3, 4\), expected \(6, 8\)"):
        evaluate(lambda rgb: np.ones((3, 4)), [make_set("s", make_sample())])


def test_evaluate_refuses_no_sets_and_sets_that_share_a_name():
    with pytest.raises(InputError, match="expected at least one, each with its own name"):
        evaluate(predict_rows, [])
    with pytest.raises(InputError, match=r"got data sets \['s', 's'\]"):
        evaluate(predict_rows, [make_set("s", make_sample()), make_set("s", make_sample())])


def test_evaluate_scores_a_constant_prediction_as_the_mean_inverse_depth():
    sample = make_sample()

    report = evaluate(lambda rgb: np.full(SIZE, 0.3, dtype=np.float32), [make_set("s", sample)])

    image = report.sets[0].images[0]
    guess = 1.0 / np.mean(1.0 / sample.depth_gt.astype(np.float64))
    assert image.scale == 0.0
    assert image.metrics.abs_rel == pytest.approx(np.mean(np.abs(guess / sample.depth_gt - 1.0)), rel=EXACT)


def test_report_counts_the_images_that_the_fit_turned_over():
    report = evaluate(lambda rgb: -predict_truth(rgb), [make_set("s", make_sample(), make_sample("b", seed=1))])

    assert report.sets[0].inverted == 2
    assert report.to_json()["sets"]["s"]["inverted"] == 2
    assert evaluate(predict_truth, [make_set("s", make_sample())]).sets[0].inverted == 0


def test_report_leaves_metres_out_where_the_truth_has_no_unit():
    free, metric = make_sample("free", unit=None), make_sample("metric", seed=1)

    alone = evaluate(predict_rows, [make_set("s", free)]).to_json()
    mixed = evaluate(predict_rows, [make_set("s", free, metric)])

    assert alone["sets"]["s"]["rmse"] is None
    assert alone["sets"]["s"]["sq_rel"] is None
    assert alone["sets"]["s"]["delta1"] is not None
    assert mixed.sets[0].metrics is not None
    assert mixed.sets[0].metrics.rmse == pytest.approx(mixed.sets[0].images[1].metrics.rmse)


def test_report_to_json_has_the_agreed_keys():
    report = evaluate(predict_rows, [make_set("s", make_sample())])

    record = json.loads(json.dumps(report.to_json(per_image=True), allow_nan=False))

    assert {"macro", "sets", "protocol", "images", "skipped"} == set(record)
    assert {"delta1", "abs_rel", "floor_delta1", "floor_abs_rel"} <= set(record["macro"])
    assert {"delta1", "abs_rel", "rmse", "floor_delta1", "images", "note"} <= set(record["sets"]["s"])
    assert record["sets"]["s"]["images"] == 1
    assert record["sets"]["s"]["note"] == "made for s"
    assert record["sets"]["s"]["per_image"][0]["name"] == "a"
    assert record["protocol"] == PROTOCOL


def test_report_to_table_has_one_row_for_each_set_and_the_macro():
    table = evaluate(predict_truth, [make_set("s", make_sample()), make_set("t", make_sample())]).to_table()

    assert [row[0] for row in table] == ["set", "s", "t", "macro"]
    assert {len(row) for row in table} == {len(table[0])}
    assert dict(zip(table[0], table[-1], strict=True))["delta1"] == "1.000"
    assert dict(zip(table[0], table[-1], strict=True))["images"] == "2"


def test_evaluate_without_floor_leaves_it_out():
    report = evaluate(predict_rows, [make_set("s", make_sample())], with_floor=False)

    assert report.macro_floor is None
    assert "floor_delta1" not in report.to_json()["macro"]
    assert report.to_table()[1][4] == "-"


def test_evaluate_reports_progress_after_each_image():
    calls: list[tuple[int, int, str]] = []
    sets = [make_set("s", make_sample(), make_sample("b", valid=few_valid(0))), make_set("t", make_sample())]

    evaluate(predict_rows, sets, progress=lambda done, total, name: calls.append((done, total, name)))

    assert calls == [(1, 3, "s"), (2, 3, "s"), (3, 3, "t")]


@needs_shared_data
def test_row_index_floor_of_the_real_sets_is_what_an_independent_fit_measured():
    report = evaluate(predict_rows, open_datasets(SHARED_DATA))

    measured = {result.name: result.floor.delta1 for result in report.sets if result.floor is not None}
    assert measured == pytest.approx(FLOOR_DELTA1, abs=FLOOR_ABS)
    assert report.macro.delta1 == pytest.approx(FLOOR_MACRO, abs=FLOOR_ABS)
    assert report.to_json()["images"] == 62
    assert report.to_json()["skipped"] == 0
