"""The closed steps of quadratic functionals: their displacements, for all lengths of steps."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.steppers.quadratic import next_mean, next_std, split

EPS = float(np.finfo(float).eps)


@pytest.mark.parametrize("tau", 10.0 ** np.arange(-8, 9.0, 2.0))
def test_displacements_are_as_exact_as_positions(tau: float) -> None:
    """m⁺ − m and s⁺ − s are computed without the rounding of m⁺ and s⁺, be τ short or long: to a
    few units of rounding of the positions, and of short steps to as many digits as τ has."""
    parts = split(jf.QuadraticPotential(2.8, [2.0]) + 0.5 * jf.Entropy(), 1)
    for mean, std in ((1.999, 0.4297), (-3.0, 5.0), (2.0, 1e-3)):
        new, moved = next_mean(parts, np.array([mean]), tau)
        assert abs(moved - (new - mean)) <= 4.0 * EPS * (abs(mean) + abs(new) + 2.0)
        # m⁺ = (m + aτc)/(1 + aτ) in long double, which has three digits more
        a, c, m, t = (np.longdouble(v) for v in (2.8, 2.0, mean, tau))
        exact = a * t * (c - m) / (1 + a * t)
        assert abs(moved[0] - exact) <= 8.0 * EPS * min(1.0, 3.0 * tau) * (abs(mean) + 2.0)
        s, g = np.longdouble(std), np.longdouble(0.5)
        root = np.sqrt(s * s + 4 * (1 + a * t) * t * g)
        exact = 2 * (t * g - a * t * s * s) / ((1 + 2 * a * t) * s + root)
        found = next_std(parts, np.array([std]), tau)
        assert abs(found.change[0] - exact) <= 8.0 * EPS * (std + found.std[0])
        assert abs(found.change[0] - (found.std[0] - std)) <= 8.0 * EPS * (std + found.std[0])


@pytest.mark.parametrize("tau", [1e-6, 1.0, 600.0, 1e6])
def test_a_run_to_its_end_says_the_distances_it_goes(tau: float) -> None:
    """At the end of a flow steps are short and positions are not."""
    F = jf.QuadraticPotential(2.8, [-2.0, 1.4]) + 0.5 * jf.Entropy()
    start = jf.Gaussian([-1.999, 1.401], [[0.1785, 1e-5], [1e-5, 0.1786]])
    problem = jf.Problem(F, start, tau=tau, steps=4)
    report = jf.check_run(problem, jf.flow(problem))
    assert report["stored distance"].verdict is jf.Verdict.ACCEPTED, report.text()
