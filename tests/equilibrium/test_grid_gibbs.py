"""Gibbs laws on grids: closed forms, other solvers, finite volumes, obstacles, several ends."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.equilibrium.box import solve_gibbs_density
from jkoflow.status import InvalidProblem, NotDefined


def well(x):
    return 2.0 * (x[:, 0] ** 2 - 1) ** 2 + 0.7 * x[:, 0] + 0.3 * (x[:, 1:] ** 2).sum(axis=1)


def uniform(shape, lower=-3.0, upper=3.0):
    volume = (upper - lower) ** len(shape)
    return jf.Grid(np.full(shape, 1 / volume), lower, upper)


def risk():
    return jf.Risk(lambda t: np.stack([np.tanh(t).sum(axis=1), (t**2).sum(axis=1)]), [0.3, 0.5])


def blobs():
    """A positive definite repulsion, so convex along mixtures."""
    W = jf.Interaction(lambda z: 3 * np.exp(-0.5 * (z**2).sum(axis=1)))
    W.convex_in_mixtures = True
    return W


@pytest.mark.parametrize("shape", [(80,), (30, 41), (12, 13, 11)])
def test_potentials_have_masses_in_closed_form(shape):
    beta, mu = 1.7, uniform(shape)
    star = jf.solve_gibbs(jf.Potential(well) + jf.Entropy() / beta, mu)
    g = np.exp(-beta * well(mu.points))
    np.testing.assert_allclose(star.measure.weights, g / g.sum(), rtol=1e-12)
    log_z = np.log(g.sum() * mu.cell_volume)
    assert star.log_partition == pytest.approx(log_z, rel=1e-13)
    assert star.free_energy == pytest.approx(-log_z / beta, rel=1e-12)
    assert star.gap == 0.0 and star.status.ok and star.residual < 1e-13


@pytest.mark.parametrize("make", [risk, blobs, lambda: risk() + blobs()])
@pytest.mark.parametrize("beta", [0.8, 25.0])
def test_it_minimises_f_on_the_grid_and_finite_volumes_stay_there(make, beta):
    F = make() + jf.Potential(well) + jf.Entropy() / beta
    star = jf.solve_gibbs(F, uniform((24, 20)))
    assert star.status.ok and star.gap < 1e-12 and star.residual < 1e-9
    rng = np.random.default_rng(1)
    for size in (1e-1, 1e-3):
        noise = np.exp(size * rng.normal(size=star.measure.shape))
        rho = star.measure.density * noise
        other = star.measure.with_density(rho / (rho.sum() * star.measure.cell_volume))
        assert F.value(other) > star.free_energy - star.gap
    from jkoflow.dynamics.finite_volume import finite_volume

    after = finite_volume(F, star.measure, dt=0.1, steps=3).final
    # residual of log ρ, times the time and the rates of order 10²
    assert np.abs(after.weights - star.measure.weights).sum() < 1e-7


def test_of_order_two_in_h_towards_the_solution_of_the_line():
    F = risk() + jf.QuadraticPotential(1.0) + jf.Potential(lambda x: np.cos(2 * x[:, 0]))
    F = F + jf.Entropy() / 3.0
    exact = jf.solve_gibbs(F, (-2.0, 2.5)).free_energy
    errors = [abs(jf.solve_gibbs(F, uniform((n,), -2.0, 2.5)).free_energy - exact)
              for n in (20, 40, 80)]  # fmt: skip
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.1)


def test_the_same_as_on_a_growing_box():
    F = 5.0 * risk() + jf.QuadraticPotential(1.3) + jf.Entropy() / 4.0
    free = solve_gibbs_density(F, [-2, -2], [2, 2])
    star = jf.solve_gibbs(F, ([-4.0, -4.0], [4.0, 4.0]), n=120)
    # midpoint sums of a density that vanishes at the faces: error below any power of h
    assert star.free_energy == pytest.approx(free.free_energy, abs=1e-8)
    assert star.measure.shape == (120, 120)


def test_obstacles_stay_empty():
    def V(x):
        return np.where((x**2).sum(axis=1) < 1, np.inf, x[:, 0])

    for S in (jf.Potential(V), jf.Potential(V) + risk(), jf.Potential(V) + blobs()):
        star = jf.solve_gibbs(S + jf.Entropy() / 2.0, uniform((30, 30)))
        inside = (star.measure.points**2).sum(axis=1) < 1
        assert star.measure.weights[inside].max() == 0 < star.measure.weights[~inside].min()
        assert np.isfinite([star.free_energy, star.residual, star.log_partition]).all()
        assert star.gap < 1e-12 and star.residual < 1e-9
    with pytest.raises(InvalidProblem, match="no place"):
        nowhere = jf.Potential(lambda x: np.full(len(x), np.inf))
        jf.solve_gibbs(nowhere + jf.Entropy(), uniform((5, 5)))


def test_where_there_are_several_the_start_decides_and_none_is_claimed_least():
    """Desai–Zwanzig: V = x⁴/4 − x²/2, κ = 1; the critical β is [Γ(¼)/(2Γ(¾))]² = 2.188."""
    V = jf.Potential(lambda x: 0.25 * x[:, 0] ** 4 - 0.5 * x[:, 0] ** 2)
    F = V + jf.QuadraticInteraction(1.0)
    ends = {}
    for beta in (1.7, 4.0):
        for side in (-1.0, 1.0):
            start = jf.Grid.from_function(
                lambda x, s=side: np.exp(-2 * (x[:, 0] - s) ** 2), -3.5, 3.5, 200)
            star = jf.solve_gibbs(F + jf.Entropy() / beta, start)
            assert star.status.ok and star.gap == np.inf
            ends[beta, side] = star.measure.mean()[0]
    assert abs(ends[1.7, 1.0]) < 1e-6 and abs(ends[1.7, -1.0]) < 1e-6
    assert ends[4.0, 1.0] > 0.5 and ends[4.0, -1.0] == pytest.approx(-ends[4.0, 1.0], abs=1e-8)


def test_the_judge_confirms_it_up_to_the_grid():
    beta, apart = 1.2, []
    F = jf.Potential(lambda x: 0.25 * well(x)) + risk() + jf.Entropy() / beta
    for n in (30, 60):
        star = jf.solve_gibbs(F, uniform((n, n)))
        report = jf.check_fixed_point(F, star.measure)
        assert report.verdict is jf.Verdict.ACCEPTED, str(report)
        apart.append(report["equation"].measured)
    # values at the centres are h²/24 of second derivatives off means, and KL is quadratic in that
    assert np.log2(apart[0] / apart[1]) == pytest.approx(4.0, abs=0.2)


def test_bad_input():
    F = jf.Potential(well) + jf.Entropy()
    for what, error in [
        (lambda: jf.solve_gibbs(jf.Potential(well), uniform((5, 5))), NotDefined),
        (lambda: jf.solve_gibbs(F + jf.PowerEnergy(2.0), uniform((5, 5))), NotDefined),
        (lambda: jf.solve_gibbs(F, ([0.0, 0.0], [1.0, 0.0])), InvalidProblem),
        (lambda: jf.solve_gibbs(F, ([0.0, 0.0], [1.0, np.nan])), InvalidProblem),
        (lambda: jf.solve_gibbs(F, ([0.0, 0.0], [1.0, 1.0]), n=10**5), InvalidProblem),
        (lambda: jf.solve_gibbs(F, ([0.0] * 4, [1.0] * 4)), InvalidProblem),
        (lambda: jf.solve_gibbs(F, ([0.0, 0.0], [1.0])), InvalidProblem),
        (lambda: jf.solve_gibbs(F, uniform((5, 5)), n=0), InvalidProblem),
        (lambda: jf.solve_gibbs(F, uniform((5, 5)), tolerance=-1), InvalidProblem),
        (lambda: jf.solve_gibbs(F, jf.Gaussian([0.0, 0.0], np.eye(2))), NotDefined),
    ]:
        with pytest.raises(error):
            what()
