"""BuresProximal: closed forms, the proximal step within Gaussians, failures, state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import jkoflow as jf
from jkoflow.measures.gaussian import Gaussian
from jkoflow.status import InvalidProblem, NotDefined, Status
from jkoflow.steppers.bures.stepper import BuresProximal
from jkoflow.transport.bures import distance_squared, optimal_map


def one_step(F, mu, tau, stepper=None, state=None):
    return (stepper or BuresProximal()).step(F, mu, tau, state or {}, np.random.default_rng(0))


def some_gaussian(dim, seed=0):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dim, dim))
    return Gaussian(rng.normal(size=dim), factor @ factor.T / dim + 0.05 * np.eye(dim))


def quartic_well():
    return jf.Potential(
        lambda x: 0.25 * x[:, 0] ** 4 + 0.1 * (x**2).sum(axis=1) + 0.2 * np.sin(x[:, 0] + x[:, -1]),
        gradient=lambda x: _quartic_gradient(x),
    )


def _quartic_gradient(x):
    g = 0.2 * x
    g[:, 0] += x[:, 0] ** 3 + 0.2 * np.cos(x[:, 0] + x[:, -1])
    if x.shape[1] == 1:
        g[:, 0] += 0.2 * np.cos(2 * x[:, 0])
    else:
        g[:, -1] += 0.2 * np.cos(x[:, 0] + x[:, -1])
    return g


@pytest.mark.parametrize(
    ("a", "kappa", "g", "tau"),
    [(0.0, 0.0, 1.0, 0.1), (1.0, 0.0, 1.0, 0.1), (2.5, -1.0, 0.3, 0.7), (-0.5, 1.5, 0.2, 0.4),
     (0.7, 0.4, 0.0, 3.0)],
)  # fmt: skip
def test_the_closed_form_minimises_the_scalar_objective(a, kappa, g, tau):
    """In 1-D: min over s of (a+κ)s²/2 − g log s + (s−s₀)²/(2τ), and over m of its own quadratic."""
    m, s, center = 0.8, 0.6, -0.3
    F = jf.QuadraticPotential(a, [center]) + jf.QuadraticInteraction(kappa) + g * jf.Entropy()
    out = one_step(F, Gaussian(m, s * s), tau)
    exact = brentq(lambda t: (a + kappa) * t - g / t + (t - s) / tau, 1e-9, 50.0, xtol=1e-15)
    assert out.status is Status.EXACT
    assert out.measure.cov()[0, 0] ** 0.5 == pytest.approx(exact, abs=1e-12)
    # the interaction does not move the mean: only a appears
    assert out.measure.mean()[0] == pytest.approx((m + tau * a * center) / (1 + a * tau), abs=1e-14)
    expected = (exact - s) ** 2 + (out.measure.mean()[0] - m) ** 2
    assert out.distance_squared == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("dim", [2, 7, 40])
def test_eigenvalues_evolve_alone_and_the_map_leads_back(dim):
    mu, a, g, tau = some_gaussian(dim), 0.7, 0.4, 0.3
    out = one_step(g * jf.Entropy() + jf.QuadraticPotential(a), mu, tau)
    s, c = np.sqrt(mu.eigen[0]), 1 + a * tau
    new = (s + np.sqrt(s * s + 4 * c * tau * g)) / (2 * c)
    np.testing.assert_allclose(np.linalg.eigvalsh(out.measure.cov()), new**2, rtol=1e-12)
    T = out.witness.arrays["matrix"]
    np.testing.assert_allclose(T @ out.measure.cov() @ T, mu.cov(), atol=1e-13 * dim)
    assert out.distance_squared == pytest.approx(distance_squared(mu, out.measure), rel=1e-9)


def test_the_fixed_point_is_exact_for_every_step_size():
    beta, a, kappa = 3.0, 1.2, 0.5
    law = Gaussian(np.zeros(3), np.eye(3) / (beta * (a + kappa)))
    F = jf.Entropy() / beta + jf.QuadraticPotential(a) + jf.QuadraticInteraction(kappa)
    for tau in (1e-3, 1.0, 1e3):
        out = one_step(F, law, tau)
        np.testing.assert_allclose(out.measure.cov(), law.cov(), rtol=1e-13, atol=1e-16)


def test_heat_from_a_point_mass():
    out = one_step(0.5 * jf.Entropy(), Gaussian(1.0, 0.0), 0.3)
    assert out.measure.cov()[0, 0] == pytest.approx(0.15, rel=1e-14)  # s⁺² = τ/β


@pytest.mark.parametrize("dim", [1, 2, 3, 6, 20])
@pytest.mark.parametrize("tau", [0.1, 2.0])
def test_any_quadratic_form_agrees_with_the_matrix_formula(dim, tau):
    """F = ½∫(x−c)ᵀA(x−c) + gH, given as a Potential: ALGORITHMS' formula for any matrix A."""
    rng = np.random.default_rng(dim)
    A = rng.normal(size=(dim, dim))
    A, c, g, mu = A @ A.T / dim + 0.3 * np.eye(dim), rng.normal(size=dim), 0.37, some_gaussian(dim)
    V = jf.Potential(
        lambda x: 0.5 * np.einsum("ni,ij,nj->n", x - c, A, x - c), gradient=lambda x: (x - c) @ A
    )
    out = one_step(V + g * jf.Entropy(), mu, tau)
    B, G = np.eye(dim) + tau * A, g * tau
    w, U = np.linalg.eigh(B)
    half = (U / np.sqrt(w)) @ U.T
    k, W = np.linalg.eigh(half @ (mu.cov() + 2 * G * B) @ half)
    exact = half @ (W * (0.5 * (k + np.sqrt(k * k - 4 * G * G)))) @ W.T @ half
    assert out.status is Status.CONVERGED
    np.testing.assert_allclose(out.measure.cov(), exact, atol=1e-12)
    np.testing.assert_allclose(
        out.measure.mean(), np.linalg.solve(B, mu.mean() + tau * A @ c), atol=1e-13
    )


