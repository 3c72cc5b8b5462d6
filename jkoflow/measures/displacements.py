"""Random displacements that a measure can make, smooth and rough, for tests of functionals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .base import Array, Measure
from .mesh import Mesh

_LIGHT = 1e-3  # of the mean weight


def random_displacements(mu: Measure, spread: float, rng: np.random.Generator) -> list[Array]:
    """Fields v (n, d) of norm at most ``spread`` in L²(ρ); μ.displaced(tv) exists where |t| ≤ 1.

    Four affine maps for Gaussians; for points three smooth waves, noise, and one point alone;
    for cells three waves that shorten no cell by more than half, and one that moves neighbouring
    edges apart and together; for meshes as for points, and made so small that no simplex turns.

    Parameters
    ----------
    mu : Measure
    spread : float
        The standard deviation of μ, or another length that matters.
    rng : Generator

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> mu = Quantiles([0.0, 1.0, 1.5])
    >>> fields = random_displacements(mu, 1.0, np.random.default_rng(0))
    >>> len(fields), all(mu.displaced(-v).kind == "quantiles" for v in fields)
    (4, True)
    """
    return [_limited(mu, v, spread) for v in _fields(mu, spread, rng)]


def displacements_along(mu: Measure, v: Array, spread: float) -> list[Array]:
    """The field v (n, d), of norm ``spread`` or less, so small that μ.displaced(±v) exist; none
    where that cannot be: for tied edges, and for Gaussians, which only affine fields displace.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> v = np.array([[0.0], [3.0], [0.0]])
    >>> [u.ravel().tolist() for u in displacements_along(Quantiles([0.0, 1.0, 1.5]), v, 1.0)]
    [[0.0, 0.25, 0.0]]
    """
    size = float(np.sqrt(mu.weights @ np.einsum("ij,ij->i", v, v)))
    if mu.kind == "gaussian" or not 0.0 < size < np.inf:
        return []
    v = v * (spread / size)
    if isinstance(mu, Mesh):
        return [_unturned(mu, v)]
    if not hasattr(mu, "edges"):
        return [v]
    v, lengths = np.where(mu.points > 0, v, 0.0) if mu.kind == "radial" else v, np.diff(mu.edges)
    return [_shrunk(v, mu.points, lengths)] if v.any() and lengths.min(initial=1.0) > 0 else []


def monotone_displacements(mu: Measure, spread: float, rng: np.random.Generator) -> list[Array]:
    """Four fields b + A(x − m), A symmetric and |A| ≤ ½, of norm at most ``spread``.

    x ↦ x + v(x) is the gradient of a convex function, so that pairs of them span generalised
    geodesics in every dimension.
    """
    x = mu.points - mu.weights @ mu.points
    vectors = np.linalg.qr(rng.normal(size=(x.shape[1], x.shape[1])))[0]
    return [_limited(mu, v, spread) for v in _affine(vectors, x, spread, rng)]


def _limited(mu: Measure, v: Array, spread: float) -> Array:
    size = float(np.sqrt(mu.weights @ np.einsum("ij,ij->i", v, v)))
    return v * min(1.0, spread / size) if size > 0 else v


class Companion(NamedTuple):
    """A law of ``weights`` (m,) on some points of another, ``origin`` (m, d), moved by ``way``."""

    origin: Array
    way: Array
    weights: Array

    def points(self, share: float = 1.0) -> Array:
        """Where its points are after that share of the way, (m, d)."""
        return np.asarray(self.origin + share * self.way)


def random_companions(
    mu: Measure, fields: list[Array], rng: np.random.Generator
) -> list[Companion]:
    """For each field a law on at most 16 points of μ, moved half of the way. Points that hardly
    weigh are left out: to bring mass there is like bringing it where there is none.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> mu = Particles([[0.0], [1.0]])
    >>> [nu] = random_companions(mu, [np.ones((2, 1))], np.random.default_rng(0))
    >>> np.sort(nu.points()[:, 0]), bool(np.isclose(nu.weights.sum(), 1.0))
    (array([0.5, 1.5]), True)
    """
    heavy = np.flatnonzero(mu.weights >= _LIGHT * mu.weights.mean())
    size = min(len(heavy), 16)
    found = []
    for v in fields:
        taken = rng.choice(heavy, size, replace=False)
        weights = rng.uniform(0.1, 1.9, size)
        found.append(Companion(mu.points[taken], 0.5 * v[taken], weights / weights.sum()))
    return found


def _fields(mu: Measure, spread: float, rng: np.random.Generator) -> list[Array]:
    x = mu.points
    mean = mu.weights @ x
    if mu.kind == "gaussian":
        return _affine(mu.eigen[1], x - mean, spread, rng)  # type: ignore[attr-defined]
    waves = [_wave((x - mean) / spread, spread, rng) for _ in range(3)]
    noise = spread * rng.normal(size=x.shape)
    if hasattr(mu, "edges"):
        return _sorted(mu.kind == "radial", x, spread, waves, np.sign(noise))
    single = np.zeros_like(x)
    single[rng.integers(len(x))] = spread * rng.normal(size=x.shape[1])
    found = [*waves, noise, single]
    return [_unturned(mu, v) for v in found] if isinstance(mu, Mesh) else found


def _affine(vectors: Array, z: Array, spread: float, rng: np.random.Generator) -> list[Array]:
    """b + Az, A symmetric with these eigenvectors, |A| ≤ ½."""
    stretch = rng.uniform(-0.5, 0.5, (4, z.shape[1]))
    return [spread * rng.normal(size=z.shape[1]) + z @ ((vectors * s) @ vectors.T) for s in stretch]


def _unturned(mu: Mesh, v: Array) -> Array:
    """v, made so small that |Dv| ≤ ½ on every simplex."""
    edges, change = (a[mu.simplices][:, 1:] - a[mu.simplices][:, :1] for a in (mu.nodes, v))
    slopes = np.linalg.norm(np.linalg.solve(edges, change), ord=2, axis=(1, 2))
    return v * (0.5 / max(0.5, float(slopes.max())))


def _wave(z: Array, spread: float, rng: np.random.Generator) -> Array:
    """A smooth random vector field."""
    frequency = rng.normal(size=(3, z.shape[1]))
    phase, size = rng.uniform(0, 2 * np.pi, 3), rng.normal(size=(3, z.shape[1]))
    return np.asarray(spread * np.sin(z @ frequency.T + phase) @ size)


def _sorted(radial: bool, x: Array, spread: float, waves: list[Array], signs: Array) -> list[Array]:
    """Fields that leave edges sorted and radii positive; of δ_0 of radii, for t ≥ 0 only."""
    if radial and not x.any():
        return [spread * np.sort(np.abs(v), axis=0) for v in (*_levels(len(x)), signs)]
    lengths = np.diff(x[:, 0])
    room = np.minimum(np.append(lengths, np.inf), np.insert(lengths, 0, np.inf))[:, None]
    if radial:
        waves = [v * x / (x + spread) for v in waves]
        room[0] = min(room[0, 0], x[0, 0])
    return [_shrunk(v, x, lengths) for v in waves] + [0.25 * room * signs]


def _levels(count: int) -> list[Array]:
    """Three increasing functions of the level."""
    s = np.linspace(0.0, 1.0, count)[:, None]
    return [s, s**2, 1.0 + s]


def _shrunk(v: Array, x: Array, lengths: Array) -> Array:
    """v, made so small that no cell and no first radius loses more than half of itself."""
    ratio = np.abs(np.diff(v[:, 0]))[lengths > 0] / lengths[lengths > 0]
    first = abs(v[0, 0] / x[0, 0]) if x[0, 0] > 0 else 0.0
    return v * (0.5 / max(0.5, ratio.max(initial=0.0), first))
