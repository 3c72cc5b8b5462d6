"""Proximal and forward–backward steps within the Gaussians, for functionals without closed form.

A Gaussian N(m, R²), R symmetric, is a point (m, R); its cubature points are x_i = m + R z_i. The
smooth part enters through b = Σ w_i ∇δF(x_i) and G = Σ w_i ∇δF(x_i) z_iᵀ, its exact derivatives
in m and R for that cubature; H with HR + RH = G + Gᵀ is E[∇²δF] (Stein's identity). An internal
energy depends on ℓ = log det R² only, through its mean pressure P = −2 dE/dℓ (P = 1 for the
entropy). With T the optimal map to N(m_k, Σ_k), the minimiser over Gaussians satisfies
    b + (m − m_k)/τ = 0,   H − P R⁻² + (I − T)/τ = 0.
For fixed H and B = I + τH the second equation has the solution (ALGORITHMS: any matrix)
    R² = B^{-½} X B^{-½},  X = ½(K + 2gI + √(K(K + 4gI))),  K = B^{-½} Σ_k B^{-½},  g = τP,
and updating H gives a fixed-point iteration that ends in one round for quadratic functionals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..functionals.base import Functional, Smooth
from ..functionals.internal import Entropy, PowerEnergy
from ..measures.base import Array
from ..measures.cubature import normal_cubature
from ..measures.gaussian import Gaussian
from ..measures.lengths import length
from ..record import Witness
from ..status import InvalidFunctional, NotDefined, Status
from ..transport.bures import distance_squared, optimal_map
from .base import StepOutput

_EPS = float(np.finfo(float).eps)


class Place(NamedTuple):
    """A Gaussian N(mean, root²), ``root`` symmetric positive."""

    mean: Array
    root: Array

    def packed(self) -> Array:
        return np.concatenate([self.mean, self.root.ravel()])

    @staticmethod
    def unpacked(y: Array, dim: int) -> Place:
        root = y[dim:].reshape(dim, dim)
        return Place(y[:dim], 0.5 * (root + root.T))


class Slopes(NamedTuple):
    """b and H of the smooth part and the pressure P at a place, the residual, and its floor."""

    mean: Array
    hessian: Array
    pressure: float
    residual: float
    slope: float
    rounding: float


class Pressure:
    """Internal energies of Gaussians as functions of ℓ = log det of the covariance."""

    def __init__(self, F: Functional, mu: Gaussian) -> None:
        self.constant = 0.0
        self.powers: list[tuple[float, float]] = []
        unit = Gaussian.from_eigen(mu.mean(), np.ones(mu.dim), np.eye(mu.dim))
        self.offset = 0.0
        for c, f in F.internal.terms:
            if c < 0 or not isinstance(f, Entropy | PowerEnergy):
                raise NotDefined(
                    f"BuresProximal knows Entropy and PowerEnergy with coefficients ≥ 0, "
                    f"not {c:g}*{f!r}"
                )
            if isinstance(f, Entropy):
                self.constant += c
                self.offset += c * f.value_on_gaussian(unit)
            else:
                self.powers.append((f.m - 1.0, c * f.value_on_gaussian(unit)))

    def energy(self, log_det: float) -> float:
        powers = (e * np.exp(-0.5 * k * log_det) for k, e in self.powers)
        return float(sum(powers, self.offset - 0.5 * self.constant * log_det))

    def __call__(self, log_det: float) -> float:
        powers = (k * e * np.exp(-0.5 * k * log_det) for k, e in self.powers)
        return float(sum(powers, self.constant))

    @property
    def vanishes(self) -> bool:
        return self.constant == 0.0 and not self.powers


@dataclass
class Objective:
    """F(N(m, R²)) + W2²(N(m, R²), μ)/(2τ) as a function of (m, R)."""

    F: Smooth
    pressure: Pressure
    mu: Gaussian
    tau: float

    def __post_init__(self) -> None:
        self.z, self.w = normal_cubature(self.mu.dim)

    def value_and_gradient(self, at: Place) -> tuple[float, Array, Array]:
        """Value, and derivatives in m and in the symmetric R."""
        x = at.mean + self.z @ at.root
        value = self.F.value_at_points(x, self.w)
        b, G = self._smooth_slopes(x)
        moved, spread = at.mean - self.mu.mean(), at.root - self._pulled_back(at.root)
        value += (float(moved @ moved) + float(np.vdot(spread, spread))) / (2.0 * self.tau)
        G = G + spread / self.tau
        if not self.pressure.vanishes:
            sign, half = np.linalg.slogdet(at.root)
            if sign == 0:
                return np.inf, b, G
            value += self.pressure.energy(2.0 * half)
            G = G - self.pressure(2.0 * half) * np.linalg.inv(at.root)
        return value, b + moved / self.tau, 0.5 * (G + G.T)

    def _smooth_slopes(self, x: Array) -> tuple[Array, Array]:
        g = self.F.gradient_at_points(x, self.w) * self.w[:, None]
        if not np.isfinite(g).all():
            raise InvalidFunctional(f"the gradient of {self.F!r} holds NaN or infinity")
        return g.sum(axis=0), g.T @ self.z

    def _pulled_back(self, root: Array) -> Array:
        """T R = R_k Q with Q the polar factor of R_k R; no inverse of R."""
        left, _, right = np.linalg.svd(self.mu.sqrt_cov @ root)
        return np.asarray(self.mu.sqrt_cov @ (left @ right))

    def slopes(self, at: Place) -> Slopes:
        """What the fixed-point iteration needs, and how far ``at`` is from its end."""
        values, vectors = np.linalg.eigh(at.root)
        values = np.maximum(values, 0.0)  # rounding may make the least of a flat law negative
        b, G = self._smooth_slopes(at.mean + self.z @ at.root)
        sums = values[:, None] + values
        inner = vectors.T @ (G + G.T) @ vectors
        inner = np.divide(inner, sums, out=np.zeros_like(inner), where=sums > 0)
        hessian = vectors @ inner @ vectors.T
        with np.errstate(divide="ignore"):
            pressure = self.pressure(2.0 * float(np.log(values).sum()))
        moved, spread = at.mean - self.mu.mean(), at.root - self._pulled_back(at.root)
        rest = hessian @ at.root + spread / self.tau
        inverse = np.zeros_like(values)
        if not self.pressure.vanishes:
            inverse = pressure / values
            rest = rest - (vectors * inverse) @ vectors.T
        mean = b + moved / self.tau
        size = [b, hessian @ at.root, inverse, at.mean / self.tau, at.root / self.tau]
        return Slopes(
            b, hessian, pressure,
            residual=_norm(mean, rest),
            slope=_norm(moved, spread) / self.tau,
            rounding=4.0 * self.mu.dim * _EPS * _norm(*size),
        )  # fmt: skip

    def image(self, at: Place, here: Slopes) -> Place | None:
        """The exact step of the functional's quadratic model at ``at``; None if it has none."""
        stretch, vectors = np.linalg.eigh(np.eye(self.mu.dim) + self.tau * here.hessian)
        if not stretch[0] > 0:
            return None
        mean_rest = at.mean - self.mu.mean() + self.tau * here.mean
        mean = at.mean - vectors @ ((vectors.T @ mean_rest) / stretch)
        half = (vectors / np.sqrt(stretch)) @ vectors.T
        k, turn = np.linalg.eigh(half @ self.mu.cov() @ half)
        k = np.maximum(k, 0.0)
        g = self._pressure_of_model(k, float(np.log(stretch).sum()), here.pressure)
        cov = (half @ turn * _spread(k, self.tau * g)) @ (half @ turn).T
        values, axes = np.linalg.eigh(cov)
        return Place(mean, (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T)

    def _pressure_of_model(self, k: Array, log_stretch: float, guess: float) -> float:
        """P = pressure(log det R²(P)), a scalar equation in log P."""
        if not self.pressure.powers:
            return self.pressure.constant
        from scipy.optimize import brentq

        def excess(log_p: float) -> float:
            with np.errstate(divide="ignore"):
                spread = np.log(_spread(k, self.tau * np.exp(log_p)))
            return log_p - np.log(self.pressure(float(spread.sum()) - log_stretch))

        low = high = float(np.log(guess))
        for width in 2.0 ** np.arange(9):
            low, high = low - width, high + width
            if excess(low) < 0 < excess(high):
                return float(np.exp(brentq(excess, low, high, xtol=1e-15, rtol=1e-15)))
        return guess


def _spread(k: Array, g: float) -> Array:
    return 0.5 * (k + 2.0 * g + np.sqrt(k * (k + 4.0 * g)))


def _norm(*parts: Array) -> float:
    return length(lambda v: float(v @ v), np.concatenate([p.ravel() for p in parts]))


def proximal_step(
    F: Functional, mu: Gaussian, tau: float, tolerance: float, max_iterations: int
) -> StepOutput:
    """The minimiser of F + W2²(·, μ)/(2τ) over Gaussians; see `BuresProximal`."""
    objective = Objective(F.smooth, Pressure(F, mu), mu, tau)
    start = Place(mu.mean(), mu.sqrt_cov)
    search = Search(objective, tolerance, max_iterations)
    place, converged = search.fixed_point(start)
    if not converged:
        place, status = search.descend(start)
        if status is Status.CONVERGED:
            place, converged = search.fixed_point(place)
            status = Status.CONVERGED if converged else search.excuse()
    else:
        status = Status.CONVERGED
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


class Anderson:
    """Anderson acceleration of y ← Φ(y), remembering five rounds."""

    def __init__(self, depth: int = 5) -> None:
        self.depth = depth
        self.images: list[Array] = []
        self.steps: list[Array] = []

    def mix(self, y: Array, image: Array) -> Array:
        """The combination of past images whose steps Φ(y) − y cancel best."""
        self.images = [*self.images[-self.depth :], image]
        self.steps = [*self.steps[-self.depth :], image - y]
        if len(self.steps) == 1:
            return image
        changes = np.diff(np.array(self.steps), axis=0).T
        weights = np.linalg.lstsq(changes, self.steps[-1], rcond=1e-10)[0]
        return np.asarray(image - np.diff(np.array(self.images), axis=0).T @ weights)


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
    g = Objective(F.smooth, objective.pressure, middle, tau)._pressure_of_model(
        np.asarray(values), 0.0, here.pressure
    )
    new = Gaussian.from_eigen(middle.mean(), _spread(values, tau * g), vectors)
    return _answer(new, mu, {"iterations": 1, "residual": here.residual}, Status.EXACT)
