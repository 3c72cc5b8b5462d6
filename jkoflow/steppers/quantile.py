"""Newton's method for JKO steps of laws on the line and of radial laws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..functionals.base import Functional, Smooth
from ..functionals.curvature import Curvature, Part
from ..functionals.internal import Internal
from ..measures.base import Array, Measure
from ..measures.cells import Cells
from ..record import State, Witness
from ..status import InvalidProblem, MissingStructure, NotDefined, Status
from .base import StepOutput, Stepper
from .edge_kernels import add_energy, exponent_of
from .tridiagonal import NotPositive, solve


class Expanded(NamedTuple):
    """The step's objective at some edges: value, gradient, and the parts of its Hessian."""

    value: float
    gradient: Array
    diagonal: Array
    off_diagonal: Array
    blocks: Array | None
    parts: list[Part]


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
        Free ends (the whole line, or compact support), or ends that stay where they are, as
        walls without flux do. The inner end of a radial law that starts at 0 stays there.
    tolerance : float
        A step is converged when the residual of its optimality condition, in L2(ρ⁺), is below
        this fraction of the slope W2/τ.
    max_iterations : int

    Notes
    -----
    Without internal energy nothing keeps the edges apart while iterating; the minimiser does
    keep the order while τL < 1 (L bounds the negative curvature of δF/δρ). Where a larger τ lets
    edges cross, iterates are projected on sorted ones by isotonic regression.

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
    tolerance: float = 1e-9
    max_iterations: int = 60

    def __post_init__(self) -> None:
        if self.ends not in ("free", "fixed"):
            raise InvalidProblem(f"ends must be 'free' or 'fixed', not {self.ends!r}")
        if not 0 < self.tolerance < 1:
            raise InvalidProblem(f"tolerance must lie in (0, 1), but is {self.tolerance!r}")
        if self.max_iterations < 1:
            raise InvalidProblem("max_iterations must be at least 1")

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        if not isinstance(mu, Cells):
            raise NotDefined(
                f"QuantileNewton moves Quantiles and Radial laws, not {type(mu).__name__}"
            )
        left, right = self._pinned(mu)
        objective = Objective(F, mu, tau, left, right)
        search = Newton(objective, self.tolerance, self.max_iterations)
        x, status = search.run(objective.start(state))
        moved = x - mu.edges
        witness = Witness("monotone", {"fixed": np.array([left, right])} if left or right else {})
        return StepOutput(
            measure=mu._moved(x),
            state={"velocity": moved / tau},
            witness=witness,
            stats=search.stats,
            status=status,
            distance_squared=float(mu.weights @ (moved * moved)),
        )

    def _pinned(self, mu: Cells) -> tuple[bool, bool]:
        """Whether the left and the right end edge stay where they are."""
        wall = self.ends == "fixed"
        return wall or bool(mu.kind == "radial" and mu.edges[0] == 0.0), wall


