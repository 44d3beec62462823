"""The page: complete, closed to everything outside, safe against what stands in records, legible."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.bench.compare import compare
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bench.report_bars import MOST_BARS
from pixio_edge.bench.report_chart import SHAPES
from pixio_edge.bench.report_data import make_report
from pixio_edge.bench.report_html import render_html
from pixio_edge.bench.report_markup import Markup, clean, element, escape, shorten
from pixio_edge.bench.report_script import SCRIPT
from pixio_edge.bench.report_style import DARK, LIGHT, STYLE
from tests.bench_records import BASE, DESKTOP, JETSON, NOISY, accuracy, failed, steady, sustained

HOSTILE = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--]]>\x00\u202e|`javascript:`"
VOID = {"meta", "br", "input"}
ELEMENTS = """
html head meta title style body header footer section div p h1 h2 h3 h4 ul li dl dt dd span label select option table
thead tbody tr th td figure figcaption svg g path rect line circle text script
"""
ATTRIBUTES = """
lang charset http-equiv content name class hidden role tabindex aria-label scope title value viewbox width height x y x1
y1 x2 y2 cx cy r d transform text-anchor font-size data-device data-bundle data-runtime data-precision data-filter
data-value data-x data-y
"""


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def count(self, name: str) -> int:
        return sum(tag == name for tag, _ in self.tags)

    def attributes(self, name: str) -> list[str]:
        return [str(attributes[name]) for _, attributes in self.tags if name in attributes]

    def all_texts(self) -> str:
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)


def render(records: Sequence[BenchRecord], baseline: Sequence[BenchRecord] | None = None) -> str:
    compared = None if baseline is None else compare(baseline, records)
    return render_html(make_report(records, [Path("records.jsonl")]), compared)


def many() -> list[BenchRecord]:
    """Sixty measurements: two bundles, three runtimes, several sizes, threads and precisions."""
    records = []
    for bundle in ("nano", "small"):
        for runtime in ("ort", "openvino", "pytorch"):
            for precision in ("fp32", "int8"):
                for side, threads in ((256, 1), (256, 2), (256, 4), (512, 2), (128, 2)):
                    plan: dict[str, Any] = {"bundle": bundle, "runtime": runtime, "precision": precision}
                    plan |= {"size": [side, side], "tokens": side**2 // 256, "threads": threads}
                    plan |= {"artifact": f"onnx-{precision}-{side}x{side}"}
                    median = side**2 / 1e4 / threads * (4 if bundle == "small" else 1) + len(records) / 10
                    records.append(steady(median, runs=20, accuracy=accuracy(0.8 + len(records) / 1e3), **plan))
    return records


def full() -> list[BenchRecord]:
    """Every kind of figure and of row."""
    return [
        *many(),
        steady(20.0, batch=2),
        steady(20.0, batch=1),
        steady(9.0, host=JETSON, runtime="tensorrt", precision="fp16", sustained=sustained(), accuracy=accuracy(0.9)),
        steady(3.0, threads=8, noise=NOISY),
        steady(4.0, threads=16, status="slower_than_float", reason="float takes 3 ms"),
        failed("failed", "it died", artifact="onnx-x-1x1"),
        failed("unavailable", "no GPU", host=JETSON),
    ]


def test_page_is_well_formed_and_has_every_figure() -> None:
    page = Page(render(full()))

    assert page.open == []
    headings = page.texts["h4"]
    for heading in (
        "Latency against accuracy",
        "Latency against input size",
        "Latency against threads",
        "Throughput against requests in flight",
        "Where a whole prediction spends its time",
        "Memory",
        "Over time: tensorrt fp16 ",
    ):
        assert any(heading.strip() in text for text in headings), heading


def test_page_says_what_failed_and_why_and_what_is_noisy() -> None:
    text = Page(render(full())).all_texts()

    for phrase in ("it died", "no GPU", "unavailable", "load average 3.2, above 0.5", "float takes 3 ms", "~ 3.0"):
        assert phrase in text, phrase
    assert re.search(r"1 of \d+ measurements are noisy", text)
    assert "Throttled 50% of the time (shaded). Power mode 15W." in text


def test_page_has_host_versions_and_commit() -> None:
    text = Page(render([steady(1.0)])).all_texts()

    for fact in (
        "AMD Ryzen 7 7840U",
        "Linux 6.1.0",
        "onnxruntime 1.31.1",
        "pixio-edge 0.2.0",
        "d74fefbac4d2",
        "31.1 GiB",
    ):
        assert fact in text, fact


def test_page_of_one_record_says_what_it_lacks() -> None:
    text = Page(render([steady(1.0)])).all_texts()

    assert "1 measurement of nano on 1 device" in text
    assert "Latency against threads: nothing was measured with two numbers of threads" in text
    assert "no record has an accuracy" in text


def test_page_needs_nothing_from_outside() -> None:
    page = render(full(), baseline=full()[:6])

    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bsrc=|\bhref=", page)
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|eval\(|innerHTML|document\.write|import\(", SCRIPT)


def test_policy_allows_our_script_and_style_alone() -> None:
    page = Page(render([steady(1.0)]))
    policies = [each for _, each in page.tags if each.get("http-equiv") == "Content-Security-Policy"]

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    (policy,) = (str(each["content"]) for each in policies)
    style, script = digest(page.texts["style"][0]), digest(page.texts["script"][0])
    assert policy == (
        f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"
    )
    assert page.tags.index(("meta", policies[0])) < [tag for tag, _ in page.tags].index("style")
    assert not page.attributes("style")


def hostile_record(**changes: Any) -> BenchRecord:
    """One in which every text is hostile."""
    texts = ("bundle", "model", "artifact", "runtime", "runtime_version", "provider", "device", "precision", "reason")
    host = {name: HOSTILE if isinstance(value, str) else value for name, value in DESKTOP.items()}
    host |= {"gpus": [HOSTILE], "isa": [HOSTILE], "packages": {HOSTILE: HOSTILE}, "nvidia": {HOSTILE: HOSTILE}}
    long = sustained(buckets=3)
    long["power_mode"] = HOSTILE
    for bucket in long["buckets"]:
        bucket["temperatures_c"] = {HOSTILE: 50.0}
    return steady(
        10.0,
        runs=10,
        **dict.fromkeys(texts, HOSTILE)
        | {"tool": HOSTILE, "git_commit": HOSTILE, "created": HOSTILE, "host": host, "status": "slower_than_float"}
        | {"noise": NOISY | {"reasons": [HOSTILE]}, "accuracy": accuracy(0.9, on=HOSTILE), "sustained": long}
        | {"absent": {HOSTILE: HOSTILE}, "power": {"power_mode": HOSTILE, "governor": HOSTILE, "clocks_locked": None}}
        | changes,
    )


def test_hostile_texts_stay_texts() -> None:
    records = [hostile_record(), hostile_record(threads=1), hostile_record(batch=4, accuracy=None)]
    lost = failed("failed", HOSTILE, artifact=HOSTILE, runtime=HOSTILE, host=records[0].host)
    made = make_report([*records, lost], [Path(f"{HOSTILE[:3]}.jsonl")])

    page = Page(render_html(made, compare(records, [*records, lost])))

    assert page.open == []
    assert page.count("script") == 1
    assert page.texts["script"] == [SCRIPT]
    assert page.texts["style"] == [STYLE]
    assert {tag for tag, _ in page.tags} <= set(ELEMENTS.split())
    assert {name for _, attributes in page.tags for name in attributes} <= set(ATTRIBUTES.split())
    shown = clean(HOSTILE)
    assert shown in page.all_texts()
    assert "\x00" not in shown
    assert "\u202e" not in shown
    assert shown in page.attributes("data-runtime")  # what the filters compare is the text itself


def test_class_of_an_unknown_runtime_is_ours() -> None:
    page = Page(render([hostile_record(), hostile_record(threads=1)]))

    assert all(re.fullmatch(r"[\w -]*", value) for value in page.attributes("class"))


def test_markup_escapes_all_but_itself() -> None:
    assert element("p", {"title": '"<'}, "<b>", Markup("<i></i>")) == '<p title="&quot;&lt;">&lt;b&gt;<i></i></p>'
    assert escape("a\x07b") == "a\ufffdb"
    assert element("td", {"class": None, "hidden": "", "x": 1.0}) == '<td hidden x="1"></td>'
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert shorten("abc", 7) == "abc"


@pytest.mark.parametrize("records", [[steady(1.0)], many(), full()], ids=["one", "many", "full"])
def test_every_text_of_a_figure_is_inside_it(records: list[BenchRecord]) -> None:
    page = Page(render(records, baseline=records[:6]))
    boxes = [attributes["viewbox"] for tag, attributes in page.tags if tag == "svg"]
    width = max(float(str(box).split()[2]) for box in boxes)

    texts = [attributes for tag, attributes in page.tags if tag == "text"]

    assert len(texts) > 5
    assert all(0 <= float(str(text["x"])) <= width and float(str(text["y"])) > 0 for text in texts)


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    drawing = re.search(r"Latency against input size</h4>.*?</svg>", render(many()), re.DOTALL)
    assert drawing is not None

    places = sorted(float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)" class="label"', drawing[0]))

    assert len(places) == 12
    assert all(later - earlier >= 14.9 for earlier, later in pairwise(places))


def test_every_record_has_a_row_and_the_shortest_have_a_bar() -> None:
    page = render(many())

    assert len(re.findall(r"<tr data-bundle", page)) == 60
    for heading in ("Memory", "Where a whole prediction spends its time"):
        drawing = re.search(rf"{heading}</h4>.*?</svg>\s*(<p|</figure)", page, re.DOTALL)
        assert drawing is not None
        assert drawing[0].count('class="mark"') == MOST_BARS
        assert "36 longer bars are left out" in page


def test_stretches_of_throttling_are_shaded_once() -> None:
    page = Page(render([steady(9.0, sustained=sustained())]))

    assert page.attributes("class").count("throttled") == 4  # one for each panel, though ten buckets are throttled


def test_rows_carry_what_filters_and_sorting_need() -> None:
    page = Page(render(many()))
    rows = [attributes for tag, attributes in page.tags if tag == "tr" and "data-runtime" in attributes]

    assert {row["data-runtime"] for row in rows} == {"ort", "openvino", "pytorch"}
    assert set(page.attributes("data-filter")) == {"bundle", "runtime", "precision"}  # of one device none to choose
    assert "hidden" in next(attributes for _, attributes in page.tags if attributes.get("class") == "filters")


def test_comparison_is_shown_with_verdicts_and_intervals() -> None:
    text = Page(render([steady(20.0, seed=1), steady(1.0, threads=1)], baseline=[steady(10.0)])).all_texts()

    assert "1 combination in both sets: 1 slower." in text
    assert "not in the baseline" in text
    assert "+100" in text or "+99" in text


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_have_contrast(theme: str) -> None:
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", theme))
    page = luminance(colours["page"])

    def contrast(name: str) -> float:
        bright, dim = sorted((luminance(colours[name]), page), reverse=True)
        return (bright + 0.05) / (dim + 0.05)

    assert all(contrast(name) >= 4.5 for name in ("ink", "soft", "link", "warn", "bad", "good"))
    drawn = ("ort", "openvino", "tensorrt", "coreml", "pytorch", "rtx", "other", "a", "b", "c")
    assert {name: round(contrast(name), 2) for name in drawn if contrast(name) < 3} == {}
    assert re.findall(r"--([\w-]+):", LIGHT) == re.findall(r"--([\w-]+):", DARK)


def test_every_variable_and_class_of_the_style_is_defined() -> None:
    defined = set(re.findall(r"--([\w-]+):", LIGHT)) | {"shade"}

    assert set(re.findall(r"var\(--([\w-]+)\)", STYLE)) <= defined
    assert set(SHAPES) == {"fp32", "fp16", "bf16", "int8"}


def test_script_parses() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")

    result = subprocess.run([node, "--check", "-"], input=SCRIPT, text=True, capture_output=True, check=False)

    assert result.returncode == 0, result.stderr


def test_page_bears_values_that_are_no_numbers() -> None:
    odd = BenchRecord.from_json(BASE | steady(5.0).to_json()).model_copy(
        update={"p90_ms": float("nan"), "fps": float("inf"), "peak_rss_mib": -1.0, "pre_ms": 0.0}
    )

    page = Page(render([odd, steady(5.0, threads=1)]))

    assert page.open == []
    assert not any("nan" in value or "inf" in value for value in page.attributes("d") + page.attributes("x"))
