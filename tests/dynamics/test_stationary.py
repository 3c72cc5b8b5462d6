"""Quasi-Newton descent of particles: exact minimisers, and copies of a teacher."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow import Entropy, QuadraticInteraction, QuadraticPotential
from jkoflow.dynamics.stationary import stationary_point
from jkoflow.networks.deconvolution import deconvolution_risk, spike_coefficients
from jkoflow.networks.teacher import TeacherRisk
from jkoflow.status import InvalidMeasure, InvalidProblem, NotDefined


def test_a_quadratic_has_its_minimiser():
    F = QuadraticPotential(2.0, [1.0, -1.0]) + QuadraticInteraction(0.5)
    end = stationary_point(F, np.random.default_rng(0).normal(size=(5, 2)))
    np.testing.assert_allclose(end.measure.points, np.tile([1.0, -1.0], (5, 1)), atol=1e-6)
    assert end.value < 1e-12 and end.slope < 1e-6


def test_a_student_wide_enough_copies_its_teacher_and_a_narrow_one_cannot():
    R = TeacherRisk.draw(3, 6, rng=1)
    rng = np.random.default_rng(2)
    ends = {}
    for n in (2, 8):
        w = rng.normal(size=(n, 6))
        theta = np.column_stack([np.linalg.norm(w, axis=1), w])
        ends[n] = stationary_point(R, theta).value / R.second_moment
    assert ends[8] < 1e-9 and ends[2] > 1e-3  # arccos leaves about half the digits: 1e-16 is seen


def test_one_spike_is_found_exactly():
    R = deconvolution_risk(spike_coefficients([2.0], [1.5], 4))
    end = stationary_point(R, [[1.0, 1.7]])
    np.testing.assert_allclose(end.measure.points, [[1.5**0.5, 2.0]], atol=1e-6)


def test_bad_input():
    F = QuadraticPotential(1.0)
    for bad in ([1.0], np.zeros((0, 1)), [[np.nan]]):
        with pytest.raises(InvalidMeasure):
            stationary_point(F, bad)
    with pytest.raises(InvalidProblem):
        stationary_point(F, [[1.0]], max_iterations=0)
    with pytest.raises(NotDefined):
        stationary_point(F + Entropy(), [[1.0]])
