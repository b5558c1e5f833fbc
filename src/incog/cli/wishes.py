"""What options say, checked and put into what the package takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from incog import parallel, people
from incog.errors import InputError, UsageError
from incog.keys import Secret
from incog.media.walk import sniff


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def between(what: str, value: float, low: float, high: float) -> float:
    """Return the value of an option. Raises UsageError when it does not lie between two others."""
    if not low <= value <= high:
        raise UsageError(f"{what} must be a number from {low:g} to {high:g}, got {value:g}")
    return value


def settings_of(texts: Sequence[str] | None) -> dict[str, str]:
    """Return what ``--set KEY=VALUE`` says, given any number of times. Raises UsageError."""
    settings: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set must be KEY=VALUE, got {text!r}")
        if name in settings:
            raise UsageError(f"--set must name a parameter once, got {name!r} twice")
        settings[name] = value
    return settings


def selection_of(
    keep: Sequence[Path] | None, only: Sequence[Path] | None, risk: float | None, *, clusters: bool = False
) -> parallel.Selection | None:
    """Return who stays visible, or is hidden alone, as the options say. clusters: whether people may be told by looks,
    which a risk is for too. Raises UsageError."""
    if keep and only:
        raise UsageError("--keep and --only must not be given together")
    if risk is not None and not keep and not clusters:
        raise UsageError("--risk must be given with --keep or --people clusters")
    if not keep and not only:
        return None
    mode: people.Mode = "keep" if keep else "only"
    risk = people.RISK if risk is None else between("--risk", risk, 1e-6, 0.5)
    return parallel.Selection(mode, tuple(keep or only or ()), risk)


def refuse_codec(codec: str | None, paths: Sequence[Path]) -> None:
    """Raise UsageError when a video encoder is named and there are pictures alone, which it does nothing for."""
    if codec is not None and paths and all(map(_is_picture, paths)):
        raise UsageError("--codec must be given with a video, got no other files than photos or animations")


def _is_picture(path: Path) -> bool:
    try:
        return path.is_file() and sniff(path) == "image"
    except InputError:
        # It is told when its turn comes.
        return False


def secret_of(seed: int | None, path: Path | None) -> tuple[Secret, str]:
    """Return the secret that keys come from, and in words where it came from. Raises UsageError and InputError."""
    if seed is not None and path is not None:
        raise UsageError("--seed and --secret-file must not be given together")
    if seed is not None:
        return Secret.from_seed(seed), "seeded: not private"
    if path is not None:
        return Secret.from_file(path), "from a secret file"
    return Secret.fresh(), "fresh, forgotten"
