"""Boxes, cells and draws of densities on a grid, against closed forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2, gamma, kstest, norm

from jkoflow.check.samples import grid as grid
from jkoflow.status import InvalidFunctional

RNG = np.random.default_rng(0)


def normal(x):
    return -0.5 * (x**2).sum(axis=1)


def drawn(f, x, m, seed=0):
    law = grid.grid_law(f, x, cheap=True)
    assert law is not None
    return law.draw(m, np.random.default_rng(seed))


def test_cells_are_counted_along_the_last_axis_first():
    cells = grid._Grid(np.array([[0.0, -1.0], [1.0, 5.0]]), 2)
    np.testing.assert_allclose(cells.size, [0.5, 3.0])
    exact = [[0.25, 0.5], [0.25, 3.5], [0.75, 0.5], [0.75, 3.5]]
    np.testing.assert_allclose(cells.centres(np.arange(4)), exact)
    np.testing.assert_allclose(cells.values(lambda x: 10.0 * x[:, 0] + x[:, 1]), [3, 6, 8, 11])


@pytest.mark.parametrize("dim", [1, 2])
def test_integrals_are_sums_over_cells(dim):
    box = np.array([[-1.0, 0.0], [1.0, 3.0]])[:, :dim]
    cells = grid._Grid(box, 10)
    volume = np.prod(box[1] - box[0])
    assert cells.log_integral(np.full(10**dim, 2.0)) == pytest.approx(2.0 + np.log(volume))


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("spread", [0.0, 0.3, 40.0])
def test_the_box_ends_where_the_density_is_low(dim, spread):
    """Wherever it began: −|x|²/2 is 16 below its top at |x| = √32, and 18 at |x| = 6."""
    x = np.full((5, dim), 2.0) + spread * np.linspace(-1.0, 1.0, 5)[:, None]
    found = grid._grown(normal, x)
    assert found is not None
    box = found[0]
    # the last box was not more than 1.6 times as wide as one that was open, or it was the first;
    # the cut may be 2.5 of its cells too large, and half of one says where f was looked at
    cell = max(1.6 * 2 * 6.0 + 4.0, 4.0 * spread) / grid._SEARCH[dim]
    assert (np.abs(box) >= 32**0.5 - 0.5 * cell).all() and (np.abs(box) <= 6.0 + 2.5 * cell).all()


def test_the_box_grows_where_it_is_open_and_there_only():
    """From [0, 1] ± ½ on: a cut needs no more growth, so that each side's growth is counted."""
    seen = []

    def f(x):
        seen.append((x.min(), x.max()))
        return -np.where(x[:, 0] < 0.5, 400.0 * (x[:, 0] - 0.5) ** 2, np.abs(x[:, 0] - 0.5))

    assert grid._grown(f, np.array([[0.0], [1.0]])) is not None
    assert seen.pop(0) == (0.0, 1.0)  # the points themselves
    lows = [low for low, _ in seen]
    highs = [high for _, high in seen]
    # a side grows by 0.3 of the width at a time, and no box is grown that was closed
    assert all(b - a < 0.3 * 1.1 * (a + 0.5) for a, b in pairwise(highs)) and highs[-2] < 16.6
    # 400/2² is far below already; the cells' centres move with the box's width all the same
    assert max(lows) < 0.0 and min(lows) > -0.51
    assert all(np.diff(highs) > 0) and highs[-1] > 16.0


@pytest.mark.parametrize("below, boxes", [(16.03, 1), (15.97, 2)])
def test_a_border_is_low_at_a_ten_millionth_of_the_top(below, boxes):
    """e⁻¹⁶ = 1.1·10⁻⁷: on the outermost cells' centres, which are what is looked at."""
    assert np.exp(-16.0) == pytest.approx(1e-7, rel=0.2)
    edge = (2.0 * below) ** 0.5 * 1025 / 1024
    seen = []

    def f(x):
        seen.append(np.abs(x).min())
        return normal(x)

    # points at ± half of it begin with a box that ends there
    assert grid._grown(f, np.array([[-0.5 * edge], [0.5 * edge]])) is not None
    assert len(seen) == 1 + boxes  # the points themselves first
    assert max(seen[1:]) < 1e-12  # the middle of a box is among its cells' centres


