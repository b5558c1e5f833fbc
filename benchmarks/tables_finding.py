"""Sections of the benchmarks on faces that are found, hidden and steady, and on how quickly."""

from __future__ import annotations

from typing import Any

from page_parts import origin, percent, table


def leaks(result: dict[str, Any]) -> str:
    """Return the section on faces left visible."""
    runs = result["results"]
    names = [f"{r['tool']}" + ("" if r["threshold"] == "default" else f" {r['threshold']}") for r in runs]
    first = runs[0]
    parts = [
        "## Faces left visible",
        f"Generated clips, seed {result['seed']}: {first['clips']} clips, {first['frames']:,} frames, "
        f"{first['face_frames']['trials']:,} face-frames, {first['appearances']['trials']} face appearances. "
        "A face-frame leaks when less than 99 % of the visible part of its brow-to-chin hull was altered; "
        "an appearance leaks when any of its frames does. In brackets the upper end of the 95 % Wilson "
        "interval. Frames of one clip are correlated, so the bound over face-frames is too narrow; the one "
        "over appearances is the careful one. Sizes are heights of the face box, hairline to chin, in px. "
        "deface is measured with its box mask, which covers more than its default ellipse.",
        table(
            ["", *names],
            [
                ["face-frames left visible", *(percent(r["face_frames"]) for r in runs)],
                ["appearances with a leak", *(percent(r["appearances"]) for r in runs)],
                ["area masked outside face hulls", *(f"{r['masked_outside_faces']:.2%}" for r in runs)],
                ["masked area / hull area", *(r["masked_to_hull_area"] for r in runs)],
                ["false boxes per frame", *(r["false_boxes_per_frame"] for r in runs)],
                ["clips without output", *(len(r["refused"]) for r in runs)],
                ["frames missing in the output", *(r["missing_frames"] for r in runs)],
            ],
        ),
    ]
    for title, key in (("size in px", "sizes"), ("hazard", "hazards")):
        rows = [
            [label, *(percent(r[key][label]["face_frames"]) if label in r[key] else "" for r in runs)]
            for label in first[key]
        ]
        parts.append(table([title, *names], rows))
    older = [
        f"{run['tool']}'s figures are of an earlier run on the same clips, commit `{run['commit'][:10]}`."
        for run in runs
        if "commit" in run
    ]
    return "\n\n".join([*parts, *older, origin(result)])


def speed(result: dict[str, Any]) -> str:
    """Return the section on speed and memory."""
    rows = []
    for name, tools in result["clips"].items():
        size, faces = name.split("-")
        base = tools.get("deface", {}).get("frames_per_second")
        limit = tools.get("transcode", {}).get("frames_per_second")
        for tool, row in tools.items():
            fps = row["frames_per_second"]
            share = row.get("recall", {})
            rows.append(
                [
                    f"{size}, {faces} face{'s' if faces != '1' else ''}",
                    tool,
                    (row.get("error", "") and "failed") or fps,
                    f"{fps / base:.2f}" if base else "",
                    f"{fps / limit:.2f}" if limit else "",
                    f"{share['rate']:.2%}" if "rate" in share else "",
                    share.get("false_boxes", ""),
                    f"{row['peak_mb']:.0f}",
                ]
            )
    head = [
        "clip",
        "tool",
        "frames/s",
        "/ deface",
        "/ transcode",
        "face-frames covered",
        "false boxes",
        "peak MB",
    ]
    parts = [
        "## Speed",
        f"Wall time of the whole process on clips of {result['frames']} frames with sound, start-up included; "
        f"median of {result['rounds']} rounds in which the tools take turns.",
        table(head, rows),
    ]
    if "memory" in result:
        rows = [[k, f"{v['frames']:,}", v["peak_mb"], v["seconds"]] for k, v in result["memory"].items()]
        parts += ["Peak memory of incog's process tree:", table(["clip", "frames", "MB", "seconds"], rows)]
    return "\n\n".join([*parts, origin(result)])