def test_the_general_method_agrees_with_the_closed_form():
    """Disguised as a Potential and an Interaction, the same functional takes the other route."""
    mu, tau = some_gaussian(2), 0.6
    plain = jf.QuadraticPotential(0.9) + jf.QuadraticInteraction(0.5) + 0.3 * jf.Entropy()
    disguised = (
        jf.Potential(lambda x: 0.45 * (x * x).sum(axis=1), gradient=lambda x: 0.9 * x)
        + jf.Interaction(lambda z: 0.25 * (z * z).sum(axis=1), gradient=lambda z: 0.5 * z)
        + 0.3 * jf.Entropy()
    )
    exact, found = one_step(plain, mu, tau), one_step(disguised, mu, tau)
    assert found.status is Status.CONVERGED and found.stats["iterations"] > 0
    # tolerance 1e-10 of the slope, which is about 1
    np.testing.assert_allclose(found.measure.mean(), exact.measure.mean(), atol=1e-10)
    np.testing.assert_allclose(found.measure.cov(), exact.measure.cov(), atol=1e-10)


FUNCTIONALS = {
    "free energy": quartic_well() + 0.5 * jf.Entropy(),
    "porous medium": quartic_well() + jf.PowerEnergy(2.0, 0.3),
    "fast diffusion": quartic_well() + jf.PowerEnergy(0.8),
    "mixed": quartic_well()
    + jf.PowerEnergy(3.0)
    + 0.2 * jf.Entropy()
    + jf.QuadraticInteraction(1.0),
    "smooth only": quartic_well(),
    "risk": jf.Risk(lambda th: np.tanh(np.outer([1.0, -0.5], th[:, 0])), [0.5, 0.2])
    + 0.1 * jf.Entropy(),
}


