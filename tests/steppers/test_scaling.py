"""Entropic steps: closed forms with their bias, rates in ε, hard ranges, walls, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import erf, logsumexp

import jkoflow as jf
from jkoflow.status import InvalidProblem, MissingStructure, NotDefined, Status
from jkoflow.steppers import EntropicScaling
from jkoflow.steppers.scaling.prox import ProximalMap


def step(F, mu, tau, **options):
    out = EntropicScaling(**options).step(F, mu, tau, {}, None)
    assert out.status is Status.CONVERGED, out.status
    assert abs(out.measure.density.sum() * mu.cell_volume - 1.0) < 1e-12
    return out


def l1(a, b):
    return float(np.abs(a.density - b.density).sum() * a.cell_volume)


def normal(std, shape, centre=0.0, half=0.5):
    """A Gaussian's cell averages on [−half, half]^d."""
    total = np.ones(())
    for n in shape:
        edges = np.linspace(-half, half, n + 1)
        total = np.multiply.outer(total, np.diff(erf((edges - centre) / std / np.sqrt(2))))
    return jf.Grid(total / total.sum() * np.prod([n / (2 * half) for n in shape]), -half, half)


def next_variance(variance, c, a, tau, epsilon, debiased):
    """Root of (1 + aτ)v = cτ + √(s²v + ε²/4) + β, squared."""
    k, shift = 1.0 + a * tau, c * tau + (0.0 if debiased else 0.5 * epsilon)
    b = 2.0 * k * shift + variance
    return (b + np.sqrt(b * b - 4 * k * k * (shift**2 - epsilon**2 / 4))) / (2 * k * k)


def test_the_closed_form_by_minimising() -> None:
    """Over variances v and correlations C, (1 + aτ)v/2 − C − (ε/2) log(s²v − C²) − (c'/2) log v."""
    s2, c, a, tau, epsilon = 0.3, 0.7, 1.3, 0.2, 0.05
    for debiased in (False, True):
        entropy = c * tau - (0.5 * epsilon if debiased else 0.0)

        def value(v, entropy=entropy):
            C = -epsilon / 2 + np.sqrt(epsilon**2 / 4 + s2 * v)  # stationary in C
            return (1 + a * tau) * v / 2 - C - epsilon / 2 * np.log(epsilon * C) - (
                entropy / 2 * np.log(v))  # fmt: skip

        found = minimize_scalar(value, bounds=(0.05, 2.0), options={"xatol": 1e-10}).x
        assert next_variance(s2, c, a, tau, epsilon, debiased) == pytest.approx(found, rel=1e-6)


def test_the_published_number() -> None:
    """σ⁺² = τ + [(σ²+ε) + √((σ²+ε)²+4σ²τ)]/2 without a potential."""
    s2, tau, epsilon = 0.25, 0.1, 0.01
    other = tau + 0.5 * (s2 + epsilon + np.sqrt((s2 + epsilon) ** 2 + 4 * s2 * tau))
    assert next_variance(s2, 1.0, 0.0, tau, epsilon, False) == pytest.approx(other, rel=1e-14)
    assert other**0.5 == pytest.approx(0.6593139578, abs=1e-10)
    mu = normal(0.5, (160,), half=5.0)
    out = step(jf.Entropy(), mu, tau, epsilon=epsilon, debiased=False, tolerance=1e-10)
    # cell averages add h²/12 to a variance, that step by step goes through the formula
    mean = next_variance(mu.cov()[0, 0], 1.0, 0.0, tau, epsilon, False)
    assert out.measure.cov()[0, 0] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize(("std", "c", "a", "tau", "centre", "epsilon"), [
    (0.08, 0.05, 1.0, 0.01, 0.0, 2e-4), (0.1, 0.003, 2.0, 0.4, 0.1, 1e-3),
])  # fmt: skip
def test_gaussians(std, c, a, tau, centre, epsilon, debiased) -> None:
    F, shape = c * jf.Entropy() + jf.QuadraticPotential(a), (80, 100)
    out = step(F, normal(std, shape, centre), tau, epsilon=epsilon, debiased=debiased)
    new = next_variance(std**2, c, a, tau, epsilon, debiased) ** 0.5
    exact = normal(new, shape, centre / (1 + a * tau))
    # Gauss sums are exact; cell averages of both Gaussians differ by O(h²/σ²) of their distance
    assert l1(out.measure, exact) < 1.5e-3
    assert out.stats["variant"] == ("debiased" if debiased else "Lebesgue")
    assert out.stats["bias_diffusion"] == (0.0 if debiased else epsilon / (2 * tau))


