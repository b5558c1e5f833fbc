"""Measure how surely the embedder tells people apart, by groups, and write the calibration that the package ships.

``python benchmarks/calibrate.py --named lfw.zip --grouped utkface.zip --out src/incog/models/embedder.json``

Both are zips of pictures with a labels.csv. ``--named`` has the columns file and identity, and gives the pairs of one
person; ``--grouped`` has file, age, gender and ethnicity, and gives the pairs of strangers of one group: women and men
by ethnicity, and children under 16. What groups have in common is learned from the training split alone, and rates are
measured on the rest, which the network never saw; ``--all`` measures every picture, for networks that were trained on
others. Faces are found and aligned as incog does it. A picture is aligned once: embeddings stay in this process, and
the file holds means over many people only.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from incog import models
from incog.data.faces import decode, split_of
from incog.perceive.calibration import Calibration, calibrate, threshold
from incog.perceive.embedder import NAME, OnnxEmbedder, align, misfit
from incog.perceive.recogniser import TURNED
from incog.train.finding import Finder

ADULT = 16
BLOCK = 256
COMPARISONS = (1, 3, 10, 30, 100, 300)


def group(row: dict[str, str]) -> str:
    """Return the group of a labelled picture: children by ethnicity, adults by ethnicity and gender."""
    if int(row["age"]) < ADULT:
        return f"{row['ethnicity']} children"
    return f"{row['ethnicity']} {'women' if row['gender'] == 'female' else 'men'}"


def key(stem: str, row: dict[str, str]) -> str:
    """Return what a picture's split is a hash of: the person, or the file where nobody is named."""
    return row.get("identity") or f"{stem}/{row['file']}"


def wanted(stem: str, rows: list[dict[str, str]], learned: int) -> list[dict[str, str]]:
    """Return the rows that are measured, and ``learned`` of the training split, those with the lowest hashes."""
    train = [row for row in rows if split_of(key(stem, row)) == "train"]
    train.sort(key=lambda row: hashlib.sha256(row["file"].encode()).digest())
    kept = {row["file"] for row in train[:learned]}
    return [row for row in rows if row["file"] in kept or split_of(key(stem, row)) != "train"]


def embedded(
    path: Path, network: OnnxEmbedder, learned: int
) -> tuple[list[dict[str, str]], npt.NDArray[np.float32]]:
    """Return the label rows and embeddings of the pictures in which a face was found from the front."""
    rows: list[dict[str, str]] = []
    parts: list[npt.NDArray[np.float32]] = []
    crops: list[npt.NDArray[np.uint8]] = []
    finder = Finder()
    with zipfile.ZipFile(path) as archive:
        labels = list(csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"), encoding="utf-8")))
        labels = wanted(path.stem, labels, learned)
        for row in labels:
            picture = decode(archive.read(row["file"]), row["file"])
            face = finder(picture)
            if face is None or misfit(face) > TURNED:
                continue
            rows.append(row)
            crops.append(align(picture, face))
            if len(crops) == BLOCK:
                parts.append(network(np.stack(crops)))
                crops = []
                print(f"{path.name}: {len(rows)} of {len(labels)}", flush=True)
    if crops:
        parts.append(network(np.stack(crops)))
    return rows, np.concatenate(parts)


def measure(
    named: Path, grouped: Path, network: OnnxEmbedder, digest: str, *, everything: bool, learned: int
) -> Calibration:
    """Return the calibration of a network on two sets."""
    people, one = embedded(named, network, learned)
    strangers, other = embedded(grouped, network, learned)
    splits = [split_of(key(named.stem, row)) for row in people]
    splits += [split_of(key(grouped.stem, row)) for row in strangers]
    learned: Sequence[bool] = [split == "train" for split in splits]
    if everything:
        # Half of the people teach the common part, and all with a name are measured.
        learned = [False] * len(people) + [number % 2 == 0 for number in range(len(strangers))]
    return calibrate(
        np.concatenate([one, other]),
        [row["identity"] for row in people] + [""] * len(strangers),
        [""] * len(people) + [group(row) for row in strangers],
        fit=learned,
        embedder=digest,
        data=f"{named.stem}, {grouped.stem}: "
        + ("all pictures" if everything else "pictures of no training split"),
    )


def told(found: Calibration) -> list[str]:
    """Return the figures in words."""
    lines = []
    for tail in found.tails:
        scores = " ".join(f"{rate:g}: {tail.score_at(rate):.3f}" for rate in (1e-2, 1e-3, 1e-4, 1e-5))
        lines.append(f"{tail.name}: {tail.people} people, {tail.pairs} pairs, false matches at {scores}")
    for count in COMPARISONS:
        level = threshold(found, count, 0.01)
        worst = found.rate(level)[1]
        lines.append(
            f"{count} comparisons at a risk of 0.01: {level:.3f} ({worst}), misses {found.miss_rate(level):.3f}"
        )
    lines.append(
        f"unmeasured: {', '.join(found.unmeasured) or 'none'}; {found.same_pairs} pairs of one person"
    )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--named", type=Path, required=True, help="zip with identities")
    parser.add_argument("--grouped", type=Path, required=True, help="zip with ages, genders and ethnicities")
    parser.add_argument("--network", type=Path, help="ONNX file; default: the one that the package brings")
    parser.add_argument("--all", action="store_true", help="measure every picture")
    parser.add_argument(
        "--learned", type=int, default=4000, help="pictures of each training split that teach the common part"
    )
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = options.network.read_bytes() if options.network else models.load(models.RECORDS[NAME])
    network = OnnxEmbedder(data, threads=options.threads)
    found = measure(
        options.named,
        options.grouped,
        network,
        hashlib.sha256(data).hexdigest(),
        everything=options.all,
        learned=2**31 if options.all else options.learned,
    )
    options.out.write_text(json.dumps(found.model_dump(), separators=(",", ":")) + "\n", encoding="utf-8")
    print("\n".join(told(found)))


if __name__ == "__main__":
    main()
