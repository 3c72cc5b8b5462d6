"""Stochastic gradient descent on a two-layer network, one pass or noisy, on the flow's clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ...arguments import generator, whole, working_precision
from ...functionals.identity import describe
from ...measures.base import Array, Measure, finite_array
from ...measures.particles import Particles
from ...networks.populations import Population
from ...networks.units import Unit
from ...status import InvalidMeasure, InvalidProblem, Status, StepFailed
from ...store.text import encode
from .data import Stream
from .engines import Engine, choose_engine
from .loop import Broken, Force, run_steps
from .record import Recorder, Recording, as_recording
from .schedule import Schedule, StepSizes, jko_time
from .store import SGDFolder, generator_at, generator_state


@dataclass(frozen=True)
class SGDRun:
    """What `sgd` returns.

    ``theta`` (N, D) are the particles after ``steps`` steps, the last ones known to be finite.
    ``times`` are the recorded SGD times t = kε, and ``jko_times`` the same on the flow's clock,
    T(t) = 2∫₀ᵗ ξ. ``statistics[name]`` has a row for each recorded time, and so has
    ``snapshots``, where particles were asked for.
    """

    theta: Array = field(repr=False)
    steps: int
    epsilon: float
    xi: Schedule = field(repr=False)
    times: Array = field(repr=False)
    statistics: dict[str, Array] = field(repr=False)
    snapshots: list[Particles] = field(repr=False)
    status: Status

    @property
    def measure(self) -> Particles:
        """The empirical measure of the final particles."""
        return Particles(self.theta)

    @property
    def time(self) -> float:
        """SGD time t = kε after the last step."""
        return self.steps * self.epsilon

    @property
    def jko_times(self) -> Array:
        """T(t) = 2∫₀ᵗ ξ at the recorded times."""
        return np.array([jko_time(self.xi, float(t)) for t in self.times])

    @property
    def jko_time(self) -> float:
        """T(t) = 2∫₀ᵗ ξ after the last step."""
        return jko_time(self.xi, self.time)


def sgd(
    unit: Unit,
    population: Population,
    theta0: ArrayLike | Measure,
    *,
    steps: int,
    epsilon: float,
    xi: Schedule = 1.0,
    lam: float = 0.0,
    beta: float = math.inf,
    batch: int = 1,
    rng: Any = None,
    record: Recording | ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
    noise: str = "default",
    threads: int | None = None,
    store: Any = None,
    progress: bool = False,
    throw: bool = True,
) -> SGDRun:
    """SGD on the square loss of ŷ(x;θ) = (1/N) Σ σ*(x;θ_i), regularised and noisy if asked.

    For each sample (or batch, whose gradients are averaged), with s_k = ε ξ(kε),

        θ_i ← (1 − 2λs_k) θ_i + 2s_k (y_k − ŷ_k) ∇_θσ*(x_k; θ_i) + √(4s_k/β) g,   g ~ N(0, I).

    As N → ∞ and ε → 0 the law of θ follows the W2 gradient flow of ½R + (λ/2)∫|θ|² + H/β in the
    JKO time T = 2∫ξ.

    Parameters
    ----------
    unit : Unit
        Simple and scaled units with this library's activations are compiled; any other goes
        through its ``value`` and ``vjp``.
    population : Population
        Has ``sample(n, rng) -> (x, y)``.
    theta0 : array_like, shape (N, D), or Particles
    steps, epsilon : int, float
    xi : float or callable
        ξ(t), at the SGD time t = kε. Where ξ(0) is infinite, s_0 = ∫₀^ε ξ.
    lam, beta : float
        λ ≥ 0 and inverse temperature β > 0; β = ∞ means no noise.
    batch : int
        Samples a step. The samples stay in memory for a step: N·batch numbers.
    rng : seed or Generator
        Data and noise come from two spawned children, so that the same seed gives the same
        samples with and without noise. What is recorded does not change the numbers drawn.
    record : array_like or Recording, optional
        SGD times, or a `Recording` of times, statistics and snapshots.
    dtype : float64 or float32
    noise : {"default", "literature", "slides"}
        Variance 4s/β, 2s/β or s/β. Only the first samples exp(−βΨ_λ); the others sample
        exp(−2βΨ_λ) and exp(−4βΨ_λ) and exist to reproduce what was printed elsewhere.
    threads : int, optional
        For batches; by default one, or all that numba uses if a step is large. The result does
        not depend on it.
    store : path, optional
        A folder that keeps the run: a checkpoint every ten seconds and at the end. Called again
        with the same arguments, the run goes on from there and equals an unbroken one bit for
        bit, records included. ``threads``, ``progress`` and ``throw`` may change, and rng=None
        goes on with the generators that are there. A population must draw from nothing but the
        generator it is given.
    progress : bool
    throw : bool
        Whether divergence raises, or is only told by the status.

    Returns
    -------
    SGDRun
        After Ctrl-C too, with status INTERRUPTED and what there is.

    Raises
    ------
    InvalidProblem
        For arguments that make no sense; each message says which.
    InvalidMeasure
        If theta0 is not a finite array of particles with equal weights.
    StoreError
        If the folder cannot be used, or keeps a run with other arguments: the message says which.
    StepFailed
        If θ becomes infinite or NaN; its ``trajectory`` is the run up to the last finite θ.

    An error of the population, of a unit of one's own or of a statistic has in its attribute
    ``trajectory`` the run up to there.

    Notes
    -----
    Mei, Montanari, Nguyen, A mean field view of the landscape of two-layer neural networks (2018).

    Examples
    --------
    >>> from jkoflow.networks.activations import truncated_relu
    >>> from jkoflow.networks.populations import GaussianClasses
    >>> from jkoflow.networks.units import SimpleUnit
    >>> theta0 = 0.2 * np.random.default_rng(1).standard_normal((50, 10))
    >>> run = sgd(SimpleUnit(truncated_relu), GaussianClasses.std(10, 0.8), theta0,
    ...           steps=2000, epsilon=1e-4, rng=0, record=[0.0, 0.1, 0.2])
    >>> run.jko_times, run.statistics["radii"].shape, run.status.name
    (array([0. , 0.2, 0.4]), (3, 50), 'COMPLETE')
    """
    sizes = StepSizes(epsilon, xi)
    theta = _particles(theta0, dtype)
    steps, batch = whole(steps, "steps", 0), whole(batch, "batch", 1)
    if threads is not None:
        threads = whole(threads, "threads", 1)
    force = Force(lam, beta, noise, theta)
    if not isinstance(unit, Unit):
        raise InvalidProblem(
            f"unit must be a jkoflow.networks unit, not {type(unit).__name__}: subclass "
            "jkoflow.networks.Unit and define value and vjp"
        )
    data_rng, noise_rng = generator(rng).spawn(2)
    stream = Stream(population, sizes, batch, theta.shape[1], steps, data_rng, theta.dtype)
    recorder = Recorder(as_recording(record), sizes.epsilon, steps)
    engine = _checked_engine(unit, population, theta, batch, threads)
    folder, done, broken = None, 0, None
    try:
        if store is not None:
            arguments = _arguments(
                unit, population, theta, steps, sizes, force, batch, recorder, rng, data_rng
            )
            folder = SGDFolder(store, arguments, recorder)
            found = folder.resume()
            if found is not None:
                done, noise_rng = found.done, generator_at(found.noise)
                engine = _checked_engine(unit, population, found.theta, batch, threads)
                stream.restore(found.data)
        done, status = run_steps(
            engine, stream, force, noise_rng, recorder, steps, progress, done, folder
        )
    except Broken as error:
        done, status, broken = error.done, Status.INTERRUPTED, error.__cause__
    finally:
        if folder is not None:
            folder.close()
    run = SGDRun(
        engine.theta, done, sizes.epsilon, xi,
        recorder.times(sizes.epsilon),
        recorder.statistics(), recorder.snapshots, status,
    )  # fmt: skip
    if broken is not None:
        broken.trajectory = run  # type: ignore[attr-defined]
        raise broken
    if throw and not status.ok and status is not Status.INTERRUPTED:
        raise StepFailed(
            f"SGD diverged after step {done} of {steps} ({status}): take a smaller epsilon "
            f"(now {epsilon:g}); the run so far is in this error's trajectory",
            run,
        )
    return run


def _arguments(
    unit: Unit, population: Population, theta: Array, steps: int, sizes: StepSizes, force: Force,
    batch: int, recorder: Recorder, rng: Any, data_rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Descriptions of all that the numbers of a run depend on."""
    recording = recorder.recording
    statistics = {name: describe(f) for name, f in recording.statistics.items()}
    record = [describe(recorder.due), list(statistics), statistics, bool(recording.snapshots)]
    return {
        "unit": describe(unit), "population": describe(population), "theta0": describe(theta),
        "steps": steps, "epsilon": sizes.epsilon, "xi": describe(sizes.xi), "lam": force.lam,
        "beta": force.beta, "noise": force.factor, "batch": batch, "dtype": str(theta.dtype),
        "record": record, "rng": None if rng is None else encode(generator_state(data_rng)),
    }  # fmt: skip