@pytest.mark.parametrize("name", FUNCTIONALS)
@pytest.mark.parametrize(("dim", "tau"), [(1, 0.1), (1, 5.0), (2, 0.5), (6, 1.0)])
def test_no_gaussian_nearby_is_better(name, dim, tau):
    """Slopes of F + W2²/(2τ) along random lines of Gaussians vanish at the step."""
    F, mu, rng = FUNCTIONALS[name], some_gaussian(dim), np.random.default_rng(1)
    out = one_step(F, mu, tau)
    assert out.status is Status.CONVERGED
    new = out.measure

    def objective(mean, root):
        nu = Gaussian(mean, root @ root)
        return F.value(nu) + distance_squared(nu, mu) / (2 * tau)

    start, h = objective(new.mean(), new.sqrt_cov), 1e-4
    for _ in range(6):
        v, B = rng.normal(size=dim), rng.normal(size=(dim, dim))
        v, B = h * v, h * np.linalg.eigvalsh(new.sqrt_cov)[0] * (B + B.T)
        up = objective(new.mean() + v, new.sqrt_cov + B)
        down = objective(new.mean() - v, new.sqrt_cov - B)
        # (up − down)/2 is h·slope + O(h³), on the scale of the value; a slope of 1e-3 would show
        assert abs(up - down) < 1e-9 * (2 + abs(start))
        assert up + down - 2 * start > -1e-12  # a minimum: the second difference is not negative


def test_a_double_well_against_brute_force():
    """In 1-D the step is a minimum over (m, s), found here by nested golden sections."""
    V, mu, tau = (lambda x: 5 * (x[:, 0] ** 2 - 1) ** 2), Gaussian(0.3, 0.5), 0.05
    out = one_step(jf.Potential(V) + 0.3 * jf.Entropy(), mu, tau)

    def objective(m, s):  # E(x²−1)² for N(m, s²), by its moments
        moment = m**4 + 6 * m * m * s * s + 3 * s**4 - 2 * (m * m + s * s) + 1
        move = (m - 0.3) ** 2 + (s - 0.5**0.5) ** 2
        return 5 * moment - 0.3 * np.log(s) + move / (2 * tau)

    best = minimize_scalar(
        lambda m: minimize_scalar(
            lambda s: objective(m, s), bounds=(1e-3, 2), method="bounded", options={"xatol": 1e-10}
        ).fun,
        bounds=(-1, 1), method="bounded", options={"xatol": 1e-10},
    )  # fmt: skip
    found = objective(out.measure.mean()[0], out.measure.cov()[0, 0] ** 0.5)
    assert found <= best.fun + 1e-12  # golden sections find the value to 1e-14
    assert out.measure.mean()[0] == pytest.approx(best.x, abs=1e-6)


def test_the_witness_is_the_map_to_the_old_gaussian():
    mu = some_gaussian(3)
    out = one_step(FUNCTIONALS["free energy"], mu, 0.5)
    assert out.witness.kind == "symmetric-map"
    T = out.witness.arrays["matrix"]
    np.testing.assert_allclose(T, optimal_map(out.measure, mu), atol=1e-13)
    np.testing.assert_allclose(T @ out.measure.cov() @ T, mu.cov(), atol=1e-12)


def test_forward_backward_agrees_with_the_proximal_step_to_first_order():
    F, mu = FUNCTIONALS["free energy"], some_gaussian(2)
    gaps = []
    for tau in (0.02, 0.01):
        explicit = one_step(F, mu, tau, BuresProximal("forward-backward"))
        implicit = one_step(F, mu, tau)
        gaps.append(distance_squared(explicit.measure, implicit.measure) ** 0.5)
    # one step of either is consistent with the flow: they differ by O(τ²)
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2.0, abs=0.2)


