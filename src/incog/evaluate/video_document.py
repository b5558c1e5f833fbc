"""The report on a pair of videos as data. Plain JSON; no file names, places in the frame or embeddings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from incog import __version__
from incog.evaluate.document import RecogniserRecord, Value

Curve = list[tuple[float, float]]
"""(second, value) of a track, thinned: each the most telling of its stretch."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SightRecord(_Model):
    """One track as one recogniser sees it. cosine: mean similarity of the anonymised frames to the original at other
    times; untouched: of the original's own; best, together: of the best frame and of averaged frames. alike: share of
    frames as alike as untouched ones, None where these are no more alike than others. rank1: share told among the
    tracks, None of one track. accepted: by attack and FAR, 1 for recognised, of frames the share, None where pairs are
    too few. variance, switch: of the identity, in the original and after. curve: of the similarity, highest."""

    recogniser: str
    cosine: float
    untouched: float
    best: float
    together: float
    alike: float | None
    rank1: float | None
    untouched_rank1: float | None
    accepted: dict[str, dict[str, float | None]]
    variance: tuple[float | None, float | None]
    switch: tuple[float | None, float | None]
    curve: Curve


class TrackRecord(_Model):
    """One face over time. start, end: seconds. frames: judged. followed: frames in which it was not found, only
    followed; not judged. size: median of the face, px. bare, open: shares of frames in which it was left as it was, and
    in which some of it was; altered: the lowest share of its pixels that were altered in a frame; curve: of it, lowest.
    flicker, warping: relative to the original, None where that is still. warping_error: of the original and after.
    sights: none of a track that is too short or too small."""

    track: int
    start: float
    end: float
    frames: int
    followed: int
    size: float
    bare: float | None
    open: float | None
    altered: float | None
    curve: Curve
    flicker: float | None
    warping: float | None
    warping_error: tuple[float, float] | None
    sights: list[SightRecord]


class JudgeRecord(_Model):
    """The attacks by one recogniser, over tracks. cosine, untouched, alike, rank1: see ``SightRecord``. strangers: mean
    similarity of originals of two people, over ``pairs``; None without any. accepted, untouched_accepted: by attack and
    FAR, of anonymised frames and of originals. mistaken: by attack, share of anonymised tracks that are accepted as
    another person of the video, at the first of these FARs; None where pairs are too few. outline: of single frames
    with the face black, by measure."""

    recogniser: str
    kind: str
    cosine: Value
    untouched: Value
    strangers: float | None
    pairs: int
    alike: Value
    rank1: Value
    untouched_rank1: Value
    accepted: dict[str, dict[str, Value]]
    untouched_accepted: dict[str, dict[str, Value]]
    mistaken: dict[str, float | None]
    outline: dict[str, Value]


class VideoHeadline(_Model):
    """The worst that black boxes found by one measure. untouched: the same in the original. outline: of single frames
    with the face black. chance: what guessing gives, or how often others are taken for the person: the FAR, or more
    where others of the video are. beyond: whether the figure is surely above these."""

    measure: Literal["recognised", "rank 1", "alike"]
    recogniser: str
    attack: str
    figure: Value
    untouched: Value
    outline: Value
    chance: float
    beyond: bool


class VideoProtocol(_Model):
    """What was measured. faces: face-frames that were judged. followed: those that were not, see ``TrackRecord``.
    short: tracks too short or too small to be attacked. people: whose pictures thresholds rest on besides the video's
    own. left_out: pictures of data that could not be used, by reason."""

    width: int
    height: int
    frames: int
    rate: float
    cuts: int
    tracks: int
    short: int
    faces: int
    followed: int
    data: dict[str, str]
    people: int
    left_out: dict[str, int]
    seed: int
    words: list[str]


class VideoEvaluation(_Model):
    """Version 1 of the report on a pair of videos. bare: share of face-frames of which less than half was altered.
    open: of those of which something was left, see ``incog.evaluate.temporal.leak_rate``."""

    version: Literal[1] = 1
    kind: Literal["video"] = "video"
    program: str = f"incog {__version__}"
    versions: dict[str, str]
    date: str
    protocol: VideoProtocol
    recognisers: list[RecogniserRecord]
    bare: Value
    open: Value
    judges: list[JudgeRecord]
    headlines: list[VideoHeadline]
    tracks: list[TrackRecord]
    verdict: str
