"""Between two steps: geodesics of W2 from one measure to the next."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import is_finite
from ..measures.base import Measure
from ..measures.deposit import deposit
from ..measures.gaussian import Gaussian
from ..measures.grid import Grid
from ..measures.particles import Particles
from ..record import Witness
from ..status import InvalidProblem, NotDefined
from ..transport import bures
from ..transport.motion import carried, motion
from .trajectory import Trajectory

_SAME = 1e-12  # of t_end: a time that is meant to be that of a step


def interpolate(
    before: Measure, after: Measure, t: float, witness: Witness | None = None
) -> Measure:
    """The point at t ∈ [0, 1] of the W2 geodesic from ``before`` to ``after``.

    Quantiles and radial laws with the same masses: edges move along straight lines. Gaussians:
    along the optimal map. Particles and meshes: points move along straight lines, from point i
    to point i or as the ``witness`` of the step couples them; that is the geodesic where the
    coupling is optimal. Where a coupling splits points, the measures between have a point for
    each of its entries.

    Raises
    ------
    InvalidProblem
        For t outside [0, 1].
    NotDefined
        For measures between which no geodesic is known: grids, different kinds, other masses.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> interpolate(Gaussian(0.0, 1.0), Gaussian(2.0, 9.0), 0.5)
    Gaussian(1, 4)
    >>> interpolate(Quantiles([0.0, 1.0]), Quantiles([1.0, 4.0]), 0.5).edges
    array([0.5, 2.5])
    """
    if not (is_finite(t) and 0.0 <= t <= 1.0):
        raise InvalidProblem(f"a geodesic is defined for t in [0, 1], not at {t!r:.50}")
    if isinstance(before, Gaussian) and isinstance(after, Gaussian) and before.dim == after.dim:
        return bures.geodesic(before, after, float(t))
    witness = plan_of(witness)
    if isinstance(before, Grid) and isinstance(after, Grid):
        return _between_grids(before, after, float(t), witness)
    particles = isinstance(before, Particles) and isinstance(after, Particles)
    if particles and witness is not None and witness.kind == "coupling":
        rows, columns, values = (witness.arrays[k] for k in ("rows", "columns", "values"))
        points = (1.0 - t) * before.points[columns] + t * after.points[rows]
        return Particles(points, values / values.sum())
    moved = motion(after, before, witness)
    if t == 1.0:
        return after
    between = carried(after, moved, float(t) - 1.0)
    if between is None:
        raise NotDefined(
            f"the mesh folds between the two measures, at t = {t:g}: no geodesic is known there"
        )
    return between


def _between_grids(before: Grid, after: Grid, t: float, witness: Witness | None) -> Grid:
    """Each entry of the coupling on its straight way, its mass shared by the cells around it."""
    if witness is None or witness.kind != "grid" or "values" not in witness.arrays:
        raise NotDefined("between densities on a grid the coupling in a step's witness is needed")
    rows, columns, values = (witness.arrays[k] for k in ("rows", "columns", "values"))
    x = (1.0 - t) * before.points[columns] + t * after.points[rows]
    mass = deposit(x, values / values.sum(), after.lower, after.spacing, after.shape)
    return after.with_density(mass / after.cell_volume)


def plan_of(witness: Witness | None) -> Witness | None:
    """How the witness of a step, of first or second order, couples its two measures.

    Raises
    ------
    NotDefined
        For a start of second order that split points twice.
    """
    if witness is None or witness.kind != "extrapolated":
        return witness
    arrays = witness.arrays
    orders = [arrays[k] for k in ("last.order", "first.order") if k in arrays]
    if "last.values" in arrays or "first.values" in arrays:
        if any(k.startswith("middle.") for k in arrays):
            raise NotDefined("no geodesic is known along a start that splits points")
        names = ("rows", "columns", "values")
        return Witness("coupling", {k: arrays[f"last.{k}"] for k in names})
    if not orders:
        return None
    order = orders[0] if len(orders) == 1 else np.asarray(orders[1])[np.asarray(orders[0])]
    return Witness("pairing", {"order": order})


def measure_at(run: Trajectory, t: float) -> Measure:
    """The measure of a run at time t, by `interpolate` between the steps around it.

    The geodesic between two steps is off the flow by at most (τ²/8)|x''|, x'' the acceleration
    of the points: no more than a step of first order is.

    Raises
    ------
    InvalidProblem
        If t lies outside the run's time, or the steps around it were not saved.
    NotDefined
        See `interpolate`.

    Examples
    --------
    >>> import jkoflow as jf
    >>> problem = jf.Problem(jf.QuadraticPotential(1.0), jf.Gaussian(1.0, 1.0), tau=1.0, steps=2)
    >>> measure_at(jf.flow(problem), 1.5).mean()
    array([0.375])
    """
    times = run.times
    end = float(times[-1])
    if not (is_finite(t) and 0.0 <= t <= end * (1.0 + _SAME)):
        raise InvalidProblem(f"the run knows times from 0 to {end:.6g}, not {t!r:.50}")
    k = max(1, int(np.searchsorted(times, t - _SAME * end)))
    if len(times) == 1 or math.isclose(t, 0.0, abs_tol=_SAME * end):
        return run.problem.initial
    if math.isclose(t, float(times[k]), rel_tol=0.0, abs_tol=_SAME * end):
        return run[k].measure
    before = run.problem.initial if k == 1 else run[k - 1].measure
    record: Any = run[k]
    share = (t - times[k - 1]) / (times[k] - times[k - 1])
    return interpolate(before, record.measure, float(share), record.witness)
