"""Conversions: samples have the right law (z-scores), quantisation converges, losses are named."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.conversion import (
    lossy_gaussian,
    lossy_points,
    lossy_radial,
    quantised_samples,
    sample,
    to_quantiles,
)
from jkoflow.status import InvalidMeasure, NotDefined
from jkoflow.transport import wasserstein

N = 40_000
LAWS = {
    "gaussian": jf.Gaussian([1.0, -1.0], [[2.0, 0.7], [0.7, 1.0]]),
    "quantiles": jf.Quantiles([0.0, 1.0, 4.0], [0.3, 0.7]),
    "radial": jf.Radial([0.5, 1.0, 3.0], 3, [0.6, 0.4]),
    "grid": jf.Grid([[0.5, 0.25], [0.0, 0.25]], [0.0, -1.0], [4.0, 0.0]),
    "mesh": jf.Mesh([[0, 0], [2, 0], [0, 1], [2, 3]], [[0, 1, 2], [1, 3, 2]], [0.4, 0.6]),
    "particles": jf.Particles([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]], [0.2, 0.5, 0.3]),
}


def second_moment(mu):
    """E|x|² of the law itself, in closed form (not of its edges)."""
    a, b = (mu.edges[:-1], mu.edges[1:]) if mu.kind in ("quantiles", "radial") else (0, 0)
    if mu.kind == "quantiles":
        return mu.mass @ (a * a + a * b + b * b) / 3
    if mu.kind == "radial":
        d = mu.dim
        return mu.mass @ (d / (d + 2) * (b ** (d + 2) - a ** (d + 2)) / (b**d - a**d))
    if mu.kind == "grid":
        return mu.integrate(lambda x: (x * x).sum(axis=1)) + (mu.spacing**2).sum() / 12
    if mu.kind == "mesh":
        v, d = mu.nodes[mu.simplices], mu.dim
        squares = (v.sum(axis=1) ** 2).sum(axis=1) + (v**2).sum(axis=(1, 2))
        return mu.mass @ squares / ((d + 1) * (d + 2))
    return mu.integrate(lambda x: (x * x).sum(axis=1))


@pytest.mark.parametrize("name", LAWS)
def test_samples_have_the_second_moment_of_the_law(name):
    mu = LAWS[name]
    drawn = sample(mu, N, rng=7)
    assert drawn.points.shape == (N, mu.dim)
    squares = (drawn.points**2).sum(axis=1)
    z = (squares.mean() - second_moment(mu)) / (squares.std() / np.sqrt(N))
    assert abs(z) < 4.0  # a fair sampler fails once in 16000 seeds


def test_directions_of_a_radial_law_are_uniform():
    x = sample(LAWS["radial"], N, rng=3).points
    mean = x.mean(axis=0) / (x.std(axis=0) / np.sqrt(N))
    assert np.abs(mean).max() < 4.5
    cov = np.cov(x.T)
    off = cov[np.triu_indices(3, 1)] / (np.trace(cov) / 3) * np.sqrt(N)
    assert np.abs(off).max() < 4.5 * 1.5  # kurtosis of the radius widens the spread a little


def test_sampling_repeats_with_its_seed_and_checks_n():
    mu = LAWS["gaussian"]
    assert (sample(mu, 5, rng=1).points == sample(mu, 5, rng=1).points).all()
    for n in (0, -2, 2.5, True):
        with pytest.raises(InvalidMeasure, match="n must be"):
            sample(mu, n)


def test_quantising_a_gaussian_converges():
    mu = jf.Gaussian(0.4, 2.25)
    errors = [wasserstein(to_quantiles(mu, n), mu) for n in (50, 200)]
    assert errors[1] < errors[0] / 12  # second order, 16, but for powers of log n


def test_quantising_cells_and_samples():
    mu = jf.Quantiles.normal(0.0, 1.0, 1000)
    coarse = to_quantiles(mu, 100, "tails")
    assert wasserstein(coarse, mu) < 3e-3
    drawn = sample(mu, 20_000, rng=5)
    # sampling error of the quantiles, about n^-½ = .007, dominates
    assert wasserstein(to_quantiles(drawn, 100), mu) < 0.04


def test_a_grid_on_the_line_becomes_cells():
    mu = jf.Grid([0.0, 1.0, 0.0, 0.5, 0.5, 0.0], 0.0, 3.0)  # ½ on [½, 1], ¼ on [3/2, 2], [2, 5/2]
    np.testing.assert_allclose(to_quantiles(mu, 3).edges, [1 / 2, 5 / 6, 11 / 6, 5 / 2], atol=1e-14)


def test_weighted_samples_are_weighted():
    rng = np.random.default_rng(0)
    x = rng.random(5000)
    w = 2 * x / (2 * x).sum()  # the density 2x on [0, 1]
    q = quantised_samples(x, 10, w)
    # standard error of a quantile of density 2x: √(s(1−s)/5000)/(2√s) < .007, four of them
    np.testing.assert_allclose(q.edges[1:-1], np.sqrt(np.linspace(0, 1, 11)[1:-1]), atol=0.028)


def test_equal_samples_are_refused():
    with pytest.raises(InvalidMeasure, match="fewer cells"):
        quantised_samples([1.0, 1.0, 1.0, 2.0], 3)


def test_the_law_of_the_radius():
    drawn = sample(jf.Radial.normal(0.5, 6, 500), 20_000, rng=2)
    radial = lossy_radial(drawn, 60)
    assert radial.dim == 6
    # the law of |x| has standard deviation about .35: sampling error .35/√20000 and the cells
    assert wasserstein(radial, jf.Radial.normal(0.5, 6, 60, "uniform")) < 0.03


def test_moment_matching_keeps_exactly_two_moments():
    mu = LAWS["particles"]
    np.testing.assert_allclose(lossy_gaussian(mu).mean(), mu.mean())
    np.testing.assert_allclose(lossy_gaussian(mu).cov(), mu.cov(), atol=1e-15)
    radial = jf.Radial.normal(0.7, 4, 400)
    # second order in the number of cells
    np.testing.assert_allclose(lossy_gaussian(radial).cov(), 0.49 * np.eye(4), atol=1e-3)


def test_what_cannot_be_converted_is_a_typed_error():
    with pytest.raises(NotDefined, match="line"):
        to_quantiles(LAWS["gaussian"], 10)
    with pytest.raises(NotDefined, match="radii"):
        lossy_points(LAWS["radial"])
    with pytest.raises(NotDefined, match="particles"):
        lossy_radial(LAWS["gaussian"], 10)
