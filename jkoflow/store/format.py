"""Reading a stored run, for the judge and for everyone else.

A run is a folder with

``run.json``
    format and version, the problem's spec and its hash, the initial energy, the status, how many
    steps there are and the last link of the hash chain, which stepper took them.
``initial.npz``
    arrays of the initial measure (``measure.*``), and ``taus``.
``steps.jsonl``
    one line for each step: its numbers, the digest of each array, the link of the hash chain
    (SHA-256 of the previous link and this step's numbers), and where the arrays lie.
``segment-000001.npz``, …
    arrays of saved steps, flat and one after the other under each name; a line gives each
    array's offset and shape. An array equal to that of the step before is not written twice.
``checkpoint-00000064.npz``, …
    the last two states from which the run can go on.

Each file and each line ends in the SHA-256 of its own bytes (`text`, `archive`). Reading streams:
one line and one segment are in memory at a time. Only NumPy and the standard library are used,
nothing is unpickled, links are refused, and sizes are compared with a limit before any
allocation. Every defect is a `StoreError` that names the file or the line; `Altered` if a
checksum does not fit, `Impossible` if what is stored is intact but senseless. For other programs
that write runs, docs/certificate-format.md spells all of it out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..functionals.identity import array_digest, spec_digest
from ..measures.base import Array, Measure
from ..problem import clock
from ..status import Status, StoreError
from .archive import LIMIT, read_archive
from .checked import DEFECTS, measure_of, status_named, whole
from .files import explained, folder_path, read_whole
from .layout import (
    INITIAL,
    KEPT_CHECKPOINTS,
    NAME,
    RUN,
    STEPS,
    VERSION,
    checkpoints,
    first_link,
    part,
)
from .lines import Line, StoredStep, gathered, line_of, steps_of, whole_lines
from .segment import Segments
from .text import TEXT_LIMIT, Altered, Impossible, decode, parse, read_number, unseal

__all__ = ["Altered", "Impossible", "StoredProblem", "StoredRun", "StoredStep", "most_entries",
           "read_run"]  # fmt: skip


@dataclass(frozen=True)
class StoredProblem:
    """A question as its answer's store remembers it: all but the functional itself."""

    stored_spec: Mapping[str, Any] = field(repr=False)
    initial: Measure
    taus: Array = field(repr=False)

    @property
    def steps(self) -> int:
        """Number of steps asked for."""
        return len(self.taus)

    @property
    def times(self) -> Array:
        """Times 0, τ_1, τ_1+τ_2, …, shape (steps+1,)."""
        return clock(self.taus)

    def spec(self) -> dict[str, Any]:
        """The identity that the problem had when the run was started."""
        return dict(self.stored_spec)

    def digest(self) -> str:
        """Hash of `spec`."""
        return spec_digest(self.stored_spec)


@dataclass(frozen=True)
class StoredRun:
    """A run on disk: its header, and its steps as a stream."""

    path: Path
    version: int
    problem: StoredProblem
    initial_energy: float
    status: Status
    length: int
    head: str
    created: Mapping[str, Any]
    steppers: tuple[Mapping[str, Any], ...]
    limit: int = field(default=LIMIT, repr=False)
    largest: float = field(default=math.inf, repr=False)

    @property
    def start(self) -> str:
        """First link of the hash chain."""
        return first_link(self.problem.digest(), self.initial_energy)

    def steps(self, until: int | None = None) -> Iterator[StoredStep]:
        """The steps in order, verified as they are read.

        With ``until``, reading ends after that step. Without, the number of steps and the chain's
        last link are compared with run.json; a last line that is cut off is passed over where
        the run had no chance to end (its status is RUNNING).

        Raises
        ------
        StoreError
            Naming the file and the line that is defective.
        """
        segments = Segments(self.path, self.limit, self.largest)
        for lines in gathered(self._verified(until), segments):
            yield from steps_of(lines)

    def __iter__(self) -> Iterator[StoredStep]:
        return self.steps()

    def _verified(self, until: int | None) -> Iterator[Line]:
        """Lines in order, each continuing the chain, and the end as it should be."""
        link, count = self.start, 0
        reached = max((step for step, _ in checkpoints(self.path)), default=None)
        for where, raw, end in self._lines():
            if count == until:
                return
            line = line_of(raw, where, link, count + 1, end)
            link, count = line.data["link"], count + 1
            yield line
        if until is None:
            self._check_end(count, link, reached)

    def _lines(self) -> Iterator[tuple[str, bytes, int]]:
        file, running = self.path / STEPS, self.status is Status.RUNNING
        if running and self.length == 0 and not file.exists():
            return iter(())
        return whole_lines(file, torn=running)

    def _check_end(self, count: int, link: str, reached: int | None) -> None:
        running = self.status is Status.RUNNING
        # without checkpoints, as other programs write it, a run can be read but not gone on with
        if reached is not None and (reached > count or (reached < count and not running)):
            raise StoreError(
                f"{self.path / STEPS} holds {count} steps, but the newest checkpoint is of step "
                f"{reached}: lines or checkpoints were lost"
            )
        if count < self.length or (count > self.length and not running):
            raise StoreError(
                f"{self.path / STEPS} holds {count} steps, but {RUN} says {self.length}: "
                "lines were lost or added"
            )
        if count == self.length and link != self.head:
            raise Altered(f"{self.path / STEPS}: the chain does not end as {RUN} says")


