"""One test (or more) for each labelled line of docs/conventions.md; the last test compares."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.internal import Internal
from jkoflow.measures.cells import Cells
from jkoflow.networks import (
    EmpiricalData,
    GaussianClasses,
    SimpleUnit,
    data_risk,
    non_monotone,
    tanh,
    truncated_relu,
)

PINNED: set[str] = set()


def pins(*labels):
    """Decorator: this test is about these lines of docs/conventions.md."""
    PINNED.update(labels)
    return lambda test: test


def one_step(F, mu, tau):
    """The record of one JKO step."""
    return jf.flow(jf.Problem(F, mu, tau=tau, steps=1))[1]


def points_2d(n=7, seed=3):
    rng = np.random.default_rng(seed)
    w = rng.uniform(0.5, 1.5, n)
    return jf.Particles(rng.normal(size=(n, 2)), w / w.sum())


# ---- space, step, time


@pins("C01")
def test_the_distance_of_a_translation_is_its_length():
    step = one_step(jf.QuadraticPotential(1.0), jf.Particles([[3.0, 4.0]]), 0.25)
    moved = np.array([3.0, 4.0]) * (1 - 1 / 1.25)
    # One point goes one way, so the distance is that of the points; 1e-12: a few roundings.
    assert step.distance_squared == pytest.approx(moved @ moved, rel=1e-12)


@pins("C02")
@pytest.mark.parametrize("tau", [0.05, 0.7])
def test_a_step_is_the_proximal_point_with_2_tau(tau):
    # argmin a/2 x² + (x − x0)²/(2τ) is x0/(1 + aτ); with τ instead of 2τ it would be 1 + 2aτ.
    step = one_step(jf.QuadraticPotential(1.7), jf.Gaussian([2.0], [[0.3]]), tau)
    assert step.measure.mean()[0] == pytest.approx(2.0 / (1 + 1.7 * tau), rel=1e-12)


@pins("C03")
def test_time_is_the_sum_of_the_steps_and_starts_at_0():
    problem = jf.Problem(jf.Entropy(), jf.Gaussian([0.0], [[1.0]]), tau=[0.1, 0.3, 0.2])
    run = jf.flow(problem)
    np.testing.assert_allclose(run.times, [0.0, 0.1, 0.4, 0.6], rtol=1e-15)
    assert run.energies[0] == pytest.approx(jf.Entropy().value(problem.initial), rel=1e-15)


@pins("C04")
def test_the_flow_of_entropy_is_the_heat_equation_at_unit_speed():
    # Var(T) = Var(0) + 2T; one step of size τ is off by O(τ²), here −2τ²/s² + … with s = 0.9.
    tau, variance = 1e-4, 0.81
    after = one_step(jf.Entropy(), jf.Gaussian([0.0], [[variance]]), tau).measure.cov()[0, 0]
    assert (after - variance) / tau == pytest.approx(2.0, abs=4 * tau / variance)


@pins("C05")
def test_the_gradient_is_that_of_the_first_variation():
    mu = points_2d()
    for F in smooth_functionals():
        h = 1e-5
        for k in range(2):
            shift = h * np.eye(2)[k]
            up = F.first_variation(mu, mu.points + shift)
            down = F.first_variation(mu, mu.points - shift)
            # Central differences: h² third derivatives ~ 1e-10, rounding 1e-16/h = 1e-11.
            np.testing.assert_allclose((up - down) / (2 * h), F.gradient(mu)[:, k], atol=1e-8)


@pins("C06")
def test_the_derivative_in_a_point_has_the_point_s_weight():
    mu, h = points_2d(), 1e-5
    for F in smooth_functionals():
        for i, k in [(0, 0), (3, 1)]:
            shift = np.zeros_like(mu.points)
            shift[i, k] = h
            slope = (F.value(mu.displaced(shift)) - F.value(mu.displaced(-shift))) / (2 * h)
            # As above: central differences leave 1e-10.
            assert slope == pytest.approx(mu.weights[i] * F.gradient(mu)[i, k], abs=1e-8)


def smooth_functionals():
    features = lambda theta: np.stack([np.sin(theta[:, 0]), theta[:, 0] * theta[:, 1]])  # noqa: E731
    return [
        jf.QuadraticPotential(1.3, [0.2, -1.0]),
        jf.Interaction(lambda z: np.cosh(z).sum(axis=1)),
        jf.QuadraticInteraction(0.7),
        jf.Risk(features, [1.0, -0.5], [0.3, 0.9]),
    ]


@pins("C07", "C08")
@pytest.mark.parametrize("tau", [0.1, 0.8])
def test_the_map_back_is_along_the_gradient_at_the_new_measure(tau):
    start = jf.Quantiles.normal(0.4, 0.6, 60)
    F = jf.QuadraticPotential(1.5) + jf.Entropy() / 2.0
    step = one_step(F, start, tau)
    new = step.measure
    slope = F.gradient(new)[:, 0]
    # The stepper stops when Newton's decrement is at rounding level; 1e-6 of the displacement is
    # far above that and far below the factor 2 this is about.
    scale = np.abs(start.edges - new.edges).max()
    np.testing.assert_allclose(start.edges - new.edges, tau * slope, atol=1e-6 * scale)
    assert step.distance_squared == pytest.approx(
        tau**2 * (new.weights @ slope**2), rel=1e-5
    )
    old_slope = F.gradient(start)[:, 0]
    assert abs(step.distance_squared / (tau**2 * (start.weights @ old_slope**2)) - 1) > 0.05


# ---- functionals


@pins("C09")
def test_potential():
    mu = points_2d()
    expected = sum(
        w * math.sin(x[0] + x[1]) for w, x in zip(mu.weights, mu.points, strict=True)
    )
    F = jf.Potential(lambda x: np.sin(x[:, 0] + x[:, 1]))
    assert F.value(mu) == pytest.approx(expected, rel=1e-13)


@pins("C10")
def test_quadratic_potential_has_a_half():
    F = jf.QuadraticPotential(3.0, [1.0, 0.0])
    assert F.value(jf.Particles([[3.0, 0.0]])) == pytest.approx(0.5 * 3.0 * 4.0, rel=1e-15)


@pins("C11")
def test_interaction_has_a_half_and_its_first_variation_none():
    F, mu = jf.Interaction(lambda z: z[:, 0] ** 2), jf.Particles([[0.0], [1.0]], [0.25, 0.75])
    # ½ · 2 · ¼ · ¾ · 1² = 3/16; W∗ρ at 2 is ¼·4 + ¾·1.
    assert F.value(mu) == pytest.approx(3 / 16, rel=1e-14)
    at = F.first_variation(mu, np.array([[2.0], [1.0]]))
    assert at[0] - at[1] == pytest.approx((0.25 * 4 + 0.75 * 1) - 0.25 * 1, rel=1e-13)


@pins("C12")
def test_entropy_is_minus_shannon_s():
    assert jf.Entropy().value(jf.Quantiles([0.0, 4.0])) == pytest.approx(-math.log(4.0), rel=1e-14)
    gaussian = jf.Gaussian([1.0], [[0.49]])
    shannon = 0.5 * math.log(2 * math.pi * math.e * 0.49)
    assert jf.Entropy().value(gaussian) == pytest.approx(-shannon, rel=1e-13)


@pins("C13")
@pytest.mark.parametrize(("m", "c"), [(2.0, 1.0), (3.0, 0.4), (1.5, 2.0)])
def test_power_energy_and_its_flow(m, c):
    F = jf.PowerEnergy(m, c)
    # Density ¼ on an interval of length 4.
    uniform = jf.Quantiles(np.linspace(0.0, 4.0, 9))
    assert F.value(uniform) == pytest.approx(c / (m - 1) * 0.25**m * 4.0, rel=1e-13)
    # ∂ρ = cΔρ^m is ∂ρ = ∇·(ρ∇δF) with ρ∇δF = c∇ρ^m; so δF/δρ = c m/(m−1) ρ^{m−1} + constant.
    mu = jf.Quantiles([0.0, 1.0, 3.0])  # densities ½ and ¼
    left, right = F.first_variation(mu, np.array([[0.5], [2.0]]))
    expected = c * m / (m - 1) * (0.5 ** (m - 1) - 0.25 ** (m - 1))
    assert left - right == pytest.approx(expected, rel=1e-12)


@pins("C14")
def test_risk_has_no_half():
    R = jf.Risk(lambda theta: theta.T, targets=[2.0], weights=[3.0])
    assert R.value(jf.Particles([[0.5], [1.5]])) == pytest.approx(3.0 * (2.0 - 1.0) ** 2, rel=1e-15)


@pins("C15")
def test_an_internal_energy_of_particles_is_an_error_that_names_alternatives():
    for F in (jf.Entropy(), jf.PowerEnergy(2.0)):
        assert isinstance(F, Internal)
        with pytest.raises(jf.status.NotDefined, match="Quantiles"):
            F.value(points_2d())


# ---- two-layer networks


def network(seed=5, n=6, q=9, d=2):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(q, d)), rng.choice([-1.0, 1.0], q)
    theta = rng.normal(size=(n, d))
    return x, y, theta, data_risk(SimpleUnit(tanh), x, y)


@pins("C16")
def test_the_output_is_an_average_and_the_risk_is_its_square_loss():
    x, y, theta, R = network()
    output = np.tanh(x @ theta.T).mean(axis=1)
    mu = jf.Particles(theta)
    assert R.value(mu) == pytest.approx(np.mean((y - output) ** 2), rel=1e-13)
    unit = np.tanh(x @ theta.T)
    V, U = -(y @ unit) / len(y), unit.T @ unit / len(y)
    assert R.value(mu) == pytest.approx(np.mean(y**2) + 2 * V.mean() + U.mean(), rel=1e-12)


@pins("C17")
def test_psi_is_half_the_first_variation_of_the_risk():
    x, y, theta, R = network()
    at = np.array([[0.3, -0.2], [1.0, 0.5]])
    unit = np.tanh(x @ at.T)
    output = np.tanh(x @ theta.T).mean(axis=1)
    psi = -(y @ unit) / len(y) + output @ unit / len(y)
    variation = R.first_variation(jf.Particles(theta), at)
    assert np.diff(variation)[0] == pytest.approx(2 * np.diff(psi)[0], rel=1e-12)


@pins("C18")
def test_free_energy():
    lam, beta = 0.3, 5.0
    R = jf.Risk(lambda theta: theta.T, targets=[1.0])
    F, mu = jf.free_energy(R, lam, beta), jf.Gaussian([0.4], [[0.5]])
    expected = 0.5 * 0.36 + 0.5 * lam * (0.16 + 0.5) + jf.Entropy().value(mu) / beta
    assert F.value(mu) == pytest.approx(expected, rel=1e-12)
    at = np.array([[0.0], [1.0]])
    psi = 0.5 * R.first_variation(mu, at) + 0.5 * lam * at[:, 0] ** 2
    log_density = -0.5 * (at[:, 0] - 0.4) ** 2 / 0.5
    difference = np.diff(F.first_variation(mu, at))[0]
    assert difference == pytest.approx(np.diff(psi + log_density / beta)[0], rel=1e-12)


@pins("C19")
def test_the_fixed_point_is_gibbs_with_beta_psi_lambda():
    lam, beta = 0.6, 4.0
    R = jf.Risk(lambda theta: np.tanh(theta.T), targets=[0.8])
    star = jf.solve_gibbs(jf.free_energy(R, lam, beta), (-8.0, 8.0), n=2000)
    # By plain quadrature: log ρ* + βΨ_λ(·;ρ*) is constant in the bulk.
    x = np.linspace(-1.0, 1.5, 11)
    residual = 0.8 - star.measure.integrate(lambda t: np.tanh(t[:, 0]))
    psi = -residual * np.tanh(x) + 0.5 * lam * x**2
    width = 0.03  # the density at x is that of a window around it
    log_density = np.log(star.measure.cdf(x + width) - star.measure.cdf(x - width))
    constant = log_density + beta * psi
    # The window of ±0.03 leaves (0.03)²/6 · (log ρ)'' ≈ 1.5e-4 · 4; factor 2 in β would leave 1.
    assert np.ptp(constant) < 3e-3
    assert R.convex_in_mixtures


# ---- stochastic gradient descent


class OneRow:
    """A population of one row, so that a step of SGD has no randomness."""

    dim = 2
    x, y = np.array([0.7, -1.1]), 0.4

    def sample(self, n, rng, **_):
        return np.tile(self.x, (n, 1)), np.full(n, self.y)


@pins("C20")
@pytest.mark.parametrize("lam", [0.0, 0.8])
def test_one_step_of_sgd(lam):
    theta = np.random.default_rng(2).normal(size=(5, 2))
    s = 1e-2
    run = jf.sgd(SimpleUnit(tanh), OneRow(), theta, steps=1, epsilon=s, lam=lam, rng=0)
    activity = np.tanh(theta @ OneRow.x)
    error = OneRow.y - activity.mean()
    gradient = (1 - activity**2)[:, None] * OneRow.x
    expected = (1 - 2 * lam * s) * theta + 2 * s * error * gradient
    np.testing.assert_allclose(run.theta, expected, rtol=1e-13)


@pins("C21", "C22")
def test_the_clocks():
    theta = np.random.default_rng(2).normal(size=(5, 2))
    run = jf.sgd(
        SimpleUnit(tanh), OneRow(), theta, steps=40, epsilon=0.05, rng=0, record=[1.0, 2.0]
    )
    np.testing.assert_allclose(run.times, [1.0, 2.0], rtol=1e-12)
    np.testing.assert_allclose(run.jko_times, [2.0, 4.0], rtol=1e-9)
    varying = jf.sgd(
        SimpleUnit(tanh), OneRow(), theta, steps=40, epsilon=0.05, xi=lambda t: 1.0 + t, rng=0,
        record=[1.0, 2.0],
    )  # fmt: skip
    np.testing.assert_allclose(varying.jko_times, [2 * 1.5, 2 * 4.0], rtol=1e-9)


@pins("C22")
def test_sgd_follows_the_flow_of_half_the_risk_at_twice_the_time():
    theta = np.random.default_rng(2).normal(size=(5, 2))
    R = data_risk(SimpleUnit(tanh), OneRow.x[None], [OneRow.y])
    start = jf.Particles(theta)
    t = 0.5
    descent = jf.sgd(SimpleUnit(tanh), OneRow(), theta, steps=5000, epsilon=t / 5000, rng=0)
    flow = jf.flow(jf.Problem(0.5 * R, start, tau=2 * t / 400, steps=400))
    half_time = jf.flow(jf.Problem(0.5 * R, start, tau=t / 400, steps=400))
    moved = np.abs(flow.final.points - theta).max()
    # Both are first order in their steps, of 1e-4 and 2.5e-3: one percent of the way is ample.
    np.testing.assert_allclose(descent.theta, flow.final.points, atol=0.01 * moved)
    assert np.abs(descent.theta - half_time.final.points).max() > 0.1 * moved


@pins("C23")
def test_the_noise_has_variance_4_s_over_beta():
    N, s, beta = 20_000, 1e-3, 3.0
    zero = EmpiricalData([[0.0]], [0.0])  # no force: σ*(0; θ) = 0 and y = 0
    run = jf.sgd(
        SimpleUnit(tanh), zero, np.zeros((N, 1)), steps=10, epsilon=s, beta=beta, rng=4
    )
    expected = 10 * 4 * s / beta
    # The variance of N normal numbers has relative standard error √(2/N) = 1 %; five of them.
    assert np.var(run.theta) == pytest.approx(expected, rel=5 * math.sqrt(2 / N))


@pins("C23")
def test_the_other_noises_go_by_their_own_names():
    N, s, beta = 20_000, 1e-3, 3.0
    zero = EmpiricalData([[0.0]], [0.0])
    for noise, factor in {"literature": 2.0, "slides": 1.0}.items():
        run = jf.sgd(
            SimpleUnit(tanh), zero, np.zeros((N, 1)), steps=10, epsilon=s, beta=beta, rng=4,
            noise=noise,
        )  # fmt: skip
        expected = 10 * factor * s / beta
        assert np.var(run.theta) == pytest.approx(expected, rel=5 * math.sqrt(2 / N))


# ---- data


@pins("C24")
def test_gaussian_classes_take_standard_deviations():
    classes = GaussianClasses(3, 2.0, 0.5, active=2)
    x, y = classes.sample(40_000, np.random.default_rng(1))
    assert set(np.unique(y)) == {-1.0, 1.0}
    # Standard errors: ½/√n = 0.25 % for the share, σ²√(2/20000) = 1 % for the variances; 5 each.
    assert np.mean(y == 1) == pytest.approx(0.5, abs=0.0125)
    np.testing.assert_allclose(x[y == 1].var(axis=0), [4.0, 4.0, 1.0], rtol=0.05)
    np.testing.assert_allclose(x[y == -1].var(axis=0), [0.25, 0.25, 1.0], rtol=0.05)


@pins("C25")
def test_presets():
    std, var = GaussianClasses.std(40, 0.3), GaussianClasses.var(40, 0.3)
    assert (std.std_plus, std.std_minus) == pytest.approx((1.3, 0.7))
    assert (var.std_plus**2, var.std_minus**2) == pytest.approx((1.3, 0.7))
    assert "std" in repr(std) and "var" in repr(var)


@pins("C26")
def test_activations():
    t = np.array([-3.0, 0.0, 0.25, 0.5, 1.0, 1.5, 9.0])
    np.testing.assert_allclose(truncated_relu(t), [-2.5, -2.5, -2.5, -2.5, 2.5, 7.5, 7.5])
    np.testing.assert_allclose(non_monotone(t), [-2.5, -2.5, -3.25, -4.0, 1.75, 7.5, 7.5])


# ---- representations, numbers


@pins("C27")
def test_edges_are_the_points_with_half_the_mass_of_their_cells():
    mu = jf.Quantiles([0.0, 1.0, 4.0], [0.4, 0.6])
    assert isinstance(mu, Cells)
    np.testing.assert_array_equal(mu.points[:, 0], mu.edges)
    np.testing.assert_allclose(mu.weights, [0.2, 0.5, 0.3])
    # Decision 2: the variance is above that of the piecewise uniform density by Σ m L²/6.
    mean = 0.4 * 0.5 + 0.6 * 2.5
    uniform = 0.4 * (1 / 12 + (0.5 - mean) ** 2) + 0.6 * (9 / 12 + (2.5 - mean) ** 2)
    assert mu.cov()[0, 0] - uniform == pytest.approx((0.4 * 1 + 0.6 * 9) / 6, rel=1e-12)


@pins("C28")
def test_a_radial_density_is_over_the_volume_of_the_shell():
    mu = jf.Radial([1.0, 2.0], dim=3)
    volume = 4 / 3 * math.pi * (8 - 1)
    assert float(mu.log_density()[0]) == pytest.approx(-math.log(volume), rel=1e-13)
    assert mu.integrate(lambda r: r[:, 0]) == pytest.approx(1.5)


@pins("C29")
def test_shapes_and_precision():
    for mu in (points_2d(), jf.Quantiles([0, 1, 2]), jf.Gaussian([0, 0], [[1, 0], [0, 1]])):
        n = len(mu.points)
        assert mu.points.dtype == mu.weights.dtype == np.float64
        assert mu.points.ndim == 2 and mu.weights.shape == (n,)
        assert mu.weights.sum() == pytest.approx(1.0, abs=1e-12) and (mu.weights >= 0).all()


@pins("C30")
def test_randomness_is_the_rng_s_alone():
    def run(rng):
        theta = np.full((3, 1), 0.1)
        data = EmpiricalData([[1.0], [2.0]], [1.0, -1.0])
        return jf.sgd(SimpleUnit(tanh), data, theta, steps=5, epsilon=0.01, beta=2.0, rng=rng).theta

    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(run(7), run(np.random.default_rng(7)))
    assert not np.array_equal(run(7), run(8))
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_every_line_is_pinned(root):
    text = (root / "docs" / "conventions.md").read_text(encoding="utf-8")
    labels = re.findall(r"\*\*(C\d\d)\*\*", text)
    assert labels == [f"C{k:02d}" for k in range(1, len(labels) + 1)]
    assert set(labels) == PINNED