def test_the_bias_falls_with_the_kernel_by_one_order_and_debiased_by_two() -> None:
    s, c, tau, n = 0.5, 1.0, 0.1, 240
    mu = normal(s, (n,), half=4.0)
    exact = next_variance(mu.cov()[0, 0], c, 0.0, tau, 0.0, True)
    for debiased, order in ((False, 1.0), (True, 2.0)):
        errors = [
            abs(step(c * jf.Entropy(), mu, tau, epsilon=e, debiased=debiased,
                     tolerance=1e-11).measure.cov()[0, 0] - exact)
            for e in (0.16, 0.08, 0.04)
        ]  # fmt: skip
        rates = np.log2(np.array(errors[:-1]) / errors[1:])
        assert np.abs(rates - order).max() < 0.15, (debiased, rates)


def paraboloid(radius, n, sub=6):
    x = (np.arange(n * sub) + 0.5) / (n * sub) - 0.5
    f = np.maximum(0, 1 - (x[:, None] ** 2 + x**2) / radius**2)
    f = f.reshape(n, sub, n, sub).mean(axis=(1, 3))
    return jf.Grid(f / f.mean(), 0, 1)


@pytest.mark.parametrize(("gamma", "tau", "radius"), [(0.05, 0.005, 0.1), (0.03, 0.01, 0.14)])
def test_porous_medium(gamma, tau, radius) -> None:
    roots = np.roots([1.0, -radius, 0.0, 0.0, -8.0 * gamma * tau / np.pi])
    new = max(r.real for r in roots if abs(r.imag) < 1e-12)
    errors = []
    for n in (32, 64, 128):
        out = step(jf.PowerEnergy(2.0, gamma), paraboloid(radius, n), tau)
        errors.append(l1(out.measure, paraboloid(new, n)))
    assert out.distance_squared == pytest.approx((new - radius) ** 2 / 3, rel=1e-3)
    assert errors[2] < 1e-3 and errors[0] / errors[2] > 5.0  # h is a quarter: order 1.2 at least


ENERGIES = {
    "entropy": 0.3 * jf.Entropy(),
    "porous medium": jf.PowerEnergy(2.0, 0.4),
    "m = 3.5": jf.PowerEnergy(3.5, 0.02),
    "fast diffusion": jf.PowerEnergy(0.6, 0.3),
    "entropy and power": jf.PowerEnergy(3.0) + 0.2 * jf.Entropy(),
    "three": jf.PowerEnergy(2.0) + 0.2 * jf.PowerEnergy(4.0) + jf.Entropy(),
    "fast and slow": jf.PowerEnergy(2.0) + 0.2 * jf.PowerEnergy(0.7),
}


@pytest.mark.parametrize("name", ENERGIES)
@pytest.mark.parametrize("sigma", [0.01, 7.0, 5000.0])
def test_proximal_maps_solve_their_equation(name, sigma) -> None:
    F = ENERGIES[name]
    log_s = np.concatenate([np.linspace(-900, 900, 301), [-5000.0, 0.0, 1e-8]])
    r = ProximalMap(F, sigma)(log_s)
    assert np.isfinite(r).all() and (np.diff(r[:301]) > 0).all()
    terms = [r] + [sigma * c * f.slope(r) for c, f in F.internal.terms]
    size = sum(np.abs(t) for t in terms) + np.abs(log_s)
    # the root to rounding, through a power's slope k in log ρ
    assert (np.abs(sum(terms) - log_s) < 1e-12 * (1.0 + size)).all()
    assert (ProximalMap(F + jf.Congestion(2.5), sigma)(log_s) == np.minimum(r, np.log(2.5))).all()


