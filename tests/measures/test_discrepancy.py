"""KL, total variation and W2 of laws by quadrature and of normal laws, against other formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import jkoflow as jf
from jkoflow.measures.discrepancy import (
    distance_by_divergence,
    normal_distance,
    normal_divergence,
    normal_variation,
    quantile_distance,
    variation_and_distance,
)
from jkoflow.measures.quadrature import Rule
from jkoflow.measures.rules import rules_of

ONE, TWO = jf.Gaussian(0.4, 0.5), jf.Gaussian(-0.3, 2.0)


def pdf(mu, x):
    return norm.pdf(x, mu.mean()[0], math.sqrt(mu.cov()[0, 0]))


def test_normal_divergence_is_the_integral():
    exact = quad(lambda x: pdf(ONE, x) * math.log(pdf(ONE, x) / pdf(TWO, x)), -9, 9)[0]
    assert normal_divergence(ONE, TWO) == pytest.approx(exact, rel=1e-9)
    assert normal_divergence(ONE, ONE) == pytest.approx(0.0, abs=1e-15)


def test_normal_distance_is_that_of_quantile_functions_and_of_translations():
    exact = math.hypot(0.7, math.sqrt(2.0) - math.sqrt(0.5))
    assert normal_distance(ONE, TWO) == pytest.approx(exact, rel=1e-12)
    cov = np.array([[2.0, 0.3], [0.3, 0.4]])
    moved = normal_distance(jf.Gaussian([3.0, 4.0], cov), jf.Gaussian([0.0, 0.0], cov))
    assert moved == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize("shift", [0.01, 0.5, 8.0])
def test_normal_variation_is_an_upper_bound_at_most_one(shift):
    one, two = jf.Gaussian(shift, 1.0), jf.Gaussian(0.0, 1.0)
    exact = 2 * norm.cdf(shift / 2) - 1
    assert exact <= normal_variation(one, two) <= min(1.0, 1.3 * exact)


@pytest.mark.parametrize("kind", ["gaussian", "cells", "grid"])
def test_variation_and_distance_on_the_line(kind):
    mu = {"gaussian": ONE, "cells": jf.Quantiles.normal(0.4, 0.5**0.5, 3000),
          "grid": jf.Grid.from_function(lambda x: pdf(ONE, x[:, 0]), -7.0, 7.0, 4000)}[kind]
    rho = rules_of(mu, None, False, None)[1][1]
    _, (_, hat) = rules_of(TWO, None, False, None)
    exponent = -TWO.log_density(rho.points) - hat.log_total
    variation, distance = variation_and_distance(rho, hat, exponent)
    exact = 0.5 * quad(lambda x: abs(pdf(ONE, x) - pdf(TWO, x)), -9, 9, limit=200)[0]
    assert variation == pytest.approx(exact, rel=2e-3)  # the integrand has kinks
    assert distance == pytest.approx(normal_distance(ONE, TWO), rel=2e-3)  # pieces are uniform


@pytest.mark.parametrize("dim", [2, 3])
def test_the_bound_of_w2_in_space_is_one(dim):
    one = jf.Gaussian(np.r_[0.3, np.zeros(dim - 1)], 0.8 * np.eye(dim))
    two = jf.Gaussian(np.zeros(dim), np.eye(dim))
    rho, hat = (rules_of(mu, None, False, None)[1][1] for mu in (one, two))
    exponent = -two.log_density(rho.points) - hat.log_total
    distance = variation_and_distance(rho, hat, exponent)[1]
    assert normal_distance(one, two) <= distance <= 4 * normal_distance(one, two) + 1


def test_quantile_distance_is_exact_for_uniform_laws():
    rules = [rules_of(jf.Quantiles(edges), None, False, None)[1][0]
             for edges in ([0.0, 1.0], [2.0, 2.5, 5.0])]  # fmt: skip
    # Q_1 = s; Q_2 = 2 + s on the lower half, 2.5 + 5 (s − ½) on the upper
    exact = math.sqrt(0.5 * 4 + quad(lambda s: (2.5 + 5 * (s - 0.5) - s) ** 2, 0.5, 1)[0])
    assert quantile_distance(*rules) == pytest.approx(exact, rel=1e-14)
    assert quantile_distance(rules[0], rules[0]) == 0.0


@pytest.mark.parametrize("least", [1e-290, 1e-310, 5e-324, 0.0])
def test_quantile_distance_where_there_is_hardly_any_mass(least):
    """A piece that holds 1e-310 has a quantile function whose slope is beyond all numbers."""
    pieces = np.array([[-7.0, 0.0], [0.0, 1.0]])
    one, two = (Rule(p.mean(axis=1)[:, None], np.array([least, 1.0]), np.zeros(2), p, 0.0)
                for p in (pieces, pieces + 0.25))  # fmt: skip
    assert quantile_distance(one, two) == pytest.approx(0.25, rel=1e-14)


def test_the_bound_by_the_divergence_holds_for_shifts():
    """W2 = shift and KL = shift²/2 between N(shift, 1) and N(0, 1)."""
    hat = rules_of(jf.Gaussian(0.0, 1.0), None, False, None)[1][1]
    for shift in (1e-3, 0.1, 1.0):
        assert shift <= distance_by_divergence(hat, 0.5 * shift**2)
    # it grows with K, and with the law's width
    wide = rules_of(jf.Gaussian(0.0, 9.0), None, False, None)[1][1]
    assert distance_by_divergence(wide, 0.1) == pytest.approx(3 * distance_by_divergence(hat, 0.1))
