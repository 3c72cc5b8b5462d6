"""Boxes that hold a density, integrals over them, and measures as quadrature rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.measures.quadrature import NODES, Space, domain_of
from jkoflow.measures.rules import rules_of
from jkoflow.status import InvalidFunctional, InvalidProblem, MissingStructure, NotDefined


def free(dim, half=1.0):
    ones = np.ones(dim)
    return Space(np.outer([-half, half], ones), np.outer([-np.inf, np.inf], ones), NODES[dim])


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("centre", [0.0, 5.0])
def test_normal_integrals(dim, centre):
    log_f = lambda x: -0.5 * (((x - centre) / 0.7) ** 2).sum(axis=1) + 3.0  # noqa: E731
    space = free(dim)
    box = space.support(log_f)
    assert (box[0] < centre - 5).all() and (box[1] > centre + 5).all()
    for level, tolerance in ((0, 1e-8), (1, 1e-9)):  # 1e-24 times what a box may be too wide
        rule = space.integrated(log_f, box, level)
        exact = 0.5 * dim * math.log(2 * math.pi * 0.49) + 3.0
        assert rule.log_total == pytest.approx(exact, abs=tolerance)
        assert rule.masses.sum() == pytest.approx(1.0, abs=1e-13)
        np.testing.assert_allclose(rule.masses @ rule.points, centre, atol=1e-7)
        assert rule.masses @ rule.distances(rule.points) == pytest.approx(0.49 * dim, rel=1e-6)
        entropy = -(rule.masses @ rule.log_density)
        assert entropy == pytest.approx(0.5 * dim * math.log(2 * math.pi * math.e * 0.49), rel=1e-6)


@pytest.mark.parametrize("far", [20.0, 28.0, 32.0, 37.0])
@pytest.mark.parametrize("half", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_a_box_that_was_found_is_found_again_from_itself(half, far):
    """Else a second look, for another density, would go farther than the first."""
    log_f = lambda x: np.logaddexp(-0.5 * x[:, 0] ** 2, -0.5 * (x[:, 0] - far) ** 2)  # noqa: E731
    space = free(1, half)
    box = space.support(log_f)
    again = space._replace(box=box).support(log_f)
    step = 3.0 * (box[1] - box[0]) / 1024  # between probes; a box goes on by one on both sides
    np.testing.assert_allclose(again, box, atol=2.0 * step.item())


def test_pieces_fill_the_axis_with_the_masses():
    space = free(1)
    rule = space.integrated(lambda x: -np.abs(x[:, 0]), np.array([[-30.0], [30.0]]), 0)
    assert (rule.pieces[:, 0] <= rule.points[:, 0]).all()
    assert (rule.points[:, 0] <= rule.pieces[:, 1]).all()
    np.testing.assert_allclose(rule.pieces[1:, 0], rule.pieces[:-1, 1], rtol=1e-12)
    # the mass of a piece is that of the density over it, to the order of the rule
    exact = 0.5 * np.abs(np.diff(np.sign(rule.pieces) * (1 - np.exp(-np.abs(rule.pieces)))))[:, 0]
    np.testing.assert_allclose(rule.masses, exact, atol=2e-3)


def test_walls_end_the_box():
    walls = np.array([[0.0], [1.0]])
    space = Space(walls, walls, NODES[1])
    box = space.support(lambda x: np.zeros(len(x)))
    np.testing.assert_allclose(box, walls)
    assert space.integrated(lambda x: x[:, 0], box, 0).log_total == pytest.approx(
        math.log(math.e - 1), abs=1e-13)  # fmt: skip


def test_radial_volume():
    """∫ exp(−r²/2) dx = (2π)^{d/2} by radii, with the surface of the sphere."""
    mu = jf.Radial.normal(1.0, 6, 50)
    space = rules_of(mu, None, False, None)[0]
    log_f = lambda r: -0.5 * r[:, 0] ** 2  # noqa: E731
    rule = space.integrated(log_f, space.support(log_f), 0)
    assert rule.log_total == pytest.approx(3 * math.log(2 * math.pi), abs=1e-10)


@pytest.mark.parametrize("mu", [
    jf.Quantiles.normal(0.3, 1.2, 30), jf.Radial.normal(0.5, 7, 25), jf.Gaussian(1.0, 4.0),
    jf.Gaussian([1.0, 0.0], [[2.0, 1.0], [1.0, 2.0]]),
    jf.Grid([[0.0, 1.0, 0.5], [2.0, 1.5, 1.0]], [0.0, -1.0], [1.0, 0.0]),
    jf.Grid([0.5, 1.5, 1.0], 0.0, 1.0),
], ids=repr)  # fmt: skip
def test_measures_as_rules(mu):
    """Mass one, the entropy of the law, and both levels agree."""
    _, rules = rules_of(mu, None, False, None)
    for rule in rules:
        assert rule.masses.sum() == pytest.approx(1.0, abs=1e-12)
        at = mu.log_density(rule.points)
        np.testing.assert_allclose(rule.log_density, at, atol=1e-9)
        entropy = rule.masses @ rule.log_density
        assert entropy == pytest.approx(jf.Entropy().value(mu), rel=1e-9, abs=1e-9)
    if rules[0].points.shape[1] == 1:
        for rule in rules:
            lengths = np.diff(rule.pieces)[:, 0]
            assert (lengths > 0).all()
            inside = (rule.pieces[:, 0] <= rule.points[:, 0]) & (
                rule.points[:, 0] <= rule.pieces[:, 1])  # fmt: skip
            assert inside.all()


def test_a_radial_rule_has_the_moments_of_uniform_shells():
    """E r² on a shell [a, b] of R^d is d/(d+2) (b^{d+2} − a^{d+2})/(b^d − a^d)."""
    mu = jf.Radial([0.5, 1.0, 1.7], 4, [0.3, 0.7])
    a, b = mu.edges[:-1], mu.edges[1:]
    exact = mu.mass @ (4 / 6 * (b**6 - a**6) / (b**4 - a**4))
    rule = rules_of(mu, None, False, None)[1][1]
    second = rule.masses @ rule.points[:, 0] ** 2
    assert second == pytest.approx(exact, rel=2e-5)  # a root of the volume, by 5 nodes


def test_what_has_no_rule_is_told():
    with pytest.raises(NotDefined, match="no density"):
        rules_of(jf.Particles([[0.0]]), None, False, None)
    with pytest.raises(NotDefined, match="dimension 4"):
        rules_of(jf.Gaussian(np.zeros(4), np.eye(4)), None, False, None)
    with pytest.raises(NotDefined, match="without volume"):
        rules_of(jf.Quantiles([0.0, 1.0, 1.0]), None, False, None)
    with pytest.raises(MissingStructure, match="does not decay"):
        free(1).support(lambda x: np.zeros(len(x)))
    with pytest.raises(MissingStructure, match="does not decay"):  # not where rounding ends it
        free(1).support(lambda x: x[:, 0] ** 2)
    for bad in (np.nan, np.inf):
        with pytest.raises(InvalidFunctional, match="NaN or"):
            free(1).support(lambda x, bad=bad: np.full(len(x), bad))


@pytest.mark.parametrize("closed", [False, True])
def test_where_to_look_holds_the_measure_and_the_domain(closed):
    mu = jf.Quantiles([-1.0, 0.0, 0.5, 2.0])
    space = rules_of(mu, np.array([[-0.5], [3.0]]), closed, None)[0]
    np.testing.assert_array_equal(space.box[:, 0], [-0.5 if closed else -1.0, 3.0])
    np.testing.assert_array_equal(space.ends[:, 0], [-0.5, 3.0] if closed else [-np.inf, np.inf])
    alone = rules_of(mu, None, False, None)[0]
    np.testing.assert_array_equal(alone.box[:, 0], [-1.0, 2.0])
    assert rules_of(mu, None, False, 20)[0].nodes == (20, 30)


def test_domains():
    np.testing.assert_array_equal(domain_of((0, 2), jf.Quantiles([0.0, 1.0])), [[0.0], [2.0]])
    np.testing.assert_array_equal(domain_of(((0, 1), (2, 3)), None), [[0, 1], [2, 3]])
    grid = jf.Grid([1.0, 1.0], 0.0, 1.0)
    np.testing.assert_array_equal(domain_of(None, grid), [[0.0], [1.0]])
    assert domain_of(None, jf.Gaussian(0.0, 1.0)) is None
    for bad in ((2, 0), (0, 0), "ab", (0, math.nan), (0, 1, 2), ((0, 0), (1, 1))):
        with pytest.raises(InvalidProblem, match="domain"):
            domain_of(bad, jf.Quantiles([0.0, 1.0]))


@pytest.mark.parametrize("closed", [False, True])
def test_a_density_is_looked_for_from_the_box_of_another_and_walls_stay(closed: bool) -> None:
    """N(0, 1) and a spike that no probe of the whole domain shows, which N(40, 1) leads to."""
    domain = np.array([[-190.0], [200.0]])

    def rho(x):
        return np.logaddexp(-0.5 * x[:, 0] ** 2, -0.5 * ((x[:, 0] - 40.013) / 0.01) ** 2)

    def other(rule):
        return lambda x: -0.5 * (x[:, 0] - 40.0) ** 2

    alone, _ = rules_of(rho, domain, closed, None)
    assert alone.box[1, 0] < 20.0
    space, (_, fine) = rules_of(rho, domain, closed, None, other)
    np.testing.assert_array_equal(space.ends, alone.ends)
    assert fine.points.max() > 40.0 and 30.0 < space.box[0, 0] < 40.0 < space.box[1, 0] < 50.0
