"""What `flow` does with each record: keep it, store it, show it, ask whether to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..arguments import is_whole
from ..record import StepRecord
from ..status import InvalidProblem, Status, StoreError
from .interrupts import Interrupts
from .observers import Event, Observer, observe
from .progress import progress_bar
from .schedule import Schedule
from .trajectory import Trajectory


class Consumer:
    """Takes records until the run ends, and closes the store however it ends."""

    def __init__(
        self,
        trajectory: Trajectory,
        book: Any,
        save: Schedule,
        observers: Iterable[Observer | observe],
        events: Iterable[Event],
        stop: int,
        progress: bool,
    ) -> None:
        self._trajectory, self._book, self._save, self._stop = trajectory, book, save, stop
        self._watchers = [o if isinstance(o, observe) else observe(o) for o in observers]
        self._events = list(events)
        self._bar = progress_bar(progress, stop, len(trajectory))
        self._interrupts = Interrupts()

    def run(self, steps: Iterator[StepRecord], resumed: StepRecord | None) -> None:
        """Consume ``steps``; the trajectory then holds them, and its status says how it ended."""
        trajectory = self._trajectory
        with self._interrupts, _attached(trajectory):
            try:
                trajectory.status = self._consume(steps, resumed)
            except KeyboardInterrupt:
                trajectory.status = Status.INTERRUPTED
            except BaseException as error:
                asked = not isinstance(error, Exception)  # to leave, by sys.exit for instance
                trajectory.status = Status.INTERRUPTED if asked else Status.FAILED
                with suppress(StoreError):  # the first error is the one to report
                    self._close()
                raise
            self._close()

    def _consume(self, steps: Iterator[StepRecord], resumed: StepRecord | None) -> Status:
        if resumed is not None and self._wants_end(resumed):
            return Status.EVENT
        while len(self._trajectory) < self._stop:
            record = next(steps)
            if not record.status.ok:
                self._trajectory.failed = record
                return record.status
            last = record.index == self._trajectory.problem.steps
            with self._interrupts.held():
                self._keep(record, last)
            for watcher in self._watchers:
                watcher.notify(record, last)
            if self._wants_end(record):
                return Status.EVENT
        done = self._stop == self._trajectory.problem.steps
        return Status.COMPLETE if done else Status.MAX_STEPS

    def _keep(self, record: StepRecord, last: bool) -> None:
        keep = self._save.due(record.index, record.time, last, record.tau)
        self._trajectory.add(record, keep)
        self._book.write(record, keep)
        self._bar.update(1)

    def _wants_end(self, record: StepRecord) -> bool:
        return any(bool(event(record)) for event in self._events)

    def _close(self) -> None:
        with suppress(KeyboardInterrupt), self._interrupts.held():  # the run is over anyway
            self._bar.close()
            self._book.close(self._trajectory)


def functions_of_records(given: Any, name: str) -> list[Any]:
    """Observers or events as a list; each is a function of a record, or an `observe`.

    Raises
    ------
    InvalidProblem

    Examples
    --------
    >>> functions_of_records([print], "events")
    [<built-in function print>]
    """
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise InvalidProblem(f"{name} must be a list of functions of a record, not {given!r:.100}")
    functions = list(given)
    for f in functions:
        if not callable(f) and not (name == "observers" and isinstance(f, observe)):
            raise InvalidProblem(f"{name} must be functions of a record, but one is {f!r:.100}")
    return functions


@contextmanager
def _attached(trajectory: Trajectory) -> Iterator[None]:
    """Give every error that passes the steps taken so far."""
    try:
        yield
    except Exception as error:
        with suppress(AttributeError):
            error.trajectory = trajectory  # type: ignore[attr-defined]
        raise


def open_book(store: Any, problem: Any, stepper: Any) -> Any:
    """The open store of a run; one that does nothing where none is wanted."""
    from ..store.book import NoBook
    from ..store.directory import Directory

    if store is None:
        return NoBook()
    directory = store if isinstance(store, Directory) else Directory(store)
    return directory.book(problem, stepper)


def resume_from(book: Any, trajectory: Trajectory) -> StepRecord | None:
    """`Book.restore`, which lets go of the folder if it cannot be read."""
    try:
        return book.restore(trajectory)
    except BaseException:
        book.release()
        raise


def stop_at(steps: int, taken: int, max_steps: int | None) -> int:
    """The step after which this call ends.

    Examples
    --------
    >>> stop_at(10, taken=3, max_steps=4), stop_at(10, taken=8, max_steps=4)
    (7, 10)
    """
    return steps if max_steps is None else min(steps, taken + max_steps)


def limit(max_steps: Any) -> int | None:
    """``max_steps``, if it is a nonnegative integer or None.

    Raises
    ------
    InvalidProblem
    """
    if max_steps is None:
        return None
    if not is_whole(max_steps, least=0):
        raise InvalidProblem(f"max_steps must be a nonnegative integer, but is {max_steps!r:.100}")
    return int(max_steps)
