"""The spherical 3-spin energy as a target function: a random cubic on the sphere of radius √d."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import generator, is_whole
from ..functionals.identity import array_digest
from ..measures.base import Array, finite_array, frozen
from ..status import InvalidProblem
from .manifolds import uniform_on_sphere


class ThreeSpin:
    """f(x) = (1/d) Σ_pqr a_pqr x_p x_q x_r with x uniform on the sphere of radius √d: a population.

    With S the symmetric part of a, t_p = Σ_q S_pqq and S° the part of S without traces,
    f = f_1 + f_3 on the sphere: f_1(x) = 3⟨t, x⟩/(d+2) and f_3(x) = S°(x,x,x)/d are spherical
    harmonics of degrees 1 and 3. So E f_1² = 9|t|²/(d+2)² and E f_3² = 6|S°|²/((d+2)(d+4)), and
    any rotation-invariant kernel acts on each as a number.

    Parameters
    ----------
    coefficients : array_like, shape (d, d, d)
        a, not necessarily symmetric.

    Raises
    ------
    InvalidProblem
        If the coefficients are no cube, or d < 2.
    InvalidMeasure
        For NaN.

    Notes
    -----
    The benchmark of Rotskoff and Vanden-Eijnden (2018), there with a_pqr iid N(0, 1): `draw`.

    Examples
    --------
    >>> f = ThreeSpin.draw(5, rng=0)
    >>> x, y = f.sample(100_000, rng=1)
    >>> bool(abs(np.mean(y**2) / f.second_moment - 1) < 0.02)
    True
    """

    def __init__(self, coefficients: ArrayLike) -> None:
        a = finite_array(coefficients, "coefficients")
        if a.ndim != 3 or len(set(a.shape)) != 1 or len(a) < 2:
            raise InvalidProblem(
                f"a 3-spin energy needs coefficients (d, d, d) with d ≥ 2, not {a.shape}"
            )
        orders = permutations(range(3))
        self.coefficients = frozen(np.mean([a.transpose(p) for p in orders], axis=0))
        d = self.dim
        self.trace = frozen(np.einsum("pqq->p", self.coefficients))
        line = np.multiply.outer(self.trace, np.eye(d))
        lines = line + line.transpose(1, 0, 2) + line.transpose(1, 2, 0)
        self.traceless = frozen(self.coefficients - lines / (d + 2.0))

    @classmethod
    def draw(cls, dim: int, rng: Any = None) -> ThreeSpin:
        """Coefficients iid N(0, 1)."""
        if not is_whole(dim, least=2):
            raise InvalidProblem(f"dim must be an integer ≥ 2, not {dim!r}")
        return cls(generator(rng).standard_normal((int(dim),) * 3))

    @property
    def dim(self) -> int:
        """Dimension d of x."""
        return len(self.coefficients)

    @property
    def radius(self) -> float:
        """√d, of the sphere on which x lives."""
        return float(np.sqrt(self.dim))

    @property
    def second_moments(self) -> dict[int, float]:
        """E f_l² for the degrees l = 1 and 3."""
        d = self.dim
        first = 9.0 * float(self.trace @ self.trace) / (d + 2.0) ** 2
        third = 6.0 * float((self.traceless**2).sum()) / ((d + 2.0) * (d + 4.0))
        return {1: first, 3: third}

    @property
    def second_moment(self) -> float:
        """E f²; its mean over the coefficients is close to d."""
        return sum(self.second_moments.values())

    def __call__(self, x: ArrayLike) -> Array:
        """f at points (n, d), shape (n,)."""
        return _cubic(self.coefficients, finite_array(x, "x", ndim=2)) / self.dim

    def parts(self, x: Array) -> dict[int, Array]:
        """f_1 and f_3 at points of the sphere, each (n,)."""
        d = self.dim
        return {1: 3.0 * (x @ self.trace) / (d + 2), 3: _cubic(self.traceless, x) / d}

    def gradients(self, x: Array) -> dict[int, Array]:
        """Gradients in R^d of the polynomials f_1 and f_3, each (n, d)."""
        d = self.dim
        first = np.broadcast_to(3.0 * self.trace / (d + 2), x.shape)
        return {1: first, 3: 3.0 * _quadratic(self.traceless, x) / d}

    def sample(self, n: int, rng: Any = None, *, dtype: DTypeLike = np.float64) -> tuple[Any, Any]:
        """n independent x (n, d), uniform on the sphere, and y = f(x) (n,)."""
        x = uniform_on_sphere(n, self.dim, self.radius, rng)
        return x.astype(dtype, copy=False), self(x).astype(dtype, copy=False)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        return {"population": "ThreeSpin", "coefficients": array_digest(self.coefficients)}

    def __repr__(self) -> str:
        return f"ThreeSpin(dim={self.dim}, second_moment={self.second_moment:g})"


def _quadratic(a: Array, x: Array) -> Array:
    """Σ_qr a_pqr x_q x_r, shape (n, d)."""
    d = len(a)
    return np.einsum("npq,nq->np", (x @ a.reshape(d, d * d)).reshape(-1, d, d), x)


def _cubic(a: Array, x: Array) -> Array:
    return np.einsum("np,np->n", _quadratic(a, x), x)
