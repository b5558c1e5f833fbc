"""What the pages of reports share: their look, figures in words, and sheets of examples."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import cv2
import numpy as np

from incog.evaluate.document import RecogniserRecord, Value
from incog.types import Bytes

_SIDE = 112
"""Height of example pictures, px."""

STYLE = """
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#5b6470;--line:#d7dce2;--ground:#fff;--panel:#f5f7f9;--bad:#b42318;
--good:#1d7a4f}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#a0a9b4;--line:#363d47;--ground:#15181c;--panel:#1e2329;
--bad:#ff8a7a;--good:#66d19e}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1060px;padding:28px 20px 60px;background:var(--ground);
color:var(--ink);font:15px/1.5 system-ui,sans-serif}h1{font-size:28px;margin:0 0 4px}h2{font-size:21px;margin:44px 0 8px;
padding-top:14px;border-top:1px solid var(--line)}h3{font-size:16px;margin:26px 0 6px}p,ul{margin:6px 0 10px}
.soft{color:var(--soft)}.bad{color:var(--bad)}.verdict{background:var(--panel);border-left:4px solid var(--soft);
padding:10px 14px;border-radius:4px;font-size:17px}.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;
font-size:13.5px;margin:6px 0}th,td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}th:first-child,td:first-child,.left{text-align:left}thead th{color:var(--soft);font-weight:600;
vertical-align:bottom}tr.worst td{font-weight:700}td small{color:var(--soft);font-weight:400}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:18px}.charts figure{max-width:560px}
figure{margin:0;background:var(--panel);border-radius:6px;padding:12px}svg{width:100%;height:auto;display:block}svg text{font:11px
system-ui,sans-serif;fill:var(--soft)}svg .grid{stroke:var(--line);stroke-width:1}svg .mark{font-size:14px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;padding:0;margin:6px 0 0;font-size:12.5px}
.sheet img{width:100%;height:auto;border-radius:6px}code{font-size:.93em}
@media print{body{max-width:none;padding:0}h2{break-before:auto}figure,table{break-inside:avoid}}
"""

Example = tuple[Bytes | None, Bytes]
"""A picture (H, W, 3) uint8 before, None to leave it out of the page, and after."""


def listed(texts: Iterable[str]) -> str:
    """Return texts as a list."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def explained(texts: Mapping[str, str]) -> str:
    """Return names with what they mean as a list."""
    rows = (f"<li><b>{escape(name)}.</b> {escape(text)}</li>" for name, text in texts.items())
    return f"<ul>{''.join(rows)}</ul>"


def judges(recognisers: Iterable[RecogniserRecord]) -> str:
    """Return the recognisers as a table."""
    rows = "".join(
        f"<tr><td>{escape(item.name)}</td><td class=left>{escape(item.kind)}</td><td class=left>{escape(item.note)}</td>"
        f"<td class=left><code>{item.sha256[:16]}</code></td></tr>"
        for item in recognisers
    )
    return (
        "<div class=scroll><table><thead><tr><th>recogniser<th class=left>kind<th class=left>note<th class=left>SHA-256"
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def percent(value: Value) -> str:
    """Return a share in per cent with its interval."""
    if value.value is None:
        return "–"
    if value.low is None or value.high is None:
        return f"{100 * value.value:.1f}"
    return f"{100 * value.value:.1f} <small>{100 * value.low:.1f}–{100 * value.high:.1f}</small>"


def plain(value: Value) -> str:
    """Return a figure with its interval."""
    if value.value is None:
        return "–"
    if value.low is None or value.high is None:
        return f"{value.value:.3g}"
    return f"{value.value:.3g} <small>{value.low:.3g}–{value.high:.3g}</small>"


def sheet(examples: Sequence[Example]) -> str:
    """Return the pictures in a row, below their originals when all of these are given; nothing without any."""
    if not examples:
        return ""
    rows = []
    sides = range(2) if all(before is not None for before, _ in examples) else (1,)
    for side in sides:
        cells = []
        for pair in examples:
            picture = pair[side]
            assert picture is not None
            width = max(1, round(picture.shape[1] * _SIDE / picture.shape[0]))
            cells.append(cv2.resize(picture, (width, _SIDE), interpolation=cv2.INTER_AREA))
        rows.append(np.hstack(cells))
    ok, coded = cv2.imencode(".jpg", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not ok:
        return ""
    data = base64.b64encode(coded.tobytes()).decode()
    beside = ", below their originals" if len(rows) > 1 else ""
    return f'<p class="sheet"><img alt="Some results{beside}" src="data:image/jpeg;base64,{data}"></p>'
