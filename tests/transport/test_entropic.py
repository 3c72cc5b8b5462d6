"""Gaussian kernels in logarithms: against dense sums, whatever the range, and the heat equation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from jkoflow.transport.entropic import LogKernel


def dense(f, spacing, epsilon, copies=6):
    """The same by logarithmic sums over images, one axis after the other."""
    for axis, (n, h) in enumerate(zip(f.shape, spacing, strict=True)):
        j, terms = np.arange(n), []
        for k in range(-copies, copies + 1):
            there = k * n + (j if k % 2 == 0 else n - 1 - j)
            terms.append(-(h**2) * (j[:, None] - there) ** 2 / (2 * epsilon))
        matrix = logsumexp(terms, axis=0)
        lines = np.moveaxis(f, axis, -1)[..., None, :]
        f = np.moveaxis(logsumexp(lines + matrix, axis=-1), -1, axis)
        f = f + 0.5 * np.log(h**2 / (2 * np.pi * epsilon))
    return f


@pytest.mark.parametrize("scale", [1.0, 300.0, 2e4])
@pytest.mark.parametrize(("shape", "epsilon"), [
    ((40,), 0.004), ((40,), 2.0), ((300,), 0.002), ((20, 31), 0.003), ((8, 9, 10), 0.004),
])  # fmt: skip
def test_against_dense_sums(shape, epsilon, scale) -> None:
    rng = np.random.default_rng(3)
    spacing = np.array([0.1, 0.07, 0.05])[: len(shape)]
    f = scale * rng.normal(size=shape)
    f.flat[rng.integers(f.size, size=f.size // 3)] = -np.inf
    f.flat[0] = 0.0
    found, exact = LogKernel(shape, spacing, epsilon)(f), dense(f, spacing, epsilon)
    # rounding: of exponents of size |f|, and of sums of n terms
    assert np.abs(found - exact).max() < 1e-12 + 1e-15 * np.abs(exact).max()


def test_nothing_underflows() -> None:
    kernel = LogKernel((400, 8), np.array([1.0, 1.0]), 0.5)
    f = np.full((400, 8), -np.inf)
    f[0, 0] = 0.0
    g = kernel(f)
    assert np.isfinite(g).all() and kernel.exact_lines > 0
    # images in the walls are farther by one cell, and add 2e^−15
    assert g[399, 7] + np.log(np.pi) == pytest.approx(-(399.0**2) - 49.0, abs=1e-6)
    assert (kernel(np.full((400, 8), -np.inf)) == -np.inf).all()


@pytest.mark.parametrize("shape", [(1,), (2,), (64,), (30, 1), (12, 9)])
def test_walls_reflect(shape) -> None:
    """G ∗ 1 = 1 up to the sum's error 2 exp(−2π²ε/h²), 5e-9 an axis at ε = h²."""
    spacing = np.full(len(shape), 0.3)
    assert np.abs(LogKernel(shape, spacing, 0.09)(np.zeros(shape))).max() < 2e-8


@pytest.mark.parametrize(("n", "mode", "epsilon"), [(50, 1, 0.01), (80, 3, 0.002)])
def test_heat_between_walls(n, mode, epsilon) -> None:
    """cos(kπx) falls by exp(−ε k²π²/2) with the time ε/2."""
    x = (np.arange(n) + 0.5) / n
    wave = np.cos(mode * np.pi * x)
    found = np.exp(LogKernel((n,), np.array([1.0 / n]), epsilon)(np.log1p(0.5 * wave)))
    exact = 1.0 + 0.5 * np.exp(-0.5 * epsilon * (mode * np.pi) ** 2) * wave
    assert np.abs(found - exact).max() < 1e-10  # exp(−2π²ε/h²) is smaller than rounding here
