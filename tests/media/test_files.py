"""Results appear whole or not at all, never over a source, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from incog.errors import OutputError
from incog.media.files import PendingFile, output_error, pending


def write_and_publish(
    target: Path, data: bytes = b"new", *, meanwhile: Callable[[PendingFile], object] | None = None
) -> None:
    with pending(target) as file:
        file.path.write_bytes(data)
        if meanwhile:
            meanwhile(file)
        file.publish()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_published_file_has_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    with pending(tmp_path / "a.jpg") as file:
        assert file.path.parent == tmp_path
        assert file.path.suffix == ".jpg"
        assert file.path.name.startswith(".")
        file.path.write_bytes(b"picture")
        assert not (tmp_path / "a.jpg").exists()
        file.publish()
    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with pending(tmp_path / "sub" / "deep" / "a.jpg", parents=True) as file:
            file.path.write_bytes(b"half a pic")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == []


def test_without_publish_nothing_is_left(tmp_path: Path) -> None:
    with pending(tmp_path / "a.jpg") as file:
        file.path.write_bytes(b"picture")
    assert names(tmp_path) == []


def test_folders_that_others_use_meanwhile_stay(tmp_path: Path) -> None:
    with pending(tmp_path / "sub" / "a.jpg", parents=True):
        (tmp_path / "sub" / "other.jpg").write_bytes(b"x")
    assert names(tmp_path / "sub") == ["other.jpg"]


def test_only_the_owner_reads_an_unfinished_file_and_the_umask_holds_for_the_finished(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with pending(tmp_path / "a.jpg") as file:
            assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
            file.path.write_bytes(b"picture")
            file.publish()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.jpg").stat().st_mode) == 0o640


def test_an_existing_output_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already") as caught, pending(tmp_path / "a.jpg"):
        pytest.fail("entered")
    assert "--overwrite" in caught.value.hint
    assert names(tmp_path) == ["a.jpg"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists already"):
        write_and_publish(tmp_path / "a.jpg", meanwhile=lambda file: file.target.write_bytes(b"theirs"))
    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"theirs"


def test_the_race_between_check_and_move_is_lost_safely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.jpg"

    def race(file: PendingFile) -> None:
        monkeypatch.setattr(file, "_check_target", lambda: target.write_bytes(b"theirs"))

    with pytest.raises(OutputError, match="exists already"):
        write_and_publish(target, meanwhile=race)
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.jpg"]


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "link", no_links)
    write_and_publish(tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == b"new"

    def race(file: PendingFile) -> None:
        monkeypatch.setattr(file, "_check_target", lambda: file.target.write_bytes(b"theirs"))

    with pytest.raises(OutputError, match="exists already"):
        write_and_publish(tmp_path / "b.jpg", meanwhile=race)
    assert (tmp_path / "b.jpg").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.jpg", "b.jpg"]


def test_overwrite_replaces_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "a.jpg"
    target.write_bytes(b"old")
    with pending(target, overwrite=True) as file:
        file.path.write_bytes(b"new")
        assert target.read_bytes() == b"old"
        file.publish()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.jpg"]


def test_overwrite_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "original.jpg").write_bytes(b"original")
    (tmp_path / "a.jpg").symlink_to("original.jpg")
    with pending(tmp_path / "a.jpg", overwrite=True) as file:
        file.path.write_bytes(b"new")
        file.publish()
    assert (tmp_path / "original.jpg").read_bytes() == b"original"
    assert not (tmp_path / "a.jpg").is_symlink()


@pytest.mark.parametrize("kind", ["same", "dotted", "symlink", "hardlink", "linked folder"])
def test_the_input_is_never_the_output(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "in" / "photo.jpg"
    source.parent.mkdir()
    source.write_bytes(b"original")
    target = source
    if kind == "dotted":
        target = tmp_path / "in" / ".." / "in" / "photo.jpg"
    elif kind == "symlink":
        target = tmp_path / "other.jpg"
        target.symlink_to(source)
    elif kind == "hardlink":
        target = tmp_path / "other.jpg"
        target.hardlink_to(source)
    elif kind == "linked folder":
        (tmp_path / "also").symlink_to("in")
        target = tmp_path / "also" / "photo.jpg"
    with (
        pytest.raises(OutputError, match="is the input itself"),
        pending(target, overwrite=True, inputs=[source]),
    ):
        pytest.fail("entered")
    assert source.read_bytes() == b"original"


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), pending(tmp_path, overwrite=True):
        pytest.fail("entered")


def test_a_pipe_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="not a regular file"), pending(tmp_path / "pipe", overwrite=True):
        pytest.fail("entered")


def test_a_missing_folder_is_an_error_unless_it_may_be_made(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the folder does not exist"), pending(tmp_path / "no" / "a.jpg"):
        pytest.fail("entered")
    with pending(tmp_path / "no" / "such" / "a.jpg", parents=True) as file:
        file.path.write_bytes(b"x")
        file.publish()
    assert names(tmp_path / "no" / "such") == ["a.jpg"]


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "no").write_bytes(b"")
    for parents in (False, True):
        with (
            pytest.raises(OutputError, match="cannot write"),
            pending(tmp_path / "no" / "a.jpg", parents=parents),
        ):
            pytest.fail("entered")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission denied"), pending(tmp_path / "a.jpg"):
            pytest.fail("entered")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EROFS, "read-only"), (errno.EACCES, "permission denied"), (errno.ENOSPC, "disk is full")],
)
def test_a_place_where_nothing_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=words), pending(tmp_path / "sub" / "a.jpg", parents=True):
        pytest.fail("entered")
    monkeypatch.undo()
    assert names(tmp_path) == []


def test_an_unfinished_file_that_cannot_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    file = pending(tmp_path / "a.jpg")
    file.__enter__()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=file.path.name) as caught:
        file.__exit__(None, None, None)
    assert "remove it by hand" in caught.value.hint


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the name is too long"):
        write_and_publish(tmp_path / ("a" * 300 + ".jpg"))
    assert names(tmp_path) == []


def test_an_empty_result_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing was written"):
        write_and_publish(tmp_path / "a.jpg", b"")
    assert names(tmp_path) == []


def test_a_full_disk_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_and_publish(tmp_path / "a.jpg")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EFBIG, "too large"),
    ],
)
def test_system_errors_are_said_in_words(number: int, words: str) -> None:
    error = output_error(Path("a\nb.jpg"), OSError(number, "whatever"))
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "name", ["with space.jpg", "quote'\".jpg", "new\nline.jpg", os.fsdecode(b"\xff\xfe.jpg")]
)
def test_any_name(tmp_path: Path, name: str) -> None:
    with pending(tmp_path / name) as file:
        file.path.write_bytes(b"x")
        file.publish()
    assert names(tmp_path) == [name]
