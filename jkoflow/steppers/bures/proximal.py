"""Proximal and forward–backward steps within the Gaussians, for functionals without closed form.

The fixed-point iteration of `jkoflow.steppers.bures.objective`, accelerated, and descent by L-BFGS
where it fails, or ends above where it began.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...functionals.base import Functional
from ...measures.base import Array
from ...measures.gaussian import Gaussian
from ...record import Witness
from ...status import InvalidFunctional, Status
from ...transport.bures import distance_squared, optimal_map
from ..base import StepOutput
from ..mixing import Anderson
from .objective import Objective, Place, Pressure, spread_of

_ROUNDING = 1e-12  # of an energy


def proximal_step(
    F: Functional, mu: Gaussian, tau: float, tolerance: float, max_iterations: int
) -> StepOutput:
    """The minimiser of F + W2²(·, μ)/(2τ) over Gaussians; see `BuresProximal`."""
    objective = Objective(F.smooth, Pressure(F, mu), mu, tau)
    start = Place(mu.mean(), mu.sqrt_cov)
    search = Search(objective, tolerance, max_iterations)
    place, converged = search.fixed_point(start)
    status = Status.CONVERGED
    if not converged:
        place, status = search.downhill(start)
    elif _rises(objective, start, place):  # what was found is stationary, and no minimum
        other = Search(objective, tolerance, max_iterations, search.iterations)
        lower, found = other.downhill(start)
        if found is Status.CONVERGED and objective.value(lower) < objective.value(place):
            place, search = lower, other
    return _output(place, mu, search, status)


@dataclass
class Search:
    """Anderson-accelerated fixed-point iteration, and descent by L-BFGS where that fails."""

    objective: Objective
    tolerance: float
    max_iterations: int
    iterations: int = 0
    residual: float = np.inf
    floor: float = 0.0
    model_convex: bool = True

    def fixed_point(self, place: Place) -> tuple[Place, bool]:
        """Iterate until converged, or until it is clear that this does not happen."""
        dim = self.objective.mu.dim
        memory = Anderson()
        best, worse = place, 0
        self.residual = np.inf
        for _ in range(self.max_iterations):
            here = self.objective.slopes(place)
            if not np.isfinite(here.residual):
                return best, False
            self.floor = here.rounding
            if here.residual <= max(self.tolerance * here.slope, here.rounding):
                self.residual = here.residual
                return place, True
            worse = worse + 1 if here.residual >= self.residual else 0
            if here.residual < self.residual:
                best, self.residual = place, here.residual
            if worse > 8:
                break
            image = self.objective.image(place, here)
            self.model_convex = image is not None
            if image is None:
                return best, False
            self.iterations += 1
            mixed = Place.unpacked(memory.mix(place.packed(), image.packed()), dim)
            place = mixed if np.linalg.eigvalsh(mixed.root)[0] > 0 else image
        return best, self.residual <= 1e6 * self.floor  # as far as gradients by differences go

    def downhill(self, start: Place) -> tuple[Place, Status]:
        """Descend, and iterate from there."""
        place, status = self.descend(start)
        if status is not Status.CONVERGED:
            return place, status
        place, converged = self.fixed_point(place)
        return place, Status.CONVERGED if converged else self.excuse()

    def descend(self, start: Place) -> tuple[Place, Status]:
        """Minimise the objective itself over (m, R)."""
        from scipy.optimize import minimize

        dim = len(start.mean)
        rows, columns = np.triu_indices(dim)
        twice = np.where(rows == columns, 1.0, 2.0)

        def place_of(y: Array) -> Place:
            root = np.zeros((dim, dim))
            root[rows, columns] = root[columns, rows] = y[dim:]
            return Place(y[:dim], root)

        def objective(y: Array) -> tuple[float, Array]:
            if not np.isfinite(y).all():  # where a search lost its way
                return np.inf, np.zeros_like(y)
            try:
                value, mean, root = self.objective.value_and_gradient(place_of(y))
            except InvalidFunctional:  # too far out for the functional: turn back
                return np.inf, np.zeros_like(y)
            return value, np.concatenate([mean, twice * root[rows, columns]])

        y = np.concatenate([start.mean, start.root[rows, columns]])
        before = objective(y)[0]
        with np.errstate(all="ignore"):
            found = minimize(
                objective, y, jac=True, method="L-BFGS-B",
                options={"maxiter": 50 * self.max_iterations, "ftol": 0.0, "gtol": 1e-9},
            )  # fmt: skip
        self.iterations += int(found.nit)
        if not np.isfinite(found.x).all():
            return start, Status.NON_FINITE
        place = _positive(place_of(found.x))
        far = np.abs(found.x).max() > 1e6 * (1.0 + np.abs(y).max())
        if not np.isfinite(found.fun) or far or found.fun < before - 1e12 * (1.0 + abs(before)):
            return start, Status.UNBOUNDED
        return place, Status.CONVERGED

    def excuse(self) -> Status:
        """How a search ended that did not reach the tolerance."""
        if not self.model_convex:
            return Status.NOT_CONVEX
        return Status.STALLED if np.isfinite(self.residual) else Status.NON_FINITE


def _rises(objective: Objective, start: Place, end: Place) -> bool:
    before = objective.value(start)
    return objective.value(end) > before + _ROUNDING * abs(before)


def _positive(place: Place) -> Place:
    """The same law with a positive root."""
    values, vectors = np.linalg.eigh(place.root)
    return Place(place.mean, (vectors * np.abs(values)) @ vectors.T)


def _output(place: Place, mu: Gaussian, search: Search, status: Status) -> StepOutput:
    stats = {"iterations": search.iterations, "residual": search.residual}
    if not (np.isfinite(place.mean).all() and np.isfinite(place.root).all()):
        return StepOutput(mu, {}, None, stats, Status.NON_FINITE)
    return _answer(Gaussian(place.mean, place.root @ place.root), mu, stats, status)


def _answer(new: Gaussian, mu: Gaussian, stats: dict[str, float], status: Status) -> StepOutput:
    witness = None
    if not new.is_singular():
        witness = Witness("symmetric-map", {"matrix": optimal_map(new, mu)})
    return StepOutput(new, {}, witness, stats, status, distance_squared(mu, new))


def forward_backward_step(F: Functional, mu: Gaussian, tau: float) -> StepOutput:
    """x ↦ x − τ(b + H(x − m)) for the smooth part, then the exact step of the internal one."""
    objective = Objective(F.smooth, Pressure(F, mu), mu, tau)
    here = objective.slopes(Place(mu.mean(), mu.sqrt_cov))
    forward = np.eye(mu.dim) - tau * here.hessian
    middle = Gaussian(mu.mean() - tau * here.mean, forward @ mu.cov() @ forward)
    values, vectors = middle.eigen
    g = Objective(F.smooth, objective.pressure, middle, tau).model_pressure(
        np.asarray(values), 0.0, here.pressure
    )
    new = Gaussian.from_eigen(middle.mean(), spread_of(values, tau * g), vectors)
    return _answer(new, mu, {"iterations": 1, "residual": here.residual}, Status.EXACT)
