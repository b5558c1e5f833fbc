"""Many files: what goes where, one after another or over several processes, each file on its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from incog import people
from incog.errors import IncogError, OutputError, UsageError, must_be
from incog.keys import FILE_ID_BYTES, Secret, derive
from incog.media import open_source
from incog.media.base import Source
from incog.media.suffixes import check_suffix, same_suffix
from incog.media.walk import printable
from incog.methods import make
from incog.perceive.attributes import make_attributes
from incog.pipeline import Options, Perception, Progress, hide, render, silent
from incog.plan import Plan
from incog.report import FileReport
from incog.runtime import one_thread_for_matrices
from incog.subjects import Named, Subjects


@dataclass(frozen=True, slots=True)
class Job:
    """One file to hide faces in. target: where to; with ``follow`` its suffix is changed when the content is of another
    kind than the source's name says. number: running number in the report, from 1. plan, subjects: what is known of the
    file beforehand, see ``pipeline.render``."""

    number: int
    path: Path
    target: Path
    follow: bool
    plan: Plan | None = None
    subjects: Subjects | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Who stays visible, or is hidden alone, by photos. Each process enrols them itself: no embedding is passed on.

    photos: a photo, or a folder of photos, per person.
    """

    mode: people.Mode
    photos: tuple[Path, ...]
    risk: float = people.RISK


@dataclass(frozen=True, slots=True)
class Settings:
    """What all files have in common; plain data, so that it can travel to another process. selection: who stays visible
    or is hidden alone. persons: people by name, each by a photo or a folder of photos, who have the same new face in
    every file. claimed: the places of all inputs and of all outputs, as their sources' names have them."""

    method: str
    parameters: dict[str, str]
    secret: Secret
    detector: str
    threshold: float
    device: str
    threads: int
    seeded: bool
    spans: list[tuple[float, float]] = field(default_factory=list)
    selection: Selection | None = None
    persons: tuple[tuple[str, Path], ...] = ()
    claimed: frozenset[Path] = frozenset()
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The report of a file, with the local words that do not belong into it: what went wrong with the names of files,
    the hint, and the trace of a bug. found: what a task found out that writes no file; it stays in memory."""

    job: Job
    report: FileReport
    target: Path | None = None
    message: str = ""
    hint: str = ""
    trace: str = ""
    found: Any = field(default=None, repr=False)


Task = Callable[[Job, Settings, Progress], Outcome]
"""What is done with a file: a function of a module, so that other processes find it."""


def beside(path: Path) -> Path:
    """Return ``holiday.incog.jpg`` for ``holiday.jpg``."""
    return path.with_name(f"{path.stem}.incog{path.suffix}")


def beside_folder(path: Path) -> Path:
    """Return ``footage.incog`` for the folder ``footage``, whatever names it: ``.`` and ``..`` too.

    Raises UsageError for the root, which nothing lies beside.
    """
    whole = path.resolve()
    if not whole.name:
        raise must_be("the output for the root of all folders", "named with -o", str(path))
    return (whole if path.name in {"", ".."} else path).with_name(f"{whole.name}.incog")


def run(
    jobs: Sequence[Job],
    settings: Settings,
    *,
    workers: int,
    keep_going: bool = False,
    task: Task | None = None,
) -> Iterator[Outcome]:
    """Hide the faces of every job in several processes and yield the outcomes as they are done. task: what is done
    instead.

    Without ``keep_going`` no further job is begun after a failure. The result of a file does not depend on the number
    of workers.
    """
    context = multiprocessing.get_context("spawn")
    # No event: a worker that is killed while it asks an event may take its lock along, and `set` would wait for ever.
    stop = context.RawValue(ctypes.c_bool, False)
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_prepare, initargs=(stop,)
    ) as pool:
        futures = {pool.submit(_work_until_stopped, task or work, job, settings): job for job in jobs}
        try:
            for future in as_completed(futures):
                if future.cancelled():
                    continue
                outcome = _collected(future, futures[future])
                yield outcome
                if outcome.report.status == "failed" and not keep_going:
                    # What is under way is finished and told; what is not begun never begins.
                    for waiting in futures:
                        waiting.cancel()
        except BaseException:
            stop.value = True
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_stop = ctypes.c_bool(False)
"""In a worker process: the parent's word, in memory that both share, that the batch is given up."""

_busy = False
"""In a worker process: whether it is at a file."""


def _prepare(stop: ctypes.c_bool) -> None:
    """Set a worker process up; Ctrl-C and a closed terminal are the parent's to handle, which sets ``stop``."""
    global _stop
    _stop = stop
    one_thread_for_matrices()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A pool that broke ends its other workers, and `timeout` the whole group: no unfinished file may stay behind.
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise _Ended if _busy else SystemExit(128 + number)


class _Ended(BaseException):
    """Unwinds a worker that was told to end."""


def _work_until_stopped(task: Task, job: Job, settings: Settings) -> Outcome:
    def progress(stage: str, done: int, total: int | None) -> None:
        if _stop.value:
            raise KeyboardInterrupt

    global _busy
    _busy = True
    try:
        return task(job, settings, progress)
    except KeyboardInterrupt:
        return Outcome(job, _failed(job, "stopped"))
    except _Ended:
        # At once: the pool's own loop would wait for another file.
        os._exit(128 + signal.SIGTERM)
    finally:
        _busy = False


def _collected(future: Future[Outcome], job: Job) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(
            job, _failed(job, "a worker process died, perhaps for want of memory"), hint="use fewer --workers"
        )


@lru_cache(maxsize=1)
def _perception(detector: str, threshold: float, device: str, threads: int) -> Perception:
    return Perception(detector=detector, threshold=threshold, device=device, threads=threads)


