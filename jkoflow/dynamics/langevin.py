"""Overdamped Langevin particles: SGD with the population's gradient, for any functional."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import generator, is_among, is_finite, is_whole, whole
from ..functionals.base import Functional, Smooth
from ..functionals.internal import Entropy
from ..measures.base import Array, Measure, finite_array
from ..measures.particles import Particles
from ..status import InvalidMeasure, InvalidProblem, NotDefined, Status, StepFailed
from .sgd.loop import deferred_interrupt, progress_bar
from .sgd.record import Recorder, Recording, as_recording
from .sgd.run import SGDRun
from .sgd.schedule import NOISE, Schedule, StepSizes


def langevin(
    F: Functional,
    x0: ArrayLike | Measure,
    *,
    steps: int,
    epsilon: float,
    xi: Schedule = 1.0,
    rng: Any = None,
    record: Recording | ArrayLike | None = None,
    noise: str = "default",
    progress: bool = False,
    throw: bool = True,
) -> SGDRun:
    """N particles under F = S + H/β, on SGD's clock: SGD whose every gradient is the exact mean.

    With s_k = ε ξ(kε) and the empirical measure ρ̂ of all particles,

        x_i ← x_i − 2s_k ∇δS/δρ(x_i; ρ̂) + √(4s_k/β) g,   g ~ N(0, I).

    As N → ∞ and ε → 0 the law of x follows the W2 flow of F in the JKO time T = 2∫ξ. Where S is
    linear (potentials), the particles are independent, and the chain samples exp(−βS') up to O(ε).

    Parameters
    ----------
    F : Functional
        Smooth terms, with or without a positive multiple 1/β of `Entropy`.
    x0 : array_like (N, D), or Particles of equal weights
    steps, epsilon, xi, rng, record, noise, progress, throw
        As for `jkoflow.sgd`. ``noise`` names the constant: 4, 2 or 1 times s/β.

    Returns
    -------
    SGDRun

    Raises
    ------
    NotDefined
        If F has another internal energy than the entropy, or is no functional of points.
    InvalidMeasure, InvalidProblem
        For particles and arguments that make no sense.
    StepFailed
        If the particles become infinite or NaN: ε is too large. Its ``trajectory`` is the run
        up to the last finite ones.

    Examples
    --------
    >>> from jkoflow import Entropy, QuadraticPotential
    >>> run = langevin(QuadraticPotential(2.0) + Entropy() / 5.0, np.zeros((4000, 1)), steps=150,
    ...                epsilon=0.01, rng=0)
    >>> bool(abs(run.theta.var() / 0.1 - 1) < 0.1), run.jko_time       # 1/(βλ) = .1
    (True, 3.0)
    """
    sizes = StepSizes(epsilon, xi)
    mu = _particles(x0)
    S, temperature = _split(F, mu)
    steps = whole(steps, "steps", 0)
    if not is_among(noise, NOISE):
        raise InvalidProblem(f"noise must be one of {sorted(NOISE)}, but is {noise!r:.50}")
    random = generator(rng)
    recorder = Recorder(as_recording(record), sizes.epsilon, steps)
    x, w, spread = mu.points, mu.weights, math.sqrt(NOISE[noise] * temperature)
    done, status = 0, Status.COMPLETE
    with deferred_interrupt() as interrupted, progress_bar(steps, progress) as bar:
        for done in range(steps + 1):
            if recorder.next_due(-1) == done:
                recorder.record(x)
            if done == steps:
                break
            if interrupted():
                status = Status.INTERRUPTED
                break
            after = _step(S, x, w, float(sizes.between(done, done + 1)[0]), spread, random)
            if not np.isfinite(after).all():
                status = Status.NON_FINITE
                break
            x = after
            bar(1)
    run = SGDRun(
        x, done, sizes.epsilon, xi,
        recorder.times(sizes.epsilon),
        recorder.statistics(), recorder.snapshots, status,
    )  # fmt: skip
    if throw and status is Status.NON_FINITE:
        raise StepFailed(
            f"the particles diverged after step {done} of {steps}: take a smaller epsilon (now "
            f"{epsilon:g}); the run so far is in this error's trajectory", run,
        )  # fmt: skip
    return run


def euler_stationary(
    drift: Callable[[Array], Array],
    spread: float,
    lower: float,
    upper: float,
    n: int = 800,
) -> tuple[Array, Array]:
    """The stationary density of the chain x ← drift(x) + spread·g on the line, by quadrature.

    What a Langevin chain of finite step samples, without sampling. The kernel is taken at n
    points a distance h apart, and each row is normalised; for h ≤ spread/2 the trapezoidal rule
    of a normal density is exact to e^{−2π²·4}.

    Parameters
    ----------
    drift : callable
        x (n,) ↦ (n,), the step without its noise.
    spread : float
        Standard deviation of the noise of a step.
    lower, upper : float
        An interval that the chain does not leave with any probability that matters.
    n : int

    Returns
    -------
    x, density : ndarray (n,)

    Raises
    ------
    InvalidProblem
        If the points are too far apart for this spread, or the interval holds no chain.

    Examples
    --------
    >>> x, p = euler_stationary(lambda x: 0.9 * x, 0.3, -5.0, 5.0)
    >>> variance = float(p @ x**2 * (x[1] - x[0]))
    >>> round(variance, 10), round(0.3**2 / (1 - 0.9**2), 10)
    (0.4736842105, 0.4736842105)
    """
    if not (is_finite(spread) and spread > 0 and is_finite(lower) and is_finite(upper)):
        raise InvalidProblem(f"spread must be positive, the interval finite, not {spread!r:.50}")
    if not (lower < upper and is_whole(n, 3)):
        raise InvalidProblem(f"give lower < upper and n ≥ 3, not {lower!r}, {upper!r}, {n!r:.50}")
    x = np.linspace(lower, upper, int(n))
    h = x[1] - x[0]
    if h > 0.5 * spread:
        least = math.ceil(2 * (upper - lower) / spread) + 1
        raise InvalidProblem(f"n = {n} points are too few for a spread of {spread:g}: {least} do")
    target = finite_array(drift(x), "drift(x)", shape=x.shape)
    kernel = np.exp(-0.5 * ((x[None, :] - target[:, None]) / spread) ** 2)
    rows = kernel.sum(axis=1)
    if not (rows > 0.1 * spread / h).all():  # whole: √(2π)·spread/h; at least some of it
        inside = rows > 0.1 * spread / h
        x, kernel, rows = x[inside], kernel[np.ix_(inside, inside)], rows[inside]
    if len(x) < 3:
        raise InvalidProblem(f"the chain leaves [{lower:g}, {upper:g}] at once")
    # p (K − 1) = 0 and Σ p = 1: one equation is redundant, the last is replaced
    system = (kernel / kernel.sum(axis=1)[:, None]).T - np.eye(len(x))
    system[-1] = 1.0
    right = np.zeros(len(x))
    right[-1] = 1.0 / h
    return x, np.linalg.solve(system, right)


def _step(
    S: Smooth, x: Array, w: Array, s: float, spread: float, rng: np.random.Generator
) -> Array:
    """One step of size s; where nothing is random nothing is drawn."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = x - 2.0 * s * S.gradient_at_points(x, w)
    return moved + (spread * math.sqrt(s) * rng.standard_normal(x.shape) if spread else 0.0)


def _particles(x0: ArrayLike | Measure) -> Particles:
    if isinstance(x0, Measure):
        if not isinstance(x0, Particles) or np.ptp(x0.weights) > 1e-12 / len(x0.weights):
            raise InvalidMeasure("x0 must be particles of equal weights: draw samples from it")
        return x0
    points = finite_array(x0, "x0")
    if points.ndim != 2 or points.size == 0:
        raise InvalidMeasure(f"x0 must have shape (N, D) with N, D ≥ 1, not {points.shape}")
    return Particles(points)


def _split(F: Functional, mu: Particles) -> tuple[Smooth, float]:
    """S on points of R^D, and 1/β."""
    if not isinstance(F, Functional):
        raise InvalidProblem(f"F must be a functional, not {type(F).__name__}")
    for _, term in F.internal.terms:
        if not isinstance(term, Entropy):
            raise NotDefined(f"Langevin particles diffuse: Entropy is what they know, not {term}")
    temperature = sum(c for c, _ in F.internal.terms)
    if temperature < 0:
        raise NotDefined("the coefficient 1/β of the entropy must not be negative")
    return F.smooth.on(mu), float(temperature)
