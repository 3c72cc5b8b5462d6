"""Densities on a box: cells, moments, conservative displacement, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import jkoflow as jf
from jkoflow.measures import measure_from_arrays
from jkoflow.status import InvalidMeasure, NotDefined

BOXES = [((-7.0,), (7.5,), (110,)), ((-7.0, -7.5), (7.5, 8.0), (80, 95)),
         ((-7.0, -7.5, -7.2), (7.5, 8.0, 8.0), (40, 46, 43))]  # fmt: skip


def normal(lower, upper, shape, rule=2):
    mean = np.linspace(0.2, 0.5, len(shape))
    law = stats.multivariate_normal(mean, np.diag(np.linspace(0.8, 1.2, len(shape))))
    return jf.Grid.from_function(
        lambda x: np.exp(law.logpdf(x)).reshape(-1), lower, upper, shape, rule
    ), law


@pytest.mark.parametrize("box", BOXES)
def test_moments_of_a_gaussian(box) -> None:
    mu, law = normal(*box)
    assert mu.weights.sum() == pytest.approx(1.0, abs=1e-14)
    # the midpoint rule in the cells' masses is exact for means, and lacks h²/12 of each variance
    assert mu.mean() == pytest.approx(law.mean, abs=1e-5)
    expected = np.diag(law.cov) if mu.dim > 1 else np.ravel(law.cov)
    assert np.diag(mu.cov()) + 0.0 == pytest.approx(expected + mu.spacing**2 / 12, abs=3e-4)


@pytest.mark.parametrize("box", BOXES)
def test_arrays_give_the_measure_back(box) -> None:
    mu, _ = normal(*box)
    again = measure_from_arrays("grid", mu.to_arrays())
    assert isinstance(again, jf.Grid) and np.array_equal(again.density, mu.density)
    assert np.array_equal(again.points, mu.points)


def test_cells_stand_in_the_order_of_the_points() -> None:
    shape, lower, upper = (3, 4, 5), np.array([0.0, 1.0, -2.0]), np.array([1.0, 3.0, 1.0])
    mu = jf.Grid.from_function(lambda x: 1 + x[:, 0] ** 2 + x[:, 1], lower, upper, shape)
    axes = mu.axes()
    for index in ((0, 0, 0), (2, 1, 3), (1, 3, 4)):
        flat = np.ravel_multi_index(index, shape)
        assert mu.points[flat] == pytest.approx([axes[a][i] for a, i in enumerate(index)])
        assert mu.weights[flat] == pytest.approx(mu.density[index] * mu.cell_volume)
        assert mu.log_density(mu.points[flat][None])[0] == np.log(mu.density[index])
    assert mu.log_density(upper[None])[0] == np.log(mu.density[-1, -1, -1])
    assert mu.log_density(upper[None] + 1e-9)[0] == -np.inf


@pytest.mark.parametrize("box", BOXES)
def test_displacement_keeps_mass_and_moves_the_mean(box) -> None:
    mu, _ = normal(*box)
    v = np.full(mu.points.shape, 0.37)
    moved = mu.displaced(v)
    assert moved.weights.sum() == pytest.approx(1.0, abs=1e-13)
    assert moved.mean() == pytest.approx(mu.mean() + 0.37, abs=1e-5)  # walls are 6σ away
    share = (0.37 / mu.spacing) % 1.0
    blur = share * (1 - share) * mu.spacing**2  # variance of sharing between two cells
    assert np.diag(moved.cov()) == pytest.approx(np.diag(mu.cov()) + blur, abs=2e-4)


def test_walls_stop_what_would_leave() -> None:
    mu = jf.Grid(np.ones((4, 4)), 0.0, 1.0)
    gone = mu.displaced(np.full((16, 2), 10.0))
    assert gone.density[-1, -1] == pytest.approx(16.0) and gone.weights.sum() == pytest.approx(1)


def test_cell_averages_are_of_the_order_of_the_rule() -> None:
    f = lambda x: np.exp(x[:, 0])  # noqa: E731
    edges = np.linspace(0, 1, 6)
    exact = np.diff(np.exp(edges)) / 0.2 / (np.e - 1)
    errors = [np.abs(jf.Grid.from_function(f, 0, 1, 5, rule=r).density - exact).max()
              for r in (1, 2, 3)]  # fmt: skip
    assert errors[0] < 2e-3 and errors[1] < 1e-6 and errors[2] < 1e-10


@pytest.mark.parametrize("wrong", [
    lambda: jf.Grid([[1.0, -1.0]], 0, 1), lambda: jf.Grid([1.0, 1.1], 0, 1),
    lambda: jf.Grid([np.nan, 1.0], 0, 1), lambda: jf.Grid([1.0, 1.0], 1, 0),
    lambda: jf.Grid([1.0], [0, 0], [1, 1]), lambda: jf.Grid(1.0, 0, 1),
    lambda: jf.Grid(np.ones((1, 1, 1, 1)), 0, 1), lambda: jf.Grid([1j, 1.0], 0, 1),
    lambda: jf.Grid.from_function(lambda x: -x[:, 0], 0, 1, 4),
    lambda: jf.Grid.from_function(lambda x: 0 * x[:, 0], 0, 1, 4),
    lambda: jf.Grid.from_function(lambda x: x, 0, 1, 4),
    lambda: jf.Grid.from_function(3.0, 0, 1, 4), lambda: jf.Grid.from_function(abs, 0, 1, 0),
    lambda: jf.Grid.from_function(lambda x: 1 / 0, 0, 1, 4),
    lambda: jf.Grid.from_function(lambda x: x[:, 0], 0, 0, 4),
    lambda: jf.Grid.from_function(lambda x: x[:, 0], 0, 1, (2, 2.5)),
    lambda: jf.Grid([1.0, 1.0], 0, 1).displaced([[np.inf], [0.0]]),
    lambda: jf.Grid([1.0, 1.0], 0, 1).displaced([0.0, 0.0]),
    lambda: jf.Grid([1.0, 1.0], 0, 1).with_density([1.0, 1.0, 1.0]),
])  # fmt: skip
def test_senseless_grids(wrong) -> None:
    with pytest.raises(InvalidMeasure):
        wrong()


def test_internal_energies_of_a_gaussian() -> None:
    mu, law = normal(*BOXES[1], rule=3)
    exact = jf.Gaussian(law.mean, law.cov)
    for F in (jf.Entropy(), jf.PowerEnergy(2.0, 0.7), jf.PowerEnergy(1.4)):
        # averaging over cells costs h²/24 of the entropy's second derivatives
        assert F.value(mu) == pytest.approx(F.value(exact), abs=3e-3)
        held = mu.weights > 1e-6
        x, step = mu.points[held], np.array([1e-4, 0.0])
        right, left = (F.first_variation(exact, x + s * step) for s in (1, -1))
        assert F.gradient(mu)[held, 0] == pytest.approx((right - left) / 2e-4, abs=2e-2)


@pytest.mark.parametrize("F", [jf.Entropy(), jf.PowerEnergy(2.5), jf.PowerEnergy(0.8)])
def test_first_variation_is_the_derivative_along_mixtures(F) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.dirichlet(np.ones(12)).reshape(3, 4) for _ in range(2))
    grid = lambda m: jf.Grid(m * 12 / 6.0, [0, 0], [2.0, 3.0])  # noqa: E731
    slope = F.first_variation(grid(a), grid(a).points) @ (b - a).ravel()
    errors = [abs((F.value(grid(a + s * (b - a))) - F.value(grid(a))) / s - slope)
              for s in (1e-3, 5e-4)]  # fmt: skip
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.02)  # the remainder is second order


def test_entropy_of_a_density_with_empty_cells() -> None:
    mu = jf.Grid([2.0, 0.0], 0.0, 1.0)
    assert jf.Entropy().value(mu) == pytest.approx(np.log(2.0))
    assert jf.PowerEnergy(2.0).value(mu) == pytest.approx(2.0)
    assert np.isfinite(jf.Entropy().gradient(mu)).all()


def test_congestion_is_a_bound() -> None:
    mu = jf.Grid([1.5, 0.5], 0.0, 1.0)
    assert jf.Congestion(1.5).value(mu) == 0.0 and jf.Congestion(1.499).value(mu) == np.inf
    assert jf.Congestion(1.0).value(jf.Gaussian(0.0, 1.0)) == 0.0
    assert jf.Congestion(0.39).value(jf.Gaussian(0.0, 1.0)) == np.inf
    with pytest.raises(NotDefined):
        jf.Congestion(1.0).value(jf.Particles([0.0]))
    with pytest.raises(NotDefined, match="derivatives"):
        jf.Congestion(1.0).gradient(mu)
