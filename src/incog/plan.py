"""The Plan: where faces are, found in the first pass, to be reviewed or edited, and acted on in the second.

A plan says where people are in a file, so it is as sensitive as the file. It never holds a key, an embedding or a
pixel.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from incog import __version__
from incog.errors import InputError, PlanError, UsageError
from incog.types import Origin, Track

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Box = tuple[Number, Number, Number, Number]
_LETTERS = "dipa"
"""One letter per row of a track: detected, interpolated, propagated, added by hand or by the rescan."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceRecord(_Model):
    """What a plan was made from. digest: BLAKE2b-256 of the file keyed with the plan's file id. times: run lengths of
    the differences between presentation times, (seconds as a fraction, how often); the first is the start."""

    kind: Literal["photo", "animation", "video"]
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    frames: int = Field(gt=0)
    times: list[tuple[str, int]]
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class PlanTrack(_Model):
    """One face over consecutive frames. ``boxes`` alone is enough for a track made by hand; the other lists, when
    given, have one entry per box. To have a face left visible, set ``hide`` to false. show: frames of the source, from
    the first to before the last of each pair, in which the face stays visible although ``hide`` is true."""

    id: int = Field(gt=0)
    start: int = Field(ge=0)
    boxes: list[Box] = Field(min_length=1)
    points: list[list[tuple[Number, Number]] | None] | None = None
    scores: list[Number] | None = None
    origins: str | None = Field(default=None, pattern=f"^[{_LETTERS}]*$")
    grow: list[Annotated[float, Field(ge=0, le=4)]] | None = None
    hide: bool = True
    show: list[tuple[int, int]] | None = None

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        for name in ("points", "scores", "origins", "grow"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.boxes):
                raise ValueError(f"{name} must have one entry per box, {len(self.boxes)}, got {len(value)}")
        for first, stop in self.show or ():
            if not 0 <= first < stop:
                raise ValueError(f"show must hold pairs first < stop of frames from 0, got {first, stop}")
        for five in self.points or ():
            if five is not None and len(five) != 5:
                raise ValueError(f"points must be five per box, got {len(five)}")
        for x0, y0, x1, y1 in self.boxes:
            if not (x0 < x1 and y0 < y1):
                raise ValueError(
                    f"a box must be x0, y0, x1, y1 with x0 < x1 and y0 < y1, got {x0, y0, x1, y1}"
                )
        return self

    @classmethod
    def of(cls, track: Track) -> PlanTrack:
        """Return the JSON form of a track; coordinates are rounded to a tenth of a pixel."""
        return cls(
            id=track.id,
            start=track.start,
            boxes=[tuple(row) for row in np.round(track.boxes.astype(float), 1).tolist()],
            points=[
                None
                if np.isnan(five).any()
                else [tuple(point) for point in np.round(five.astype(float), 1).tolist()]
                for five in track.points
            ],
            scores=np.round(track.scores.astype(float), 3).tolist(),
            origins="".join(_LETTERS[origin] for origin in track.origins),
            grow=np.round(track.grow.astype(float), 3).tolist(),
            hide=track.hide,
        )

    def visible(self, index: int) -> bool:
        """Whether the face stays visible in a frame."""
        if not self.hide:
            return True
        shown = self.show or ()
        # Pairs made here are in order; those of an edited plan need not be.
        return any(first <= index < stop for first, stop in shown)

    def track(self) -> Track:
        """Return the track with arrays; what the plan leaves out is taken as certain and added by hand."""
        count = len(self.boxes)
        points = np.full((count, 5, 2), np.nan, np.float32)
        for row, five in enumerate(self.points or ()):
            if five is not None:
                points[row] = five
        return Track(
            id=self.id,
            start=self.start,
            boxes=np.array(self.boxes, np.float32),
            points=points,
            scores=np.array(self.scores or [1.0] * count, np.float32),
            origins=np.array(
                [_LETTERS.index(letter) for letter in self.origins or ""] or [Origin.ADDED] * count, np.uint8
            ),
            grow=np.array(self.grow or [0.0] * count, np.float32),
            hide=self.hide,
        )


class SelectionRecord(_Model):
    """How it was decided whom to leave visible; figures, no embedding.

    mode: ``keep`` leaves the people that were named visible, ``only`` hides them alone. people: how many were named.
    comparisons: tracks that could be looked at, times people. risk: the most that the chance of leaving a wrong face
    visible anywhere in the file may be; for ``only``, the chance of missing a face, at most. level: similarity that
    was asked for, of a track. frame_level: of each frame that is left visible. group: the people among whom strangers
    are most alike, by whom the levels go. unmeasured: groups of which too few faces were measured to say. visible:
    tracks left visible, wholly or in part. frames: appearances left visible, summed over tracks. runs: stretches of
    frames that they make. undecided: tracks hidden because they were never seen clearly enough to tell.
    """

    mode: Literal["keep", "only"]
    people: int = Field(ge=1)
    comparisons: int = Field(ge=0)
    risk: float = Field(ge=0, le=1)
    level: float | None = None
    frame_level: float | None = None
    group: str
    unmeasured: list[str] = []
    visible: int = Field(ge=0)
    frames: int = Field(ge=0)
    runs: int = Field(ge=0)
    undecided: int = Field(ge=0)


