"""Random questions over functionals, measures, units, step sizes and numbers of points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import jkoflow as jf
from jkoflow.functionals import BlobEntropy, GaussianKernel
from jkoflow.functionals.base import Functional
from jkoflow.measures.base import Array, Measure

KINDS = (*("quantiles", "radial", "gaussian", "particles") * 2, "grid", "mesh")
"""Those that take long come up less often."""


def random_question(seed: int) -> jf.Problem:
    """A problem on a measure of every kind in turn, in lengths of 10⁻³ to 10³."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    length = 10.0 ** rng.uniform(-3, 3) if rng.random() < 0.5 else 1.0
    energy = 10.0 ** rng.uniform(-3, 3) if rng.random() < 0.5 else 1.0
    start = STARTS[kind](rng, length)
    F = random_functional(rng, start, length, energy)
    # in units in which F changes by `energy` over `length`, a step of 1 goes far
    tau = 10.0 ** rng.uniform(-3, 0.5) * length**2 / energy
    steps = int(rng.integers(1, 4 if kind in ("grid", "mesh") else 12))
    taus = tau * rng.uniform(0.5, 2.0, steps) if rng.random() < 0.3 else tau
    walls = None
    if isinstance(start, jf.Quantiles) and rng.random() < 0.15:
        walls = start.edges[0] - length * rng.choice([0.0, 0.5]), start.edges[-1]
    return jf.Problem(F, start, taus, steps if np.ndim(taus) == 0 else None, walls=walls)


def random_functional(
    rng: np.random.Generator, mu: Measure, length: float, energy: float
) -> Functional:
    """A sum of terms that change by about ``energy`` over ``length``."""
    kind = mu.kind
    F: Functional | None = None
    if kind == "grid" or (kind != "particles" and rng.random() < 0.7):
        F = random_internal(rng, mu, length) * (energy * 10.0 ** rng.uniform(-2, 0.3))
    choices = [confinement, confinement, wave, pull]
    choices += [] if kind == "mesh" else [well]
    choices += [] if kind in ("grid", "mesh") else [bell, network]
    count = rng.integers(1, 4) if F is None else rng.integers(0, 3)
    for term in rng.choice(np.array(choices, dtype=object), count, replace=False):
        f = (energy * 10.0 ** rng.uniform(-1, 0.5)) * term(rng, mu, length)
        F = f if F is None else F + f
    assert F is not None
    return F


def random_internal(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """Entropy, a power that has a flow in this dimension, or both."""
    d = mu.dim
    least = 1.0 - 1.0 / (d + 1) if mu.kind != "gaussian" else 1.0 - 0.5 / (d + 2)
    m = float(rng.choice([2.0, 3.0, rng.uniform(least, 1.0), rng.uniform(1.05, 4.0)]))
    power = jf.PowerEnergy(m) * length ** (d * (m - 1.0))
    return [jf.Entropy(), power, jf.Entropy() + power][int(rng.choice([0, 0, 1, 1, 2]))]


def confinement(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """λ/2 |x − c|², or log cosh of the coordinates' sum."""
    if mu.kind == "radial":
        return jf.QuadraticPotential(1.0 / length**2)
    c = length * rng.normal(size=mu.dim)
    if rng.random() < 0.6:
        return jf.QuadraticPotential(1.0 / length**2, c)
    a = np.ones(mu.dim) / length
    return jf.Potential(
        lambda x: np.logaddexp((x - c) @ a, -(x - c) @ a),
        gradient=lambda x: np.tanh((x - c) @ a)[:, None] * a,
        hessian=lambda x: (1.0 - np.tanh((x - c) @ a) ** 2)[:, None, None] * np.outer(a, a),
        convexity=0.0,
    )


def wave(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """1 − cos of a coordinate; one in three without a gradient of its own."""
    if mu.kind == "radial":
        k = rng.uniform(0.3, 2.0) / length
        return jf.Potential(lambda r: 1.0 - np.cos(k * r[:, 0]),
                            gradient=lambda r: k * np.sin(k * r))  # fmt: skip
    k, c = rng.normal(size=mu.dim) / length, rng.normal()
    value = lambda x: 1.0 - np.cos(x @ k - c)  # noqa: E731
    slope = lambda x: np.sin(x @ k - c)[:, None] * k  # noqa: E731
    claims = {"convexity": -float(k @ k)} if rng.random() < 0.5 else {}
    return jf.Potential(value, **claims) if rng.random() < 0.3 else jf.Potential(
        value, gradient=slope, **claims)  # fmt: skip


def well(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """Two wells along the first axis (a sombrero of the radius), with what it claims."""
    a = rng.uniform(0.5, 2.0) * length
    one = np.zeros(mu.dim if mu.kind != "radial" else 1)
    one[0] = 1.0
    return jf.Potential(
        lambda x: 0.25 * ((x[:, 0] / length) ** 2 - (a / length) ** 2) ** 2,
        gradient=lambda x: (x[:, :1] * (x[:, :1] ** 2 - a**2)) / length**4 * one,
        convexity=-((a / length) ** 2) / length**2,
        lower_bound=0.0,
    )


def pull(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """Pairs that attract or repel each other."""
    costly = mu.kind == "gaussian" and mu.dim > 2  # pairs of points of a cubature
    choice = 0 if costly or mu.kind in ("radial", "grid", "mesh") else rng.integers(3)
    if choice == 0:
        return jf.QuadraticInteraction(float(rng.choice([1.0, 0.3, -0.2])) / length**2)

    def far(z: Array) -> Array:
        return np.asarray((z * z).sum(axis=1) / length**2)

    def near(z: Array) -> Array:
        return z / length**2

    if choice == 1:  # attraction beyond, repulsion within
        return jf.Interaction(
            lambda z: 0.25 * far(z) ** 2 - 0.5 * far(z),
            gradient=lambda z: near(z) * (far(z)[:, None] - 1.0),
        )
    return jf.Interaction(
        lambda z: np.sqrt(1.0 + far(z)),
        gradient=lambda z: near(z) / np.sqrt(1.0 + far(z)[:, None]),
        convexity=0.0,
    )


def bell(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """A discrepancy from a few points, under a Gaussian kernel."""
    if mu.kind == "radial":
        return jf.QuadraticPotential(0.5 / length**2)
    if mu.kind == "particles" and rng.random() < 0.3:
        return BlobEntropy(length * rng.uniform(0.5, 2.0))
    target = jf.Particles(length * rng.normal(size=(5, mu.dim)))
    return jf.MMD(target, GaussianKernel(length * rng.uniform(0.5, 2.0)))


def network(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """The risk of tanh neurons at three inputs."""
    d = 1 if mu.kind == "radial" else mu.dim
    b, y = rng.normal(size=(3, d)) / length, rng.normal(size=3)
    size = np.linalg.norm(b, axis=1)
    return jf.Risk(lambda t: np.tanh(b @ t.T), y, slope_bounds=size, curvature_bound=0.77 * size**2)


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
