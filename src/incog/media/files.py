"""Results appear under their final name complete or not at all, and never in the place of a source."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from incog.errors import OutputError
from incog.media.walk import printable

_REASONS: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large for this file system",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.EIO: "the disk reports an error",
}
# what file systems without hard links answer to link(); EACCES and EPERM also come from some network shares
_NO_LINKS: Final = {
    errno.EPERM,
    errno.EACCES,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EINVAL,
    errno.EXDEV,
}


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error to raise when writing ``path`` failed with ``error``: the reason in plain words."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return OutputError(f"cannot write {printable(path)}: {reason}")


def make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it that are missing, and put them into ``made`` as soon as they are there, for
    ``remove_folders``. Raises OSError."""
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        try:
            one.mkdir()
        except FileExistsError:
            # another process, with its own output in the same folder, was faster
            continue
        made.append(one)


def remove_folders(made: Iterable[Path]) -> None:
    """Remove the folders of ``make_folders`` again; one that others use by now stays, or that cannot be removed: an
    empty folder tells nothing."""
    for folder in reversed(list(made)):
        try:
            folder.rmdir()
        except OSError:
            return


def pending(
    target: Path,
    *,
    overwrite: bool = False,
    parents: bool = False,
    private: bool = False,
    inputs: Iterable[Path] = (),
) -> PendingFile:
    """Return a file that is written beside ``target`` and takes its name only when it is published.

    overwrite: an existing file of that name is replaced. parents: missing folders are made, and removed again
    when nothing is published. private: only the owner can read the result. inputs: files that must not be
    replaced, not even through a link.

        with pending(Path("photo.incog.jpg")) as file:
            file.path.write_bytes(data)
            file.publish()
    """
    return PendingFile(target, overwrite=overwrite, parents=parents, private=private, inputs=inputs)


class PendingFile:
    """A context manager around one result; see ``pending``.

    Entering makes an empty file in the target's folder, with an unguessable hidden name and the target's suffix,
    that only its owner can read until it is published. Leaving without ``publish``, for whatever reason,
    removes it. Raises OutputError from every step: the target exists, is a folder or an input, or cannot be written.
    """

    def __init__(
        self,
        target: Path,
        *,
        overwrite: bool = False,
        parents: bool = False,
        private: bool = False,
        inputs: Iterable[Path] = (),
    ) -> None:
        self.target: Final = target
        self.path = target.parent / f".incog-{secrets.token_hex(16)}{target.suffix}"
        self._overwrite = overwrite
        self._parents = parents
        self._private = private
        self._inputs = tuple(inputs)
        self._mode = 0o600
        self._made: list[Path] = []
        self._published = False

    def __enter__(self) -> Self:
        self._check_target()
        try:
            if self._parents:
                make_folders(self.target.parent, self._made)
            # the kernel applies the umask; the mode is put back when the file is published
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            try:
                self._mode = stat.S_IMODE(os.fstat(handle).st_mode)
                self.path.chmod(0o600)
            finally:
                os.close(handle)
        except OSError as error:
            self._remove()
            raise output_error(self.target, error) from error
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._published:
            self._remove()

    def publish(self) -> None:
        """Put the finished file on the disk and give it its name, in one step: it is seen whole or not.

        Without ``overwrite`` a file that has appeared under the name meanwhile stays: OutputError is raised.
        """
        self._check_target()
        try:
            handle = os.open(self.path, os.O_RDWR)
            try:
                if os.fstat(handle).st_size == 0:
                    raise OutputError(f"nothing was written for {printable(self.target)}")
                os.fsync(handle)
            finally:
                os.close(handle)
            self.path.chmod(0o600 if self._private else self._mode)
            if self._overwrite:
                self.path.replace(self.target)
            else:
                self._move_to_free_name()
            self._published = True
            _sync_folder(self.target.parent)
        except FileExistsError as error:
            raise self._exists() from error
        except OSError as error:
            raise output_error(self.target, error) from error

    def _check_target(self) -> None:
        for source in self._inputs:
            if _same_file(source, self.target):
                raise OutputError(
                    f"the output {printable(self.target)} is the input itself",
                    hint="choose another name or folder with -o",
                )
        try:
            if self.target.name in {"", ".."} or self.target.is_dir():
                raise OutputError(f"the output {printable(self.target)} is a folder, it must be a file")
            if os.path.lexists(self.target):
                if not self._overwrite:
                    raise self._exists()
                if not self.target.is_symlink() and not self.target.is_file():
                    raise OutputError(f"the output {printable(self.target)} exists and is not a regular file")
        except OSError as error:
            raise output_error(self.target, error) from error

    def _exists(self) -> OutputError:
        return OutputError(
            f"the output {printable(self.target)} exists already", hint="use --overwrite to replace it"
        )

    def _move_to_free_name(self) -> None:
        try:
            os.link(self.path, self.target)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._move_over_placeholder()
        else:
            self.path.unlink()

    def _move_over_placeholder(self) -> None:
        # exclusive creation is as atomic as a link, and the empty file is our own to replace
        os.close(os.open(self.target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            self.path.replace(self.target)
        except BaseException:
            self.target.unlink()
            raise

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            # there is none where its folder is none
            if error.errno != errno.ENOTDIR:
                raise OutputError(
                    f"cannot remove the unfinished file {printable(self.path)}: {error.strerror}",
                    hint="remove it by hand: it may show faces",
                ) from error
        finally:
            remove_folders(self._made)


def _same_file(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target)
    except OSError:
        # one of them does not exist: compare the places, with links in the folders resolved
        return source.absolute() == target.absolute() or _place(source) == _place(target)


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _sync_folder(folder: Path) -> None:
    # only POSIX can open a folder, and some network shares cannot sync one; the file itself is on the disk
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
            raise
    finally:
        os.close(handle)
