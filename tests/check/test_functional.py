"""check_functional: right functionals pass on every measure, wrong ones fail for the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_functional
from jkoflow.check.evaluate import evaluate
from jkoflow.check.functional import directions
from jkoflow.functionals.base import Smooth

RNG = np.random.default_rng(11)
CLOUD = jf.Particles(RNG.normal(size=(17, 2)), RNG.dirichlet(np.ones(17)))
LINE = jf.Quantiles.normal(0.4, 0.7, 90)
SHELLS = jf.Radial.normal(0.8, 6, 80)
NORMAL = jf.Gaussian([0.3, -1.0], [[1.2, 0.3], [0.3, 0.5]])
MEASURES = {"cloud": CLOUD, "line": LINE, "shells": SHELLS, "normal": NORMAL}


def tanh_risk(dim: int) -> jf.Risk:
    B, y = np.random.default_rng(5).normal(size=(4, dim)), np.array([1.0, -0.5, 0.3, 0.0])
    return jf.Risk(lambda theta: np.tanh(B @ theta.T), y)


FUNCTIONALS: dict[str, Callable[[int], Any]] = {
    "quadratic": lambda d: jf.QuadraticPotential(1.3),
    "concave": lambda d: jf.QuadraticPotential(-0.7),
    "quartic": lambda d: jf.Potential(lambda x: (x**4).sum(axis=1), convexity=0.0),
    "interaction": lambda d: jf.QuadraticInteraction(0.6),
    "risk": tanh_risk,
    "entropy": lambda d: jf.Entropy(),
    "porous": lambda d: jf.PowerEnergy(2.0),
    "free energy": lambda d: jf.free_energy(tanh_risk(d), lam=0.2, beta=3.0),
    "zero": lambda d: 0.0 * jf.Entropy(),
}


@pytest.mark.parametrize("where", MEASURES)
@pytest.mark.parametrize("name", FUNCTIONALS)
def test_right_functionals_are_accepted_everywhere(name: str, where: str) -> None:
    mu = MEASURES[where]
    F = FUNCTIONALS[name](mu.points.shape[1])
    if where == "cloud" and F.internal.terms:
        pytest.skip("a cloud has no density")
    report = check_functional(F, mu, rng=3)
    assert report.verdict is Verdict.ACCEPTED, report.text()
    assert {"purity", "gradient"} <= set(report.claims)


class Quartic(Smooth):
    """∫Σx⁴ dρ, with faults to be planted."""

    def __init__(self, **claims: Any) -> None:
        self.factor, self.variation = claims.pop("factor", 1.0), claims.pop("variation", 1.0)
        self.bound = claims.pop("bound", None)
        self.__dict__.update(claims)
        self.calls = 0

    def value_at_points(self, x: Any, w: Any) -> float:
        return float(w @ (x**4).sum(axis=1))

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return self.variation * (at**4).sum(axis=1)

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        return self.factor * 4 * x**3

    def lower_bound(self) -> float | None:
        return self.bound

    def spec(self) -> dict[str, Any]:
        return {"name": "Quartic"}


class Restless(Quartic):
    def value_at_points(self, x: Any, w: Any) -> float:
        self.calls += 1
        return super().value_at_points(x, w) * (1.0 + 1e-15 * self.calls)


class Ordered(Quartic):
    def value_at_points(self, x: Any, w: Any) -> float:
        return super().value_at_points(x, w) + 1e-6 * float(x[0, 0])


class Greedy(Quartic):
    def value_at_points(self, x: Any, w: Any) -> float:
        x += 1.0
        return super().value_at_points(x, w)


class Minus(Quartic):
    """Concave along mixtures."""

    def value_at_points(self, x: Any, w: Any) -> float:
        return -float(w @ (x**2).sum(axis=1)) ** 2

    def first_variation_at_points(self, x: Any, w: Any, at: Any) -> Any:
        return -2 * float(w @ (x**2).sum(axis=1)) * (at**2).sum(axis=1)

    def gradient_at_points(self, x: Any, w: Any) -> Any:
        return -4 * float(w @ (x**2).sum(axis=1)) * x


FAULTS = [
    (Quartic(factor=-1.0), "gradient"),
    (Quartic(factor=0.5), "gradient"),
    (Quartic(factor=2.0), "gradient"),
    (Quartic(factor=1 + 1e-4), "gradient"),
    (Quartic(factor=np.nan), "evaluation"),
    (Quartic(variation=-1.0), "first variation"),
    (Quartic(variation=2.0), "first variation"),
    (Quartic(variation=1 + 1e-4), "first variation"),
    (Quartic(convexity=2.0), "convexity"),
    (Quartic(bound=0.5), "lower bound"),
    (Restless(), "purity"),
    (Ordered(), "purity"),
    (Greedy(), "evaluation"),
    (Minus(convex_in_mixtures=True), "convexity in mixtures"),
]


@pytest.mark.parametrize(("F", "claim"), FAULTS, ids=lambda v: v if isinstance(v, str) else None)
def test_a_wrong_functional_is_rejected_by_the_finding_meant_for_it(F: Any, claim: str) -> None:
    mu = jf.Particles(0.4 * RNG.normal(size=(12, 2)))
    report = check_functional(F, mu, rng=0)
    assert report[claim].verdict is Verdict.REJECTED, report.text()


class HalfEntropy(type(jf.Entropy())):  # type: ignore[misc]
    """An entropy whose pressure is wrong by a factor."""

    def energy_per_mass(self, log_density: Any) -> Any:
        return log_density, 0.5, 0.0


@pytest.mark.parametrize("mu", [LINE, SHELLS], ids=["line", "shells"])
def test_a_wrong_pressure_is_rejected_on_cells(mu: Any) -> None:
    report = check_functional(HalfEntropy(), mu, rng=0)
    assert report["gradient"].verdict is Verdict.REJECTED
    # δF/δρ = log ρ + ½ is log ρ + 1 up to a constant, hence right
    assert report["first variation"].verdict is Verdict.ACCEPTED


def test_the_measured_order_is_two_and_one() -> None:
    """For a functional with visible remainder the order itself is what is judged."""
    mu = jf.Particles([[1.0], [2.0]])
    found = check_functional(Quartic(factor=1.01), mu, rng=0)["gradient"]
    assert abs(found.measured - 1.0) < 0.05 and found.bound == pytest.approx(0.1)


@pytest.mark.parametrize("error", [ValueError("no"), ZeroDivisionError(), MemoryError()])
def test_whatever_a_functional_raises_becomes_a_finding(error: Exception) -> None:
    def V(x: Any) -> Any:
        raise error

    report = check_functional(jf.Potential(V), CLOUD, rng=0)
    assert report["evaluation"].verdict is Verdict.REJECTED
    assert type(error).__name__ in report["evaluation"].reason


def test_rounding_is_undecided_and_not_accepted() -> None:
    """A gradient that is wrong by a sign, hidden under a constant of 1e12."""
    F = jf.Potential(lambda x: 1e12 + 1e-6 * np.sin(x[:, 0]), gradient=lambda x: -1e-6 * np.cos(x))
    report = check_functional(F, jf.Particles([[0.3], [0.8]]), rng=0)
    assert report["gradient"].verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("where", MEASURES)
def test_directions_are_admissible_and_reproducible(where: str) -> None:
    here = evaluate(jf.QuadraticPotential(1.0), MEASURES[where])
    first = directions(here, np.random.default_rng(1))
    again = directions(here, np.random.default_rng(1))
    for v, same in zip(first, again, strict=True):
        assert np.array_equal(v, same) and v.any()
        for t in (-1.0, 1.0):
            here.measure.displaced(t * v)  # raises where edges would cross


def test_reports_do_not_change_with_the_seed_for_right_functionals() -> None:
    for seed in range(15):
        F = jf.free_energy(tanh_risk(1), lam=0.2, beta=3.0)
        assert check_functional(F, LINE, rng=seed).verdict is Verdict.ACCEPTED


def test_a_linear_functional_is_the_integral_of_a_function_of_one_point() -> None:
    """The judge evaluates linear terms at the points of many measures together."""

    class Quadratic(jf.QuadraticInteraction):
        linear = True

    mu = jf.Particles(np.random.default_rng(3).normal(size=(6, 2)))
    assert check_functional(Quadratic(1.0), mu)["linearity"].verdict is Verdict.REJECTED
    centred = jf.Potential(
        lambda x: ((x - x.mean(axis=0)) ** 2).sum(axis=1),
        gradient=lambda x: 2.0 * (x - x.mean(axis=0)),
    )
    assert check_functional(centred, mu)["linearity"].verdict is Verdict.REJECTED
    slope = 3.0 * jf.Potential(lambda x: x[:, 0])
    for F in (jf.QuadraticPotential(-2.0, center=[1.0, 3.0]), slope):
        assert check_functional(F, mu)["linearity"].verdict is Verdict.ACCEPTED
    assert "linearity" not in check_functional(jf.QuadraticInteraction(1.0), mu).claims
