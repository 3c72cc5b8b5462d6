"""Stochastic gradient descent on multilayer networks, at the mean-field learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import generator, is_among, is_finite, whole, working_precision
from ..measures.base import Array
from ..networks.multilayer import MultilayerNetwork, Weights
from ..networks.populations import Population
from ..status import InvalidProblem, Status, StepFailed
from .multilayer_record import LayerRecorder, LayerRecording
from .sgd.data import Piece, Stream
from .sgd.loop import deferred_interrupt, progress_bar
from .sgd.schedule import Schedule, StepSizes, jko_time

_LOOK = 200
"""At most so many steps between two looks at Ctrl-C and at whether the weights are finite."""


@dataclass(frozen=True)
class MultilayerRun:
    """What `multilayer_sgd` returns.

    ``theta`` are the weights after ``steps`` steps, one array for each layer. ``times`` are the
    recorded SGD times t = kε, and ``statistics[name]`` has a row for each of them; so has
    ``snapshots``, where weights were asked for.
    """

    network: MultilayerNetwork
    theta: Weights = field(repr=False)
    steps: int
    epsilon: float
    xi: Schedule = field(repr=False)
    times: Array = field(repr=False)
    statistics: dict[str, Array] = field(repr=False)
    snapshots: list[Weights] = field(repr=False)
    status: Status

    @property
    def time(self) -> float:
        """SGD time t = kε after the last step."""
        return self.steps * self.epsilon

    @property
    def flow_times(self) -> Array:
        """∫₀ᵗ ξ at the recorded times: the time of the gradient flow of the mean loss."""
        return np.array([0.5 * jko_time(self.xi, float(t)) for t in self.times])


def multilayer_sgd(
    network: MultilayerNetwork,
    population: Population,
    theta0: Weights | None = None,
    *,
    steps: int,
    epsilon: float,
    xi: Schedule = 1.0,
    batch: int = 1,
    rates: str | Sequence[float] = "mean-field",
    rng: Any = None,
    record: LayerRecording | ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
    progress: bool = False,
    throw: bool = True,
) -> MultilayerRun:
    """SGD on the mean loss of a multilayer network.

    For each batch, with s_k = ε ξ(kε) and the raw gradient of the batch's mean loss,

        W_l ← W_l − s_k n_{l−1} n_l ∂ℓ/∂W_l,

    where the numbers of inputs and outputs count as 1. A bias has n_l instead. At these rates the
    curves of networks of different widths come together as the widths grow.

    Parameters
    ----------
    network : MultilayerNetwork
    population : Population
        Has ``sample(n, rng) -> (x, y)``.
    theta0 : sequence of arrays, optional
        The initial weights; drawn from the layers' initial laws if not given.
    steps, epsilon : int, float
        ε is what the literature on these networks calls the learning rate α.
    xi : float or callable
        ξ(t), at the SGD time t = kε.
    batch : int
    rates : "mean-field" or a sequence of numbers, one for each layer
        A sequence takes the place of the products n_{l−1} n_l, for whoever wants to see what
        happens at other rates.
    rng : seed or Generator
        Initial weights and data come from two spawned children. What is recorded does not change
        the numbers drawn.
    record : array_like or LayerRecording, optional
        SGD times, at which the weights are kept; or a `LayerRecording`.
    dtype : float64 or float32
    progress : bool
    throw : bool
        Whether divergence raises, or is only told by the status.

    Returns
    -------
    MultilayerRun
        After Ctrl-C too, with status INTERRUPTED and what there is.

    Raises
    ------
    InvalidProblem
        For arguments that make no sense; each message says which.
    StepFailed
        If weights become infinite or NaN; its ``trajectory`` is the run up to finite weights.

    Notes
    -----
    Phan-Minh Nguyen, Mean field limit of the learning dynamics of multilayer neural networks
    (2019). With one hidden layer this is `jkoflow.sgd` for units a σ(⟨w, x⟩).

    Examples
    --------
    >>> from jkoflow.networks import GaussianClasses
    >>> from jkoflow.networks.multilayer import MultilayerNetwork, five_layers
    >>> network, classes = MultilayerNetwork(20, five_layers(50)), GaussianClasses.std(20, 0.8)
    >>> x, y = classes.sample(1000, 1)
    >>> run = multilayer_sgd(network, classes, steps=1000, epsilon=1e-3, batch=10, rng=0,
    ...     record=LayerRecording([0.0, 1.0], {"risk": lambda w: network.loss_value(w, x, y)}))
    >>> run.status.name, run.statistics["risk"].round(1)
    ('COMPLETE', array([1. , 0.7]))
    """
    _check_network(network)
    sizes = StepSizes(epsilon, xi)
    steps, batch = whole(steps, "steps", 0), whole(batch, "batch", 1)
    kind = working_precision(dtype)
    factors = _factors(network, rates)
    start_rng, data_rng = generator(rng).spawn(2)
    theta = _start(network, theta0, start_rng, kind)
    stream = Stream(population, sizes, batch, network.dim, steps, data_rng, kind)
    recorder = LayerRecorder(record, sizes.epsilon, steps)
    loop = _Loop(network, stream, recorder, theta, factors, steps)
    broken: Exception | None = None
    try:
        status = loop.run(progress)
    except Exception as error:
        status, broken = Status.INTERRUPTED, error
    run = MultilayerRun(
        network, loop.theta, loop.done, sizes.epsilon, xi, recorder.times(sizes.epsilon),
        recorder.statistics(), recorder.snapshots, status,
    )  # fmt: skip
    if broken is not None:
        broken.trajectory = run  # type: ignore[attr-defined]
        raise broken
    if throw and status is Status.NON_FINITE:
        raise StepFailed(
            f"SGD diverged between step {loop.done} and {loop.target} ({status}): take a smaller "
            f"epsilon (now {epsilon:g}); the run so far is in this error's trajectory",
            run,
        )
    return run


class _Loop:
    """The weights on their way; ``theta`` are the last ones known to be finite after ``done``."""

    def __init__(
        self,
        network: MultilayerNetwork,
        stream: Stream,
        recorder: LayerRecorder,
        theta: Weights,
        factors: tuple[float, ...],
        steps: int,
    ) -> None:
        self.network, self.stream, self.recorder = network, stream, recorder
        self.theta, self.factors, self.steps = theta, factors, steps
        self.done = self.target = 0

    def run(self, progress: bool) -> Status:
        """Steps up to the next record, a look at what came out, and on."""
        # deferred_interrupt turns the first Ctrl-C into a flag; a second one raises
        with deferred_interrupt() as interrupted, progress_bar(self.steps, progress) as bar:
            try:
                while True:
                    if self.recorder.next_due(-1) == self.done:
                        self.recorder.record(self.theta)
                    if self.done >= self.steps or interrupted():
                        break
                    until = min(self.recorder.next_due(self.steps), self.steps)
                    moved = self._stretch(min(until - self.done, _LOOK))
                    if not moved:
                        return Status.NON_FINITE
                    bar(moved)
            except KeyboardInterrupt:
                return Status.INTERRUPTED
        return Status.COMPLETE if self.done >= self.steps else Status.INTERRUPTED

    def _stretch(self, most: int) -> int:
        """Take at least one step and at most so many; 0 if the weights did not stay finite."""
        piece = self.stream.take(most)
        self._check(piece)
        theta = tuple(w.copy() for w in self.theta)
        batch = self.stream.batch
        self.target = self.done + len(piece.s)
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            for k, s in enumerate(piece.s):
                rows = slice(k * batch, (k + 1) * batch)
                factors = [float(s) * f for f in self.factors]
                self.network.descend(theta, piece.x[rows], piece.y[rows], factors)
        if not all(np.isfinite(w).all() for w in theta):
            return 0
        self.theta, self.done = theta, self.target
        return len(piece.s)

    def _check(self, piece: Piece) -> None:
        if piece.x.shape[1] != self.network.dim:
            raise InvalidProblem(
                f"the population has inputs in R^{piece.x.shape[1]}, the network takes "
                f"R^{self.network.dim}"
            )
        self.network.loss.check(self.network.outputs, piece.y)


def _check_network(network: Any) -> None:
    if not isinstance(network, MultilayerNetwork):
        raise InvalidProblem(
            f"network must be a MultilayerNetwork, not {type(network).__name__}: for one hidden "
            "layer's units, use jkoflow.sgd"
        )


def _start(
    network: MultilayerNetwork, theta0: Any, rng: np.random.Generator, kind: np.dtype[Any]
) -> Weights:
    if theta0 is None:
        return network.initial(rng, kind)
    given = network.checked(theta0)
    return tuple(np.array(w, dtype=kind, order="C") for w in given)


def _factors(network: MultilayerNetwork, rates: Any) -> tuple[float, ...]:
    """What the mean-field rates are multiplied by, for each layer."""
    if isinstance(rates, str):
        if not is_among(rates, ("mean-field",)):
            raise InvalidProblem(f'rates must be "mean-field" or numbers, not {rates!r:.100}')
        return (1.0,) * len(network.rates)
    given = list(rates) if hasattr(rates, "__iter__") else []
    if len(given) != len(network.rates) or not all(is_finite(r) and r >= 0 for r in given):
        raise InvalidProblem(
            f"rates must be {len(network.rates)} nonnegative numbers, one for each layer, not "
            f"{rates!r:.100}"
        )
    return tuple(float(r) / own for r, own in zip(given, network.rates, strict=True))
