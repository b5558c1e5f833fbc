"""What a video's figures come to: the worst by each measure, and one line."""

from __future__ import annotations

from collections.abc import Sequence

from incog.evaluate import video_attacks
from incog.evaluate.document import Value
from incog.evaluate.video_attacks import ATTACKS, RATES
from incog.evaluate.video_document import JudgeRecord, TrackRecord, VideoHeadline


def headlines_of(judges: Sequence[JudgeRecord]) -> list[VideoHeadline]:
    """Return the worst that black boxes found: recognised at the first of ``RATES``, told among the tracks, and as
    alike as untouched frames. What was not measured is left out."""
    boxes = [item for item in judges if item.kind == "black box"]
    rate = f"{RATES[0]:g}"
    rows = [
        VideoHeadline(
            measure="recognised",
            recogniser=item.recogniser,
            attack=attack,
            figure=item.accepted[attack][rate],
            untouched=item.untouched_accepted[attack][rate],
            outline=item.outline["recognised"],
            chance=max(RATES[0], item.mistaken[attack] or 0.0),
            beyond=_beyond(
                item.accepted[attack][rate],
                max(RATES[0], item.mistaken[attack] or 0.0),
                item.outline["recognised"],
            ),
        )
        for item in boxes
        for attack in ATTACKS
    ]
    for item in boxes:
        chance = 1 / max(item.rank1.count, 1)
        rows += [
            VideoHeadline(
                measure="rank 1",
                recogniser=item.recogniser,
                attack="frame",
                figure=item.rank1,
                untouched=item.untouched_rank1,
                outline=item.outline["rank 1"],
                chance=chance,
                beyond=_beyond(item.rank1, chance, item.outline["rank 1"]),
            ),
            VideoHeadline(
                measure="alike",
                recogniser=item.recogniser,
                attack="frame",
                figure=item.alike,
                untouched=Value(value=1 - video_attacks.LOWEST / 100),
                outline=Value(value=0.0),
                chance=0.0,
                beyond=(item.alike.value or 0.0) > 0,
            ),
        ]
    worst: dict[str, VideoHeadline] = {}
    for row in rows:
        best = worst.get(row.measure)
        if row.figure.value is not None and (best is None or _badness(row) > _badness(best)):
            worst[row.measure] = row
    return list(worst.values())


def _badness(row: VideoHeadline) -> tuple[bool, float, float]:
    return row.beyond, row.figure.high or 0.0, row.figure.value or 0.0


def _beyond(figure: Value, chance: float, outline: Value) -> bool:
    # Figures have five digits.
    return figure.low is not None and figure.low - 1e-4 > max(chance, outline.value or 0.0)


def verdict(
    bare: Value, opened: Value, tracks: Sequence[TrackRecord], headlines: Sequence[VideoHeadline]
) -> str:
    """Return one line: what leaks, or how sure it is that nothing does."""
    if not tracks:
        return "No face was found in the original: nothing was measured."
    leaks = []
    if bare.value:
        where = sum(bool(item.bare) for item in tracks)
        leaks.append(
            f"{100 * bare.value:.1f} % of face-frames were left as they were or nearly so, in {where} of {len(tracks)} "
            "track(s)"
        )
    # Where thresholds could be fixed, they say more than likeness to untouched frames does.
    known = any(row.measure == "recognised" for row in headlines)
    leaks += [told(row) for row in headlines if row.beyond and not (known and row.measure == "alike")]
    partly = (opened.value or 0.0) - (bare.value or 0.0)
    doubt = f"{100 * partly:.1f} % of face-frames are open in part, or keep shades that coding hides"
    if leaks:
        return f"Leaks: {'; '.join([*leaks, doubt] if partly > 0 else leaks)}."
    said = f"In doubt: {doubt}" if partly > 0 else "No leak found: every face-frame was altered"
    if not headlines:
        return f"{said}. Tracks were too short or too small to be attacked."
    top = headlines[0]
    return f"{said}; {told(top)}, at most {100 * (top.figure.high or 0):.0f} %."


def told(row: VideoHeadline) -> str:
    """Return a headline in words."""
    share, before = 100 * (row.figure.value or 0.0), 100 * (row.untouched.value or 0.0)
    by = f"{row.recogniser}, {row.attack}"
    match row.measure:
        case "recognised":
            what = "of a track's frames" if row.attack == "frame" else "of tracks"
            return (
                f"{share:.1f} % {what} are recognised by {by}, at a FAR of {RATES[0]:g} ({before:.1f} % untouched, "
                f"{100 * (row.outline.value or 0.0):.1f} % by the outline alone; other people are taken for "
                f"them in {100 * row.chance:.1f} %)"
            )
        case "rank 1":
            return (
                f"{share:.1f} % of frames are told among {row.figure.count} tracks by {by} ({before:.1f} % untouched; "
                f"guessing gives {100 * row.chance:.1f} %)"
            )
        case _:
            return f"{share:.1f} % of frames are as alike to the person as untouched ones, by {by}"
