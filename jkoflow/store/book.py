"""Writing a run: steps are gathered, and forced to disk together."""

from __future__ import annotations

import math
import os
import re
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..record import StepRecord
from ..status import InvalidProblem, Status, StoreError
from .archive import pack, storable
from .checkpoint import checkpoint_bytes, require_that_of
from .files import TEMPORARY, FolderLock, explained, sync_folder, write_whole
from .format import StoredRun
from .header import Header
from .layout import (
    KEPT_CHECKPOINTS,
    RUN,
    STEPS,
    chained,
    checkpoint_name,
    checkpoints,
    core,
    first_link,
    named_arrays,
    segment_name,
)
from .segment import Segment
from .text import compact, presentable, seal

REST_LIMIT = 2**18
"""Longest text of statistics and places that a line may hold, in characters."""


@dataclass(frozen=True)
class Flush:
    """When gathered steps are forced to disk: whichever of the three comes first.

    Forcing a file to disk takes milliseconds, a step may take microseconds. So a run that is
    killed outright loses at most the work of ``seconds``, which resuming repeats bit for bit; one
    that fails or is interrupted by Ctrl-C loses nothing.

    Parameters
    ----------
    seconds : float
    steps : int
    bytes : int
        Size of the gathered arrays; also the size at which a new segment is begun.

    Examples
    --------
    >>> Flush(seconds=0.0)                     # after every step
    Flush(seconds=0.0, steps=4096, bytes=8388608)
    """

    seconds: float = 1.0
    steps: int = 4096
    bytes: int = 8 * 2**20

    def __post_init__(self) -> None:
        if math.isnan(self.seconds) or self.seconds < 0 or self.steps < 1 or self.bytes < 1:
            raise InvalidProblem(f"a flush needs seconds ≥ 0, steps ≥ 1 and bytes ≥ 1, not {self}")


