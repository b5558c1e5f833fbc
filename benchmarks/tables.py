"""Write docs/benchmarks.md from the result files: ``python benchmarks/tables.py``. No figure in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common

PAGE = common.ROOT / "docs" / "benchmarks.md"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; columns after the first are aligned right."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
        *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def percent(part: dict[str, Any]) -> str:
    """Return events of trials, their rate and the upper end of the 95 % interval."""
    return f"{part['events']} of {part['trials']:,}: {part['rate']:.2%} (≤ {part['high95']:.2%})"


def origin(result: dict[str, Any]) -> str:
    """Return where a result comes from: commit, date, machine, versions and command."""
    machine, versions = result["machine"], result["versions"]
    changed = f" and {result['changed_files']} changed files" if result["changed_files"] else ""
    return (
        f"Commit `{result['commit'][:10]}`{changed}, {result['date'][:10]}, {machine['processor']}, "
        f"{machine['cores']} cores, Python {versions['python']}, ONNX Runtime {versions['onnxruntime']}, "
        f"PyAV {versions['av']}. `{result['command']}`"
    )


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


def networks(result: dict[str, Any]) -> str:
    """Return the section on the shipped networks' speed."""
    found = result["results"]
    names = list(dict.fromkeys(name for item in found for name in item["milliseconds"]))
    cosines = list(dict.fromkeys(name for item in found for name in item["cosines"]))
    rows = [
        [
            item["network"],
            ", ".join(" x ".join(str(side) for side in shape) for shape in item["input"]),
            *(item["milliseconds"].get(name, "") for name in names),
            *(item["cosines"].get(name, "") for name in cosines),
            f"{item['bytes'] / 1e6:.2f} / {item['int8_bytes'] / 1e6:.2f}" if item["int8_bytes"] else "",
        ]
        for item in found
    ]
    parts = [
        "## The networks",
        f"Milliseconds per face or frame, median of {result['rounds']} rounds in which all variants take turns. int8: "
        "weights and activations quantised statically. bf16: of processors that multiply matrices of it. The cosines "
        "are those of their outputs to the full network's. What ships is the full network, run by ONNX Runtime.",
        table(["network", "input", *names, *(f"{name} cosine" for name in cosines), "MB, full / int8"], rows),
    ]
    return "\n\n".join([*parts, origin(result)])


def landmarks(result: dict[str, Any]) -> str:
    """Return the section on the landmark network."""
    groups = ("nme", "outline", "brows", "eyes", "irises", "nose", "mouth")
    held = [
        [source, row["faces"], *(row[group] for group in groups), *row["pose_degrees"]]
        for source, row in result["held_out"].items()
    ]
    hand = result["portraits"]
    kinds = list(hand["network"])
    steady = result["steadiness"]
    parts = [
        "## Landmarks",
        "Mean distances in % of the distance of the irises. Held-out faces, cropped by another detector's points, two "
        "passes, against the teacher (MediaPipe's mesh); yaw, pitch and roll in degrees.",
        table(["held out", "faces", *groups, "yaw", "pitch", "roll"], held),
        f"{hand['portraits']} portraits with points placed by hand: lids, brows, lips and jaw as curves.",
        table(
            ["against hand-placed points", *kinds],
            [[who, *(hand[who][kind] for kind in kinds)] for who in ("network", "teacher")],
        ),
        f"Jitter in a video, {steady['face_frames']} frames of {steady['faces']} faces, mean second difference over "
        f"three frames in % of the face's scale: network {steady['network']['all']}, teacher "
        f"{steady['teacher']['all']}. One thread: {result['latency']['network_ms']} ms the network, "
        f"{result['latency']['face_ms']} ms a whole answer of two passes.",
    ]
    return "\n\n".join([*parts, origin({**result, **result["record"]})])


