"""A report in two files, one for people and one for programs: both appear, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from incog.errors import OutputError
from incog.media.files import pending


@contextmanager
def reports(folder: Path, *, overwrite: bool) -> Iterator[tuple[Path, Path]]:
    """Yield the paths to write report.json and report.html to; they are published when all went well.

    The folder is made. Raises OutputError when it is a file, or holds such reports that may not be overwritten.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"--report must be a folder, got the file {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        pending(folder / "report.json", overwrite=overwrite) as told,
        pending(folder / "report.html", overwrite=overwrite) as shown,
    ):
        yield told.path, shown.path
        told.publish()
        shown.publish()
