"""check_fixed_point against closed forms: KL between normal laws, and the true distance to F*."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_fixed_point, proximal_gibbs


def kl_normal(m: float, s: float, target: float) -> float:
    """KL(N(m, s²)‖N(0, target²)) in one dimension."""
    return float(np.log(target / s) + (s * s + m * m) / (2 * target**2) - 0.5)


@pytest.mark.parametrize(("beta", "a"), [(2.0, 1.5), (0.7, 4.0), (30.0, 0.2)])
@pytest.mark.parametrize(("m", "scale"), [(0.0, 1.0), (0.3, 0.8), (0.0, 2.0)])
def test_gaussians_have_the_divergence_of_the_formula(
    beta: float, a: float, m: float, scale: float
) -> None:
    F = jf.Entropy() / beta + jf.QuadraticPotential(a)
    target = 1.0 / np.sqrt(beta * a)
    m, s = m * target, scale * target
    exact = kl_normal(m, s, target)
    report = check_fixed_point(F, jf.Gaussian(m, s * s))
    # everything is quadratic, so quadrature leaves rounding only
    assert abs(report["equation"].measured - exact) < 1e-11 * (1 + exact)
    assert abs(report["gap"].measured - exact / beta) < 1e-11 * (1 + exact) / beta
    assert report.verdict is (Verdict.ACCEPTED if exact < 1e-3 else Verdict.REJECTED)


@pytest.mark.parametrize(("dim", "variation", "distance"), [
    (1, "½∫|ρ − ρ̂| =", "W2(ρ, ρ̂), of quantile functions, ="),
    (2, "½∫|ρ − ρ̂| =", "W2(ρ, ρ̂), by"), (5, "½∫|ρ − ρ̂|, by Pinsker", "W2(ρ, ρ̂), in closed form"),
])  # fmt: skip
def test_each_number_says_what_it_is(dim: int, variation: str, distance: str) -> None:
    F, mu = jf.QuadraticPotential(1.0) + jf.Entropy(), jf.Gaussian(np.zeros(dim), np.eye(dim))
    report = check_fixed_point(F, mu)
    assert report["total variation"].where.startswith(variation)
    assert report["W2"].where.startswith(distance)


@pytest.mark.parametrize("together", [None, False, True])
def test_quadratures_of_each_term_err_by_themselves(
    together: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of KL = 1.1 + 1.8 + 3.05 the terms are 0.1, 0.2 and 0.05 off, their sum only 0.05: four times
    the former, unless all are read at the same points."""
    told = iter([(np.array([1.0, 2.0, 3.0]), np.array([6.0, 0.1, 0.2, 0.3])),
                 (np.array([1.1, 1.8, 3.05]), np.array([5.95, 0.1, 0.25, 0.3]))])  # fmt: skip
    monkeypatch.setattr(proximal_gibbs, "_numbers", lambda *level: next(told))
    monkeypatch.setattr(proximal_gibbs, "distance_by_divergence", lambda hat, tolerance: 1.0)
    line, question = SimpleNamespace(points=np.zeros((1, 1))), proximal_gibbs.Question(np.add)
    level: Any = (question, line, None)
    given = {} if together is None else {"together": together}
    found = proximal_gibbs._compared([level, level], 1e-3, (), **given)
    assert found.errors == pytest.approx([0.2 if together else 1.4, 0.0, 0.2, 0.0], rel=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_gaussians_in_the_plane_and_in_space(dim: int) -> None:
    beta, a = 3.0, 0.8
    F = jf.Entropy() / beta + jf.QuadraticPotential(a)
    var = 1.0 / (beta * a)
    assert check_fixed_point(F, jf.Gaussian(np.zeros(dim), var * np.eye(dim))).verdict is (
        Verdict.ACCEPTED
    )
    off = jf.Gaussian(np.r_[0.2, np.zeros(dim - 1)], 0.9 * var * np.eye(dim))
    exact = 0.5 * (0.04 / var + dim * (0.9 - 1 - np.log(0.9)))
    assert abs(check_fixed_point(F, off)["equation"].measured - exact) < 1e-6


@pytest.mark.parametrize("kind", ["quantiles", "radial"])
def test_cells_approach_the_fixed_point_at_second_order(kind: str) -> None:
    """KL between a smooth law and its piecewise uniform version falls like n^-2."""
    beta, a = 2.0, 1.5
    s = 1.0 / np.sqrt(beta * a)
    F = jf.Entropy() / beta + jf.QuadraticPotential(a)
    sizes = np.array([50, 100, 200, 400])
    make = jf.Quantiles.normal if kind == "quantiles" else (
        lambda m, s, n: jf.Radial.normal(s, 5, n))  # fmt: skip
    found = [check_fixed_point(F, make(0.0, s, n))["equation"].measured for n in sizes]
    order = -np.polyfit(np.log(sizes), np.log(found), 1)[0]
    assert 1.8 < order < 2.3
    assert found[-1] < 1e-4


def test_the_gap_bounds_the_true_distance_and_is_not_far_from_it() -> None:
    """S convex and quadratic in ρ: F(ρ) − F* lies between the lower and the upper bound."""
    rng = np.random.default_rng(6)
    B, y = rng.normal(size=(5, 1)), rng.normal(size=5)
    F = jf.free_energy(jf.Risk(lambda t: np.tanh(B @ t.T), y), lam=0.4, beta=4.0)
    run = jf.flow(jf.Problem(F, jf.Quantiles.normal(0.0, 0.8, 300), tau=2.0, steps=25))
    best = run.energies[-1]
    last = check_fixed_point(F, run.final)
    assert last.verdict is Verdict.ACCEPTED, last.text()
    for k in (0, 1, 2):
        report = check_fixed_point(F, run.measures[k])
        true = run.energies[k] - best
        assert report["gap"].measured >= true - 1e-6
        assert report["gap"].measured <= 6.0 * true + last["gap"].measured


def test_where_the_smooth_part_is_not_convex_minimality_is_undecided() -> None:
    """Desai–Zwanzig below its transition: the symmetric solution holds, and is no minimum."""
    F = jf.Potential(lambda x: (x**4 / 4 - x**2 / 2).sum(axis=1)) + jf.QuadraticInteraction(1.0)
    F = F + jf.Entropy() / 12.0
    start = jf.Quantiles.normal(0.0, 0.8, 200)
    run = jf.flow(jf.Problem(F, start, tau=0.2, steps=60), throw=False)
    report = check_fixed_point(F, run.final)
    assert report["equation"].verdict is Verdict.ACCEPTED, report.text()
    assert report["gap"].verdict is Verdict.UNDECIDED
    assert report.verdict is Verdict.UNDECIDED


def test_walls_are_the_ends_of_the_domain() -> None:
    """Without potential the fixed point on [0, 2] is uniform; on the line there is none."""
    F, mu = jf.Entropy() / 3.0, jf.Quantiles(np.linspace(0.0, 2.0, 21))
    assert check_fixed_point(F, mu, domain=(0.0, 2.0)).verdict is Verdict.ACCEPTED
    assert check_fixed_point(F, mu)["equation"].verdict is Verdict.UNDECIDED
    tilted = jf.Quantiles(2.0 * np.linspace(0.0, 1.0, 21) ** 1.3)
    assert check_fixed_point(F, tilted, domain=(0.0, 2.0)).verdict is Verdict.REJECTED


@pytest.mark.parametrize(
    "F", [jf.QuadraticPotential(1.0), jf.PowerEnergy(2.0), -1.0 * jf.Entropy()], ids=repr
)
def test_what_is_no_gibbs_problem_is_undecided(F: jf.functionals.Functional) -> None:
    report = check_fixed_point(F, jf.Quantiles.normal(0.0, 1.0, 20))
    assert report.verdict is Verdict.UNDECIDED


def test_a_functional_that_raises_is_a_finding() -> None:
    def V(x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        raise RuntimeError("no potential today")

    report = check_fixed_point(jf.Entropy() + jf.Potential(V), jf.Quantiles.normal(0, 1, 20))
    assert report["evaluation"].verdict is Verdict.REJECTED
