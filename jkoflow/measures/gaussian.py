"""Normal laws in R^d, by mean and covariance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ..status import InvalidMeasure, NotDefined
from .base import Array, Measure, finite_array, frozen, real_array, register
from .cubature import coefficients, normal_cubature, tensor_cubature

_ROUNDING = 1e-12  # relative to the largest eigenvalue: below it, a negative one is rounding


@register
class Gaussian(Measure):
    """N(mean, cov) on R^d; `mean` and `cov` are exact, integrals are taken by cubature.

    ``points`` and ``weights`` are m + Σ^½ z_i for a positive cubature of the standard normal
    law: tensor Gauss–Hermite for d ≤ 3 (40, 16, 10 nodes an axis), degree 5 for d ≤ 64, degree 3
    above (see `jkoflow.measures.cubature`). Quadratic functionals are therefore exact in every
    dimension; others as far as a polynomial of that degree represents them. `quadrature` gives
    finer rules.

    A covariance may be singular, down to a point mass; functionals that need a density then
    raise `NotDefined`.

    Parameters
    ----------
    mean : array_like, shape (d,)
        A number is taken as d = 1.
    cov : array_like, shape (d, d)
        Symmetric, positive semidefinite; a number for d = 1.

    Raises
    ------
    InvalidMeasure
        For wrong shapes, NaN, or a matrix that is not symmetric and positive semidefinite.

    Examples
    --------
    >>> mu = Gaussian([1.0, 0.0], [[2.0, 1.0], [1.0, 2.0]])
    >>> round(mu.integrate(lambda x: x[:, 0] ** 2 * x[:, 1] ** 2), 12)   # by Isserlis' formula
    8.0
    >>> Gaussian(0.0, 4.0).displaced(-0.5 * Gaussian(0.0, 4.0).points).cov().round(12)
    array([[1.]])
    """

    kind: ClassVar[str] = "gaussian"

    def __init__(self, mean: ArrayLike, cov: ArrayLike) -> None:
        m = np.atleast_1d(finite_array(mean, "mean"))
        if m.ndim != 1 or m.size == 0:
            raise InvalidMeasure(f"mean must have shape (d,) with d ≥ 1, but has {m.shape}")
        c = finite_array(cov, "cov")
        c = c.reshape(1, 1) if c.size == 1 and m.size == 1 else c
        if c.shape != (m.size, m.size):
            raise InvalidMeasure(f"cov must have shape {(m.size, m.size)}, but has {c.shape}")
        if np.abs(c - c.T).max() > 1e-10 * np.abs(c).max():
            raise InvalidMeasure("cov must be symmetric: replace it by (cov + cov.T)/2")
        self._mean = frozen(m)
        self._cov = frozen(0.5 * (c + c.T))
        self._check_semidefinite()

    def _check_semidefinite(self) -> None:
        values = self._eigenvalues_of_cov
        if values[0] < -_ROUNDING * abs(values[-1]) or values[-1] < 0:
            raise InvalidMeasure(
                f"cov must be positive semidefinite, but has the eigenvalue {values[0]:.3g}"
            )

    @classmethod
    def from_eigen(cls, mean: ArrayLike, values: ArrayLike, vectors: ArrayLike) -> Gaussian:
        """N(mean, U diag(values) Uᵀ) from eigenvalues (d,) and orthonormal columns U (d, d).

        Saves the eigendecomposition where it is known; that U is orthonormal is not checked.

        Examples
        --------
        >>> Gaussian.from_eigen([0.0, 0.0], [1.0, 3.0], np.eye(2)).cov()
        array([[1., 0.],
               [0., 3.]])
        """
        m = np.atleast_1d(finite_array(mean, "mean"))
        s = finite_array(values, "values", shape=m.shape)
        u = finite_array(vectors, "vectors", shape=(m.size, m.size))
        if (s < 0).any():
            raise InvalidMeasure(f"eigenvalues must not be negative, but one is {s.min():.3g}")
        cov = (u * s) @ u.T
        return cls._known(m, 0.5 * (cov + cov.T), s, u)

    @classmethod
    def _known(cls, mean: Array, cov: Array, values: Array, vectors: Array) -> Gaussian:
        new = object.__new__(cls)
        new._mean, new._cov = frozen(mean), frozen(cov)
        new.__dict__["eigen"] = (frozen(values), frozen(vectors))
        return new

    def with_eigen(self, values: ArrayLike, vectors: ArrayLike) -> Gaussian:
        """The same law, with this eigendecomposition of its covariance."""
        return self._known(self._mean, self._cov, np.asarray(values), np.asarray(vectors))

    @cached_property
    def _raw_eigen(self) -> tuple[Array, Array]:
        if self._cov.shape == (1, 1):
            return self._cov[0], np.ones((1, 1))
        values, vectors = np.linalg.eigh(self._cov)
        return values, vectors

    @property
    def _eigenvalues_of_cov(self) -> Array:
        return self._raw_eigen[0]

    @cached_property
    def eigen(self) -> tuple[Array, Array]:
        """Eigenvalues (d,), not negative, and orthonormal eigenvectors (d, d) in columns."""
        values, vectors = self._raw_eigen
        return frozen(np.maximum(values, 0.0)), frozen(vectors)

    @cached_property
    def sqrt_cov(self) -> Array:
        """The symmetric square root of the covariance."""
        values, vectors = self.eigen
        return frozen((vectors * np.sqrt(values)) @ vectors.T)

    @cached_property
    def points(self) -> Array:  # type: ignore[override]
        """Cubature points m + Σ^½ z, shape (n, d)."""
        return frozen(self._mean + normal_cubature(self.dim)[0] @ self.sqrt_cov)

    @property
    def weights(self) -> Array:
        return normal_cubature(self.dim)[1]

    def quadrature(self, order: int) -> tuple[Array, Array]:
        """Points and weights of tensor Gauss–Hermite with ``order`` nodes an axis.

        Examples
        --------
        >>> x, w = Gaussian(0.0, 1.0).quadrature(100)
        >>> round(float(w @ np.cos(x[:, 0])), 12) == round(float(np.exp(-0.5)), 12)
        True
        """
        z, w = tensor_cubature(self.dim, order)
        return self._mean + z @ self.sqrt_cov, w

    @property
    def dim(self) -> int:
        return int(self._mean.size)

    def mean(self) -> Array:
        """The mean, shape (d,); exact."""
        return self._mean

    def cov(self) -> Array:
        """The covariance, shape (d, d); exact."""
        return self._cov

    def displaced(self, v: ArrayLike) -> Gaussian:
        """Push forward by the affine map that is nearest to x ↦ x + v(x) in L²(ρ).

        With v given at the points x_i = m + Σ^½ z_i, least squares gives b = Σ w_i v_i and
        B = Σ w_i v_i z_iᵀ; the new law has mean m + b and covariance (Σ^½ + B)(Σ^½ + B)ᵀ. For
        v(x) = b + A(x−m) that is (I+A)Σ(I+A)ᵀ, exactly; a v that is not affine is projected.
        """
        return self.moved(self.tangent(v))

    def tangent(self, v: ArrayLike) -> Array:
        """b and Bᵀ of `displaced`, shape (1 + d, d)."""
        return coefficients(self.dim, self._displacement(v))

    def moved(self, tangent: Array) -> Gaussian:
        factor = self.sqrt_cov + tangent[1:].T
        return Gaussian(self._mean + tangent[0], factor @ factor.T)

    def all_moved(self, tangents: Sequence[Array]) -> Sequence[Measure]:
        there = np.array(tangents)
        factors = self.sqrt_cov + np.swapaxes(there[:, 1:], 1, 2)
        covs = factors @ np.swapaxes(factors, 1, 2)
        found = self._all(self._mean + there[:, 0], 0.5 * (covs + np.swapaxes(covs, 1, 2)))
        return super().all_moved(tangents) if found is None else found

    def length(self, tangent: Array) -> float:
        """Of the affine part of the field."""
        return float(np.linalg.norm(tangent))

    def is_singular(self) -> bool:
        """Whether the law has no density."""
        values = self.eigen[0]
        return bool(values.min() <= np.finfo(float).eps * values.max())

    def _density_eigen(self) -> tuple[Array, Array]:
        if self.is_singular():
            raise NotDefined(
                "this Gaussian has a singular covariance, hence no density: internal energies "
                "and log_density need a positive definite one"
            )
        return self.eigen

    def log_det(self) -> float:
        """log det Σ; `NotDefined` where Σ is singular."""
        return float(np.log(self._density_eigen()[0]).sum())

    def score(self, at: ArrayLike) -> Array:
        """∇ log ρ = −Σ⁻¹(x − m) at points (k, d), shape (k, d)."""
        values, vectors = self._density_eigen()
        return -(((self._at(at) - self._mean) @ vectors) / values) @ vectors.T

    def log_density(self, at: ArrayLike) -> Array:
        """log ρ at points (k, d) (or (k,) for d = 1), shape (k,)."""
        values, vectors = self._density_eigen()
        y = (self._at(at) - self._mean) @ vectors
        constant = self.dim * np.log(2.0 * np.pi) + np.log(values).sum()
        return -0.5 * ((y * y / values).sum(axis=1) + constant)

    def _at(self, at: ArrayLike) -> Array:
        x = real_array(at, "points")
        x = x[:, None] if x.ndim == 1 and self.dim == 1 else x
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InvalidMeasure(f"points must have shape (k, {self.dim}), not {x.shape}")
        return x

    def to_arrays(self) -> dict[str, Array]:
        return {"mean": self._mean, "cov": self._cov}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Gaussian:
        return cls(arrays["mean"], arrays["cov"])

    def siblings(self, arrays: Sequence[Mapping[str, Array]]) -> Sequence[Measure] | None:
        shapes = {"mean": self._mean.shape, "cov": self._cov.shape}
        if any({name: a.shape for name, a in b.items()} != shapes for b in arrays):
            return None
        means, covs = (np.array([a[name] for a in arrays]) for name in shapes)
        return self._all(means, covs)

    def _all(self, means: Array, covs: Array) -> Sequence[Gaussian] | None:
        """N(m, Σ) for each pair, the arrays being nobody else's; None where one is no Gaussian."""
        means.setflags(write=False)
        covs.setflags(write=False)
        finite = np.isfinite(means).all() and np.isfinite(covs).all()
        if not finite or (covs != np.swapaxes(covs, 1, 2)).any():
            return None
        try:
            values, vectors = np.linalg.eigh(covs)
        except np.linalg.LinAlgError:
            return None
        if not (values[:, 0] >= -_ROUNDING * np.abs(values[:, -1])).all():
            return None
        parts = zip(means, covs, values, vectors, strict=True)
        return [self._decomposed(*part) for part in parts]

    @classmethod
    def _decomposed(cls, mean: Array, cov: Array, values: Array, vectors: Array) -> Gaussian:
        """From arrays that are nobody else's, with LAPACK's eigenvalues, rounding included."""
        new = object.__new__(cls)
        new._mean, new._cov = mean, cov
        new.__dict__["_raw_eigen"] = (values, vectors)
        return new

    def __repr__(self) -> str:
        if self.dim == 1:
            return f"Gaussian({self._mean[0]:.6g}, {self._cov[0, 0]:.6g})"
        return (
            f"Gaussian(d={self.dim}, |mean|={np.linalg.norm(self._mean):.4g}, "
            f"trace={np.trace(self._cov):.4g})"
        )
