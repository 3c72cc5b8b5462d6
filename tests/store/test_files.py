"""Files: replaced as a whole, never followed elsewhere, locked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jkoflow.status import StoreError
from jkoflow.store.files import FolderLock, read_whole, write_whole


def test_a_file_is_written_and_no_temporary_stays(tmp_path):
    write_whole(tmp_path / "a", b"old")
    write_whole(tmp_path / "a", b"new")
    assert read_whole(tmp_path / "a", 10) == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*a \(No space left on device\)"):
        write_whole(tmp_path / "a", b"new")
    assert read_whole(tmp_path / "a", 10) == b"old"


def test_links_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(StoreError, match="is a link"):
        read_whole(tmp_path / "link", 10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        read_whole(tmp_path / "pipe", 10)


def test_folders_and_missing_files_are_explained(tmp_path):
    with pytest.raises(StoreError, match=r"not a regular file|cannot read"):
        read_whole(tmp_path, 10)
    with pytest.raises(StoreError, match="cannot read"):
        read_whole(tmp_path / "none", 10)


@pytest.mark.skipif(os.name == "nt", reason="no folder locks there")
def test_a_locked_folder_is_refused_until_released(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(StoreError, match="being written by another run"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


@pytest.mark.skipif(os.name == "nt", reason="no folder locks there")
def test_a_dead_process_holds_no_lock(tmp_path):
    code = (
        "import sys, os; from pathlib import Path; from jkoflow.store.files import FolderLock;"
        "lock = FolderLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    FolderLock(tmp_path).release()