def photos(result: dict[str, Any]) -> str:
    """Return the section on photos."""
    names = list(result["photos"])
    kinds = list(dict.fromkeys(kind for rows in result["photos"].values() for kind in rows))

    def cell(row: dict[str, Any] | None) -> str:
        if row is None:
            return ""
        if "error" in row:
            return "failed"
        extra = f", {len(row['extra'])} extra" if row["extra"] else ""
        return f"{row['matched']} of {row['marked']}{extra}"

    rows = [[kind, *(cell(result["photos"][name].get(kind)) for name in names)] for kind in kinds]
    parts = [
        "## Photos",
        "Faces matched with hand-drawn boxes at an intersection over union of .5; faces of less than 12 px "
        "and doubtful ones are left out. The copies: every EXIF orientation, and rescaled.",
        table(["copy", *names], rows),
    ]
    return "\n\n".join([*parts, origin(result)])


def detector(result: dict[str, Any]) -> str:
    """Return the section on incog's own detector."""
    names = [name for name in ("incog", "centerface", "yunet") if name in result]
    sizes = [key for key in result[names[0]]["collages_one_look"]["0.4"] if key.startswith("recall_")]

    def cell(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    rows = []
    for name in names:
        for look in ("one_look", "search"):
            found = result[name].get(f"collages_{look}")
            for threshold in ("0.25", "0.4", "0.65") if found else ():
                row = found[threshold]
                empty = result[name][f"empty_{look}"][threshold]
                rows.append(
                    [f"{name}, {look.replace('_', ' ')}", threshold, cell(row["recall"])]
                    + [cell(row[size]) for size in sizes]
                    + [row["false_per_picture"], empty]
                )
    photos_found = [
        [photo, *(f"{result[name]['photos'][photo]['matched']} of {result[name]['photos'][photo]['marked']}, "
                  f"{result[name]['photos'][photo]['extra']} extra" for name in names if "photos" in result[name])]
        for photo in result[names[0]]["photos"]
    ]  # fmt: skip
    speed_rows = [
        [threads, *(f"{result['speed'][threads][name]['median_ms']}" for name in names)]
        for threads in result["speed"]
    ]
    parts = [
        "## Detectors",
        "Recall at an intersection over union of .5 on collages of people that no training saw, by longer side in px, "
        "and false boxes per collage and per picture without a face. One look: the picture as it is; search: at three "
        "scales.",
        table(
            [
                "detector",
                "score from",
                "recall",
                *(size.removeprefix("recall_").replace("_", "-") for size in sizes),
                "false",
                "false, no face",
            ],
            rows,
        ),
        "Photos with boxes drawn by hand, by the search that incog does:",
        table(["photo", *(name for name in names if "photos" in result[name])], photos_found),
        "Milliseconds for one look at 640x360:",
        table(["", *names], speed_rows),
    ]
    return "\n\n".join([*parts, origin(result)])


def steadiness(result: dict[str, Any]) -> str:
    """Return the section on films."""
    parts, keys = ("face", "mask", "flicker"), ("ratio", "median_track", "worst_long_track")
    rows = [
        [name, row["frames_per_second"], *(row[part][key] for part in parts for key in keys)]
        for name, row in result["methods"].items()
    ]
    first = next(iter(result["methods"].values()))["face"]
    head = ["method", "frames/s", *(word for part in parts for word in (part, "median", "worst"))]
    return "\n\n".join(
        [
            "## A whole film",
            f"`{result['clip']}`, {first['pairs']} pairs of neighbouring frames of {first['tracks']} tracks. Warping "
            "error and flicker relative to the film's own: 1 is as steady as the original, and less is no merit. "
            "Face: the warping error over the face itself, brow to chin and ear to ear. Mask: over all that masks "
            "cover, with the background that a moving mask newly comes over, which no cover continues. Flicker: of the "
            "aligned face. The first of three columns adds up all pairs; then the median track, and the worst of the "
            f"{first['long_tracks']} tracks of a second and more. Frames in a second are those of the whole command.",
            table(head, rows),
            origin(result),
        ]
    )
