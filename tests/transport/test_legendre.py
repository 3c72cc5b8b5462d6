"""The c-transform on boxes: against brute force, its derivative by Taylor, mass, exact cases."""

from __future__ import annotations

import numpy as np
import pytest

from jkoflow.transport.legendre import CTransform, spline_coefficients, spline_values
from jkoflow.transport.neumann import Neumann

SHAPES = [(17,), (9, 12), (6, 7, 5)]


def centres(shape, spacing, refine=1):
    axes = [h * ((np.arange(n * refine) + 0.5) / refine - 0.5)
            for n, h in zip(shape, spacing, strict=True)]  # fmt: skip
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


@pytest.mark.parametrize("shape", SHAPES)
def test_below_the_transform_over_nodes(shape) -> None:
    """The spline is minimised over more points than its nodes, so nowhere above those."""
    rng = np.random.default_rng(len(shape))
    spacing, tau = rng.uniform(0.05, 0.2, len(shape)), 0.07
    c = 0.05 * rng.normal(size=shape)
    got = CTransform(c, spacing, tau, refine=2).value
    x = centres(shape, spacing, 2).reshape(-1, 1, len(shape))
    y = centres(shape, spacing).reshape(1, -1, len(shape))
    nodes = ((x - y) ** 2).sum(axis=2) / (2 * tau) - spline_values(c).ravel()
    assert (got.ravel() <= nodes.min(axis=1) + 1e-14).all()
    # and by at most what half a cell can bring on each axis
    half_cell = (spacing**2).sum() / (8 * tau) + 2 * np.abs(c).max()
    assert (nodes.min(axis=1) - got.ravel()).max() < half_cell


def least_over_cells(c, stiffness, y):
    """min_x Σ c_k B(x − k) + stiffness·(x − y)², each cell's parabola on its own."""
    n = len(c)
    k, mirrored = np.arange(n), np.concatenate([c[:1], c, c[-1:]])
    below, here, above = mirrored[:-2], c, mirrored[2:]
    slope = 0.5 * (above - below) + 2 * stiffness * (k - y[:, None])
    bend = above - 2 * here + below + 2 * stiffness
    inside = np.clip(-slope / np.where(bend > 0, bend, np.inf), -0.5, 0.5)
    middle = 0.125 * below + 0.75 * here + 0.125 * above + stiffness * (k - y[:, None]) ** 2
    found = [middle + slope * d + 0.5 * bend * d * d for d in (inside, -0.5, 0.5)]
    return np.min(found, axis=(0, 2))


@pytest.mark.parametrize("rough", [1e-3, 0.03, 1.0, 30.0])
@pytest.mark.parametrize("n", [1, 2, 3, 40, 301])
def test_no_minimum_is_missed_however_rough_the_potential(n: int, rough: float) -> None:
    """Between nodes minima may be lower than at them, and elsewhere."""
    rng = np.random.default_rng(n)
    for stiffness in (0.05, 1.0, 40.0):
        c = rough * rng.normal(size=n)
        t = CTransform(c, np.ones(1), 0.5 / stiffness, refine=5)
        expected = least_over_cells(-c, stiffness, (np.arange(5 * n) + 0.5) / 5 - 0.5)
        # rounding of the cost over the line, of 1e-16·n²
        atol = 1e-15 * (stiffness * n**2 + rough)
        np.testing.assert_allclose(t.value, expected, rtol=0, atol=atol)
        assert (np.diff(t.minimisers()[0]) >= 0.0).all()  # monotone, as optimal maps are


def test_rough_lines_have_no_jumps() -> None:
    """Along a line through rough potentials the derivative is that of the value, but for kinks."""
    rng = np.random.default_rng(3)
    c, v, mass = 0.1 * rng.normal(size=200), rng.normal(size=200), rng.random(1000) / 1000
    at = [CTransform(c + s * v, np.ones(1), 0.3, refine=5) for s in (0.0, 1e-9, 1e-6, 1e-3, 0.1)]
    value = np.array([mass @ t.value for t in at])
    slope = np.array([-t.transposed(mass) @ v for t in at])
    step = np.diff([0.0, 1e-9, 1e-6, 1e-3, 0.1])
    # concave: between its tangents at both ends, to rounding
    assert (np.diff(value) <= slope[:-1] * step + 1e-15).all()
    assert (np.diff(value) >= slope[1:] * step - 1e-15).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("curvature", [-3.0, 0.0, 4.0])
