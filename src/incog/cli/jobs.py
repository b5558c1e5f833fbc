"""Which files are worked on, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from incog import parallel
from incog.cli.screen import Screen
from incog.errors import OutputError, UsageError
from incog.media.walk import Walk, printable, walk

_FEW = 10
"""Up to so many files that were left alone are named one by one."""


def jobs_of(
    inputs: Sequence[Path], place: str | None, screen: Screen
) -> tuple[list[parallel.Job], int, list[str]]:
    """Return what to do, how many files were left alone, and what is wrong with inputs.

    place: where to, as typed: a slash at its end means a folder, also one that is not there yet.
    """
    output = Path(place) if place is not None else None
    named_folder = place is not None and place.endswith(("/", os.sep))
    folder_wanted = len(inputs) > 1 or named_folder or (output is not None and output.is_dir())
    if len(inputs) > 1 and output is not None and output.exists() and not output.is_dir():
        raise UsageError("--output must be a folder when there are several inputs, got a file")
    found: list[tuple[Path, Path, bool]] = []
    left_alone = 0
    problems: list[str] = []
    for path in inputs:
        if not path.is_dir():
            if output is None:
                found.append((path, parallel.beside(path), True))
            elif folder_wanted:
                found.append((path, output / path.name, True))
            else:
                found.append((path, output, False))
            continue
        root = output or parallel.beside_folder(path)
        if output is not None and len(inputs) > 1:
            root = output / path.resolve().name
        if root.exists() and not root.is_dir():
            raise OutputError("the output for a folder must be a folder, got a file")
        seen: Walk = walk(path, without=[root])
        problems += [f"{printable(item)}: {reason}" for item, reason in seen.errors]
        aside = [*seen.others, *seen.links]
        left_alone += len(seen.others)
        if aside:
            screen.say(
                f"{printable(path)}: {len(aside)} file(s) that are no photo or video, or links, left alone"
            )
        for item in aside if screen.verbose or len(aside) <= _FEW else ():
            screen.say(f"  {printable(path / item)}")
        found += [(path / item, root / item, True) for item in seen.media]
        if not seen.media and not problems:
            problems.append(f"{printable(path)}: the folder holds no photo or video")
    return [parallel.Job(n, *item) for n, item in enumerate(found, start=1)], left_alone, problems