class Objective:
    """F(X) + Σ w (X − x)²/(2τ) as a function of the edges X."""

    def __init__(
        self, F: Functional, mu: Cells, tau: float, left: bool = False, right: bool = False
    ) -> None:
        self.mu, self.tau, self.left, self.right = mu, tau, left, right
        self.floor = 0.0 if mu.kind == "radial" else -np.inf
        self.smooth: Smooth | None = F.smooth.on(mu) if F.smooth.terms else None
        self.internal: list[tuple[float, Internal]] = []
        for c, f in F.internal.terms:
            if not isinstance(f, Internal):
                raise NotDefined(f"QuantileNewton does not know the internal energy {f!r}")
            self.internal.append((c, f))
        self.inertia = mu.weights / tau

    def start(self, state: State) -> Array:
        """Where to begin: the last step repeated, or the old edges where that is not admissible."""
        velocity = state.get("velocity")
        if velocity is not None and velocity.shape == self.mu.edges.shape:
            guess = self.mu.edges + self.tau * velocity
            if self.admissible(guess):
                return guess
        return self.mu.edges

    def admissible(self, x: Array) -> bool:
        """Whether F can be finite at the edges x; order matters only to internal energies."""
        if x[0] < self.floor or (self.internal and self.floor == x[0] and not self.left):
            return False
        return not self.internal or bool((x[1:] > x[:-1]).all())

    def expand(self, x: Array) -> Expanded:
        """Value, gradient and Hessian at x."""
        moved = x - self.mu.edges
        gradient = self.inertia * moved
        value = 0.5 * float(moved @ gradient)
        off = np.zeros(len(x) - 1)
        blocks: Array | None = None
        parts: list[Part] = []
        if self.smooth is not None:
            part = self._smooth_expansion(x)
            value += part[0]
            gradient += part[1]
            blocks, parts = part[2].blocks[:, 0, 0], part[2].parts
        diagonal = self.inertia.copy()
        for c, f in self.internal:
            value += self._add_internal(c, f, x, gradient, diagonal, off)
        if self.left:
            gradient[0] = 0.0
        if self.right:
            gradient[-1] = 0.0
        return Expanded(value, gradient, diagonal, off, blocks, parts)

    def _add_internal(
        self, c: float, f: Internal, x: Array, gradient: Array, diagonal: Array, off: Array
    ) -> float:
        known = exponent_of(f)
        if known is not None:
            m, coefficient = known
            return add_energy(self.mu, x, m, c * coefficient, gradient, diagonal, off)
        inner = f.on_edges(self.mu._moved(x))
        gradient += c * inner.gradient
        diagonal += c * inner.diagonal
        off += c * inner.off_diagonal
        return c * inner.value

    def _smooth_expansion(self, x: Array) -> tuple[float, Array, Curvature]:
        assert self.smooth is not None
        w, points = self.mu.weights, x[:, None]
        try:
            value, gradient, curvature = self.smooth.expansion(points, w)
        except MissingStructure:  # no Hessian: a quasi-Newton step with W2 and entropy only
            value = self.smooth.value_at_points(points, w)
            gradient = self.smooth.gradient_at_points(points, w)
            curvature = Curvature(np.zeros((len(x), 1, 1)))
        return value, w * gradient[:, 0], curvature

    def direction(self, at: Expanded) -> Array:
        """Newton's direction; concave parts are left out where the Hessian is not positive."""
        d = self._solution(at, at.blocks, at.parts)
        if d is None and at.blocks is not None:
            convex = [part for part in at.parts if _positive(part)]
            d = self._solution(at, np.maximum(at.blocks, 0.0), convex)
        return -at.gradient / np.maximum(at.diagonal, self.inertia) if d is None else d

    def _solution(self, at: Expanded, blocks: Array | None, parts: list[Part]) -> Array | None:
        """Solution of Newton's system, if that is positive as far as can be seen."""
        diagonal = at.diagonal if blocks is None else at.diagonal + blocks
        off = at.off_diagonal
        if self.left or self.right:
            diagonal, off = self._pin(diagonal, off)
            parts = [_without_ends(part, self.left, self.right) for part in parts]
        try:
            d = solve(diagonal, off, parts, -at.gradient)
        except (NotPositive, np.linalg.LinAlgError):
            return None
        return d if at.gradient @ d < 0 else None

    def _pin(self, diagonal: Array, off: Array) -> tuple[Array, Array]:
        diagonal, off = diagonal.copy(), off.copy()
        if self.left:
            diagonal[0], off[0] = 1.0, 0.0
        if self.right:
            diagonal[-1], off[-1] = 1.0, 0.0
        return diagonal, off

    def rounding(self, x: Array, here: Expanded) -> float:
        """The residual that rounding the edges to float64 alone makes, in L2(ρ⁺)."""
        error = np.finfo(float).eps * here.diagonal * np.abs(x)
        return math.sqrt(float(error @ (error / self.mu.weights)))

    def sorted(self, x: Array) -> Array:
        """The nearest admissible edges in the weighted L2 norm; x itself if it is admissible."""
        if x[0] >= self.floor and (x[1:] >= x[:-1]).all():
            return x
        from scipy.optimize import isotonic_regression

        x = np.maximum(x, self.floor)
        return np.asarray(isotonic_regression(x, weights=self.mu.weights).x)


def _positive(part: Part) -> bool:
    signs = getattr(part, "signs", None)
    return signs is not None and bool((signs > 0).all())


def _without_ends(part: Part, left: bool, right: bool) -> Part:
    from ..functionals.curvature import Action, Dense, LowRank

    keep = slice(1 if left else 0, -1 if right else None)
    if isinstance(part, LowRank):
        factor = np.zeros_like(part.factor)
        factor[:, keep] = part.factor[:, keep]
        return LowRank(factor, part.signs)
    if isinstance(part, Dense):
        matrix = np.zeros_like(part.matrix)
        matrix[keep, keep] = part.matrix[keep, keep]
        return Dense(matrix)

    def masked(v: Array) -> Array:
        inside, result = np.zeros_like(v), np.zeros_like(v)
        inside[keep] = v[keep]
        result[keep] = part.apply(inside)[keep]
        return result

    return Action(masked)


