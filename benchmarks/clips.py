"""Seeded test clips with exact ground truth: heads over backgrounds, in fixed quotas of hazard and face size.

``python benchmarks/clips.py --seed 1 --out runs/clips-1`` writes NAME.mp4 and, beside it, NAME.npz (see
``truth.Truth``).

Blacks are lifted: no sample of a generated frame is darker than 40 of 255 before coding, as in footage with
some haze. So a pixel below 24 after a tool has painted faces black was painted by the tool, and coding noise
cannot be mistaken for it. Faces come from real people; the clips stay under an ignored folder and are never
published.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

import heads
from truth import BINS, HULL_POINTS, OUTLINE_POINTS, Floats, Truth, bin_labels, size_bin, visible_hulls

Picture = npt.NDArray[np.uint8]
LIFT = 40
HAZARDS = (
    "still",
    "linear",
    "sway",
    "fast",
    "turning",
    "occlusion",
    "cut",
    "rotation",
    "border",
    "approach",
    "crowd",
    "light",
    "short",
)
SHAPES = (
    (640, 360, 20, 40),
    (1280, 720, 12, 36),
    (1920, 1080, 10, 30),
    (1280, 720, 30, 60),
    (640, 360, 10, 60),
)
"""Width, height, frames per second and frames of the five clips that each hazard has: 2 to 6 s."""
CROWDS = ((1280, 720, 15, 30, 12), (1920, 1080, 10, 30, 25), (1280, 720, 10, 40, 8), (640, 360, 12, 36, 6))
"""The same and the number of faces of the clips with a crowd."""
EMPTY = (
    ("people", 12, 58),
    ("people", 84, 150),
    ("people", 560, 660),
    ("people", 960, 1150),
    ("cars", 0, 377),
)
"""Parts of the films in which no face can be seen: an empty room, people from behind, cars from above."""
PHOTOS = (
    "coffee",
    "rocket",
    "gravel",
    "brick",
    "grass",
    "immunohistochemistry",
    "chelsea",
    "stereo_motorcycle",
    "hubble_deep_field",
    "page",
)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head is in one frame: centre of the face box and its height in px, roll and yaw in radians."""

    x: float
    y: float
    size: float
    roll: float = 0.0
    yaw: float = 0.0


@dataclass(slots=True)
class Actor:
    """A head and its pose per frame (None while it is away)."""

    head: heads.Head
    poses: list[Pose | None]


@dataclass(slots=True)
class Thing:
    """An object that passes in front of faces: polygon (N, 2) about its centre, centre per frame, picture."""

    polygon: Floats
    centres: Floats
    skin: Picture


@dataclass(slots=True)
class Scene:
    """Everything needed to render one clip, upright."""

    name: str
    hazard: str
    width: int
    height: int
    fps: int
    frames: int
    backgrounds: list[tuple[int, Callable[[int], Picture]]]
    actors: list[Actor] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    rotation: int = 0
    crf: int = 18
    gain: Floats | None = None
    noise: float = 0.0
    seed: int = 0


# Backgrounds


@lru_cache(maxsize=2)
def _film(name: str, start: int, stop: int) -> list[Picture]:
    with av.open(str(heads.DATA / "media" / f"{name}.mp4")) as container:
        frames = []
        for index, frame in enumerate(container.decode(video=0)):
            if index >= stop:
                break
            if index >= start:
                frames.append(frame.to_ndarray(format="rgb24"))
    return frames


@lru_cache(maxsize=4)
def _photo(name: str) -> Picture:
    image = getattr(skimage.data, name)()
    image = np.asarray(image[0] if isinstance(image, tuple) else image)
    return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))


