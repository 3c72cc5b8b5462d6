"""The Gibbs fixed point ρ* = exp(−βΨ(·;ρ*))/Z on the line, for radial laws, and on grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import is_finite, is_whole
from ..functionals.base import Functional
from ..measures.base import Measure, real_array
from ..measures.cells import Cells
from ..measures.grid import Grid
from ..measures.quantiles import Quantiles
from ..measures.radial import Radial
from ..status import InvalidMeasure, InvalidProblem, NotDefined
from .axis import Axis, fit_axis
from .dual import maximise_dual
from .grid_gibbs import gibbs_on_grid, grid_on_box
from .law import law_of_density
from .on_axis import solve_on_axis
from .parts import Gibbs, classify, split_free_energy


def solve_gibbs(
    F: Functional,
    domain_or_initial: Measure | Sequence[Any],
    *,
    n: int | None = None,
    tolerance: float = 1e-12,
    max_iterations: int = 200,
) -> Gibbs:
    """Solve ρ* = exp(−βδS/δρ(·;ρ*))/Z for F = S + H/β.

    Parameters
    ----------
    F : Functional
        A smooth part S plus a positive multiple 1/β of `Entropy`.
    domain_or_initial : Measure or (lower, upper)
        A `Quantiles` or `Radial` law, whose kind and dimension say where to look; or an interval
        of the line with walls. A `Grid`, in up to three dimensions, on whose cells ρ* is solved
        for, and whose density is where interactions start from; or a box in R² or R³ with walls,
        of which ``lower`` and ``upper`` are the corners.
    n : int, optional
        Number of cells of the measure that comes back: 1000. On boxes, cells an axis: 200 or 60.
    tolerance : float
        On the gap, relative to 1 + |F|.

    Notes
    -----
    Where S is made of potentials and risks, ρ* is determined by the q residuals
    e = y − ∫φ dρ, which maximise the concave dual (with weights doubled for R, not halved)

        D(e) = Σ w_q (e_q y_q − e_q²/2) − (1/β) log ∫ exp(−β(V − Σ_q w_q e_q φ_q)),

    by Newton's method in R^q: F(ρ) ≥ D(e) for every ρ and e. Any other S goes through a damped
    fixed-point iteration on the density; on grids Newton–Krylov finishes it.

    On a grid it is the discrete problem that is solved, and V may be +∞ in obstacles.

    Raises
    ------
    NotDefined
        If F has no entropy, or another internal energy.
    InvalidProblem
        If the Gibbs density is not integrable.

    Examples
    --------
    >>> from jkoflow import Entropy, Quantiles, QuadraticPotential
    >>> star = solve_gibbs(QuadraticPotential(2.0) + Entropy() / 3.0, Quantiles.normal(0, 1, 10))
    >>> round(float(np.exp(2 * star.log_partition) / (2 * np.pi)), 10)      # variance 1/(βλ)
    0.1666666667
    """
    if not (n is None or is_whole(n)) or not is_whole(max_iterations):
        raise InvalidProblem(
            f"n and max_iterations must be positive integers, not {n!r:.50}, {max_iterations!r:.50}"
        )
    n, max_iterations = None if n is None else int(n), int(max_iterations)
    if not (is_finite(tolerance) and tolerance > 0):
        raise InvalidProblem(f"tolerance must be positive and finite, but is {tolerance!r:.100}")
    grid = _grid(domain_or_initial, n)
    if grid is not None:
        return gibbs_on_grid(F, grid, tolerance, max_iterations)
    smooth, beta = split_free_energy(F)
    place = _Place(domain_or_initial)
    smooth = smooth.on(place.law)  # an interaction of radial laws is none of their radii
    linear, risks, other = classify(smooth)
    if not other:
        found = maximise_dual(linear, risks, beta, place.axis, tolerance, max_iterations)
    else:
        found = solve_on_axis(
            smooth, beta, place.axis, place.start, tolerance, max_iterations
        )
    axis, log_density = found.axis, found.log_density
    x, w = axis.points[:, None], axis.masses(log_density)
    variation = smooth.first_variation_at_points(x, w, x)
    log_z = axis.log_integral(-beta * variation)
    energy = smooth.value_at_points(x, w) + float(w @ log_density) / beta
    gap = found.gap if F.smooth.convex_in_mixtures else math.inf
    return Gibbs(
        measure=law_of_density(axis, log_density, 1000 if n is None else n),
        free_energy=energy,
        gap=gap,
        log_partition=log_z,
        beta=beta,
        residual=float(w @ np.abs(log_density + beta * variation + log_z)),
        iterations=found.iterations,
        status=found.status,
        axis=axis,
        log_density=log_density,
    )


def _grid(where: Measure | Sequence[Any], n: int | None) -> Grid | None:
    """The grid that is given, or that of a box in R² or R³; None for any other place."""
    if isinstance(where, Grid):
        return where
    try:
        ends = None if isinstance(where, Measure) else real_array(where, "the domain")
    except InvalidMeasure:
        return None
    if ends is None or ends.shape not in ((2, 2), (2, 3)):
        return None
    if not np.isfinite(ends).all() or (ends[0] >= ends[1]).any():
        raise InvalidProblem(f"a box is (lower, upper), lower < upper, not {where!r:.90}")
    return grid_on_box(ends[0], ends[1], n)


class _Place:
    """Where the fixed point lives: the line, an interval, or radii."""

    def __init__(self, where: Measure | Sequence[float]) -> None:
        self.radial, self.dim, self.fixed = False, 1, False
        self.law: Measure
        self.start = np.zeros((1, 1)), np.ones(1)
        if isinstance(where, Radial):
            self.radial, self.dim = True, where.dim
            self.lower, self.upper = 0.0, float(where.edges[-1])
        elif isinstance(where, Quantiles):
            self.lower, self.upper = float(where.edges[0]), float(where.edges[-1])
        elif isinstance(where, Measure):
            raise NotDefined(
                f"solve_gibbs works on Quantiles, Radial and Grid, not on {type(where).__name__}: "
                "give one of them, it only says where to look"
            )
        else:
            self.lower, self.upper, self.fixed = *self._interval(where), True
            self.law = Quantiles([self.lower, self.upper])
            self.start = np.array([[0.5 * (self.lower + self.upper)]]), np.ones(1)
        if isinstance(where, Cells):
            self.law = where
            self.start = where.points, where.weights
        if self.upper <= self.lower:
            self.upper = self.lower + 1.0

    @staticmethod
    def _interval(where: Sequence[float]) -> tuple[float, float]:
        try:
            ends = real_array(where, "the domain")
        except InvalidMeasure as error:
            raise InvalidProblem(
                f"give a Quantiles or Radial law, or (lower, upper): {error}"
            ) from error
        if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] >= ends[1]:
            raise InvalidProblem(f"a domain is (lower, upper), lower < upper, not {where!r:.90}")
        return float(ends[0]), float(ends[1])

    def axis(self, log_f: Any) -> Axis:
        """The axis on which exp(log f) lives."""
        return fit_axis(
            log_f, self.lower, self.upper, radial=self.radial, dim=self.dim, fixed=self.fixed
        )
