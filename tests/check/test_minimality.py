"""The gap of a step along mixtures: against the minimum over all laws, by quadratic programs."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Finding, Verdict, check_functional, check_step
from jkoflow.check.minimality import MIXED
from jkoflow.flows.complete import witness
from jkoflow.functionals.divergence import MMD
from jkoflow.functionals.kernels import GaussianKernel
from jkoflow.record import Witness

GRID = np.linspace(-4.0, 4.0, 241)


def tanh_risk(rng: np.random.Generator) -> jf.Risk:
    b, c, y = rng.normal(size=(3, 1)), rng.normal(size=3), rng.normal(size=3)
    size = np.abs(b[:, 0])
    return jf.Risk(
        lambda t: np.tanh(b @ t.T + c[:, None]), y,
        gradient=lambda t: (1.0 - np.tanh(b @ t.T + c[:, None]) ** 2)[:, :, None] * b[:, None],
        slope_bounds=size, curvature_bound=0.77 * size**2,
    )  # fmt: skip


def least_over_all_laws(F: Any, old: jf.Particles, tau: float) -> float:
    """The minimum over couplings of ρ_k with laws on a grid, of a risk or a discrepancy."""
    x, one = GRID[:, None], np.ones(1)
    pi = cp.Variable((len(old.weights), len(x)), nonneg=True)
    p = cp.sum(pi, axis=0)
    cost = (old.points - GRID[None, :]) ** 2 / (2.0 * tau)
    value = cp.sum(cp.multiply(cost, pi))
    for c, f in F.terms:
        if isinstance(f, jf.Risk):
            e = f.targets - f.features(x) @ p
            value = value + c * cp.sum(cp.multiply(f.weights, cp.square(e)))
        elif isinstance(f, MMD):
            K, y, v = f.kernel(x, x), f.target.points, f.target.weights
            values, vectors = np.linalg.eigh(K)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            value = value + c * (cp.sum_squares(root.T @ p) - 2 * (f.kernel(x, y) @ v) @ p
                                 + float(v @ f.kernel(y, y) @ v))  # fmt: skip
        else:
            value = value + c * (np.array([f.value_at_points(g[None], one) for g in x]) @ p)
    problem = cp.Problem(cp.Minimize(value), [cp.sum(pi, axis=1) == old.weights])
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return float(problem.value)


def objective(F: Any, X: jf.Particles, x: jf.Particles, tau: float) -> float:
    from jkoflow.transport import wasserstein_squared

    return float(F.value(X)) + wasserstein_squared(X, x) / (2.0 * tau)


def minimality(F: Any, x: Any, X: Any, tau: float, witness: Witness | None = None) -> Finding:
    return check_step(F, x, X, tau, witness=witness)["minimality"]


def functionals(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "risk": 0.5 * tanh_risk(rng) + jf.QuadraticPotential(0.1),
        "discrepancy": MMD(rng.normal(size=(4, 1)), GaussianKernel(0.9)),
    }


@pytest.mark.parametrize("name", ["risk", "discrepancy"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gap_bounds_the_distance_to_the_minimum_over_all_laws(name: str, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    F = functionals(seed)[name]
    x = jf.Particles(rng.normal(size=4), rng.dirichlet(np.ones(4)))
    modulus = F.convexity_of_variation(x)
    assert modulus is not None
    tau = 0.25 / max(0.5, -modulus)
    step = jf.flow(jf.Problem(F, x, tau=tau, steps=1)).final
    least = least_over_all_laws(F, x, tau)
    honest = minimality(F, x, step, tau)
    assert honest.verdict is Verdict.ACCEPTED and honest.assumptions == (MIXED,)
    # the grid's minimum lies above that over all laws by at most its spacing² / (8·(1/τ + L))
    above = (GRID[1] - GRID[0]) ** 2 * (1.0 / tau + 8.0) / 8.0
    assert -1e-8 <= least - objective(F, step, x, tau) + honest.measured <= above + 1e-8
    for size in (1e-2, 0.1, 0.5):
        X = step.displaced(size * rng.normal(size=(4, 1)))
        found = minimality(F, x, X, tau)
        true = objective(F, X, x, tau) - least
        assert true <= found.measured + 1e-8
        assert found.measured < 4.0 * true + 4.0 * above  # κ is known up to a factor 2
        assert check_step(F, x, X, tau)["stationarity"].verdict is Verdict.REJECTED


def test_a_point_that_ought_to_split_is_certified_only_while_it_ought_not() -> None:
    """δ_0 between two targets: stationary for every τ, and the minimum only for small ones."""
    F, x = MMD([[-1.5], [1.5]], GaussianKernel(0.6)), jf.Particles([0.0])
    verdicts = []
    for tau in (0.05, 0.12, 0.3):
        report = check_step(F, x, x, tau)
        assert report["stationarity"].verdict is Verdict.ACCEPTED
        gain = objective(F, x, x, tau) - least_over_all_laws(F, x, tau)
        verdicts.append(report["minimality"].verdict)
        assert gain > 0.1 if tau == 0.3 else abs(gain) < 1e-8
    assert verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.UNDECIDED]


def test_mass_that_came_from_two_places_counts_its_spread() -> None:
    """Two old points merged into one new point: optimal is to keep them apart."""
    F, x, tau = functionals(3)["risk"], jf.Particles([-0.3, 0.4]), 0.02
    apart = jf.flow(jf.Problem(F, x, tau=tau, steps=1)).final
    merged = jf.Particles(apart.mean()[None])
    found = minimality(F, x, merged, tau)
    true = objective(F, merged, x, tau) - least_over_all_laws(F, x, tau)
    assert found.verdict is Verdict.UNDECIDED
    assert true <= found.measured < 2.0 * true
    assert found.measured > 0.9 * 0.35**2 / (2.0 * tau)  # spread/τ² in r², hence spread/(2τ)


@pytest.mark.parametrize("kind", ["particles", "quantiles", "radial"])
def test_steps_that_the_local_modulus_left_undecided_are_certified(kind: str) -> None:
    """Near the minimum of a risk its errors vanish, and with them the curvature of δF."""
    slope = 3.0
    risk = jf.Risk(
        lambda t: np.tanh(slope * t[:, :1]).T, [0.1], gradient=lambda t: (
            slope / np.cosh(slope * t) ** 2)[None], slope_bounds=slope,
        curvature_bound=0.77 * slope**2,
    )  # fmt: skip
    start = {
        "particles": jf.Particles(np.linspace(-0.4, 0.6, 7)),
        "quantiles": jf.Quantiles(np.linspace(-0.4, 0.6, 9)),
        "radial": jf.Radial(np.linspace(0.5, 0.7, 9), 3),
    }[kind]
    tau = 0.8 / -float(risk.convexity_of_variation(start) or 0.0)
    step = jf.flow(jf.Problem(risk, start, tau=tau, steps=1)).final
    found = minimality(risk, start, step, tau)
    assert found.verdict is Verdict.ACCEPTED and found.assumptions == (MIXED,)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jf.Risk, "convex_in_mixtures", None)
        assert minimality(risk, start, step, tau).verdict is Verdict.UNDECIDED
    off = step.displaced(np.full(step.points.shape, 1e-3))
    assert check_step(risk, start, off, tau)["stationarity"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("claim", [np.nan, -np.inf, None])
def test_no_finite_claim_no_certificate(claim: float | None) -> None:
    F, x = functionals(0)["discrepancy"], jf.Particles([0.3, 0.5])
    step = jf.flow(jf.Problem(F, x, tau=0.01, steps=1)).final
    assert minimality(F, x, step, 0.01).verdict is Verdict.ACCEPTED
    F.convexity_of_variation = lambda mu: claim
    assert minimality(F, x, step, 0.01).verdict is Verdict.UNDECIDED


def test_it_is_not_used_for_gaussians_nor_for_what_has_a_density() -> None:
    F = functionals(1)["discrepancy"]
    mu = jf.Gaussian(0.2, 0.3)
    step = jf.flow(jf.Problem(F, mu, tau=0.01, steps=1), throw=False).final
    assert MIXED not in minimality(F, mu, step, 0.01).assumptions
    both = F + jf.Entropy()
    assert both.convex_in_mixtures and both.convexity_of_variation(mu) is None


@pytest.mark.parametrize("claim", ["convexity_of_variation", "lower_bound_near"])
def test_false_claims_are_found_by_attack(claim: str) -> None:
    F, mu = MMD([[0.0, 0.0]], GaussianKernel(0.5)), jf.Particles(
        np.random.default_rng(0).normal(size=(30, 2)))  # fmt: skip
    name = {"convexity_of_variation": "convexity of the first variation"}.get(claim, "lower bound")
    assert check_functional(F, mu, rng=0)[name].verdict is Verdict.ACCEPTED
    false = {"convexity_of_variation": lambda mu: -0.5, "lower_bound_near": lambda mu, r: 1.0 + r}
    setattr(F, claim, false[claim])
    assert check_functional(F, mu, rng=0)[name].verdict is Verdict.REJECTED


@pytest.mark.parametrize(("tau", "verdict"), [(0.9, Verdict.ACCEPTED), (1.1, None), (3.0, None)])
def test_a_saddle_is_stationary_and_no_minimiser(tau: float, verdict: Verdict | None) -> None:
    """At 0 of x⁴/4 − x²/2 nothing moves; |y|²/(2τ) keeps it the minimiser for τ ≤ 1 only."""
    F = jf.Potential(
        lambda x: (x**4 / 4 - x**2 / 2).sum(axis=1), lambda x: x**3 - x, convexity=-1.0
    )
    for mu in (jf.Particles(np.zeros((3, 1))), jf.Particles([[0.0, 0.0]])):
        report = check_step(F, mu, mu, tau, witness=witness(mu, mu, None))
        assert report["stationarity"].verdict is Verdict.ACCEPTED
        assert report.verdict is (verdict or Verdict.UNDECIDED), report.text()


def test_where_another_ground_has_no_claim_a_smaller_step_is_still_advised() -> None:
    """F claims λ = −1 everywhere; δF jumps at the edges and claims nothing, which is no news."""
    well = jf.Potential(
        lambda x: ((x**2 - 1) ** 2 / 4).sum(axis=1), lambda x: x**3 - x, convexity=-1.0
    )
    F, mu = well + 0.1 * jf.Entropy(), jf.Quantiles.normal(0.3, 0.8, 30)
    found = minimality(F, mu, jf.flow(jf.Problem(F, mu, tau=1.25, steps=1)).final, 1.25)
    assert found.verdict is Verdict.UNDECIDED
    assert "1/τ + λ = -0.2" in found.reason and "smaller τ" in found.reason, found.reason