@pytest.mark.parametrize("place, wide", [(0.0, 1e-3), (40.0, 0.08)])
@pytest.mark.parametrize("dim", [1, 2])
def test_equal_points_begin_with_a_box_of_a_thousandth_of_their_size(place, wide, dim):
    seen = []

    def f(x):
        seen.append(x)
        return normal(x - place)

    assert grid._grown(f, np.full((3, dim), place)) is not None
    # of twice the distance to the origin, and of 1 at least; centres end half a cell inside
    cells = grid._SEARCH[dim]
    assert np.ptp(seen[1][:, 0]) * cells / (cells - 1) == pytest.approx(wide, rel=1e-6)
    assert np.abs(seen[1] - place).sum(axis=1).min() < 1e-12


@pytest.mark.parametrize("constant", [-2000.0, 2000.0])
def test_a_density_is_known_up_to_a_constant(constant):
    x = np.zeros((3, 1))
    with np.errstate(all="raise", under="ignore"):
        moved = drawn(lambda x: normal(x) + constant, x, 50)
    np.testing.assert_allclose(moved, drawn(normal, x, 50), atol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equal_points_are_a_start_too(offset):
    law = lambda x: -0.5 * (x[:, 0] - offset) ** 2  # noqa: E731
    y = drawn(law, np.full((3, 1), offset), 20_000)[:, 0]
    assert kstest(y - offset, norm.cdf).pvalue > 1e-4


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_draws_on_the_line_are_of_the_law(scale):
    y = drawn(lambda x: normal(x / scale), scale * RNG.normal(size=(40, 1)), 200_000)[:, 0] / scale
    # cells are 1.5e-3 wide; this many draws would show 3e-3 in the distribution function
    assert kstest(y, norm.cdf).pvalue > 1e-4
    # draws are spread over their cells: a few coincide by rounding only
    assert len(np.unique(y)) > 199_000


def test_draws_in_the_plane_are_of_the_law():
    size = np.array([0.1, 30.0])
    y = drawn(lambda x: normal(x / size), size * RNG.normal(size=(40, 2)), 50_000) / size
    assert kstest((y**2).sum(axis=1), chi2(2).cdf).pvalue > 1e-4
    assert kstest(y[:, 0], norm.cdf).pvalue > 1e-4 and kstest(y[:, 1], norm.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(y.T)[0, 1]) < 4 / 50_000**0.5
    assert len(np.unique(y[:, 0])) > 49_000 and len(np.unique(y[:, 1])) > 49_000


def test_draws_of_a_law_with_an_edge_are_of_the_law():
    """x² exp(−x) from 0 on: −∞ elsewhere."""

    def f(x):
        with np.errstate(divide="ignore"):
            return 2.0 * np.log(np.maximum(x[:, 0], 0.0)) - x[:, 0]

    y = drawn(f, np.array([[0.5], [2.0]]), 20_000)[:, 0]
    assert kstest(y, gamma(3).cdf).pvalue > 1e-4 and y.min() > 0


def test_the_last_cell_is_drawn_at_most():
    class Last:
        def random(self, shape):
            return np.full(shape, np.nextafter(1.0, 0.0))

    law = grid.grid_law(normal, np.zeros((3, 1)), cheap=False)
    assert law is not None and 5.9 < law.draw(2, Last())[0, 0] < 6.1  # type: ignore[arg-type]


@pytest.mark.parametrize("cheap", [True, False])
@pytest.mark.parametrize("dim", [1, 2])
def test_what_cells_do_not_resolve_is_not_drawn(dim, cheap):
    """Two normal laws, 60 apart: fine enough cells for σ = 1, not for σ = 0.004."""

    def modes(sigma):
        def f(x):
            rest = normal(x[:, 1:])
            return rest + np.logaddexp(*(-0.5 * ((x[:, 0] - a) / sigma) ** 2 for a in (-30, 30)))

        return f

    x = np.zeros((4, dim))
    x[::2, 0], x[1::2, 0] = 30.003, -30.001
    assert grid.grid_law(modes(1.0), x, cheap=cheap) is not None
    # at 0.004, cells of 60/8192 = 0.007 and 0.015 give other integrals
    assert grid.grid_law(modes(0.004), x, cheap=cheap) is None


def raising(x):
    raise InvalidFunctional("not here")


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize(
    "f",
    [
        raising,
        lambda x: np.full(len(x), np.nan),
        lambda x: np.full(len(x), np.inf),
        lambda x: np.full(len(x), -np.inf),
        lambda x: 0.0 * x[:, 0],
        lambda x: x[:, -1],
        lambda x: -x[:, -1],
    ],
    ids=["raises", "NaN", "∞", "-∞", "flat", "up", "down"],
)
def test_what_is_no_law_is_not_drawn(f, dim):
    assert grid.grid_law(f, np.zeros((3, dim)), cheap=True) is None


def test_costly_densities_are_asked_for_less():
    asked = {}
    for cheap in (True, False):
        count: list[int] = []

        def f(x, count=count):
            count.append(len(x))
            return normal(x)

        grid.grid_law(f, np.zeros((3, 1)), cheap=cheap)
        asked[cheap] = count[-2:]
    # the grid, and one of twice its cells' size
    assert all(fine == 2 * coarse for fine, coarse in asked.values())
    assert asked[True][0] > asked[False][0]


def test_the_tail_is_the_mass_where_the_density_is_low():
    """Of a normal law beyond t: 2Φ(−t), but for what half a cell at its edge holds."""
    law = grid.grid_law(normal, np.random.default_rng(0).normal(size=(100, 1)), cheap=True)
    assert law is not None
    for t in (0.5, 1.0, 2.0, 4.0, 6.0):
        assert law.tail(-0.5 * t * t) == pytest.approx(2.0 * norm.sf(t), rel=0.05)
    assert law.tail(0.1) == pytest.approx(1.0, rel=1e-2) and law.tail(-1e4) == 0.0


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize(("unit", "centre"), [(1e-6, 0.0), (1.0, 1e6), (1e6, 0.0), (1e-6, 1.0)])
def test_the_tail_has_no_length_of_its_own(unit, centre, dim):
    """A box of a thousandth of 1, or of the coordinates, would hide a law a millionth as wide."""
    x = centre + unit * np.random.default_rng(0).normal(size=(100, dim))
    law = grid.grid_law(lambda y: normal((y - centre) / unit), x, cheap=True)
    assert law is not None
    for t in (1.0, 3.0):  # but for half a cell at the edge; rounding of 1 is 2e-10 of 1e-6
        assert law.tail(-0.5 * t * t) == pytest.approx(chi2(dim).sf(t * t), rel=0.05)


@pytest.mark.parametrize(("dim", "apart"), [(1, 500.0), (1, 2000.0), (1, 4000.0), (1, 6000.0),
                                            (2, 100.0), (2, 250.0)])  # fmt: skip
def test_the_tail_of_modes_far_apart_is_that_of_fine_cells(dim, apart):
    """Cells of the larger box, by which it is closed, are up to twelve standard deviations wide:
    they do not show where these densities are low, nor one of the modes at all."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100, dim))
    x[:, 0] += apart * (rng.random(100) < 0.5)

    def f(y):
        other = y - apart * (np.arange(dim) == 0)
        return np.logaddexp(normal(y), normal(other))

    law = grid.grid_law(f, x, cheap=True)
    assert law is not None
    level = f(np.full((1, dim), 3.0 / dim**0.5)).item()
    # cells are up to 0.8 standard deviations wide, of which half are at the edge
    assert law.tail(level) == pytest.approx(chi2(dim).sf(9.0), rel=0.5)
    share = (law.draw(4000, rng)[:, 0] < 0.5 * apart).mean()
    assert share == pytest.approx(0.5, abs=0.04)  # five standard errors
