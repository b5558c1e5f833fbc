"""Many files over several processes: each on its own, and all as if it had been one process."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from incog import parallel, writing
from incog.cli.wishes import cores
from incog.errors import IncogError, OutputError, UsageError
from incog.keys import Secret
from incog.media.suffixes import same_suffix
from incog.parallel import Job, Outcome, Settings, beside, check_targets, nameless
from incog.pipeline import Options

Picture = npt.NDArray[np.uint8]
Tree = Callable[[Path], list[str]]


def settings(**changes: Any) -> Settings:
    plain: dict[str, Any] = {
        "method": "fill",
        "parameters": {},
        "secret": Secret.from_seed(5),
        "detector": "centerface",
        "threshold": 0.4,
        "device": "cpu",
        "threads": cores(),
        "seeded": True,
    }
    return Settings(**{**plain, **changes})


# Names


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (".jpg", ".JPEG", True),
        (".tif", ".tiff", True),
        (".m4v", ".mp4", True),
        (".png", ".apng", True),
        (".png", ".jpg", False),
        ("", ".jpg", False),
        (".mp4", ".mov", False),
    ],
)
def test_suffixes_of_one_kind(one: str, other: str, same: bool) -> None:
    assert same_suffix(one, other) == same_suffix(other, one) == same


def test_the_place_beside() -> None:
    assert beside(Path("a/holiday.jpg")) == Path("a/holiday.incog.jpg")
    assert beside(Path("a.b.mp4")) == Path("a.b.incog.mp4")
    assert beside(Path("noname")) == Path("noname.incog")


def test_outputs_must_differ(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    jobs = [
        Job(1, Path("a"), tmp_path / "o.png", True),
        Job(2, Path("b"), tmp_path / "x" / ".." / "o.png", True),
    ]
    with pytest.raises(UsageError, match="an output of its own"):
        check_targets(jobs)
    check_targets(jobs[:1])
    check_targets([])


def test_an_output_must_not_be_another_input(tmp_path: Path) -> None:
    first = Job(1, tmp_path / "a.png", tmp_path / "b.png", True)
    second = Job(2, tmp_path / "b.png", tmp_path / "c.png", True)
    with pytest.raises(UsageError, match="must not be another input"):
        check_targets([first, second])


def test_a_suffix_that_follows_the_content_never_takes_an_inputs_place(photo: Path, tmp_path: Path) -> None:
    """``q.jpg`` holds a PNG picture, so its output would be ``q.incog.jpg.png``, which is an input."""
    wrong, other = photo.rename(tmp_path / "q.jpg"), tmp_path / "q.incog.jpg.png"
    other.write_bytes(wrong.read_bytes())
    jobs = [Job(1, wrong, beside(wrong), True), Job(2, other, beside(other), True)]
    check_targets(jobs)
    outcome = parallel.work(
        jobs[0], settings(claimed=parallel.claimed(jobs), options=Options(overwrite=True))
    )
    assert outcome.report.status == "failed"
    assert "another file's place" in outcome.message
    assert other.read_bytes() == wrong.read_bytes()


def test_messages_lose_the_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("anna/holiday in rome.jpg")
    text = f"cannot write {path.absolute()}: {path} exists, as does holiday in rome.jpg in anna"
    said = nameless(text, [path])
    assert "anna" not in said
    assert "rome" not in said
    assert said.startswith("cannot write FILE")
    assert nameless("the file is empty", [Path("a.jpg")]) == "the file is empty"


# One file


def test_settings_and_outcomes_travel_between_processes(photo: Path) -> None:
    outcome = parallel.work(Job(3, photo, photo.with_name("out.jpg.png"), False), settings())
    again = pickle.loads(pickle.dumps(outcome))
    assert again.report == outcome.report
    assert again.report.name == "3"
    assert again.target == photo.with_name("out.jpg.png")
    assert pickle.loads(pickle.dumps(settings())) == settings()


def test_the_secret_does_not_show(photo: Path) -> None:
    assert settings().secret.value.hex() not in repr(settings())
    assert repr(settings().secret.value) not in repr(settings())


def test_the_suffix_follows_the_content_where_it_may(photo: Path, tree: Tree) -> None:
    wrong = photo.rename(photo.with_name("a.jpg"))
    followed = parallel.work(Job(1, wrong, photo.with_name("out.jpg"), True), settings())
    assert followed.target == photo.with_name("out.jpg.png")
    kept = parallel.work(Job(1, wrong, photo.with_name("two.jpg"), False), settings())
    assert kept.report.status == "failed"
    assert "must have the suffix .png" in kept.message
    assert tree(photo.parent) == ["a.jpg", "out.jpg.png"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OutputError("the disk is full", hint="make room"), "the disk is full"),
        (MemoryError(), "not enough memory"),
        (OSError(5, "Input/output error"), "cannot be read or written: Input/output error"),
        (RuntimeError("secret words"), "internal error (RuntimeError)"),
    ],
)
def test_whatever_goes_wrong_is_a_failed_outcome(
    photo: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(writing.compose, "draw", fail)
    outcome = parallel.work(Job(1, photo, photo.with_name("out.jpg.png"), False), settings())
    assert outcome.report.status == "failed"
    assert says in (outcome.report.error or "")
    assert "secret words" not in outcome.report.model_dump_json()
    assert outcome.hint == getattr(error, "hint", "")
    assert bool(outcome.trace) == isinstance(error, RuntimeError)
    assert tree(photo.parent) == ["holiday.png"]


def test_stopping_is_not_swallowed(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.compose, "draw", stop)
    with pytest.raises(KeyboardInterrupt):
        parallel.work(Job(1, photo, photo.with_name("out.jpg.png"), False), settings())


def test_fresh_file_ids_differ_and_seeded_ones_repeat(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bytes | None] = []

    def note(*arguments: object, file_id: bytes | None, **options: object) -> None:
        used.append(file_id)
        raise IncogError("enough")

    monkeypatch.setattr(parallel, "hide", note)
    for number, seeded in ((1, True), (1, True), (2, True), (1, False)):
        parallel.work(Job(number, photo, photo.with_name("out.jpg.png"), False), settings(seeded=seeded))
    assert used[0] == used[1] != used[2]
    assert used[0] is not None
    assert len(used[0]) == 16
    assert used[3] is None


# Several processes


@pytest.fixture
def folder(tmp_path: Path, astronaut: Picture) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(astronaut[:180, 40 + number : 200 + number]).save(folder / f"{number}.png")
    return folder


def jobs_of(folder: Path) -> list[Job]:
    return [
        Job(number, path, folder.parent / "out" / path.name, True)
        for number, path in enumerate(sorted(folder.iterdir()), start=1)
    ]


def test_processes_give_what_one_gives(folder: Path, tree: Tree) -> None:
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    noisy = settings(method="impulse-noise", threads=1)
    outcomes = list(parallel.run(jobs_of(folder), noisy, workers=2, keep_going=True))
    assert sorted((outcome.job.number, outcome.report.status) for outcome in outcomes) == [
        (1, "hidden"),
        (2, "failed"),
        (3, "hidden"),
    ]
    assert tree(folder.parent / "out") == ["0.png", "2.png"]
    for job in jobs_of(folder)[::2]:
        alone = Job(job.number, job.path, folder.parent / "alone.png", True)
        parallel.work(alone, noisy)
        assert alone.target.read_bytes() == job.target.read_bytes()
        alone.target.unlink()


def test_a_dead_worker_is_a_failed_file(photo: Path) -> None:
    died: Future[Outcome] = Future()
    died.set_exception(BrokenProcessPool("gone"))
    outcome = parallel._collected(died, Job(4, photo, photo.with_name("out.jpg.png"), True))
    assert outcome.report.status == "failed"
    assert outcome.report.name == "4"
    assert "a worker process died" in (outcome.report.error or "")
    assert "--workers" in outcome.hint


ENDLESS = """
import signal, sys, time
from pathlib import Path
from incog.parallel import Job, run

