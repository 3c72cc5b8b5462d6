"""Internal energies of simplices against their tangents in the corners."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.functionals.corners import modulus_in_corners
from jkoflow.measures.simplices import signed_volumes
from jkoflow.status import MissingStructure, NotDefined

ENERGIES = {
    "entropy": jf.Entropy(),
    "fast": 0.7 * jf.PowerEnergy(0.67),  # displacement convex in space from 2/3 on
    "porous": jf.PowerEnergy(2.3, 0.4),
    "sum": 0.3 * jf.Entropy() + jf.PowerEnergy(3.0),
}

FASTER = jf.PowerEnergy(0.4)
"""Displacement convex in no plane: there it is enough that u is convex."""


def mesh(seed: int = 0, d: int = 2) -> jf.Mesh:
    """A disc or ball of some random density with nodes out of place."""
    rng = np.random.default_rng(seed)
    plain = jf.Mesh.disc(1.2, 5) if d == 2 else jf.Mesh.ball(1.2, 2)
    mass = rng.dirichlet(np.full(len(plain.mass), 3.0))
    sheared = plain.nodes @ (np.eye(d) + rng.uniform(-0.3, 0.3, (d, d)))
    nodes = sheared + 0.02 * rng.normal(size=plain.nodes.shape)
    return jf.Mesh(nodes, plain.simplices, mass)


def above_tangent(F, mu: jf.Mesh, v: np.ndarray) -> float:
    """F(X + v) − F(X) − Σw⟨∇F, v⟩, over ½Σw|v|²."""
    linear = float(mu.weights @ (F.gradient(mu) * v).sum(axis=1))
    square = float(mu.weights @ (v * v).sum(axis=1))
    return 2.0 * (F.value(mu.with_nodes(mu.nodes + v)) - F.value(mu) - linear) / square


@pytest.mark.parametrize(("name", "d"), [*itertools.product(ENERGIES, [2, 3]), ("faster", 2)])
@pytest.mark.parametrize("seed", range(3))
def test_energies_lie_above_tangents_less_the_modulus(name: str, d: int, seed: int) -> None:
    """Far away too, where simplices are nearly flat: u is convex for all volumes."""
    F, mu, rng = ENERGIES.get(name, FASTER), mesh(seed, d), np.random.default_rng(seed + 50)
    lam = modulus_in_corners(F, mu)
    size = 2.0 * mu.volumes.mean() ** (1.0 / d)
    for kind in range(12):
        v = rng.normal(size=mu.nodes.shape)
        if kind % 3 == 0:  # a turn about a node
            v = mu.nodes - mu.nodes[rng.integers(len(v))]
            far = np.linalg.norm(v, axis=1, keepdims=True) / size
            v = v @ np.cross(np.eye(3), rng.normal(size=3))[:d, :d] * np.exp(-(far**2))
        if kind % 3 == 1:
            v *= rng.uniform(size=(len(v), 1)) < 0.1
        step = 1.0
        while (signed_volumes((mu.nodes + step * v)[mu.simplices]) <= 0).any():
            step *= 0.9
        for t in (1.0, 0.3, 1e-2):
            assert above_tangent(F, mu, t * step * v) >= lam - 1e-6 * abs(lam)  # rounding at 1e-2


def test_turning_what_has_a_higher_pressure_lowers_the_energy() -> None:
    """So that the modulus is negative for a reason: of a hexagon with one dense triangle
    the second derivative along a turn of that triangle is -11.8, and λ = -13.7."""
    plain = jf.Mesh.disc(1.0, 1)
    mu = jf.Mesh(plain.nodes, plain.simplices, np.array([0.9, *[0.02] * 5]))
    F = jf.PowerEnergy(2.0)
    lam, corners = modulus_in_corners(F, mu), mu.simplices[0]
    v = np.zeros((7, 2))
    v[corners] = (mu.nodes[corners] - mu.nodes[corners].mean(axis=0)) @ [[0.0, 1.0], [-1.0, 0.0]]
    assert 0.8 * lam > above_tangent(F, mu, 1e-3 * v) > lam


def test_convexity_is_asked_for_at_the_mesh_itself() -> None:
    """In space: what holds near it only is enough for its tangent."""

    class Near:
        terms = ((1.0, jf.PowerEnergy(2.0)),)

        def convexity_near(self, mu: jf.Mesh, radius: float) -> float | None:
            return 0.0 if radius == 0.0 else None

    ball = mesh(0, 3)
    assert modulus_in_corners(Near(), ball) == modulus_in_corners(jf.PowerEnergy(2.0), ball)


def test_what_it_is_not_known_for() -> None:
    with pytest.raises(MissingStructure, match="not proved minimal"):
        modulus_in_corners(jf.Entropy() + jf.PowerEnergy(0.6), jf.Mesh.ball(1.0, 2))
    with pytest.raises(MissingStructure):
        modulus_in_corners(-1.0 * jf.Entropy(), mesh())

    class Own(jf.Entropy):
        """Whose convexity nobody has looked at."""

    with pytest.raises(MissingStructure):
        modulus_in_corners(jf.Entropy() + Own(), mesh())
    part = jf.Mesh.disc(1.0, 2)
    twice = jf.Mesh(np.concatenate([part.nodes, part.nodes + 0.1]),
                    np.concatenate([part.simplices, part.simplices + len(part.nodes)]))  # fmt: skip
    with pytest.raises(NotDefined, match="cover each other"):
        modulus_in_corners(jf.Entropy(), twice)
