"""The evaluation report as one HTML page that needs nothing else: no scripts, no network, light and dark, printable."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from incog.evaluate.charts import Axis, Series, chart
from incog.evaluate.document import AttackRecord, Evaluation, MethodRecord, Value
from incog.evaluate.groups import RANKED
from incog.evaluate.privacy import ATTACKS
from incog.types import Bytes

_SIDE = 112
"""Height of example pictures, px."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#5b6470;--line:#d7dce2;--ground:#fff;--panel:#f5f7f9;--bad:#b42318;
--good:#1d7a4f}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#a0a9b4;--line:#363d47;--ground:#15181c;--panel:#1e2329;
--bad:#ff8a7a;--good:#66d19e}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1060px;padding:28px 20px 60px;background:var(--ground);
color:var(--ink);font:15px/1.5 system-ui,sans-serif}h1{font-size:28px;margin:0 0 4px}h2{font-size:21px;margin:44px 0 8px;
padding-top:14px;border-top:1px solid var(--line)}h3{font-size:16px;margin:26px 0 6px}p,ul{margin:6px 0 10px}
.soft{color:var(--soft)}.verdict{background:var(--panel);border-left:4px solid var(--soft);padding:10px 14px;
border-radius:4px;font-size:17px}.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;
font-size:13.5px;margin:6px 0}th,td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}th:first-child,td:first-child,.left{text-align:left}thead th{color:var(--soft);font-weight:600;
vertical-align:bottom}tr.worst td{font-weight:700}td small{color:var(--soft);font-weight:400}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:18px}.charts figure{max-width:560px}figure{margin:0;
background:var(--panel);border-radius:6px;padding:12px}svg{width:100%;height:auto;display:block}svg text{font:11px
system-ui,sans-serif;fill:var(--soft)}svg .grid{stroke:var(--line);stroke-width:1}svg .mark{font-size:14px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;padding:0;margin:6px 0 0;font-size:12.5px}
.sheet img{width:100%;height:auto;border-radius:6px}code{font-size:.93em}
@media print{body{max-width:none;padding:0}h2{break-before:auto}figure,table{break-inside:avoid}}
"""


Example = tuple[Bytes | None, Bytes]
"""A picture (H, W, 3) uint8 before, None to leave it out of the page, and after."""


def page(evaluation: Evaluation, examples: Sequence[Sequence[Example]]) -> str:
    """Return the page. examples: for each method in order."""
    protocol = evaluation.protocol
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Evaluation by incog</title>",
        f"<style>{_STYLE}</style>",
        "<h1>Does it hide who they are?</h1>",
        f"<p class=soft>Made by {escape(evaluation.program)} on {evaluation.date}, from "
        f"{protocol.judged_pictures:,} pictures of {protocol.judged_people:,} people of "
        f"{escape(', '.join(protocol.data))}.{' A quick look: do not quote its figures.' if protocol.quick else ''}</p>",
        _summary(evaluation),
    ]
    names = [_name(record, evaluation.methods) for record in evaluation.methods]
    if len(evaluation.methods) > 1:
        parts.append(f'<div class="charts">{_tradeoff(evaluation, names)}</div>')
    for number, (record, name) in enumerate(zip(evaluation.methods, names, strict=True)):
        parts.append(_method(record, name, evaluation, examples[number] if number < len(examples) else []))
    parts += [_how(evaluation)]
    return "".join(parts)


def _name(record: MethodRecord, records: Sequence[MethodRecord]) -> str:
    if sum(other.method == record.method for other in records) == 1:
        return record.method
    settings = ", ".join(f"{key} {value}" for key, value in record.parameters.items())
    return f"{record.method} ({settings})"


def _percent(value: Value) -> str:
    """Return a share in per cent with its interval."""
    if value.value is None:
        return "–"
    if value.low is None or value.high is None:
        return f"{100 * value.value:.1f}"
    return f"{100 * value.value:.1f} <small>{100 * value.low:.1f}–{100 * value.high:.1f}</small>"


def _plain(value: Value) -> str:
    if value.value is None:
        return "–"
    if value.low is None or value.high is None:
        return f"{value.value:.3g}"
    return f"{value.value:.3g} <small>{value.low:.3g}–{value.high:.3g}</small>"


def _summary(evaluation: Evaluation) -> str:
    rows = []
    for record in evaluation.methods:
        face, picture = record.headlines
        pixels = record.utility["pixels"]
        rows.append(
            f"<tr><td>{escape(_name(record, evaluation.methods))}</td><td>{_percent(face.rank1)}</td>"
            f"<td class=left>{escape(face.attack)}, {escape(face.recogniser)}</td>"
            f"<td>{_percent(picture.rank1)}</td><td>{_percent(picture.floor) if picture.floor else '–'}</td>"
            f"<td>{_percent(record.utility['detection, centerface']['detection_rate'])}</td>"
            f"<td>{_plain(pixels['dssim'])}</td></tr>"
        )
    chance = evaluation.methods[0].headlines[0].chance
    best = max(
        (row for row in evaluation.untouched if row.kind == "black box" and row.shown == "face"),
        key=lambda row: row.rank1.value or 0,
    )
    verdicts = "".join(
        f"<p class=verdict><b>{escape(_name(record, evaluation.methods))}.</b> {escape(record.verdict)}</p>"
        for record in evaluation.methods
    )
    return (
        f"{verdicts}<div class=scroll><table><thead><tr><th>method<th>worst attack on the face:<br>rank-1 hits, %"
        "<th class=left>by<th>worst on the<br>whole picture, %<th>surroundings<br>alone, %<th>faces still<br>detected, %"
        f"<th>DSSIM</thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"<p class=soft>Of untouched faces {_percent(best.rank1)} % are told by {escape(best.recogniser)}; guessing gives "
        f"{100 * chance:.2g} %. In small: 95 % intervals. A figure that must stay low is judged by its upper end.</p>"
    )


def _tradeoff(evaluation: Evaluation, names: Sequence[str]) -> str:
    series = []
    for record, name in zip(evaluation.methods, names, strict=True):
        dssim, hits = record.utility["pixels"]["dssim"].value, record.headlines[0].rank1.high
        series.append(Series(name, [(dssim or 0.0, 100 * (hits or 0.0))], line=False))
    most = max(point[0] for one in series for point in one.points) * 1.15 + 1e-3
    return chart(
        Axis("change of the picture, DSSIM", 0, most),
        Axis("rank-1 hits of the worst attack, upper end, %", 0, 100),
        series,
        "Privacy against change of the picture",
    )


def _curves(rows: Sequence[AttackRecord], untouched: Sequence[AttackRecord], recogniser: str) -> str:
    chosen = [row for row in (*untouched, *rows) if row.recogniser == recogniser and row.shown == "face"]
    roc = [
        Series(row.attack, [(x, 100 * y) for x, y in row.roc], dashed=row.attack == "untouched")
        for row in chosen
    ]
    det = [
        Series(
            row.attack,
            [(100 * x, 100 * (1 - y)) for x, y in row.roc if x > 0],
            dashed=row.attack == "untouched",
        )
        for row in chosen
    ]
    cmc = [
        Series(
            row.attack,
            [(rank + 1, 100 * share) for rank, share in enumerate(row.cmc)],
            dashed=row.attack == "untouched",
        )
        for row in chosen
    ]
    depth = max(2, max(len(row.cmc) for row in chosen))
    low = min((x for row in chosen for x, _ in row.roc if x > 0), default=1e-4)
    return (
        chart(
            Axis("false acceptance rate", min(low, 0.1), 1, logarithmic=True),
            Axis("true acceptance rate, %", 0, 100),
            roc,
            f"ROC, {recogniser}, face only",
        )
        + chart(
            Axis("false acceptance, %", 0.01, 100, logarithmic=True),
            Axis("false rejection, %", 0.01, 100, logarithmic=True),
            det,
            f"DET, {recogniser}, face only",
        )
        + chart(Axis("rank", 1, depth), Axis("hits, %", 0, 100), cmc, f"CMC, {recogniser}, face only")
    )


def _attacks(record: MethodRecord, evaluation: Evaluation) -> str:
    rates = sorted({rate for row in record.attacks for rate in row.calibrated}, key=float, reverse=True)
    head = "".join(f"<th>TAR at FAR<br>{escape(rate)}, %" for rate in rates)
    fixed = sorted({rate for row in record.attacks for rate in row.tar}, key=float)[-2:]
    head += "".join(f"<th>at originals' FAR<br>{escape(rate)}, %" for rate in reversed(fixed))
    tops = {(top.shown, top.attack, top.recogniser) for top in record.headlines}
    rows = []
    for row in (*evaluation.untouched, *record.attacks):
        worst = " class=worst" if (row.shown, row.attack, row.recogniser) in tops else ""
        cells = "".join(
            f"<td>{_percent(row.calibrated[rate]) if rate in row.calibrated else '–'}</td>" for rate in rates
        )
        cells += "".join(
            f"<td>{_percent(row.tar[rate]) if rate in row.tar else '–'}</td>" for rate in reversed(fixed)
        )
        rows.append(
            f"<tr{worst}><td>{escape(row.attack)}</td><td class=left>{escape(row.recogniser)}"
            f"{'' if row.kind == 'black box' else f' <small>{escape(row.kind)}</small>'}</td>"
            f"<td class=left>{row.shown}</td><td>{_percent(row.rank1)}</td>{cells}<td>{_percent(row.eer)}</td>"
            f"<td>{_plain(row.auc)}</td></tr>"
        )
    return (
        f"<div class=scroll><table><thead><tr><th>attack<th class=left>recogniser<th class=left>shown<th>rank 1, %{head}"
        f"<th>EER, %<th>AUC</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _method(record: MethodRecord, name: str, evaluation: Evaluation, examples: Sequence[Example]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in record.parameters.items()) or "none"
    claims = "".join(
        f"<li>{escape(claim.statement)} <span class=soft>{'' if claim.holds else 'A warning. '}"
        f"{escape(claim.scope)}{'; ' if claim.conditions else ''}{escape('; '.join(claim.conditions))}</span></li>"
        for claim in record.claims
    )
    utility = "".join(
        f"<tr><td>{escape(part)}</td><td class=left>{escape(key.replace('_', ' '))}</td><td>{_plain(value)}</td>"
        f"<td>{value.count:,}</td></tr>"
        for part, rows in record.utility.items()
        for key, value in rows.items()
    )
    return (
        f"<h2>{escape(name)}</h2><p class=soft>Parameters: {escape(settings)}. {record.seconds * 1000:.1f} ms a picture on "
        f"the machine of this run. In {_percent(record.unprotected)} % of pictures the face was left open.</p><p class=verdict>{escape(record.verdict)}</p>{_sheet(examples)}"
        f'<div class="charts">{_curves(record.attacks, evaluation.untouched, record.headlines[0].recogniser)}</div>'
        f"<h3>Attacks</h3>{_attacks(record, evaluation)}<h3>What is left of the picture's use</h3><div class=scroll>"
        f"<table><thead><tr><th>measure<th class=left>figure<th>value<th>of</thead><tbody>{utility}</tbody></table></div>"
        f"{_groups(record)}{_around(record)}<h3>What the method claims</h3><ul>{claims or '<li>Nothing.</li>'}</ul>"
    )


def _groups(record: MethodRecord) -> str:
    face = record.headlines[0]
    if not face.groups:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_percent(value)}</td><td>{value.people or 0}</td></tr>"
        for name, value in face.groups.items()
    )
    large = sum((value.people or 0) >= RANKED for value in face.groups.values())
    told = f"Groups of fewer than {RANKED} people are not compared."
    if large > 1:
        told = f"No difference between groups of {RANKED} people and more is beyond chance."
    if face.uneven is not None:
        told = f"People of the group {escape(face.uneven[0])} are told more often than those of {escape(face.uneven[1])}."
    return (
        f"<h3>Is it even?</h3><p>{told} Groups are what a network sees in the originals, at a probability of .9 and above; "
        "they are not what people are.</p><div class=scroll><table><thead><tr><th>group<th>rank-1 hits of the worst<br>"
        f"attack on the face, %<th>people</thead><tbody>{rows}</tbody></table></div>"
    )


def _around(record: MethodRecord) -> str:
    if not record.around:
        return ""
    return (
        f"<h3>Around the pixels</h3><ul>{''.join(f'<li>{escape(text)}</li>' for text in record.around)}</ul>"
    )


def _sheet(examples: Sequence[Example]) -> str:
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
    return f'<p class="sheet"><img alt="Some results{", below their originals" if len(rows) > 1 else ""}" src="data:image/jpeg;base64,{data}"></p>'


def _how(evaluation: Evaluation) -> str:
    protocol = evaluation.protocol
    words = "".join(f"<li>{escape(word)}</li>" for word in protocol.words)
    attacks = "".join(f"<li><b>{escape(name)}.</b> {escape(text)}</li>" for name, text in ATTACKS.items())
    recognisers = "".join(
        f"<tr><td>{escape(item.name)}</td><td class=left>{escape(item.kind)}</td><td class=left>{escape(item.note)}</td>"
        f"<td class=left><code>{item.sha256[:16]}</code></td></tr>"
        for item in evaluation.recognisers
    )
    versions = ", ".join(f"{name} {version}" for name, version in evaluation.versions.items())
    left = "; ".join(f"{count} {reason}" for reason, count in protocol.left_out.items()) or "none"
    return (
        f"<h2>How it was measured</h2><ul>{words}</ul><p>Attacked: {protocol.judged_pictures:,} pictures of "
        f"{protocol.judged_people:,} people ({protocol.probes:,} probes, a gallery of {protocol.gallery_people:,}); "
        f"attackers learnt from {protocol.known_pictures:,} pictures of {protocol.known_people:,} others. Pairs of "
        f"different people: {protocol.pairs:,}. Left out: {escape(left)}. Seed {protocol.seed}.</p><ul>{attacks}</ul>"
        f"<div class=scroll><table><thead><tr><th>recogniser<th class=left>kind<th class=left>note"
        f"<th class=left>SHA-256</thead><tbody>{recognisers}</tbody></table></div>"
        f"<p>Rank 1: the share of probes whose person is the most alike of the gallery, ties split. TAR at FAR: the share "
        "of pairs of one person accepted at the threshold at which so many of the attack's own pairs of two people are; at "
        "originals' FAR: at the threshold fixed on pairs of originals. "
        "AUC: how often a pair of one person is more alike than a pair of two; one half tells nothing, far below tells as "
        f"much as far above.</p><p class=soft>{escape(versions)}.</p>"
    )
