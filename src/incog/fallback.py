"""Which faces are obscured because a method cannot do them: whole tracks, or stretches of a track.

A face that turns away for a moment is not lost to a method for the rest of a film. But a face must not change to and
fro: unfit frames are widened to stretches, short gaps between stretches are closed, and a track that is mostly unfit is
obscured as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LINGER = 0.3
"""Seconds that a stretch goes on before and after its unfit frames."""

LEAST = 1.0
"""Seconds that a face must stay fit between two stretches, or before the first or after the last, to be shown."""

MOST = 0.7
"""Share of a track's frames from which on, if unfit, the whole track is obscured."""

Lives = Mapping[int, tuple[int, int]]
"""First frame of each track, and the first one after it."""


@dataclass(slots=True)
class Fallback:
    """whole: ids of tracks obscured throughout. parts: by id, the frames in which others are, (first, after the last)
    in rising order, apart."""

    whole: set[int] = field(default_factory=set)
    parts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def covers(self, track: int, frame: int) -> bool:
        """Whether a track is obscured in a frame."""
        return track in self.whole or any(first <= frame < stop for first, stop in self.parts.get(track, ()))

    @property
    def tracks(self) -> set[int]:
        """The tracks that are obscured somewhere."""
        return self.whole | set(self.parts)

    def add(self, unfit: Iterable[tuple[int, int]], lives: Lives, rate: float) -> None:
        """Take in the (track, frame) pairs that a method could not do. rate: frames in a second, 0 of a photo."""
        frames: dict[int, list[int]] = {}
        for track, frame in unfit:
            frames.setdefault(track, []).append(frame)
        for track, mine in frames.items():
            if track in self.whole:
                continue
            life = lives[track]
            spans = [(frame - round(LINGER * rate), frame + 1 + round(LINGER * rate)) for frame in mine]
            joined = _joined([*self.parts.get(track, ()), *spans], life, round(LEAST * rate))
            if sum(stop - first for first, stop in joined) >= MOST * (life[1] - life[0]):
                self.whole.add(track)
                self.parts.pop(track, None)
            else:
                self.parts[track] = joined


def _joined(spans: list[tuple[int, int]], life: tuple[int, int], least: int) -> list[tuple[int, int]]:
    """Return spans within a life, in order, those that less than ``least`` frames part made one; so are the ends."""
    result: list[tuple[int, int]] = []
    for first, stop in sorted(spans):
        first, stop = max(first, life[0]), min(stop, life[1])
        first = life[0] if first - life[0] < least else first
        stop = life[1] if life[1] - stop < least else stop
        if result and first - result[-1][1] < least:
            result[-1] = result[-1][0], max(result[-1][1], stop)
        else:
            result.append((first, stop))
    return result
