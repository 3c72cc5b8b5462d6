"""JKO steps of weighted particles: descent in the positions, and a proof for the pairing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...functionals.base import Functional, Smooth
from ...functionals.internal import WITH_DENSITY
from ...measures.base import Array, Measure
from ...measures.particles import Particles
from ...record import State, Witness
from ...status import MissingStructure, NotDefined, Status, TransportFailed
from ..base import StepOutput, Stepper, require_options
from .objective import Objective
from .plan import Indices, Judgement, Plan, judge, witness_of
from .solver import Descent, LimitedMemory, NewtonCG, Outcome, minimise

_METHODS = ("auto", "newton", "lbfgs")
_FIRST_TRY = 60  # iterations of L-BFGS before "auto" pays for second derivatives
_LARGEST_BLOCKS = 30_000_000  # entries of the diagonal blocks, n·d², that "auto" will form


@dataclass(frozen=True)
class ParticleProximal(Stepper):
    """Minimises Σ π_ij |X_i − x_j|²/(2τ) + F(Σ w_i δ_{X_i}) over positions X and couplings π.

    With each particle coupled with itself this is a minimisation in X alone. At its end the
    pairing is proved optimal, and then it is the JKO step over all measures of n particles with
    these weights; or a better coupling is found, and the minimisation goes on with it. The
    objective only goes down. Equal weights stay a pairing; unequal ones may be split, particle i
    then being drawn to the mean of its partners.

    Parameters
    ----------
    method : {"auto", "newton", "lbfgs"}
        Newton–CG needs the functional's curvature, and wins where the step is ill-conditioned.
        L-BFGS in the geometry of W2 needs gradients only. ``"auto"`` turns from L-BFGS to
        Newton–CG where the former is slow and the curvature is there and not too large.
    tolerance : float
        A step is converged when the residual (Σ w_i|∇δF(X_i) + (X_i − x̄_i)/τ|²)^½ is below this
        fraction of the slope W2/τ, or as small as rounding allows.
    max_iterations : int
        Of the minimisation in X, for one coupling.
    max_pairings : int
        How many couplings may be tried.
    certify : bool
        If false the pairing i ↔ i is kept and not proved optimal: a step without a witness, whose
        distance_squared is an upper bound of W2².

    Raises
    ------
    NotDefined
        For measures that are not `Particles`, and for internal energies, which no particles have.
    MissingStructure
        For ``method="newton"`` where the functional has no curvature.

    Notes
    -----
    Where 1/τ + λ > 0 for the convexity λ of F the step is the global minimiser, up to a gap of
    residual²/(2(1/τ + λ)); elsewhere it is a stationary point below the start. Particles without
    mass stay where they are.

    The certificate: x_i = X_i + τ∇δF(X_i) at the minimiser, so f_i = −2τ δF(X_i) and
    g_i = |X_i − x_i|² − f_i are the natural potentials; f_i + g_j ≤ |X_i − x_j|² proves the
    pairing optimal in O(n²d). Where it fails, shortest-path sweeps repair the potentials, and
    where that fails too the exact solver decides.

    Examples
    --------
    >>> from jkoflow import Particles, Problem, QuadraticPotential, flow
    >>> mu = Particles([[1.0, 0.0], [0.0, 3.0]])
    >>> problem = Problem(QuadraticPotential(1.0), mu, tau=1.0, steps=1)
    >>> flow(problem, ParticleProximal()).final.points
    array([[0.5, 0. ],
           [0. , 1.5]])
    """

    method: str = "auto"
    tolerance: float = 1e-9
    max_iterations: int = 500
    max_pairings: int = 50
    certify: bool = True

    def __post_init__(self) -> None:
        require_options(words=_METHODS, method=self.method)
        require_options(
            self.tolerance, max_iterations=self.max_iterations, max_pairings=self.max_pairings
        )

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        smooth = self._admissible(F, mu)
        live = np.flatnonzero(mu.weights > 0)
        search = _Search(self, smooth, mu.points[live], mu.weights[live], tau)
        search.run(search.start(state, live))
        return search.output(mu, live)

    def _admissible(self, F: Functional, mu: Measure) -> Smooth:
        if not isinstance(mu, Particles):
            raise NotDefined(f"ParticleProximal moves Particles, not {type(mu).__name__}")
        if F.internal.terms:
            names = ", ".join(type(f).__name__ for _, f in F.internal.terms)
            raise NotDefined(
                f"{names} needs a density, but an empirical measure has none: {WITH_DENSITY}"
            )
        return F.smooth.on(mu)


@dataclass
class _Search:
    """One step under way: minimise in X, judge the coupling, and again until both are done."""

    options: ParticleProximal
    smooth: Smooth
    y: Array
    w: Array
    tau: float
    stats: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = Plan.pairing(np.arange(len(self.w)), self.w)
        self.objective = self._objective()
        self.judgement: Judgement | None = None
        self.status = Status.MAX_ITERATIONS
        self.stats = {"iterations": 0, "evaluations": 0, "products": 0, "pairings": 0}

    def start(self, state: State, live: Indices) -> Array:
        """The old points moved on with their last velocity, where that lowers the objective."""
        velocity = state.get("velocity")
        if velocity is None or velocity.ndim != 2 or velocity.shape[1:] != self.y.shape[1:]:
            return self.y
        if len(velocity) <= live[-1]:
            return self.y
        value = float(self.smooth.value_at_points(self.y, self.w))
        guess = self.objective.attempt(self.y + self.tau * velocity[live])
        return guess.x if guess is not None and guess.value < value else self.y

    def run(self, x: Array) -> None:
        """Minimise and judge until the coupling stays; sets ``x``, ``plan`` and ``status``."""
        for _ in range(self.options.max_pairings):
            self.stats["pairings"] += 1
            outcome = self._minimise(x)
            x = self.x = outcome.point.x
            self.status = outcome.status
            if not self.status.ok or not self.options.certify:
                return
            try:
                judgement = judge(self.plan, x, self.y, self.w, self._natural_potential())
            except TransportFailed as error:
                self.status = Status.SOLVER_FAILED
                self.stats["reason"] = str(error)
                return
            if judgement.improved:
                self.plan = judgement.plan
                self.objective = self._objective()
            self.stats["certificate"] = judgement.route
            if not judgement.improved:
                self.judgement = judgement
                return
        self.status = Status.MAX_ITERATIONS

    def _objective(self) -> Objective:
        centres, spread = self.plan.centres(self.y), self.plan.spread(self.y)
        return Objective(self.smooth, self.w, centres, self.tau, spread)

    def _natural_potential(self) -> Array:
        return -2.0 * self.tau * self.smooth.first_variation_at_points(self.x, self.w, self.x)

    def _minimise(self, x: Array) -> Outcome:
        objective, limit = self.objective, self.options.max_iterations
        if self.options.method == "newton":
            return self._descend(objective, x, NewtonCG(objective), limit)
        first = limit if self.options.method == "lbfgs" else min(limit, _FIRST_TRY)
        outcome = self._descend(objective, x, LimitedMemory(objective), first)
        unfinished = outcome.status in (Status.MAX_ITERATIONS, Status.STALLED)
        if not unfinished or first == limit:
            return outcome
        x = outcome.point.x
        if x.size * x.shape[1] <= _LARGEST_BLOCKS:
            try:
                return self._descend(objective, x, NewtonCG(objective), limit - first)
            except MissingStructure:
                pass
        return self._descend(objective, x, LimitedMemory(objective), limit - first)

    def _descend(self, objective: Objective, x: Array, descent: Descent, limit: int) -> Outcome:
        outcome = minimise(objective, x, descent, self.options.tolerance, limit)
        self.stats["iterations"] += outcome.iterations
        self.stats["evaluations"] += objective.evaluations
        objective.evaluations = 0
        self.stats["products"] += descent.products
        self.stats["residual"] = outcome.point.residual
        self.stats["slope"] = objective.slope(outcome.point.x)
        return outcome

    def output(self, mu: Measure, live: Indices) -> StepOutput:
        """The step in the numbering of all particles."""
        points, velocity = mu.points.copy(), np.zeros_like(mu.points)
        if not np.isfinite(self.x).all():
            self.x, self.status = self.y, Status.NON_FINITE
        points[live] = self.x
        velocity[live] = (self.x - self.plan.centres(self.y)) / self.tau
        witness: Witness | None = None
        if self.judgement is not None:
            witness = witness_of(
                self.plan, self.judgement.f, self.judgement.g, live, points, mu.points
            )
        return StepOutput(
            measure=Particles(points, mu.weights),
            state={"velocity": velocity},
            witness=witness,
            stats=self.stats,
            status=self.status,
            distance_squared=self.plan.cost(self.x, self.y),
        )
