"""Exact: closed forms against other steppers and scalar equations; where none is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt, barenblatt_speed
from jkoflow.status import NotDefined, Status
from jkoflow.steppers import BuresProximal, Exact, QuantileNewton


def one_step(F, mu, tau, stepper=None):
    return (stepper or Exact()).step(F, mu, tau, {}, np.random.default_rng(0))


def some_points(n=40, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return jf.Particles(rng.normal(size=(n, d)), rng.dirichlet(np.ones(n)))


def test_gaussians_share_the_closed_form_with_bures():
    mu = jf.Gaussian([1.0, 0.0], [[2.0, 0.3], [0.3, 1.0]])
    F = 0.3 * jf.Entropy() + jf.QuadraticPotential(2.0, [0.0, 1.0]) + jf.QuadraticInteraction(-1.0)
    ours, theirs = one_step(F, mu, 0.2), one_step(F, mu, 0.2, BuresProximal())
    assert (ours.measure.cov() == theirs.measure.cov()).all()
    assert ours.status is Status.EXACT


@pytest.mark.parametrize(
    ("a", "kappa"), [(1.0, 0.0), (0.0, 2.0), (3.0, -1.0), (-0.5, 2.0), (0.3, -0.8)]
)
def test_points_are_contracted_to_the_stationary_positions(a, kappa):
    """X = x − τ∇δF(X), with the gradient that the functional itself gives at X."""
    mu, tau = some_points(), 0.7
    F = jf.QuadraticPotential(a, [1.0, 0.0, -2.0]) + jf.QuadraticInteraction(kappa)
    out = one_step(F, mu, tau)
    new = out.measure
    np.testing.assert_allclose(new.points, mu.points - tau * F.gradient(new), atol=1e-13)
    moved = ((new.points - mu.points) ** 2).sum(axis=1)
    assert out.distance_squared == pytest.approx(mu.weights @ moved, rel=1e-13)


@pytest.mark.parametrize(("a", "kappa"), [(1.0, 0.5), (-0.5, 2.0), (0.3, -0.9)])
def test_the_pairing_is_proved_optimal(a, kappa):
    mu = some_points(60, 2)
    out = one_step(jf.QuadraticPotential(a, [3.0, 0.0]) + jf.QuadraticInteraction(kappa), mu, 0.8)
    order, f, g = (out.witness.arrays[k] for k in ("order", "f", "g"))
    cost = ((out.measure.points[:, None] - mu.points) ** 2).sum(axis=2)
    assert (order == np.arange(60)).all()
    assert (cost - f[:, None] - g).min() > -1e-13
    assert mu.weights @ (f + g) == pytest.approx(out.distance_squared, rel=1e-12)


@pytest.mark.parametrize(
    "mu",
    [
        jf.Quantiles([0.0, 1.0, 5.0], [0.7, 0.3]),
        jf.Radial([0.0, 1.0, 2.5], 3, [0.2, 0.8]),
    ],
    ids=repr,
)
def test_cells_without_internal_energy_agree_with_newton(mu):
    F = jf.QuadraticPotential(-0.4) + jf.QuadraticInteraction(1.1)
    exact, newton = one_step(F, mu, 0.9), one_step(F, mu, 0.9, QuantileNewton())
    np.testing.assert_allclose(exact.measure.edges, newton.measure.edges, atol=1e-12)
    assert exact.distance_squared == pytest.approx(newton.distance_squared, rel=1e-11)


@pytest.mark.parametrize(("m", "d"), [(2.0, None), (3.0, None), (2.0, 2), (1.6, 4)])
@pytest.mark.parametrize(
    ("a", "kappa", "coefficient"), [(0.0, 0.0, 1.0), (1.0, 0.0, 0.3), (2.0, -0.7, 2.0)]
)
def test_barenblatt_radii_solve_their_scalar_equation(m, d, a, kappa, coefficient):
    R, tau, dim = 0.8, 0.25, d or 1
    F = jf.PowerEnergy(m, coefficient) + jf.QuadraticPotential(a) + jf.QuadraticInteraction(kappa)
    out = one_step(F, barenblatt(m, R, 60, d), tau)
    K, q = barenblatt_speed(m, coefficient, dim), dim * (m - 1) + 1
    c = 1 + (a + kappa) * tau
    exact = brentq(lambda s: c * s - R - tau * K * s**-q, 1e-3, 20.0, xtol=1e-15, rtol=1e-15)
    assert out.measure.edges[-1] == pytest.approx(exact, abs=1e-13)
    assert out.status is Status.EXACT


def test_two_power_energies_of_the_same_exponent_add():
    mu = barenblatt(2.0, 1.0, 50)
    split = one_step(jf.PowerEnergy(2.0, 0.5) + 2 * jf.PowerEnergy(2.0, 0.25), mu, 0.1)
    assert split.measure.edges[-1] == one_step(jf.PowerEnergy(2.0), mu, 0.1).measure.edges[-1]


def test_centres_follow_the_potential():
    mu = barenblatt(2.0, 1.0, 50)
    F = jf.PowerEnergy(2.0) + jf.QuadraticPotential(1.5, [2.0]) + jf.QuadraticInteraction(1.0)
    out = one_step(F, mu.with_edges(mu.edges + 0.5), 0.2)
    ends = out.measure.edges[[0, -1]]
    assert ends.mean() == pytest.approx((0.5 + 0.2 * 1.5 * 2.0) / (1 + 0.2 * 1.5), abs=1e-13)


@pytest.mark.parametrize(
    ("F", "mu"),
    [
        (jf.PowerEnergy(3.0), barenblatt(2.0, 1.0, 40)),
        (jf.PowerEnergy(2.0) + jf.Entropy(), barenblatt(2.0, 1.0, 40)),
        (jf.PowerEnergy(0.8), jf.Quantiles.normal(0.0, 1.0, 40)),
        (jf.PowerEnergy(2.0), jf.Gaussian(0.0, 1.0)),
        (jf.Entropy(), barenblatt(2.0, 1.0, 40)),
        (jf.Entropy(), jf.Particles([0.0, 1.0])),
        (jf.Potential(lambda x: x[:, 0] ** 2), jf.Gaussian(0.0, 1.0)),
    ],
    ids=lambda x: repr(x),
)
def test_what_is_not_known_is_a_typed_error_that_says_what_is(F, mu):
    with pytest.raises(NotDefined, match="Exact knows"):
        one_step(F, mu, 0.1)


@pytest.mark.parametrize(
    "mu", [some_points(), barenblatt(2.0, 1.0, 40), jf.Gaussian(0.0, 1.0)], ids=repr
)
def test_no_minimiser_is_a_status(mu):
    F = jf.QuadraticPotential(-4.0)
    assert one_step(F, mu, 0.25).status is Status.UNBOUNDED
    assert one_step(F, mu, 0.2).status is Status.EXACT