class Plan(_Model):
    """Version 1 of the plan. spans: seconds (start, stop) in which faces are hidden; empty means always. selection: how
    people were told apart, when some were to stay visible."""

    version: Literal[1] = 1
    program: str = f"incog {__version__}"
    file_id: str = Field(pattern="^[0-9a-f]{32}$")
    source: SourceRecord
    detector: str
    threshold: float = Field(gt=0, lt=1)
    spans: list[tuple[Seconds, Seconds]] = []
    scanned: list[int] = []
    selection: SelectionRecord | None = None
    tracks: list[PlanTrack] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [track.id for track in self.tracks]
        if len(set(ids)) != len(ids):
            raise ValueError("the ids of tracks must differ")
        for start, stop in self.spans:
            if stop <= start:
                raise ValueError(f"a span must end after it starts, got {start, stop}")
        for track in self.tracks:
            if track.start + len(track.boxes) > self.source.frames:
                raise ValueError(
                    f"track {track.id} must end within the {self.source.frames} frames of the source"
                )
        return self

    @property
    def scope(self) -> bytes:
        """The random id of the file, as keys take it: 16 bytes."""
        return bytes.fromhex(self.file_id)

    @property
    def outside(self) -> list[int]:
        """The ids of tracks that lie outside of the picture in all their frames, and so hide nothing."""
        width, height = self.source.width, self.source.height
        return [
            track.id
            for track in self.tracks
            if all(x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height for x0, y0, x1, y1 in track.boxes)
        ]

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the plan, readable by its owner only. Raises FileExistsError and other OSErrors."""
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(self.model_dump_json(exclude_none=True))
            file.write("\n")

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan. Raises PlanError when it is not one, InputError when it cannot be read."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise InputError(f"the plan cannot be read: {error.strerror}") from error
        try:
            # Strictly: "no" and 0 are no booleans, and a plan that is misread may leave a face visible.
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            words = first["msg"].removeprefix("Value error, ")
            raise PlanError(f"this is not a plan of version 1: {where}: {words}") from None


def digest(path: Path, key: bytes) -> str:
    """Return the keyed BLAKE2b-256 of a file in hexadecimal. Raises InputError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(key=key, digest_size=32)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error


class Times:
    """Collects presentation times as run lengths of their differences."""

    def __init__(self) -> None:
        self._last = Fraction(0)
        self._runs: list[tuple[Fraction, int]] = []

    def add(self, time: Fraction) -> None:
        step, self._last = time - self._last, time
        if self._runs and self._runs[-1][0] == step:
            self._runs[-1] = step, self._runs[-1][1] + 1
        else:
            self._runs.append((step, 1))

    def record(self) -> list[tuple[str, int]]:
        """Return the runs as a plan stores them."""
        return [(str(step), count) for step, count in self._runs]


def unrolled(runs: Iterable[tuple[str, int]]) -> Iterator[Fraction]:
    """Yield the presentation times that ``Times.record`` gave, in seconds."""
    now = Fraction(0)
    for step, count in runs:
        for _ in range(count):
            now += Fraction(step)
            yield now


def parse_spans(text: str) -> list[tuple[float, float]]:
    """Return the spans of ``0:10-0:30,1:02:03.5-end`` in seconds, (start, stop). Raises UsageError."""
    spans: list[tuple[float, float]] = []
    for part in text.split(","):
        start, dash, stop = part.partition("-")
        if not dash:
            raise UsageError(f"a span must be START-STOP, such as 0:10-0:30, got {part!r}")
        first = _seconds(start) if start.strip() else 0.0
        last = float(10**6) if stop.strip() in ("", "end") else _seconds(stop)
        if last <= first:
            raise UsageError(f"a span must end after it starts, got {part!r}")
        spans.append((first, last))
    return spans


def _seconds(text: str) -> float:
    try:
        parts = [float(part) for part in text.strip().split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or any(not 0 <= part < 10**6 for part in parts):
        raise UsageError(f"a time must be SECONDS, M:SS or H:MM:SS, got {text.strip()!r}")
    return float(sum(part * 60.0 ** float(power) for power, part in enumerate(reversed(parts))))


def within(time: Fraction, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether faces are hidden at this time."""
    # Through their decimals: the float 0.2 is a little more than the time 1/5 that it was written for.
    return not spans or any(Fraction(str(start)) <= time < Fraction(str(stop)) for start, stop in spans)


def tracks_of(tracks: Iterable[PlanTrack]) -> list[Track]:
    """Return all tracks with arrays."""
    return [track.track() for track in tracks]
