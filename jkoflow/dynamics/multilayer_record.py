"""What to keep of a multilayer network's run: statistics of its weights at given times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from ..measures.base import Array
from ..networks.multilayer import Weights
from ..status import InvalidProblem
from .records import Records

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


class LayerRecorder(Records):
    """Collects what a `LayerRecording` asks for."""

    def __init__(self, record: Any, epsilon: float, steps: int) -> None:
        if not isinstance(record, LayerRecording):
            record = LayerRecording([] if record is None else record, snapshots=True)
        self.recording: LayerRecording = record
        super().__init__(record.times, record.statistics, epsilon, steps)
        for name, statistic in record.statistics.items():
            if not callable(statistic):
                raise InvalidProblem(
                    f"statistic {name!r} must be a function of the weights, not "
                    f"{type(statistic).__name__}"
                )
        self.snapshots: list[Weights] = []

    def record(self, theta: Weights) -> None:
        """Evaluate everything at θ; nothing is kept unless all of it succeeded."""
        seen = tuple(_read_only(w) for w in theta)
        self.keep({name: partial(f, seen) for name, f in self.recording.statistics.items()})
        if self.recording.snapshots:
            self.snapshots.append(tuple(w.copy() for w in theta))


def _read_only(w: Array) -> Array:
    view = w.view()
    view.flags.writeable = False
    return view