def task(job, settings, progress):
    job.target.touch()
    while True:
        for _ in range(200):
            progress("working", 0, None)
        # Whoever waits for both workers needs a processor too.
        time.sleep(0.0005)

def stop(number, frame):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    folder = Path(sys.argv[1])
    list(run([Job(n, folder, folder / f"{n}.begun", False) for n in (1, 2)], None, workers=2, task=task))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_batch_ends_wherever_its_workers_are_stopped(tmp_path: Path) -> None:
    """A lock that a worker dies with would keep the parent for ever: each try meets the workers elsewhere."""
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, script, folder], stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                give_up = time.monotonic() + 60
                while len(list(folder.glob("*.begun"))) < 2 and time.monotonic() < give_up:
                    time.sleep(0.01)
                assert process.poll() is None
                os.killpg(process.pid, signal.SIGTERM)
                assert process.wait(timeout=60) != 0
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def test_a_read_only_umask_and_options_reach_the_file(photo: Path) -> None:
    before = os.umask(0o077)
    try:
        target = photo.with_name("out.jpg.png")
        target.write_bytes(b"old")
        parallel.work(Job(1, photo, target, False), settings(options=Options(overwrite=True)))
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o600


def test_detectors_are_loaded_once() -> None:
    first, second = (parallel._perception("centerface", 0.4, "cpu", cores()) for _ in range(2))
    assert first is second
