"""Gibbs densities on boxes: exact Gaussians, the line's solver, the judge, and uniqueness."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.equilibrium.box import solve_gibbs_density
from jkoflow.functionals.free_energy import free_energy
from jkoflow.networks import SimpleUnit, data_risk, tanh
from jkoflow.status import InvalidMeasure, InvalidProblem, NotDefined


def network(dim, points=9, seed=3):
    """A smooth network with inputs (x, 1) or x on the line, and a target that is not a unit's."""
    x = np.linspace(-2, 2, points)
    rows = np.stack([x, np.ones(points)], axis=1)[:, :dim]
    return data_risk(SimpleUnit(tanh), rows, 0.5 * np.sin(1.5 * x + seed))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_quadratic_potentials_have_gaussian_laws(dim):
    lam, beta, centre = 1.7, 2.3, np.array([0.4, -1.0, 0.2])[:dim]
    F = jf.QuadraticPotential(lam, center=centre) + jf.Entropy() / beta
    star = solve_gibbs_density(F, -np.ones(dim), np.ones(dim))
    log_z = 0.5 * dim * math.log(2 * math.pi / (beta * lam))
    # the shifted trapezoidal rule of a normal density, cut where 1e-15 of it is left
    assert star.log_partition == pytest.approx(log_z, abs=1e-12)
    assert star.free_energy == pytest.approx(-log_z / beta, abs=1e-12)
    assert star.measure.mean() == pytest.approx(centre, abs=1e-12)
    x = np.random.default_rng(0).normal(size=(5, dim))
    exact = -0.5 * beta * lam * ((x - centre) ** 2).sum(axis=1) - log_z
    np.testing.assert_allclose(star(x), exact, atol=1e-11)


def test_a_risk_of_the_mean_is_solved_by_hand():
    """R = (y − ∫θ_1)²: ρ* is normal with mean m = y/(1 + λ) in θ_1 and variance 1/(βλ)."""
    y, lam, beta = 1.5, 0.6, 4.0
    R = jf.Risk(lambda t: t.T[:1], targets=[y], weights=[1.0])
    star = solve_gibbs_density(free_energy(R, lam, beta), [-1, -1], [1, 1])
    m = y / (1 + lam)
    assert star.residuals == pytest.approx([y - m], abs=1e-10)
    assert star.measure.mean() == pytest.approx([m, 0.0], abs=1e-10)
    entropy = -math.log(2 * math.pi * math.e / (beta * lam))
    F = 0.5 * (y - m) ** 2 + 0.5 * lam * (m**2 + 2 / (beta * lam)) + entropy / beta
    assert star.free_energy == pytest.approx(F, abs=1e-10)
    assert 0 <= star.gap < 1e-11


def test_in_one_dimension_it_is_the_solver_on_the_line():
    F = free_energy(network(1), 0.1, 20.0)
    star = solve_gibbs_density(F, -1.0, 1.0)
    line = jf.solve_gibbs(F, jf.Quantiles.normal(0.0, 1.0, 100))
    assert star.free_energy == pytest.approx(line.free_energy, abs=1e-11)
    np.testing.assert_allclose(
        star(line.axis.points[::40, None]), line.log_density[::40], atol=1e-6
    )


@pytest.mark.parametrize("dim", [1, 2])
def test_the_judge_accepts_it_and_no_neighbour(dim):
    F = free_energy(network(dim), 0.1, 15.0)
    star = solve_gibbs_density(F, -np.ones(dim), np.ones(dim))
    report = jf.check_fixed_point(F, star, domain=star.domain)
    assert report.verdict is jf.Verdict.ACCEPTED, str(report)
    off = jf.check_fixed_point(F, lambda t: 1.05 * star(t), domain=star.domain)
    assert off["equation"].verdict is jf.Verdict.REJECTED


def test_the_fixed_point_is_the_same_from_every_start():
    F, rng = free_energy(network(2), 0.05, 30.0), np.random.default_rng(1)
    stars = [solve_gibbs_density(F, [-1, -1], [1, 1], start=e)
             for e in (None, *rng.normal(size=(3, 9)))]  # fmt: skip
    x = rng.normal(size=(20, 2))
    for star in stars[1:]:
        assert star.free_energy == pytest.approx(stars[0].free_energy, abs=1e-11)
        # a gap of 1e-12 bounds KL/β, hence the density by its square root: 5e-6
        np.testing.assert_allclose(star(x), stars[0](x), atol=1e-5)


def test_samples_have_its_moments():
    F = free_energy(network(2), 0.3, 10.0)
    star = solve_gibbs_density(F, [-1, -1], [1, 1])
    x = star.sample(40_000, rng=0)
    rule = star.measure
    spread = np.sqrt(rule.weights @ (rule.points - rule.mean()) ** 2)
    assert (np.abs(x.mean(axis=0) - star.measure.mean()) < 4.5 * spread / 200).all()
    assert jf.check_samples(F, x[:400], rng=1, reference=star.sample(800, 2)).verdict is (
        jf.Verdict.ACCEPTED
    )


def test_more_nodes_change_nothing():
    F = free_energy(network(2), 0.1, 15.0)
    values = [solve_gibbs_density(F, [-1, -1], [1, 1], n=n).free_energy for n in (100, 170)]
    assert values[0] == pytest.approx(values[1], abs=1e-10)


@pytest.mark.parametrize(
    ("F", "box", "options", "error"),
    [
        (jf.QuadraticPotential(1.0), (-1, 1), {}, NotDefined),
        (jf.Entropy() + jf.QuadraticInteraction(1.0), (-1, 1), {}, NotDefined),
        (jf.Entropy() + jf.QuadraticPotential(1.0), (1, -1), {}, InvalidProblem),
        (jf.Entropy() + jf.QuadraticPotential(1.0), ([-1] * 4, [1] * 4), {}, InvalidProblem),
        (jf.Entropy() + jf.QuadraticPotential(1.0), ([-1, -1], [1]), {}, InvalidProblem),
        (jf.Entropy() + jf.QuadraticPotential(1.0), (np.nan, 1), {}, InvalidMeasure),
        (jf.Entropy() + jf.QuadraticPotential(1.0), (-1, 1), {"n": 2.5}, InvalidProblem),
        (jf.Entropy() + jf.QuadraticPotential(1.0), (-1, 1), {"tolerance": -1}, InvalidProblem),
        (jf.Entropy() + jf.QuadraticPotential(1.0), (-1, 1), {"start": [1.0]}, InvalidMeasure),
        (jf.Entropy() + jf.Potential(lambda x: 0 * x[:, 0]), (-1, 1), {}, InvalidProblem),
    ],
)
def test_bad_questions(F, box, options, error):
    with pytest.raises(error):
        solve_gibbs_density(F, *box, **options)
