"""Splitting: exact recursions, weak order one, the stationary law, Langevin, the judge."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.dynamics.langevin import euler_stationary, langevin
from jkoflow.functionals import BlobEntropy
from jkoflow.status import InvalidProblem, NotDefined
from jkoflow.steppers import ParticleProximal, Splitting


def ornstein_uhlenbeck(a, beta):
    return jf.QuadraticPotential(a) + jf.Entropy() / beta


def variance(v, a, beta, tau, steps):
    """What N(0, v) becomes: noise first, then division by 1 + aτ."""
    for _ in range(steps):
        v = (v + 2 * tau / beta) / (1 + a * tau) ** 2
    return v


def test_particles_have_the_variance_of_the_recursion():
    a, beta, tau, n = 1.7, 4.0, 0.2, 20_000
    x = np.random.default_rng(0).normal(size=(n, 1)) * 0.9
    problem = jf.Problem(ornstein_uhlenbeck(a, beta), jf.Particles(x), tau, steps=3)
    run = jf.flow(problem, Splitting(), rng=1)
    expected = variance(0.81, a, beta, tau, 3)
    z = (float((run.final.points**2).mean()) / expected - 1) / np.sqrt(2 / n)
    assert abs(z) < 4  # a normal law's sample variance has relative deviation √(2/n)


def test_the_weak_error_on_ornstein_uhlenbeck_is_of_order_one():
    a, beta, T, v = 1.3, 2.0, 1.0, 0.2
    exact = 1 / (a * beta) + (v - 1 / (a * beta)) * np.exp(-2 * a * T)
    errors = [abs(variance(v, a, beta, T / n, n) - exact) for n in (40, 80, 160)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)  # plus O(τ)
    w = v
    for _ in range(160):  # Euler's step at the same τ
        w = w * (1 - a * T / 160) ** 2 + 2 * T / 160 / beta
    langevin_error = abs(w - exact)
    assert 0.3 < errors[2] / langevin_error < 3  # the same order, much the same constant


def prox(z, tau):
    """Resolvent of the slope of V = x⁴/4 − x²/2 + .2x, by Newton from the noisy point."""
    x = z.copy()
    for _ in range(60):
        x -= (x - z + tau * (x**3 - x + 0.2)) / (1 + tau * (3 * x**2 - 1))
    return x


def second_moment(tau, beta):
    """∫x² of the stationary law of x ↦ prox(x + noise), by quadrature."""
    z, p = euler_stationary(lambda y: prox(y, tau), np.sqrt(2 * tau / beta), -4.5, 4.5, 1200)
    return float(p @ prox(z, tau) ** 2 * (z[1] - z[0]))


def well(x):
    return 0.25 * x[:, 0] ** 4 - 0.5 * x[:, 0] ** 2 + 0.2 * x[:, 0]


def test_the_stationary_law_is_gibbs_up_to_order_one():
    beta = 3.0
    x = np.linspace(-4.5, 4.5, 4001)
    g = np.exp(-beta * well(x[:, None]))
    exact = float(g @ x**2 / g.sum())
    errors = [abs(second_moment(tau, beta) - exact) for tau in (0.1, 0.05, 0.025)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert abs(orders[-1] - 1) < 0.15
    # and the stepper's particles are that chain: they are independent of each other, so the
    # deviation is that of their means over time
    V = jf.Potential(well, lambda x: x**3 - x + 0.2, lambda x: (3 * x**2 - 1)[:, :, None])
    start = np.random.default_rng(5).choice(x, size=2000, p=g / g.sum())
    problem = jf.Problem(V + jf.Entropy() / beta, jf.Particles(start), 0.1, steps=40)
    run = jf.flow(problem, Splitting(ParticleProximal(certify=False, tolerance=1e-7)), rng=8)
    squares = np.mean([m.points[:, 0] ** 2 for m in run.measures[10:]], axis=0)
    z = (squares.mean() - second_moment(0.1, beta)) / (squares.std() / np.sqrt(len(squares)))
    assert abs(z) < 4


def test_stiff_potentials_where_langevin_diverges():
    F = ornstein_uhlenbeck(100.0, 1.0)
    x = np.random.default_rng(0).normal(size=(2000, 1))
    run = jf.flow(jf.Problem(F, jf.Particles(x), 0.1, steps=10), Splitting(), rng=0)
    expected = variance(1.0, 100.0, 1.0, 0.1, 10)
    assert run.final.cov()[0, 0] == pytest.approx(expected, rel=0.15)  # 4√(2/n) = .13
    with np.errstate(all="ignore"):
        explicit = langevin(F, x, steps=10, epsilon=0.05, rng=0)  # T = 2t: the same clock
    assert explicit.theta.var() > 1e6 * expected


def test_without_noise_it_is_the_inner_stepper():
    S, x = jf.QuadraticPotential(2.0), np.random.default_rng(1).normal(size=(9, 2))
    problem = jf.Problem(S, jf.Particles(x), 0.3, steps=2)
    split, plain = jf.flow(problem, Splitting()), jf.flow(problem)
    np.testing.assert_array_equal(split.final.points, plain.final.points)


def test_weights_dimension_and_interaction():
    x, w = np.random.default_rng(1).normal(size=(300, 3)), np.arange(1.0, 301.0)
    F = jf.QuadraticInteraction(1.0) + jf.Entropy() / 50.0
    problem = jf.Problem(F, jf.Particles(x, w / w.sum()), 0.1, steps=2)
    run = jf.flow(problem, Splitting(), rng=2)
    np.testing.assert_array_equal(run.final.weights, run.problem.initial.weights)
    assert run.final.points.shape == (300, 3)


def test_a_run_goes_on_bit_for_bit(tmp_path):
    x = np.random.default_rng(1).normal(size=(20, 2))
    problem = jf.Problem(ornstein_uhlenbeck(1.0, 3.0), jf.Particles(x), 0.1, steps=5)
    whole = jf.flow(problem, Splitting(), rng=7)
    jf.flow(problem, Splitting(), rng=7, store=tmp_path / "run", max_steps=3)
    resumed = jf.flow(problem, Splitting(), rng=99, store=tmp_path / "run")  # its own rng goes on
    np.testing.assert_array_equal(resumed.final.points, whole.final.points)
    other = jf.flow(problem, Splitting(), rng=8)
    assert not np.array_equal(other.final.points, whole.final.points)


def test_the_judge_does_not_take_it_for_steps_of_f():
    x = np.random.default_rng(1).normal(size=(20, 2))
    for entropy in (jf.Entropy(), BlobEntropy(0.4)):
        problem = jf.Problem(jf.QuadraticPotential(1.0) + entropy / 3.0, jf.Particles(x), 0.1, 2)
        run = jf.flow(problem, Splitting(), rng=0)
        assert jf.check_run(problem, run).verdict is not jf.Verdict.ACCEPTED
        assert run[1].witness is None and np.isnan(run[1].distance_squared)
        assert run[1].stats["noise"] == pytest.approx(np.sqrt(2 * 0.1 / 3))
    # energies are those of F where it has one on particles, and of S elsewhere
    assert run.energies[-1] == pytest.approx(problem.functional.value(run.final))


def test_what_it_cannot_do_is_said():
    x, rng = jf.Particles([[0.0], [1.0]]), np.random.default_rng(0)
    for F, mu in [(jf.PowerEnergy(2.0), x), (jf.Entropy(), jf.Gaussian(0.0, 1.0))]:
        with pytest.raises(NotDefined):
            Splitting().step(F, mu, 0.1, {}, rng)
    with pytest.raises(InvalidProblem, match="backwards"):
        Splitting().step(-1.0 * jf.Entropy(), x, 0.1, {}, rng)
    for inner in (None, "lbfgs", ParticleProximal):
        with pytest.raises(InvalidProblem, match="inner"):
            Splitting(inner)
