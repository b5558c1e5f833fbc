"""How a face is held and what it does, before and after: pose, gaze, openness of eyes and mouth, dense points.

All of it is what incog's own landmark network sees, see ``perceive.landmarks``. Where nothing of a face is left it
still answers: figures are of pictures whose landmarks can be trusted, and how many these are is a figure too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from incog import geometry, points
from incog.evaluate.intervals import Figure, mean_over_people
from incog.evaluate.samples import Item
from incog.perceive.landmarks import Landmarker, Landmarks, trusted
from incog.types import Bytes, Face, Floats

AROUND = 0.6
"""How far a face's box reaches beyond its five points where no detector gave one, as a share of their extent."""

EYES = ((points.RIGHT_EYE, points.RIGHT_IRIS), (points.LEFT_EYE, points.LEFT_IRIS))


def face_of(item: Item) -> Face:
    """Return where the person's face was in the original: the detector's box, else one around the points."""
    if item.faces:
        return Face(item.faces[0].box, item.faces[0].score, item.points)
    box = geometry.bounds(item.points, AROUND * float(np.ptp(item.points, axis=0).max()))
    return Face(tuple(float(value) for value in box), points=item.points)  # type: ignore[arg-type]


def landmarks_of(items: Sequence[Item], views: Sequence[Bytes], landmarker: Landmarker) -> list[Landmarks]:
    """Return the landmarks of the persons' faces in pictures (H, W, 3) uint8, at the places where they were."""
    return [landmarker(view, [face_of(item)])[0] for item, view in zip(items, views, strict=True)]


def gaze(dense: Floats) -> Floats:
    """Return where each iris lies in its eye, (2, 2) of dense points (130, 2): right and left eye; along the line from
    the outer corner to the inner one and across it, from their middle, as shares of their distance."""
    rows = []
    for eye, iris in EYES:
        outer, inner = dense[eye][0], dense[eye][8]
        along = inner - outer
        away = dense[iris][0] - (outer + inner) / 2
        across = np.array([-along[1], along[0]], np.float32)
        rows.append(np.array([away @ along, away @ across]) / max(float(along @ along), 1e-6))
    return np.asarray(rows, np.float32)


def eye_widths(dense: Floats) -> Floats:
    """Return the distance of the corners of the right and the left eye, (2,) px, of dense points (130, 2)."""
    return np.array([np.linalg.norm(dense[eye][8] - dense[eye][0]) for eye, _ in EYES], np.float32)


def eye_openness(dense: Floats) -> float:
    """Return how wide the lids stand apart, as a share of the width of the eyes, of dense points (130, 2)."""
    gaps = [np.linalg.norm(dense[eye][1:8] - dense[eye][:8:-1], axis=1).mean() for eye, _ in EYES]
    return float(np.sum(gaps) / max(float(eye_widths(dense).sum()), 1e-6))


def mouth_openness(dense: Floats) -> float:
    """Return how wide the lips stand apart inside, as a share of the mouth's width, of dense points (130, 2)."""
    inner = dense[points.INNER_LIPS]
    width = float(np.linalg.norm(dense[points.LEFT_CORNER] - dense[points.RIGHT_CORNER]))
    return float(np.linalg.norm(inner[1:4] - inner[:4:-1], axis=1).mean()) / max(width, 1e-6)


def changes(before: Landmarks, after: Landmarks) -> dict[str, float]:
    """Return how far a face's landmarks moved.

    yaw, pitch, roll: degrees. gaze: distance that irises moved in their eyes, as a share of the eye's width, both eyes
    weighted by theirs. eye_openness, mouth_openness: as shares of the width of eyes and mouth. nme: mean distance of
    the 130 points, as a share of the distance of a frontal face's irises, see ``points.scale``. None is below 0.
    """
    old, new = before.points, after.points
    widths = eye_widths(old)
    moved = np.linalg.norm(gaze(new) - gaze(old), axis=1)
    return {
        "yaw": abs(after.yaw - before.yaw),
        "pitch": abs(after.pitch - before.pitch),
        "roll": abs((after.roll - before.roll + 180) % 360 - 180),
        "gaze": float((moved * widths).sum() / max(float(widths.sum()), 1e-6)),
        "eye_openness": abs(eye_openness(new) - eye_openness(old)),
        "mouth_openness": abs(mouth_openness(new) - mouth_openness(old)),
        "nme": float(np.linalg.norm(new - old, axis=1).mean()) / max(float(points.scale(old)), 1e-6),
    }


def pose_and_gaze(
    items: Sequence[Item], before: Sequence[Landmarks], after: Sequence[Landmarks], *, seed: int = 0
) -> dict[str, Figure]:
    """Return how far faces are held and look as before, see ``landmarks_of`` and ``changes``.

    trusted: share of pictures whose landmarks can be relied on after, of those in which they could before. The others:
    mean changes over the pictures in which they can; absent when there are none.
    """
    kept = [
        (item, a, b) for item, a, b in zip(items, before, after, strict=True) if trusted(a, face_of(item))
    ]
    sure = [trusted(b, face_of(item)) for item, _, b in kept]
    people = [item.person for item, *_ in kept]
    found = {"trusted": mean_over_people(np.array(sure, np.float64), people, hits=True, seed=seed)}
    rows = [changes(a, b) for (_, a, b), can in zip(kept, sure, strict=True) if can]
    whose = [person for person, can in zip(people, sure, strict=True) if can]
    for name in rows[0] if rows else ():
        found[name] = mean_over_people(np.array([row[name] for row in rows]), whose, seed=seed)
    return found
