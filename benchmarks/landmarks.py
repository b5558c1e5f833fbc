"""How near the landmark network comes to its teacher and to hand-placed points, how steady it is, and how quick.

``python benchmarks/landmarks.py --data ../shared/data --mesh mesh.npz --portraits portraits-mesh.npz --clip talk.mp4
--faces faces.npz --teacher-clip clip.npz --out benchmarks/results/landmarks.json``; each part is left out where its
files are not given. The labels of the teacher come from ``python -m incog.train.teachers``; ``--write-faces`` writes
the faces of the clip for it.

Errors are distances in % of the distance of the irises (the outer corners of the eyes, by which others measure, lie
1.40 times as far apart: their figures would be 0.72 times these). Held out are the test people of the data, cropped by
another detector's points (YuNet), two passes; points outside of a picture are not counted. In the portraits lids, lips,
brows and jaw are compared as curves: the distance from each hand-placed point to the network's line, since no two
schemes put their points at the same places of a line. Jitter is the mean second difference of the points of a face over
three frames, in % of the scale of the face; the teacher sees the same faces in the same frames.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import common
from incog import points
from incog.colour import rgb8
from incog.data.faces import decode, split_of
from incog.data.readers import archive
from incog.media import open_source
from incog.perceive.detector import CenterFace
from incog.perceive.landmarks import OnnxLandmarker, make_landmarker
from incog.train.meshes import inside, read_labels
from incog.types import Face

Floats = npt.NDArray[np.float32]

SAME: dict[str, list[tuple[int, int]]] = {
    "irises": [(0, 88), (8, 89), (2, 90), (4, 91), (6, 92), (1, 93), (12, 94), (10, 95), (16, 96), (14, 97)],
    "eye_corners": [(18, 56), (22, 64), (27, 72), (23, 80)],
    "mouth": [(87, 110), (93, 116), (89, 112), (90, 113), (91, 114), (106, 119), (96, 124), (101, 128)],
    "septum": [(55, 106)],
}
"""Rows of the portraits' 189 hand-placed points, and of the dense points that lie at the same places."""

CURVES: dict[str, list[tuple[list[int], slice]]] = {
    "lids": [
        ([18, 19, 20, 21, 22, 28, 29, 30], points.RIGHT_EYE),
        ([23, 24, 25, 26, 27, 31, 32, 33], points.LEFT_EYE),
    ],
    "brows": [
        ([71, 72, 73, 74, 75, 76, 83, 84], points.RIGHT_BROW),
        ([77, 78, 79, 80, 81, 82, 85, 86], points.LEFT_BROW),
    ],
    "lips": [
        ([87, 88, 89, 90, 91, 92, 93, 104, 105, 106, 107, 108], points.OUTER_LIPS),
        ([94, 95, 96, 97, 98, 99, 100, 101, 102, 103], points.INNER_LIPS),
    ],
    "jaw": [([*range(125, 134)], points.OUTLINE)],
}
"""Hand-placed rows and the closed line of dense points that they lie on."""


def to_line(marks: Floats, line: Floats) -> Floats:
    """Return the distance of each mark (M, 2) from a closed line of points (P, 2): (M,)."""
    start, step = line, np.roll(line, -1, axis=0) - line
    along = ((marks[:, None] - start) * step).sum(2) / np.maximum((step**2).sum(1), 1e-9)
    nearest = start + np.clip(along, 0, 1)[..., None] * step
    return np.asarray(np.linalg.norm(marks[:, None] - nearest, axis=2).min(1), np.float32)


def against_hand(marks: Floats, dense: Floats) -> dict[str, float]:
    """Return the errors of one face by group, in % of the hand-placed distance of the pupils."""
    unit = 100 / float(np.linalg.norm(marks[0] - marks[1]))
    found = {
        name: unit * float(np.mean([np.linalg.norm(marks[a] - dense[b]) for a, b in pairs]))
        for name, pairs in SAME.items()
    }
    for name, curves in CURVES.items():
        found[name] = unit * float(np.mean(np.concatenate([to_line(marks[a], dense[b]) for a, b in curves])))
    return found


