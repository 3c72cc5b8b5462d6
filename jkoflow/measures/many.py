"""Many measures that differ in their positions only, as arrays with an axis for the measures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .base import Array
from .cells import Cells, node_weights
from .cubature import coefficients, normal_cubature
from .lengths import norms


class Laws:
    """K alike measures: points ``x`` (K, n, d), not to be written to, and weights ``w`` (n,).

    ``means`` (K, d), ``std`` (K, d) and ``vectors`` (K, d, d) are those of Gaussians N(m, R²),
    R = U diag(std) Uᵀ. Their fields are kept as tangent vectors b + H(x − m), H symmetric, in the
    form of b and Uᵀ(HR)U, (K, 1+d, d), the norm of which is that in L²(ρ): see `tangents`.

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

    @property
    def singular(self) -> bool:
        """Whether one of the Gaussians has no density, as `Gaussian.is_singular` says."""
        squares = self.std**2
        return bool((squares.min(axis=1) <= np.finfo(float).eps * squares.max(axis=1)).any())

    @cached_property
    def vectors(self) -> Array:
        """The eigenvectors of the covariances of Gaussians, (K, d, d)."""
        return np.array([mu.eigen[1] for mu in self.measures])

    @cached_property
    def covariances(self) -> Array:
        """The covariance matrices of Gaussians, (K, d, d)."""
        return np.array([mu.cov() for mu in self.measures])

    @cached_property
    def least_gaps(self) -> Array:
        """The least of the lengths between points of the line in their order, (K,)."""
        return np.asarray(np.subtract(self.x[:, 1:, 0], self.x[:, :-1, 0])
                          .min(axis=1, initial=np.inf))  # fmt: skip

    @property
    def in_order(self) -> bool:
        """Whether points of the line are sorted in each of the measures; NaN never is."""
        return bool((self.least_gaps >= 0.0).all())

    def preceded_by(self, mu: Any) -> Laws:
        """The laws one place before: μ, alike to these, and all of these but the last. Of a single
        law nothing is taken over, and μ may be any."""
        came = Laws([mu, *self.measures[:-1]])
        if len(self) == 1:
            return came
        if not self.gaussian:  # whose cubature nobody may ask for
            came.x = np.concatenate([mu.points[None], self.x[:-1]])
            came.x.setflags(write=False)
        if self.cells:
            came.least_gaps = np.append(Laws([mu]).least_gaps, self.least_gaps[:-1])
        return came

    @property
    def consistent(self) -> bool:
        """Whether what the measures keep besides their arrays is that of their arrays.

        A copy that somebody changed may hand out the weights, masses or points of another law.

        Examples
        --------
        >>> from jkoflow import Gaussian
        >>> mu = Gaussian(0.0, 1.0)
        >>> mu.__dict__["points"] = 2 * mu.points
        >>> Laws([mu]).consistent, Laws([Gaussian(0.0, 1.0)]).consistent
        (False, True)
        """
        mu = self.mu
        if self.cells:
            weights, log_mass = node_weights(mu.mass), np.log(mu.mass)
            same = _near(self.w, weights) and _near(mu.log_mass, log_mass)
            return same and all(_same(nu.log_mass, mu.log_mass) for nu in self.measures)
        return _own_points(self) if self.gaussian else all(map(_fresh, self.measures))

    def is_decomposed(self, tolerance: float) -> bool:
        """Whether ``std`` and ``vectors`` are those of the covariances, relatively."""
        U, C = self.vectors, self.covariances
        turned = np.swapaxes(U, 1, 2) @ U - np.eye(U.shape[1])
        squares = (U * self.std[:, None, :] ** 2) @ np.swapaxes(U, 1, 2)
        off = np.abs(squares - C).max(axis=(1, 2))
        return bool((np.abs(turned) <= tolerance).all() and
                    (off <= tolerance * np.abs(C).max(axis=(1, 2))).all())

    def widened(self, change: Array, rounding: Array, enough: Array) -> Array:
        """W2 (K,) to Gaussians of the same means with covariances Σ + ``change`` (K, d, d).

        In the axes of Σ = diag(s²), to first order, (½ Σ D_ij²/(s_i² + s_j²))^½; with s_i and the
        new roots of the diagonal instead of 2s_i, exact for diagonal D. Of each entry counts what
        is above its ``rounding`` (K,): a variance of 1e-16 is a standard deviation of 1e-8. Where
        the bound |D|/min s is ``enough`` (K,) or less, that.

        Examples
        --------
        >>> from jkoflow import Gaussian
        >>> laws = Laws([Gaussian([0.0, 0.0], np.diag([1.0, 1e-6]))])
        >>> none = np.zeros(1)
        >>> laws.widened(np.diag([0.0, 3e-6])[None], none, none).round(9)  # from 1e-3 to 2e-3
        array([0.001])
        """
        least, off = self.std.min(axis=1), np.sqrt(np.einsum("kij,kij->k", change, change))
        off = np.divide(off, least, out=np.where(off == 0, 0.0, np.inf), where=least > 0)
        far = ~(off <= enough)
        if far.any():
            off[far] = _widened(change[far], self.vectors[far], self.std[far], rounding[far])
        return off

    def tangents(self, v: Array) -> Array:
        """Of fields v (K, n, d) at the points; for Gaussians, the tangent vectors they stand for.

        The points are m + Rz, and a change of R by δR changes an objective by ⟨G, δR⟩ with
        G = Σ w z vᵀ for its gradient v; so HR + RH = G + Gᵀ.
        """
        if not self.gaussian:
            return v
        c = coefficients(self.mu.dim, v)
        G = np.swapaxes(self.vectors, 1, 2) @ c[:, 1:] @ self.vectors
        G, sums = G + np.swapaxes(G, 1, 2), self.std[:, :, None] + self.std[:, None, :]
        H = np.divide(G, sums, out=np.zeros_like(G), where=sums > 0)
        return np.concatenate([c[:, :1], H * self.std[:, None, :]], axis=1)

    def stretches(self, b: Array | float, diagonal: Array) -> Array:
        """Tangent vectors b + H(x − m) of Gaussians, HR with this diagonal (K, d) in R's axes."""
        found = np.zeros((len(self), 1 + self.mu.dim, self.mu.dim))
        found[:, 0] = b
        np.einsum("kii->ki", found[:, 1:])[:] = diagonal
        return found

    def unturned(self, tangents: Array) -> Array:
        """Tangent vectors with HR in the axes of space, in which those of several laws compare."""
        if not self.gaussian:
            return tangents
        turned = self.vectors @ tangents[:, 1:] @ np.swapaxes(self.vectors, 1, 2)
        return np.concatenate([tangents[:, :1], turned], axis=1)

    def apart(self, v: Array, others: Laws, u: Array) -> Array:
        """Lengths (K,) of the differences between tangents v here and u of K other laws nearby."""
        return self.lengths(others.unturned(u) - self.unturned(v))

    def lengths(self, v: Array) -> Array:
        """‖v‖ in L²(ρ), (K,), of `tangents` v."""
        if not self.gaussian:
            return norms(v, self.w)
        flat = v.reshape(len(v), -1, 1)
        return norms(flat, np.ones(flat.shape[1]))

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
    if type(mu) is not type(nu) or mu.dim != nu.dim:
        return False
    if mu.kind == "gaussian":  # weights by d alone
        return True
    if not _same(mu.weights, nu.weights):  # besides masses: somebody's may contradict them
        return False
    for name in _PLACES.get(mu.kind, ()):
        if not _same(getattr(mu, name), getattr(nu, name)):
            return False
    return True


