"""Cells cut into parts: mass, sign, straight lines, and steps that go nowhere."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.measures.subcells import sloped
from jkoflow.transport.legendre import CTransform, spline_values


def gathered(fine, parts):
    """Masses of the whole cells."""
    for axis in range(fine.ndim):
        shape = [*fine.shape[:axis], fine.shape[axis] // parts, parts, *fine.shape[axis + 1 :]]
        fine = fine.reshape(shape).sum(axis=axis + 1)
    return fine


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("shape", [(9,), (5, 6), (4, 3, 5), (1, 7)])
def test_every_cell_keeps_its_mass_and_no_part_is_negative(shape, parts):
    rng = np.random.default_rng(3)
    mass = rng.exponential(size=shape) ** 4 * (rng.random(shape) < 0.7)
    fine = sloped(mass, parts)
    assert fine.shape == tuple(n * parts for n in shape) and fine.min() >= 0.0
    # rounding of sums of a few numbers of the cell's size
    np.testing.assert_allclose(gathered(fine, parts), mass, rtol=1e-14)


def test_a_linear_density_is_kept():
    x = (np.arange(40) + 0.5) / 2
    fine = sloped((1.0 + x)[::2] / 2 + (1.0 + x)[1::2] / 2, 2)
    # walls mirror, so that the outermost cells see half the slope
    np.testing.assert_allclose(2 * fine[2:-2], (1.0 + x)[2:-2], rtol=1e-14)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_step_that_goes_nowhere_makes_no_ripple_larger(parts):
    """For m = 2 and τ → 0 the new density is linear in the old: a factor for each wave.

    Old masses → spline's weights → the spline with those moments → its means over cells.
    """
    n, spacing = 64, np.ones(1)
    still = CTransform(np.zeros(n), spacing, 1.0, parts)
    fine = np.stack([still.transposed(row) for row in np.eye(n * parts)])  # (fine, nodes)
    waves = np.cos(np.pi * np.outer(np.arange(n), np.arange(n) + 0.5) / n)
    factors = []
    for wave in waves:
        base = 1.0 + 0.05 * wave  # small enough that no cell's slope is cut
        seen = fine.T @ sloped(base, parts)
        density = fine @ np.linalg.solve(fine.T @ fine / parts, seen)
        after = gathered(density, parts) / parts
        factors.append(float((after - 1.0) @ wave / (0.05 * wave @ wave)))
    factors = np.array(factors[1:])
    assert factors.max() <= 1.0 + 1e-12
    # 1 − O(h⁴): the wave of 64 cells' length loses less than (π/32)⁴ of itself
    assert 1.0 - factors[1] < (np.pi / 32) ** 4
    # and read at the centres, ripples from cell to cell grow by a third in every step
    wave = waves[-1]
    after = gathered(fine @ np.linalg.solve(fine.T @ fine / parts, spline_values(wave)), parts)
    grown = float(after @ wave / (parts * wave @ wave))
    assert grown == pytest.approx({1: 1.0, 2: 4 / 3, 3: 1.3}[parts], abs=0.01)
