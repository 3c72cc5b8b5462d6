"""Interaction energies ½∬W(x−y) dρ(x)dρ(y)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import is_finite
from ..measures.base import Array, Measure
from ..measures.grid import Grid
from ..status import InvalidFunctional, NotDefined
from .answers import answer_of, claimed, finite_answer, require_functions
from .base import Smooth
from .curvature import Action, Curvature, Dense, LowRank, Part
from .differences import difference_gradient, difference_hessian
from .grid_terms import GridInteraction
from .identity import describe
from .potential import QuadraticPotential
from .scale import with_scale
from .spherical import SphericalInteraction

PointFunction = Callable[[Array], ArrayLike]
_CHUNK = 1_000_000  # numbers in the differences x_i − y_j held at once
_LARGEST_DENSE = 2000  # unknowns up to which the Hessian is kept as a matrix


class Interaction(Smooth):
    """½∬W(x−y) dρdρ for an even W; its first variation is W*ρ.

    O(n²) work in chunks of bounded memory. The double sum has its diagonal, ½ Σ w_i² W(0).
    Where W(0) is infinite (−log|z|), take ``self_interaction=False``: then the sum runs over
    i ≠ j, and the first variation and its gradient leave out the points that coincide with the
    one asked for. ∇W(0) counts as 0, which evenness demands wherever it exists.
    What is left out is what near neighbours of a continuous law would add, so that values converge
    slowly: for x²/2 − log|x| the least value of n points is (log n)/(2n) + .42/n below that of the
    semicircle law, .5482867951, and their variance is (1 − 1/n)/2.

    On radial laws W, which must then depend on |z| only, is averaged over the angle. On grids sums
    are taken by FFT, and an infinite W(0) counts with the mean of W over a cell.

    Parameters
    ----------
    W : callable
        Differences (m, d) → (m,), with W(−z) = W(z).
    gradient, hessian : callable, optional
        (m, d) → (m, d) and (m, d) → (m, d, d); central differences where not given.
    convexity : float, optional
        Claimed λ with ∇²W ≥ λ. The functional's own modulus is then min(λ, 0): translations
        cost nothing.
    self_interaction : bool
        Whether i = j counts.

    Raises
    ------
    InvalidFunctional
        If W is not even at the differences first met, or answers with a wrong shape, NaN or
        complex numbers, or W(0) is infinite while ``self_interaction`` is true.
    NotDefined
        On radial laws, if W depends on the direction.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> F = Interaction(lambda z: (z**2).sum(axis=1))
    >>> F.value(Particles([[0.0], [2.0]])), F.gradient(Particles([[0.0], [2.0]])).ravel().round(6)
    (1.0, array([-2.,  2.]))
    """

    def __init__(
        self,
        W: PointFunction,
        gradient: PointFunction | None = None,
        hessian: PointFunction | None = None,
        convexity: float | None = None,
        *,
        self_interaction: bool = True,
    ) -> None:
        if not callable(W):
            raise InvalidFunctional(f"W must be a function of differences (m, d), not {W!r}")
        require_functions(gradient=gradient, hessian=hessian)
        self.W, self.W_gradient, self.W_hessian = W, gradient, hessian
        self.W_convexity = claimed(convexity, "convexity")
        self.convexity = None if self.W_convexity is None else min(self.W_convexity, 0.0)
        self.self_interaction = self_interaction
        self._seen_even = False
        self._averages: dict[int, SphericalInteraction] = {}
        self._gridded: tuple[Any, GridInteraction] | None = None

    def spec(self) -> dict[str, Any]:
        return {
            "name": "Interaction",
            "W": describe(self.W),
            "convexity": self.W_convexity,
            "self_interaction": self.self_interaction,
        }

    def __repr__(self) -> str:
        return f"Interaction({getattr(self.W, '__name__', self.W)!s})"

    def at_scale(self, scale: float) -> Interaction:
        other = with_scale(self, scale, self.W_gradient is None or self.W_hessian is None)
        if other is not self:
            other._averages, other._gridded = {}, None
        return other

    def on(self, mu: Measure) -> Smooth:
        if isinstance(mu, Grid):
            return self._on_grid(mu)
        if mu.kind != "radial" or mu.dim == 1:
            return self
        if mu.dim not in self._averages:
            self._averages[mu.dim] = self._spherical(mu.dim)
        return self._averages[mu.dim]

    def _on_grid(self, mu: Grid) -> Smooth:
        """Convolution by FFT; kept for the grid last met."""
        if self._gridded is None or self._gridded[0] != (mu.shape, *mu.lower, *mu.upper):
            self._gridded = (mu.shape, *mu.lower, *mu.upper), GridInteraction(self, mu)
        return self._gridded[1]

    def _spherical(self, dim: int) -> SphericalInteraction:
        """W averaged over angles, for W(z) = w(|z|), which is tried at a few points."""
        directions = np.random.default_rng(0).normal(size=(8, dim))
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        for length in (0.1, 1.0, 3.0):
            values = self._values(length * directions)
            if not np.allclose(values, values[0], rtol=1e-9, atol=1e-12):
                raise NotDefined(
                    "W depends on the direction of x − y, so the energy of a radial law is not "
                    "an integral over radii: use Particles in the full space"
                )

        def on_axis(length: Array) -> Array:
            return np.outer(length, np.eye(dim)[0])

        return SphericalInteraction(
            lambda length: self._values(on_axis(length)),
            lambda length: self._slopes(on_axis(length))[:, 0],
            lambda length: self._hessians(on_axis(length))[:, 0, 0],
            dim,
            self.spec(),
        )

    def value_at_points(self, x: Array, w: Array) -> float:
        return 0.5 * float(w @ self._convolution(x, w, x, skip_same_index=True))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        return self._convolution(x, w, at, skip_same_index=False)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        result = np.empty_like(x)
        for rows, z in differences(x, x):
            slope = self._slopes(z.reshape(-1, z.shape[2])).reshape(z.shape)
            result[rows] = np.einsum("j,ijd->id", w, slope)
        return result

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        n, d = x.shape
        blocks = np.empty((n, d, d))
        dense = n * d <= _LARGEST_DENSE
        matrix = np.empty((n, d, n, d)) if dense else None
        for rows, z in differences(x, x):
            hessian = self._hessians(z.reshape(-1, d)).reshape(*z.shape, d)
            blocks[rows] = w[rows, None, None] * np.einsum("j,ijab->iab", w, hessian)
            if matrix is not None:
                pairs = (w[rows, None] * w)[:, :, None, None] * hessian
                matrix[rows] = -pairs.transpose(0, 2, 1, 3)
        remainder: Part
        if matrix is not None:
            remainder = Dense(matrix.reshape(n * d, n * d))
        else:
            remainder = Action(lambda v: self._off_diagonal(x, w, v))
        return Curvature(blocks, [remainder])

    def _off_diagonal(self, x: Array, w: Array, v: Array) -> Array:
        result = np.empty_like(v)
        for rows, z in differences(x, x):
            hessian = self._hessians(z.reshape(-1, z.shape[2])).reshape(*z.shape, z.shape[2])
            moved = np.einsum("ijab,jb->ia", hessian, w[:, None] * v)
            result[rows] = -w[rows, None] * moved
        return result

    def _convolution(self, x: Array, w: Array, at: Array, skip_same_index: bool) -> Array:
        """Σ_j w_j W(at_i − x_j)."""
        result = np.empty(len(at))
        for rows, z in differences(at, x):
            values = self._values(z.reshape(-1, z.shape[2])).reshape(z.shape[:2])
            if not self.self_interaction:
                same = (z == 0).all(axis=2)
                if skip_same_index:
                    same = np.arange(len(at))[rows, None] == np.arange(len(x))
                values = np.where(same, 0.0, values)
            result[rows] = values @ w
        return self._checked_sum(result)

    def _checked_sum(self, result: Array) -> Array:
        if np.isnan(result).any() or (self.self_interaction and np.isinf(result).all()):
            raise InvalidFunctional(
                "W answered with NaN, or is infinite at z = 0: correct it, or leave out the "
                "diagonal with Interaction(..., self_interaction=False)"
            )
        return result

    def _values(self, z: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = answer_of(self.W, (z,), (len(z),), "W(z)")
            if not self._seen_even:
                self._require_even(z, values)
        return values

    def _require_even(self, z: Array, values: Array) -> None:
        mirrored = answer_of(self.W, (-z[:100],), (len(z[:100]),), "W(z)")
        if not np.allclose(values[:100], mirrored, rtol=1e-9, atol=1e-12, equal_nan=True):
            raise InvalidFunctional("W must be even, but W(−z) differs from W(z)")
        self._seen_even = True

    def _slopes(self, z: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.W_gradient is None:
                slope = difference_gradient(lambda p: self._values(p), z, self.difference_scale)
            else:
                slope = answer_of(self.W_gradient, (z,), z.shape, "gradient of W")
        slope = np.where((z == 0).all(axis=1)[:, None], 0.0, slope)
        return finite_answer(slope, "gradient of W")

    def _hessians(self, z: Array) -> Array:
        shape = (*z.shape, z.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.W_hessian is None:
                hessian = difference_hessian(self._slopes, z, self.difference_scale)
            else:
                hessian = answer_of(self.W_hessian, (z,), shape, "hessian of W")
        same = (z == 0).all(axis=1)[:, None, None]
        if self.self_interaction:  # at a kink of W the Hessian counts as 0, like the gradient
            same = same & ~np.isfinite(hessian)
        return finite_answer(np.where(same, 0.0, hessian), "hessian of W")


class QuadraticInteraction(Smooth):
    """½∬(κ/2)|x−y|² dρdρ = (κ/2) tr cov(ρ), in O(n).

    On a radial law, whose mean in R^d is 0, it is (κ/2)∫r².

    Parameters
    ----------
    strength : float
        κ; negative repels.

    Examples
    --------
    >>> from jkoflow import Particles, Radial
    >>> QuadraticInteraction(2.0).value(Particles([[0.0], [2.0]]))
    1.0
    >>> mu = Radial([1.0, 1.0, 1.0], 3)
    >>> QuadraticInteraction(2.0).value(mu)
    1.0
    """

    def __init__(self, strength: float) -> None:
        if not is_finite(strength):
            raise InvalidFunctional(f"strength must be a finite number, not {strength!r:.100}")
        self.strength = float(strength)
        self.convexity = min(self.strength, 0.0)  # translations cost nothing
        self.concavity = max(self.strength, 0.0)
        self.convex_in_mixtures = True if self.strength <= 0 else None

    def lower_bound(self) -> float | None:
        return 0.0 if self.strength >= 0 else None

    def convexity_of_variation(self, mu: Measure) -> float | None:
        return self.strength

    def spec(self) -> dict[str, Any]:
        return {"name": "QuadraticInteraction", "strength": self.strength}

    def __repr__(self) -> str:
        return f"QuadraticInteraction({self.strength:g})"

    def on(self, mu: Measure) -> Smooth:
        return QuadraticPotential(self.strength) if mu.kind == "radial" else self

    def value_at_points(self, x: Array, w: Array) -> float:
        z = _from_mean(x, w, x)
        return 0.5 * self.strength * float(w @ np.einsum("ij,ij->i", z, z))

    def first_variation_at_points(self, x: Array, w: Array, at: Array) -> Array:
        z = _from_mean(x, w, at)
        return 0.5 * self.strength * np.einsum("ij,ij->i", z, z)

    def gradient_at_points(self, x: Array, w: Array) -> Array:
        return self.strength * _from_mean(x, w, x)

    def curvature_at_points(self, x: Array, w: Array) -> Curvature:
        d = x.shape[1]
        blocks = (self.strength * w)[:, None, None] * np.eye(d)
        factor = np.einsum("n,qd->qnd", w, np.sqrt(abs(self.strength)) * np.eye(d))
        return Curvature(blocks, [LowRank(factor, np.full(d, -np.sign(self.strength)))])


def _from_mean(x: Array, w: Array, at: Array) -> Array:
    """How far ``at`` is from the mean; exactly 0 if all points are one, whatever w sums up to."""
    return np.asarray((at - x[0]) - w @ (x - x[0]))


def differences(x: Array, y: Array) -> Iterator[tuple[slice, Array]]:
    """Rows of x and x_i − y_j for them, (rows, len(y), d), in chunks of bounded memory."""
    size = max(1, _CHUNK // (len(y) * x.shape[1]))
    for start in range(0, len(x), size):
        rows = slice(start, min(start + size, len(x)))
        yield rows, x[rows, None, :] - y[None, :, :]