@lru_cache(maxsize=1)
def enrolled(selection: Selection, perception: Perception) -> people.Choice:
    """Return the people of a selection. Raises UsageError or InputError for a photo that does not serve."""
    recogniser = perception.recogniser
    found = [people.enrol(path, perception.searcher, recogniser) for path in selection.photos]
    return people.choice_of(selection.mode, found, selection.risk, recogniser.calibration)


@lru_cache(maxsize=1)
def named(persons: tuple[tuple[str, Path], ...], perception: Perception) -> tuple[Named, ...]:
    """Return people by name, with how they look. Raises UsageError or InputError for a photo that does not serve."""
    network = make_attributes() if persons else None
    found = []
    for name, path in persons:
        person = people.enrol(path, perception.searcher, perception.recogniser, network)
        assert person.looks is not None
        found.append(Named(name, person.vectors, person.looks))
    return tuple(found)


def perception_of(settings: Settings) -> Perception:
    """Return the networks that the settings name, loaded once per process."""
    return _perception(settings.detector, settings.threshold, settings.device, settings.threads)


def work(job: Job, settings: Settings, progress: Progress = silent) -> Outcome:
    """Hide the faces of one file; whatever goes wrong becomes a failed outcome, and no file."""
    written: list[Path] = []

    def target(source: Source) -> Path:
        written.append(_target(job, source, settings.claimed))
        return written[-1]

    def action() -> FileReport:
        perception = perception_of(settings)
        method = make(settings.method, settings.parameters)
        if job.plan is not None:
            source = open_source(job.path)
            return render(
                source,
                job.plan,
                target(source),
                method,
                settings.secret,
                perception,
                subjects=job.subjects,
                options=settings.options,
                progress=progress,
            )
        file_id = (
            derive(settings.secret, "file id", job.number).secret[:FILE_ID_BYTES] if settings.seeded else None
        )
        return hide(
            job.path,
            target,
            method,
            settings.secret,
            perception,
            spans=settings.spans,
            choice=enrolled(settings.selection, perception) if settings.selection else None,
            named=named(settings.persons, perception),
            options=settings.options,
            file_id=file_id,
            progress=progress,
        )

    outcome = attempt(job, action, written)
    if outcome.report.error:
        photos = [*(settings.selection.photos if settings.selection else ())]
        outcome.report.error = nameless(
            outcome.report.error, [*photos, *(path for _, path in settings.persons)]
        )
    return outcome


def attempt(job: Job, action: Callable[[], FileReport], written: Sequence[Path] = ()) -> Outcome:
    """Return the outcome of an action on a job. written: further paths that its report must not name; the last is where
    the result went."""
    try:
        report = action()
    except IncogError as error:
        return failed(job, error, written)
    except OSError as error:
        return Outcome(
            job, _failed(job, f"cannot be read or written: {error.strerror or type(error).__name__}")
        )
    except MemoryError:
        return Outcome(job, _failed(job, "there is not enough memory for this file"))
    except Exception as error:
        # A bug must not let a batch go on as if this file were done: it is reported as failed, and has no output.
        return Outcome(
            job, _failed(job, f"internal error ({type(error).__name__})"), trace=traceback.format_exc()
        )
    report.name = str(job.number)
    return Outcome(job, report, target=written[-1] if written else None)


def failed(job: Job, error: IncogError, written: Sequence[Path] = ()) -> Outcome:
    """Return the outcome of a job that raised an error: its report says why without naming a file."""
    message = str(error)
    report = _failed(job, nameless(message, [job.path, job.target, *written]))
    return Outcome(job, report, message=message, hint=error.hint)


def nameless(message: str, paths: Iterable[Path]) -> str:
    """Return the message with the names of these files and of their folders taken out."""
    names = [
        printable(form)
        for path in paths
        for form in (path, path.absolute(), path.name, path.parent, path.absolute().parent)
    ]
    for name in sorted(set(names) - {".", "/", ""}, key=len, reverse=True):
        message = message.replace(name, "FILE")
    return message


def _failed(job: Job, message: str) -> FileReport:
    return FileReport(name=str(job.number), status="failed", error=message)


def _target(job: Job, source: Source, claimed: frozenset[Path]) -> Path:
    if job.follow and not same_suffix(job.target.suffix, source.suffix):
        # Added, not put in place of the other: two files of one stem must not meet.
        target = job.target.with_name(job.target.name + source.suffix)
        if place(target) in claimed:
            raise OutputError(
                "its content is not what its name says, and its output would take another file's place"
            )
        return target
    check_suffix(job.target, source.suffix)
    return job.target


def check_targets(jobs: Sequence[Job]) -> None:
    """Raise UsageError when two jobs would write the same file, or one the input of another."""
    inputs = {place(job.path) for job in jobs}
    seen: dict[Path, Path] = {}
    for job in jobs:
        target, shown = place(job.target), printable(job.target)
        if target in seen:
            raise UsageError(
                "every input must have an output of its own, "
                f"got {shown} for {printable(seen[target])} and {printable(job.path)}"
            )
        if target in inputs and target != place(job.path):
            raise UsageError(f"an output must not be another input, got {shown} for {printable(job.path)}")
        seen[target] = job.path


def check_outside(out: Path, folder: Path) -> None:
    """Raise UsageError for the output folder of a release that lies in the input folder: it would be an input."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"the output folder must lie outside of the input folder {printable(folder)}, got {printable(out)}"
        )


def claimed(jobs: Iterable[Job]) -> frozenset[Path]:
    """Return the places that an output whose suffix follows the content must not take."""
    return frozenset(place(path) for job in jobs for path in (job.path, job.target))


def place(path: Path) -> Path:
    """Return where a file lies, with links among its folders resolved, whether it exists or not."""
    return path.parent.resolve() / path.name
