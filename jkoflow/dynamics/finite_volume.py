"""Finite volumes: the equation ∂_t ρ = ∇·(ρ∇δF/δρ) on a grid by implicit Euler, without W2."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite, whole
from ..functionals.base import Functional
from ..measures.base import Array, finite_array
from ..measures.grid import Grid
from ..problem import clock, step_sizes
from ..status import (
    InvalidFunctional,
    InvalidMeasure,
    InvalidProblem,
    Status,
    StepFailed,
)
from .finite_volume_solver import Solver

_HALVINGS = 12  # of a step that Newton's method cannot take at once


@dataclass(frozen=True)
class FiniteVolumeRun:
    """What `finite_volume` returns.

    ``times`` and ``energies`` are those of all steps, the start included; ``measures`` are the
    recorded densities, at ``recorded`` times, the last one always among them.
    """

    times: Array
    energies: Array
    recorded: Array
    measures: list[Grid] = field(repr=False)
    status: Status
    iterations: int
    factorisations: int
    substeps: int

    @property
    def final(self) -> Grid:
        """The density at the end."""
        return self.measures[-1]

    def at(self, time: float) -> Grid:
        """The recorded density nearest to a time."""
        return self.measures[int(np.argmin(np.abs(self.recorded - time)))]


def finite_volume(
    F: Functional,
    initial: Grid,
    *,
    dt: float | ArrayLike,
    steps: int | None = None,
    t_end: float | None = None,
    record: ArrayLike | None = None,
    tolerance: float = 1e-12,
    max_iterations: int = 40,
    throw: bool = True,
) -> FiniteVolumeRun:
    """Follow the W2 gradient flow of F on a grid with walls, by an implicit finite-volume scheme.

    What practitioners use, as a reference for JKO steps: it solves no transport problem and
    certifies nothing, but it is fast. Through a face between cells l and r at a distance h goes

        J = (1/h)(a(s)ρ_l − a(−s)ρ_r),    s = φ_r − φ_l,    a(s) = cB(s/c),  B(z) = z/(e^z − 1),

    with c the coefficient of the entropy (Scharfetter and Gummel; at c = 0 upwind, a(s) = (−s)⁺)
    and φ = V + U'(ρ) of the new density + δS at the mean of the old and the new one.

    * Mass is conserved to rounding and densities stay nonnegative.
    * F decreases whatever dt is, if its internal energies are convex and S is quadratic, as
      interactions and risks are.
    * Discrete Gibbs states ρ ∝ exp(−V/c) at the cells' centres do not move.
    * The error is O(dt) + O(h²) for V and the entropy, O(dt) + O(h) for the upwind flux.
    * No mass passes walls, nor goes where V = +∞; unlike transport by W2, it goes round obstacles.

    Parameters
    ----------
    F : Functional
        Potentials and other smooth terms, `Entropy`, positive multiples of `PowerEnergy`.
    initial : Grid
        In one to three dimensions.
    dt : float or array_like
        Step, or one for each step, in JKO time.
    steps, t_end : int, float
        As for `Problem`: give one of them.
    record : array_like, optional
        Times at which to keep densities, rounded to steps; all if not given.
    tolerance : float
        Of Newton's method, on the mass that the equation is short of in a step.
    max_iterations : int
        Of Newton's method. A step that it fails to take is taken in two halves, and so on.
    throw : bool
        Raise `StepFailed` if that fails too, with the run so far; else its status says so.

    Returns
    -------
    FiniteVolumeRun

    Raises
    ------
    InvalidProblem, InvalidMeasure, InvalidFunctional, NotDefined
        For arguments that make no sense, mass in obstacles, F infinite at the start, and
        internal energies that the scheme does not know.
    StepFailed
        If Newton's method does not converge.

    Notes
    -----
    Where F is linear in ρ up to the entropy, the matrix is factored once; elsewhere Newton's
    directions come from BiCGSTAB with the last factorisation, or with the diagonal alone for many
    cells in three dimensions.

    R. Bailo, J. A. Carrillo, J. Hu, Fully discrete positivity-preserving and energy-dissipating
    schemes for aggregation-diffusion equations with a gradient-flow structure (2020);
    D. L. Scharfetter, H. K. Gummel (1969).

    Examples
    --------
    >>> from jkoflow import Entropy, QuadraticPotential
    >>> rho = Grid.from_function(lambda x: np.exp(-(x[:, 0] - 1) ** 2), -4.0, 4.0, 200)
    >>> run = finite_volume(QuadraticPotential(1.0) + Entropy(), rho, dt=0.01, t_end=1.0)
    >>> bool((np.diff(run.energies) < 0).all())
    True
    >>> round(float(run.final.mean()[0]), 3), round(float(np.exp(-1.0)), 3)
    (0.37, 0.368)
    """
    _check(F, initial, tolerance, max_iterations)
    try:
        taus = step_sizes(dt, steps, t_end)
    except InvalidProblem as error:
        raise InvalidProblem(f"dt, steps, t_end: {error}") from error
    times = clock(taus)
    due = _due(record, times)
    solver = Solver(F, initial, float(tolerance), int(max_iterations))
    energies = [_energy(F, initial)]
    kept = [(0.0, initial)] if 0 in due else []
    rho, mu, status, substeps = initial.density.ravel(), initial, Status.COMPLETE, 0
    for k, tau in enumerate(taus, 1):
        found, used = _advance(solver, rho, float(tau))
        if found is None:
            status = Status.MAX_ITERATIONS
            break
        mu = Grid(found.reshape(initial.shape), initial.lower, initial.upper)
        rho, substeps = mu.density.ravel(), substeps + used
        energies.append(float(F.value(mu)))
        if k in due or k == len(taus):
            kept.append((float(times[k]), mu))
    done = len(energies) - 1
    if not kept or (status is not Status.COMPLETE and kept[-1][0] != times[done]):
        kept.append((float(times[done]), mu))
    run = FiniteVolumeRun(
        times[: done + 1], np.array(energies), np.array([t for t, _ in kept]),
        [nu for _, nu in kept], status, solver.iterations, solver.factorisations, substeps,
    )  # fmt: skip
    if throw and status is not Status.COMPLETE:
        raise StepFailed(
            f"Newton's method failed in step {done + 1}, even in {2**_HALVINGS} parts: take a "
            "smaller dt; the run so far is in this error's trajectory", run,
        )  # fmt: skip
    return run


def _advance(
    solver: Solver, rho: Array, dt: float, halvings: int = _HALVINGS
) -> tuple[Array | None, int]:
    """One step, or as many halves of it as it takes; and how many."""
    found = solver.step(rho, dt)
    if found is not None:
        return found, 1
    if halvings == 0:
        return None, 0
    first, used = _advance(solver, rho, 0.5 * dt, halvings - 1)
    if first is None:
        return None, used
    second, more = _advance(solver, first, 0.5 * dt, halvings - 1)
    return second, used + more


def _check(F: object, initial: object, tolerance: object, max_iterations: object) -> None:
    if not isinstance(F, Functional):
        raise InvalidProblem(f"F must be a functional, not {type(F).__name__}")
    if not isinstance(initial, Grid):
        raise InvalidMeasure(
            f"finite volumes need a density on a Grid, not {type(initial).__name__}: "
            "Grid.from_function(f, lower, upper, shape)"
        )
    if not (is_finite(tolerance) and 0 < tolerance < 1):  # type: ignore[operator]
        raise InvalidProblem(f"tolerance must lie in (0, 1), but is {tolerance!r:.80}")
    whole(max_iterations, "max_iterations")


def _energy(F: Functional, mu: Grid) -> float:
    energy = float(F.value(mu))
    if not np.isfinite(energy):
        raise InvalidFunctional(f"F is {energy} at the initial density: start from a finite energy")
    return energy


def _due(record: ArrayLike | None, times: Array) -> set[int]:
    """Numbers of the steps to keep."""
    if record is None:
        return set(range(len(times)))
    wanted = np.atleast_1d(finite_array(record, "record"))
    if wanted.ndim != 1 or (wanted < 0).any() or (wanted > times[-1] * (1 + 1e-9)).any():
        raise InvalidProblem(f"times to record must lie in [0, {times[-1]:g}], not {wanted}")
    return {int(np.argmin(np.abs(times - t))) for t in wanted}
