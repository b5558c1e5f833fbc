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
            f"{item['bytes'] / 1e6:.2f} / {item['int8_bytes'] / 1e6:.2f}",
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