def _procedural(rng: np.random.Generator) -> Picture:
    """Return a picture (360, 640, 3) of soft noise, stripes and boxes in random colours."""
    canvas = np.zeros((360, 640, 3), np.float32)
    for octave in (4, 12, 36):
        grid = rng.uniform(0, 1, (octave, octave * 2, 3)).astype(np.float32)
        canvas += cv2.resize(grid, (640, 360), interpolation=cv2.INTER_CUBIC) * (160 / octave**0.4)
    canvas *= 200 / max(1.0, float(canvas.max()))
    for _ in range(int(rng.integers(3, 12))):
        x, y = int(rng.integers(0, 600)), int(rng.integers(0, 330))
        far = (x + int(rng.integers(20, 260)), y + int(rng.integers(20, 200)))
        cv2.rectangle(canvas, (x, y), far, [int(v) for v in rng.integers(20, 230, 3)], -1)
    for _ in range(int(rng.integers(0, 6))):
        at = (int(rng.integers(0, 640)), int(rng.integers(0, 360)))
        cv2.circle(canvas, at, int(rng.integers(8, 70)), [int(v) for v in rng.integers(20, 230, 3)], -1)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def background(
    rng: np.random.Generator, width: int, height: int, frames: int, moving: bool
) -> Callable[[int], Picture]:
    """Return a function from frame index to face-free picture (height, width, 3), moving or not."""
    kind = str(rng.choice(["film", "photo", "procedural"], p=[0.45, 0.35, 0.2]))
    if kind == "film":
        name, start, stop = EMPTY[int(rng.integers(len(EMPTY)))]
        length = stop - start
        begin = start + int(rng.integers(0, max(1, length - frames)))
        film = _film(name, begin, min(stop, begin + frames))
    else:
        name = str(rng.choice(np.asarray(PHOTOS)))
        film = [_photo(name) if kind == "photo" else _procedural(rng)]
    rows, columns = film[0].shape[:2]
    most = min(columns / width, rows / height)
    ends = rng.uniform(0.6, 0.98, 2) * most
    if not moving:
        ends[1] = ends[0]
    start_at, stop_at = rng.uniform(0, 1, (2, 2))
    if not moving:
        stop_at = start_at

    def picture(index: int) -> Picture:
        share = index / max(1, frames - 1)
        zoom = ends[0] + (ends[1] - ends[0]) * share
        room = np.array([columns - zoom * width, rows - zoom * height])
        left, top = np.clip((start_at + (stop_at - start_at) * share) * room, 0, room)
        matrix = np.array([[zoom, 0, left], [0, zoom, top]])
        shown = film[index % len(film)] if len(film) == 1 else film[_bounce(index, len(film))]
        return cv2.warpAffine(
            shown,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )

    return picture


def _bounce(index: int, length: int) -> int:
    """Return the index of a film that runs forwards and backwards."""
    index %= 2 * length - 2
    return index if index < length else 2 * length - 2 - index


# Heads in frames


def _shares(yaw: float) -> tuple[float, float]:
    """Return by how much the left and the right half of a head shrink across when it turns by ``yaw``."""
    near = np.cos(yaw) * (1 + 0.3 * abs(np.sin(yaw)))
    far = np.cos(yaw) * (1 - 0.5 * abs(np.sin(yaw)))
    return (near, far) if yaw > 0 else (far, near)


def place(points: Floats, head: heads.Head, pose: Pose) -> Floats:
    """Return points (N, 2) of the head's first level in frame pixels: turned, scaled, rolled and moved."""
    moved = points - (head.box[:2] + head.box[2:]) / 2
    left, right = _shares(pose.yaw)
    moved[:, 0] *= np.where(moved[:, 0] < 0, left, right)
    moved *= pose.size / head.height
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    return moved @ np.array([[cos, sin], [-sin, cos]]) + (pose.x, pose.y)


