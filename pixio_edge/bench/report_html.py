"""The report as one HTML file that opens anywhere, without a network and without scripts if need be."""

from __future__ import annotations

import base64
import hashlib

from pixio_edge.bench.compare import Comparison
from pixio_edge.bench.compare_html import draw_comparison
from pixio_edge.bench.report_data import Report
from pixio_edge.bench.report_device import draw_device
from pixio_edge.bench.report_labels import plural
from pixio_edge.bench.report_markup import Markup, element
from pixio_edge.bench.report_script import SCRIPT
from pixio_edge.bench.report_style import STYLE

TITLE = "Depth latency"

HOW = (
    "Every measurement ran in a process of its own, and only after its output was found equal to the stored one. "
    "p50, p90 and p99 are percentiles of single inferences on a prepared input; frames/s is the reciprocal of whole "
    "predictions, from a frame to depth at its size. A tilde (~) and a hollow mark say that the machine was busy or "
    "the times varied so much that they are not to be trusted. 4t means four threads of one inference."
)


def render_html(report: Report, comparison: Comparison | None = None) -> str:
    """The page.

    Args:
        report: What to show.
        comparison: With a baseline, shown first.
    """
    compared = [] if comparison is None else [draw_comparison(comparison)]
    body = element(
        "body",
        None,
        _header(report),
        _filters(report),
        *compared,
        *(draw_device(device, report) for device in report.devices),
        element("footer", None, element("p", None, HOW), element("p", None, f"{report.tool}, {report.created}")),
        element("script", None, Markup(SCRIPT)),
    )
    return f"<!doctype html>\n{element('html', {'lang': 'en'}, _head(), body)}\n"


def _head() -> Markup:
    """Nothing may be loaded, and no script or style runs but the two that are written here."""
    policy = f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)}; base-uri 'none'; "
    return element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy + "form-action 'none'"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", None, TITLE),
        element("style", None, Markup(STYLE)),
    )


def _digest(content: str) -> str:
    """How a policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _header(report: Report) -> Markup:
    bundles = ", ".join(sorted(set(report.bundles.values())))
    dates = sorted(record.created[:10] for record in report.records)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    counts = f"{plural(len(report.records), 'measurement')} of {bundles} on {plural(len(report.devices), 'device')}"
    told = f"{counts}, {when}, from {', '.join(report.files)}"
    return element("header", None, element("h1", None, TITLE), element("p", {"class": "sub"}, told))


def _filters(report: Report) -> Markup:
    """Choices for the script, which shows them; of one value there is nothing to choose."""
    choices: dict[str, list[str]] = {
        "device": [device.name for device in report.devices],
        "bundle": sorted(set(report.bundles.values())),
        "runtime": sorted({record.runtime for record in report.records}),
        "precision": sorted({record.precision for record in report.records}),
    }
    labels = []
    for name, values in choices.items():
        if len(values) > 1:
            options = [element("option", {"value": ""}, "all")]
            options += [element("option", {"value": value}, value) for value in values]
            labels.append(element("label", None, name, element("select", {"data-filter": name}, *options)))
    return element("div", {"class": "filters", "hidden": ""}, *labels) if labels else Markup("")