def test_forward_backward_by_hand():
    # V = x²: x ↦ (1 − 2τ)x, then the heat step
    V = jf.Potential(lambda x: (x**2).sum(axis=1), gradient=lambda x: 2 * x)
    out = one_step(V + jf.Entropy(), Gaussian(1.0, 4.0), 0.1, BuresProximal("forward-backward"))
    s = 0.8 * 2.0
    assert out.measure.mean()[0] == pytest.approx(0.8, rel=1e-13)
    expected = (s + np.sqrt(s * s + 0.4)) / 2
    assert out.measure.cov()[0, 0] ** 0.5 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "F",
    [
        jf.QuadraticPotential(-2.0) + jf.Entropy(),  # 1 + aτ = 0
        jf.QuadraticInteraction(-3.0) + jf.Entropy(),
        jf.QuadraticPotential(1.0) - jf.Entropy(),
        jf.Potential(lambda x: -(x[:, 0] ** 4)) + jf.Entropy(),
        jf.Potential(lambda x: -3 * x[:, 0] ** 2),
    ],
    ids=repr,
)
def test_no_minimiser_is_a_status(F):
    mu = Gaussian(0.3, 0.5)
    out = one_step(F, mu, 0.5)
    assert out.status is Status.UNBOUNDED
    assert np.isfinite(out.measure.points).all()


def test_a_repulsive_potential_is_fine_while_the_step_is_convex():
    out = one_step(jf.QuadraticPotential(-1.0) + jf.Entropy(), Gaussian(0.5, 1.0), 0.5)
    assert out.status is Status.EXACT and out.measure.mean()[0] == pytest.approx(1.0)


def test_bad_input_is_a_typed_error():
    with pytest.raises(NotDefined, match="Gaussian"):
        one_step(jf.Entropy(), jf.Quantiles([0.0, 1.0]), 0.1)
    with pytest.raises(NotDefined, match="coefficients"):
        one_step(quartic_well() - jf.PowerEnergy(2.0), Gaussian(0.0, 1.0), 0.1)
    for options in ({"method": "newton"}, {"tolerance": 0.0}, {"max_iterations": 0}):
        with pytest.raises(InvalidProblem):
            BuresProximal(**options)


def test_the_state_is_used_only_where_it_fits():
    F, mu = jf.Entropy() + jf.QuadraticPotential(1.0), some_gaussian(4)
    first = one_step(F, mu, 0.1)
    other = some_gaussian(4, seed=9)
    fresh, stale = one_step(F, other, 0.1), one_step(F, other, 0.1, state=first.state)
    np.testing.assert_allclose(stale.measure.cov(), fresh.measure.cov(), rtol=1e-12)


def test_a_run_goes_on_bit_for_bit_from_stored_arrays():
    from jkoflow.measures.base import measure_from_arrays

    F, stepper, mu, state = jf.Entropy() + jf.QuadraticPotential(1.0), None, some_gaussian(5), {}
    for k in range(6):
        if k == 3:
            stored = measure_from_arrays("gaussian", mu.to_arrays())
            resumed = one_step(F, stored, 0.1, stepper, state)
            resumed = one_step(F, resumed.measure, 0.1, stepper, resumed.state)
        out = one_step(F, mu, 0.1, stepper, state)
        mu, state = out.measure, out.state
        if k == 4:
            assert (mu.cov() == resumed.measure.cov()).all()
            assert (mu.mean() == resumed.measure.mean()).all()


@pytest.mark.parametrize(("size", "wave", "tau", "std", "mean"), [
    (0.853, 4.393, 1.586, 0.0197, [2.154]),
    (0.378, 3.253, 3.639, 0.0239, [-0.950]),
    (2.625, 2.881, 0.5266, 0.2665, [1.890, -2.187]),
])  # fmt: skip
def test_a_stationary_law_above_where_it_began_is_left_for_a_lower_one(size, wave, tau, std, mean):
    """Σ sin kx_i: the fixed-point iteration may come to another wave, where F + W2²/(2τ) is
    stationary and larger than F was; a step never ends there."""
    F = jf.Potential(lambda x: size * np.sin(wave * x).sum(axis=1),
                     gradient=lambda x: size * wave * np.cos(wave * x))  # fmt: skip
    mu = Gaussian(mean, std**2 * np.eye(len(mean)))
    out = BuresProximal().step(F, mu, tau, None, np.random.default_rng(0))
    assert out.status is Status.CONVERGED
    assert F.value(out.measure) + out.distance_squared / (2.0 * tau) < F.value(mu)
