"""What happens along a flow: observers look at records, events may stop the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..record import StepRecord
from ..status import InvalidProblem
from .schedule import Schedule, as_schedule, every

Observer = Callable[[StepRecord], Any]
Event = Callable[[StepRecord], Any]


@dataclass(frozen=True)
class observe:  # noqa: N801 - reads as a word: observe(plot, when=every(10))
    """An observer that is called on a schedule only."""

    what: Observer
    when: Schedule = field(default_factory=every)

    def __post_init__(self) -> None:
        if not callable(self.what):
            raise InvalidProblem(f"observe needs a function of a record, not {self.what!r:.100}")
        as_schedule(self.when)

    def notify(self, record: StepRecord, last: bool) -> None:
        """Pass the record on if it is due."""
        if self.when.due(record.index, record.time, last, record.tau):
            self.what(record)


@dataclass
class Recorder:
    """Keeps f(measure) and the time at each step that it is shown.

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, Problem, flow
    >>> variance = Recorder(lambda mu: mu.cov()[0, 0])
    >>> _ = flow(Problem(Entropy(), Gaussian([0.0], [[1.0]]), tau=0.1, steps=2),
    ...          observers=[variance])
    >>> len(variance.values)
    2
    """

    function: Callable[[Any], Any]
    times: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def __call__(self, record: StepRecord) -> None:
        self.times.append(record.time)
        self.values.append(self.function(record.measure))


def slope_below(bound: float) -> Callable[[StepRecord], bool]:
    """An event: stop once W2(ρ_{k+1}, ρ_k)/τ, the slope of F at the new point, is small."""
    return lambda record: record.distance_squared**0.5 / record.tau < bound
