"""When something happens along a flow, as a value apart from what happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from ..status import InvalidProblem


class Schedule(ABC):
    """Decides, for each step, whether it is due; the start is step 0."""

    @abstractmethod
    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        """Whether step ``index``, of size ``tau`` and ending at ``time``, is due."""

    def __or__(self, other: Schedule) -> Schedule:
        return _Either(self, other)


@dataclass(frozen=True)
class _Either(Schedule):
    first: Schedule
    second: Schedule

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return self.first.due(index, time, last, tau) or self.second.due(index, time, last, tau)


@dataclass(frozen=True)
class every(Schedule):  # noqa: N801 - reads as a word: save=every(10)
    """Each ``steps``-th step, the start and the last step.

    Examples
    --------
    >>> [k for k in range(8) if every(3).due(k, 0.1 * k, k == 7, 0.1)]
    [0, 3, 6, 7]
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or int(self.steps) != self.steps or self.steps < 1:
            raise InvalidProblem(f"every(n) needs a positive integer, not {self.steps!r}")

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return index % self.steps == 0 or last


@dataclass(frozen=True)
class at_times(Schedule):  # noqa: N801
    """The first step that reaches each of the given times.

    Examples
    --------
    >>> when = at_times([0.25, 0.5])
    >>> [k for k in range(8) if when.due(k, 0.1 * k, k == 7, 0.1)]
    [3, 5]
    """

    times: tuple[float, ...]

    def __init__(self, times: Iterable[float]) -> None:
        object.__setattr__(self, "times", tuple(sorted(float(t) for t in times)))

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        slack = 1e-9 * tau
        before = time - tau if index > 0 else float("-inf")
        return any(before + slack < t <= time + slack for t in self.times)


@dataclass(frozen=True)
class only_last(Schedule):  # noqa: N801
    """The last step alone."""

    def due(self, index: int, time: float, last: bool, tau: float) -> bool:
        return last