def most_entries(asked: Measure) -> int:
    """Entries that an array of a measure may have where this initial measure was asked about.

    Honest steps keep points or split them. A forger may name one large array a million times.
    """
    return max(4096, 8 * max(a.size for a in asked.to_arrays().values()))


def read_run(
    path: str | os.PathLike[str], *, limit: int = LIMIT, largest: float = math.inf
) -> StoredRun:
    """Open a stored run for reading.

    Parameters
    ----------
    path : str or Path
        The run's folder.
    limit : int
        Largest file that may be read into memory, in bytes.
    largest : float
        Most entries that an array of a measure may have, and the root of those of a witness; a
        larger initial measure is `Impossible`, larger steps are not read.

    Returns
    -------
    StoredRun
        Its header is verified; the steps are verified as they are read.

    Raises
    ------
    StoreError
        If there is no run, it is damaged, or a newer version wrote it.

    Examples
    --------
    >>> read_run("no/such/folder")
    Traceback (most recent call last):
        ...
    jkoflow.status.StoreError: no/such/folder holds no run: it has no run.json
    """
    run = read_header(folder_path(path), limit, largest)
    for _, file in checkpoints(run.path)[-KEPT_CHECKPOINTS:]:
        try:
            read_archive(file, limit)
        except StoreError:
            if os.path.lexists(file):  # else a run that is going on has just replaced it
                raise
    return run


def read_header(path: Path, limit: int = LIMIT, largest: float = math.inf) -> StoredRun:
    """`read_run` without looking at the checkpoints."""
    file = path / RUN
    with explained("read", file):
        missing = not file.exists() and not file.is_symlink()
    if missing:
        raise StoreError(f"{path} holds no run: it has no {RUN}")
    data = read_whole(file, min(limit, TEXT_LIMIT))
    _check_version(data, file)
    head = unseal(data.rstrip(b"\n"), str(file))
    try:
        return StoredRun(
            path=path,
            version=VERSION,
            problem=_problem(path, head, limit, largest),
            initial_energy=read_number(head["initial_energy"], f"{file}: initial_energy"),
            status=status_named(head["status"], str(file)),
            length=whole(head["steps"], f"{file}: steps"),
            head=str(head["head"]),
            created=_object(head.get("created", {})),
            steppers=tuple(_object(entry) for entry in head.get("steppers", ())),
            limit=limit,
            largest=largest,
        )
    except DEFECTS as error:
        raise Impossible(f"{file} lacks or garbles {error}") from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Impossible(f"{RUN} holds {value!r:.80} where an object should be")
    return value


def _check_version(data: bytes, file: Path) -> None:
    """Said before the seal is looked at: a future format may seal in another way."""
    head = parse(data, str(file))
    if head.get("format") != NAME:
        raise StoreError(f"{file} does not describe a run of jkoflow")
    version = head.get("version")
    if type(version) is not int or version < 1:  # no bool, which is an int too
        raise StoreError(f"{file}: {version!r:.40} is no version number")
    if version > VERSION:
        raise StoreError(
            f"{file} has format version {version}, this jkoflow reads up to {VERSION}: "
            "install a newer jkoflow"
        )


def _problem(
    path: Path, head: Mapping[str, Any], limit: int, largest: float
) -> StoredProblem:
    spec = decode(head["problem"])
    if spec_digest(spec) != head["digest"]:
        raise Altered(f"{path / RUN}: the problem's spec does not have the hash next to it")
    arrays = read_archive(path / INITIAL, limit)
    where = str(path / INITIAL)
    taus = arrays.get("taus", np.zeros(0))
    given = part(arrays, "measure")
    if any(a.size > largest for a in given.values()):
        raise Impossible(f"{where} holds a measure far larger than the one that was asked about")
    initial = measure_of(spec["initial"]["kind"], given, where)
    if array_digest(taus) != spec["taus"] or taus.shape != (spec["steps"],):
        raise Altered(f"{where}: the steps tau are not those of the problem's spec")
    found = {name: array_digest(a) for name, a in given.items()}
    if found != spec["initial"]["arrays"]:
        raise Altered(f"{where}: the initial measure is not that of the problem's spec")
    return StoredProblem(spec, initial, taus)
