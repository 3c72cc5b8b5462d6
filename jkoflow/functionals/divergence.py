"""How far from a target law: the Kullback–Leibler divergence and the squared MMD."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array, Measure
from ..measures.particles import Particles
from ..status import InvalidFunctional, NotDefined
from .answers import require_functions
from .base import Smooth, Sum
from .curvature import Curvature, Dense
from .identity import array_digest, describe
from .internal import Entropy
from .kernels import EnergyKernel, GaussianKernel, Kernel, as_kernel
from .potential import Potential
from .scale import with_scale

__all__ = ["MMD", "EnergyKernel", "GaussianKernel", "KullbackLeibler"]

_CHUNK = 1_000_000  # kernel entries held at once
_LARGEST_DENSE = 2000  # unknowns up to which the Hessian is kept as a matrix


class KullbackLeibler(Sum):
    """KL(ρ‖π) = ∫ρ log ρ dx − ∫log π dρ for a target density π, as `Entropy` plus `Potential`.

    π may be unnormalised: then the value is KL less the constant log∫π, and the flow is the same.

    Parameters
    ----------
    log_density : callable
        log π, (n, d) → (n,). On a radial law the points are radii and π is the density in R^d.
    gradient : callable, optional
        ∇log π, (n, d) → (n, d).
    hessian : callable, optional
        ∇²log π, (n, d) → (n, d, d).
    convexity : float, optional
        Claimed λ with −∇²log π ≥ λ.

    Examples
    --------
    >>> from jkoflow import Gaussian
    >>> F = KullbackLeibler(lambda x: -0.5 * (x**2).sum(axis=1) - 0.5 * np.log(2 * np.pi))
    >>> abs(F.value(Gaussian([0.0], [[1.0]]))) < 1e-9
    True
    """

    def __init__(
        self,
        log_density: Callable[[Array], ArrayLike],
        gradient: Callable[[Array], ArrayLike] | None = None,
        hessian: Callable[[Array], ArrayLike] | None = None,
        convexity: float | None = None,
    ) -> None:
        if not callable(log_density):
            raise InvalidFunctional(f"log_density must be a function, not {log_density!r}")
        require_functions(gradient=gradient, hessian=hessian)
        self.log_density = log_density
        potential = Potential(
            _Negative(log_density),
            None if gradient is None else _Negative(gradient),
            None if hessian is None else _Negative(hessian),
            convexity,
        )
        super().__init__([(1.0, Entropy()), (1.0, potential)])

    def spec(self) -> dict[str, Any]:
        return {
            "name": "KullbackLeibler",
            "log_density": describe(self.log_density),
            "convexity": self.terms[1][1].convexity,
        }

    def __repr__(self) -> str:
        return f"KullbackLeibler({getattr(self.log_density, '__name__', 'log_density')})"


class _Negative:
    """−f, with f's identity."""

    def __init__(self, function: Callable[[Array], ArrayLike]) -> None:
        self.function = function

    def __call__(self, x: Array) -> Array:
        answer = self.function(x)
        # what is no number is left to be refused by its name
        return np.negative(answer) if np.asarray(answer).dtype.kind in "iufc" else answer  # type: ignore[return-value]

    def spec(self) -> dict[str, Any]:
        return {"negative": describe(self.function)}


