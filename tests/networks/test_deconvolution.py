"""Spikes on the circle: features by their definition, the grid's fit by its certificate."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow import Particles
from jkoflow.check import Verdict, check_functional
from jkoflow.networks.deconvolution import (
    SpikeFeatures,
    deconvolution_risk,
    fit_on_grid,
    spike_coefficients,
)
from jkoflow.status import InvalidFunctional, InvalidMeasure


@pytest.mark.parametrize("order", [1, 4, 7])
def test_the_kernel_is_dirichlets(order):
    a, b = np.random.default_rng(order).uniform(0, 6, size=(2, 5))
    p = SpikeFeatures(order)
    inner = np.sum(p.waves(a) * p.waves(b), axis=0)
    dirichlet = np.sin((order + 0.5) * (a - b)) / np.sin((a - b) / 2)
    np.testing.assert_allclose(2 * inner, dirichlet, atol=1e-12)


def test_the_risk_is_the_l2_distance_on_the_circle():
    order, rng = 5, np.random.default_rng(0)
    target = spike_coefficients([0.3, 2.0, 4.5], [1.0, 0.5, 2.0], order)
    theta = np.column_stack([rng.normal(size=6), rng.uniform(0, 6, 6)])
    t = 2 * np.pi * np.arange(64) / 64  # exact for trigonometric polynomials of degree 10
    waves = SpikeFeatures(order).waves(t)
    fit = (SpikeFeatures(order)(theta).mean(axis=1)) @ waves
    expected = 2 * np.mean((target @ waves - fit) ** 2)  # ∫ dθ/π
    assert deconvolution_risk(target).value(Particles(theta)) == pytest.approx(expected, rel=1e-12)


def test_the_judge_finds_its_derivatives_right():
    rng = np.random.default_rng(1)
    mu = Particles(np.column_stack([rng.normal(size=9), rng.uniform(0, 6, 9)]))
    report = check_functional(deconvolution_risk(rng.normal(size=9)), mu, rng=0)
    assert report.verdict is Verdict.ACCEPTED, report.text()


def test_curvature_and_products_agree_with_differences():
    rng = np.random.default_rng(2)
    phi, theta = SpikeFeatures(3), rng.normal(size=(4, 2))
    c, v, h = rng.normal(size=7), rng.normal(size=(4, 2)), 1e-5
    difference = (phi(theta + h * v) - phi(theta - h * v)) / (2 * h)
    np.testing.assert_allclose(phi.jvp(theta, v), difference, atol=1e-8)
    np.testing.assert_allclose(np.einsum("qnd,nd->qn", phi.jacobian(theta), v), phi.jvp(theta, v))
    np.testing.assert_allclose(np.einsum("q,qnd->nd", c, phi.jacobian(theta)), phi.vjp(theta, c))
    bent = (phi.vjp(theta + h * v, c) - phi.vjp(theta - h * v, c)) / (2 * h)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", phi.curvature(theta, c), v), bent, atol=1e-7)


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_no_positive_measure_is_below_the_certificate(noise):
    rng = np.random.default_rng(3)
    y = spike_coefficients([0.5, 2.0, 3.3], [1.0, 0.4, 2.0], 6) + noise * rng.normal(size=13)
    coarse, fine = fit_on_grid(y, 300), fit_on_grid(y, 3000)
    assert coarse.lower_bound <= fine.value <= coarse.value + 1e-9
    # the grid is finer than the spikes are seen: the gap closes like the square of its width
    assert fine.value - fine.lower_bound < 0.05 * (coarse.value - coarse.lower_bound) + 1e-9
    waves = SpikeFeatures(6).waves(rng.uniform(0, 7, 40))
    for _ in range(50):
        attempt = y - waves @ rng.exponential(0.1, size=40)
        assert attempt @ attempt >= fine.lower_bound
    if noise:
        assert fine.lower_bound > 0.01


def test_bad_input():
    for bad in (0, -2, 1.5, np.nan):
        with pytest.raises(InvalidFunctional):
            SpikeFeatures(bad)
    for bad in ([1.0], [1.0, 2.0]):
        with pytest.raises(InvalidFunctional):
            deconvolution_risk(bad)
    with pytest.raises(InvalidMeasure):
        spike_coefficients([0.0, np.nan], [1.0, 1.0], 3)
    with pytest.raises(InvalidMeasure):
        spike_coefficients([0.0, 1.0], [1.0], 3)
    with pytest.raises(InvalidFunctional, match="grid"):
        fit_on_grid(np.ones(9), 8)
