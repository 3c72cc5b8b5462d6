"""ReLU units on anisotropic classes: the settings, both clocks, one run of SGD, one flow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...dynamics.particle_flow import Velocity, particle_flow
from ...dynamics.sgd.record import Recording
from ...dynamics.sgd.run import SGDRun, sgd
from ...functionals.base import Functional
from ...measures.base import Array
from ...measures.particles import Particles
from ...networks import GaussianClasses, ScaledUnit, reduced_relu_risk, relu
from ...networks.four_parameters import four_parameters
from ...networks.relu_population import ReluPopulation

NAMES = ("population risk R", "mean of a", "mean of b", "mean of r1", "mean of r2")


@dataclass(frozen=True)
class Settings:
    """The experiment; ε, ξ are recalled, and what follows them is ours."""

    dim: int = 320
    active: int = 60
    neurons: int = 800
    deltas: tuple[float, ...] = (0.2, 0.4, 0.6)
    kappa: float = 0.8  # a = b = 1, w ~ N(0, κ²/d I)
    epsilon: float = 2e-4
    steps: int = 10_000_000
    particles: int = 1000
    largest: float = 0.05  # τ while the risk moves
    slow: float = 80.0  # until this JKO time
    finer: float = 10.0  # one more run at ε/finer, for the last Δ,
    finer_until: float = 15.0  # to this intrinsic time
    # what parts SGD from the flow, for the last Δ at these intrinsic times:
    at: tuple[float, ...] = (2.0, 5.0, 8.0)
    dt: float = 0.1  # of explicit flows, and half of it, to extrapolate
    smaller: tuple[float, ...] = (1e-4, 5e-5, 2.5e-5)  # ε
    seeds: int = 6
    sizes: tuple[int, ...] = (100, 200, 400)  # N of networks with their own directions
    size_seeds: int = 4
    samples: tuple[int, ...] = (100, 400, 1600)  # N of samples of the initial law
    sample_seeds: int = 12

    def classes(self, delta: float) -> GaussianClasses:
        """Standard deviations 1 ± Δ on the active coordinates, 1 on the others."""
        return GaussianClasses.std(self.dim, delta, active=self.active)

    def with_finer_steps(self) -> Settings:
        """The same with ε/finer, up to ``finer_until``."""
        epsilon = self.epsilon / self.finer
        return replace(
            self, epsilon=epsilon, steps=round(float(sgd_time(self.finer_until)) / epsilon)
        )

    def taus(self) -> Array:
        """Steps up to the JKO time where SGD ends: growing, constant, growing; an even number."""
        end, first = 2.0 * float(intrinsic(self.epsilon * self.steps)), 0.2 * self.largest
        sizes, time = [first], first
        while time < end:
            growth = 1.02 if sizes[-1] < self.largest or time >= self.slow else 1.0
            sizes.append(min(sizes[-1] * growth, end - time))
            time += sizes[-1]
        if len(sizes) % 2:
            sizes[-1:] = [0.5 * sizes[-1]] * 2
        return np.array(sizes)


QUICK = Settings(
    dim=80, active=15, neurons=400, deltas=(0.4, 0.6), epsilon=1e-3, steps=100_000, particles=120,
    largest=0.4, slow=40.0, finer_until=10.0, at=(1.0, 2.0), dt=0.2,
    smaller=(5e-4, 2.5e-4, 1.25e-4), sizes=(25, 50, 100), size_seeds=6, samples=(25, 100, 400),
)  # fmt: skip


def xi(t: Any) -> Any:
    """The schedule ξ(t) = t^{−1/4}."""
    return t**-0.25


def intrinsic(t: Any) -> Any:
    """∫₀ᵗ ξ = (4/3) t^{3/4}: SGD's time if ξ were 1, half of JKO time."""
    return 4.0 / 3.0 * np.asarray(t, dtype=float) ** 0.75


def sgd_time(u: Any) -> Any:
    """The SGD time t at intrinsic time u."""
    return (0.75 * np.asarray(u, dtype=float)) ** (4.0 / 3.0)


def initial_units(s: Settings, neurons: int, seed: int) -> Array:
    """N rows (a, b, w) of the initial law."""
    rng = np.random.default_rng([seed, 7])
    w = s.kappa / np.sqrt(s.dim) * rng.standard_normal((neurons, s.dim))
    return np.concatenate([np.ones((neurons, 2)), w], axis=1)


def of_units(s: Settings, delta: float) -> Any:
    """θ (N, 2 + d) ↦ the network's population risk, and its means of (a, b, r1, r2)."""
    population = ReluPopulation(s.classes(delta))

    def values(theta: Array) -> Array:
        means = four_parameters(theta, s.active).mean(axis=0)
        return np.concatenate([[population.risk(theta)], means])

    return values


def of_reduced(s: Settings, delta: float) -> Any:
    """The same of points (a, b, r1, r2), whose directions are averaged over."""
    risk = reduced_relu_risk(s.classes(delta), terms=2)
    return lambda x: np.concatenate([[risk.value(Particles(x))], x.mean(axis=0)])


def run_sgd(
    s: Settings, delta: float, record: Array, seed: int, data: int | None = None, **options: Any
) -> SGDRun:
    """SGD in float32 from `initial_units`; the statistic "values" is `of_units`.

    ``data`` is the seed of the samples, if it is to be another one.
    """
    return sgd(
        ScaledUnit(relu), s.classes(delta), initial_units(s, s.neurons, seed),
        steps=round(float(record[-1]) / s.epsilon), epsilon=s.epsilon, xi=xi,
        rng=seed if data is None else data, dtype=np.float32,
        record=Recording(record, {"values": of_units(s, delta)}), **options,
    )  # fmt: skip


def explicit_flow(velocity: Functional | Velocity, theta: Array, values: Any, dt: float,
                  times: Any) -> Array:  # fmt: skip
    """``values`` at JKO times, the last of them the end: Euler's method at dt and dt/2.

    Extrapolated to dt = 0, which leaves an error of order dt².
    """
    steps, rows = round(float(times[-1]) / dt), []
    for k in (1, 2):
        run = particle_flow(velocity, theta, dt=dt / k, steps=k * steps, record=times)
        rows.append(np.array([values(x) for x in run.snapshots]))
    return np.asarray(2.0 * rows[1] - rows[0])


def own_flow(s: Settings, delta: float, theta: Array, times: Any, dt: float) -> Array:
    """The flow of the law that these units have, if their directions are averaged over."""
    half_risk = 0.5 * reduced_relu_risk(s.classes(delta), terms=2)
    points = four_parameters(theta, s.active)
    return explicit_flow(half_risk, points, of_reduced(s, delta), dt, times)
