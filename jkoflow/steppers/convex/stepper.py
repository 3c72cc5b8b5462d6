"""JKO steps as convex programs, by cvxpy: an oracle for small problems, and non-smooth energies."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...functionals.base import Functional
from ...functionals.internal import Entropy, PowerEnergy
from ...measures.base import Array, Measure
from ...measures.grid import Grid
from ...measures.particles import Particles
from ...measures.quantiles import Quantiles
from ...record import State, Witness
from ...status import InvalidFunctional, InvalidProblem, NotDefined, Status
from ..base import StepOutput, Stepper, require_options
from ..quadratic import Quadratic, contraction, split
from .expression import ConvexExpression

__all__ = ["ConvexExpression", "ConvexProgram"]

_REMEMBERED = 4  # compiled programs kept by a stepper
_RELATIVE = 1e-9  # decrease of the transport cost below which a coupling is not improved
_STATUS = {
    "optimal": Status.CONVERGED,
    "infeasible": Status.INFEASIBLE,
    "infeasible_inaccurate": Status.INFEASIBLE,
    "unbounded": Status.UNBOUNDED,
    "unbounded_inaccurate": Status.UNBOUNDED,
}


class Program(NamedTuple):
    """A compiled step: cvxpy's problem, its positions, and what changes from step to step."""

    problem: Any
    positions: Any
    pull: Any
    mean_weight: Any
    spread_weight: Any
    functional: Functional


