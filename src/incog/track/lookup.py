"""Finished tracks: which faces are in a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from incog.track.draft import row_of, to_track
from incog.types import Face, Track


def single(faces: Sequence[Face], index: int = 0, start: int = 1) -> list[Track]:
    """Return one-frame tracks for the faces of a photo, numbered from ``start``."""
    return [to_track(number, {index: row_of(face)}) for number, face in enumerate(faces, start=start)]


def by_frame(tracks: Iterable[Track]) -> Callable[[int], list[tuple[Track, Face]]]:
    """Return a lookup: frame index -> the faces in it with their tracks. Quick when asked in increasing order."""
    everything = sorted(tracks, key=lambda track: track.start, reverse=True)
    waiting = list(everything)
    active: list[Track] = []
    position = -1

    def faces(index: int) -> list[tuple[Track, Face]]:
        nonlocal position, waiting, active
        if index < position:
            waiting, active = list(everything), []
        position = index
        while waiting and waiting[-1].start <= index:
            active.append(waiting.pop())
        active = [track for track in active if track.stop > index]
        return list(_present(active, index))

    return faces


def _present(tracks: Iterable[Track], index: int) -> Iterator[tuple[Track, Face]]:
    for track in tracks:
        face = track.face(index)
        if face is not None:
            yield track, face
