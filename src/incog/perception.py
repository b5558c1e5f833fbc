"""What looks at frames, loaded once per process, and how the flow tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from incog import track
from incog.media.base import Source
from incog.perceive.detector import Hog, make_detector
from incog.perceive.hulls import make_hulls
from incog.perceive.recogniser import make_recogniser
from incog.perceive.search import Searcher
from incog.plan import Times
from incog.rescan import Rescanner
from incog.types import Frame

Progress = Callable[[str, int, int | None], None]
"""Called as progress(stage, frames done, frames in all or None)."""


def silent(stage: str, done: int, total: int | None) -> None:
    """The progress of callers that want none."""


class Perception:
    """The networks, loaded once per process. Raises ModelError when one is missing, UsageError for a bad name."""

    def __init__(
        self, *, detector: str = "centerface", threshold: float = 0.3, device: str = "cpu", threads: int = 0
    ):
        self.detector, self.threshold = detector, threshold
        self.settings = track.Settings(threshold=threshold, low=min(threshold, track.Settings().low))
        first = make_detector(detector, device=device, threads=threads)
        self.searcher = Searcher(first, threshold=threshold, low=self.settings.low)
        self.rescanner = Rescanner(first, Hog(), self.searcher, threshold=threshold)
        self.hulls = make_hulls(device=device)
        self.recogniser = make_recogniser(self.searcher.look, device=device, threads=threads)


def watched(source: Source, stage: str, progress: Progress, times: Times | None = None) -> Iterator[Frame]:
    """Yield the frames of a source, and tell how far it is. times: takes in their presentation times."""
    for frame in source.frames():
        if times is not None:
            times.add(frame.time)
        yield frame
        progress(stage, frame.index + 1, source.frame_count)
