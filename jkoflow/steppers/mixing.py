"""Anderson's mixing: fixed-point iterations z ↦ g(z) speeded up by what the last ones showed."""

from __future__ import annotations

from collections import deque

import numpy as np

from ..measures.base import Array

_WORSE = 2.0  # times the best residual since the start: a restart from there on
_RIDGE = 1e-12


class Mixing:
    """The next place to look at, from z and g(z), by weighted least squares over the last steps.

    With residuals f = g(z) − z, the combination of the last places whose residuals (as linear
    functions) cancel best is taken, and g of it. Where residuals grow, the past is forgotten and
    the iteration goes on from the best place by a plain step.

    Parameters
    ----------
    memory : int
        Steps remembered; 0 gives the plain iteration.

    Notes
    -----
    D. G. Anderson (1965); H. F. Walker and P. Ni, Anderson acceleration for fixed-point iterations
    (2011).

    Examples
    --------
    >>> mixing, z = Mixing(3), np.zeros(2)
    >>> for _ in range(4):
    ...     z = mixing.next(z, np.array([0.9, 0.5]) * z + 1.0, np.ones(2))
    >>> z.round(9)                                        # exact after d + 1 linear steps
    array([10.,  2.])
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.places: deque[Array] = deque(maxlen=memory)
        self.residuals: deque[Array] = deque(maxlen=memory)
        self.last: tuple[Array, Array] | None = None
        self.best: tuple[float, Array] | None = None
        self.restarts = 0

    def next(self, z: Array, g: Array, weights: Array) -> Array:
        """Where to look next; ``weights`` are those of the squared residuals."""
        f = g - z
        size = float(np.sqrt(weights @ (f * f)))
        if self.best is not None and not size <= _WORSE * self.best[0]:
            return self._restart()
        if self.best is None or size < self.best[0]:
            self.best = (size, g)
        if self.memory == 0:
            return g
        if self.last is not None:
            self.places.append(g - self.last[0])
            self.residuals.append(f - self.last[1])
        self.last = (g, f)
        if not self.places:
            return g
        return g - self._coefficients(f, weights) @ np.stack(self.places)

    def _restart(self) -> Array:
        assert self.best is not None
        place = self.best[1]
        self.places.clear()
        self.residuals.clear()
        self.last = self.best = None
        self.restarts += 1
        return place

    def _coefficients(self, f: Array, weights: Array) -> Array:
        rows = np.stack(self.residuals)
        weighted = rows * weights
        gram = weighted @ rows.T
        gram[np.diag_indices_from(gram)] *= 1.0 + _RIDGE
        scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
        scaled = gram / scale[:, None] / scale
        return np.asarray(np.linalg.lstsq(scaled, weighted @ f / scale, rcond=1e-12)[0] / scale)


class Anderson:
    """Anderson's mixing of y ← Φ(y) for few unknowns and to the last digits.

    Least squares are solved as they stand; by their Gram matrix, as in `Mixing`, which is cheaper
    where y is a grid, half of the digits are lost.
    """

    def __init__(self, depth: int = 5) -> None:
        self.depth = depth
        self.images: list[Array] = []
        self.steps: list[Array] = []

    def mix(self, y: Array, image: Array) -> Array:
        """The combination of past images whose steps Φ(y) − y cancel best."""
        self.images = [*self.images[-self.depth :], image]
        self.steps = [*self.steps[-self.depth :], image - y]
        if len(self.steps) == 1:
            return image
        changes = np.diff(np.array(self.steps), axis=0).T
        weights = np.linalg.lstsq(changes, self.steps[-1], rcond=1e-10)[0]
        return np.asarray(image - np.diff(np.array(self.images), axis=0).T @ weights)