def test_nothing_at_s_is_nothing_at_rho() -> None:
    for name in ("entropy", "porous medium", "three"):
        assert ProximalMap(ENERGIES[name], 3.0)(np.array([-np.inf]))[0] == -np.inf


def by_dense_logarithms(c, V, mu, tau, epsilon, rounds):
    """Scaling with a full cost matrix, reflected at the walls, for cH + V; Lebesgue."""
    x, n = mu.points[:, 0], mu.weights.size
    ends = [x, 2 * mu.lower[0] - x, 2 * mu.upper[0] - x]
    log_k = logsumexp([-((x[:, None] - e) ** 2) / (2 * epsilon) for e in ends], axis=0)
    sigma, a = tau / epsilon, np.zeros(n)
    with np.errstate(divide="ignore"):
        log_mu = np.log(mu.weights)
    for _ in range(rounds):
        b = log_mu - logsumexp(log_k + a, axis=1)
        s = logsumexp(log_k + b, axis=1)
        rho = (s - sigma * V(mu.points)) / (1 + sigma * c)
        rho -= logsumexp(rho)
        a = rho - s
    return np.exp(rho)


def test_where_exponentials_underflow() -> None:
    """From two cells across the box: e^{−|x−y|²/2ε} is 0 in floats beyond 38 cells."""
    n, tau, epsilon, c = 60, 0.05, (1 / 60) ** 2, 0.5
    density = np.zeros(n)
    density[[2, 3]] = n / 2
    mu, V = jf.Grid(density, 0.0, 1.0), jf.QuadraticPotential(3.0, [1.0])
    out = step(c * jf.Entropy() + V, mu, tau, epsilon=epsilon, debiased=False, tolerance=1e-12)
    assert out.stats["exact_lines"] > 0
    dense = by_dense_logarithms(c, lambda x: V.first_variation(mu, x), mu, tau, epsilon, 3000)
    # the plain iteration's rate is 1 − 1/(1 + cτ/ε), 1 − 1/91
    assert np.abs(out.measure.mass / dense - 1.0).max() < 1e-8
    assert 1e-12 < out.measure.mass[-1] < 1e-3  # it has arrived there


@pytest.mark.parametrize("debiased", [True, False])
def test_a_uniform_density_stays(debiased) -> None:
    mu = jf.Grid(np.full((20, 35), 0.5), [0, 0], [2, 1])
    out = step(jf.PowerEnergy(2.0), mu, 0.01, debiased=debiased)
    assert np.abs(out.measure.density - 0.5).max() < 1e-8  # the kernel's sum, exp(−2π²)
    assert out.distance_squared < 1e-8


def test_without_forces_the_kernel_is_the_heat_flow() -> None:
    """Lebesgue: (ε/2τ)Δ for the time τ, between walls."""
    n, epsilon = 64, 1e-3
    x = (np.arange(n) + 0.5) / n
    wave, nothing = np.cos(2 * np.pi * x), jf.QuadraticPotential(0.0)
    out = step(nothing, jf.Grid(1 + 0.5 * wave, 0, 1), 0.3, epsilon=epsilon, debiased=False)
    exact = 1 + 0.5 * np.exp(-0.5 * epsilon * (2 * np.pi) ** 2) * wave
    assert np.abs(out.measure.density - exact).max() < 1e-6  # the tolerance, 1e-7 in L1


def obstacle(x):
    inside = ((x - [0.0, 0.05]) ** 2).sum(axis=1) < 0.15**2
    return np.where(inside, np.inf, 3 * (x[:, 0] - 0.4) ** 2)