class Newton:
    """Damped Newton iteration on an `Objective`.

    The residual of Newton's method is squared from one full step to the next. Once two of them
    foretell that the next is below the tolerance, that step is taken without another evaluation.
    """

    def __init__(self, objective: Objective, tolerance: float, max_iterations: int) -> None:
        self.objective, self.tolerance, self.max_iterations = objective, tolerance, max_iterations
        self.iterations, self.residual, self.slope = 0, np.inf, np.nan
        self.foretold = np.inf

    @property
    def stats(self) -> dict[str, Any]:
        return {
            "iterations": self.iterations,
            "residual": float(min(self.residual, self.foretold)),
            "slope": float(self.slope),
        }

    def run(self, x: Array) -> tuple[Array, Status]:
        """Iterate from x; returns the last edges (sorted) and how it ended."""
        x, here = self._start(x)
        far = 1e8 * (1.0 + float(np.abs(self.objective.mu.edges).max()))
        while True:
            if not (np.isfinite(here.value) and np.isfinite(here.gradient).all()):
                return x, Status.NON_FINITE
            if max(abs(x[0]), abs(x[-1])) > far:
                return x, Status.UNBOUNDED
            self._measure(x, here)
            if self._converged(x, here):
                ordered = self.objective.sorted(x)
                if ordered is x:
                    return x, Status.CONVERGED
                x, here = ordered, self.objective.expand(ordered)
            if self.iterations == self.max_iterations:
                return self.objective.sorted(x), Status.MAX_ITERATIONS
            self.iterations += 1
            d = self.objective.direction(here)
            if self.foretold <= 0.1 * self.tolerance * self.slope and self._last(x + d):
                return x + d, Status.CONVERGED
            found = self._line_search(x, here, d)
            if found is None:
                return self.objective.sorted(x), self._stalled()
            x, here = found

    def _start(self, x: Array) -> tuple[Array, Expanded]:
        """x expanded, or the old edges where the objective is not finite at x."""
        here = self.objective.expand(x)
        if not np.isfinite(here.value) and x is not self.objective.mu.edges:
            x = self.objective.mu.edges
            here = self.objective.expand(x)
        return x, here

    def _converged(self, x: Array, here: Expanded) -> bool:
        if self.residual <= self.tolerance * self.slope:
            return True
        near = self.residual <= 1e-3 * (1.0 + self.slope)
        return near and self.residual <= 2.0 * self.objective.rounding(x, here)

    def _measure(self, x: Array, here: Expanded) -> None:
        """The residual and the slope in L2(ρ⁺), and the next residual, foretold."""
        w, tau = self.objective.mu.weights, self.objective.tau
        moved = x - self.objective.mu.edges
        before = self.residual
        self.slope = math.sqrt(w @ (moved * moved)) / tau
        self.residual = math.sqrt(here.gradient @ (here.gradient / w))
        falls = self.residual < 0.05 * before < np.inf
        self.foretold = self.residual * (self.residual / before) ** 2 if falls else np.inf

    def _last(self, x: Array) -> bool:
        """Whether x, not evaluated, may be returned: finite, admissible and sorted."""
        sorted_ = bool((x[1:] >= x[:-1]).all())
        return sorted_ and self.objective.admissible(x) and bool(np.isfinite(x).all())

    def _stalled(self) -> Status:
        """No decrease is left; that is convergence where the residual is small as well."""
        return Status.CONVERGED if self.residual <= 1e-6 * (1.0 + self.slope) else Status.STALLED

    def _line_search(self, x: Array, here: Expanded, d: Array) -> tuple[Array, Expanded] | None:
        """The first of x + d, x + d/2, … that decreases the objective enough; None if none."""
        decrease = float(here.gradient @ d)
        rounding = 1e-15 * (abs(here.value) + 1.0)
        t = 1.0
        for attempt in range(40):
            trial = x + t * d
            if attempt > 2 and not self.objective.internal:
                trial = self.objective.sorted(trial)
            if self.objective.admissible(trial):
                there = self.objective.expand(trial)
                if there.value <= here.value + 1e-4 * t * decrease + rounding:
                    if -decrease < rounding and not self._smaller(there):
                        return None
                    return trial, there
            t *= 0.5
        return None

    def _smaller(self, there: Expanded) -> bool:
        """Whether the residual still falls, where the value no longer can."""
        w = self.objective.mu.weights
        return math.sqrt(there.gradient @ (there.gradient / w)) < 0.5 * self.residual