_PLACES = {
    "quantiles": ("mass",), "radial": ("mass",), "mesh": ("mass", "simplices"),
    "grid": ("shape", "lower", "upper"),
}  # fmt: skip
"""What is the same in alike measures besides their weights, by kind."""


def _same(a: Any, b: Any) -> bool:
    return a is b or np.array_equal(a, b)


def _widened(change: Array, U: Array, s: Array, rounding: Array) -> Array:
    D = np.swapaxes(U, 1, 2) @ change @ U
    s = s + np.sqrt(np.maximum(0.0, s**2 + np.einsum("kii->ki", D)))
    off = np.maximum(0.0, np.abs(D) - rounding[:, None, None])
    size = s[:, :, None] ** 2 + s[:, None, :] ** 2
    shares = np.divide(2.0 * off**2, size, out=np.where(off == 0, 0.0, np.inf), where=size > 0)
    return np.asarray(np.sqrt(shares.sum(axis=(1, 2))))


def _near(a: Any, b: Any) -> bool:
    """Whether arrays are the same up to the last digits of the largest entry."""
    same = np.shape(a) == np.shape(b)
    return same and bool((np.abs(a - b) <= 1e-12 * np.abs(b).max(initial=0.0)).all())


def _fresh(mu: Any) -> bool:
    """Whether properties that are computed once would be computed so again."""
    own = vars(mu)
    held = [(getattr(type(mu), name, None), own[name]) for name in ("points", "weights", "volumes")
            if name in own]  # fmt: skip
    return all(isinstance(f, cached_property) and _near(a, f.func(mu)) for f, a in held)


def _own_points(laws: Laws) -> bool:
    """Whether Gaussians keep their own roots of covariances and cubature points, if any.

    Three points of each are looked at: all would cost more than judging a step does.
    """
    U, z, own = laws.vectors, normal_cubature(laws.mu.dim)[0], [vars(mu) for mu in laws.measures]
    roots, some = (U * laws.std[:, None, :]) @ np.swapaxes(U, 1, 2), slice(1, None, len(z) // 3)
    points = laws.means[:, None] + z[some] @ roots
    for name, shape in (("points", z.shape), ("sqrt_cov", U[0].shape)):
        if {getattr(v[name], "shape", None) for v in own if name in v} - {shape}:
            return False
    kept = [v["points"][some] if "points" in v else x for v, x in zip(own, points, strict=True)]
    given = [v.get("sqrt_cov", r) for v, r in zip(own, roots, strict=True)]
    sizes = np.abs(points).max(axis=(1, 2)), np.abs(roots).max(axis=(1, 2))
    off = [np.abs(np.subtract(u, v)).max(axis=(1, 2)) for u, v in ((kept, points), (given, roots))]
    return all(bool((a <= 1e-12 * b).all()) for a, b in zip(off, sizes, strict=True))
