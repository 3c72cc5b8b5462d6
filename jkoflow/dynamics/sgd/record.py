"""What to keep of an SGD run: statistics and snapshots at given times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from ...functionals.base import Functional
from ...measures.base import Array, finite_array
from ...measures.particles import Particles
from ...networks.units import Unit
from ...status import InvalidProblem
from ..records import Records

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


class Recorder(Records):
    """Collects what a `Recording` asks for."""

    def __init__(self, recording: Recording, epsilon: float, steps: int) -> None:
        super().__init__(recording.times, recording.statistics, epsilon, steps)
        for name, statistic in recording.statistics.items():
            if not callable(statistic) and not isinstance(statistic, Functional):
                raise InvalidProblem(
                    f"statistic {name!r} must be a function of theta (N, D) or a functional, not "
                    f"{type(statistic).__name__}"
                )
        self.recording = recording
        self.snapshots: list[Particles] = []

    def record(self, theta: Array) -> None:
        """Evaluate everything at θ; nothing is kept unless all of it succeeded."""
        points = np.asarray(theta, dtype=float)
        points.setflags(write=False)
        mu = Particles(points)
        self.keep({
            name: partial(f.value, mu) if isinstance(f, Functional) else partial(f, mu.points)
            for name, f in self.recording.statistics.items()
        })  # fmt: skip
        if self.recording.snapshots:
            self.snapshots.append(mu)