@pytest.mark.parametrize("energy", [
    0.02 * jf.Entropy(), jf.PowerEnergy(2.0, 0.02),
    jf.Congestion(20.0) + jf.PowerEnergy(3.0, 1e-3) + 0.01 * jf.Entropy(),
])  # fmt: skip
@pytest.mark.parametrize("tau", [0.02, 0.5, 40.0])
def test_obstacles_hold_no_mass(energy, tau) -> None:
    mu = normal(0.07, (48, 56), -0.3)
    closed = ~np.isfinite(obstacle(mu.points)).reshape(mu.shape)
    mu = mu.with_density(np.where(closed, 0, mu.density) / (mu.density[~closed].sum()
                                                            * mu.cell_volume))  # fmt: skip
    F = energy + jf.Potential(obstacle)
    out = step(F, mu, tau)
    assert (out.measure.density[closed] == 0).all() and np.isfinite(F.value(out.measure))
    bound = max((f.bound for _, f in F.internal.terms if isinstance(f, jf.Congestion)), default=0)
    assert not bound or out.measure.density.max() <= bound * (1 + 1e-9)


def test_a_long_step_ends_in_the_gibbs_law() -> None:
    c, mu = 0.05, normal(0.08, (64, 64), 0.1)
    F = c * jf.Entropy() + jf.QuadraticPotential(1.0)
    gibbs = np.exp(-(mu.points**2).sum(axis=1) / (2 * c)).reshape(mu.shape)
    gibbs /= gibbs.sum() * mu.cell_volume
    # what is left of the start is of relative size 1/τ of it: |x−y|²/(2cτ) = 1e-4
    assert np.abs(step(F, mu, 1e5).measure.density - gibbs).sum() * mu.cell_volume < 2e-3


def test_interactions_and_risks_by_linearising() -> None:
    mu, tau, c, k = normal(0.07, (64, 64)), 0.1, 0.01, 1.5
    out = step(c * jf.Entropy() + jf.QuadraticInteraction(k), mu, tau)
    # about its mean, a quadratic interaction is a quadratic potential
    exact = next_variance(0.07**2, c, k, tau, out.stats["epsilon"], True) ** 0.5
    assert l1(out.measure, normal(exact, (64, 64))) < 1e-3
    risk = jf.Risk(lambda x: np.stack([np.tanh(5 * x[:, 0]), x[:, 0] ** 2]), [0.3, 0.1])
    F, mu = 0.05 * jf.Entropy() + risk, normal(0.08, (200,), -0.1, 0.8)
    out = step(F, mu, 0.1)
    # at the minimiser the risk is as good as its first variation (against a cone solver: see
    # test_convex)
    V = jf.Potential(lambda x: risk.first_variation(out.measure, x))
    frozen = step(0.05 * jf.Entropy() + V, mu, 0.1)
    assert out.stats["rounds"] > 1 and l1(out.measure, mu) > 0.1
    assert l1(out.measure, frozen.measure) < 1e-3  # rounds end by values, to some 1e-5 of them


def test_three_dimensions_and_unequal_spacings() -> None:
    mu = normal(0.12, (24, 26, 28))
    new = next_variance(0.12**2, 1.0, 0.0, 0.001, 0.0, True) ** 0.5
    assert l1(step(jf.Entropy(), mu, 0.001).measure, normal(new, (24, 26, 28))) < 5e-3
    mu = jf.Grid.from_function(lambda x: np.exp(-0.5 * (x**2 / [0.04, 1.0]).sum(axis=1)),
                               [-1.5, -6], [1.5, 6], (80, 60))  # fmt: skip
    cov = step(0.2 * jf.Entropy(), mu, 0.1, epsilon=0.02, tolerance=1e-9).measure.cov()
    for v, old in zip(np.diag(cov), np.diag(mu.cov()), strict=True):
        # a narrower kernel than the wider spacing's half would be refused; Gauss sums then leave
        # 2 exp(−2π²ε/h²) = 1e-4
        assert v == pytest.approx(next_variance(old, 0.2, 0.0, 0.1, 0.02, True), rel=1e-4)