class Book:
    """The open store of one run: `restore` what is there, `write` what comes, `close`."""

    def __init__(
        self,
        path: Path,
        header: Header,
        stepper: Any,
        flush: Flush,
        lock: FolderLock,
        run: StoredRun | None = None,
        resume: tuple[StepRecord, str] | None = None,
    ) -> None:
        self._path, self._header, self._policy, self._lock = path, header, flush, lock
        self._run, self._resume = run, resume
        self._stepper = _name_of(stepper)
        self._begun = False
        self._file = -1
        self._offset, self._count, self._link = 0, 0, header.head
        self._segment = Segment(1)
        self._lines: list[bytes] = []
        self._last: StepRecord | None = None
        self._gathered = 0
        self._flushed = time.monotonic()

    def taken_by(self, steppers: Iterable[Mapping[str, Any]]) -> None:
        """Say who took the steps of a run that is copied here."""
        self._header = replace(self._header, steppers=tuple(steppers))

    def restore(self, trajectory: Any) -> StepRecord | None:
        """Fill ``trajectory`` with the stored steps; the record to go on from, if any.

        Raises
        ------
        StoreError
            If the stored steps are damaged, or do not lead to the checkpoint.
        """
        if self._run is None:
            energy = trajectory.initial_energy
            start = first_link(self._header.digest, energy)
            self._header = replace(self._header, initial_energy=energy, head=start)
            self._link = start
            self._write_header()
            return None
        trajectory.initial_energy = self._run.initial_energy
        self._link = self._run.start
        if self._resume is None:
            return None
        record, link = self._resume
        self._replay(trajectory, record)
        if self._count != record.index or self._link != link:
            raise StoreError(
                f"{self._path}: the steps do not lead to the checkpoint of step {record.index}: "
                "lines were lost or changed; start again in another folder"
            )
        return record

    def _replay(self, trajectory: Any, record: StepRecord) -> None:
        assert self._run is not None
        for step in self._run.steps(until=record.index):
            saved = step.record()
            keep = saved is not None
            if step.index == record.index:
                require_that_of(step, record)
                saved = record
            if saved is None:
                trajectory.add_unsaved(step.time, step.energy, step.distance_squared, step.status)
            else:
                trajectory.add(saved, keep)
            self._count, self._link, self._offset = step.index, step.link, step.end
            if step.segment is not None:
                self._segment = Segment(int(step.segment[8:-4]) + 1)

    def write(self, record: StepRecord, keep: bool, known: bool = True) -> None:
        """Take up a step, with its arrays if it is to be kept; flush if it is time.

        A step of which nothing but numbers is known, as in a run from elsewhere, comes with
        another step's measure and ``known=False``: then there is no checkpoint to go on from.
        """
        self._begin()
        arrays = named_arrays(record.measure, record.witness) if keep else {}
        arrays = {name: storable(a, name) for name, a in arrays.items()}
        if not self._segment.fits(arrays):
            self.flush()
            self._next_segment()
        places, digests = self._segment.add(arrays) if keep else ({}, {})
        text = compact(core(record, keep, digests))
        self._link = chained(self._link, text)
        self._lines.append(self._line(record, text, places))
        self._last, self._count = record if known else None, record.index
        if self._due():
            self.flush()

    def _line(self, record: StepRecord, text: str, places: Mapping[str, Any]) -> bytes:
        rest = {
            "link": self._link,
            "segment": segment_name(self._segment.number) if places else None,
            "places": places,
            "stats": presentable(record.stats),
        }
        more = compact(rest)
        if len(more) > REST_LIMIT:
            more = compact({**rest, "stats": {"omitted": f"{len(more)} bytes of statistics"}})
        return seal(f"{text[:-1]},{more[1:]}") + b"\n"

    def _due(self) -> bool:
        policy = self._policy
        return (
            time.monotonic() - self._flushed >= policy.seconds
            or len(self._lines) >= policy.steps
            or self._segment.bytes - self._gathered >= policy.bytes
        )

    def flush(self) -> None:
        """Force all steps so far to disk: arrays, then lines, then a checkpoint."""
        if self._lines:
            self._write_segment()
            self._append(b"".join(self._lines))
            self._lines = []
            if self._last is not None:
                checkpoint = checkpoint_bytes(self._last, self._link)
                write_whole(self._path / checkpoint_name(self._count), checkpoint)
            kept = 0 if self._last is None else KEPT_CHECKPOINTS
            for _, old in checkpoints(self._path)[: -kept or None]:
                old.unlink(missing_ok=True)
        self._flushed = time.monotonic()

    def _write_segment(self) -> None:
        segment = self._segment
        if segment.bytes > self._gathered:
            write_whole(self._path / segment_name(segment.number), pack(segment.arrays()))
        self._gathered = segment.bytes
        if segment.bytes >= self._policy.bytes or segment.steps >= self._policy.steps:
            self._next_segment()

    def _next_segment(self) -> None:
        if self._segment.bytes:
            self._segment, self._gathered = Segment(self._segment.number + 1), 0

    def _append(self, data: bytes) -> None:
        with explained("write", self._path / STEPS):
            os.ftruncate(self._file, self._offset)
            os.lseek(self._file, self._offset, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        self._offset += len(data)

    def close(self, trajectory: Any) -> None:
        """Flush, write the run's status, and let go of the folder.

        Raises
        ------
        StoreError
            If the disk refuses; the folder is let go of all the same.
        """
        try:
            said = (self._header.status, self._header.steps, self._header.head)
            if self._begun or said != (trajectory.status, self._count, self._link):
                self._begin()
                self.flush()
                self._write_header(trajectory.status)
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the folder without writing anything."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def _begin(self) -> None:
        """Before the first change: say that the run is going on, drop what is after the resume."""
        if self._begun:
            return
        if self._stepper is not None:
            self._note_stepper()
        self._write_header(Status.RUNNING)
        with explained("open", self._path / STEPS):
            for left in self._leftovers():
                left.unlink(missing_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._path / STEPS, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
            os.ftruncate(self._file, self._offset)
            sync_folder(self._path)
        self._begun = True

    def _leftovers(self) -> list[Path]:
        """Half-written files of a killed process, and checkpoints after the one resumed from."""
        later = [path for step, path in checkpoints(self._path) if step > self._count]
        return [*later, *self._path.glob("*" + TEMPORARY)]

    def _note_stepper(self) -> None:
        used = self._header.steppers
        if used and used[-1]["stepper"] == self._stepper:
            return
        if used:
            warnings.warn(
                f"{self._path} was begun by {used[-1]['stepper']} and goes on with "
                f"{self._stepper}: the result is not that of an unbroken run",
                stacklevel=2,
            )
        entry = {"from": self._count + 1, "stepper": self._stepper}
        self._header = replace(self._header, steppers=(*used, entry))

    def _write_header(self, status: Status | None = None) -> None:
        self._header = replace(
            self._header, status=status or self._header.status, steps=self._count, head=self._link
        )
        write_whole(self._path / RUN, self._header.bytes())


class NoBook:
    """The book of a run that is kept in memory only."""

    def restore(self, trajectory: Any) -> None:
        return None

    def write(self, record: StepRecord, keep: bool, known: bool = True) -> None: ...

    def close(self, trajectory: Any) -> None: ...

    def release(self) -> None: ...


def _name_of(stepper: Any) -> str | None:
    """A stepper's repr without addresses, which differ between runs."""
    return None if stepper is None else re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(stepper))
