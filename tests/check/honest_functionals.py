"""Random functionals, smooth, rough and narrow, that change by about so much over such a length."""

from __future__ import annotations

import numpy as np

import jkoflow as jf
from jkoflow.functionals import BlobEntropy, BlobPower, EnergyKernel, GaussianKernel
from jkoflow.functionals.base import Functional
from jkoflow.measures.base import Array, Measure


def random_functional(
    rng: np.random.Generator, mu: Measure, length: float, energy: float, with_rough: bool = False
) -> Functional:
    """A sum of terms that change by about ``energy`` over ``length``."""
    kind = mu.kind
    F: Functional | None = None
    if kind == "grid" or (kind != "particles" and rng.random() < 0.7):
        F = random_internal(rng, mu, length) * (energy * 10.0 ** rng.uniform(-2, 0.3))
    choices = [confinement, confinement, wave, pull]
    choices += [] if kind == "mesh" else [well]
    choices += [] if kind in ("grid", "mesh") else [bell, network]
    if with_rough:
        choices += [rough, rough, *ROUGH.get(kind, [])]
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


def rough(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """Potentials with kinks, roots, ripples and steep walls, most of them without a Hessian."""
    z = lambda x: x / length  # noqa: E731
    r = lambda x: np.sqrt((z(x) ** 2).sum(axis=1))  # noqa: E731
    quartic = jf.Potential(lambda x: 0.25 * (z(x) ** 4).sum(axis=1), lambda x: z(x) ** 3 / length)
    cone = jf.Potential(
        r, lambda x: z(x) / np.maximum(r(x), 1e-300)[:, None] / length, convexity=0.0
    )
    if mu.kind == "radial":
        return [quartic, cone][rng.integers(2)]
    kinks = jf.Potential(
        lambda x: np.abs(z(x) - 0.3).sum(axis=1), lambda x: np.sign(z(x) - 0.3) / length,
        convexity=0.0,
    )  # fmt: skip
    root = jf.Potential(
        lambda x: (np.abs(z(x)) ** 1.5).sum(axis=1),
        lambda x: 1.5 * np.sign(x) * np.sqrt(np.abs(z(x))) / length, convexity=0.0,
    )  # fmt: skip
    ripples = jf.Potential(
        lambda x: (0.01 * np.cos(30.0 * z(x)) + 0.5 * z(x) ** 2).sum(axis=1),
        lambda x: (z(x) - 0.3 * np.sin(30.0 * z(x))) / length,
    )
    huber = jf.Potential(
        lambda x: np.where(np.abs(z(x)) < 1.0, 0.5 * z(x) ** 2, np.abs(z(x)) - 0.5).sum(axis=1),
        lambda x: np.clip(z(x), -1.0, 1.0) / length, convexity=0.0,
    )  # fmt: skip
    steep = jf.Potential(
        lambda x: np.cosh(z(x)).sum(axis=1), lambda x: np.sinh(z(x)) / length, convexity=0.0
    )
    choices = [quartic, cone, kinks, root, ripples, huber, jf.Potential(r)]
    choices += [steep] if mu.kind != "gaussian" else []
    return choices[rng.integers(len(choices))]


def close(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """Pairs whose force is a kink, or narrow; the energy distance from a few points."""
    near = lambda z: (z * z).sum(axis=1) / length**2  # noqa: E731
    choice = rng.integers(4)
    if choice == 0:
        target = jf.Particles(length * rng.normal(size=(5, mu.dim)))
        return jf.MMD(target, EnergyKernel()) * (1.0 / length)
    if choice == 1:
        return jf.Interaction(
            lambda z: np.exp(-50.0 * near(z)),
            lambda z: -100.0 * z / length**2 * np.exp(-50.0 * near(z))[:, None],
        )
    if choice == 2:
        return jf.Interaction(lambda z: -np.exp(-np.sqrt(near(z))))
    return jf.Interaction(
        lambda z: np.sqrt(near(z)),
        lambda z: z / length**2 / np.sqrt(np.maximum(near(z), 1e-300))[:, None], convexity=0.0,
    )  # fmt: skip


def blobs(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """Smoothed entropies and powers of a cloud, whose blobs overlap, hardly, or not at all."""
    bandwidth = length * 10.0 ** rng.uniform(-2.5, 0.3)
    if rng.random() < 0.5:
        return BlobEntropy(bandwidth)
    m = rng.uniform(1.02, 4.0)
    return BlobPower(m, bandwidth) * bandwidth ** (mu.dim * (m - 1.0))


def piecewise(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """The risk of piecewise linear neurons at three inputs."""
    b, c, y = rng.normal(size=(3, mu.dim)) / length, rng.normal(size=(3, 1)), rng.normal(size=3)
    return jf.Risk(
        lambda t: np.maximum(b @ t.T + c, 0.0), y,
        gradient=lambda t: (b @ t.T + c > 0)[:, :, None] * b[:, None, :],
    )  # fmt: skip


def power(rng: np.random.Generator, mu: Measure, length: float) -> Functional:
    """A steep one, but not in many dimensions, or one that is nearly an entropy."""
    m = 1.0 + float(rng.choice([rng.uniform(0.01, 0.1), rng.uniform(3.0, 7.0) / mu.dim]))
    return jf.PowerEnergy(m) * length ** (mu.dim * (m - 1.0))


ROUGH = {
    "particles": [close, close, blobs, blobs, piecewise], "quantiles": [close, power],
    "grid": [close], "mesh": [power], "radial": [power], "gaussian": [power],
}  # fmt: skip
"""Besides potentials."""
