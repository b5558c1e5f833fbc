"""The report on a pair of videos as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from incog.evaluate.charts import COLOURS, Axis, Series, chart
from incog.evaluate.html import STYLE, Example, explained, judges, listed, percent, plain, sheet
from incog.evaluate.video_attacks import ATTACKS, LEAST, RATES
from incog.evaluate.video_document import JudgeRecord, SightRecord, TrackRecord, VideoEvaluation

DRAWN = len(COLOURS)
"""Tracks in a chart, those that tell most."""

_STYLE = ".tight{font-size:12px}.tight th,.tight td{padding:4px 5px}"
"""Tables of many columns."""

ROW = 12
"""Examples beside each other."""

LISTED = 60
"""Tracks in the table, those that tell most; the others are in report.json."""


def video_page(evaluation: VideoEvaluation, examples: Sequence[Sequence[Example]]) -> str:
    """Return the page. examples: for each track in order."""
    protocol = evaluation.protocol
    judge = _leading(evaluation)
    worst = _sorted(evaluation, judge)
    shown = [pair for record in worst for pair in _of(record, evaluation, examples)][: 2 * ROW]
    return "".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            "<title>Evaluation of a video by incog</title>",
            f"<style>{STYLE}{_STYLE}</style>",
            "<h1>Does it hide who they are?</h1>",
            f"<p class=soft>Made by {escape(evaluation.program)} on {evaluation.date}, from {protocol.frames:,} frames of "
            f"{protocol.width} x {protocol.height} at {protocol.rate:g} a second: {protocol.tracks:,} faces over time "
            f"(tracks), seen in {protocol.faces:,} places.</p>",
            f"<p class=verdict>{escape(evaluation.verdict)}</p>",
            _summary(evaluation),
            *(sheet(shown[start : start + ROW]) for start in range(0, len(shown), ROW)),
            _charts(worst, judge),
            f"<h2>Who is recognised</h2>{_judges(evaluation)}",
            f"<h2>Tracks</h2>{_tracks(worst, judge)}",
            _how(evaluation),
        ]
    )


def _leading(evaluation: VideoEvaluation) -> str:
    """Return the recogniser of the headline, else a black box."""
    if evaluation.headlines:
        return evaluation.headlines[0].recogniser
    return next(item.name for item in evaluation.recognisers if item.kind == "black box")


def _sight(record: TrackRecord, judge: str) -> SightRecord | None:
    return next((item for item in record.sights if item.recogniser == judge), None)


def _sorted(evaluation: VideoEvaluation, judge: str) -> list[TrackRecord]:
    """Return the tracks, those that tell most first."""

    def telling(record: TrackRecord) -> tuple[float, float]:
        sight = _sight(record, judge)
        return record.bare or 0.0, sight.best if sight else -1.0

    return sorted(evaluation.tracks, key=telling, reverse=True)


def _of(
    record: TrackRecord, evaluation: VideoEvaluation, examples: Sequence[Sequence[Example]]
) -> Sequence[Example]:
    number = evaluation.tracks.index(record)
    return examples[number] if number < len(examples) else ()


def _summary(evaluation: VideoEvaluation) -> str:
    names = {
        "recognised": "recognised at a FAR of {:g}, by",
        "rank 1": "frames told among the tracks, by",
        "alike": "frames as alike as untouched ones, by",
    }
    rows = [
        f"<tr><td>face-frames left {text}</td><td class=left></td><td>{percent(value)}<td><td><td></tr>"
        for text, value in (("as they were", evaluation.bare), ("open, at least in part", evaluation.open))
    ]
    rows += [
        f"<tr><td>{escape(names[row.measure].format(RATES[0]))}</td><td class=left>{escape(row.recogniser)}, "
        f"{escape(row.attack)}</td><td>{percent(row.figure)}</td><td>{percent(row.untouched)}</td>"
        f"<td>{percent(row.outline)}</td><td>{100 * row.chance:.3g}</td></tr>"
        for row in evaluation.headlines
    ]
    return (
        "<div class=scroll><table><thead><tr><th>the worst that was found<th class=left><th>%<th>in the original, %"
        f"<th>outline alone, %<th>by chance or<br>mistake, %</thead><tbody>{''.join(rows)}</tbody></table></div><p class=soft>By recognisers that no method "
        "has seen. In small: 95 % intervals, over tracks. A figure that must stay low is judged by its upper end.</p>"
    )


def _charts(worst: Sequence[TrackRecord], judge: str) -> str:
    drawn = [record for record in worst if record.curve][:DRAWN]
    if not drawn:
        return ""
    first, last = min(record.start for record in drawn), max(record.end for record in drawn)
    time = Axis("time, s", first, max(last, first + 0.04))
    altered = [Series(f"track {record.track}", [(x, 100 * y) for x, y in record.curve]) for record in drawn]
    seen = [(record, sight) for record in drawn if (sight := _sight(record, judge))]
    cosines = [Series(f"track {record.track}", sight.curve) for record, sight in seen]
    parts = [chart(time, Axis("altered share of the face, %", 0, 100), altered, "Altered share over time")]
    if seen:
        # What untouched frames reach, to compare with.
        usual = sum(sight.untouched for _, sight in seen) / len(seen)
        cosines.append(Series("untouched, mean", [(first, usual), (last, usual)], dashed=True))
        low = min(0.0, *(y for _, sight in seen for _, y in sight.curve))
        parts.append(
            chart(
                time,
                Axis(f"likeness to the original, {judge}", low, 1),
                cosines,
                "Likeness to the original over time",
            )
        )
    more = f" Of {len(worst)} tracks the {len(drawn)} that tell most." if len(worst) > len(drawn) else ""
    return (
        f'<h2>Over time</h2><div class="charts">{"".join(parts)}</div><p class=soft>Where the line on the left falls, a face '
        f"shows. On the right: cosines to the averaged original at another time.{more}</p>"
    )


def _judges(evaluation: VideoEvaluation) -> str:
    if not evaluation.judges:
        return f"<p>No track has the {LEAST} frames, or the size, that an attack needs.</p>"
    told = [
        (attack, rate)
        for attack in ATTACKS
        for rate in evaluation.judges[0].accepted[attack]
        if any(item.accepted[attack][rate].value is not None for item in evaluation.judges)
    ]
    head = "".join(f"<th>{escape(attack)}<br>at FAR<br>{rate}, %" for attack, rate in told)
    leading = {(row.recogniser) for row in evaluation.headlines[:1]}

    def row(item: JudgeRecord, *, untouched: bool) -> str:
        accepted = item.untouched_accepted if untouched else item.accepted
        cells = "".join(f"<td>{percent(accepted[attack][rate])}</td>" for attack, rate in told)
        worst = " class=worst" if item.recogniser in leading and not untouched else ""
        kind = "" if item.kind == "black box" else f" <small>{escape(item.kind)}</small>"
        rank1 = item.untouched_rank1 if untouched else item.rank1
        return (
            f"<tr{worst}><td>{escape(item.recogniser)}{kind}</td><td class=left>{'original' if untouched else 'anonymised'}</td>"
            f"<td>{plain(item.untouched if untouched else item.cosine)}</td>"
            f"<td>{'–' if item.strangers is None else f'{item.strangers:.3g}'}</td>"
            f"<td>{'' if untouched else percent(item.alike)}</td><td>{percent(rank1)}</td>{cells}</tr>"
        )

    rows = "".join(row(item, untouched=side) for item in evaluation.judges for side in (False, True))
    return (
        "<div class=scroll><table class=tight><thead><tr><th>recogniser<th class=left>frames<th>cosine<th>of<br>strangers"
        f"<th>as alike as<br>untouched, %<th>rank 1, %{head}</thead><tbody>{rows}</tbody></table></div><p class=soft>A dash: "
        "not measured, for want of a second track or of pairs of different people.</p>"
    )


def _tracks(worst: Sequence[TrackRecord], judge: str) -> str:
    rows = []
    for record in worst[:LISTED]:
        sight = _sight(record, judge)
        bare, opened, altered = (
            "–" if share is None else f"{100 * share:.{digits}f}"
            for share, digits in ((record.bare, 1), (record.open, 1), (record.altered, 0))
        )
        cells = "<td>–" * 7
        if sight is not None:
            cells = "".join(
                f"<td>{value}</td>"
                for value in (
                    f"{sight.cosine:.2f} <small>{sight.untouched:.2f}</small>",
                    f"{sight.best:.2f}",
                    f"{sight.together:.2f}",
                    "–" if sight.alike is None else f"{100 * sight.alike:.1f}",
                    "–" if sight.rank1 is None else f"{100 * sight.rank1:.0f}",
                    _both(sight.variance),
                    _both(sight.switch),
                )
            )
        rows.append(
            f"<tr><td>{record.track}</td><td>{record.start:.1f}–{record.end:.1f}</td><td>{record.frames:,}</td>"
            f"<td>{record.size:.0f}</td><td>{bare}</td><td>{opened}</td><td>{altered}</td>{cells}<td>{_ratio(record.flicker)}</td>"
            f"<td>{_ratio(record.warping)}</td></tr>"
        )
    more = f" {len(worst) - LISTED} more tracks are in report.json." if len(worst) > LISTED else ""
    return (
        "<div class=scroll><table class=tight><thead><tr><th>track<th>seconds<th>frames<th>size,<br>px<th>as it<br>was, %<th>open in<br>part, %"
        "<th>least<br>altered, %<th>cosine<th>best<br>frame<th>multi-<br>frame<th>as alike as<br>untouched, %"
        "<th>rank 1,<br>%<th>identity<br>variance<th>identity<br>switch<th>flicker<th>warping<br>error</thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div><p class=soft>By {escape(judge)}; in small: the original's own. Flicker "
        f"and warping error are relative to the original's: 1 is as steady. Below 1 is no merit.{more}</p>"
    )


def _both(pair: tuple[float | None, float | None]) -> str:
    before, after = ("–" if value is None else f"{value:.2f}" for value in pair)
    return f"{after} <small>{before}</small>"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _how(evaluation: VideoEvaluation) -> str:
    protocol = evaluation.protocol
    words, attacks = listed(protocol.words), explained(ATTACKS)
    versions = ", ".join(f"{name} {version}" for name, version in evaluation.versions.items())
    left = "; ".join(f"{count} {reason}" for reason, count in protocol.left_out.items()) or "none"
    others = (
        f" Other people, of {escape(', '.join(protocol.data))}: {protocol.people:,}; left out: {escape(left)}."
        if protocol.data
        else ""
    )
    return (
        f"<h2>How it was measured</h2>{words}{attacks}<p>Scene cuts: {protocol.cuts:,}. Tracks of fewer than "
        f"{LEAST} frames or too small, not attacked: {protocol.short:,}. Face-frames only followed, not judged: {protocol.followed:,}."
        f"{others} Seed {protocol.seed}.</p>{judges(evaluation.recognisers)}<p>Cosine: mean "
        "similarity to the original at another time. As alike as untouched: the share of frames more alike than the lowest "
        "twentieth of the track's untouched ones. Rank 1: the share of frames whose own track is the most alike of all. "
        "At FAR: the share of tracks, or of a track's frames, accepted at the threshold at which so many strangers are. "
        "Identity variance: 0 is one identity throughout; identity switch: the largest step from frame to frame.</p>"
        f"<p class=soft>{escape(versions)}.</p>"
    )
