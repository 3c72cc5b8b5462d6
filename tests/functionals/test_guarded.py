"""A functional of one's own class keeps its claims behind the guard."""

from __future__ import annotations

import numpy as np

import jkoflow as jf
from jkoflow.functionals import Smooth
from jkoflow.functionals.guarded import Guarded, guarded


class Spread(Smooth):
    """½∫x² dρ, with every claim that holds."""

    convexity = 1.0
    concavity = 1.0
    convex_in_mixtures = True
    linear = True

    def spec(self):
        return {"name": "Spread"}

    def lower_bound(self):
        return 0.0

    def value_at_points(self, x, w):
        return 0.5 * float(w @ x[:, 0] ** 2)

    def first_variation_at_points(self, x, w, at):
        return 0.5 * at[:, 0] ** 2

    def gradient_at_points(self, x, w):
        return np.array(x)


def test_claims_pass_through():
    inside = guarded(Spread())
    assert isinstance(inside, Guarded)
    assert (inside.convexity, inside.concavity, inside.linear) == (1.0, 1.0, True)
    assert inside.convex_in_mixtures is True
    assert inside.lower_bound() == 0.0
    assert inside.convexity_near(jf.Particles([0.0]), 1.0) == 1.0


def test_a_gibbs_law_of_ones_own_convex_functional_has_a_gap():
    star = jf.solve_gibbs(Spread() + jf.Entropy() / 4.0, jf.Quantiles.normal(0.0, 1.0, 50))
    assert star.gap < 1e-10
    assert abs(star.measure.cov()[0, 0] - 0.25) < 1e-4
