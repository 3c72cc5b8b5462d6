"""Quantiles and Radial: validation, densities, volumes and their derivatives, gradings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, ndtri

import jkoflow as jf
from jkoflow.measures.base import measure_from_arrays
from jkoflow.measures.cells import graded_levels, level_masses
from jkoflow.status import InvalidMeasure
from jkoflow.transport.one_dimensional import distance_squared_to_ppf

BAD = {
    "one edge": ([0.0], None, "two edges"),
    "unsorted": ([0.0, 2.0, 1.0], None, "sort"),
    "NaN": ([0.0, np.nan], None, "NaN"),
    "two axes": ([[0.0, 1.0]], None, "axes"),
    "complex": ([0.0, 1j], None, "complex"),
    "empty cell": ([0.0, 1.0, 2.0], [1.0, 0.0], "positive mass"),
    "negative mass": ([0.0, 1.0, 2.0], [1.5, -0.5], "negative"),
    "unsummed": ([0.0, 1.0, 2.0], [0.5, 0.6], "sum to 1"),
    "too many masses": ([0.0, 1.0], [0.5, 0.5], "shape"),
}


@pytest.mark.parametrize("make", [jf.Quantiles, lambda e, m: jf.Radial(e, 3, m)])
@pytest.mark.parametrize("name", BAD)
def test_bad_cells_are_refused(name, make):
    edges, mass, message = BAD[name]
    with pytest.raises(InvalidMeasure, match=message):
        make(edges, mass)


@pytest.mark.parametrize("dim", [0, -1, 1.5, True])
def test_bad_dimensions_are_refused(dim):
    with pytest.raises(InvalidMeasure, match="dim"):
        jf.Radial([0.0, 1.0], dim)


def test_negative_radii_are_refused_at_every_door():
    with pytest.raises(InvalidMeasure, match="radii"):
        jf.Radial([-0.1, 1.0], 2)
    mu = jf.Radial([0.1, 1.0], 2)
    with pytest.raises(InvalidMeasure, match="radii"):
        mu.displaced([[-0.2], [0.0]])
    with pytest.raises(InvalidMeasure, match="not sorted"):
        mu.displaced([[2.0], [0.0]])


def laws():
    rng = np.random.default_rng(5)
    edges, mass = 0.3 + np.cumsum(rng.random(6)), rng.dirichlet(np.ones(5))
    yield jf.Quantiles(edges - 2.0, mass)
    for dim in (1, 2, 3, 40):
        yield jf.Radial(edges, dim, mass)
    yield jf.Radial(np.concatenate([[0.0], edges[1:]]), 3, mass)


@pytest.mark.parametrize("mu", list(laws()), ids=repr)
def test_log_volumes_have_the_right_derivatives(mu):
    exact, h = mu.log_volume_derivatives(), 1e-5
    np.testing.assert_allclose(exact.value, mu.log_volumes(), rtol=1e-12)

    def moved(left, right):
        """log-volumes of the cells, each with its own two edges moved."""
        ends = zip(mu.edges[:-1] + left, mu.edges[1:] + right, strict=True)
        more = () if mu.kind == "quantiles" else (mu.dim,)
        return np.array([type(mu)(pair, *more).log_volumes()[0] for pair in ends])

    inner = mu.edges[:-1] > 2 * h  # a radius 0 cannot be moved down
    # central differences: truncation h² ~ 1e-10, rounding eps/h² ~ 1e-6 for second derivatives
    first = (moved(0, h) - moved(0, -h)) / (2 * h)
    np.testing.assert_allclose(exact.b, first, rtol=1e-6)
    second = (moved(0, h) - 2 * moved(0, 0) + moved(0, -h)) / h**2
    np.testing.assert_allclose(exact.bb, second, rtol=1e-4, atol=1e-4)
    if inner.all():
        first = (moved(h, 0) - moved(-h, 0)) / (2 * h)
        np.testing.assert_allclose(exact.a, first, rtol=1e-6, atol=1e-9)
        cross = (moved(h, h) - moved(h, -h) - moved(-h, h) + moved(-h, -h)) / (4 * h * h)
        np.testing.assert_allclose(exact.ab, cross, rtol=1e-4, atol=1e-4)
        second = (moved(h, 0) - 2 * moved(0, 0) + moved(-h, 0)) / h**2
        np.testing.assert_allclose(exact.aa, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mu", list(laws()), ids=repr)
def test_the_density_has_mass_one(mu):
    surface = 1.0
    if mu.kind == "radial":
        surface = 2 * np.exp(0.5 * mu.dim * np.log(np.pi) - gammaln(0.5 * mu.dim))

    def density(r):
        shell = surface * abs(r) ** (mu.dim - 1) if mu.kind == "radial" else 1.0
        return shell * np.exp(mu.log_density(np.array([r])))[0]

    total = sum(
        quad(density, a, b)[0] for a, b in zip(mu.edges[:-1], mu.edges[1:], strict=True)
    )
    assert total == pytest.approx(1.0, rel=1e-9)
    outside = [[mu.edges[0] - 0.01], [mu.edges[-1] + 0.01]]
    assert (mu.log_density(outside) == -np.inf).all()


def test_thin_shells_in_many_dimensions_keep_their_digits():
    # r^320 overflows from r = 9.2 on, and b^d − a^d loses all digits of thin shells
    mu = jf.Radial([20.0, 20.0 + 1e-9], 320)
    log_area = np.log(2) + 160 * np.log(np.pi) - gammaln(160) + 319 * np.log(20.0)
    # the edges' own rounding, eps·20/1e-9 ≈ 4e-6, is all that is lost
    assert mu.log_volumes()[0] == pytest.approx(log_area + np.log(1e-9), abs=1e-5)


def test_cdf_and_ppf_are_inverse():
    mu = jf.Quantiles([0.0, 1.0, 3.0, 3.5], [0.2, 0.5, 0.3])
    s = np.linspace(0, 1, 23)
    np.testing.assert_allclose(mu.cdf(mu.ppf(s)), s, atol=1e-14)


@pytest.mark.parametrize("grading", ["uniform", "cosine", "tails"])
@pytest.mark.parametrize("n", [1, 2, 7, 1000, 100_000])
def test_graded_masses_are_positive_symmetric_and_sum_to_one(grading, n):
    levels, mass = level_masses(n, grading)
    assert levels[0] == 0 and levels[-1] == 1
    assert (mass > 0).all()
    assert (mass == mass[::-1]).all()
    assert mass.sum() == pytest.approx(1.0, abs=1e-12)
    ratio = {"uniform": 1.0, "cosine": np.pi**6 / 64 / n**3, "tails": 35.0 / n**3}[grading]
    if n > 100:  # first order of the mass of the end cell, times n
        assert mass[0] * n == pytest.approx(ratio, rel=5.0 / n + 1e-12)


def test_bad_gradings_are_refused():
    with pytest.raises(InvalidMeasure, match="grading"):
        graded_levels(3, "geometric")
    for n in (0, -1, 2.5, True):
        with pytest.raises(InvalidMeasure, match="positive number"):
            graded_levels(n, "uniform")


@pytest.mark.parametrize(("grading", "order"), [("uniform", 0.5), ("tails", 2.0)])
def test_the_order_of_approximation_of_a_normal_law(grading, order):
    """Equal masses lose in the two outermost cells; graded tails bring the full order back."""
    sizes = np.array([100, 400, 1600])
    errors = [
        distance_squared_to_ppf(
            jf.Quantiles.normal(0.7, 1.3, n, grading),
            lambda s: 0.7 + 1.3 * ndtri(s),
            lambda s: 0.7 - 1.3 * ndtri(s),
        )
        ** 0.5
        for n in sizes
    ]
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.09)  # powers of log n make up the difference


@pytest.mark.parametrize("dim", [1, 2, 40, 320])
def test_radial_normal_laws_have_their_moments(dim):
    # second order in n: relative error ~ 35/n² at n = 400, measured below 1e-4
    mu = jf.Radial.normal(0.6, dim, 400)
    assert mu.integrate(lambda r: r[:, 0] ** 2) == pytest.approx(0.36 * dim, rel=3e-4)
    assert mu.integrate(lambda r: r[:, 0] ** 4) == pytest.approx(
        0.36**2 * dim * (dim + 2), rel=2e-3
    )


def test_a_million_cells_still_have_positive_lengths():
    assert (np.diff(jf.Quantiles.normal(0.0, 1.0, 10**6).edges) > 0).all()
    assert (np.diff(jf.Radial.normal(1.0, 40, 10**5).edges) > 0).all()


@pytest.mark.parametrize("std", [0.0, -1.0, np.nan, np.inf])
def test_a_bad_standard_deviation_is_refused(std):
    with pytest.raises(InvalidMeasure, match="std"):
        jf.Quantiles.normal(0.0, std, 10)
    with pytest.raises(InvalidMeasure, match="std"):
        jf.Radial.normal(std, 3, 10)


def test_a_ppf_of_the_wrong_shape_is_refused():
    with pytest.raises(InvalidMeasure, match="ppf"):
        jf.Quantiles.from_ppf(lambda s: np.zeros(3), 10)


@pytest.mark.parametrize("mu", list(laws()), ids=repr)
def test_arrays_bring_cells_back_bit_for_bit(mu):
    back = measure_from_arrays(mu.kind, mu.to_arrays())
    assert type(back) is type(mu) and back.dim == mu.dim
    assert (back.edges == mu.edges).all() and (back.mass == mu.mass).all()
    assert (back.weights == mu.weights).all()
