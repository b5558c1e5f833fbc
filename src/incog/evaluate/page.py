"""The evaluation report as one HTML page that needs nothing else: no scripts, no network, light and dark, printable."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from incog.evaluate.charts import Axis, Series, chart
from incog.evaluate.document import AttackRecord, Evaluation, MethodRecord
from incog.evaluate.groups import RANKED
from incog.evaluate.html import STYLE, Example, explained, judges, listed, percent, plain, sheet
from incog.evaluate.privacy import ATTACKS


def page(evaluation: Evaluation, examples: Sequence[Sequence[Example]]) -> str:
    """Return the page. examples: for each method in order."""
    protocol, names = evaluation.protocol, names_of(evaluation.methods)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Evaluation by incog</title>",
        f"<style>{STYLE}</style>",
        "<h1>Does it hide who they are?</h1>",
        f"<p class=soft>Made by {escape(evaluation.program)} on {evaluation.date}, from "
        f"{protocol.judged_pictures:,} pictures of {protocol.judged_people:,} people of "
        f"{escape(', '.join(protocol.data))}.{' A quick look: do not quote its figures.' if protocol.quick else ''}</p>",
        _summary(evaluation, names),
    ]
    if len(evaluation.methods) > 1:
        parts.append(f'<div class="charts">{_tradeoff(evaluation, names)}</div>')
    for number, (record, name) in enumerate(zip(evaluation.methods, names, strict=True)):
        parts.append(_method(record, name, evaluation, examples[number] if number < len(examples) else []))
    parts += [_how(evaluation)]
    return "".join(parts)


def names_of(records: Sequence[MethodRecord]) -> list[str]:
    """Return what the methods are called, each otherwise: with their settings where names alone are the same."""
    names = [_name(record, records) for record in records]
    return [
        name if names.count(name) == 1 else f"{name}, number {number}"
        for number, name in enumerate(names, start=1)
    ]


def _name(record: MethodRecord, records: Sequence[MethodRecord]) -> str:
    if sum(other.method == record.method for other in records) == 1:
        return record.method
    settings = ", ".join(f"{key} {value}" for key, value in record.parameters.items())
    return f"{record.method} ({settings})"


def _summary(evaluation: Evaluation, names: Sequence[str]) -> str:
    rows = []
    for record, name in zip(evaluation.methods, names, strict=True):
        face, picture = record.headlines
        pixels = record.utility["pixels"]
        rows.append(
            f"<tr><td>{escape(name)}</td><td>{percent(face.rank1)}</td>"
            f"<td class=left>{escape(face.attack)}, {escape(face.recogniser)}</td><td>{percent(face.floor)}</td>"
            f"<td>{percent(picture.rank1)}</td><td>{percent(picture.floor)}</td>"
            f"<td>{percent(record.utility['detection, centerface']['detection_rate'])}</td>"
            f"<td>{plain(pixels['dssim'])}</td></tr>"
        )
    chance = evaluation.methods[0].headlines[0].chance
    best = max(
        (row for row in evaluation.untouched if row.kind == "black box" and row.shown == "face"),
        key=lambda row: row.rank1.value or 0,
    )
    verdicts = "".join(
        f"<p class=verdict><b>{escape(name)}.</b> {escape(record.verdict)}</p>"
        for record, name in zip(evaluation.methods, names, strict=True)
    )
    return (
        f"{verdicts}<div class=scroll><table><thead><tr><th>method<th>worst attack on the face:<br>rank-1 hits, %"
        "<th class=left>by<th>outline<br>alone, %<th>worst on the<br>whole picture, %<th>surroundings<br>alone, %<th>faces still<br>detected, %"
        f"<th>DSSIM</thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"<p class=soft>Of untouched faces {percent(best.rank1)} % are told by {escape(best.recogniser)}; guessing gives "
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
            f"<td>{percent(row.calibrated[rate]) if rate in row.calibrated else '–'}</td>" for rate in rates
        )
        cells += "".join(
            f"<td>{percent(row.tar[rate]) if rate in row.tar else '–'}</td>" for rate in reversed(fixed)
        )
        rows.append(
            f"<tr{worst}><td>{escape(row.attack)}</td><td class=left>{escape(row.recogniser)}"
            f"{'' if row.kind == 'black box' else f' <small>{escape(row.kind)}</small>'}</td>"
            f"<td class=left>{row.shown}</td><td>{percent(row.rank1)}</td>{cells}<td>{percent(row.eer)}</td>"
            f"<td>{plain(row.auc)}</td></tr>"
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
        f"<tr><td>{escape(part)}</td><td class=left>{escape(key.replace('_', ' '))}</td><td>{plain(value)}</td>"
        f"<td>{value.count:,}</td></tr>"
        for part, rows in record.utility.items()
        for key, value in rows.items()
    )
    return (
        f"<h2>{escape(name)}</h2><p class=soft>Parameters: {escape(settings)}. {record.seconds * 1000:.1f} ms a picture on "
        f"the machine of this run. In {percent(record.unprotected)} % of pictures the face was left open.</p><p class=verdict>{escape(record.verdict)}</p>{sheet(examples)}"
        f'<div class="charts">{_curves(record.attacks, evaluation.untouched, record.headlines[0].recogniser)}</div>'
        f"<h3>Attacks</h3>{_attacks(record, evaluation)}<h3>What is left of the picture's use</h3><div class=scroll>"
        f"<table><thead><tr><th>measure<th class=left>figure<th>value<th>of</thead><tbody>{utility}</tbody></table></div>"
        f"{_groups(record)}{_around(record)}<h3>What the method claims</h3><ul>{claims or '<li>Nothing.</li>'}</ul>"
        f"{_audits(record)}"
    )


def _audits(record: MethodRecord) -> str:
    if not record.audits:
        return ""
    rows = "".join(
        f"<li>{'' if audit.kept else '<b class=bad>Refuted.</b> '}{escape(audit.statement)} "
        f"<span class=soft>{'Tried: ' * bool(audit.trials)}{escape(audit.told)}.</span></li>"
        for audit in record.audits
    )
    return f"<h3>Claims that were tried</h3><p>Trying can refute a claim, not prove it.</p><ul>{rows}</ul>"


def _groups(record: MethodRecord) -> str:
    face = record.headlines[0]
    if not face.groups:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{percent(value)}</td><td>{value.people or 0}</td></tr>"
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
    return f"<h3>Around the pixels</h3>{listed(record.around)}"


def _how(evaluation: Evaluation) -> str:
    protocol = evaluation.protocol
    words, attacks = listed(protocol.words), explained(ATTACKS)
    memory = f" The run held {protocol.memory:,} MiB at most." if protocol.memory else ""
    versions = ", ".join(f"{name} {version}" for name, version in evaluation.versions.items())
    left = "; ".join(f"{count} {reason}" for reason, count in protocol.left_out.items()) or "none"
    return (
        f"<h2>How it was measured</h2>{words}<p>Attacked: {protocol.judged_pictures:,} pictures of "
        f"{protocol.judged_people:,} people ({protocol.probes:,} probes, a gallery of {protocol.gallery_people:,}); "
        f"attackers learnt from {protocol.known_pictures:,} pictures of {protocol.known_people:,} others. Pairs of "
        f"different people: {protocol.pairs:,}. Left out: {escape(left)}. Seed {protocol.seed}.{memory}</p>{_keys(evaluation)}{attacks}"
        f"{judges(evaluation.recognisers)}"
        f"<p>Rank 1: the share of probes whose person is the most alike of the gallery, ties split. TAR at FAR: the share "
        "of pairs of one person accepted at the threshold at which so many of the attack's own pairs of two people are; at "
        "originals' FAR: at the threshold fixed on pairs of originals; results may all be alike, and pairs of two people then "
        "pass it as often, so linkage is read by the former. "
        "AUC: how often a pair of one person is more alike than a pair of two; one half tells nothing, far below tells as "
        f"much as far above.</p><p class=soft>{escape(versions)}.</p>"
    )


PASSPHRASES = (("four digits", 13.3), ("eight small letters", 37.6), ("six words of a list of 7776", 77.5))
"""What people choose, and its entropy in bits when it is drawn at random."""


def _keys(evaluation: Evaluation) -> str:
    """Return what trying all passphrases would cost, as a paragraph."""
    seconds = evaluation.protocol.guess_seconds
    costs = "; ".join(f"{name}: {_span(2**bits / 2 * seconds)}" for name, bits in PASSPHRASES)
    return (
        f"<p>One guess of a passphrase took {1000 * seconds:.0f} ms here (Argon2id, 64 MiB). Until half of all are tried, "
        f"on one such machine: {costs}. Without a passphrase the secret has 256 bits.</p>"
    )


def _span(seconds: float) -> str:
    """Return a duration in words, roughly."""
    for unit, length in (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return (
                f"{seconds / length:,.0f} {unit}"
                if seconds < 1e6 * length
                else f"{seconds / length:.0e} {unit}"
            )
    return f"{seconds:.0f} seconds"
