"""JKO steps of small grids as convex programs in the coupling: an oracle for the other steppers.

Over couplings π ≥ 0 of the cells' centres whose second marginal is the old masses μ,

    min Σ π_ij |x_i − x_j|²/(2τ) + F(π1),

with F as it is on a grid. It is solved as it stands, without a kernel, splines or duality.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...functionals.base import Functional
from ...functionals.internal import Congestion, Entropy, PowerEnergy
from ...functionals.risk import Risk
from ...measures.base import Array
from ...measures.grid import Grid
from ...record import Witness
from ...status import InvalidFunctional, InvalidProblem, NotDefined, Status
from ..base import StepOutput

MOST_ENTRIES = 50_000
"""Entries of a coupling up to which a cone solver is asked: 14 × 14 cells, or 220 on a line."""

Indices = NDArray[np.intp]
Solve = Callable[[Any], tuple[Status, dict[str, Any]]]


class GridProgram(NamedTuple):
    """A compiled step: cvxpy's problem, the coupling, μ and 1/2τ as parameters, μ's constraint.

    There is no problem where no cell is free.
    """

    problem: Any
    coupling: Any
    mass: Any
    pull: Any
    marginal: Any
    rows: Indices
    columns: Indices
    functional: Functional


def key_of(F: Functional, mu: Grid) -> tuple[Any, ...]:
    """What a compiled program depends on."""
    box = (mu.lower.tobytes(), mu.upper.tobytes())
    return (id(F), mu.kind, mu.shape, *box, (mu.weights > 0).tobytes())


def compiled(F: Functional, mu: Grid) -> GridProgram:
    """The program for cells that hold mass (columns) and those that are free (rows).

    Raises
    ------
    InvalidProblem
        If the coupling has too many entries.
    NotDefined, InvalidFunctional
        For terms that are not convex in ρ, or not known here.
    """
    import cvxpy as cp

    potential, curved = _smooth(F, mu)
    rows, columns = np.flatnonzero(potential < np.inf), np.flatnonzero(mu.weights > 0)
    if not len(rows):
        return GridProgram(None, None, None, None, None, rows, columns, F)
    if len(rows) * len(columns) > MOST_ENTRIES:
        raise InvalidProblem(
            f"ConvexProgram keeps the coupling of a grid's cells, here {len(rows)} × "
            f"{len(columns)} entries, at most {MOST_ENTRIES}: use BackAndForth or EntropicScaling"
        )
    coupling = cp.Variable((len(rows), len(columns)), nonneg=True)
    mass, pull = cp.Parameter(len(columns), nonneg=True), cp.Parameter(nonneg=True)
    rho = cp.sum(coupling, axis=1)
    objective = pull * cp.sum(cp.multiply(_squares(mu, rows, columns), coupling))
    objective = objective + potential[rows] @ rho
    for c, risk in curved:
        features = risk.features(mu.points[rows])
        weights = np.sqrt(c * risk.weights)
        objective = objective + cp.sum_squares(cp.multiply(weights, risk.targets - features @ rho))
    marginal = cp.sum(coupling, axis=0) == mass
    constraints = [marginal]
    for c, f in F.internal.terms:
        expression, more = _internal(c, f, rho, mu.cell_volume)
        objective, constraints = objective + expression, constraints + more
    problem = cp.Problem(cp.Minimize(objective), constraints)
    return GridProgram(problem, coupling, mass, pull, marginal, rows, columns, F)


def step_of(program: GridProgram, mu: Grid, tau: float, solve: Solve) -> StepOutput:
    """Solve, and make the answer's marginals exact."""
    if program.problem is None:
        return StepOutput(mu, {}, None, {}, Status.INFEASIBLE)
    mass = mu.weights[program.columns]
    program.mass.value, program.pull.value = mass, 0.5 / tau
    status, stats = solve(program.problem)
    if program.coupling.value is None:
        return StepOutput(mu, {}, None, stats, status)
    plan = np.maximum(np.asarray(program.coupling.value), 0.0)
    plan *= mass / plan.sum(axis=0)
    new = np.zeros(mu.weights.size)
    new[program.rows] = plan.sum(axis=1)
    rho = mu.with_density((new / (new.sum() * mu.cell_volume)).reshape(mu.shape))
    squared = float(np.vdot(plan, _squares(mu, program.rows, program.columns)))
    stats = {**stats, "objective": float(program.problem.value)}
    return StepOutput(rho, {}, _witness(program, mu, plan, tau), stats, status, squared)


def _witness(program: GridProgram, mu: Grid, plan: Array, tau: float) -> Witness | None:
    """The coupling, and the dual prices of μ as a potential on all cells."""
    i, j = np.nonzero(plan)
    if program.marginal.dual_value is None:
        return None
    # cvxpy's multiplier of Σπ = μ is minus what more of μ would cost
    psi = -np.asarray(program.marginal.dual_value)
    squares = ((mu.points[:, None] - mu.points[program.columns]) ** 2).sum(axis=2)
    phi = (squares / (2.0 * tau) - psi).min(axis=1)
    everywhere = ((mu.points[:, None] - mu.points) ** 2).sum(axis=2) / (2.0 * tau)
    potential = (everywhere - phi[:, None]).min(axis=0)
    potential[program.columns] = psi
    return Witness("grid", {
        "rows": program.rows[i].astype(np.int32), "columns": program.columns[j].astype(np.int32),
        "values": plan[i, j], "potential": potential.reshape(mu.shape),
    })  # fmt: skip


def _squares(mu: Grid, rows: Indices, columns: Indices) -> Array:
    x, y = mu.points[rows], mu.points[columns]
    return np.asarray(((x[:, None] - y) ** 2).sum(axis=2))


def _smooth(F: Functional, mu: Grid) -> tuple[Array, list[tuple[float, Risk]]]:
    """The linear terms' potential at the centres, and the risks."""
    potential, risks = np.zeros(mu.weights.size), []
    for c, f in F.smooth.terms:
        if getattr(f, "linear", False):
            potential = potential + c * f.first_variation(mu, mu.points)
        elif isinstance(f, Risk) and c >= 0:
            risks.append((c, f))
        else:
            raise NotDefined(
                f"ConvexProgram cannot read {c:g}*{f!r} on a grid: it takes potentials, risks "
                "with positive factors, and internal energies; use BackAndForth"
            )
    return potential, risks


def _internal(c: float, f: Functional, rho: Any, volume: float) -> tuple[Any, list[Any]]:
    """An internal energy of the cells' masses, relative to their mean so that cones are scaled."""
    import cvxpy as cp

    if c < 0:
        raise InvalidFunctional(f"{c:g}*{f!r} is not convex: ConvexProgram needs coefficients ≥ 0")
    if isinstance(f, Entropy):
        n = rho.size
        level = float(np.log(n * volume))
        return -c * (cp.sum(cp.entr(n * rho)) / n + level * cp.sum(rho)), []
    if isinstance(f, Congestion):
        return 0.0, [rho <= f.bound * volume]
    if isinstance(f, PowerEnergy):
        n = rho.size
        scale = c * f.coefficient / (f.m - 1.0) * volume * (1.0 / (n * volume)) ** f.m
        return scale * cp.sum(_power(n * rho, f.m)), []
    raise NotDefined(f"ConvexProgram does not know {f!r} on a grid: use BackAndForth")


def _power(x: Any, m: float) -> Any:
    """x^m by power cones, or a quadratic one; older cvxpy takes a fraction for the exponent."""
    import cvxpy as cp

    if m == 2.0:
        return cp.square(x)
    try:
        return cp.power(x, m, approx=False)
    except TypeError:
        return cp.power(x, m)
