"""The stream of samples: drawn in chunks of fixed size, so that it depends on the seed alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ...measures.base import Array
from ...networks.populations import Population
from ...status import InvalidProblem, JkoflowError
from .schedule import StepSizes
from .store import generator_at, generator_state

_NUMBERS = 2**17
"""Size of a chunk: large enough to hide the cost of a call, small enough for the cache."""


class Piece(NamedTuple):
    """Data of k consecutive steps: x (k·batch, d), y (k·batch,) and the step sizes s (k,)."""

    x: Array
    y: Array
    s: Array


class Stream:
    """Samples and step sizes for the steps 0, 1, …

    Chunk boundaries depend on the batch and the number of parameters only; hence which numbers
    step k sees does not depend on where a run is stopped to be recorded.
    """

    def __init__(
        self,
        population: Population,
        sizes: StepSizes,
        batch: int,
        parameters: int,
        steps: int,
        rng: np.random.Generator,
        dtype: DTypeLike,
    ) -> None:
        if not hasattr(population, "sample"):
            raise InvalidProblem(
                f"population must have sample(n, rng) -> (x, y), which "
                f"{type(population).__name__} has not: for given rows, use EmpiricalData(x, y)"
            )
        self._population, self._sizes = population, sizes
        self.batch, self._rng, self._dtype = batch, rng, np.dtype(dtype)
        rows = min(max(_NUMBERS // parameters, 256), 4096)
        self._chunk = max(1, rows // batch)
        if getattr(population, "one_pass_size", None) is not None:
            self._chunk = max(steps, 1)
        self._takes_dtype = "dtype" in inspect.signature(population.sample).parameters
        self._width: int | None = None
        self._piece = Piece(np.empty((0, 0)), np.empty(0), np.empty(0))
        self._drawn = self._used = 0
        self._before = generator_state(rng)  # the generator before the chunk at hand

    def state(self) -> dict[str, Any]:
        """All that decides the data of the next steps."""
        return {"rng": self._before, "drawn": self._drawn, "used": self._used}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to where `state` was asked for: the chunk at hand is drawn again."""
        self._rng = generator_at(state["rng"])
        self._before = dict(state["rng"])
        if state["drawn"]:
            self._drawn = state["drawn"] - self._chunk
            self._draw()
        self._used = state["used"]

    def take(self, most: int) -> Piece:
        """The data of the next steps: at least one, at most ``most``."""
        if self._used == self._drawn:
            self._draw()
        i = self._used - (self._drawn - self._chunk)
        k = min(most, self._chunk - i)
        self._used += k
        rows = slice(i * self.batch, (i + k) * self.batch)
        return Piece(self._piece.x[rows], self._piece.y[rows], self._piece.s[i : i + k])

    def _draw(self) -> None:
        n = self._chunk * self.batch
        more: dict[str, Any] = {"dtype": self._dtype} if self._takes_dtype else {}
        before = generator_state(self._rng)
        x, y = self._sampled(n, more)
        s = self._sizes.between(self._drawn, self._drawn + self._chunk)
        self._piece = Piece(*self._checked(x, y, n), s)
        self._before = before
        self._drawn += self._chunk

    def _sampled(self, n: int, more: dict[str, Any]) -> tuple[Any, Any]:
        """What the population gives, as two arrays of anything."""
        name = f"{type(self._population).__name__}.sample({n}, rng)"
        try:
            x, y = self._population.sample(n, self._rng, **more)
            return np.asarray(x), np.asarray(y)
        except JkoflowError:
            raise
        except Exception as error:  # a user's population may raise anything
            raise InvalidProblem(
                f"{name} must give x (n, d) and y (n,), but {type(error).__name__}: {error}"
            ) from error

    def _checked(self, x: Any, y: Any, n: int) -> tuple[Array, Array]:
        name = type(self._population).__name__
        if x.ndim != 2 or len(x) != n or y.shape != (n,):
            raise InvalidProblem(
                f"{name}.sample({n}, rng) must give x of shape ({n}, d) and y of shape ({n},), "
                f"but gave {x.shape} and {y.shape}"
            )
        if self._width not in (None, x.shape[1]):
            raise InvalidProblem(f"{name}.sample gave inputs of changing dimension")
        self._width = x.shape[1]
        if np.iscomplexobj(x) or np.iscomplexobj(y):
            raise InvalidProblem(f"{name}.sample gave complex data")
        if x.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
            raise InvalidProblem(f"{name}.sample gave no numbers, but {x.dtype} and {y.dtype}")
        x = np.ascontiguousarray(x, dtype=self._dtype)
        y = np.ascontiguousarray(y, dtype=self._dtype)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InvalidProblem(f"{name}.sample gave NaN or infinity")
        return x, y
