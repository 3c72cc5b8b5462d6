"""Three ways to take SGD steps: compiled single samples, blocks through BLAS, and any unit.

An engine holds θ in its own layout. ``run`` takes a few steps of given data, sizes and noise;
how the steps are cut into calls of ``run`` changes no bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol

import numba
import numpy as np

from ...functionals.answers import read_only, said
from ...measures.base import Array
from ...networks.units import Unit, with_ones
from ...status import InvalidProblem, JkoflowError
from . import kernels
from .data import Piece
from .layout import Formula, aligned_zeros, compiled_formula, pack, unpack


class Forcing(NamedTuple):
    """2λs_k and the noise's standard deviation (k,), and the normal numbers (k, D, N) or none."""

    decay: Array
    amplitude: Array
    noise: Array


class Engine(Protocol):
    """Holds N particles and moves them."""

    @property
    def theta(self) -> Array:
        """A copy of the particles, (N, D)."""
        ...

    def finite(self) -> bool:
        """Whether every coordinate of every particle is finite."""
        ...

    def save(self) -> Any:
        """A copy of the particles in the engine's own layout."""
        ...

    def restore(self, saved: Any) -> None:
        """Go back to what `save` gave."""
        ...

    def ready(self) -> AbstractContextManager[Any]:
        """The context in which `run` is called: threads, settings of libraries."""
        ...

    def run(self, piece: Piece, forcing: Forcing) -> None:
        """Take len(piece.s) steps."""
        ...


class _Packed:
    """What the two compiled engines share: the layout."""

    def __init__(self, theta: Array, formula: Formula, lanes: int) -> None:
        self.n = len(theta)
        self.formula = formula
        first = 1 if formula.scaled else 0
        self.W = pack(theta[:, first:], lanes)
        self.outer = aligned_zeros((self.W.shape[0] * lanes,), theta.dtype)
        if formula.scaled:
            self.outer[: self.n] = theta[:, 0]

    @property
    def theta(self) -> Array:
        weights = unpack(self.W, self.n)
        if not self.formula.scaled:
            return weights
        return np.concatenate([self.outer[: self.n, None], weights], axis=1)

    def finite(self) -> bool:
        return _finite(self.W) and _finite(self.outer)

    def save(self) -> Any:
        return self.W.copy(), self.outer.copy()

    def restore(self, saved: Any) -> None:
        self.W[...], self.outer[...] = saved

    def inputs(self, x: Array) -> Array:
        """The inputs of the weights: with a column of ones in front for the bias of (a, b, w)."""
        x = with_ones(x) if self.formula.scaled else x
        rows = self.W.shape[1]
        if x.shape[1] != rows:
            raise InvalidProblem(
                f"theta0 fits inputs of dimension {rows - self.formula.scaled}, but the "
                f"population's are of dimension {x.shape[1] - self.formula.scaled}"
            )
        return x


