"""Faces over time."""

from incog.track.boxes import assign, overlap
from incog.track.lookup import by_frame, single
from incog.track.tracker import Look, Scan, Settings, Timeline, Tracker, every_frame

__all__ = [
    "Look",
    "Scan",
    "Settings",
    "Timeline",
    "Tracker",
    "assign",
    "by_frame",
    "every_frame",
    "overlap",
    "single",
]
