"""Random questions over functionals, measures, units, step sizes and numbers of points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from honest_functionals import random_functional

import jkoflow as jf
from jkoflow.measures.base import Measure

KINDS = (*("quantiles", "radial", "gaussian", "particles") * 2, "grid", "mesh")
"""Those that take long come up less often."""


def random_question(seed: int, rough: bool = False) -> jf.Problem:
    """A problem on a measure of every kind in turn, in lengths of 10⁻³ to 10³; with rough ones
    among the terms of the functional if asked for."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    length = 10.0 ** rng.uniform(-3, 3) if rng.random() < 0.5 else 1.0
    energy = 10.0 ** rng.uniform(-3, 3) if rng.random() < 0.5 else 1.0
    start = STARTS[kind](rng, length)
    F = random_functional(rng, start, length, energy, rough)
    # in units in which F changes by `energy` over `length`, a step of 1 goes far
    tau = 10.0 ** rng.uniform(-3, 0.5) * length**2 / energy
    steps = int(rng.integers(1, 4 if kind in ("grid", "mesh") else 12))
    taus = tau * rng.uniform(0.5, 2.0, steps) if rng.random() < 0.3 else tau
    walls = None
    if isinstance(start, jf.Quantiles) and rng.random() < 0.15:
        walls = start.edges[0] - length * rng.choice([0.0, 0.5]), start.edges[-1]
    return jf.Problem(F, start, taus, steps if np.ndim(taus) == 0 else None, walls=walls)


def _number(rng: np.random.Generator) -> int:
    return int(10 ** rng.uniform(0.7, 2.3))


def _quantiles(rng: np.random.Generator, length: float) -> Measure:
    n, which = _number(rng), rng.integers(4)
    if which == 0:
        return jf.Quantiles.normal(length * rng.normal(), length * 10 ** rng.uniform(-1, 0.7), n)
    if which == 1:
        return jf.Quantiles.from_ppf(lambda q: length * (2.0 * q - 1.0), n)
    edges = length * np.cumsum(rng.gamma(1.0 + which, size=n + 1)) / n
    return jf.Quantiles(edges - edges.mean(), rng.dirichlet(np.full(n, 5.0)))


def _radial(rng: np.random.Generator, length: float) -> Measure:
    d, n = int(rng.integers(2, 40)), _number(rng)
    if rng.random() < 0.6:
        return jf.Radial.normal(length * 10 ** rng.uniform(-0.7, 0.5), d, n)
    inner = length * rng.uniform(0.0, 1.0) * rng.integers(2)
    return jf.Radial.from_ppf(lambda q: inner + length * q ** (1.0 / d), d, n, grading="uniform")


def _gaussian(rng: np.random.Generator, length: float) -> Measure:
    d = int(rng.integers(1, 5))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    spread = (length * 10.0 ** rng.uniform(-1, 0.5, d)) ** 2
    return jf.Gaussian(length * rng.normal(size=d), (turn * spread) @ turn.T)


def _particles(rng: np.random.Generator, length: float) -> Measure:
    n, d = int(rng.integers(1, 60)), int(rng.integers(1, 5))
    weights = rng.dirichlet(np.full(n, rng.choice([0.1, 3.0]))) if rng.random() < 0.5 else None
    x = rng.normal(size=(n, d))
    if rng.random() < 0.25:  # on a lattice: several at one place, many couplings that cost the same
        x = np.round(2.0 * x) / 2.0
    return jf.Particles(length * x, weights)


def _grid(rng: np.random.Generator, length: float) -> Measure:
    d = int(rng.choice([1, 1, 2]))
    shape = (int(rng.integers(16, 257)),) if d == 1 else tuple(map(int, rng.integers(8, 25, 2)))
    box = length * rng.uniform(1.0, 4.0, d)
    c, s = box * rng.uniform(-0.4, 0.4, d), box * rng.uniform(0.2, 0.8, d)
    distance = lambda x: (((x - c) / s) ** 2).sum(axis=1)  # noqa: E731
    which = rng.integers(6)
    if which < 3:
        return jf.Grid.from_function(lambda x: np.exp(-0.5 * distance(x)), -box, box, shape)
    if which == 3:  # at a sharp edge, a cell may be cut
        inside = lambda x: np.where(distance(x) < 1.0, 1.0, 0.0)  # noqa: E731
        return jf.Grid.from_function(inside, -box, box, shape)
    mass = rng.exponential(size=shape)
    if which == 4:  # in few cells
        held = np.unravel_index(rng.integers(mass.size, size=rng.integers(1, 4)), shape)
        few = np.zeros(shape)
        few[held] = mass[held]
        mass = few
    return jf.Grid(mass / mass.sum() * mass.size / np.prod(2.0 * box), -box, box)


def _mesh(rng: np.random.Generator, length: float) -> Measure:
    end = float(rng.choice([rng.uniform(1.0, 1.5), 100.0]))  # a free boundary, a jump, uniform
    density = lambda x: end - (x * x).sum(axis=1)  # noqa: E731
    shape, d = (jf.Mesh.disc, 2) if rng.random() < 0.8 else (jf.Mesh.ball, 3)
    mesh = shape(1.0, int(rng.integers(2, 9 if d == 2 else 4)), density)
    if rng.random() < 0.3:
        cells = tuple(map(int, rng.integers(2, 9 if d == 2 else 4, d)))
        half = np.full(d, d**-0.5)
        mesh = jf.Mesh.box(-half, half, cells, density)
    turned = mesh.nodes * rng.uniform(0.5, 2.0, d)
    if rng.random() < 0.5:
        q = np.linalg.qr(rng.normal(size=(d, d)))[0]
        q[:, 0] *= np.linalg.det(q)  # a rotation: simplices keep their sides
        turned = turned @ q + rng.normal(size=d)
    return mesh.with_nodes(length * turned)


STARTS: dict[str, Callable[[np.random.Generator, float], Measure]] = {
    "quantiles": _quantiles, "radial": _radial, "gaussian": _gaussian, "particles": _particles,
    "grid": _grid, "mesh": _mesh,
}  # fmt: skip