def paste(canvas: npt.NDArray[np.float32], head: heads.Head, pose: Pose) -> None:
    """Blend a head into the canvas (H, W, 3); the inverse of ``place`` says which pixel comes from where."""
    height, width = canvas.shape[:2]
    rows, columns = head.levels[0].shape[:2]
    corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], float)
    there = place(corners, head, pose)
    x0, y0 = np.maximum(np.floor(there.min(0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(there.max(0)).astype(int) + 2, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    x, y = np.meshgrid(np.arange(x0, x1) - pose.x, np.arange(y0, y1) - pose.y)
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    zoom = pose.size / head.height
    across, down = (cos * x + sin * y) / zoom, (-sin * x + cos * y) / zoom
    left, right = _shares(pose.yaw)
    across = np.where(across < 0, across / left, across / right)
    centre = (head.box[:2] + head.box[2:]) / 2
    level = int(np.clip(np.floor(np.log2(1 / zoom) + 0.2), 0, len(head.levels) - 1))
    shrink = 2.0**level
    map_x = ((across + centre[0] + 0.5) / shrink - 0.5).astype(np.float32)
    map_y = ((down + centre[1] + 0.5) / shrink - 0.5).astype(np.float32)
    source = head.levels[level]
    colour = cv2.remap(source[..., :3], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(source[..., 3], map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    weight = alpha[..., None].astype(np.float32) / 255
    window = canvas[y0:y1, x0:x1]
    window += (colour - window) * weight


def _cover(canvas: npt.NDArray[np.float32], polygon: Floats, skin: Picture) -> None:
    """Draw an object: a polygon (N, 2) filled with a texture."""
    mask = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    x, y, wide, high = cv2.boundingRect(mask)
    if not wide:
        return
    shift = polygon.mean(0)
    matrix = np.array([[1, 0, x - shift[0] + skin.shape[1] / 2], [0, 1, y - shift[1] + skin.shape[0] / 2]])
    texture = cv2.warpAffine(
        skin, matrix, (wide, high), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP
    )
    weight = mask[y : y + high, x : x + wide, None].astype(np.float32) / 255
    window = canvas[y : y + high, x : x + wide]
    window += (texture - window) * weight


def render(scene: Scene) -> Iterator[Picture]:
    """Yield the upright frames (height, width, 3) RGB uint8 of a scene."""
    rng = np.random.default_rng((scene.seed, 77))
    for index in range(scene.frames):
        behind = next(draw for start, draw in reversed(scene.backgrounds) if start <= index)
        canvas = behind(index).astype(np.float32)
        for actor in scene.actors:
            pose = actor.poses[index]
            if pose is not None:
                paste(canvas, actor.head, pose)
        for thing in scene.things:
            _cover(canvas, thing.polygon + thing.centres[index], thing.skin)
        if scene.gain is not None:
            canvas *= scene.gain[index]
        if scene.noise:
            canvas += rng.normal(0, scene.noise, canvas.shape[:2]).astype(np.float32)[..., None]
        np.clip(canvas, 0, 255, out=canvas)
        yield np.rint(LIFT + canvas * ((255 - LIFT) / 255)).astype(np.uint8)


def truth_of(scene: Scene) -> Truth:
    """Return where the faces of a scene are."""
    rows: list[tuple[int, int, float, Floats, Floats]] = []
    visible: list[float] = []
    nothing = np.full((HULL_POINTS, 2), np.nan)
    for index in range(scene.frames):
        here: list[tuple[int, int, float, Floats, Floats]] = []
        for number, actor in enumerate(scene.actors):
            pose = actor.poses[index]
            if pose is not None:
                hull = place(actor.head.hull, actor.head, pose)
                here.append((index, number, pose.size, hull, place(actor.head.outline, actor.head, pose)))
        here += [(index, -1, 0.0, nothing, thing.polygon + thing.centres[index]) for thing in scene.things]
        if here:
            hulls, outlines = np.stack([row[3] for row in here]), np.stack([row[4] for row in here])
            seen = visible_hulls(hulls, outlines, scene.height, scene.width)
            visible += [share for *_, share in seen]
        rows += here
    return Truth(
        scene.hazard,
        scene.width,
        scene.height,
        scene.frames,
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], float),
        np.array([row[3] for row in rows], float).reshape(-1, HULL_POINTS, 2),
        np.array([row[4] for row in rows], float).reshape(-1, OUTLINE_POINTS, 2),
        np.array(visible, float),
    )


# Movements


def _wave(share: Floats) -> Floats:
    """Return a triangle wave of period 1 between -1 and 1."""
    return 4 * np.abs(share - np.floor(share + 0.5)) - 1


def movement(
    rng: np.random.Generator, hazard: str, size: float, frames: int, fps: int, width: int, height: int
) -> list[Pose | None]:
    """Return the poses of one head; where it stands is settled by ``settle``, border crossings here."""
    time_at = np.arange(frames) / fps
    share = np.arange(frames) / max(1, frames - 1)
    x, y = np.zeros(frames), np.zeros(frames)
    sizes, roll, yaw = np.full(frames, size), np.full(frames, rng.normal(0, 0.06)), np.zeros(frames)
    heading = rng.uniform(0, 2 * np.pi)
    toward = np.array([np.cos(heading), 0.5 * np.sin(heading)])
    if hazard in ("linear", "rotation", "light", "crowd"):
        speed = rng.uniform(0.1, 0.7) * max(size, 0.05 * width) * (0.3 if hazard == "crowd" else 1)
        x, y = (speed * time_at * toward[axis] for axis in (0, 1))
    elif hazard in ("sway", "turning", "occlusion"):
        reach = size * rng.uniform(0.1, 0.7) * (0.3 if hazard == "occlusion" else 1)
        phase = 2 * np.pi * (rng.uniform(0.3, 1.0) * time_at + rng.uniform())
        x, y = reach * np.sin(phase), 0.25 * reach * np.sin(2 * phase)
    elif hazard == "fast":
        step = size * rng.uniform(2.5, 5.0) / fps * min(1.0, fps / 15)
        span = min(0.35 * width, size * rng.uniform(1.0, 4.0))
        x = span / 2 * _wave(np.arange(frames) * step / (2 * span) + rng.uniform())
        y = 0.3 * span / 2 * _wave(np.arange(frames) * step / (1.3 * span) + rng.uniform())
    elif hazard == "approach":
        sizes = size * rng.uniform(0.4, 0.55) ** (1 - share if rng.uniform() < 0.7 else share)
        x = rng.uniform(-0.5, 0.5) * size * share
    if hazard == "turning":
        turn = np.sin(2 * np.pi * (rng.uniform(0.25, 0.6) * time_at + rng.uniform()))
        yaw = np.radians(rng.uniform(40, 68)) * turn
        roll = np.radians(rng.uniform(15, 40)) * np.sin(
            2 * np.pi * (rng.uniform(0.2, 0.6) * time_at + rng.uniform())
        )
    poses: list[Pose | None] = [Pose(*values) for values in zip(x, y, sizes, roll, yaw, strict=True)]
    if hazard == "border":
        side = int(rng.integers(4))
        depth = rng.uniform(0.9, 1.6) * size
        into = depth * (1 - np.abs(2 * share - 1) * rng.uniform(1.6, 2.0))
        along = rng.uniform(0.2, 0.8) + 0.1 * share
        spots = {
            0: (into, along * height),
            1: (width - into, along * height),
            2: (along * width, into),
            3: (along * width, height - into),
        }
        poses = [
            Pose(float(px), float(py), size, float(roll[0]))
            for px, py in zip(*np.broadcast_arrays(*spots[side]), strict=True)
        ]
    return poses


def _extent(poses: list[Pose | None]) -> Floats:
    """Return the box (4,) that the head sweeps over: hair and neck included."""
    boxes = [
        (p.x - 0.75 * p.size, p.y - 0.9 * p.size, p.x + 0.75 * p.size, p.y + 0.85 * p.size)
        for p in poses
        if p is not None
    ]
    array = np.array(boxes)
    return np.concatenate([array[:, :2].min(0), array[:, 2:].max(0)])


def settle(
    rng: np.random.Generator, poses: list[Pose | None], taken: list[Floats], width: int, height: int
) -> list[Pose | None]:
    """Move a path to where it meets other heads least; record what it sweeps in ``taken``."""
    sweep = _extent(poses)
    best: tuple[float, Floats] | None = None
    inner = np.array([0.25, 0.3, -0.25, -0.3]) * max(p.size for p in poses if p is not None)
    kept = sweep + inner
    for _ in range(150):
        low, high = -kept[:2], np.array([width, height]) - kept[2:]
        shift = np.where(
            high > low, rng.uniform(np.minimum(low, high), np.maximum(low, high)), (low + high) / 2
        )
        moved = sweep + np.tile(shift, 2)
        overlap = sum(
            np.clip(np.minimum(moved[2:], other[2:]) - np.maximum(moved[:2], other[:2]), 0, None).prod()
            for other in taken
        )
        if best is None or overlap < best[0]:
            best = (float(overlap), shift)
        if overlap == 0:
            break
    assert best is not None
    shift = best[1]
    taken.append(sweep + np.tile(shift, 2))
    return [p and Pose(p.x + shift[0], p.y + shift[1], p.size, p.roll, p.yaw) for p in poses]


def _passing(rng: np.random.Generator, actor: Actor, frames: int) -> Thing:
    """Return an object that crosses a face and, for a while, hides all or much of it."""
    poses = [pose for pose in actor.poses if pose is not None]
    size = poses[0].size
    wide, high = size * rng.uniform(0.5, 1.1), size * rng.uniform(1.2, 2.2)
    angles = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    power = rng.choice([0.3, 1.0])
    shape = np.stack(
        [wide * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** power, high * np.sin(angles)], axis=1
    )
    shape[:, 1] *= 0.5
    travel = wide + 0.9 * size
    share = np.arange(frames) / max(1, frames - 1)
    start, stop = np.sort(rng.uniform(0.1, 0.9, 2))
    stop = max(stop, start + 0.25)
    offset = travel * np.clip(2 * (share - start) / (stop - start) - 1, -1, 1) ** 3
    drop = rng.uniform(-0.4, 0.5) * size
    poses_at = [pose or poses[0] for pose in actor.poses]
    centres = np.stack(
        [[pose.x + shift, pose.y + drop] for pose, shift in zip(poses_at, offset, strict=True)]
    )
    return Thing(shape, centres, _procedural(rng))


def draw_size(rng: np.random.Generator, low: float, high: float, height: int) -> float:
    """Return a size in a bin, log-uniform, at most 55 % of the frame's height."""
    top = min(high, 0.55 * height)
    return float(np.exp(rng.uniform(np.log(low), np.log(top * 0.995))))


def scenes(seed: int) -> Iterator[Scene]:
    """Yield the scenes of a seed: five clips per hazard, each with one face of every size that fits."""
    for number, hazard in enumerate(HAZARDS):
        shapes = [(*shape[:4], 0) for shape in SHAPES] if hazard != "crowd" else list(CROWDS)
        for take, (width, height, fps, frames, crowd) in enumerate(shapes):
            rng = np.random.default_rng((seed, number, take))
            if hazard == "rotation" and take % 2:
                width, height = height, width
            yield _scene(rng, hazard, take, width, height, fps, frames, crowd, seed)


def _scene(
    rng: np.random.Generator,
    hazard: str,
    take: int,
    width: int,
    height: int,
    fps: int,
    frames: int,
    crowd: int,
    seed: int,
) -> Scene:
    """Return one scene; all randomness comes from ``rng``."""
    cuts = [0, *sorted(int(frames * c) for c in (0.35, 0.7))] if hazard == "cut" else [0]
    moving = bool(rng.uniform() < 0.6)
    scene = Scene(
        f"{hazard}-{take}",
        hazard,
        width,
        height,
        fps,
        frames,
        [(start, background(rng, width, height, frames, moving)) for start in cuts],
        seed=int(rng.integers(1 << 31)),
    )
    low_side = min(width, height)
    fits = [(low, high) for low, high in pairwise(BINS) if low * 1.15 < 0.55 * low_side]
    if crowd:
        fits = [fits[i % min(len(fits), 4)] for i in range(crowd)]
    limits = [*cuts, frames]
    taken: list[list[Floats]] = [[] for _ in limits]
    for low, high in sorted(fits, reverse=True):
        size = draw_size(rng, low, high, low_side)
        head = heads.choose(rng, size)
        poses = movement(rng, hazard, size, frames, fps, width, height)
        if hazard == "border":
            scene.actors.append(Actor(head, poses))
        elif hazard == "cut":
            # A face is in one or two of the three shots and stands elsewhere in each.
            for shot in rng.choice(3, size=2, replace=False):
                settled = settle(rng, poses, taken[shot], width, height)
                inside = range(limits[shot], limits[shot + 1])
                scene.actors.append(Actor(head, [p if i in inside else None for i, p in enumerate(settled)]))
        elif hazard == "short":
            begin = 0
            while begin < frames - 3:
                settled = settle(rng, poses, taken[0], width, height)
                taken[0].pop()
                start = begin + int(rng.integers(0, max(1, fps // 3)))
                stop = start + int(rng.integers(2, 9))
                inside = range(start, min(stop, frames))
                if len(inside):
                    scene.actors.append(
                        Actor(head, [p if i in inside else None for i, p in enumerate(settled)])
                    )
                begin = stop + int(rng.integers(1, 5))
                head = heads.choose(rng, size)
        else:
            scene.actors.append(Actor(head, settle(rng, poses, taken[0], width, height)))
    if hazard == "occlusion":
        scene.things = [_passing(rng, actor, frames) for actor in scene.actors]
    if hazard == "rotation":
        scene.rotation = 180 if take == 0 else (90 if take % 4 == 1 else 270) if take % 2 else 180
    if hazard == "light":
        share = np.arange(frames) / frames
        kind = take % 3
        scene.gain = (
            0.35 + 0.65 * np.abs(np.sin(np.pi * (share * 1.5 + rng.uniform())))
            if kind == 0
            else np.ones(frames)
        )
        if kind == 1:
            scene.gain = np.where(share < 0.5, 0.45, 1.25)
        scene.noise = float(rng.uniform(3, 9))
        scene.crf = int(rng.integers(28, 37))
    return scene


# Files


def write(
    path: Path,
    frames: Iterator[Picture],
    fps: int,
    rotation: int = 0,
    crf: int = 18,
    audio: Path | None = None,
) -> None:
    """Write upright frames as H.264; with ``rotation`` they are stored turned and the file carries the tag.

    rotation: degrees clockwise by which a player turns the picture. audio: a file whose sound is repeated
    over the length of the clip, as AAC.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast", "threads": "2"}
        )
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=48000) if audio else None
        count = 0
        for picture in frames:
            stored = np.rot90(picture, rotation // 90)
            if count == 0:
                stream.height, stream.width = stored.shape[:2]
                if rotation:
                    stream.set_display_rotation(-rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")
            frame.pts, frame.time_base = count, Fraction(1, fps)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
        if sound is not None and audio is not None:
            _add_sound(container, sound, audio, count / fps)


def _add_sound(
    container: av.container.OutputContainer, sound: av.AudioStream, source: Path, seconds: float
) -> None:
    """Encode the sound of ``source``, again and again, until ``seconds`` are full."""
    done = 0
    while done < seconds * 48000:
        with av.open(str(source)) as film:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48000, frame_size=1024)
            for frame in film.decode(audio=0):
                for piece in resampler.resample(frame):
                    if done >= seconds * 48000:
                        break
                    piece.pts, piece.time_base = done, Fraction(1, 48000)
                    done += piece.samples
                    container.mux(sound.encode(piece))
    container.mux(sound.encode(None))


def read(path: Path) -> Iterator[Picture]:
    """Yield the frames (H, W, 3) RGB of a clip upright: a rotation tag is applied."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def make(seed: int, folder: Path, only: str | None = None) -> list[Path]:
    """Write the clips of a seed with their truth, unless they are there; return the paths of the clips."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for scene in scenes(seed):
        path = folder / f"{scene.name}.mp4"
        paths.append(path)
        if (only and only not in scene.name) or path.with_suffix(".npz").exists():
            continue
        half = path.with_suffix(".part.mp4")
        write(half, render(scene), scene.fps, scene.rotation, scene.crf)
        half.rename(path)
        truth_of(scene).save(path.with_suffix(".npz"))
    return [path for path in paths if path.exists()]


def quotas(truths: list[Truth]) -> dict[str, dict[str, int]]:
    """Return the number of face-frames that count, per hazard and size bin."""
    table = {hazard: dict.fromkeys(bin_labels(), 0) for hazard in HAZARDS}
    for truth in truths:
        for size in truth.size[truth.counted]:
            table[truth.hazard][size_bin(float(size))] += 1
    return table


def main() -> None:
    """Write the clips and print how many face-frames each hazard and size has."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", help="part of the names of the clips to make")
    options = parser.parse_args()
    begin = time.perf_counter()
    paths = make(options.seed, options.out, options.only)
    table = quotas([Truth.load(path.with_suffix(".npz")) for path in paths])
    print(f"{len(paths)} clips in {time.perf_counter() - begin:.0f} s")
    print(f"{'':10}" + "".join(f"{label:>9}" for label in bin_labels()))
    for hazard, row in table.items():
        print(f"{hazard:10}" + "".join(f"{count:9}" for count in row.values()))
    print("face-frames:", sum(sum(row.values()) for row in table.values()))


if __name__ == "__main__":
    main()
