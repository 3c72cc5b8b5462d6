"""What to keep of a multilayer network's run: statistics of its weights at given times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..functionals.answers import said
from ..measures.base import Array, finite_array
from ..networks.multilayer import Weights
from ..status import InvalidProblem, JkoflowError

LayerStatistic = Callable[[Weights], ArrayLike]


@dataclass(frozen=True)
class LayerRecording:
    """At the SGD times t, rounded to steps, keep named statistics and, if asked, all weights.

    Parameters
    ----------
    times : array_like
        SGD times t = kε, from 0 to the end of the run.
    statistics : mapping of name to callable
        Weights, a tuple of one array for each layer, ↦ number or array of fixed shape. The
        arrays are read-only.
    snapshots : bool
        Whether to keep the weights: as many numbers as the network has, for each time.

    Examples
    --------
    >>> LayerRecording([0.0], {"mean output weight": lambda w: w[-1].mean()}).snapshots
    False
    """

    times: ArrayLike
    statistics: Mapping[str, LayerStatistic] = field(default_factory=dict)
    snapshots: bool = False


class LayerRecorder:
    """Collects what a `LayerRecording` asks for."""

    def __init__(self, record: Any, epsilon: float, steps: int) -> None:
        if not isinstance(record, LayerRecording):
            record = LayerRecording([] if record is None else record, snapshots=True)
        self.recording: LayerRecording = record
        times = finite_array(record.times, "record times", ndim=1)
        if times.size and (times.min() < 0 or times.max() > epsilon * (steps + 0.5)):
            raise InvalidProblem(
                f"record times must lie between 0 and steps·epsilon = {epsilon * steps:g}, but "
                f"range from {times.min():g} to {times.max():g}"
            )
        for name, statistic in record.statistics.items():
            if not callable(statistic):
                raise InvalidProblem(
                    f"statistic {name!r} must be a function of the weights, not "
                    f"{type(statistic).__name__}"
                )
        self.due = np.unique(np.rint(times / epsilon).astype(np.int64))
        self.values: dict[str, list[Array]] = {name: [] for name in record.statistics}
        self.snapshots: list[Weights] = []
        self.count = 0

    def next_due(self, otherwise: int) -> int:
        """The next step after which something is to be recorded."""
        return int(self.due[self.count]) if self.count < len(self.due) else otherwise

    def record(self, theta: Weights) -> None:
        """Evaluate everything at θ; nothing is kept unless all of it succeeded."""
        seen = tuple(_read_only(w) for w in theta)
        found = {name: self._evaluate(name, f, seen) for name, f in
                 self.recording.statistics.items()}  # fmt: skip
        for name, value in found.items():
            self.values[name].append(value)
        if self.recording.snapshots:
            self.snapshots.append(tuple(w.copy() for w in theta))
        self.count += 1

    def _evaluate(self, name: str, statistic: LayerStatistic, theta: Weights) -> Array:
        try:
            value = statistic(theta)
            array = np.array(value)
        except JkoflowError:
            raise
        except Exception as error:  # a user's statistic may raise anything
            raise InvalidProblem(said(f"statistic {name!r}", error)) from error
        if array.dtype.kind not in "biuf":
            raise InvalidProblem(f"statistic {name!r} must give real numbers, not {value!r:.100}")
        earlier = self.values[name]
        if earlier and earlier[0].shape != array.shape:
            raise InvalidProblem(
                f"statistic {name!r} changed its shape from {earlier[0].shape} to {array.shape}"
            )
        return array

    def times(self, epsilon: float) -> Array:
        """SGD times t = kε of what was recorded."""
        return np.asarray(epsilon * self.due[: self.count], dtype=float)

    def statistics(self) -> dict[str, Array]:
        """Name → array with one row for each recorded time."""
        return {name: np.array(values) for name, values in self.values.items()}


def _read_only(w: Array) -> Array:
    view = w.view()
    view.flags.writeable = False
    return view