class SingleSample(_Packed):
    """Batch 1: each update fused with the next sample's forward pass."""

    def __init__(self, theta: Array, formula: Formula) -> None:
        super().__init__(theta, formula, kernels.LANES)
        # inner products, values and slopes of the particles at the sample in work
        self.work = aligned_zeros((3, len(self.outer)), theta.dtype)

    def ready(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def run(self, piece: Piece, forcing: Forcing) -> None:
        kernels.run_single(
            self.W.reshape(-1), self.outer, *self.work, self.inputs(piece.x), piece.y, piece.s,
            forcing.decay, forcing.noise, forcing.amplitude, self.n, *self.formula,
        )  # fmt: skip


_BLOCK = 2**17
"""Particles times samples in a block: its products and slopes fit the second-level cache."""


class Blocks(_Packed):
    """Larger batches: BLAS on blocks of particles, each visited once a step; blocks are shared
    among threads, and the result does not depend on their number."""

    def __init__(self, theta: Array, formula: Formula, batch: int, threads: int) -> None:
        most = min(max(_BLOCK // batch, 64), 4096)
        count = -(-len(theta) // most)
        lanes = 16 * -(-len(theta) // (16 * count))
        super().__init__(theta, formula, lanes)
        blocks, rows, dtype = self.W.shape[0], self.W.shape[1], theta.dtype
        self.batch = batch
        self.threads = max(1, min(threads, blocks))
        self.slope = aligned_zeros((blocks, batch, lanes), dtype)
        shape = (blocks, batch, lanes) if formula.scaled else (1, 1, lanes)
        self.value = aligned_zeros(shape, dtype)
        self.sums = np.zeros((blocks, batch))
        self.c, self.cX = np.zeros(batch, dtype), np.zeros((batch, rows), dtype)
        self._pool: ThreadPoolExecutor | None = None
        cuts = np.linspace(0, blocks, self.threads + 1).astype(int).tolist()
        self._shares = [
            (
                (cuts[i], cuts[i + 1]),
                self.value if formula.scaled else aligned_zeros(shape, dtype),
                aligned_zeros((batch, lanes), dtype),
                aligned_zeros((rows, lanes), dtype),
            )
            for i in range(self.threads)
        ]

    def run(self, piece: Piece, forcing: Forcing) -> None:
        k = len(piece.s)
        X = self.inputs(piece.x).reshape(k, self.batch, -1)
        y = piece.y.reshape(k, self.batch)
        decay, amplitude, noise = forcing
        if len(noise) == 0:
            noise = np.zeros((1, 0, 0), self.W.dtype)
        if self._pool is None:
            (_, value, pre, change) = self._shares[0]
            kernels.run_batches(
                self.W, self.outer, value, self.slope, pre, change, self.sums, self.c, self.cX,
                X, y, piece.s, decay, noise, amplitude, self.n, *self.formula,
            )  # fmt: skip
            return
        for m in range(k + 1):  # as in run_batches
            last = max(m - 1, 0)
            z = noise[min(last, len(noise) - 1)]
            now = X[min(m, k - 1)]
            self._visit(self._pool, m > 0, m < k, now, decay[last], z, amplitude[last])
            if m < k:
                kernels.weigh(self.sums, self.n, now, y[m], piece.s[m], self.c, self.cX)

    def _visit(
        self, pool: ThreadPoolExecutor, finish: bool, begin: bool, X: Array, decay: Any,
        noise: Array, amplitude: Any,
    ) -> None:  # fmt: skip
        """Send each thread through its blocks."""

        def work(share: Any) -> None:
            blocks, value, pre, change = share
            kernels.run_blocks(
                blocks, finish, begin, self.W, self.outer, value, self.slope, pre, change,
                self.sums, self.c, self.cX, X, decay, noise, amplitude, self.n, *self.formula,
            )  # fmt: skip

        list(pool.map(work, self._shares))

    @contextmanager
    def ready(self) -> Iterator[None]:
        with single_threaded_blas():
            if self.threads == 1:
                yield
                return
            with ThreadPoolExecutor(self.threads) as self._pool:
                yield
            self._pool = None


class AnyUnit:
    """A unit of the user's: NumPy, through its ``value`` and ``vjp``."""

    def __init__(self, theta: Array, unit: Unit, batch: int) -> None:
        self._theta = theta.copy()
        self.unit = unit
        self.batch = batch

    @property
    def theta(self) -> Array:
        return self._theta.copy()

    def finite(self) -> bool:
        return _finite(self._theta)

    def save(self) -> Any:
        return self._theta  # each step makes a new array

    def restore(self, saved: Any) -> None:
        self._theta = saved

    def ready(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def run(self, piece: Piece, forcing: Forcing) -> None:
        for m, s in enumerate(piece.s):
            rows = slice(m * self.batch, (m + 1) * self.batch)
            x, y, theta = piece.x[rows], piece.y[rows], self._theta
            outputs = _asked(self.unit, "value", (len(x), len(theta)), theta, x)
            c = ((2 * s / self.batch) * (y - outputs.mean(axis=1))).astype(theta.dtype)
            change = _asked(self.unit, "vjp", theta.shape, theta, x, c)
            change = change - forcing.decay[m] * theta
            if len(forcing.noise):
                change += forcing.amplitude[m] * forcing.noise[m].T
            self._theta = (theta + change).astype(theta.dtype, copy=False)


def _finite(array: Array) -> bool:
    """By the sum, which an infinite or NaN entry spoils, and which needs no second array."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()))


def _asked(unit: Unit, method: str, shape: tuple[int, ...], *arguments: Array) -> Array:
    """unit.method(*arguments), which may be anyone's: its answer checked, its input read-only."""
    try:
        array = np.asarray(getattr(unit, method)(*[read_only(a) for a in arguments]))
    except JkoflowError:
        raise
    except Exception as error:
        raise InvalidProblem(said(f"{type(unit).__name__}.{method}", error)) from error
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise InvalidProblem(
            f"{type(unit).__name__}.{method} must give real numbers of shape {shape}, but gave "
            f"{array.dtype} of shape {array.shape}"
        )
    return array


def single_threaded_blas() -> Any:
    """Keep BLAS to the calling thread: on products this small its own threads cost more than they
    bring. Needs threadpoolctl, and leaves BLAS as it is where that is not installed."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    return threadpool_limits(1, user_api="blas")


def choose_engine(unit: Unit, theta: Array, batch: int, threads: int | None) -> Engine:
    """The fastest engine for this unit and batch."""
    formula = compiled_formula(unit, theta.dtype)
    if formula is None:
        return AnyUnit(theta, unit, batch)
    if batch == 1:
        return SingleSample(theta, formula)
    if threads is None:  # below some 10⁷ multiplications handing out the work costs more
        threads = numba.get_num_threads() if theta.size * batch > 2e7 else 1
    return Blocks(theta, formula, batch, threads)
