"""What to keep of an SGD run: statistics and snapshots at given times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..functionals.answers import said
from ..functionals.base import Functional
from ..measures.base import Array, finite_array
from ..measures.particles import Particles
from ..networks.units import Unit
from ..status import InvalidProblem, JkoflowError

Statistic = Callable[[Array], ArrayLike] | Functional


def means(theta: Array) -> Array:
    """Means of the coordinates of θ (N, D), shape (D,)."""
    return theta.mean(axis=0)


def radii(theta: Array) -> Array:
    """The law of |θ|: sorted norms, shape (N,)."""
    return np.sort(np.linalg.norm(theta, axis=1))


def radius_quantiles(levels: ArrayLike) -> Statistic:
    """Quantiles of |θ| at the given levels.

    Examples
    --------
    >>> radius_quantiles([0.5])(np.array([[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]]))
    array([2.])
    """
    p = np.asarray(levels, dtype=float)
    return lambda theta: np.quantile(np.linalg.norm(theta, axis=1), p)


def of_radii(functional: Functional) -> Statistic:
    """A functional of radial laws, at the empirical law of the radii |θ_i|."""
    return lambda theta: functional.value(Particles(np.linalg.norm(theta, axis=1)))


def test_risk(unit: Unit, x: ArrayLike, y: ArrayLike) -> Statistic:
    """Mean of (y − ŷ(x;θ))² over given rows x (m, d), y (m,).

    Examples
    --------
    >>> from jkoflow.networks.activations import relu
    >>> from jkoflow.networks.units import SimpleUnit
    >>> test_risk(SimpleUnit(relu), [[1.0], [2.0]], [0.0, 1.0])(np.array([[1.0], [0.0]]))
    0.125
    """
    inputs, targets = finite_array(x, "x", ndim=2), finite_array(y, "y")
    return lambda theta: float(np.mean((targets - unit.value(theta, inputs).mean(axis=1)) ** 2))


test_risk.__test__ = False  # type: ignore[attr-defined]  # not a test of ours


@dataclass(frozen=True)
class Recording:
    """At the SGD times t, rounded to steps, keep named statistics and, if asked, all particles.

    Parameters
    ----------
    times : array_like
        SGD times t = kε, from 0 to the end of the run.
    statistics : mapping of name to callable or Functional
        θ (N, D) ↦ number or array of fixed shape; a functional gets the empirical measure.
    snapshots : bool
        Whether to keep the particles.

    Examples
    --------
    >>> Recording([0.0, 1.0], {"mean": means, "radii": radii}).snapshots
    False
    """

    times: ArrayLike
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    snapshots: bool = False


def as_recording(record: Recording | ArrayLike | None) -> Recording:
    """A list of times means: the means, the law of |θ| and the particles at these times."""
    if record is None:
        return Recording([])
    if isinstance(record, Recording):
        return record
    return Recording(record, {"mean": means, "radii": radii}, snapshots=True)


class Recorder:
    """Collects what a `Recording` asks for."""

    def __init__(self, recording: Recording, epsilon: float, steps: int) -> None:
        times = finite_array(recording.times, "record times", ndim=1)
        if times.size and (times.min() < 0 or times.max() > epsilon * (steps + 0.5)):
            raise InvalidProblem(
                f"record times must lie between 0 and steps·epsilon = {epsilon * steps:g}, but "
                f"range from {times.min():g} to {times.max():g}"
            )
        for name, statistic in recording.statistics.items():
            if not callable(statistic) and not isinstance(statistic, Functional):
                raise InvalidProblem(
                    f"statistic {name!r} must be a function of theta (N, D) or a functional, not "
                    f"{type(statistic).__name__}"
                )
        self.due = np.unique(np.rint(times / epsilon).astype(np.int64))
        self.recording = recording
        self.values: dict[str, list[Array]] = {name: [] for name in recording.statistics}
        self.snapshots: list[Particles] = []
        self.count = 0

    def next_due(self, otherwise: int) -> int:
        """The next step after which something is to be recorded."""
        return int(self.due[self.count]) if self.count < len(self.due) else otherwise

    def record(self, theta: Array) -> None:
        """Evaluate everything at θ; nothing is kept unless all of it succeeded."""
        points = np.asarray(theta, dtype=float)
        points.setflags(write=False)
        mu = Particles(points)
        found = {name: self._evaluate(name, f, mu) for name, f in self.recording.statistics.items()}
        for name, value in found.items():
            self.values[name].append(value)
        if self.recording.snapshots:
            self.snapshots.append(mu)
        self.count += 1

    def _evaluate(self, name: str, statistic: Statistic, mu: Particles) -> Array:
        value: Any
        try:
            given = isinstance(statistic, Functional)
            value = statistic.value(mu) if given else statistic(mu.points)  # type: ignore[operator, union-attr]
            array = np.array(value)
        except JkoflowError:
            raise
        except Exception as error:  # a user's statistic may raise anything
            raise InvalidProblem(said(f"statistic {name!r}", error)) from error
        if array.dtype.kind not in "biuf":
            raise InvalidProblem(f"statistic {name!r} must give real numbers, not {value!r}")
        earlier = self.values[name]
        if earlier and earlier[0].shape != array.shape:
            raise InvalidProblem(
                f"statistic {name!r} changed its shape from {earlier[0].shape} to {array.shape}"
            )
        return array

    def statistics(self) -> dict[str, Array]:
        """Name → array with one row for each recorded time."""
        return {name: np.array(values) for name, values in self.values.items()}