def portraits(path: Path, labels: Path | None, network: OnnxLandmarker) -> dict[str, Any]:
    """Return the network's and the teacher's errors against hand-placed points, means over the portraits."""
    teacher = read_labels(labels) if labels else {}
    detector = CenterFace(threads=1)
    rows: dict[str, list[dict[str, float]]] = {"network": [], "teacher": []}
    apart: list[float] = []
    with zipfile.ZipFile(path) as file:
        names = [row["file"] for row in csv.DictReader(io.StringIO(file.read("labels.csv").decode()))]
        held = set(file.namelist())
        for name in names:
            marked = f"{Path(name).stem}.points.csv"
            if marked not in held:
                continue
            marks = np.loadtxt(io.BytesIO(file.read(marked)), delimiter=",").astype(np.float32)
            picture = decode(file.read(name), name)
            faces = sorted(detector(picture, scales=[0.5], threshold=0.3), key=lambda face: -face.size)
            dense = network(picture, faces[:1])[0].points
            rows["network"].append(against_hand(marks, dense))
            label = teacher.get((path.stem, name))
            if label is not None:
                rows["teacher"].append(against_hand(marks, label.points))
                error = np.linalg.norm(dense - label.points, axis=1).mean() / points.interocular(label.points)
                apart.append(100 * float(error))
    result: dict[str, Any] = {"portraits": len(rows["network"])}
    for who, found in rows.items():
        if found:
            result[who] = {key: round(float(np.mean([row[key] for row in found])), 2) for key in found[0]}
    if apart:
        result["network_to_teacher"] = round(float(np.mean(apart)), 2)
    return result


def held_out(data: Path, mesh: Path, network: OnnxLandmarker, most: int) -> dict[str, Any]:
    """Return the network's errors on test faces of each source, cropped by the detector's points beside the data."""
    labels = read_labels(mesh)
    result: dict[str, Any] = {}
    for source in sorted({key[0] for key in labels}):
        errors, known, poses, doubts = [], [], [], []
        for sample in archive(data / f"{source}.zip"):
            label = labels.get((source, sample.name))
            if (
                label is None
                or label.quality <= 0.1
                or sample.points is None
                or split_of(sample.identity or f"{source}/{sample.name}") != "test"
            ):
                continue
            found = network.refine(decode(sample.read(), sample.name), [sample.points], passes=2)[0]
            size = float(points.interocular(label.points))
            errors.append(100 * np.linalg.norm(found.points - label.points, axis=1) / size)
            known.append(inside(label))
            poses.append(np.abs(np.array([found.yaw, found.pitch, found.roll]) - label.pose))
            doubts.append(found.doubt)
            if len(errors) >= most:
                break
        if not errors:
            continue
        error, shown = np.stack(errors), np.stack(known)

        def nme(*groups: str, error: Floats = error, shown: Floats = shown) -> float:
            rows = np.concatenate([np.arange(points.COUNT)[points.GROUPS[name]] for name in groups])
            return round(float((error * shown)[:, rows].sum() / shown[:, rows].sum()), 2)

        each = (error * shown).sum(1) / shown.sum(1)
        result[source] = {
            "faces": len(errors),
            "nme": nme(*points.GROUPS),
            "outline": nme("outline"),
            "brows": nme("right_brow", "left_brow"),
            "eyes": nme("right_eye", "left_eye"),
            "irises": nme("right_iris", "left_iris"),
            "nose": nme("nose"),
            "mouth": nme("outer_lips", "inner_lips"),
            "above_10": round(float((each > 10).mean()), 4),
            "pose_degrees": [round(float(value), 2) for value in np.mean(poses, axis=0)],
            "doubt": [round(float(value), 4) for value in np.percentile(doubts, [5, 50, 95, 99])],
        }
    return result


def find_faces(clip: Path, *, shortest: int = 25, smallest: float = 60) -> dict[str, Any]:
    """Return the faces of a clip that are large and long enough: track, frame, box (4,) and five (5, 2) of each row."""
    detector = CenterFace(threads=1)
    tracks: list[list[tuple[int, Face]]] = []
    for frame in open_source(clip).frames():
        picture = rgb8(frame)
        free = detector(picture, scales=[1.0, 0.5], threshold=0.4)
        for track in tracks:
            if track[-1][0] != frame.index - 1:
                continue
            last = track[-1][1]
            near = [
                face for face in free if np.hypot(*np.subtract(face.centre, last.centre)) < 0.4 * last.size
            ]
            if near:
                track.append((frame.index, near[0]))
                free.remove(near[0])
        tracks += [[(frame.index, face)] for face in free]
    kept = [
        track
        for track in tracks
        if len(track) >= shortest and np.median([face.size for _, face in track]) >= smallest
    ]
    rows = [(number, index, face) for number, track in enumerate(kept) for index, face in track]
    return {
        "track": np.array([number for number, _, _ in rows]),
        "frame": np.array([index for _, index, _ in rows]),
        "box": np.array([face.box for _, _, face in rows], np.float32),
        "five": np.stack([face.points for _, _, face in rows if face.points is not None]),
    }