class MMD(Smooth):
    """∬k(x, y) d(ρ−π)(x) d(ρ−π)(y), the squared maximum mean discrepancy to π, in O(n(n+m)).

    The first variation is 2∫k(·, y) d(ρ−π)(y). It is not negative, and zero for ρ = π, if k is
    (conditionally) positive definite.

    Parameters
    ----------
    target : Measure or array_like, shape (m, d)
        π, or points of equal weight.
    kernel : callable
        k(x (n, d), y (m, d)) → (n, m), symmetric; `GaussianKernel`, `EnergyKernel`, or one's own.
        A method ``gradient(x, y)`` → (n, m, d), the gradient in x, spares central differences.

    Raises
    ------
    InvalidFunctional
        If the kernel answers with a wrong shape, NaN or complex numbers.
    NotDefined
        On radial laws, whose points are radii.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> F = MMD([[0.0], [1.0]], GaussianKernel(1.0))
    >>> F.value(Particles([[1.0], [0.0]]))
    0.0
    """

    def __init__(self, target: Measure | ArrayLike, kernel: Callable[..., ArrayLike]) -> None:
        self.target = target if isinstance(target, Measure) else Particles(target)
        if self.target.kind == "radial" and self.target.dim > 1:
            raise NotDefined(_RADIAL)
        self.kernel: Kernel = as_kernel(kernel)
        self.convex_in_mixtures = True if self.kernel.positive else None
        self._constant: float | None = None

    def at_scale(self, scale: float) -> MMD:
        other = with_scale(self, scale, type(self.kernel) is Kernel)
        if other is not self:
            other.kernel = copy.copy(self.kernel)
            other.kernel.difference_scale = scale
        return other

    def lower_bound(self) -> float | None:
        return 0.0 if self.kernel.positive else None

    def convexity_of_variation(self, mu: Measure) -> float | None:
        """2(a − b) where every second derivative of k in its first point lies in [a, b]."""
        if self.kernel.curvature_range is None:
            return None
        least, most = self.kernel.curvature_range
        return 2.0 * (least - most)

    def spec(self) -> dict[str, Any]:
        arrays = {k: array_digest(a) for k, a in sorted(self.target.to_arrays().items())}
        target = {"kind": self.target.kind, "arrays": arrays}
        return {"name": "MMD", "target": target, "kernel": describe(self.kernel)}

    def __repr__(self) -> str:
        return f"MMD({self.target!r}, {self.kernel!r})"

    def on(self, mu: Measure) -> Smooth:
        if mu.kind == "radial" and mu.dim > 1:
            raise NotDefined(_RADIAL)
        return self

    def value_at_points(self, x: Array, w: Array) -> float:
        y, v = self._target_points(x)
        if self._constant is None:
            self._constant = float(v @ self._embedding(y, v, y))
        own, cross = self._embedding(x, w, x), self._embedding(y, v, x)
        # exactly 0 at ρ = π, where the difference of equal sums rounds below it
        value = float(w @ own) - 2 * float(w @ cross) + self._constant
        return max(value, 0.0) if self.kernel.positive else value

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        y, v = self._target_points(x)
        return 2 * (self._embedding(x, w, at) - self._embedding(y, v, at))

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        y, v = self._target_points(x)
        return 2 * (self._embedding_gradient(x, w, x) - self._embedding_gradient(y, v, x))

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        """As a matrix, from the kernel's second derivatives; up to 2000 unknowns."""
        n, d = x.shape
        if n * d > _LARGEST_DENSE or not hasattr(self.kernel, "hessian"):
            return super().curvature_at_points(x, w)
        y, v = self._target_points(x)
        own, cross = self.kernel.hessian(x, x), self.kernel.hessian(x, y)
        blocks = np.einsum("j,ijab->iab", w, own) - np.einsum("j,ijab->iab", v, cross)
        pairs = -2 * (w[:, None] * w)[:, :, None, None] * own
        matrix = pairs.transpose(0, 2, 1, 3).reshape(n * d, n * d)
        return Curvature(2 * w[:, None, None] * blocks, [Dense(matrix)])

    def _target_points(self, x: Array) -> tuple[Array, Array]:
        y = self.target.points
        if y.shape[1] != x.shape[1]:
            raise InvalidFunctional(
                f"the target lives in R^{y.shape[1]}, but the measure's points in R^{x.shape[1]}"
            )
        return y, self.target.weights

    def _embedding(self, x: Array, w: Array, at: Array) -> Array:
        """∫k(at, x) dρ(x)."""
        parts = [self.kernel(at[rows], x) @ w for rows in _row_chunks(len(at), len(x))]
        return np.concatenate(parts)

    def _embedding_gradient(self, x: Array, w: Array, at: Array) -> Array:
        chunks = _row_chunks(len(at), x.size)
        parts = [np.einsum("j,ijd->id", w, self.kernel.gradient(at[r], x)) for r in chunks]
        return np.concatenate(parts)


_RADIAL = "MMD compares points, but those of a radial law are radii: use Particles in the space"


def _row_chunks(rows: int, columns: int) -> list[slice]:
    size = max(1, _CHUNK // columns)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
