"""The basis of faces that the subspace methods work in: fitted, measured on other people, written with its card.

``python -m incog.train.eigenfaces --portraits FILE --models FOLDER`` takes the training part of a file of
``incog.train.portraits`` and needs no torch. The same file gives the same basis.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from incog.alignment import similarity
from incog.data.faces import template
from incog.methods import eigenspace
from incog.methods.aligned import goal
from incog.methods.eigenspace import COUNT, NAME, SIDE, Basis
from incog.models import Card
from incog.train.portraits import SIZE, Portraits, inside, read
from incog.types import Bytes, Floats

MOST = 6000
"""Faces that the basis is fitted to, at most; each counts once as it is and once mirrored."""

WHOLE = 0.45
"""Least share of a crop that its picture must show for the face to be learnt from."""

TURNED = 25.0
"""Largest yaw and pitch, degrees, of a face that is learnt from."""

TERMS = {
    "lfw": "Labeled Faces in the Wild: research",
    "utkface": "UTKFace: non-commercial research",
    "synthetic": "generated faces, licence unclear: training only",
    "portraits": "London Set, DeBruine and Jones: CC BY 4.0",
}
LIMITS = [
    "A linear space: faces turned away, glasses, hands and beards come out as blurs and ghosts.",
    "Trained on upright faces from public photos of mostly white adults.",
    "Its mean and its first modes show what its training faces have in common, not any one of them.",
]


def small(pixels: Bytes) -> Bytes:
    """Return portraits (N, 128, 128, 3) uint8, or their masks (N, 128, 128), as the basis takes them: 64 px."""
    matrix = similarity(template("outline", SIZE), goal(2 * SIDE))
    size = (2 * SIDE, 2 * SIDE)
    return np.stack(
        [
            cv2.resize(
                cv2.warpAffine(face, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
                (SIDE, SIDE),
                interpolation=cv2.INTER_AREA,
            )
            for face in pixels
        ]
    ).astype(np.uint8)


def chosen(portraits: Portraits, split: Any, most: int) -> tuple[list[int], Floats]:
    """Return rows of a split that show enough of a face turned to the camera, in turn from each source, and where each
    shows its picture, (N, 64, 64)."""
    rows = [int(row) for row in portraits.rows(split) if np.abs(portraits.pose[row, :2]).max() <= TURNED]
    of: dict[str, list[int]] = {}
    masks: dict[int, Floats] = {}
    for row in rows:
        mask = small(255 * inside(portraits.corners[row])[None].astype(np.uint8))[0]
        # A pixel that is the mean of shown and repeated ones is not shown.
        masks[row] = np.asarray(mask == 255, np.float32)
        if masks[row].mean() >= WHOLE:
            of.setdefault(portraits.sources[row], []).append(row)
    found: list[int] = []
    # The smallest sources first, so that what they leave goes to the larger ones.
    for number, some in enumerate(sorted(of.values(), key=len)):
        share = (most - len(found)) // (len(of) - number)
        found += [some[int(place)] for place in np.linspace(0, len(some) - 1, min(share, len(some)))]
    found.sort()
    return found, np.stack([masks[row] for row in found])


def errors(basis: Basis, faces: Bytes) -> dict[str, float]:
    """Return how near the basis comes to faces (N, 64, 64, 3): root mean square error on 0..1 and share of the variance
    that is explained, by number of modes."""
    rows = faces.astype(np.float32) / np.float32(255)
    codes = basis.encode(rows)
    whole = float(np.square(rows.reshape(len(rows), -1) - basis.mean).mean())
    told = {}
    for count in (25, 50, 100, len(basis.modes)):
        wrong = float(np.square(rows - basis.decode(codes[:, :count])).mean())
        told[f"error_with_{count}_modes"] = wrong**0.5
        told[f"variance_with_{count}_modes"] = 1 - wrong / whole
    return told


def train(portraits: Portraits, *, count: int = COUNT, most: int = MOST) -> tuple[bytes, Card]:
    """Return the file of a basis with ``count`` modes and its card."""
    began = time.monotonic()
    rows, shown = chosen(portraits, "train", most)
    faces = small(portraits.pixels[rows])
    data = eigenspace.pack(
        eigenspace.fit(
            np.concatenate([faces, faces[:, :, ::-1]]), np.concatenate([shown, shown[:, :, ::-1]]), count
        )
    )
    basis = eigenspace.unpack(data)
    held, _ = chosen(portraits, "test", most)
    sources = Counter(portraits.sources[row] for row in rows)
    card = Card(
        name=NAME,
        about="Basis of aligned faces: 200 principal components, a mean, and the centre of the smallest sphere.",
        file=f"{NAME}.npz",
        sha256=hashlib.sha256(data).hexdigest(),
        layout="(B, 64, 64, 3) R'G'B' 0..1, aligned by five points as incog.methods.aligned does",
        outputs="(B, 200) coordinates",
        parameters=basis.modes.size + 2 * basis.mean.size,
        multiply_adds=basis.modes.size,
        data=dict(sources),
        terms={name: text for name, text in TERMS.items() if name in sources},
        recipe="python -m incog.train.eigenfaces",
        seconds=round(time.monotonic() - began),
        images=len(rows),
        hardware=platform.processor() or platform.machine(),
        measured={
            "test_faces": float(len(held)),
            **{name: round(value, 4) for name, value in errors(basis, small(portraits.pixels[held])).items()},
            "mean_distance_from_the_mean": round(basis.reach[0], 3),
            "mean_distance_from_the_centre": round(basis.reach[1], 3),
        },
        export_difference=float(f"{np.abs(basis.modes @ basis.modes.T - np.eye(count)).max():.2g}"),
        limits=LIMITS,
    )
    return data, card


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(prog="python -m incog.train.eigenfaces", description=__doc__)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    given: Any = parser.parse_args(arguments)
    data, card = train(read(given.portraits))
    (given.models / card.file).write_bytes(data)
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"
    (given.models / f"{card.name}.card.json").write_text(text, "utf-8")
    print(f"{card.file}: {len(data)} bytes, {card.measured}")


if __name__ == "__main__":
    main()