def test_exact_for_parabolas(shape, curvature) -> None:
    """ψ = a|y−p|²/2 has ψ^c(x) = −a|x−p|²/(2(1−aτ)) away from the walls: splines hold parabolas,
    but for the mirrored ends."""
    shape = tuple(4 * n for n in shape)
    spacing, tau = np.full(len(shape), 1.0) / shape, 0.1
    p = np.full(len(shape), 0.47)
    y = centres(shape, spacing) + spacing / 2
    psi = 0.5 * curvature * ((y - p) ** 2).sum(axis=-1)
    # coefficients of the spline of a parabola: its nodal values less a·h²/8 an axis
    c = psi - 0.125 * curvature * (spacing**2).sum()
    t = CTransform(c, spacing, tau, refine=2)
    x = centres(shape, spacing, 2) + spacing / 2
    expected = -curvature * ((x - p) ** 2).sum(axis=-1) / (2 * (1 - curvature * tau))
    inside = (np.abs(x - p) < 0.2).all(axis=-1)
    assert inside.any()
    assert t.value[inside] == pytest.approx(expected[inside], abs=1e-12)
    s = np.stack([(k + 0.5) * h for k, h in zip(t.minimisers(), spacing, strict=True)], axis=-1)
    images = p + (x - p) / (1 - curvature * tau)
    assert s[inside] == pytest.approx(images[inside], abs=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_transpose_is_the_derivative_and_keeps_mass(shape) -> None:
    rng = np.random.default_rng(5)
    spacing, tau = np.full(len(shape), 0.1), 0.05
    smooth = lambda: 0.02 * spline_values(spline_values(rng.normal(size=shape)))  # noqa: E731
    c, v, m = smooth(), smooth(), rng.random(tuple(2 * n for n in shape))
    t = CTransform(c, spacing, tau, refine=2)
    spread = t.transposed(m)
    assert spread.sum() == pytest.approx(m.sum(), rel=1e-13)
    assert (spread >= 0).all()
    value = lambda s: (m * CTransform(c + s * v, spacing, tau, refine=2).value).sum()  # noqa: E731
    slope = -(spread * v).sum()
    for s in (1e-4, 1e-5):  # the remainder is second order, with kinks where minimisers jump
        assert (value(s) - value(-s)) / (2 * s) == pytest.approx(slope, rel=2e-3)


def test_values_are_concave_in_the_potential() -> None:
    rng = np.random.default_rng(6)
    a, b = (0.1 * rng.normal(size=(8, 8)) for _ in range(2))
    at = lambda c: CTransform(c, np.array([0.1, 0.2]), 0.05).value  # noqa: E731
    assert (at(0.5 * (a + b)) >= 0.5 * (at(a) + at(b)) - 1e-14).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_minimisers_attain_the_value(shape) -> None:
    rng = np.random.default_rng(7)
    spacing, tau = np.full(len(shape), 0.1), 0.05
    c = 0.01 * spline_values(rng.normal(size=shape))
    t = CTransform(c, spacing, tau)
    s = t.minimisers()
    k = [np.rint(a).astype(int) for a in s]
    psi = np.zeros(shape)
    import itertools

    for steps in itertools.product((-1, 0, 1), repeat=len(shape)):
        weight = np.ones(shape)
        for a, step in enumerate(steps):
            d = s[a] - k[a]
            weight = weight * [0.5 * (0.5 - d) ** 2, 0.75 - d * d, 0.5 * (0.5 + d) ** 2][step + 1]
        place = [np.clip(k[a] + step, 0, shape[a] - 1) for a, step in enumerate(steps)]
        psi += weight * c[tuple(place)]
    x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    cost = sum((a - b) ** 2 for a, b in zip(s, x, strict=True)) * 0.01 / (2 * tau)
    # in more than one axis the passes are nested, and may go below the tensor spline's value
    assert (t.value <= cost - psi + 1e-12).all()
    if len(shape) == 1:
        assert t.value == pytest.approx(cost - psi, abs=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_coefficients_and_values_are_inverse(shape) -> None:
    x = np.random.default_rng(8).normal(size=shape)
    # the recursive filter starts from a truncated sum: 0.17^n of rounding on n cells
    assert spline_values(spline_coefficients(x)) == pytest.approx(x, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_neumann_solves_its_equation(shape) -> None:
    rng = np.random.default_rng(9)
    spacing = rng.uniform(0.1, 0.3, len(shape))
    f = rng.normal(size=shape)
    u = Neumann(shape, spacing).solve(f, 0.7, 0.3)
    laplacian = np.zeros(shape)
    for axis, h in enumerate(spacing):
        padded = np.pad(u, [(1, 1) if a == axis else (0, 0) for a in range(len(shape))], "edge")
        laplacian += np.diff(padded, 2, axis=axis) / h**2
    assert 0.7 * u - 0.3 * laplacian == pytest.approx(f, abs=1e-12)
