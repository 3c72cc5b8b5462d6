"""JKO steps of densities on grids by entropic scaling: blurred transport, cheap iterations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arguments import is_finite
from ...functionals.base import Functional
from ...measures.base import Array, Measure
from ...measures.grid import Grid
from ...record import State, Witness
from ...status import InvalidProblem, NotDefined, Status
from ...transport.entropic import LogKernel
from ..back_and_forth.potential import Linearised
from ..base import StepOutput, Stepper, require_options
from .iteration import Found, Look, Scaling
from .prox import ProximalMap
from .start import coarsenable, coarsened, refined, unmoved

_NARROWEST = 0.5  # of the largest spacing: a narrower kernel does not see the next cell
_WIDEST = 0.25  # of the shortest side: a wider kernel sees nothing but the walls
_WIDTHS = 64.0  # kernels' variance, by default, at most spacing times side over this
_STEP = 4.0  # and at most spacing times √τ over this
_ROUGH = 1e-4  # tolerance on coarser grids, which only provide a start
_MATCHED = 10.0  # times the tolerance: what linearising may cost


@dataclass(frozen=True)
class EntropicScaling(Stepper):
    """Entropically regularised steps of `Grid` densities, by scaling with a Gaussian kernel.

    Minimises F(ρ) + W_ε(ρ, μ)/τ over the grid's densities, with the entropic transport cost

        W_ε(ρ, μ) = min over couplings π of ∫½|x − y|² dπ + ε H(π) + (d/2) ε log 2πε
                  = ½W2² + (ε/2)(H(ρ) + H(μ)) + O(ε²).

    Debiased (the default), (ε/2)(H(ρ) + H(μ)) is subtracted, and the step is that of W2 up to
    O(ε²). Else the step is blurred: without forces it would add the variance ε to each axis, as
    the diffusion (ε/2τ)Δρ added to the flow.

    Parameters
    ----------
    epsilon : float, optional
        Variance of the kernel, in length². By default h² for h the largest spacing, and where
        debiased h·min(L/64, √τ/4) if that is more, L the shortest side.
    debiased : bool
    tolerance : float
        Mass that both marginals of the coupling may still disagree about.
    max_iterations, max_rounds : int
        Of the scaling, and of linearisations of smooth parts that are not linear in ρ.
    memory : int
        Steps that Anderson's mixing looks back on.
    witnessed : bool
        Make the evidence that the judge reads, at about the cost of the step.
    allow_locking : bool
        Accept ε < h²/4, where mass cannot leave its cell unless driven across half of it.

    Raises
    ------
    InvalidProblem
        If √ε is below h/2 (unless allowed) or above a quarter of the box's shortest side.

    Notes
    -----
    G. Peyré, Entropic approximation of Wasserstein gradient flows (2015); L. Chizat, G. Peyré,
    B. Schmitzer, F.-X. Vialard, Scaling algorithms for unbalanced transport problems (2018).
    For F = cH + (a/2)∫|x|²dρ and a Gaussian of variance s² the step's variance v solves

        (1 + aτ) v = cτ + √(s²v + ε²/4) + β,    β = 0 debiased, ε/2 else.

    The witness is the one of exact steps: an explicit coupling and a potential. What the blur
    has cost is part of the gap that the judge finds, who may answer UNDECIDED.

    Examples
    --------
    >>> import jkoflow as jf
    >>> normal = lambda x: np.exp(-0.5 * (x**2).sum(axis=1) / 0.3**2)
    >>> rho = jf.Grid.from_function(normal, [-2, -2], [2, 2], (48, 48))
    >>> out = EntropicScaling().step(jf.Entropy(), rho, 0.05, {}, None)
    >>> std = (0.3 + (0.3**2 + 4 * 0.05) ** 0.5) / 2       # exact
    >>> out.status.name, bool(abs(out.measure.cov()[0, 0] ** 0.5 - std) < 1e-3)
    ('CONVERGED', True)
    """

    epsilon: float | None = None
    debiased: bool = True
    tolerance: float = 1e-7
    max_iterations: int = 2000
    max_rounds: int = 50
    memory: int = 8
    witnessed: bool = True
    allow_locking: bool = False

    def __post_init__(self) -> None:
        require_options(
            self.tolerance, max_iterations=self.max_iterations, max_rounds=self.max_rounds,
            memory=self.memory,
        )  # fmt: skip
        if self.epsilon is not None and not (is_finite(self.epsilon) and self.epsilon > 0):
            raise InvalidProblem(
                f"epsilon must be a positive variance of the kernel, not {self.epsilon!r:.100}"
            )
        for name in ("debiased", "witnessed", "allow_locking"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise InvalidProblem(f"{name} must be True or False")

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: Any
    ) -> StepOutput:
        if not isinstance(mu, Grid):
            raise NotDefined(f"EntropicScaling moves densities on a Grid, not {type(mu).__name__}")
        return _Step(self, F, mu, tau, self.width(mu, tau)).run(state)

    def width(self, mu: Grid, tau: float) -> float:
        """The variance ε of the kernel on a grid.

        Raises
        ------
        InvalidProblem
            If the grid cannot carry it.
        """
        several = np.array(mu.shape) > 1 if mu.density.size > 1 else np.array([True] * mu.dim)
        spacing = float(mu.spacing[several].max())
        side = float((mu.upper - mu.lower)[several].min())
        if self.epsilon is None:
            wider = spacing * min(side / _WIDTHS, tau**0.5 / _STEP) if self.debiased else 0.0
            return max(spacing**2, wider)
        if self.epsilon > (_WIDEST * side) ** 2:
            raise InvalidProblem(
                f"epsilon = {self.epsilon:.3g} is too large for the box: √ε must be at most a "
                f"quarter of its shortest side, {side:.3g}"
            )
        if self.epsilon < (_NARROWEST * spacing) ** 2 and not self.allow_locking:
            raise InvalidProblem(
                f"epsilon = {self.epsilon:.3g} is too small for the grid: √ε must be at least "
                f"half of the largest spacing, {spacing:.3g}, or mass is locked in its cells; "
                "refine the grid, or set allow_locking=True"
            )
        return float(self.epsilon)


class _Step:
    """One step: rounds of linearisation, each an iteration to its fixed point."""

    def __init__(
        self, options: EntropicScaling, F: Functional, mu: Grid, tau: float, epsilon: float
    ) -> None:
        self.options, self.F, self.mu, self.tau, self.epsilon = options, F, mu, tau, epsilon
        self.halves = 2 if options.debiased else 1
        self.smooth = Linearised(F.smooth, mu, 1)
        self.energy = F.value(mu)
        self.iterations = self.exact_lines = self.rounds = 0

    def run(self, state: State) -> StepOutput:
        """Iterate; with smooth parts that are not linear, again at each new density."""
        potential = state.get("potential")
        price = self.smooth.potential()
        if not self._possible(price):
            return StepOutput(self.mu, {}, None, self._stats(np.nan), Status.INFEASIBLE)
        log_a = None if potential is None or potential.shape != self.mu.shape else (
            np.asarray(potential) / self.epsilon)  # fmt: skip
        best: tuple[float, Found, Grid] | None = None
        while self.rounds < self.options.max_rounds:
            self.rounds += 1
            found, rho = self._solve(self.mu, price, log_a)
            value = self.F.value(rho) + self._squared(found.look, rho) / (2.0 * self.tau)
            if best is None or value < best[0]:
                best = (value, found, rho)
            else:
                self.smooth.damp()
            if self.smooth.linear or not found.status.ok:
                return self._output(found, rho)
            lost = max(abs(self.energy - value), 1e-12 * abs(value))
            limit = _MATCHED * self.options.tolerance * lost
            if abs(self.smooth.mismatch(rho)[0]) <= limit:
                return self._output(found, rho)
            self.smooth.move(rho)
            price, log_a = self.smooth.potential(), found.look.following
        assert best is not None
        return self._output(best[1]._replace(status=Status.MAX_ITERATIONS), best[2])

    def _possible(self, price: Array) -> bool:
        """Whether some cell is free, and the free ones can hold the mass under the bound."""
        free = int((price < np.inf).sum())
        bound = ProximalMap(self.F, 1.0).bound
        return free > 0 and bound * free * self.mu.cell_volume >= 1.0

    def _scaling(self, mu: Grid, potential: Array, epsilon: float) -> Scaling:
        sigma = self.tau / epsilon
        with np.errstate(over="ignore"):  # a wall
            raised = sigma * potential
        kernel = LogKernel(mu.shape, mu.spacing, epsilon)
        return Scaling(
            mu, kernel, ProximalMap(self.F, self.halves * sigma), raised, self.halves
        )

    def _solve(self, mu: Grid, potential: Array, log_a: Array | None) -> tuple[Found, Grid]:
        """The fixed point on the step's own grid, and its density."""
        scaling = self._scaling(mu, potential, self.epsilon)
        if log_a is None:
            log_a = self._start(mu, potential, self.epsilon)
        options = self.options
        found = scaling.run(
            np.where(scaling.open, log_a, -np.inf), options.tolerance, options.max_iterations,
            options.memory,
        )  # fmt: skip
        self.iterations += found.iterations
        self.exact_lines += scaling.kernel.exact_lines
        density = scaling.normalised(found.look)
        if not np.isfinite(density).all():
            return found._replace(status=Status.NON_FINITE), mu
        return found, mu.with_density(density)

    def _start(self, mu: Grid, potential: Array, epsilon: float) -> Array:
        """log a from cells twice as large, and so on down to a grid that is coarse."""
        if not coarsenable(mu):
            return unmoved(self.F, mu, potential, self.tau, epsilon, self.halves)
        coarse, above = coarsened(mu, potential)
        wide = max(epsilon, float(coarse.spacing.max()) ** 2)
        scaling = self._scaling(coarse, above, wide)
        log_a = np.where(scaling.open, self._start(coarse, above, wide), -np.inf)
        found = scaling.run(log_a, _ROUGH, self.options.max_iterations, self.options.memory)
        return refined(wide * found.look.following, mu.shape) / epsilon

    def _squared(self, look: Look, rho: Grid) -> float:
        """W2² up to O(ε²): twice W_ε less the halves of both entropies; W_ε = ε⟨log a + log b⟩."""
        potentials = _integral(look.log_a, rho) + _integral(look.log_b, self.mu)
        entropies = _integral(np.log(np.maximum(rho.density, 1e-300)), rho) + _integral(
            np.log(np.maximum(self.mu.density, 1e-300)), self.mu
        )
        return max(self.epsilon * (2.0 * potentials - entropies), 0.0)

    def _blur(self, rho: Grid) -> float:
        """What the kernel moves mass by, in L²(ρ); by formulas that are exact for round Gaussians.

        Not debiased it is the diffusion ε/2, so (ε/2)‖∇ log ρ‖. Debiased, the cost gains
        (ε²/8)∫I(ρ_t)dt along the geodesic, I Fisher's information (Conforti and Tamanini 2021),
        which moves a Gaussian's deviation s = √(d/I) by ε²/8s³ on each axis.
        """
        information = fisher_information(rho)
        if not self.options.debiased:
            return 0.5 * self.epsilon * information**0.5
        return rho.dim**0.5 * self.epsilon**2 / 8.0 * (information / rho.dim) ** 1.5

    def _stats(self, residual: float) -> dict[str, Any]:
        debiased = bool(self.options.debiased)
        return {
            "variant": "debiased" if debiased else "Lebesgue", "epsilon": self.epsilon,
            "bias": "O(ε²)" if debiased else f"diffusion {self.epsilon / (2 * self.tau):.6g}",
            "bias_diffusion": 0.0 if debiased else self.epsilon / (2.0 * self.tau),
            "iterations": self.iterations, "rounds": self.rounds, "residual": residual,
            "exact_lines": self.exact_lines,
        }  # fmt: skip

    def _output(self, found: Found, rho: Grid) -> StepOutput:
        look, stats, witness = found.look, self._stats(found.error), None
        stats["blur"] = self._blur(rho)
        if self.options.witnessed and found.status is not Status.NON_FINITE:
            from .witness import plan_from

            plan = plan_from(look, self.mu, rho, self.tau, self.epsilon, self.halves)
            witness, stats["coupling_cost"] = Witness("grid", plan.arrays()), plan.squared
        following = np.where(np.isfinite(look.following), look.following, 0.0)
        state = {"potential": self.epsilon * following}
        return StepOutput(rho, state, witness, stats, found.status, self._squared(look, rho))


def _integral(f: Array, mu: Grid) -> float:
    """∫f dμ, where cells without mass count nothing."""
    held = mu.density > 0
    return float(f[held] @ mu.density[held]) * mu.cell_volume


def fisher_information(rho: Grid) -> float:
    """∫|∇ρ|²/ρ dx = 4∫|∇√ρ|² dx, by differences of neighbouring cells.

    Examples
    --------
    >>> normal = Grid.from_function(lambda x: np.exp(-0.5 * x[:, 0] ** 2), -8.0, 8.0, 400)
    >>> round(fisher_information(normal), 3)
    1.0
    """
    root = np.sqrt(rho.density)
    squares = [float((np.diff(root, axis=a) ** 2).sum()) / h**2 for a, h in enumerate(rho.spacing)]
    return 4.0 * rho.cell_volume * float(np.sum(squares))
