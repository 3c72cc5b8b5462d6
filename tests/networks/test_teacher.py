"""The teacher–student risk against Monte Carlo, exact cases, and the judge of functionals."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow import Particles
from jkoflow.check import Verdict, check_functional
from jkoflow.networks.teacher import TeacherRisk, arc_cosine
from jkoflow.status import InvalidFunctional, InvalidMeasure


@pytest.mark.parametrize("d", [2, 6])
def test_it_is_the_population_risk(d):
    rng = np.random.default_rng(d)
    W, A, theta = rng.normal(size=(3, d)), rng.normal(size=3), rng.normal(size=(5, d + 1))
    x = rng.standard_normal((400_000, d))
    y = np.maximum(x @ W.T, 0) @ A
    fit = np.maximum(x @ theta[:, 1:].T, 0) @ theta[:, 0] / 5
    squares = (y - fit) ** 2
    exact = TeacherRisk(W, A).value(Particles(theta))
    assert abs(squares.mean() - exact) < 4 * squares.std() / np.sqrt(len(x))


def test_the_kernel_where_it_is_known():
    u = np.array([[3.0, 0.0], [0.0, 0.0]])
    v = np.array([[2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    # parallel: |u||v|/2; orthogonal: |u||v|/2π; opposite: 0
    np.testing.assert_allclose(arc_cosine(u, v), [[3.0, 3 / (2 * np.pi), 0.0], [0, 0, 0]])


def test_the_judge_finds_its_derivatives_right():
    rng = np.random.default_rng(3)
    R = TeacherRisk.draw(4, 3, rng)
    weights = rng.dirichlet(np.ones(7))
    report = check_functional(R, Particles(rng.normal(size=(7, 4)), weights), rng=0)
    assert report.verdict is Verdict.ACCEPTED, report.text()


def test_a_copy_of_the_teacher_has_no_risk_and_is_stationary():
    R = TeacherRisk.draw(5, 4, rng=4)
    theta = np.column_stack([np.full(5, 5.0), R.directions])
    assert R.value(Particles(theta)) < 1e-12
    # the angle's arccos keeps half the digits near parallel directions
    assert np.abs(R.gradient(Particles(theta))).max() < 1e-6
    assert R.value(Particles(0.0 * theta)) == pytest.approx(R.second_moment)


def test_bad_input():
    for bad in ([1.0, 2.0], np.zeros((0, 3))):
        with pytest.raises(InvalidFunctional):
            TeacherRisk(bad)
    with pytest.raises(InvalidMeasure):
        TeacherRisk([[np.nan, 1.0]])
    with pytest.raises(InvalidFunctional, match="charges"):
        TeacherRisk([[1.0, 0.0]], [1.0, 2.0])
    with pytest.raises(InvalidFunctional):
        TeacherRisk([[1.0, 0.0]]).value(Particles([[1.0, 0.0]]))
