"""How the shipped attribute networks do on held-out faces, as a whole and by age group, gender and ethnicity.

``python benchmarks/attributes.py --utkface ZIP --lfw ZIP --portraits ZIP --out benchmarks/results/attributes.json``

UTKFace and LFW: the test split, which no network was trained or calibrated on. Portraits: people, light and camera that
no network has seen, neutral and smiling; their faces are found by the detector, as a user's would be.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import common
from incog.data.faces import decode, gather
from incog.data.readers import read
from incog.perceive.attributes import CLASSES, Attributes, OnnxAttributes, make_attributes
from incog.perceive.detector import make_detector
from incog.train import attribute_labels as measures
from incog.train.calibration import balanced_accuracy

NETWORKS = ("attributes", "attributes-b")
EDGE = 8
"""Pixels around the crop that networks take, in a picture of 128."""


def _columns(found: list[Attributes]) -> dict[str, Any]:
    names = ("age", "spread", *CLASSES)
    return {name: np.array([getattr(item, name) for item in found], np.float32) for name in names}


def held_out(networks: list[OnnxAttributes], utkface: Path, lfw: Path) -> dict[str, Any]:
    """Return the figures of each network, and how often two agree, on the test split."""
    faces = gather(read({"lfw": lfw, "utkface": utkface}), name="arcface", size=112 + 2 * EDGE)
    rows = faces.rows("test").astype(np.int64)
    crops = np.ascontiguousarray(faces.pixels[rows][:, EDGE:-EDGE, EDGE:-EDGE])
    truth = measures.labels(faces).of(rows)
    said = {network.name: _columns(network(crops)) for network in networks}
    result: dict[str, Any] = {}
    for name, columns in said.items():
        known = truth.years >= 0
        figures = measures.age_figures(columns["age"][known], columns["spread"][known], truth.years[known])
        for label, kinds in CLASSES.items():
            known = truth.classes[label] >= 0
            codes = truth.classes[label][known]
            shares = np.bincount(codes, minlength=len(kinds)) / len(codes)
            figures |= measures.class_figures(label, columns[label][known], codes, shares)
        known = (truth.years >= 0) & (truth.classes["gender"] >= 0) & (truth.classes["ethnicity"] >= 0)
        chosen = {label: columns[label][known].argmax(1) for label in CLASSES}
        groups = measures.groups(columns["age"][known], chosen, truth.of(np.flatnonzero(known)))
        result[name] = {"figures": {key: round(value, 4) for key, value in figures.items()}}
        result[name]["groups"] = [
            {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
            for row in groups
        ]
    if len(said) == 2:
        one, two = said.values()
        result["agreement"] = {
            label: round(float((one[label].argmax(1) == two[label].argmax(1)).mean()), 4) for label in CLASSES
        }
        result["agreement"]["age_difference"] = round(float(np.abs(one["age"] - two["age"]).mean()), 2)
    return result


def portraits(networks: list[OnnxAttributes], path: Path) -> dict[str, Any]:
    """Return how well each network tells neutral from smiling portraits, found and aligned by the detector."""
    detect = make_detector("centerface", device="cpu", threads=1)
    with zipfile.ZipFile(path) as file:
        table = list(csv.DictReader(io.StringIO(file.read("labels.csv").decode("utf-8"))))
        pictures = [decode(file.read(row["file"]), row["file"]) for row in table]
    found = [detect(picture, scales=[0.5], threshold=0.5) for picture in pictures]
    largest = [max(faces, key=lambda face: face.size, default=None) for faces in found]
    seen = [number for number, face in enumerate(largest) if face is not None]
    smiling = np.array([int(table[number]["expression"] != "neutral") for number in seen])
    result: dict[str, Any] = {"pictures": len(table), "faces": len(seen)}
    for network in networks:
        said = [network.look(pictures[number], [largest[number]])[0] for number in seen]
        columns = _columns(said)
        chosen = columns["expression"].argmax(1)
        result[network.name] = {
            "expression_accuracy": round(float((chosen == smiling).mean()), 4),
            "expression_balanced": round(balanced_accuracy(chosen, smiling), 4),
            "age_mean": round(float(columns["age"].mean()), 1),
            "gender_same_in_both": round(_same(table, seen, columns["gender"].argmax(1)), 4),
            "ethnicity_same_in_both": round(_same(table, seen, columns["ethnicity"].argmax(1)), 4),
        }
    return result


def _same(table: list[dict[str, str]], seen: list[int], chosen: Any) -> float:
    """Return in how many people both pictures got the same answer."""
    by_person: dict[str, list[int]] = {}
    for number, code in zip(seen, chosen, strict=True):
        by_person.setdefault(table[number]["identity"], []).append(int(code))
    pairs = [codes for codes in by_person.values() if len(codes) == 2]
    return float(np.mean([one == two for one, two in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("utkface", "lfw", "portraits", "out"):
        parser.add_argument(f"--{name}", type=Path, required=name != "portraits")
    options = parser.parse_args()
    result = common.record()
    networks = [make_attributes(name) for name in NETWORKS]
    result["held_out"] = held_out(networks, options.utkface, options.lfw)
    if options.portraits:
        result["portraits"] = portraits(networks, options.portraits)
    common.save(options.out, result)
    for name in NETWORKS:
        print(name, result["held_out"][name]["figures"], result.get("portraits", {}).get(name))


if __name__ == "__main__":
    main()