def _particles(theta0: ArrayLike | Measure, dtype: DTypeLike) -> Array:
    """θ (N, D) in the working precision."""
    kind = working_precision(dtype)
    if isinstance(theta0, Measure):
        if not isinstance(theta0, Particles):
            raise InvalidMeasure(
                f"theta0 must be particles, not {type(theta0).__name__}: draw samples from it"
            )
        if np.ptp(theta0.weights) > 1e-12 / len(theta0.weights):
            raise InvalidMeasure("theta0 must have equal weights: every unit counts 1/N")
        theta0 = theta0.points
    theta = finite_array(theta0, "theta0")
    if theta.ndim != 2 or theta.size == 0:
        raise InvalidMeasure(f"theta0 must have shape (N, D) with N, D ≥ 1, not {theta.shape}")
    return np.array(theta, dtype=kind, order="C")


def _checked_engine(
    unit: Unit, population: Population, theta: Array, batch: int, threads: int | None
) -> Engine:
    """The engine, once unit and θ are known to fit the data."""
    width = getattr(population, "dim", None)
    needed = unit.dim(width) if isinstance(width, int) else None
    if needed is not None and needed != theta.shape[1]:
        raise InvalidProblem(
            f"{type(unit).__name__} has {needed} parameters for inputs in R^{width}, but theta0 "
            f"has shape {theta.shape}"
        )
    return choose_engine(unit, theta, batch, threads)
