"""Files that survive a crash: replaced as a whole, forced to disk, never followed elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..status import StoreError

TEMPORARY = ".tmp"


@contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn the system's errors into a `StoreError` that says what was being done."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"cannot {doing} {path} ({reason}): check the path, its permissions and the free space"
        ) from error


def folder_path(path: object) -> Path:
    """A path from what a user gave.

    Raises
    ------
    StoreError
        For what cannot be one, or is too long for the system.

    Examples
    --------
    >>> folder_path(3)
    Traceback (most recent call last):
        ...
    jkoflow.status.StoreError: a store is named by the path of a folder, not by 3
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise StoreError(f"a store is named by the path of a folder, not by {path!r:.100}")
    name = os.fspath(path)
    if not isinstance(name, str) or "\0" in name:
        raise StoreError(f"{path!r:.100} cannot be a path: use a string without null characters")
    with explained("use", Path(f"{name:.200}")), suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(name)
    return Path(name)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that, whenever the machine stops, it is the old or the new one."""
    temporary = path.with_name(path.name + TEMPORARY)
    with explained("write", path):
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's list of names to disk, where the system can."""
    if os.name == "nt":  # Windows has no handle of a folder to sync
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def opened(path: Path, limit: int) -> Iterator[BinaryIO]:
    """A regular file for reading; links, pipes and files above ``limit`` bytes are refused."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise StoreError(f"{path} is a link: copy the file it points to into the folder")
    with explained("read", path):
        handle = os.open(path, flags)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise StoreError(f"{path} is not a regular file")
        with os.fdopen(handle, "rb") as file:
            if found.st_size > limit:
                raise StoreError(
                    f"{path} has {found.st_size} bytes, more than the limit of {limit}: "
                    "pass a larger limit if you trust it"
                )
            yield file


def read_whole(path: Path, limit: int) -> bytes:
    """All bytes of a regular file of at most ``limit`` bytes."""
    with opened(path, limit) as file:
        return file.read(os.fstat(file.fileno()).st_size)


class FolderLock:
    """Keeps a second process from writing the same run; let go when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._handle: int | None = None
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            return
        with explained("open", folder):
            self._handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise StoreError(
                f"{folder} is being written by another run: wait for it, or use another folder"
            ) from error
        except OSError:  # a file system without locks
            self.release()

    def release(self) -> None:
        if self._handle is not None:
            with suppress(OSError):
                os.close(self._handle)
            self._handle = None
