"""Differences stand for derivatives in all units of length, and show their own errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.scale import at_scale_of

LENGTHS = [1e-9, 1e-6, 1e-3, 1e5, 1e8]
X = np.array([[0.3, -1.1], [1.7, 0.4], [-0.8, 0.9], [0.0, 0.2]])


def well(L: float) -> Any:
    return jf.Potential(lambda x: (((x / L) ** 2 - 1.0) ** 2).sum(axis=1))


def pairs(L: float) -> Any:
    return jf.Interaction(lambda z: np.sqrt(1.0 + ((z / L) ** 2).sum(axis=1)))


def risk(L: float) -> Any:
    return jf.Risk(lambda t: np.tanh(t.T / L), [0.4, -0.2])


def kernel(L: float) -> Any:
    return jf.MMD(L * X[:2], lambda x, y: np.exp(-((x[:, None] - y) ** 2).sum(axis=2) / L**2))


def own(L: float) -> Any:
    return jf.functional(lambda x, w: float(np.log(w @ np.cosh(x / L).sum(axis=1))))


def several(L: float) -> Any:
    return well(L) + 2.0 * risk(L) + jf.QuadraticPotential(1.0 / L**2)


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("F", [well, pairs, risk, kernel, own, several])
def test_gradients_are_the_same_in_all_units(F: Any, L: float) -> None:
    """To 1e-7: a law that reaches 2 is measured in a unit of 1 to 10 of those, and central
    differences over 6e-6 of it err by 4e-9 of third derivatives of 10 or so."""
    one, mu = jf.Particles(X), jf.Particles(L * X)
    known = F(1.0).gradient(one)
    found = L * at_scale_of(F(L), mu).gradient(mu)
    assert np.abs(found - known).max() <= 1e-7 * np.abs(known).max()


@pytest.mark.parametrize("L", LENGTHS)
@pytest.mark.parametrize("F", [well, risk, several])
def test_runs_are_the_same_in_all_units_and_judged(F: Any, L: float) -> None:
    """Without derivatives: steps differ by what differences do, and none is rejected."""
    run = [jf.flow(jf.Problem(F(u), jf.Particles(u * X), tau=0.02 * u**2, steps=2)) for u in (1, L)]
    assert np.abs(run[1].final.points / L - run[0].final.points).max() <= 1e-6
    report = jf.check_run(run[1].problem, run[1])
    assert report.verdict is not jf.Verdict.REJECTED, report.text()
    assert report["stationarity"].verdict is jf.Verdict.ACCEPTED, report.text()


def test_identity_does_not_know_the_scale() -> None:
    mu = jf.Particles(1e-6 * X)
    for F in (well(1e-6), risk(1e-6), own(1e-6), several(1e-6)):
        scaled = at_scale_of(F, mu)
        assert scaled is not F and scaled.spec() == F.spec()
        assert at_scale_of(scaled, mu).gradient(mu).tolist() == scaled.gradient(mu).tolist()


def test_ordinary_lengths_and_derivatives_that_are_given_leave_f_itself() -> None:
    exact = jf.Potential(
        lambda x: x[:, 0] ** 2, gradient=lambda x: 2.0 * x,
        hessian=lambda x: np.full((len(x), 1, 1), 2.0),
    )  # fmt: skip
    sums = exact + jf.Entropy() + jf.QuadraticInteraction(1.0)
    for F, size in ((well(1.0), 0.1), (well(1.0), 100.0), (exact, 1e-9), (sums, 1e9)):
        mu = jf.Quantiles(size * np.linspace(-1.0, 1.0, 5))
        assert at_scale_of(F, mu) is F and jf.Problem(F, mu, 0.1, steps=1).functional is F
    assert at_scale_of(well(1.0), jf.Particles(np.zeros((3, 2)))).difference_scale == 1.0


def test_the_scale_is_no_shorter_than_rounding_lets_differences_be() -> None:
    """A law that has contracted to 1e-15 about a minimum: over lengths of its own differences
    were noise, 1e9 where the gradient is 1e-15; cosh changes on the length 1."""
    cosh = jf.Potential(lambda x: np.cosh(x[:, 0]))
    mu = jf.Particles([[1e-15], [-3e-15]])
    assert np.abs(at_scale_of(cosh, mu).gradient(mu)).max() <= 1e-10
    bump = jf.Potential(lambda x: -np.exp(-0.5 * (x[:, 0] / 1e-8) ** 2))  # flat over 1e-6
    nu = jf.Particles([[1e-8], [-3e-8]])
    assert at_scale_of(bump, nu).gradient(nu)[0, 0] == pytest.approx(np.exp(-0.5) * 1e8, rel=1e-6)


def test_obstacles_do_not_hide_the_scale_of_other_terms() -> None:
    grid = jf.Grid(np.full(8, 0.125e6), -4e-6, 4e-6)
    wall = jf.Potential(lambda x: np.where(x[:, 0] > 3e-6, np.inf, 0.0))
    F = jf.Potential(lambda x: (x[:, 0] / 1e-6) ** 4) + wall
    assert 1e-6 < at_scale_of(F, grid).difference_scale < 1e-4


@pytest.mark.parametrize("constant", [0.0, 1e6, 6e10, 1e12])
def test_the_noise_of_differences_is_heard(constant: float) -> None:
    """Near a constant of 6e10 differences over 6e-6 are whole units of rounding, mostly none, and
    moving points by theirs does not change them; differences over longer ways do."""
    V = jf.Potential(lambda x: -0.2 * (x**2).sum(axis=1) + constant)
    report = jf.check_functional(V, jf.Particles(X), rng=0)
    assert report["gradient"].verdict is not jf.Verdict.REJECTED, report.text()
    wrong = jf.Potential(V.V, gradient=lambda x: 0.4 * x)
    if constant <= 1e6:
        assert jf.check_functional(wrong, jf.Particles(X), rng=0).verdict is jf.Verdict.REJECTED
