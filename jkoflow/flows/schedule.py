"""When something happens along a flow, as a value apart from what happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from sys import float_info

from ..arguments import is_finite, is_whole
from ..status import InvalidProblem


class Schedule(ABC):
    """Decides, for each step, whether it is due; schedules combine with ``|``.

    Examples
    --------
    >>> when = every(4) | at_times([0.3])
    >>> [k for k in range(1, 9) if when.due(k, 0.1 * k, k == 8, 0.1)]
    [3, 4, 8]
    """

    @abstractmethod
    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        """Whether step ``index``, of size ``tau`` and ending at ``time``, is due.

        ``last`` says that it is the last step of the problem. A run may end before (an event,
        ``max_steps``, a failure) without a last step; its end is always `Trajectory.final`.
        """

    def __or__(self, other: Schedule) -> Schedule:
        return _Either(self, as_schedule(other))


def as_schedule(schedule: object) -> Schedule:
    """``schedule`` itself, if it is one.

    Raises
    ------
    InvalidProblem
    """
    if isinstance(schedule, Schedule):
        return schedule
    raise InvalidProblem(
        f"a schedule is every(n), at_times([...]) or only_last(), not {schedule!r:.100}"
    )


@dataclass(frozen=True)
class _Either(Schedule):
    first: Schedule
    second: Schedule

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return self.first.due(index, time, last, tau) or self.second.due(index, time, last, tau)


@dataclass(frozen=True)
class every(Schedule):  # noqa: N801 - reads as a word: save=every(10)
    """Each ``steps``-th step, and the last.

    Raises
    ------
    InvalidProblem
        If ``steps`` is not a positive integer.

    Examples
    --------
    >>> [k for k in range(1, 8) if every(3).due(k, 0.1 * k, k == 7, 0.1)]
    [3, 6, 7]
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if not is_whole(self.steps):
            raise InvalidProblem(f"every(n) needs a positive integer, not {self.steps!r:.100}")

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return index % self.steps == 0 or last


@dataclass(frozen=True)
class at_times(Schedule):  # noqa: N801
    """The first step that reaches each of the given times.

    Times are sums of step sizes and carry their rounding error, which is allowed for.

    Raises
    ------
    InvalidProblem
        If a time is NaN or infinite.

    Examples
    --------
    >>> when = at_times([0.25, 0.5])
    >>> [k for k in range(1, 8) if when.due(k, 0.1 * k, k == 7, 0.1)]
    [3, 5]
    """

    times: tuple[float, ...]

    def __init__(self, times: Iterable[float]) -> None:
        asked = list(times) if isinstance(times, Iterable) else [times]
        if not all(is_finite(t) for t in asked):
            raise InvalidProblem(f"at_times needs finite times, not {times!r:.100}")
        given = tuple(sorted(float(t) for t in asked))
        object.__setattr__(self, "times", given)

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return self._reached(index, time, tau) > self._reached(index - 1, time - tau, tau)

    def _reached(self, index: int, time: float, tau: float) -> int:
        """How many of the times are reached; a sum of k steps is off by at most k·t·2⁻⁵³."""
        slack = 1e-9 * tau + index * time * float_info.epsilon
        return bisect_right(self.times, time + slack)


@dataclass(frozen=True)
class only_last(Schedule):  # noqa: N801
    """The last step of the problem alone.

    Examples
    --------
    >>> only_last().due(7, 0.7, True, 0.1)
    True
    """

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return last
