"""Honest runs in odd corners, which nothing may reject, and questions that cannot be answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import (
    Verdict,
    check_fixed_point,
    check_functional,
    check_run,
    check_samples,
    check_step,
)
from jkoflow.measures.lengths import norms
from jkoflow.status import InvalidProblem


def bumpy(const: float) -> Any:
    """const + |x|²/2 + 0.1 Σ cos x_k, which is 0.9-convex."""
    return lambda x: const + 0.5 * (x * x).sum(axis=1) + 0.1 * np.cos(x).sum(axis=1)


@pytest.mark.parametrize("const", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("kind", ["particles", "quantiles"])
def test_differences_of_values_contradict_no_convexity(const: float, kind: str) -> None:
    """Gradients by differences are rounded like V/h = 1e5 ε V, and convexity is a claim about
    values: where a law has shrunk to 1e-11 of its start, slopes say no more."""
    rng = np.random.default_rng(0)
    law: Any = jf.Particles(rng.normal(size=(6, 2))) if kind == "particles" else (
        jf.Quantiles.normal(0.3, 1.0, 20))  # fmt: skip
    problem = jf.Problem(jf.Potential(bumpy(const), convexity=0.9), law, tau=1.0, steps=40)
    report = check_run(problem, jf.flow(problem))
    for claim in ("slope decay", "energy dissipation", "stationarity"):
        assert report[claim].verdict is not Verdict.REJECTED, report.text()


@pytest.mark.parametrize("seed", range(6))
def test_a_first_variation_by_differences_is_rounded(seed: int) -> None:
    """(F((1−ε)ρ + εδ) − F(ρ))/ε with ε = 1e-5 is rounded to 1e-6 where F is about 1e5."""
    rng, V = np.random.default_rng(seed), bumpy(1e5)

    @jf.functional(gradient=lambda x, w: x - 0.1 * np.sin(x))  # type: ignore[untyped-decorator]
    def F(x: Any, w: Any) -> float:
        return float(w @ V(x))

    mu = jf.Particles(rng.normal(size=(6, 2)))
    assert check_functional(F, mu, rng=seed)["first variation"].verdict is Verdict.ACCEPTED

    class Wrong(jf.Potential):
        def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
            return V(at) * (1.0 + 1e-8 * at[:, 0])  # V is 1e5

    wrong = Wrong(V, gradient=lambda x: x - 0.1 * np.sin(x))
    assert check_functional(wrong, mu, rng=seed)["first variation"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("mu", [jf.Quantiles([0.0, 1.0]), jf.Radial([0.0, 1.0], 3)])
def test_one_cell_has_no_other_masses(mu: Any) -> None:
    problem = jf.Problem(jf.Entropy() / 2 + jf.QuadraticPotential(1.3), mu, tau=0.1, steps=3)
    report = check_run(problem, jf.flow(problem))
    assert report.verdict is Verdict.ACCEPTED, report.text()


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_laws_far_from_the_origin_are_rounded_as_their_points_are(scale: float) -> None:
    """At 1e8 widths from the origin, midpoints are rounded by 1e-8 widths."""
    x = scale * (1e8 + np.random.default_rng(3).normal(size=(6, 2)))
    F = jf.QuadraticPotential(1.0, [1e8 * scale] * 2) + jf.QuadraticInteraction(0.5)
    for seed in range(5):
        report = check_functional(F, jf.Particles(x), rng=seed)
        found = report["convexity of the first variation"]
        assert found.verdict is Verdict.ACCEPTED, report.text()


def test_a_false_modulus_of_the_variation_is_still_found_far_from_the_origin() -> None:
    x = 1e3 + np.random.default_rng(3).normal(size=(6, 2))
    F = jf.Potential(lambda x: 0.5 * ((x - 1e3) ** 2).sum(axis=1), convexity=1.01)
    report = check_functional(F, jf.Particles(x), rng=0)
    assert report["convexity of the first variation"].verdict is Verdict.REJECTED


@pytest.mark.parametrize("constant", [0.0, 1e8])
def test_a_constant_of_the_variation_is_not_rounded_with_its_slopes(constant: float) -> None:
    """Laws at 10⁶ are attacked within 10³. δF feels the rounding of points by its slopes, a
    thousandfold here; of the constant 64ε are allowed for, 10⁻⁶ where λ + 10⁻⁸ lacks 10⁻³."""
    x = 1e6 + np.random.default_rng(3).normal(size=(6, 2))
    V = lambda x: constant + 0.5 * ((x - 1e6) ** 2).sum(axis=1)  # noqa: E731
    for modulus, verdict in ((1.0, Verdict.ACCEPTED), (1.0 + 1e-8, Verdict.REJECTED)):
        F = jf.Potential(V, gradient=lambda x: x - 1e6, convexity=modulus)
        found = check_functional(F, jf.Particles(x), rng=0)["convexity of the first variation"]
        assert found.verdict is verdict, found


class Silent(jf.QuadraticPotential):
    """Answers nothing about itself."""

    def spec(self) -> Any:
        raise RuntimeError("nobody")


class Secret(jf.QuadraticPotential):
    """Claims nothing that can be read."""

    @property  # type: ignore[override]
    def convexity(self) -> float:
        raise RuntimeError("nothing")

    @convexity.setter
    def convexity(self, value: float) -> None:
        pass


@pytest.mark.parametrize(("F", "claim"), [(Silent(1.0), "identity"), (Secret(1.0), "convexity")])
def test_what_a_functional_raises_about_itself_is_a_finding(F: Any, claim: str) -> None:
    mu = jf.Quantiles.normal(0.3, 0.5, 8)
    run = jf.flow(jf.Problem(jf.QuadraticPotential(1.0), mu, tau=0.1, steps=2))
    report = check_run(jf.Problem(F, mu, tau=0.1, steps=2), run)
    assert report[claim].verdict is Verdict.REJECTED and "RuntimeError" in report[claim].reason


@pytest.mark.parametrize(("nodes", "axes"), [(10**12, 1), (10**6, 2), (10**4, 3)])
def test_nodes_that_memory_does_not_hold_are_refused(nodes: int, axes: int) -> None:
    F, box = jf.Entropy() + jf.QuadraticPotential(1.0), ([-1.0] * axes, [1.0] * axes)
    with pytest.raises(InvalidProblem, match="at most"):
        check_fixed_point(F, lambda x: -0.5 * (x * x).sum(axis=1), domain=box, nodes=nodes)
    with pytest.raises(InvalidProblem, match="at most"):
        check_fixed_point(F, jf.Gaussian(np.zeros(axes), np.eye(axes)), nodes=nodes)


def test_three_points_are_too_few_to_be_rejected() -> None:
    """They have 4 patterns of signs; a quarter of all true samples used to be rejected."""
    F = jf.Entropy() + jf.QuadraticPotential(1.0)
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=(3, 1))
        assert check_samples(F, x, rng=seed).verdict is Verdict.UNDECIDED
    far = 30.0 + np.random.default_rng(0).normal(size=(10, 1))
    assert check_samples(F, far, rng=0).verdict is Verdict.REJECTED


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_norms_have_the_range_of_numbers(size: float) -> None:
    v = size * np.array([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert norms(v, np.array([1.0, 0.0])) == pytest.approx([5.0 * size, 0.0], rel=1e-15, abs=0.0)
    assert np.isnan(norms(v[:1] * np.nan, np.array([0.5, 0.5]))).all()


def test_independent_solvers_are_accepted() -> None:
    """L-BFGS on the bare objective, which knows nothing of jkoflow, for one to five dimensions."""
    from scipy.optimize import minimize

    rng, tau = np.random.default_rng(5), 0.3
    for dim in range(1, 6):
        V = jf.Potential(bumpy(0.0), gradient=lambda x: x - 0.1 * np.sin(x), convexity=0.9)
        x0 = rng.normal(size=(3, dim))

        def objective(z: Any, x0: Any = x0) -> tuple[float, Any]:
            x = z.reshape(x0.shape)
            value = np.mean(bumpy(0.0)(x) + ((x - x0) ** 2).sum(axis=1) / (2 * tau))
            return float(value), ((x - 0.1 * np.sin(x) + (x - x0) / tau) / 3).ravel()

        found = minimize(objective, x0.ravel(), jac=True, method="L-BFGS-B",
                         options={"ftol": 1e-15, "gtol": 1e-12})  # fmt: skip
        before, after = jf.Particles(x0), jf.Particles(found.x.reshape(x0.shape))
        witness = None
        if dim > 1:  # on the line none is needed
            from jkoflow.flows.complete import witness as completed

            witness = completed(after, before, None)
        report = check_step(V, before, after, tau, witness=witness)
        assert report.verdict is Verdict.ACCEPTED, report.text()


def test_a_modulus_that_holds_at_any_distance_needs_no_lower_bound() -> None:
    """McCann: ∫ρ^m/(m−1) is convex for m ≥ 1 − 1/d, and for m < 1 unbounded from below."""
    for m, mu in ((0.9, jf.Quantiles.normal(0.0, 1.0, 30)), (0.6, jf.Radial.normal(1.0, 2, 20))):
        problem = jf.Problem(jf.PowerEnergy(m), mu, tau=0.02, steps=3)
        report = check_run(problem, jf.flow(problem))
        assert report.verdict is Verdict.ACCEPTED, report.text()
    below = jf.Problem(jf.PowerEnergy(0.6), jf.Radial.normal(1.0, 3, 20), tau=0.02, steps=1)
    report = check_run(below, jf.flow(below, throw=False))
    assert report.verdict is not Verdict.ACCEPTED
