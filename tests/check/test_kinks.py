"""Where F has kinks: what rests on one is not rejected, and what is wrong still is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.check import Verdict, check_functional, check_step

TAU = 0.3
SIZE = jf.Potential(
    lambda x: np.abs(x).sum(axis=1), gradient=np.sign, convexity=0.0, lower_bound=0.0
)
OLD = np.array([-2.0, -1.0, -0.2, 0.1, 0.25, 0.7, 1.9])
NEW = np.sign(OLD) * np.maximum(np.abs(OLD) - TAU, 0.0)  # soft thresholding, the exact step
LAWS = {"quantiles": jf.Quantiles, "particles": jf.Particles}


@pytest.mark.parametrize("kind", LAWS)
def test_a_minimiser_on_a_kink_is_undecided(kind: str) -> None:
    """sign(0) = 0 is not the subgradient that the step needs: its residual says nothing there."""
    law: Any = LAWS[kind]
    report = check_step(SIZE, law(OLD), law(NEW), TAU)
    assert report["stationarity"].verdict is Verdict.UNDECIDED, report.text()
    assert "kink" in report["stationarity"].reason
    assert report.verdict is Verdict.UNDECIDED
    near = NEW + 1e-9 * np.array([0, 0, -1, 0, 1, 0, 0])  # as a solver has it
    assert check_step(SIZE, law(OLD), law(near), TAU)["stationarity"].verdict is Verdict.UNDECIDED
    away = [0, 1, 5, 6]
    assert check_step(SIZE, law(OLD[away]), law(NEW[away]), TAU).verdict is Verdict.ACCEPTED


def test_what_rests_on_a_kink_at_the_origin_has_no_length_to_compare_with() -> None:
    """Nothing moves, no coordinate rounds, the bound is 0: and 0 is what is left below the kink."""
    right = jf.Potential(SIZE.V, gradient=lambda x: np.where(x >= 0, 1.0, -1.0), convexity=0.0)
    rests = jf.Particles([0.0])
    found = check_step(right, rests, rests, TAU)["stationarity"]
    assert (found.measured, found.bound) == (1.0, 0.0)
    assert found.verdict is Verdict.UNDECIDED and "kink" in found.reason
    slope = jf.Potential(lambda x: x[:, 0], gradient=np.ones_like, convexity=0.0)
    assert check_step(slope, rests, rests, TAU)["stationarity"].verdict is Verdict.REJECTED


WRONG = {
    "one not yet on the kink": NEW - 0.05 * (np.arange(7) == 2),
    "one beyond the kink": NEW + 0.05 * (np.arange(7) == 4),
    "another point off": NEW + 0.01 * (np.arange(7) == 6),
    "another point off by a thousandth": NEW - 1e-3 * (np.arange(7) == 1),
    "one that should have stopped short of it": NEW * [1, 1, 1, 1, 1, 0, 1],
    "staying": OLD,
}


@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("name", WRONG)
def test_points_on_a_kink_excuse_no_others(name: str, kind: str) -> None:
    law: Any = LAWS[kind]
    report = check_step(SIZE, law(OLD), law(np.sort(WRONG[name])), TAU)
    assert report["stationarity"].verdict is Verdict.REJECTED, report.text()


def test_points_that_meet_and_stick() -> None:
    """½∬|x − y|: two points meet in the middle; anywhere else is wrong."""
    F = jf.Interaction(lambda z: np.abs(z[:, 0]), gradient=np.sign, convexity=0.0)
    old = jf.Particles([0.0, 0.1])
    right = check_step(F, old, jf.Particles([0.05, 0.05]), 1.0)
    assert right["stationarity"].verdict is Verdict.UNDECIDED, right.text()
    wrong = check_step(F, old, jf.Particles([0.15, 0.15]), 1.0)
    assert wrong["stationarity"].verdict is Verdict.REJECTED, wrong.text()


@pytest.mark.parametrize("n", [50, 1000])
@pytest.mark.parametrize("tau", [0.01, 1.0])
def test_stiff_is_no_kink(n: int, tau: float) -> None:
    """Fine cells: the gradient of the entropy changes at once, but not within a millionth of it."""
    F, mu = jf.Entropy() / 2 + jf.QuadraticPotential(1.0), jf.Quantiles.normal(0.3, 0.7, n)
    right = jf.flow(jf.Problem(F, mu, tau=tau, steps=1)).final
    rng = np.random.default_rng(0)
    noise = 1e-3 * np.append(np.diff(right.edges), 0.0) * rng.normal(size=n + 1)
    one = 1e-2 * np.diff(right.edges).min() * (np.arange(n + 1) == n // 2)
    for off in (noise, one):
        report = check_step(F, mu, jf.Quantiles(right.edges + off, right.mass), tau)
        assert report["stationarity"].verdict is Verdict.REJECTED, report.text()


@pytest.mark.parametrize("at", [0.0, 0.7, -1.0])
def test_a_subgradient_at_a_kink_is_no_fault_and_what_is_none_is_rejected(at: float) -> None:
    """|x| at 0 has the subgradients [−1, 1]; −|x| has none there, but its slopes are on one side.

    At −1 the slope is right along directions that point downwards, and these are enough."""
    x = np.array([0.0, 0.0, 0.6, -1.2])[:, None]
    for sign in (1.0, -1.0):
        F = jf.Potential(
            lambda x, s=sign: s * np.abs(x[:, 0]),
            gradient=lambda x, s=sign: s * np.where(x == 0, at, np.sign(x)),
        )
        found = check_functional(F, jf.Particles(x), rng=0)["gradient"]
        assert found.verdict is Verdict.ACCEPTED if at == -1.0 else "kink" in found.reason, found
        wrong = jf.Potential(F.V, gradient=lambda x, s=sign: s * np.where(x == 0, 1.8, np.sign(x)))
        found = check_functional(wrong, jf.Particles(x), rng=0)["gradient"]
        assert found.verdict is Verdict.REJECTED, found


def test_a_wrong_gradient_of_a_smooth_function_is_no_kink() -> None:
    for factor in (0.5, 0.99, 1.001, 2.0, -1.0, 0.0):
        F = jf.Potential(lambda x: (x**4).sum(axis=1), gradient=lambda x, c=factor: 4 * c * x**3)
        for mu in (jf.Particles([[0.4, -1.0], [2.0, 0.1]]), jf.Quantiles.normal(0.3, 1.0, 15)):
            assert check_functional(F, mu, rng=1)["gradient"].verdict is Verdict.REJECTED