def test_the_plain_iteration_finds_the_same() -> None:
    F, mu = 0.05 * jf.Entropy() + jf.QuadraticPotential(1.0), normal(0.1, (40, 40), 0.1)
    fast = step(F, mu, 0.05, tolerance=1e-10)
    slow = step(F, mu, 0.05, tolerance=1e-10, memory=1, max_iterations=5000)
    assert l1(fast.measure, slow.measure) < 1e-7  # tolerance over 1 − rate
    assert fast.stats["iterations"] <= slow.stats["iterations"]


def test_the_judge_reads_the_witness_and_runs_go_on() -> None:
    F, mu = jf.PowerEnergy(2.0, 0.05), paraboloid(0.1, 80)
    problem = jf.Problem(F, mu, 0.005, steps=2)
    run = jf.flow(problem, EntropicScaling())
    report = jf.check_run(problem, run)
    assert report.verdict is jf.Verdict.ACCEPTED, report.findings
    again = EntropicScaling().step(F, mu, 0.005, {}, None)
    warm = EntropicScaling().step(F, mu, 0.005, again.state, None)
    assert warm.stats["iterations"] < again.stats["iterations"]
    assert EntropicScaling(witnessed=False).step(F, mu, 0.005, {}, None).witness is None


def test_the_blurred_step_is_not_sold_as_exact() -> None:
    F, mu, tau = jf.PowerEnergy(2.0, 0.05), paraboloid(0.1, 96), 0.005
    out = step(F, mu, tau, debiased=False, epsilon=4e-3)
    report = jf.check_step(F, mu, out.measure, tau, witness=out.witness)
    assert report.verdict is not jf.Verdict.ACCEPTED


def test_kernels_that_do_not_fit_the_grid() -> None:
    mu, F = normal(0.1, (32, 32)), jf.Entropy()
    h = 1 / 32
    with pytest.raises(InvalidProblem, match="too small"):
        EntropicScaling(0.2 * h * h).step(F, mu, 0.01, {}, None)
    with pytest.raises(InvalidProblem, match="too large"):
        EntropicScaling(0.07).step(F, mu, 0.01, {}, None)
    locked = EntropicScaling(0.02 * h * h, allow_locking=True)
    assert locked.step(F, mu, 1e-4, {}, None).status.ok


def test_what_cannot_be_stepped() -> None:
    mu = normal(0.1, (16, 16))
    with pytest.raises(NotDefined, match="Grid"):
        EntropicScaling().step(jf.Entropy(), jf.Gaussian(0.0, 1.0), 0.1, {}, None)
    with pytest.raises(MissingStructure, match="proximal map"):
        EntropicScaling().step(jf.QuadraticPotential(1.0) - jf.Entropy(), mu, 0.1, {}, None)
    crowd = EntropicScaling().step(jf.Congestion(0.5), mu, 0.1, {}, None)
    walled = jf.Entropy() + jf.Potential(lambda x: np.full(len(x), np.inf))
    for out in (crowd, EntropicScaling().step(walled, mu, 0.1, {}, None)):
        assert out.status is Status.INFEASIBLE and out.measure is mu
    few = EntropicScaling(max_iterations=1).step(jf.PowerEnergy(2.0), mu, 0.1, {}, None)
    assert few.status is Status.MAX_ITERATIONS
    assert few.measure.mass.sum() == pytest.approx(1.0, abs=1e-12)
    for wrong in (
        {"epsilon": 0.0}, {"epsilon": -1.0}, {"epsilon": np.nan}, {"epsilon": "h"},
        {"tolerance": 0.0}, {"memory": -1}, {"max_iterations": 1.5}, {"debiased": "yes"},
    ):  # fmt: skip
        with pytest.raises(InvalidProblem):
            EntropicScaling(**wrong)
