"""Looks of the page: light and dark, desktop and phone, screen and paper.

Colours of the runtimes are those of Okabe and Ito (2008), which people with any common colour blindness can tell apart,
a little darker on white and lighter on black, so that each has a contrast of 3 at least against its background.
"""

from __future__ import annotations

LIGHT = """
  --page: #fff; --panel: #f6f7f9; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --grid: #e8ebef; --link: #0b5cad;
  --ort: #0072b2; --openvino: #d55e00; --tensorrt: #008060; --coreml: #a8447f; --pytorch: #9a6a00; --rtx: #4a4fb5;
  --other: #5b6570; --a: #3f9bd0; --b: #1f4e79; --c: #c77800; --warn: #8a4b00; --warn-page: #fff4e0; --hot: #fbe3d6;
  --bad: #b3261e; --good: #0072b2;
"""
DARK = """
  --page: #14171b; --panel: #1d2126; --ink: #e8eaed; --soft: #a3adb8; --rule: #3a424b; --grid: #2a3037; --link: #7db8f0;
  --ort: #56b4e9; --openvino: #f08a4b; --tensorrt: #2fc79b; --coreml: #e59ac4; --pytorch: #e6b93d; --rtx: #a3a7f5;
  --other: #a3adb8; --a: #7cc4f0; --b: #4485bd; --c: #eba53a; --warn: #f3c67a; --warn-page: #33270f; --hot: #43281c;
  --bad: #ff8a80; --good: #56b4e9;
"""

