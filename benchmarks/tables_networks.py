"""Sections of the benchmarks on the networks."""

from __future__ import annotations

from typing import Any

from page_parts import origin, table


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
