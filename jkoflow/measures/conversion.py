"""From one kind of measure to another; what loses information says so in its name.

`sample` draws; `lossy_*` keeps some moments or a symmetrised part only; `quantised_*` replaces a
law by cells, with an error that falls with their number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import generator, is_whole
from ..status import InvalidMeasure, NotDefined
from .base import Array, Measure, a_measure, finite_array
from .cells import Cells, level_masses
from .gaussian import Gaussian
from .grid import Grid
from .mesh import Mesh
from .particles import Particles
from .quantiles import Quantiles
from .radial import Radial


def sample(mu: Measure, n: int, rng: Any = None) -> Particles:
    """n independent points from ``mu``, as `Particles` of equal weight in R^dim.

    Cells and simplices are uniform inside (in the volume of R^d for radial laws); directions of a
    radial law are uniform on the sphere; particles are drawn with replacement.

    Parameters
    ----------
    mu : Measure
    n : int
    rng : seed or Generator, optional
        Anything that ``numpy.random.default_rng`` takes.

    Raises
    ------
    InvalidMeasure
        If n is not a positive integer.
    NotDefined
        For a kind of measure that cannot be sampled.

    Examples
    --------
    >>> sample(Gaussian([0.0, 1.0], np.eye(2)), 5, rng=0).points.shape
    (5, 2)
    """
    if not is_whole(n):
        raise InvalidMeasure(f"n must be a positive number of points, not {n!r:.100}")
    random = generator(rng)
    if isinstance(mu, Gaussian):
        noise = random.standard_normal((int(n), mu.dim))
        return Particles(mu.mean() + noise @ mu.sqrt_cov)
    if isinstance(mu, Radial):
        radii = _radii(mu, int(n), random)
        return Particles(radii[:, None] * _directions(int(n), mu.dim, random))
    if isinstance(mu, Quantiles):
        return Particles(mu.ppf(random.random(int(n))))
    if isinstance(mu, Particles):
        return Particles(mu.points[random.choice(len(mu.weights), int(n), p=mu.weights)])
    if isinstance(mu, Grid):
        cell = random.choice(len(mu.weights), int(n), p=mu.weights)
        inside = random.random((int(n), mu.dim)) - 0.5
        return Particles(mu.points[cell] + inside * mu.spacing)
    if isinstance(mu, Mesh):
        corners = mu.nodes[mu.simplices[random.choice(len(mu.mass), int(n), p=mu.mass)]]
        shares = random.dirichlet(np.ones(mu.dim + 1), int(n))  # uniform on a simplex
        return Particles(np.einsum("nk,nkd->nd", shares, corners))
    raise NotDefined(f"no way to sample from a {type(mu).__name__} measure is known")


def _radii(mu: Radial, n: int, rng: np.random.Generator) -> Array:
    """r = b(q + (1−q)u)^{1/d} is uniform in the volume between a and b, q = (a/b)^d."""
    cell = rng.choice(len(mu.mass), n, p=mu.mass)
    a, b = mu.edges[cell], mu.edges[cell + 1]
    q = np.divide(a, b, out=np.ones_like(a), where=b > 0) ** mu.dim
    return np.asarray(b * (q + (1.0 - q) * rng.random(n)) ** (1.0 / mu.dim))


def _directions(n: int, dim: int, rng: np.random.Generator) -> Array:
    g = rng.standard_normal((n, dim))
    return g / np.linalg.norm(g, axis=1, keepdims=True)


def to_quantiles(mu: Measure, n: int, grading: str | None = None) -> Quantiles:
    """A law on the line on n cells.

    A Gaussian is read by its quantile function (graded in the tails unless asked otherwise); a
    `Quantiles` law is read at new levels, and so is a `Grid` on the line; particles go through
    `quantised_samples`.

    Raises
    ------
    NotDefined
        In more than one dimension, and for radial laws: see `sample`.

    Examples
    --------
    >>> to_quantiles(Gaussian(1.0, 4.0), 100).mean()
    array([1.])
    """
    if isinstance(mu, Gaussian) and mu.dim == 1:
        std = float(mu.cov()[0, 0]) ** 0.5
        return Quantiles.normal(float(mu.mean()[0]), std, n, _else(grading, "tails"))
    if isinstance(mu, Quantiles):
        levels, mass = level_masses(n, _else(grading, "uniform"))
        return Quantiles(mu.ppf(levels), mass)
    if isinstance(mu, Grid) and mu.dim == 1:
        levels, mass = level_masses(n, _else(grading, "uniform"))
        held = mu.weights > 0  # the others have no quantiles inside
        edges = np.linspace(mu.lower[0], mu.upper[0], len(held) + 1)
        below = np.concatenate([[0.0], np.cumsum(mu.weights)])
        first, last = np.flatnonzero(held)[[0, -1]] + [0, 1]
        return Quantiles(np.interp(levels, below[first : last + 1], edges[first : last + 1]), mass)
    if isinstance(mu, Particles) and mu.dim == 1:
        return quantised_samples(mu.points[:, 0], n, mu.weights, _else(grading, "uniform"))
    raise NotDefined(f"{mu!r} is not a law on the line: sample it, or take the law of a function")


def _else(grading: str | None, default: str) -> str:
    return default if grading is None else grading


def quantised_samples(
    x: ArrayLike, n: int, weights: ArrayLike | None = None, grading: str = "uniform"
) -> Quantiles:
    """Sampled numbers as a law on n cells.

    Inner edges are linearly interpolated quantiles; the two outer ones are put where their cells,
    filled uniformly, have the mean of their samples. Equal samples would make cells without
    length, which have no density.

    Raises
    ------
    InvalidMeasure
        If the samples do not fill n cells of positive length.

    Examples
    --------
    >>> quantised_samples([3.0, 1.0, 2.0, 4.0], 2).edges
    array([0.5, 2.5, 4.5])
    """
    particles = Particles(np.ravel(finite_array(x, "samples x")), weights)
    order = np.argsort(particles.points[:, 0], kind="stable")
    values, w = particles.points[order, 0], particles.weights[order]
    levels, mass = level_masses(n, grading)
    edges = np.interp(levels, np.cumsum(w) - 0.5 * w, values)
    if n > 1:
        edges[0] = 2.0 * _tail_mean(values, w, mass[0]) - edges[1]
        edges[-1] = 2.0 * _tail_mean(values[::-1], w[::-1], mass[-1]) - edges[-2]
    if (np.diff(edges) <= 0).any():
        raise InvalidMeasure(
            f"{len(values)} samples do not fill {n} cells of positive length: take fewer cells"
        )
    return Quantiles(edges, mass)


def _tail_mean(values: Array, w: Array, mass: float) -> float:
    """Mean of the first samples, as many as have this mass together."""
    share = np.diff(np.minimum(np.cumsum(w), mass), prepend=0.0)
    return float(share @ values / share.sum())


def lossy_radial(mu: Measure, n: int, grading: str = "uniform") -> Radial:
    """The law of |x| under particles, on n cells; their directions are forgotten.

    Equals ``mu``, up to the n cells, only if ``mu`` is a sample of a rotation-invariant law.

    Examples
    --------
    >>> x = sample(Gaussian(np.zeros(3), np.eye(3)), 2000, rng=1)
    >>> lossy_radial(x, 50)
    Radial(n=50, dim=3, on [0.1993, 3.809])
    """
    if not isinstance(mu, Particles):
        raise NotDefined(f"lossy_radial reads particles, not {type(mu).__name__}: sample it first")
    radii = quantised_samples(np.linalg.norm(mu.points, axis=1), n, mu.weights, grading)
    return Radial(np.maximum(radii.edges, 0.0), mu.dim, radii.mass)


def lossy_gaussian(mu: Measure) -> Gaussian:
    """The Gaussian with the mean and the covariance of ``mu`` in R^dim; the rest is forgotten.

    It is the nearest Gaussian in Kullback–Leibler divergence from ``mu``.

    Examples
    --------
    >>> lossy_gaussian(Particles([-1.0, 1.0]))
    Gaussian(0, 1)
    >>> lossy_gaussian(Radial([2.0, 2.0], 4)).cov().diagonal()
    array([1., 1., 1., 1.])
    """
    if isinstance(mu, Radial):
        second = float(mu.weights @ mu.edges**2)
        return Gaussian(np.zeros(mu.dim), np.eye(mu.dim) * (second / mu.dim))
    mu = a_measure(mu, "mu")
    return Gaussian(mu.mean(), mu.cov())


def lossy_points(mu: Measure) -> Particles:
    """The weighted points that smooth functionals see, as `Particles`; a density is forgotten.

    For a radial law they are radii, which are no points of R^d: `sample` it instead.

    Examples
    --------
    >>> lossy_points(Quantiles([0.0, 1.0, 2.0])).weights
    array([0.25, 0.5 , 0.25])
    """
    mu = a_measure(mu, "mu")
    if isinstance(mu, Cells) and mu.dim > 1:
        raise NotDefined("the points of a radial law are radii: use sample")
    return Particles(mu.points, mu.weights)
