"""JKO steps of densities on grids, by ascent on the dual with exact c-transforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...functionals.base import Functional
from ...functionals.conjugate import Capped, Conjugate, OfEntropy, OfPower, conjugate
from ...functionals.internal import Congestion
from ...measures.base import Array, Measure
from ...measures.grid import Grid
from ...record import State, Witness
from ...status import NotDefined, Status
from ...transport.legendre import CTransform, spline_coefficients
from ..base import StepOutput, Stepper, require_options
from .ascent import Ascent, ascend
from .dual import Dual, DualPoint
from .metric import Metric
from .plan import plan_of
from .potential import Linearised

_RESOLVED = 8.0  # times what the cells hide: where the map jumps, whole points go either way
_FINER = 8  # times the points a cell and axis, at most: kinks move the mass of whole points
_POINTS = 2**22  # above which there are not made more of them
_FIRST = 1e-3  # tolerance of the first ascent where there will be others
_ARRIVED = 1e-5  # of W2²/2τ: what moving mass to where it should arrive may cost,
_HIDDEN = 1e-4  # or of what the cells hide
_SHARPER = 0.1  # factor of that tolerance where linearisations do not come closer
_MATCHED = 10.0  # times the tolerance: densities are coarser than dual values
_PRICED = 0.25  # of what cells hide: a price that is off by that buys another density
_TRUSTED = 1e-6  # relative density from which on its logarithm is believed
_NEARLY = 1e-2  # of the energy lost: what an ascent that a kink ended may still expect to gain,
# and of W2²/2τ, or of what cells hide: what its mass's arrival may cost
_POINTLIKE = 0.1  # mass of a cell from which on a failed step is put down to the cells


@dataclass(frozen=True)
class BackAndForth(Stepper):
    """Exact-W2 steps of `Grid` densities for internal energies, potentials, and what is smooth.

    Maximises the step's dual over spline potentials on the old cells. Every look at the dual
    costs one linear-time c-transform, its transpose and one fast cosine transform: the mass goes
    back from the new density to the old one, and the difference comes forth again as a change of
    the potential, measured in H¹ as by Jacobs, Léger and Lee (2021). On top of their metric there
    is a quasi-Newton memory. Smooth parts that are not linear in ρ (interaction, risk) are
    linearised, again and again, with damping where the objective would rise.

    Parameters
    ----------
    tolerance : float
        Gain that the dual may still miss, relative to the energy that the step loses.
    max_iterations, max_rounds : int
        Of the ascent, and of linearisations.
    refine : int
        Points a cell and axis at which the new density is taken; cells hold their mean. Where the
        map jumps, points go either way as a whole and the ascent may end early: then there are
        twice as many, up to eight times.
    memory : int
        Pairs of the quasi-Newton model.

    Notes
    -----
    M. Jacobs, F. Léger, W. Lee, A fast approach to optimal transport: the back-and-forth method
    (2020); Jacobs, Lee, Léger, The back-and-forth method for Wasserstein gradient flows (2021).

    Examples
    --------
    >>> import jkoflow as jf
    >>> normal = lambda x: np.exp(-0.5 * (x**2).sum(axis=1) / 0.3**2)
    >>> rho = jf.Grid.from_function(normal, [-2, -2], [2, 2], (48, 48))
    >>> out = BackAndForth().step(jf.Entropy(), rho, 0.05, {}, None)
    >>> std = (0.3 + (0.3**2 + 4 * 0.05) ** 0.5) / 2       # exact
    >>> out.status.name, bool(abs(out.measure.cov()[0, 0] ** 0.5 - std) < 2e-3)
    ('CONVERGED', True)
    """

    tolerance: float = 1e-7
    max_iterations: int = 1000
    max_rounds: int = 50
    refine: int = 2
    memory: int = 8

    def __post_init__(self) -> None:
        require_options(
            self.tolerance, max_iterations=self.max_iterations, max_rounds=self.max_rounds,
            refine=self.refine, memory=self.memory,
        )  # fmt: skip

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: Any
    ) -> StepOutput:
        if not isinstance(mu, Grid):
            raise NotDefined(f"BackAndForth moves densities on a Grid, not {type(mu).__name__}")
        solver = _Solver(self, F, mu, tau)
        if not solver.smooth.free:
            return StepOutput(mu, {}, None, {}, Status.INFEASIBLE)
        last = state.get("potential")
        known = last is not None and last.shape == mu.shape
        return solver.run(solver.start(np.asarray(last, dtype=float) if known else None))


def softened(star: Conjugate, floor: float) -> Conjugate:
    """A bound on the density alone buys nothing or all: where the crowd is thin, neither is
    right. A pressure δρ² below what the cells hide, δκ = Σh²/(8τ), lets it be in between."""
    if isinstance(star, Capped) and star.inner is None:
        return Capped(star.bound, OfPower(2.0, floor / star.bound), edge=2.0 * floor)
    return star


class _Solver:
    """One step: rounds of linearisation, each an ascent of the dual."""

    def __init__(self, options: BackAndForth, F: Functional, mu: Grid, tau: float) -> None:
        self.options, self.F, self.mu, self.tau = options, F, mu, tau
        self.floor = float((mu.spacing**2).sum()) / (8.0 * tau)  # see `resolution`
        exact = conjugate(F)
        self.conjugate = softened(exact, self.floor)
        self.softening = 0.0 if self.conjugate is exact else self.floor  # ∫δρ² ≤ δκ
        self.refine = options.refine
        self.smooth = Linearised(F.smooth, mu, self.refine)
        self.energy = F.value(mu)
        self.metric = Metric(mu, tau, self.conjugate)
        self.iterations = self.evaluations = 0

    def start(self, last: Array | None) -> Array:
        """The step before's potential, or the first guess where the dual is higher there: as after
        a start in few cells, whose potential may be anything beside them."""
        guess = self.first_guess()
        if last is None:
            return guess
        dual = self._dual(self.smooth.potential())
        return max((last, guess), key=lambda place: dual.at(place).value)

    def first_guess(self) -> Array:
        """The potential that would leave the density where it is, φ = −u'(μ) − V, transformed.

        Logarithms of tails are not believed, and obstacles are deep holes.
        """
        log_density = np.log(np.maximum(self.mu.density, _TRUSTED * self.mu.density.max()))
        price = np.zeros(self.mu.shape)
        for c, f in self.F.internal.terms:
            if not isinstance(f, Congestion):
                price += c * f.slope(log_density)  # type: ignore[attr-defined]
        if not isinstance(self.conjugate, OfEntropy):
            price[self.mu.density == 0] = 0.0
        phi = -price - self.smooth.at_cells(self.mu)
        reach = float(((self.mu.upper - self.mu.lower) ** 2).sum()) / (2.0 * self.tau)
        phi = np.maximum(phi, phi.max() - 2.0 * reach)
        return spline_coefficients(CTransform(phi, self.mu.spacing, self.tau).value)

    def run(self, place: Array) -> StepOutput:
        """Ascend; with smooth parts that are not linear, again at each new density."""
        if self.smooth.linear:
            found = self._ascended(place, self.options.tolerance)
            return self._output(found, found.converged, 0.0)
        return self._output(*self._settled(place))

    def _settled(self, place: Array) -> tuple[Ascent[DualPoint], bool, float]:
        """The ascent of the linearisation that was least in doubt, a fine one if there was any,
        whether that settled it, and the energy that linearising may have cost.

        Each ascent is as accurate as the linearisation before it deserves, the last one fully:
        values of coarse ones may be below the minimum, and their noise keeps others from settling.
        """
        best: tuple[tuple[bool, float], Ascent[DualPoint], float] | None = None
        aim = self.options.tolerance
        tolerance, last, value = max(aim, _FIRST), np.inf, np.inf
        for _ in range(self.options.max_rounds):
            found = self._ascended(place, tolerance)
            if not found.point.finite:
                return found, False, np.inf
            rho, place = self._density(found.point), found.point.place
            before, value = value, self.F.value(rho) + found.point.transport
            cost, off = self.smooth.mismatch(rho)
            cost, fine = abs(cost), tolerance <= aim
            mismatch = cost / self._lost(self.energy, value)
            if fine and mismatch <= _MATCHED * aim and off <= _PRICED * self.floor:
                return found, found.converged, 0.0
            doubt = not fine, cost + 0.5 * found.expected
            if best is None or doubt < best[0]:
                best = (doubt, found, cost)
            if cost > last and value >= before:
                self.smooth.damp()
            if cost > 0.5 * last:
                tolerance *= _SHARPER
            tolerance, last = max(aim, min(tolerance, mismatch / _MATCHED)), cost
            self.smooth.move(rho)
        assert best is not None
        return best[1], False, best[2]

    def _ascended(self, place: Array, tolerance: float) -> Ascent[DualPoint]:
        """An ascent; with finer points where a kink ended it before mass arrives."""
        while True:
            found = self._ascend(place, self.smooth.potential(), tolerance)
            kink = not found.converged and found.iterations < self.options.max_iterations
            early = kink and found.point.finite and not self._arrived(found.point, tolerance)
            if not (early and self._finer()):
                return found
            place = found.point.place

    def _arrived(self, point: DualPoint, tolerance: float) -> bool:
        """Whether moving the mass to where it should arrive costs next to nothing. The dual's own
        gain does not tell, where densities hardly depend on prices."""
        least = max(_ARRIVED * point.transport, _HIDDEN * self.floor)
        return self.metric.arrival(point) <= least * tolerance / self.options.tolerance

    def _lost(self, energy: float, objective: float) -> float:
        """Energy that the step loses; at least a thousandth of what the cells' size hides."""
        lost = energy - objective if np.isfinite(energy) else abs(objective)
        return max(lost, 1e-3 * self.floor)

    def _finer(self) -> bool:
        """Take twice as many points a cell and axis; False if there are enough of them."""
        most = (_POINTS / self.mu.weights.size) ** (1.0 / self.mu.dim)
        if 2 * self.refine > min(_FINER * self.options.refine, most):
            return False
        self.refine *= 2
        self.smooth = self.smooth.read_at(self.refine)
        return True

    def _density(self, point: DualPoint) -> Grid:
        rho = point.cell_averages()
        return self.mu.with_density(rho / (rho.sum() * self.mu.cell_volume))

    def _ascend(
        self, place: Array, potential: Array, tolerance: float
    ) -> Ascent[DualPoint]:
        dual = self._dual(potential)
        start = dual.at(place)
        energy = self._linear_energy(dual)

        def enough(point: DualPoint, expected: float, k: int) -> bool:
            gained = expected <= 2.0 * tolerance * self._lost(energy, point.value)
            return gained and self._arrived(point, tolerance)

        found = ascend(
            dual.at, start, self.metric.at(start), enough,
            self.options.max_iterations, self.options.memory, DualPoint.tightened,
        )  # fmt: skip
        self.iterations += found.iterations
        self.evaluations += found.evaluations
        return found

    def _dual(self, potential: Array) -> Dual:
        return Dual(self.mu, self.tau, self.conjugate, potential, self.refine)

    def _linear_energy(self, dual: Dual, rho: Grid | None = None) -> float:
        """The energy before the step, or of ρ, with the linearised potential as smooth part."""
        free = np.isfinite(dual.potential)  # obstacles hold no mass
        potential = dual.cell_means(np.where(free, dual.potential, 0.0))
        at = self.mu if rho is None else rho
        return self.F.internal.value(at) + float(potential.ravel() @ at.weights)

    def _output(
        self, found: Ascent[DualPoint], converged: bool, mismatch: float
    ) -> StepOutput:
        """The step; ``mismatch`` is the energy that the last linearisation may have cost."""
        point = found.point
        looks = {"iterations": self.iterations, "evaluations": self.evaluations}
        if not point.finite:
            return StepOutput(self.mu, {}, None, looks, Status.NON_FINITE)
        rho = self._density(point)
        plan = plan_of(point, rho)
        primal = self._linear_energy(point.dual, rho) + plan.squared / (2.0 * self.tau)
        dual = point.value - self.softening
        gap = primal - dual
        # kinks of ψ^c may end the ascent early; and the gap of a short step says little
        lost = self._lost(self._linear_energy(point.dual), point.value)
        missing = found.expected / (2.0 * max(lost, point.transport))
        missed = mismatch / max(lost, self.floor)  # the gap is that of the linearised step
        arrived = self.metric.arrival(point) <= _NEARLY * max(point.transport, self.floor)
        nearly = arrived and missing + missed <= _NEARLY
        near = gap <= _RESOLVED * self.floor + plan.torn / (2.0 * self.tau)
        gathered = float(rho.weights.max()) > _POINTLIKE
        fine = (near and nearly) or (converged and (near or not gathered))
        ended = found.iterations < self.options.max_iterations and mismatch == 0.0
        status = Status.STALLED if ended else Status.MAX_ITERATIONS
        status = Status.UNRESOLVED if gathered else status
        status = Status.CONVERGED if fine else status
        if not np.isfinite(gap):
            status = Status.NON_FINITE
        witness = Witness("grid", plan.arrays())
        stats = {
            **looks, "residual": point.residual, "missing": missing, "dual_value": dual, "gap": gap,
            "resolution": self.floor, "coupling_cost": plan.squared,
        }  # fmt: skip
        state = {"potential": point.place}
        squared = max(0.0, 2.0 * self.tau * point.transport)
        return StepOutput(rho, state, witness, stats, status, squared)

