"""What interactions and potentials are on grids: convolutions by FFT, and walls of V = +∞."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import fft

from ..measures.base import Array
from ..measures.grid import Grid
from ..status import InvalidFunctional
from .base import Smooth

Kernel = Callable[[Array], Array]
_PARTS = 8  # of a cell on each axis, for the average of a singular kernel over it


class GridConvolution:
    """Σ_j W(x_i − x_j) m_j over the centres of a regular grid, in O(N log N).

    ``at_zero`` is what W counts for within one cell.

    Examples
    --------
    >>> square = GridConvolution(lambda z: z[:, 0] ** 2, (3,), np.array([0.5]), 0.0)
    >>> square(np.array([1.0, 0.0, 1.0])).round(12)
    array([1. , 0.5, 1. ])
    """

    def __init__(
        self, W: Kernel, shape: tuple[int, ...], spacing: Array, at_zero: float
    ) -> None:
        self.shape = shape
        self.sizes = [fft.next_fast_len(2 * n - 1, real=True) for n in shape]
        axes = [h * np.arange(1 - n, n) for n, h in zip(shape, spacing, strict=True)]
        differences = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        zero = tuple(n - 1 for n in shape)
        values: Array = np.array(W(differences.reshape(-1, len(shape))))
        values = values.reshape(differences.shape[:-1])
        values[zero] = at_zero
        wrapped = np.zeros(self.sizes)
        wrapped[tuple(slice(0, 2 * n - 1) for n in shape)] = values
        wrapped = np.roll(wrapped, [1 - n for n in shape], axis=tuple(range(len(shape))))
        self.transform = fft.rfftn(wrapped)

    def __call__(self, mass: Array) -> Array:
        """For masses of the grid's shape."""
        product = fft.rfftn(mass, self.sizes) * self.transform
        return np.asarray(fft.irfftn(product, self.sizes)[tuple(slice(0, n) for n in self.shape)])


def cell_average(W: Kernel, spacing: Array) -> float:
    """Mean of W over a cell about 0, by Gauss's rule on parts that leave 0 out."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    ends = np.linspace(-0.5, 0.5, 2 * _PARTS + 1)
    middle, half = 0.5 * (ends[1:] + ends[:-1]), 0.25 / _PARTS
    x = (middle[:, None] + half * nodes).ravel()
    w = np.tile(half * weights, len(middle))
    points = np.stack(np.meshgrid(*[h * x for h in spacing], indexing="ij"), axis=-1)
    mass = w
    for _ in spacing[1:]:
        mass = np.multiply.outer(mass, w)
    return float(mass.ravel() @ W(points.reshape(-1, len(spacing))))


class GridInteraction(Smooth):
    """½ΣΣ W(x_i − x_j) m_i m_j on the cells of one grid.

    A kernel that is infinite at 0 counts within a cell with its mean over the cell: unlike for
    points, a density sees itself.
    """

    def __init__(self, inner: Any, mu: Grid) -> None:
        self.inner, self.shape, self.spacing = inner, mu.shape, mu.spacing
        self.points = mu.points
        self.convexity = inner.convexity
        self._potential = GridConvolution(inner._values, self.shape, self.spacing, self._at_zero())
        self._slopes: list[GridConvolution] | None = None

    def spec(self) -> dict[str, Any]:
        return dict(self.inner.spec())

    def __repr__(self) -> str:
        return repr(self.inner)

    def _at_zero(self) -> float:
        here = float(self.inner._values(np.zeros((1, len(self.shape))))[0])
        value = here if np.isfinite(here) else cell_average(self.inner._values, self.spacing)
        if not np.isfinite(value):
            raise InvalidFunctional("W is not integrable at 0, so a density has infinite energy")
        return value

    def _here(self, x: Array) -> bool:
        """Whether points are the cells' centres, in order: else sums are plain ones."""
        return x is self.points or np.array_equal(x, self.points)

    def value_at_points(self, x: Array, w: Array) -> float:
        if not self._here(x):
            return float(self.inner.value_at_points(x, w))
        return 0.5 * float(w @ self._convolved(w))

    def _convolved(self, w: Array) -> Array:
        return self._potential(w.reshape(self.shape)).ravel()

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        if self._here(x) and self._here(at):
            return self._convolved(w)
        return np.asarray(self.inner.first_variation_at_points(x, w, at))

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        if not self._here(x):
            return np.asarray(self.inner.gradient_at_points(x, w))
        if self._slopes is None:
            self._slopes = [
                GridConvolution(partial(self._slope, axis), self.shape, self.spacing, 0.0)
                for axis in range(len(self.shape))
            ]
        mass = w.reshape(self.shape)
        return np.stack([slope(mass).ravel() for slope in self._slopes], axis=1)

    def _slope(self, axis: int, z: Array) -> Array:
        """One component of ∇W."""
        return np.asarray(self.inner._slopes(z)[:, axis])

    def curvature_at_points(self, x: Array, w: Array) -> Any:
        return self.inner.curvature_at_points(x, w)


class ObstructedPotential(Smooth):
    """∫V dρ on a grid, where V may be +∞: an obstacle, which must hold no mass.

    The cost of transport stays |x − y|²: mass does not go round an obstacle, it may jump it.
    """

    convex_in_mixtures = True
    linear = True

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.convexity = inner.convexity

    def spec(self) -> dict[str, Any]:
        return dict(self.inner.spec())

    def __repr__(self) -> str:
        return repr(self.inner)

    def lower_bound(self) -> float | None:
        return self.inner.lower_bound()

    def value_at_points(self, x: Array, w: Array) -> float:
        held = w > 0
        return float(w[held] @ self.inner.extended(x[held]))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        return np.asarray(self.inner.extended(at))

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return np.asarray(self.inner.gradient_at_points(x, w))

    def curvature_at_points(self, x: Array, w: Array) -> Any:
        return self.inner.curvature_at_points(x, w)
