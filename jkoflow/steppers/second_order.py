"""Steps of second order in time: JKO steps from extrapolated measures (BDF2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..functionals.base import Functional
from ..measures.base import Array, Measure
from ..measures.cells import Cells
from ..measures.gaussian import Gaussian
from ..measures.particles import Particles
from ..record import State, Witness
from ..status import InvalidProblem, NotDefined, Status
from ..transport.motion import Motion, carried, motion, pulled_back
from .base import StepOutput, Stepper, require_options
from .choose import default_stepper

FIRST_STAGE = 1.0 - math.sqrt(0.5)
"""γ: the share of τ that each stage of the two-stage start takes."""
ONWARDS = math.sqrt(2.0)
"""How far the two-stage start extrapolates beyond its first stage."""
_DAMPINGS = (1.0, 0.5, 0.25, 0.125)


def extrapolation(tau: float, last: float) -> float:
    """α = ω²/(1 + 2ω) with ω = τ/τ_last: how far BDF2 extrapolates; ⅓ for equal steps.

    Examples
    --------
    >>> extrapolation(0.1, 0.1) == 1 / 3
    True
    """
    ratio = tau / last
    return ratio * ratio / (1.0 + 2.0 * ratio)


@dataclass(frozen=True)
class SecondOrder(Stepper):
    """Second order in time: each step is a JKO step of another stepper, from an extrapolated law.

    With y the law that lies beyond ρ_k by α of the way from ρ_{k−1} to ρ_k,

        ρ_{k+1} = argmin F(ρ) + W2²(ρ, y)/(2τ'),   τ' = τ_{k+1} − ατ_k,

    and α = ω²/(1 + 2ω), ω = τ_{k+1}/τ_k, which is the backward differentiation formula (BDF2)
    where points are followed (equal steps: α = ⅓, τ' = ⅔τ). So a step costs what a first-order
    step costs. For *any* F, convex or not, and steps that grow by less than the golden ratio,

        F(ρ_{k+1}) + W2²(ρ_{k+1}, ρ_k)/(4τ) never rises   (equal steps).

    F alone may rise, by a little. The run is no JKO run, and `check_run` refuses it:
    `jkoflow.check_second_order` judges it, minimisation by minimisation.

    Parameters
    ----------
    inner : Stepper, optional
        Takes the JKO steps; by default the one for the measure's kind. It must keep the points:
        QuantileNewton, ParticleProximal, MeshNewton; or BuresProximal.
    start : {"two-stage", "first-order"}
        The first step, which has no past. ``"two-stage"`` is a step of second order made of
        two JKO steps of size γτ, γ = 1 − 1/√2, the second from 1 + √2 times the first stage's
        way (the L-stable two-stage diagonally implicit method). ``"first-order"``, an ordinary
        step, keeps the order of the whole and costs half, with a larger constant; it is also what
        is taken where the second stage would fold.

    Notes
    -----
    Where y would fold, edges on the line are held back to the nearest that do not (the energy
    law stays; the statistics' ``held`` is the share of the way, in L²(ρ)). Where a mesh or
    a Gaussian would, α is halved, up to three times, and then 0: any α with τ' = τ − ατ_k is
    consistent, but only the full one is of second order. A step whose minimisation fails is tried
    again from ρ_k itself. The statistics tell: ``alpha``, ``full`` (whether that is BDF2's own),
    ``start`` (whether the step had no past), and the number of ``stages``. A singular Gaussian has
    no optimal map back, hence no past: its steps are ordinary ones.

    Sources: Matthes and Plazotta, Numer. Math. 2019 (BDF2 for gradient flows in metric spaces);
    Gallouët, Natale and Todeschi, 2022 (geodesic extrapolation).

    Examples
    --------
    >>> from jkoflow import Entropy, Gaussian, Problem, QuadraticPotential, flow
    >>> F, mu = Entropy() + QuadraticPotential(1.0), Gaussian(0.0, 0.25)
    >>> exact = (1 - 0.75 * math.exp(-2.0)) ** 0.5
    >>> std = lambda run: float(run.final.cov()[0, 0]) ** 0.5
    >>> for n in (10, 20):
    ...     problem = Problem(F, mu, tau=1 / n, steps=n)
    ...     print(*(round(abs(std(flow(problem, s)) - exact), 5) for s in (None, SecondOrder())))
    0.0137 0.0035
    0.00696 0.00088
    """

    inner: Stepper | None = None
    start: str = "two-stage"

    def __post_init__(self) -> None:
        require_options(words=("two-stage", "first-order"), start=self.start)
        if self.inner is not None and not isinstance(self.inner, Stepper):
            raise InvalidProblem(f"inner must be a stepper, not {self.inner!r:.100}")
        if isinstance(self.inner, SecondOrder):
            raise InvalidProblem("inner must take JKO steps: a second-order stepper takes none")

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        if not isinstance(mu, Cells | Gaussian | Particles) and mu.kind != "mesh":
            raise NotDefined(
                f"SecondOrder extrapolates along points that move, which a {mu.kind} has not: "
                "use Quantiles, Radial, Gaussian, Particles or Mesh"
            )
        if isinstance(mu, Gaussian):  # with LAPACK's eigenvectors, which a resumed run has too
            mu = Gaussian(mu.mean(), mu.cov())
        inner = self.inner or default_stepper(F, mu)
        run = _Steps(F, inner, rng)
        past = _past(state, mu)
        if past is not None:
            found = run.onwards(mu, past, tau)
            stages = [found]
        elif self.start == "first-order":
            stages = [run.plain(mu, tau)]
        else:
            stages = run.two_stages(mu, tau)
        return _output(mu, tau, stages, starting=past is None)


class Past(NamedTuple):
    """The motion of a law's points during the step that ended there, and that step's size."""

    motion: Motion
    tau: float


class Stage(NamedTuple):
    """One minimisation: what it answered, from where in which τ', and how far extrapolated."""

    output: StepOutput
    alpha: float
    limit: float
    held: float = 0.0

    @property
    def full(self) -> bool:
        return self.alpha == self.limit


class _Steps(NamedTuple):
    """The minimisations that steps are made of."""

    F: Functional
    inner: Stepper
    rng: np.random.Generator

    def plain(self, mu: Measure, tau: float, limit: float = 0.0) -> Stage:
        return Stage(self.inner.step(self.F, mu, tau, {}, self.rng), 0.0, limit)

    def onwards(self, mu: Measure, past: Past, tau: float) -> Stage:
        """The step of size τ from μ by BDF2."""
        return self._extrapolated(mu, past, tau, extrapolation(tau, past.tau))

    def _extrapolated(self, mu: Measure, past: Past, tau: float, limit: float) -> Stage:
        for damping in _DAMPINGS:
            alpha = damping * limit
            shorter = tau - alpha * past.tau
            base = carried(mu, past.motion, alpha)
            if base is not None:
                guess = _guess(mu, base, past, tau, shorter)
                out = self.inner.step(self.F, base, shorter, guess, self.rng)
                if out.status.ok:
                    return Stage(out, alpha, limit, _held(mu, base, past.motion, alpha))
                break
        return self.plain(mu, tau, limit)

    def two_stages(self, mu: Measure, tau: float) -> list[Stage]:
        """A step of second order that needs no past; an ordinary one where that cannot be taken."""
        first = self.plain(mu, FIRST_STAGE * tau)
        if not first.output.status.ok:
            return [self.plain(mu, tau)]
        middle = first.output.measure
        past = Past(_motion(middle, mu, first.output.witness), FIRST_STAGE * tau)
        if past.motion is None:
            return [self.plain(mu, tau)]
        second = self._extrapolated(middle, past, tau - FIRST_STAGE * tau, ONWARDS)
        return [first, second] if second.full and second.output.status.ok else [self.plain(mu, tau)]


def _held(mu: Measure, base: Measure, moved: Motion, alpha: float) -> float:
    """The share of the extrapolation's way, in L²(ρ), that edges were held back."""
    if not isinstance(mu, Cells):
        return 0.0
    way, w = alpha * moved.shift, mu.weights
    missed = base.points - mu.points - way
    full = math.sqrt(float(w @ (way * way).sum(axis=1)))
    return math.sqrt(float(w @ (missed * missed).sum(axis=1))) / full if full > 0.0 else 0.0


def _guess(mu: Measure, base: Measure, past: Past, tau: float, shorter: float) -> State:
    """The last step's motion once more, in the words of the inner steppers that begin there."""
    if not isinstance(mu, Cells | Particles):
        return {}
    guess = mu.points + (tau / past.tau) * past.motion.shift
    velocity = (guess - base.points) / shorter
    return {"velocity": velocity[:, 0] if isinstance(mu, Cells) else velocity}


def _motion(after: Measure, before: Measure, witness: Witness | None) -> Any:
    """The motion, or None where a singular Gaussian has none."""
    try:
        return motion(after, before, witness)
    except NotDefined:
        if isinstance(after, Gaussian):
            return None
        raise


def _past(state: State, mu: Measure) -> Past | None:
    """The past that a state tells of, if it is one of measures like μ."""
    shift, tau, back = state.get("shift"), state.get("tau"), state.get("back")
    if shift is None or tau is None:
        return None
    if isinstance(mu, Gaussian):
        fits = shift.shape == (mu.dim,) and back is not None and back.shape == (mu.dim, mu.dim)
    else:
        fits = shift.shape == mu.points.shape
    return Past(Motion(shift, back, float("nan")), float(tau)) if fits else None


def _output(mu: Measure, tau: float, stages: list[Stage], starting: bool) -> StepOutput:
    """The step that the stages make, with the evidence of each."""
    last, out = stages[-1], stages[-1].output
    stats: dict[str, Any] = {
        **out.stats, "alpha": last.alpha, "full": last.full, "held": last.held,
        "start": starting, "stages": len(stages),
    }  # fmt: skip
    if not out.status.ok:
        return StepOutput(out.measure, {}, None, stats, out.status)
    after = out.measure
    moved = _moved(mu, stages)
    if moved is None:  # a point mass, or a Gaussian on a plane: the next step has no past
        return StepOutput(after, {}, evidence(stages, None), stats, out.status)
    state: dict[str, Array] = {"shift": moved.shift, "tau": np.array(tau)}
    if moved.back is not None:
        state["back"] = moved.back
    status = Status.CONVERGED if out.status is Status.EXACT else out.status
    return StepOutput(after, state, evidence(stages, moved.back), stats, status, moved.squared)


def _moved(mu: Measure, stages: list[Stage]) -> Motion | None:
    """The motion from μ to the last stage's law, along the couplings of all stages."""
    after = stages[-1].output.measure
    if isinstance(after, Gaussian):
        found: Motion | None = _motion(after, mu, None)
        return found
    if len(stages) == 1:
        return motion(after, mu, stages[0].output.witness)
    origin = mu.points
    for stage in stages:
        origin = pulled_back(stage.output.witness, origin)
    shift = after.points - origin
    return Motion(shift, None, float(after.weights @ (shift * shift).sum(axis=1)))


def evidence(stages: list[Stage], back: Array | None) -> Witness:
    """The witness of kind "extrapolated"; see `jkoflow.record.Witness`."""
    arrays: dict[str, Array] = {"alpha": np.array([stages[-1].alpha])}
    if back is not None:
        arrays["back"] = back
    if len(stages) == 2:
        middle = stages[0].output
        arrays |= {f"middle.{name}": a for name, a in middle.measure.to_arrays().items()}
        arrays |= _named("first", middle.witness)
    return Witness("extrapolated", arrays | _named("last", stages[-1].output.witness))


def _named(prefix: str, witness: Witness | None) -> dict[str, Array]:
    """A stage's own witness; its kind is known by its arrays."""
    arrays = witness.arrays if witness is not None else {}
    return {f"{prefix}.{name}": np.asarray(a) for name, a in arrays.items()}