@dataclass(frozen=True)
class ConvexProgram(Stepper):
    """Minimises F(X) + Σ w_i |X_i − x_i|²/(2τ) over positions X by a cone solver.

    On `Quantiles` X are the sorted edges, and F may hold `Entropy`, `PowerEnergy`, quadratic
    potentials and interactions and `ConvexExpression`; it is the discretised problem that
    `QuantileNewton` solves, with free ends. On `Particles` F may hold all of these but internal
    energies; if the pairing of new and old points turns out not to be optimal, the step is
    repeated with the exact coupling, as often as that lowers the cost. On a small `Grid` the
    unknown is the coupling of its cells' centres instead, and F may hold potentials, risks,
    `Entropy`, `PowerEnergy` and `Congestion`: see `jkoflow.steppers.convex.grid`.

    One program is compiled for each functional, size and set of weights, with the old positions
    and τ as parameters, and used again in later steps.

    Parameters
    ----------
    solver : str
        Always named, never cvxpy's choice. The objective has quadratic and exponential cones:
        CLARABEL (interior point) or, less accurate, SCS.
    options : dict
        Passed to the solver. Without any, Clarabel aims at tolerances of 1e-10 and may stop at
        its usual 1e-8.
    enforce_dpp : bool
        Refuse programs that cvxpy would have to compile again in each step.
    max_pairings : int

    Notes
    -----
    Answers carry about half the solver's digits in the positions: an oracle to compare with, and
    a stepper for functionals that nothing else can treat. Newton is a hundred times faster.

    Examples
    --------
    >>> import cvxpy as cp
    >>> from jkoflow import Problem, flow
    >>> F = ConvexExpression(lambda x, w: w @ cp.abs(x)[:, 0])
    >>> run = flow(Problem(F, Particles([1.0, -0.25]), tau=0.5, steps=1), ConvexProgram())
    >>> run.final.points.ravel().round(6) + 0.0       # soft thresholding
    array([0.5, 0. ])
    """

    solver: str = "CLARABEL"
    options: dict[str, Any] = field(default_factory=dict)
    enforce_dpp: bool = True
    max_pairings: int = 20
    _programs: dict[Any, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        require_options(max_pairings=self.max_pairings)
        if not isinstance(self.solver, str) or not isinstance(self.options, dict):
            raise InvalidProblem(
                "solver must be a name and options a dict of its settings, not "
                f"{self.solver!r:.50} and {self.options!r:.50}"
            )

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        if isinstance(mu, Quantiles):
            return self._quantile_step(F, mu, tau)
        if isinstance(mu, Particles):
            return self._particle_step(F, mu, tau)
        if isinstance(mu, Grid):
            return self._grid_step(F, mu, tau)
        raise NotDefined(
            f"ConvexProgram moves Grid, Quantiles and Particles, not {type(mu).__name__}"
        )

    def _grid_step(self, F: Functional, mu: Grid, tau: float) -> StepOutput:
        from . import grid

        program = self._remembered(grid.key_of(F, mu), lambda: grid.compiled(F, mu))
        return grid.step_of(program, mu, tau, self._solve)

    def _quantile_step(self, F: Functional, mu: Quantiles, tau: float) -> StepOutput:
        x, status, stats = self._minimise(F, mu, mu.points, tau)
        if x is None:
            return StepOutput(mu, {}, None, stats, status)
        edges = np.maximum.accumulate(x[:, 0])  # the solver keeps the order up to its tolerance
        moved = edges - mu.edges
        distance = float(mu.weights @ (moved * moved))
        new = mu.with_edges(edges)
        return StepOutput(new, {}, Witness("monotone"), stats, status, distance)

    def _particle_step(self, F: Functional, mu: Particles, tau: float) -> StepOutput:
        from ...transport.couplings import barycentres
        from ...transport.exact import couple

        if F.internal.terms:
            raise NotDefined(f"{F.internal!r} needs a density: use Quantiles instead of Particles")
        centres = mu.points
        for pairing in range(1, self.max_pairings + 1):
            x, status, stats = self._minimise(F, mu, centres, tau)
            stats["pairings"] = pairing
            if x is None:
                return StepOutput(mu, {}, None, stats, status)
            plan = couple(x, mu.points, mu.weights, mu.weights)
            best = barycentres(plan.rows, plan.columns, plan.values, mu.points, len(x))
            if float(mu.weights @ ((best - centres) ** 2).sum(axis=1)) <= _RELATIVE * plan.cost:
                break
            if pairing == 1 and _paired_cost(x, mu) <= plan.cost * (1.0 + _RELATIVE):
                break
            centres = best
        else:
            status = Status.MAX_ITERATIONS
        arrays: dict[str, Any] = {
            "rows": plan.rows, "columns": plan.columns, "values": plan.values,
            "f": plan.f, "g": plan.g,
        }  # fmt: skip
        assert x is not None
        new = Particles(x, mu.weights)
        return StepOutput(new, {}, Witness("coupling", arrays), stats, status, plan.cost)

    def _minimise(
        self, F: Functional, mu: Measure, centres: Array, tau: float
    ) -> tuple[Array | None, Status, dict[str, Any]]:
        w = mu.weights
        parts = split(F, centres.shape[1])
        mean_weight = 1.0 / tau + parts.stiffness
        spread_weight = contraction(parts, tau) / tau
        if min(mean_weight, spread_weight) <= 0:
            expressions = any(isinstance(f, ConvexExpression) for _, f in parts.others)
            return None, Status.NOT_CONVEX if expressions else Status.UNBOUNDED, {}
        program = self._program(F, parts, mu)
        program.pull.value = w[:, None] * (centres / tau + parts.pull)
        program.mean_weight.value, program.spread_weight.value = mean_weight, spread_weight
        status, stats = self._solve(program.problem)
        answer = program.positions.value
        return (None if answer is None else np.asarray(answer)), status, stats

    def _solve(self, problem: Any) -> tuple[Status, dict[str, Any]]:
        """Hand a problem to the solver; what it said as a status and for eyes."""
        import cvxpy as cp

        for variable in problem.variables():
            variable.value = None  # an answer of the last step must not pass for this one's
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # inaccuracy is a status
                problem.solve(  # from the same start whatever was solved before: steps are pure
                    solver=self.solver, enforce_dpp=self.enforce_dpp, warm_start=False,
                    **self._options(),
                )  # fmt: skip
        except cp.SolverError as error:
            return Status.SOLVER_FAILED, {"reason": str(error), "solver": self.solver}
        measured = problem.solver_stats
        stats = {
            "iterations": measured.num_iters if measured else None,
            "solver": self.solver,
            "solver_status": problem.status,
        }
        return self._status(problem.status), stats

    def _options(self) -> dict[str, Any]:
        """Clarabel aims at 1e-10 and calls an answer inaccurate if it reaches 1e-8 only."""
        if self.solver != "CLARABEL":
            return self.options
        names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
        aims = {**dict.fromkeys(names, 1e-10), **{f"reduced_{name}": 1e-8 for name in names}}
        return {**aims, **self.options}

    def _status(self, status: str) -> Status:
        """1e-8 is as good as Clarabel's own default; other inaccurate answers are failures."""
        if status == "optimal_inaccurate" and self.solver == "CLARABEL" and not self.options:
            return Status.CONVERGED
        return _STATUS.get(status, Status.SOLVER_FAILED)

    def _program(self, F: Functional, parts: Quadratic, mu: Measure) -> Program:
        key = (id(F), mu.kind, mu.points.shape, mu.weights.tobytes())
        program: Program = self._remembered(key, lambda: compiled(F, parts, mu))
        return program

    def _remembered(self, key: tuple[Any, ...], compile_: Callable[[], Any]) -> Any:
        """A program compiled before, or now; it holds F, so that F's id stays its own."""
        if key not in self._programs:
            while len(self._programs) >= _REMEMBERED:
                self._programs.pop(next(iter(self._programs)))
            self._programs[key] = compile_()
        return self._programs[key]


def _paired_cost(x: Array, mu: Particles) -> float:
    return float(mu.weights @ ((x - mu.points) ** 2).sum(axis=1))


def compiled(F: Functional, parts: Quadratic, mu: Measure) -> Program:
    """½α|mean|² + ½γ Σw|X − mean|² − ⟨pull, X⟩ + the other terms, α, γ and pull parameters.

    Σ w|X|² = |mean|² + Σ w|X − mean|²; so α = 1/τ + a and γ = 1/τ + a + κ, and the quadratic
    part is convex whenever it is bounded below, whatever the signs of a and κ.
    """
    import cvxpy as cp

    w, (n, d) = mu.weights, mu.points.shape
    positions, pull = cp.Variable((n, d)), cp.Parameter((n, d))
    alpha, gamma = cp.Parameter(nonneg=True), cp.Parameter(nonneg=True)
    mean = w[None, :] @ positions
    centred = positions - np.ones((n, 1)) @ mean
    roots = np.repeat(np.sqrt(w)[:, None], d, axis=1)
    objective = (
        0.5 * alpha * cp.sum_squares(mean)
        + 0.5 * gamma * cp.sum_squares(cp.multiply(roots, centred))
        - cp.sum(cp.multiply(pull, positions))
    )
    constraints: list[Any] = []
    others = list(parts.others) + ([(parts.entropy, Entropy())] if parts.entropy else [])
    if isinstance(mu, Quantiles):
        constraints.append(cp.diff(positions[:, 0]) >= 0)
    for c, f in others:
        expression, more = _term(c, f, positions, mu)
        objective, constraints = objective + expression, constraints + more
    problem = cp.Problem(cp.Minimize(objective), constraints)
    return Program(problem, positions, pull, alpha, gamma, F)


def _term(c: float, f: Functional, positions: Any, mu: Measure) -> tuple[Any, list[Any]]:
    """One term of F as an expression; its coefficient must keep it convex."""
    import cvxpy as cp

    if c < 0:
        raise InvalidFunctional(f"{c:g}*{f!r} is not convex: ConvexProgram needs coefficients ≥ 0")
    if isinstance(f, ConvexExpression):
        expression, constraints = f.expression(positions, mu.weights)
        return c * expression, constraints
    if isinstance(f, Entropy | PowerEnergy):
        if not isinstance(mu, Quantiles):
            raise NotDefined(f"{f!r} needs a density: use Quantiles instead of Particles")
        m, lengths = mu.mass, cp.diff(positions[:, 0])
        if isinstance(f, Entropy):
            return c * (float(m @ np.log(m)) - m @ cp.log(lengths)), []
        k = f.m - 1.0
        # powers of 1/density, of order one; those of lengths would vary over many orders
        spread = cp.multiply(1.0 / m, lengths)
        return c * f.coefficient / k * (m @ _power(spread, -k)), []
    raise NotDefined(
        f"ConvexProgram cannot read {f!r}: write it as jkoflow.steppers.ConvexExpression"
    )


def _power(x: Any, exponent: float) -> Any:
    """x^exponent by power cones; older cvxpy only approximates the exponent by a fraction."""
    import cvxpy as cp

    try:
        return cp.power(x, exponent, approx=False)
    except TypeError:
        return cp.power(x, exponent)
