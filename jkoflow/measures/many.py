"""Many measures that differ in their positions only, as arrays with an axis for the measures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .base import Array
from .cells import Cells
from .cubature import normal_cubature

_SMALLEST = 1e-150  # norms below it have squares that are rounded, or zero
_LARGEST = 1e150


class Laws:
    """K alike measures: points ``x`` (K, n, d), not to be written to, and weights ``w`` (n,).

    Of Gaussians, fields v at the points m + Rz are kept as their `coefficients` (K, 1+d, d).
    ``means`` (K, d), ``std`` (K, d) and ``vectors`` (K, d, d) are those of N(m, R²).

    Parameters
    ----------
    measures : sequence of Measure
        Each `alike` to the others, which is not looked at here.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> mu = Quantiles([0.0, 1.0, 2.0])
    >>> laws = Laws([mu, mu.with_edges(2 * mu.edges)])
    >>> laws.x.shape, laws.lengths(laws.x).round(3)
    ((2, 3, 1), array([1.225, 2.449]))
    """

    def __init__(self, measures: Sequence[Any]) -> None:
        self.measures, self.mu, self.w = measures, measures[0], measures[0].weights
        self.gaussian, self.cells = self.mu.kind == "gaussian", isinstance(self.mu, Cells)

    def __len__(self) -> int:
        return len(self.measures)

    @cached_property
    def x(self) -> Array:
        """The points."""
        x = np.array([mu.points for mu in self.measures])
        x.setflags(write=False)
        return x

    @cached_property
    def means(self) -> Array:
        """The means of Gaussians, (K, d)."""
        return np.array([mu.mean() for mu in self.measures])

    @cached_property
    def std(self) -> Array:
        """Roots of the eigenvalues of the covariances of Gaussians, (K, d)."""
        return np.sqrt(np.array([mu.eigen[0] for mu in self.measures]))

    @cached_property
    def vectors(self) -> Array:
        """The eigenvectors of the covariances of Gaussians, (K, d, d)."""
        return np.array([mu.eigen[1] for mu in self.measures])

    @cached_property
    def covariances(self) -> Array:
        """The covariance matrices of Gaussians, (K, d, d)."""
        return np.array([mu.cov() for mu in self.measures])

    @property
    def in_order(self) -> bool:
        """Whether points of the line are sorted in each of the measures; NaN never is."""
        return bool((self.x[:, 1:] >= self.x[:, :-1]).all())

    @cached_property
    def roots(self) -> Array:
        """R, the symmetric roots of the covariances of Gaussians, (K, d, d)."""
        return self.powers(1.0)

    def powers(self, exponent: float) -> Array:
        """R^exponent, (K, d, d)."""
        scaled = self.vectors * (self.std**exponent)[:, None, :]
        return np.asarray(scaled @ np.swapaxes(self.vectors, 1, 2))

    def is_decomposed(self, tolerance: float) -> bool:
        """Whether ``std`` and ``vectors`` are those of the covariances, relatively."""
        U, C = self.vectors, self.covariances
        turned = np.swapaxes(U, 1, 2) @ U - np.eye(U.shape[1])
        off = np.abs(self.powers(2.0) - C).max(axis=(1, 2))
        return bool((np.abs(turned) <= tolerance).all() and
                    (off <= tolerance * np.abs(C).max(axis=(1, 2))).all())

    def lengths(self, v: Array) -> Array:
        """‖v‖ in L²(ρ), (K,); of Gaussians, of the tangent vector that the coefficients stand for.

        That vector is b + H(x − m), H symmetric. The points are m + Rz, and a change of R by δR
        changes an objective by ⟨G, δR⟩, G the second coefficient of its gradient; so
        HR + RH = G + Gᵀ, and the squared norm is |b|² + tr(HR²H).
        """
        if not self.gaussian:
            return norms(v, self.w)
        size = np.abs(v).max(axis=(1, 2), keepdims=True)
        if not ((size == 0) | ((size > _SMALLEST) & (size < _LARGEST))).all():
            usable = np.where((size > 0) & (size < np.inf), size, 1.0)
            return np.asarray(usable[:, 0, 0] * self._tangent_lengths(v / usable))
        return self._tangent_lengths(v)

    def _tangent_lengths(self, v: Array) -> Array:
        G = np.swapaxes(self.vectors, 1, 2) @ v[:, 1:] @ self.vectors
        G = G + np.swapaxes(G, 1, 2)
        sums = self.std[:, :, None] + self.std[:, None, :]
        H = np.divide(G, sums, out=np.zeros_like(G), where=sums > 0) * self.std[:, None, :]
        return np.asarray(np.sqrt((v[:, 0] ** 2).sum(axis=1) + (H * H).sum(axis=(1, 2))))

    @cached_property
    def extents(self) -> Array:
        """‖x‖ in L²(ρ), (K,)."""
        if not self.gaussian:
            return norms(self.x, self.w)
        return np.asarray(np.sqrt((self.means**2).sum(axis=1) + (self.std**2).sum(axis=1)))


def alike(mu: Any, nu: Any) -> bool:
    """Whether two measures differ in their positions only.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> mu = Quantiles([0.0, 1.0, 2.0])
    >>> alike(mu, Quantiles([0.0, 4.0, 5.0])), alike(mu, Quantiles([0.0, 1.0]))
    (True, False)
    """
    return (
        type(mu) is type(nu)
        and mu.dim == nu.dim
        and _same(mu.weights, nu.weights)
        and all(_same(getattr(mu, a, None), getattr(nu, a, None)) for a in ("mass", "simplices"))
    )


def _same(a: Any, b: Any) -> bool:
    return a is b or np.array_equal(a, b)


def coefficients(dim: int, v: Array) -> Array:
    """(Σw v, Σw z vᵀ), (K, 1+d, d), of fields v (K, n, d) at the points m + Rz of Gaussians."""
    z, w = normal_cubature(dim)
    return np.asarray(np.vstack([w, (z * w[:, None]).T]) @ v)


def norms(v: Array, w: Array) -> Array:
    """(Σ_i w_i |v_ki|²)^½, (K,), for v of shape (K, n, d)."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = v * v
        found = np.asarray(np.sqrt((squares[..., 0] if v.shape[-1] == 1 else squares.sum(-1)) @ w))
    if ((found > _SMALLEST) & (found < np.inf)).all():
        return found
    size = np.abs(v).max(axis=(1, 2), keepdims=True)  # squares leave the range before their roots
    scaled = v / np.where((size > 0) & (size < np.inf), size, 1.0)
    return np.asarray(size[:, 0, 0] * np.sqrt((scaled * scaled).sum(-1) @ w))
