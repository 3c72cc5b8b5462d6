"""Splitting for particles with noise: an exact heat step for the entropy, JKO for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..functionals.base import Functional, Smooth, make_sum
from ..functionals.blob import BlobEntropy
from ..functionals.internal import Entropy
from ..measures.base import Measure
from ..measures.particles import Particles
from ..record import State
from ..status import InvalidProblem, NotDefined
from .base import StepOutput, Stepper
from .particle.stepper import ParticleProximal


@dataclass(frozen=True)
class Splitting(Stepper):
    """Noise N(0, 2τ/β I) on every particle, then a JKO step of S, for F = S + H/β.

    The flow of H/β alone is the heat equation, which independent noise solves exactly in law; that
    of S alone is left to ``inner``. **These are not JKO steps of F**: the law of a particle follows
    F's flow with a weak error of order one in τ, particles are random, no step minimises
    anything, and the judge can certify none. A step therefore comes without a witness and without
    a distance. It is what to take where τ∇²S is too stiff for Langevin's explicit step (which
    needs τ∇²S < 2), and in dimensions where no density can be represented.

    Energies of a run are those of `recorded`: F where the entropy is declared as `BlobEntropy`,
    S alone where it is `Entropy`, which no point cloud has.

    Parameters
    ----------
    inner : Stepper
        Takes the JKO step of S; `ParticleProximal` without certificates by default, since the
        pairing with the noisy points certifies nothing about F.

    Raises
    ------
    NotDefined
        For measures other than `Particles`, and internal energies other than the entropy.
    InvalidProblem
        If the coefficient 1/β of the entropy is negative, or ``inner`` is no stepper.

    Notes
    -----
    For S = a|x|²/2 the variance obeys v⁺ = (v + 2τ/β)/(1 + aτ)²: the stationary one is
    1/(aβ(1 + aτ/2)), where Euler's Langevin has 1/(aβ(1 − aτ/2)). Noise first and JKO last also
    makes the recorded particles lie where S wants them.

    A. Salim, D. Kovalev, P. Richtárik, Stochastic proximal Langevin algorithm (2019); E. Bernton,
    Langevin Monte Carlo and JKO splitting (2018).

    Examples
    --------
    >>> from jkoflow import Particles, Problem, QuadraticPotential, flow
    >>> F = QuadraticPotential(2.0) + Entropy() / 5.0
    >>> problem = Problem(F, Particles(np.zeros((4000, 1))), tau=0.1, steps=20)
    >>> run = flow(problem, Splitting(), rng=0)
    >>> expected = 0.1 / (1 + 0.1)          # 1/(aβ(1 + aτ/2))
    >>> bool(abs(run.final.cov()[0, 0] / expected - 1) < 0.05), run[1].witness is None
    (True, True)
    """

    inner: Stepper = field(default_factory=lambda: ParticleProximal(certify=False))

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Stepper):
            raise InvalidProblem(f"inner must be a stepper, not {self.inner!r:.100}")

    def recorded(self, F: Functional) -> Functional:
        """The functional whose values a run records: F without the terms that particles lack."""
        return F.smooth

    def init(self, F: Functional, mu: Measure, tau: float, rng: np.random.Generator) -> State:
        rest, _ = split(F, mu)
        return self.inner.init(rest, mu, tau, rng)

    def step(
        self, F: Functional, mu: Measure, tau: float, state: State, rng: np.random.Generator
    ) -> StepOutput:
        rest, temperature = split(F, mu)
        spread = math.sqrt(2.0 * tau * temperature)
        noise = spread * rng.standard_normal(mu.points.shape) if spread else 0.0
        heated = Particles(mu.points + noise, mu.weights)
        inner = self.inner.step(rest, heated, tau, state, rng)
        stats = {**inner.stats, "splitting": "noise, then JKO of the smooth part", "noise": spread}
        return StepOutput(inner.measure, inner.state, None, stats, inner.status)


def split(F: Functional, mu: Measure) -> tuple[Functional, float]:
    """S and the temperature 1/β of F = S + H/β, H as `Entropy` or as `BlobEntropy`.

    Raises
    ------
    NotDefined, InvalidProblem
        As `Splitting` says.
    """
    if not isinstance(mu, Particles):
        raise NotDefined(
            f"Splitting adds noise to Particles, but the measure is {type(mu).__name__}: other "
            "measures have steppers that know the entropy"
        )
    temperature, rest = 0.0, []
    for c, f in F.terms:
        if isinstance(f, (Entropy, BlobEntropy)):
            temperature += c
        elif isinstance(f, Smooth):
            rest.append((c, f))
        else:
            raise NotDefined(f"noise is the flow of Entropy(), and Splitting knows none for {f!r}")
    if temperature < 0:
        raise InvalidProblem(
            f"the coefficient 1/β of the entropy is {temperature:g}: no noise runs backwards"
        )
    return make_sum(rest), float(temperature)
