"""JKO steps of laws on the line and of radial laws, by Newton's method on the edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...functionals.base import Functional
from ...measures.base import Array, Measure
from ...measures.cells import Cells
from ...problem import interval
from ...record import State, Witness
from ...status import NotDefined
from ..base import StepOutput, Stepper, require_options
from .newton import Newton
from .objective import Objective

_ROUNDING = 64.0 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class QuantileNewton(Stepper):
    """Minimises F(X) + Σ w_i (X_i − x_i)²/(2τ) over the edges X of a law on the line.

    The masses stay, the edges move. W2² between two laws with the same masses is the L2 distance
    of their quantile functions, here with each edge weighted by half its cells' masses. The
    Hessian is tridiagonal (internal energies, potentials, W2) plus low rank (risk) plus dense
    (interaction), and the objective is convex where F is displacement convex.

    Parameters
    ----------
    ends : {"free", "fixed"}
        Free ends, as far as the walls let them, or ends that stay where they are.
    walls : (lower, upper), optional
        Edges stay between them. `flow` puts those of the `Problem` here.
    tolerance : float
        A step is converged when the residual of its optimality condition, in L2(ρ⁺), is below
        this fraction of the slope W2/τ.
    max_iterations : int

    Notes
    -----
    The minimiser is sought among sorted edges, radii not negative, by Newton's method on the face
    that the gradient leads to: edges that are pushed together move as one, and those that are
    pushed against walls, or radii that are pulled into 0, stay there until they are pushed off.
    Without internal energy all of that happens: atoms grow at a wall or where all radii shrink, and
    where τL ≥ 1 (L bounds the negative curvature of δF/δρ) edges would cross. Trials are projected
    by isotonic regression. With internal energy only the ends can come to rest.

    Examples
    --------
    >>> from jkoflow import Entropy, Problem, Quantiles, QuadraticPotential, flow
    >>> mu = Quantiles.normal(0.0, 0.5, 400)
    >>> run = flow(Problem(Entropy() + QuadraticPotential(1.0), mu, tau=0.1, steps=1),
    ...            QuantileNewton())
    >>> round(float(run.final.cov()[0, 0]) ** 0.5, 3)      # exact: 0.604846539
    0.605
    """

    ends: str = "free"
    walls: tuple[float, float] | None = None
    tolerance: float = 1e-9
    max_iterations: int = 200

    def __post_init__(self) -> None:
        require_options(words=("free", "fixed"), ends=self.ends)
        require_options(self.tolerance, max_iterations=self.max_iterations)

    def within(self, walls: tuple[float, float]) -> QuantileNewton:
        return replace(self, walls=walls)

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        if not isinstance(mu, Cells):
            raise NotDefined(
                f"QuantileNewton moves Quantiles and Radial laws, not {type(mu).__name__}"
            )
        walls = None if self.walls is None else interval(self.walls, mu)
        objective = Objective(F, mu, tau, self.ends == "fixed", walls)
        search = Newton(objective, self.tolerance, self.max_iterations)
        x, status = search.run(objective.start(state))
        if search.trusting and _higher(F, mu, x, tau):
            search = Newton(objective, self.tolerance, self.max_iterations)
            x, status = search.run(mu.edges)
        moved = x - mu.edges
        return StepOutput(
            measure=mu._moved(x),
            state={"velocity": moved / tau},
            witness=Witness("monotone"),
            stats=search.stats,
            status=status,
            distance_squared=float(mu.weights @ (moved * moved)),
        )


def _higher(F: Functional, mu: Cells, x: Array, tau: float) -> bool:
    """Whether the step pays more than F falls: where F is not convex enough, the start may have
    been beyond a hill, and the step ended there."""
    if F.convexity is not None and 1.0 / tau + F.convexity >= 0.0:
        return False
    old, new = F.value(mu), F.value(mu._moved(x))
    paid = float(mu.weights @ (x - mu.edges) ** 2) / (2.0 * tau)
    return new + paid > old + _ROUNDING * (abs(old) + abs(new) + paid)