def attributes(result: dict[str, Any]) -> str:
    """Return the section on the attribute networks."""
    names = list(result["held_out"])
    shown = {
        "age_mae": "age, mean absolute error in years",
        "gender_accuracy": "gender, accuracy",
        "ethnicity_accuracy": "ethnicity, accuracy",
        "expression_accuracy": "expression, accuracy",
        "expression_balanced": "expression, balanced accuracy",
        "gender_ece": "gender, calibration error",
        "ethnicity_ece": "ethnicity, calibration error",
        "expression_ece": "expression, calibration error",
    }
    names = [name for name in names if "figures" in result["held_out"][name]]
    rows = [
        [words, *(f"{result['held_out'][name]['figures'][key]:.4g}" for name in names)]
        for key, words in shown.items()
    ]
    parts = [
        "## Attributes",
        "On faces of UTKFace (expression: LFW) that were not trained on. What the labels are and are not, and errors "
        "by group, stand on the [cards](networks.md).",
        table(["", *names], rows),
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


def k_same(result: dict[str, Any]) -> str:
    """Return the section on k-Same."""
    attacks = (
        "same picture",
        "plain",
        "parrot",
        "parrot of another release",
        "laid back, plain",
        "laid back, parrot",
    )

    def worst(found: dict[str, Any], attack: str) -> str:
        rates = [rates[attack] for rates in found["rank1"].values() if attack in rates]
        return f"{max(rates):.1%}" if rates else "–"

    most = result["people"]
    rows = [
        [
            f"`{found['method']}`"
            + (f", {few:,} people" if (few := found.get("people", most)) != most else ""),
            found["k"],
            f"{found['bound']:.1%}",
            *(worst(found, attack) for attack in attacks),
        ]
        for found in result["figures"]
    ]
    known = ", ".join(f"{rate:.1%} by {judge}" for judge, rate in result["untouched"].items())
    kept = sum(found["kept"] for found in result["figures"])
    parts = [
        "## " + ("k-Same-Net" if result["figures"][0]["method"] == "k-same-net" else "k-Same"),
        f"{result['people']:,} people of LFW, one picture of each released and one in the gallery, told at the first "
        f"guess by the better of {' and '.join(result['untouched'])}; untouched pictures: {known}. The first four "
        "attacks see [shared pictures](subspace.md#k-same): against the very originals that were averaged, against the "
        "other original of each person, against results of the other picture in the same release, and against results "
        "of the other pictures in a release of their own. The last two see whole pictures with the face laid back, "
        "where nothing is promised. The bound is 1/k and three standard deviations of so many guesses: "
        f"{kept} of {len(rows)} rows keep it.",
        table(["method", "k", "bound", *attacks], rows),
        *(
            f"`{method}` is of another run, commit `{commit[:10]}`."
            for method, commit in {
                (found["method"], found["commit"]): 0 for found in result["figures"] if "commit" in found
            }
        ),
    ]
    return "\n\n".join([*parts, origin(result)])


def pseudonyms(result: dict[str, Any]) -> str:
    """Return the section on pseudonyms."""
    columns = (
        "untouched, one person",
        "pseudonyms, one person",
        "a face for every picture, one person",
        "pseudonyms, different people",
        "a face for every picture, different people",
        "new face and the person's other pictures",
    )
    grouped = [
        [
            f"{row['risk']:g}",
            row["clusters"],
            f"{row['purity']:.1%}",
            f"{row['completeness']:.1%}",
            row["people_whole"],
            row["clusters_of_several_people"],
        ]
        for row in result["clusters"]
    ]
    rows = [
        [f"`{method}`", judge, kind, *(f"{found[judge][kind][column]['share']:.1%}" for column in columns)]
        for method, found in result["faces"].items()
        for judge in (name for name, value in found.items() if isinstance(value, dict))
        for kind in found[judge]
    ]
    made = "; ".join(
        f"`{method}`: {found['redrawn']} drawn anew, {found['alike']} still like another's, {found['filled']} of "
        f"{found['pictures']} pictures with a filled face"
        for method, found in result["faces"].items()
    )
    parts = [
        "## Pseudonyms",
        f"{result['pictures']} pictures of {result['people']} people of LFW, of whom each has three or four, through "
        "[`--pseudonyms`](use.md#pseudonyms). First who is who, by looks alone. Purity: pictures whose cluster is "
        "mostly of their person. Completeness: pictures that lie in their person's largest cluster.",
        table(["risk", "clusters", "purity", "completeness", "people whole", "of several people"], grouped),
        "Then the new faces, with people told by folders: how many pairs of pictures match, at the threshold that one "
        "in a thousand pairs of different untouched people reaches. With pseudonyms pictures of one person should "
        "match, as untouched ones do, and of different people should not. With a face for every picture what matches "
        "is what lies around the face, and what the new face keeps. Face only: all outside of the mask is covered. "
        f"Pictures with a filled face are left out. {made}.",
        table(["method", "recogniser", "shown", *columns], rows),
    ]
    return "\n\n".join([*parts, origin(result)])


BANDWIDTH = 3.35e12
"""Bytes a second of the memory of an H100 SXM GPU, by NVIDIA's data sheet."""

BITS = (28, 40, 52, 60, 65, 77)


def transformer(result: dict[str, Any]) -> str:
    """Return the section on faces that a key turns, and turns back."""
    judges, near, films = result["judges"], result["pictures"], result["films"]

    def row(words: str, name: str, *, share: bool = True) -> list[str]:
        return [words, *(f"{one[name]:.1%}" if share else f"{one[name]:.3f}" for one in judges.values())]

    parts = [
        "## Faces that a key turns",
        f"{result['faces']} pictures of as many held-out people of LFW, hidden by `transformer`, turned back by the "
        f"right key, without loss and from JPEG of quality 90, and by {result['wrong']} random keys; "
        f"{result['unfit']} more could not be turned. Thresholds as for deniable recovery. What it means is in [Faces "
        "that a key turns](transformer.md).",
        table(
            ["", *judges],
            [
                row("right key, without loss: taken for the original", "lossless_is_original"),
                row("right key, from JPEG: taken for it", "jpeg_is_original"),
                row("mean cosine, without loss", "lossless_cosine", share=False),
                row("mean cosine, from JPEG", "jpeg_cosine", share=False),
                row("wrong key, without loss: not taken for the original", "wrong_is_not_original"),
                row("wrong key: not taken for the shown face", "wrong_is_not_shown"),
                row("two wrong keys: not taken for each other", "wrong_is_not_another_wrong"),
                row("shown face not taken for the original", "shown_is_not_original"),
            ],
        ),
        f"Within the box of the mask, from the original: L1 {near['lossless_l1']:.3f} and DSSIM "
        f"{near['lossless_dssim']:.3f} without loss, {near['jpeg_l1']:.3f} and {near['jpeg_dssim']:.3f} from JPEG. A "
        "face is found in "
        + ", ".join(f"{share:.1%} of the {name}" for name, share in result["detected"].items())
        + f" pictures. A run of the network takes {result['seconds_per_run']:.2f} s on one core of this machine.",
        "Where the right key stands when keys are sorted by what their faces look like, as above:",
        table(
            ["sorted by", "mean rank", "p"],
            [[name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"] for name, one in result["ranks"].items()],
        ),
        "Films of 24 frames, H.264 as incog codes it by default. *Averaged* is what would come of averaging new faces "
        "over neighbouring frames, as other methods do:",
        table(
            ["film", "faces", "L1", "DSSIM", "bytes carried"],
            [
                [f"{film}, {words.replace('_', ' ')}", str(one["faces"]), f"{one['l1']:.3f}", f"{one['dssim']:.3f}",
                 f"{one['carried_bytes']:,}"]
                for film, both in films.items() for words, one in both.items()
            ],
        ),
        origin(result),
    ]  # fmt: skip
    return "\n\n".join(parts)


def deniable(result: dict[str, Any]) -> str:
    """Return the section on deniable recovery."""
    judges = result["judges"]

    def row(words: str, name: str, *, share: bool = True) -> list[str]:
        return [words, *(f"{one[name]:.1%}" if share else f"{one[name]:.3f}" for one in judges.values())]

    def apart(words: str, found: dict[str, Any]) -> list[list[str]]:
        return [
            [words, name, f"{one['accuracy']:.1%}", f"{one['sigma']:.1f}", str(one["tested"])]
            for name, one in found.items()
        ]

    codes, near = result["codes"], result["pictures"]
    others = result["codes_of_others"]
    parts = [
        "## Deniable recovery",
        f"{result['faces']} pictures of as many held-out people of LFW, hidden, coded as JPEG, and restored with the "
        f"right key and with {result['wrong']} wrong ones; {result['unread']} more could not be read. Thresholds are "
        "those at which one in a thousand pairs of pictures of different people is accepted. Pictures that are "
        "compared here show the same pose, light, hair and background, which makes strangers alike. What it means is "
        "in [Deniable recovery](deniable.md).",
        table(
            ["", *judges],
            [
                row("right recovery taken for the original", "right_is_original"),
                row("the whole model's own picture taken for it", "full_is_original"),
                row("mean cosine of right recovery and original", "right_cosine", share=False),
                row("the same of the whole model's own picture", "full_cosine", share=False),
                row("wrong recovery not taken for the original", "wrong_is_not_original"),
                row("wrong recovery not taken for the shown face", "wrong_is_not_shown"),
                row("shown face not taken for the original", "shown_is_not_original"),
                row("two wrong recoveries not taken for each other", "wrong_is_not_another_wrong"),
            ],
        ),
        f"Within the box of the mask, from the original: DSSIM {near['right_dssim']:.3f} and L1 {near['right_l1']:.3f} "
        f"of right recoveries, {near['full_dssim']:.3f} and {near['full_l1']:.3f} of the whole model's own picture. "
        "A face is found in "
        + ", ".join(f"{share:.1%} of the {name}" for name, share in result["detected"].items())
        + " pictures.",
        "Where the right key stands when all are sorted by what somebody with the file and all models can compute, 0 "
        "the first, 0.5 as by chance, and the p value of the Kolmogorov-Smirnov test that it stands anywhere:",
        table(
            ["sorted by", "mean rank", "p"],
            [[name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"] for name, one in result["ranks"].items()],
        ),
        "Classifiers that were trained on other people to tell right from wrong, half and half:",
        table(
            ["by", "classifier", "right", "sigmas above chance", "tested"],
            [
                *apart("codes", codes["codes"]),
                *apart("persons", codes["persons"]),
                *apart("pictures, with the ranks above", result["told_apart_by_pictures"]),
                *(line for name, one in others.items() for line in apart(f"codes, {name}", one["codes"])),
            ],
        ),
        origin(result),
    ]
    return "\n\n".join(parts)


def kdf(result: dict[str, Any]) -> str:
    """Return the section on guessing the passphrases of vaults."""
    names = list(result["costs"])
    cores = result["processes"]
    rows = [
        [
            f"{name}: {cost['passes']} passes, {cost['memory_kib'] // 1024} MiB, {cost['lanes']} lanes",
            f"{cost['seconds']:.3f}",
            f"{cost['cpu_seconds']:.3f}",
            f"{cost['least_cpu_seconds']:.3f}",
            f"{cost['guesses_a_second']:.1f}",
        ]
        for name, cost in result["costs"].items()
    ]
    first = result["costs"][names[0]]
    # Of each KiB, two are read and one is written, in each pass.
    touched = 3 * 1024 * first["passes"] * first["memory_kib"]
    rates = {
        f"this machine, {cores} cores": cores / first["least_cpu_seconds"],
        "1,000 guesses/s": 1e3,
        f"a GPU, at most {BANDWIDTH / touched:,.0f} guesses/s": BANDWIDTH / touched,
        "1,000 such GPUs": 1e3 * BANDWIDTH / touched,
    }
    guessed = [[f"{bits}", *(span(2.0 ** (bits - 1) / rate) for rate in rates.values())] for bits in BITS]
    parts = [
        "## Guessing passphrases",
        f"One guess at the passphrase of a [vault](format.md): {result['guesses']} of them one after another, in "
        f"seconds by the clock and of the processor, and guesses a second of {cores} processes at once. The machine "
        f"had other work to do (load {result['machine']['load_before']}): the least processor time says the most.",
        table(["cost", "clock, median", "processor, median", "processor, least", "guesses/s"], rows),
        "From that, how long it takes on average to find a passphrase of so many bits, at the default cost. The first "
        "column goes by the least processor time. The GPU is a calculation and a bound: Argon2id cannot go faster than "
        f"{touched / 2**20:.0f} MiB a guess pass through its memory, at {BANDWIDTH / 1e12} TB/s for an H100.",
        table(["bits", *rates], guessed),
        "Four words of diceware have 52 bits, five 65, six 77; `incog hide` wants 40 at least.",
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


def guesses(result: dict[str, Any]) -> str:
    """Return the section on wrong passphrases."""
    measured = [(name, result["cheap"], row) for name, row in result["vaults"].items()]
    measured.append(("one passphrase", result["default"], result["at the default cost"]))
    rows = [
        [
            name,
            f"{cost['passes']} passes, {cost['memory_kib'] // 1024} MiB, {cost['lanes']} lanes",
            f"{row['guesses']:,}",
            f"{row['opened']}",
            f"{row['cpu_seconds']:.4f}",
        ]
        for name, cost, row in measured
    ]
    parts = [
        "## Wrong passphrases",
        "Half of them drawn as `incog` draws them, half the right one with one character changed, left out or put in, "
        "against [vaults](format.md) of three kinds. Most were tried at less than the default cost, which changes how "
        "long a guess takes and nothing else.",
        table(["vault", "cost", "guesses", "opened", "processor seconds, median"], rows),
    ]
    return "\n\n".join([*parts, origin(result)])


def span(seconds: float) -> str:
    """Return a time in words."""
    for size, name in ((365.25 * 86400, "years"), (86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            count = seconds / size
            return f"{count:,.0f} {name}" if count < 1e6 else "over a million years"
    return f"{seconds:.0f} s"


GU_RECOVERED = (
    ("superpixel", ".09", ".10", ".06", ".01"),
    ("edge map", ".25", ".24", ".25", ".24"),
    ("blur", ".30", ".21", ".12", ".04"),
    ("noise", ".12", ".12", ".07", ".01"),
    ("part of the face masked", ".10", ".09", ".07", ".02"),
    ("their transformer, right password, CASIA", ".03", ".03", ".04", ".004"),
    ("their transformer, right password, LFW", ".04", ".03", ".04", ".004"),
)
"""Gu et al., ECCV 2020, tables 1 and 2: LPIPS, DSSIM, L1, L2."""

GU_FURTHER = (
    ("their transformer, right password, FFHQ", ".0602", ".0471", ".0509", ".0057"),
    ("Ren et al., CASIA", ".08", ".07", ".06", ".009"),
)
"""The same, from the same paper."""

GU_SHIFTS = {"box": (1.81, 1.62, 1.91), "points": (0.94, 0.76, 0.89)}
"""The same, table 3: CASIA, LFW, FFHQ."""

GU_SIGMAS = 3
"""Standard deviations above chance from which recoveries count as told apart."""

GU_LFW = {"dssim": 0.03, "l1": 0.04, "l2": 0.004}

GU_SECONDS, GU_FACES = 0.0266, 12
"""Of their network for a batch of faces on a Titan V."""

_STAGES = {
    "I and A": "original, and what the key makes of it",
    "I and R": "original, and what the negative key brings back",
    "I and WR": "original, and what a wrong negative key brings back",
    "WR and A": "what a wrong key brings back, and what it was given",
    "A and A of another key": "what two keys make of one face",
    "other picture and I": "another picture of the person, and the original",
    "other picture and A": "another picture, and what the key makes",
    "other picture and R": "another picture, and what the negative key brings back",
    "other picture and WR": "another picture, and what a wrong one brings back",
}


def between(found: dict[str, Any], form: str = ".1%") -> str:
    """Return a figure with its interval."""
    return f"{found['value']:{form}} ({found['low']:{form}} to {found['high']:{form}})"


def gu_faces(result: dict[str, Any]) -> list[str]:
    """Return what recognisers and a detector say of the transformer's faces."""
    judges, moved, kinds = result["verification"], result["shift"], result["variety"]
    seen, scale = moved["centerface"], moved["scale"]
    rows = [[words, *(between(found[name]) for found in judges.values())] for name, words in _STAGES.items()]
    shifts = [
        [
            f"ours, {name}",
            f"{part['found']:.1%}",
            *(between(part[key], ".2f") for key in ("box", "points")),
            *(f"{part[key]['value'] * scale:.2f}" for key in ("box", "points")),
            between(moved["landmarks"][name], ".2f"),
        ]
        for name, part in seen.items()
    ]
    shifts += [
        [
            f"published, A, {name}",
            "",
            "",
            "",
            *(f"{GU_SHIFTS[key][row]:.2f}" for key in ("box", "points")),
            "",
        ]
        for row, name in enumerate(("CASIA", "LFW", "FFHQ"))
    ]
    apart = result["told apart"]
    accuracies = ", ".join(f"{one['accuracy']:.1%} by {name}" for name, one in apart.items())
    tested = next(iter(apart.values()))["tested"]
    told = max(one["sigma"] for one in apart.values()) > GU_SIGMAS
    near = kinds["between keys"]["high"] < kinds["different people"]
    return [
        "### Who is taken for whom",
        f"{result['faces']} faces of {result['people']} held-out people of LFW, whole crops of 128 px with hair and "
        "background. I is the original, A what a key makes of it, R what the negative key makes of A, WR what the "
        "negative of a wrong key makes of A. Shares of pairs above the threshold that one in a thousand pairs of "
        "untouched pictures of different people exceeds, with 95 % intervals over people. dlib's network had no part "
        "in training; `incog-b` had none either, but its teacher is of the family of those that had; `incog` was a "
        "judge in training, and its figures are no claim. How good each is itself, the row of another picture and the "
        "original tells. Pairs of one picture share pose, light, hair and background; "
        "pairs with another picture of the person do not.",
        table(["taken for one person", *judges], rows),
        "Gu et al. show this as curves (figure 4), whose numbers are not to be had; people took A for I in 4.7 % of "
        "150 pairs (published). Ours were not shown to people.",
        "### How far a detector sees the face move",
        "Mean absolute difference of coordinates in px of the crop, by CenterFace, which had no part in training. Our "
        f"faces are larger in their 128 px than those of whole pictures of LFW: times {scale:.2f} the figures are in "
        "px of such a picture, as the published ones, which are by MTCNN. The last column is by our landmark network, "
        f"which was a judge in training. CenterFace finds {moved['found before']:.1%} of the originals.",
        table(
            [
                "",
                "found",
                "box",
                "five points",
                "box, their px",
                "points, their px",
                "130 points, not a claim",
            ],
            shifts,
        ),
        f"**{worse(seen['A']['box']['value'] * scale, GU_SHIFTS['box'][1])} for boxes and "
        f"{worse(seen['A']['points']['value'] * scale, GU_SHIFTS['points'][1])} for points** beside their LFW row.",
        "### How far keys take a face",
        f"Mean of 1 - cosine by dlib between what {kinds['keys']} keys make of one face, {kinds['faces']} faces: "
        f"{between(kinds['between keys'], '.3f')}. Between untouched pictures of one person it is "
        f"{kinds['one person']:.3f}, of different people {kinds['different people']:.3f}: the faces that keys give "
        + (
            "are less unlike each other than strangers are."
            if near
            else "are as unlike each other as strangers."
        ),
        "### Whether a right recovery can be told from a wrong one",
        "Classifiers that saw, of other people, A, the recovery, and figures of sharpness, seam and background, half "
        f"right and half wrong: {accuracies}, of {tested}. One half is chance. "
        + (
            "**Wrong recoveries do not look like right ones to somebody who has the network: they deny nothing.**"
            if told
            else f"That is within {GU_SIGMAS} standard deviations of chance."
        ),
    ]


def worse(found: float, published: float) -> str:
    """Return in words how a figure of which less is better compares."""
    if found <= published:
        return f"As good as published ({found:.3g} against {published:.3g})"
    return f"{found / published:.1f} times the published figure ({found:.3g} against {published:.3g})"


def gu_learnt(result: dict[str, Any]) -> list[str]:
    """Return how far faces come back, and whether keys can be read."""
    keys = ("dssim", "l1", "l2")
    more = ["lpips"] if "lpips" in result["full"]["right"] else []
    low = result["low"]
    names = {"edges": "edge map", "gaussian-noise": "noise", "blackout": "face masked"}

    def cells(part: dict[str, Any]) -> list[str]:
        return [*(f"{part[key]['value']:.4f}" for key in (*keys, *more)), between(part["recognised"])]

    rows = [["our transformer, negative key, nothing learnt", *cells(low["negative key"]["learnt"])]]
    for name, parts in low.items():
        for kind, words in (("learnt", "U-Net"), ("as it is", "as it is shown")):
            if name != "negative key":
                rows.append([f"{names.get(name, name)}, {words}", *cells(parts[kind])])
    full = [
        [
            f"ours, {words}",
            *([f"{part['lpips']['value']:.3f}"] if more else [""]),
            *cells(part)[:3],
            cells(part)[-1],
        ]
        for name, words in (
            ("right", "negative key"),
            ("right after JPEG", "negative key, after JPEG"),
            ("wrong", "wrong key"),
            ("none", "A, no key"),
        )
        for part in [result["full"][name]]
    ]
    full += [[f"published: {name}", *figures, ""] for name, *figures in (*GU_RECOVERED, *GU_FURTHER)]
    right = result["full"]["right"]
    reading = [
        [name, between(part["signs"]), between(part["best"])] for name, part in result["readings"].items()
    ]
    return [
        "### How far faces come back",
        f"One small U-Net for each row, {result['steps']} steps, learns from {result['train']:,} pairs of other people "
        "to bring back the original, at 64 px. Methods are incog's own over the whole face with default settings, "
        f"not those of the paper. {result['faces']} held-out faces; values 0 to 1; the last column is how many dlib "
        "takes for the original at the threshold of one in a thousand at this size. The U-Net on the transformer's "
        "pictures has no key: what it reaches is what anybody reaches who has the network and faces of his own.",
        table(["64 px", "DSSIM", "L1", "L2", *(["LPIPS"] if more else []), "taken for the original"], rows),
        "The transformer at its own 128 px, beside what was published. Not the same protocol: theirs are whole "
        "pictures, and the network that undoes the obfuscations saw some 364,000 of them. "
        + ("" if more else "LPIPS of ours was not measured: it takes a network that incog does not bring (`--lpips`)."),
        table(["128 px", "LPIPS", "DSSIM", "L1", "L2", "taken for the original"], full),
        "Beside their LFW row: " + "; ".join(
            f"{key.upper()}: {worse(right[key]['value'], GU_LFW[key])}" for key in keys
        ) + ".",
        "### Whether a picture tells its key",
        f"A network of the predictor's kind, {result['rounds']} passes over {result['train']:,} pictures under a key "
        "each, tells the signs of keys on held-out people. One half is chance. With original and result together they "
        "can be told, as in training; from the result alone a transformer with perfect realism would tell nothing. "
        "The best sign's interval allows for its being the best of all.",
        table(["the network sees", "signs read rightly", "the best sign"], reading),
        "It reads keys where it sees both, so that what it finds in A alone counts."
        if result["readings"].get("I and A", {"signs": {"low": 0}})["signs"]["low"] > 0.5
        else "**It does not read keys even where it sees both: it learnt too little, and its failure on A alone shows "
        "nothing.**",
    ]  # fmt: skip


def gu_keys(result: dict[str, Any]) -> list[str]:
    """Return what neighbouring keys do, how long a sweep takes, and where the right key stands in it."""
    near, sweep, places = result["neighbours"], result["sweep"], result["ranks"]
    rows = [
        [row["signs"], f"{row['pairs']:,}", f"{row['distance']:.3f}", f"{row['same']:.1%}"]
        for row in near["by signs"]
    ]
    published = 2**16 * GU_SECONDS / GU_FACES
    return [
        "### Neighbouring keys",
        "All 256 keys that share 24 signs, for the face of Eileen Collins (NASA, public domain), with the network "
        "that was measured. How natural they look, the picture tells; nobody was asked.",
        "![256 keys that share 24 signs, for one face](images/transformer-keys.jpg)",
        f"The same for {near['faces']} faces: how far the results of two keys are by dlib (1 - cosine), and how many "
        "are taken for one person.",
        table(["signs that differ", "pairs", "distance", "taken for one person"], rows),
        "### Trying all keys",
        f"A face takes {1000 * sweep['processor seconds a face']:.0f} ms of one core here. All 2^16 keys of a password "
        f"as the paper has it take {span(sweep['seconds']['16'])} ({published:.0f} s on a Titan V, by the published "
        f"time for a batch of {GU_FACES}); all 2^32 of ours take {span(sweep['seconds']['32'])} of one core. Keys are "
        "tried without the passphrase, so no slow derivation of keys helps against it, and the work divides among "
        "machines.",
        f"Where the right key stands among {places['wrong']} wrong ones, 0 the first, 0.5 as by chance, and the p "
        f"value of the Kolmogorov-Smirnov test that it stands anywhere; {places['faces']} faces. Cycle: how near "
        "turning a recovery again comes to the shown face.",
        table(
            ["sorted by", "mean rank", "p"],
            [
                [name, f"{one['mean_rank']:.3f}", f"{one['p']:.2g}"]
                for name, one in places["by oracle"].items()
            ],
        ),
        "Where a row's p is small, a sweep with it finds the right key, or a short list with the right key in it.",
    ]


def gu2020(result: dict[str, Any]) -> str:
    """Return the section on the transformer and the paper that it follows."""
    shown = {"faces": gu_faces, "learnt": gu_learnt, "keys": gu_keys}
    missing = [f"The part `{name}` was not measured yet." for name in shown if name not in result]
    lines = [line for name, part in shown.items() if name in result for line in part(result[name])]
    origins = dict.fromkeys(origin(result[name]) for name in shown if name in result)
    digests = dict.fromkeys(result[name]["network_sha256"][:10] for name in shown if name in result)
    return "\n\n".join(
        [
            "## The face identity transformer, beside Gu et al.",
            "The tables of Gu, Luo, Ryoo, Lee (ECCV 2020) for a network of `recipes/transformer.toml`, SHA-256 "
            + " and ".join(f"`{digest}...`" for digest in digests)
            + ". What is marked as published is theirs, and none of it was measured again.",
            *lines,
            "Not run, for want of a GPU: the ablations that the recipe names (no distance between results, no wrong "
            "recoveries, no predictor of the key, no recogniser for the way back), and the paper's own settings, "
            "`recipes/transformer-gu.toml`.",
            *missing,
            *origins,
        ]
    )


SECTIONS = {
    "leaks": leaks,
    "speed": speed,
    "photos": photos,
    "detector": detector,
    "landmarks": landmarks,
    "attributes": attributes,
    "networks": networks,
    "k-same": k_same,
    "k-same-net": k_same,
    "pseudonyms": pseudonyms,
    "kdf": kdf,
    "deniable": deniable,
    "transformer": transformer,
    "guesses": guesses,
    "steadiness": steadiness,
    "gu2020": gu2020,
}


def page(results: Path) -> str:
    """Return the whole page from the result files of a folder; a missing one is named."""
    parts = ["# Benchmarks", "Made by `python benchmarks/tables.py` from `benchmarks/results/`."]
    for name, section in SECTIONS.items():
        path = results / f"{name}.json"
        parts.append(
            section(json.loads(path.read_text())) if path.exists() else f"`{name}.json` was not made yet."
        )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(common.RESULTS))
    print(PAGE.relative_to(common.ROOT))


if __name__ == "__main__":
    main()
