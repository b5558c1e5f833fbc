"""What every kind of file offers to the pipeline: a source of frames, and a sink that makes the same kind of file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from incog.types import Frame

Kind = Literal["photo", "animation", "video"]


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What the user may say about the written file.

    codec: a video encoder's name, or None for the container's default. quality: 1 (small) .. 100 (best), or None for
    each format's default, which is visually lossless or better. keep_metadata: carry over the documented allow-list
    (time, camera settings, copyright); location, thumbnails and maker notes never survive either way.
    """

    codec: str | None = None
    quality: int | None = None
    keep_metadata: bool = False


ONE_KEPT: Final = "only the main one is kept."
NOT_USED: Final = "the quality asked for was not used."


def notable(decision: str) -> bool:
    """Whether a decision of a sink is told unasked: something that somebody may miss is not in the file."""
    return decision.endswith((ONE_KEPT, NOT_USED))


class Sink(Protocol):
    """Takes frames in order and makes a file of them. The file is complete only after ``close``."""

    decisions: list[str]
    """What was kept, changed and dropped besides the pixels, one plain sentence each (streams, tags, trailers)."""

    def write(self, frame: Frame) -> None:
        """Append a frame; it has the source's size and layout. Raises OutputError when it cannot be written."""

    def close(self) -> None:
        """Finish the file. Raises OutputError, also when the disk is full."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close on success; on an error release everything and leave the unfinished file to the caller."""


class Source(Protocol):
    """A photo, an animation or a video. Opening reads the header; ``frames`` decodes, anew at each call."""

    path: Path
    kind: Kind
    width: int
    """Width of the upright picture in pixels."""
    height: int
    suffix: str
    """The suffix that a written file of this kind gets, with the dot; from the content, not from the name."""
    frame_count: int | None
    """The number of frames that the header promises, for progress bars only; None when it does not say."""
    rate: float
    """Frames per second, on average; 0 for photos."""

    def frames(self) -> Iterator[Frame]:
        """Decode every frame in order. Raises InputError at the first one that cannot be decoded: never skips."""

    def sink(self, path: Path, options: OutputOptions) -> Sink:
        """Return a sink that writes a file of this source's kind to ``path``, which must not exist yet or be empty."""