STYLE = f"""
:root {{ color-scheme: light dark; {LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {DARK} }} }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ margin: 0 auto; max-width: 1180px; padding: 28px 24px 48px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
h1 {{ margin: 0; font-size: 28px; line-height: 1.2; letter-spacing: -0.01em; }}
h2 {{ margin: 48px 0 4px; padding-top: 20px; border-top: 2px solid var(--ink); font-size: 21px; line-height: 1.3; }}
h3 {{ margin: 32px 0 8px; font-size: 16px; }}
h4 {{ margin: 0; font-size: 15px; }}
p {{ margin: 4px 0; }}
a {{ color: var(--link); }}
.sub, figcaption p, .note, .hint {{ color: var(--soft); }}
figcaption p, .note, .hint {{ font-size: 13px; }}
.filters {{ display: flex; flex-wrap: wrap; gap: 8px 16px; margin: 20px 0 0; }}
.filters[hidden], [hidden] {{ display: none; }}
.filters label {{ font-size: 13px; color: var(--soft); }}
select {{ display: block; min-width: 130px; max-width: 260px; padding: 6px 8px; border: 1px solid var(--rule);
  border-radius: 6px; background: var(--page); color: var(--ink); font: inherit; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr)); gap: 12px;
  margin: 16px 0; }}
.card {{ padding: 12px 16px; border-radius: 8px; background: var(--panel); }}
.card p {{ margin: 0; }}
.card .big {{ font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
.card .name, .card .what {{ font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }}
.warning {{ margin: 16px 0; padding: 10px 16px; border-left: 4px solid var(--warn); border-radius: 4px;
  background: var(--warn-page); font-size: 14px; overflow-wrap: anywhere; }}
.warning ul, .plain {{ margin: 4px 0; padding-left: 20px; }}
.plain {{ color: var(--soft); font-size: 14px; overflow-wrap: anywhere; }}
.scroll {{ overflow: auto; max-height: 560px; margin: 8px 0; border: 1px solid var(--rule); border-radius: 8px; }}
table {{ width: 100%; border-collapse: collapse; font-size: 13.5px; }}
th, td {{ padding: 5px 9px; text-align: left; white-space: nowrap; vertical-align: top; }}
thead th {{ position: sticky; top: 0; z-index: 1; background: var(--panel); font-weight: 600; }}
tbody tr {{ border-top: 1px solid var(--grid); }}
.num {{ text-align: right; font-variant-numeric: tabular-nums; }}
.main {{ font-weight: 600; }}
.wrap td {{ white-space: normal; overflow-wrap: anywhere; }} .wrap td.keep {{ white-space: nowrap; }}
 .wrap td:first-child {{ position: static; }}
.bad {{ color: var(--bad); font-weight: 600; }} .good {{ color: var(--good); font-weight: 600; }}
.soft {{ color: var(--soft); }}
.warn {{ color: var(--warn); font-weight: 600; }}
th:first-child, td:first-child {{ position: sticky; left: 0; background: var(--page); }}
thead th:first-child {{ z-index: 2; background: var(--panel); }}
.sort {{ cursor: pointer; }} .sort:hover {{ text-decoration: underline; }}
th[aria-sort=ascending] .sort::after {{ content: " ↑"; }}
th[aria-sort=descending] .sort::after {{ content: " ↓"; }}
tr.off {{ display: none; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap: 32px 40px;
  align-items: start; margin-top: 20px; }}
figure {{ margin: 0; min-width: 0; }}
figure > svg {{ display: block; width: 100%; max-width: 530px; height: auto; margin-top: 8px; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 12px 0 0; padding: 0; list-style: none;
  font-size: 13px; }}
.legend svg {{ width: 16px; height: 16px; margin-right: 6px; vertical-align: -3px; }}
.key {{ margin-right: 12px; white-space: nowrap; }}
.key svg {{ width: 10px; height: 10px; margin-right: 5px; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 8px 0; font-size: 13.5px; }}
dt {{ color: var(--soft); }} dd {{ margin: 0; overflow-wrap: anywhere; }}
footer {{ margin-top: 48px; padding-top: 16px; border-top: 1px solid var(--rule); font-size: 13px;
  color: var(--soft); }}
svg text {{ fill: var(--ink); paint-order: stroke; stroke: var(--page); stroke-width: 3px; stroke-linejoin: round; }}
svg .tick, svg .axis {{ fill: var(--soft); }} svg .tick, svg .value, svg .label {{ font-size: 12px; }}
svg .tick, svg .value {{ font-variant-numeric: tabular-nums; }}
.grid {{ stroke: var(--grid); }} .base {{ stroke: var(--soft); }} .one {{ stroke: var(--ink); }}
.joint {{ stroke: var(--rule); }} .whisker, .interval {{ stroke: var(--soft); stroke-width: 1.5; }}
.front {{ fill: none; stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 5 4; }}
.series, .track {{ fill: none; stroke: var(--shade); stroke-width: 2; stroke-linejoin: round; }}
.faint {{ stroke-width: 1.2; stroke-dasharray: 2 3; }}
.point {{ fill: var(--shade); stroke: var(--page); stroke-width: 1; }}
.point.hollow {{ fill: var(--page); stroke: var(--shade); stroke-width: 2; }}
.s-ort {{ --shade: var(--ort); }} .s-openvino {{ --shade: var(--openvino); }}
.s-tensorrt {{ --shade: var(--tensorrt); }} .s-coreml {{ --shade: var(--coreml); }}
.s-pytorch {{ --shade: var(--pytorch); }} .s-tensorrt-rtx {{ --shade: var(--rtx); }}
.s-other {{ --shade: var(--other); }}
.part-a {{ --shade: var(--a); fill: var(--a); }} .part-b {{ --shade: var(--b); fill: var(--b); }}
.part-c {{ --shade: var(--c); fill: var(--c); }} .track {{ fill: none; }}
rect[class^=part] {{ stroke: var(--page); stroke-width: 1; }}
.v-slower {{ --shade: var(--bad); }} .v-faster {{ --shade: var(--good); }} .v-none {{ --shade: var(--soft); }}
.throttled {{ fill: var(--hot); }} .column {{ fill: transparent; }} .band {{ fill: var(--grid); }}
.reading:hover .column {{ fill: var(--soft); fill-opacity: 0.18; }}
.mark.off {{ display: none; }}
svg .mark.off {{ display: inline; opacity: 0.1; pointer-events: none; }}
.filtered svg > .label {{ opacity: 0; }}
.tip {{ position: fixed; z-index: 1; max-width: min(340px, calc(100vw - 24px)); padding: 8px 12px; border-radius: 6px;
  background: var(--ink); color: var(--page); font-size: 12.5px; line-height: 1.45; white-space: pre-line;
  overflow-wrap: anywhere; pointer-events: none; }}
@media (max-width: 600px) {{
  body {{ padding: 20px 14px 40px; }}
  h1 {{ font-size: 24px; }} h2 {{ font-size: 19px; }}
  dl {{ grid-template-columns: 1fr; }} dt {{ margin-top: 6px; }}
  .filters label {{ flex: 1 1 140px; }} select {{ width: 100%; min-width: 0; max-width: none; }}
}}
@media print {{
  :root {{ color-scheme: light; {LIGHT} }}
  body {{ max-width: none; padding: 0; font-size: 10.5pt;
    print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  .filters, .tip, .sort::after {{ display: none; }}
  .figures {{ grid-template-columns: 1fr 1fr; gap: 20px; }}
  .extra {{ display: none; }} figure > svg {{ max-height: 215mm; }}
  figure, .card, tr, .warning {{ break-inside: avoid; }}
  h2, h3, figcaption {{ break-after: avoid; }}
  .scroll {{ overflow: visible; max-height: none; border: 0; }}
  table {{ font-size: 7.5pt; }} th, td {{ padding: 3px 4px; }}
  th:first-child, td:first-child, thead th {{ position: static; }}
}}
@page {{ margin: 14mm; }}
"""
