"""Records of a report: read, grouped by device, named briefly, put on scales and fronts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_bars import MEMORY, MOST_BARS, draw_bars
from pixio_edge.bench.report_columns import choose_columns
from pixio_edge.bench.report_data import device_name, group_devices, load_records, make_report
from pixio_edge.bench.report_facts import list_facts, list_highlights, list_noisy
from pixio_edge.bench.report_labels import choose_metric, label_records, number, percent, tick
from pixio_edge.bench.report_lines import BATCH, THREADS, TOKENS, find_series
from pixio_edge.bench.report_pareto import Trade, list_trades, pareto_front
from pixio_edge.bench.report_scales import apart, linear_scale, linear_ticks, log_scale, log_ticks, spread_scale
from pixio_edge.bench.report_timeline import list_panels, throttled_share
from pixio_edge.errors import InputError
from tests.bench_records import BASE, DESKTOP, JETSON, NOISY, accuracy, failed, steady, sustained, write_records

BUNDLES = {"nano": "nano", "small": "small"}


def test_files_mix_and_lists_of_the_terminal_are_read_too(tmp_path: Path) -> None:
    lines = write_records(tmp_path / "a.jsonl", [steady(1.0), steady(2.0)])
    listed = tmp_path / "b.json"
    listed.write_text(json.dumps([steady(3.0).to_json()], indent=2), encoding="utf-8")

    chosen = tmp_path / "c.json"
    chosen.write_text(json.dumps({"choice": None, "records": [steady(4.0).to_json()]}, indent=2), encoding="utf-8")

    assert [round(record.p50_ms or 0) for record in load_records([lines, listed, chosen])] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "got no record"),
        ("\n \n", "got no record"),
        ("[]", "got no record"),
        ("[", "not JSON"),
        ('{\n  "rows": []\n}', "got no list of records"),
        ("[1]", "item 1: benchmark record: got int"),
        ("{}", "line 1"),
        ("no", "line 1"),
        (json.dumps(BASE | {"schema_version": 99}), "upgrade pixio-edge"),
    ],
)
def test_files_without_records_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError, match=problem) as caught:
        load_records([path])
    assert "Fix: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_devices_are_told_apart_by_hardware_and_not_by_software() -> None:
    same = steady(2.0, host=DESKTOP | {"os": "Linux 7", "packages": {}}, runtime="openvino")

    devices = group_devices([steady(1.0), same, steady(3.0, host=JETSON)])

    assert [len(device.records) for device in devices] == [2, 1]
    assert devices[0].name == "AMD Ryzen 7 7840U, 8 cores"
    assert devices[1].name.startswith("NVIDIA Jetson Orin Nano")


def test_devices_of_one_name_are_numbered() -> None:
    twins = [steady(1.0, host=DESKTOP | {"logical_cores": cores}) for cores in (8, 16)]

    assert [device.name[-3:] for device in group_devices(twins)] == ["(1)", "(2)"]


def test_device_name_bears_any_host() -> None:
    assert device_name({}) == "unknown processor"
    assert device_name({"cpu": 7, "physical_cores": "x", "gpus": "y"}) == "7"
    assert device_name({"cpu": "A", "physical_cores": 4, "gpus": ["RTX", "RTX"]}) == "A, 4 cores + RTX"


def test_newest_record_of_a_combination_is_shown() -> None:
    old = steady(9.0, created="2026-01-01T00:00:00+00:00")

    (device,) = group_devices([steady(1.0), old, steady(5.0, threads=1)])

    assert [round(record.p50_ms or 0) for record in device.records] == [1, 5]
    assert device.replaced == 1


def test_sustained_run_stays_when_a_later_record_has_none() -> None:
    long = steady(9.0, created="2026-01-01T00:00:00+00:00", sustained=sustained())

    (device,) = group_devices([steady(1.0), long])

    assert [round(record.p50_ms or 0) for record in device.records] == [1]
    assert device.long == (long,)


def test_records_are_fastest_first_and_failures_last() -> None:
    (device,) = group_devices([failed("failed", "x"), steady(5.0), steady(1.0, threads=1)])

    assert [record.status for record in device.records] == ["ok", "ok", "failed"]
    assert len(device.timed) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_times_that_cannot_be_drawn_count_as_none(bad: float) -> None:
    record = steady(1.0).model_copy(update={"p50_ms": bad})

    assert group_devices([record])[0].timed == ()


def test_labels_say_only_what_differs() -> None:
    records = [steady(1.0), steady(1.0, threads=4), steady(1.0, threads=4, batch=2, noise=NOISY)]
    labels = label_records(records, BUNDLES)

    assert [labels.of(record) for record in records] == ["ort fp32 2t", "ort fp32 4t", "~ ort fp32 4t batch 2"]
    assert label_records(records, BUNDLES, without=("threads",)).of(records[0]) == "ort fp32"


def test_labels_name_the_artifact_when_nothing_else_tells_two_apart() -> None:
    records = [steady(1.0), steady(1.0, artifact="onnx-w8-256x256")]
    labels = label_records(records, BUNDLES)

    assert [labels.of(record) for record in records] == ["ort fp32 onnx-fp32", "ort fp32 onnx-w8"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0"),
        (0.0123456, "0.0123"),
        (1.005, "1.00"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_ticks_and_changes_are_short() -> None:
    assert [tick(value) for value in (0.0, 0.25, 1000.0, 1e-6)] == ["0", "0.25", "1,000", "1e-06"]
    assert [percent(ratio) for ratio in (1.05, 0.5)] == ["+5.0 %", "−50.0 %"]


def test_ticks_are_round_and_span_the_values() -> None:
    assert linear_ticks(0.0, 10.0) == (0, 2, 4, 6, 8, 10)
    assert linear_ticks(0.905, 0.967) == pytest.approx((0.9, 0.92, 0.94, 0.96, 0.98))
    assert linear_ticks(3.0, 3.0)[0] <= 3 <= linear_ticks(3.0, 3.0)[-1]
    assert log_ticks(3.0, 150.0) == (5, 10, 20, 50, 100)
    assert log_ticks(11.0, 19.0) == (15.0,) or len(log_ticks(11.0, 19.0)) > 1
    assert len(log_ticks(1e-3, 1e6)) <= 7


def test_scales_put_values_in_proportion() -> None:
    linear, logarithmic = linear_scale((0.0, 10.0), 100.0, 200.0), log_scale((1.0, 100.0), 0.0, 100.0)

    assert [linear.at(value) for value in (0.0, 2.5, 10.0, 99.0)] == [100, 125, 200, 200]
    assert logarithmic.at(10.0) == pytest.approx(50)
    assert 0 < logarithmic.at(1.0) < logarithmic.at(100.0) < 100
    assert spread_scale((1.0, 7.9), 0, 1).log is False
    assert spread_scale((1.0, 8.0), 0, 1).log is True
    assert log_scale((5.0, 5.0), 0.0, 1.0).at(5.0) == pytest.approx(0.5, abs=0.1)


def test_labels_move_apart_and_stay_inside() -> None:
    assert apart([10.0, 50.0], 15, 0, 100) == [10, 50]
    assert apart([50.0, 48.0, 49.0], 15, 0, 100) == [78, 48, 63]
    assert apart([99.0, 98.0], 15, 0, 100) == [100, 85]
    crowded = apart([50.0] * 10, 15, 0, 100)
    assert min(crowded) >= 0
    assert sorted(crowded)[1] - sorted(crowded)[0] == pytest.approx(15)
    assert apart([], 15, 0, 100) == []


def trade(latency_ms: float, value: float) -> Trade:
    return Trade(steady(1.0), latency_ms, value)


def test_front_is_what_nothing_beats_in_both() -> None:
    best, slow, beaten, equal, top = trade(1, 0.5), trade(2, 0.7), trade(3, 0.6), trade(4, 0.7), trade(5, 0.9)

    assert pareto_front([top, equal, beaten, slow, best], "delta1") == [best, slow, top]
    assert pareto_front([trade(1, 0.3), trade(2, 0.4), slow := trade(3, 0.1)], "abs_rel")[-1] is slow
    assert pareto_front([trade(1, 0.3), better := trade(1, 0.4)], "delta1") == [better]
    assert pareto_front([], "delta1") == []


def test_trades_are_of_single_requests_with_an_accuracy() -> None:
    records = [
        steady(3.0, accuracy=accuracy(0.9)),
        steady(1.0, accuracy=accuracy(0.8), batch=4),
        steady(2.0, accuracy=accuracy(None, 0.1)),
        steady(4.0),
    ]

    assert choose_metric(records) == "delta1"
    assert choose_metric(records[2:]) == "abs_rel"
    assert choose_metric(records[3:]) is None
    assert [trade.accuracy for trade in list_trades(records, "delta1")] == [0.9]


def stated(median_ms: float, size: tuple[int, int], precision: str = "fp32", **changes: object) -> BenchRecord:
    """A record whose accuracy is that of the manifest, one for all sizes."""
    name = f"onnx-{precision}-{size[0]}x{size[1]}"
    given = accuracy(0.637) | {"source": "manifest"}
    return steady(median_ms, size=list(size), artifact=name, precision=precision, accuracy=given, **changes)


def test_stated_accuracy_is_that_of_the_size_that_fits_the_frames() -> None:
    """Each image was measured at the size that fits it: a portrait graph does not have that of a landscape camera."""
    sizes = ((336, 192), (304, 224), (256, 256), (192, 336))
    records = [stated(10.0 + at, size) for at, size in enumerate(sizes)]

    assert [trade.record.size for trade in list_trades(records, "delta1")] == [(192, 336)]
    report = make_report(records, [Path("a.jsonl")])
    (best,) = [each for each in list_highlights(report.devices[0], report.bundles) if each.name == "Most accurate"]
    assert best.record.size == (192, 336)
    assert "δ1 0.637*" in best.value
    (column,) = [each for each in choose_columns(records, report.bundles) if each.head == "δ1"]
    assert column.text(records[0]) == "0.637*"
    assert column.text(steady(1.0, accuracy=accuracy(0.5))) == "0.500"


def test_accuracies_that_are_the_same_are_no_ranking() -> None:
    fast, slow = trade(1, 0.6362), trade(2, 0.637)

    assert pareto_front([fast, slow], "delta1") == [fast]
    scale = linear_scale([0.6362, 0.637], 0.0, 100.0, least_span=0.02)
    assert abs(scale.at(0.637) - scale.at(0.6362)) < 5


def test_bars_are_few_and_have_the_best_of_every_runtime_and_precision() -> None:
    many = [steady(1.0 + 0.01 * at, 10, threads=at + 1) for at in range(60)]
    slow = steady(500.0, 10, runtime="openvino", precision="int8")

    drawn = str(draw_bars([*many, slow], {"nano": "nano"}, MEMORY))

    assert drawn.count('class="mark"') == MOST_BARS
    assert "openvino int8" in drawn
    assert f"{61 - MOST_BARS} longer bars are left out" in drawn


def test_lines_hold_everything_else() -> None:
    plans = [
        {"size": [side, side], "tokens": side**2 // 256, "threads": threads, "artifact": f"onnx-fp32-{side}x{side}"}
        for side in (256, 512)
        for threads in (1, 2)
    ]
    sizes = [steady(plan["tokens"] / 9, **plan) for plan in plans]

    lines = find_series(sizes, TOKENS)

    assert [[record.size[0] for record in series.records] for series in lines] == [[256, 512], [256, 512]]
    assert lines[0].places[0][0] == 256
    assert len(find_series(sizes, THREADS)) == 2
    assert find_series(sizes, BATCH) == []
    # Shapes of one area are no series.
    assert find_series([steady(1.0), steady(1.0, size=[224, 304], tokens=266)], TOKENS) == []


def test_throttling_is_a_share_of_the_time() -> None:
    record = steady(12.0, sustained=sustained(buckets=4))
    assert record.sustained is not None

    assert throttled_share(record.sustained) == pytest.approx(0.5)
    silent = [bucket.model_copy(update={"throttled": None}) for bucket in record.sustained.buckets]
    assert throttled_share(record.sustained.model_copy(update={"buckets": tuple(silent)})) is None


def test_panels_are_what_the_host_told() -> None:
    record = steady(12.0, sustained=sustained(buckets=4))
    assert record.sustained is not None
    silenced = {"cpu_mhz": None, "gpu_mhz": None, "temperatures_c": None, "power_w": None}
    silent = [bucket.model_copy(update=silenced) for bucket in record.sustained.buckets]

    panels = list_panels(record.sustained, "")

    assert [panel.unit for panel in panels] == ["latency (ms)", "clock (MHz)", "temperature (°C)", "power (W)"]
    assert [track.name for track in panels[2].tracks] == ["tj-thermal", "gpu-thermal", "cpu-thermal"]  # the hottest
    quiet = list_panels(record.sustained.model_copy(update={"buckets": tuple(silent)}), "")
    assert [panel.unit for panel in quiet] == ["latency (ms)"]


def test_facts_keep_every_value_that_differs() -> None:
    records = [steady(1.0), steady(2.0, threads=1, tool="pixio-edge 9", absent={"energy": "no sensor"})]
    facts = dict(list_facts(group_devices(records)[0]))

    assert facts["Measured with"] == "pixio-edge 0.2.0; pixio-edge 9"
    assert facts["Not measurable here"] == "energy (no sensor)"
    assert facts["Memory"] == "31.1 GiB"
    assert "GPU" not in facts


def test_highlights_are_the_best_of_each_kind() -> None:
    records = [
        steady(9.0, accuracy=accuracy(0.9), peak_rss_mib=300.0, runtime="openvino"),
        steady(5.0, accuracy=accuracy(0.8), peak_rss_mib=200.0, noise=NOISY),
        steady(1.0, batch=8, peak_rss_mib=10.0),
    ]
    report = make_report(records, [Path("x/records.jsonl")])
    highlights = {each.name: each.record.runtime for each in list_highlights(report.devices[0], report.bundles)}

    assert highlights == {"Fastest": "ort", "Most accurate": "openvino", "Least memory": "ort"}
    assert report.files == ("records.jsonl",)
    assert list_noisy(report.devices[0], report.bundles)[0][1].startswith("load average 3.2")
