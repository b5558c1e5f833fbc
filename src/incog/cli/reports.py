"""Where reports are written: of files that were hidden, and of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from incog import parallel
from incog.errors import OutputError, UsageError
from incog.media.files import make_folders, output_error, pending, remove_folders
from incog.media.walk import printable
from incog.report import FileReport


@contextmanager
def reports(folder: Path, *, overwrite: bool) -> Iterator[tuple[Path, Path]]:
    """Yield the paths to write report.json and report.html to: both appear, when all went well, or neither.

    The folder is made, with those above it, and they go again when the work fails and leaves nothing in them. Raises
    OutputError when it is a file, or holds such reports that may not be overwritten.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"--report must be a folder, got the file {folder}")
    made: list[Path] = []
    try:
        try:
            make_folders(folder, made)
        except OSError as error:
            raise output_error(folder, error) from error
        with (
            pending(folder / "report.json", overwrite=overwrite) as told,
            pending(folder / "report.html", overwrite=overwrite) as shown,
        ):
            yield told.path, shown.path
            told.publish()
            shown.publish()
    except BaseException:
        # What else was written into it stays.
        remove_folders(made)
        raise


@contextmanager
def report_place(
    path: Path | None, overwrite: bool, inputs: Sequence[Path], targets: Sequence[Path]
) -> Iterator[Callable[[str], None]]:
    """Yield the function that writes the report; the place is tried before the work begins."""
    if path is None:
        yield lambda text: None
        return
    for target in targets:
        # A release of a folder is one output: nothing else may lie in it, least of all what may name its sources.
        if parallel.place(path).is_relative_to(parallel.place(target)):
            raise UsageError(
                f"--report must be a file of its own, outside of the output {printable(target)}, got {printable(path)}"
            )
    with pending(path, overwrite=overwrite, parents=True, inputs=inputs) as file:

        def save(text: str) -> None:
            file.path.write_text(text + "\n", encoding="utf-8")
            file.publish()

        yield save


def refuse_names(wanted: bool, path: Path | None) -> None:
    """Raise UsageError when names are wanted in a report that is not."""
    if wanted and path is None:
        raise UsageError("--report-names must be given with --report")


def named(outcome: parallel.Outcome, names: dict[int, Path], wanted: bool) -> FileReport:
    """Return the report of a file, with its name where that is wanted."""
    if not wanted:
        return outcome.report
    return outcome.report.model_copy(update={"name": printable(names[outcome.job.number])})