def jitter(tracks: npt.NDArray[np.int64], dense: Floats, size: Floats) -> dict[str, float]:
    """Return the mean second difference of points, in % of ``size`` (N,), over all tracks and by group."""
    seconds = []
    for number in np.unique(tracks):
        rows = np.nonzero(tracks == number)[0]
        second = dense[rows[:-2]] - 2 * dense[rows[1:-1]] + dense[rows[2:]]
        seconds.append(100 * np.linalg.norm(second, axis=2) / size[rows[1:-1], None])
    all_rows = np.concatenate(seconds)
    good = all_rows[~np.isnan(all_rows).any(1)]
    by_group = {name: round(float(good[:, group].mean()), 2) for name, group in points.GROUPS.items()}
    return {"all": round(float(good.mean()), 2), **by_group}


def steadiness(clip: Path, faces: Path, teacher: Path | None, network: OnnxLandmarker) -> dict[str, Any]:
    """Return the jitter of the network and, in the same frames where it has a mesh, of the teacher."""
    with np.load(faces) as rows:
        tracks, frames, fives = rows["track"], rows["frame"], rows["five"]
    ours = np.full((len(frames), points.COUNT, 2), np.nan, np.float32)
    for frame in open_source(clip).frames():
        here = np.nonzero(frames == frame.index)[0]
        if len(here):
            found = network.refine(rgb8(frame), list(fives[here]), passes=2)
            ours[here] = np.stack([item.points for item in found])
    size = points.scale(ours)
    result: dict[str, Any] = {"faces": len(np.unique(tracks)), "face_frames": len(frames)}
    if teacher is not None:
        with np.load(teacher) as file:
            theirs = file["points"]
        missing = np.isnan(theirs).any((1, 2))
        result["teacher_missing"] = int(missing.sum())
        result["teacher"] = jitter(tracks, theirs, size)
        ours = np.where(missing[:, None, None], np.float32(np.nan), ours)
    result["network"] = jitter(tracks, ours, size)
    return result


def latency(network: OnnxLandmarker) -> dict[str, float]:
    """Return milliseconds of the network alone and of a whole answer of two passes, medians, one thread, one face."""
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 3, 112, 112)).astype(np.float32)
    picture = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    face = Face((900, 400, 1020, 540))
    session = network._session
    name = session.get_inputs()[0].name

    def median(work: Any) -> float:
        times = []
        for _ in range(300):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
        return round(1000 * float(np.median(times)), 3)

    return {
        "network_ms": median(lambda: session.run(None, {name: pixels})),
        "face_ms": median(lambda: network(picture, [face])),
    }


def main() -> None:
    """Measure what the given files allow."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--mesh", type=Path)
    parser.add_argument("--portraits", type=Path, help="the teacher's labels of portraits.zip")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--teacher-clip", type=Path)
    parser.add_argument("--write-faces", type=Path)
    parser.add_argument("--network", type=Path, help="an ONNX file other than the package's")
    parser.add_argument("--most", type=int, default=1500, help="test faces of each source")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.write_faces:
        np.savez_compressed(given.write_faces, **find_faces(given.clip))
        return
    network = OnnxLandmarker(given.network.read_bytes()) if given.network else make_landmarker()
    result: dict[str, Any] = {"record": common.record(), "latency": latency(network)}
    if given.data and given.mesh:
        result["held_out"] = held_out(given.data, given.mesh, network, given.most)
    if given.data:
        result["portraits"] = portraits(given.data / "portraits.zip", given.portraits, network)
    if given.clip and given.faces:
        result["steadiness"] = steadiness(given.clip, given.faces, given.teacher_clip, network)
    print({key: value for key, value in result.items() if key != "record"})
    if given.out:
        common.save(given.out, result)


if __name__ == "__main__":
    main()
