"""A folder as a store: made, continued, refused."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..measures.base import Measure, measure_from_arrays
from ..record import StepRecord
from ..status import InvalidMeasure, StoreError
from .archive import pack, storable
from .book import Book, Flush
from .checkpoint import newest_checkpoint
from .files import TEMPORARY, FolderLock, explained, folder_path, write_whole
from .format import StoredRun, read_header, read_run
from .header import Header
from .layout import INITIAL, RUN


@dataclass(frozen=True)
class Directory:
    """A run kept in a folder; see `jkoflow.store.format` for the files.

    Parameters
    ----------
    path : str or Path
        A folder that does not exist yet, is empty, or holds a run of the same problem, which is
        then continued.
    flush : Flush
        How much may be lost if the process is killed.

    Raises
    ------
    StoreError
        When used: if the folder holds something else, a run of another problem or a damaged one,
        is in use by another process, or cannot be written.

    Examples
    --------
    >>> import tempfile, jkoflow as jf
    >>> problem = jf.Problem(jf.Entropy(), jf.Gaussian([0.0], [[1.0]]), tau=0.1, steps=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = jf.flow(problem, store=jf.Directory(folder))
    ...     print([step.index for step in jf.Directory(folder).read()])
    [1, 2, 3]
    """

    path: Path
    flush: Flush = field(default_factory=Flush)

    def __init__(self, path: str | os.PathLike[str], flush: Flush | None = None) -> None:
        object.__setattr__(self, "path", folder_path(path))
        object.__setattr__(self, "flush", flush or Flush())

    def __fspath__(self) -> str:
        """So that a store may stand wherever its path may."""
        return str(self.path)

    @property
    def holds_run(self) -> bool:
        """Whether there is a run in the folder, whole or not."""
        return (self.path / RUN).exists()

    def read(self) -> StoredRun:
        """The run in the folder, for reading."""
        return read_run(self.path)

    def book(self, problem: Any, stepper: Any = None) -> Book:
        """Open for writing the answer to ``problem``; the folder stays locked until `Book.close`.

        Raises
        ------
        StoreError
            See the class.
        """
        if not self.holds_run:
            self._claim()
        lock = FolderLock(self.path)
        try:
            if not self.holds_run:
                return self._fresh(problem, stepper, lock)
            return self._continued(problem, stepper, lock)
        except BaseException:
            lock.release()
            raise

    def _claim(self) -> None:
        """Make the folder, or refuse one that holds anything that a run did not begin with."""
        with explained("make the folder", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            names = sorted(name for name in os.listdir(self.path) if not name.startswith("."))
        foreign = [n for n in names if n != INITIAL and not n.endswith(TEMPORARY)]
        if foreign:
            raise StoreError(
                f"{self.path} holds {', '.join(foreign[:3])}{', …' * (len(foreign) > 3)} but no "
                f"{RUN}: choose a new or an empty folder"
            )

    def _fresh(self, problem: Any, stepper: Any, lock: FolderLock) -> Book:
        _check_kind(problem.initial)
        arrays = {f"measure.{k}": a for k, a in problem.initial.to_arrays().items()}
        stored = {k: storable(a, k) for k, a in {**arrays, "taus": problem.taus}.items()}
        write_whole(self.path / INITIAL, pack(stored))
        header = Header.new(problem)
        return Book(self.path, header, stepper, self.flush, lock)

    def _continued(self, problem: Any, stepper: Any, lock: FolderLock) -> Book:
        run = read_header(self.path)
        if run.problem.digest() != problem.digest():
            raise StoreError(
                f"{self.path} holds a run of another problem ({difference(run.problem, problem)} "
                "differ): choose another folder, or delete this one"
            )
        return Book(self.path, Header.of(run), stepper, self.flush, lock, run, self._resume(run))

    def _resume(self, run: StoredRun) -> tuple[StepRecord, str] | None:
        found, troubles = newest_checkpoint(self.path)
        if found is None and (troubles or run.length > 0):
            reason = troubles[0] if troubles else "there is none"
            raise StoreError(
                f"{self.path} has no readable checkpoint to go on from ({reason}): "
                "start again in another folder"
            )
        if troubles and found is not None:
            warnings.warn(
                f"{troubles[0]}; going on from the checkpoint of step {found[0].index}",
                stacklevel=2,
            )
        return found


def difference(stored: Any, asked: Any) -> str:
    """Which parts of two problems' specs differ."""
    old, new = stored.spec(), asked.spec()
    names = {"functional": "the functionals", "initial": "the initial measures"}
    parts = [names.get(k, "the step sizes") for k in new if old.get(k) != new[k]]
    return " and ".join(dict.fromkeys(parts)) or "the specs"


def _check_kind(measure: Measure) -> None:
    """A measure that could not be read back is refused before any step is taken."""
    try:
        measure_from_arrays(measure.kind, measure.to_arrays())
    except InvalidMeasure as error:
        raise StoreError(
            f"a {type(measure).__name__} cannot be stored ({error}): register its class with "
            "jkoflow.measures.base.register"
        ) from error
