"""Interactions by FFT against plain sums, singular kernels, and potentials with obstacles."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import InvalidFunctional

SHAPES = [(7,), (5, 8), (3, 4, 5)]


def random_grid(shape, seed=0):
    m = np.random.default_rng(seed).dirichlet(np.ones(int(np.prod(shape)))).reshape(shape)
    lower, upper = -1.0 * np.ones(len(shape)), np.linspace(0.5, 1.3, len(shape))
    return jf.Grid(m / np.prod((upper - lower) / shape), lower, upper)


def bump(z):
    return np.exp(-((z**2) @ np.linspace(1.0, 2.0, z.shape[1])))


@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_is_the_sum_over_points(shape) -> None:
    F, mu = jf.Interaction(bump), random_grid(shape)
    points = jf.Particles(mu.points, mu.weights)
    assert F.value(mu) == pytest.approx(F.value(points), rel=1e-12)
    assert F.gradient(mu) == pytest.approx(F.gradient(points), abs=1e-9)
    at = mu.points
    assert F.first_variation(mu, at) == pytest.approx(F.first_variation(points, at), rel=1e-11)
    elsewhere = at[:3] + 0.013
    assert F.first_variation(mu, elsewhere) == pytest.approx(
        F.first_variation(points, elsewhere), rel=1e-11
    )


def test_another_grid_is_another_convolution() -> None:
    F = jf.Interaction(bump)
    a, b = random_grid((5, 8)), random_grid((5, 8), seed=1)
    wide = jf.Grid(b.density / 4, 2 * b.lower, 2 * b.upper)
    for mu in (a, b, wide):
        points = jf.Particles(mu.points, mu.weights)
        assert F.value(mu) == pytest.approx(F.value(points), rel=1e-12)


def test_logarithmic_energy_of_a_uniform_disc() -> None:
    """−½∬log|x−y| of the uniform disc of radius R is ½(¼ − log R); errors are those of cells cut
    by the circle, h²."""
    errors = []
    for n in (40, 80):
        x = (np.arange(4 * n) + 0.5) / (4 * n) * 2.4 - 1.2
        inside = (x[:, None] ** 2 + x**2 < 0.81).astype(float)
        f = inside.reshape(n, 4, n, 4).mean(axis=(1, 3))
        mu = jf.Grid(f / f.sum() * (n / 2.4) ** 2, -1.2, 1.2)
        F = jf.Interaction(lambda z: -0.5 * np.log((z**2).sum(axis=1)), self_interaction=False)
        errors.append(abs(F.value(mu) - 0.5 * (0.25 - np.log(0.9))))
    assert errors[0] < 2e-3 and errors[1] < 7e-4


def test_obstacles_hold_no_mass() -> None:
    V = lambda x: np.where(x[:, 0] > 0.5, np.inf, x[:, 0])  # noqa: E731
    free = jf.Grid([2.0, 0.0], 0.0, 1.0)
    assert jf.Potential(V).value(free) == pytest.approx(0.25)
    assert jf.Potential(V).value(jf.Grid([1.0, 1.0], 0.0, 1.0)) == np.inf
    assert (2.0 * jf.Potential(V) + jf.Entropy()).value(free) == pytest.approx(0.5 + np.log(2))
    assert jf.Potential(V).first_variation(free, free.points).tolist() == [0.25, np.inf]
    for bad in (np.nan, -np.inf):
        with pytest.raises(InvalidFunctional, match="NaN or −∞"):
            jf.Potential(lambda x, b=bad: np.where(x[:, 0] > 0.5, b, 0.0)).value(
                jf.Grid([1.0, 1.0], 0.0, 1.0)
            )
    with pytest.raises(InvalidFunctional):  # points have nowhere to count +∞ as an obstacle
        jf.Potential(V).value(jf.Particles([0.7]))
