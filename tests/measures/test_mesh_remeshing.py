"""Re-meshing: the mass is exact, integrals are second order, entropies never rise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import jkoflow as jf
from jkoflow.measures import remesh
from jkoflow.status import InvalidMeasure, NotDefined


def stretched(rings):
    mu = jf.Mesh.disc(1.0, rings, lambda x: np.exp(-2.0 * (x**2).sum(axis=1) + 0.5 * x[:, 0]))
    return mu.with_nodes(mu.nodes * [3.0, 0.6] + [0.2, 0.0])


def integral(mu):
    return float(mu.weights @ np.cos(mu.points @ [0.8, 1.3]))


def test_the_plane_by_itself():
    errors = []
    for rings in (8, 16, 32):
        mu = stretched(rings)
        new = remesh(mu)
        assert abs(new.mesh.mass.sum() - 1.0) < 1e-14 and (new.mesh.mass > 0).all()
        assert new.outside < 1e-12  # the same polygon
        assert new.mesh.volumes.sum() == pytest.approx(mu.volumes.sum(), rel=1e-9)
        assert np.median(new.mesh.quality()) > 0.9 > 0.6 > mu.quality().max()
        for F in (jf.Entropy(), jf.PowerEnergy(2.0), jf.PowerEnergy(0.7)):
            assert F.value(new.mesh) <= F.value(mu) + 1e-12  # Jensen
        errors.append(abs(integral(new.mesh) - integral(mu)))
    assert errors[2] < errors[0] / 8  # second order would be 16, with luck in the placing


@pytest.mark.parametrize("dim", [2, 3])
def test_masses_are_those_of_the_intersections(dim):
    mu = jf.Mesh.box([0.0] * dim, [1.0] * dim, (3,) * dim)  # uniform: every part has its volume
    target = jf.Mesh.box([0.0] * dim, [1.0] * dim, (4,) * dim)
    bent = target.nodes + 0.05 * np.prod(np.sin(np.pi * target.nodes), axis=1)[:, None]
    new = remesh(mu, target.with_nodes(bent))
    assert len(new.mesh.mass) == len(target.mass)
    assert new.mesh.mass == pytest.approx(new.mesh.volumes, rel=1e-11)


def test_nothing_changes_on_the_same_mesh():
    mu = stretched(6)
    new = remesh(mu, mu)
    assert new.mesh.mass == pytest.approx(mu.mass, rel=1e-10) and new.outside < 1e-12


@pytest.mark.parametrize("dim", [2, 3])
def test_mass_outside_is_kept(dim):
    """The target covers a part only: what lies outside goes to the nearest simplices."""
    mu = jf.Mesh.box([0.0] * dim, [1.0] * dim, (4,) * dim)
    new = remesh(mu, jf.Mesh.box([-0.3] * dim, [0.9] * dim, (6,) * dim))  # cells of 0.2
    assert abs(new.mesh.mass.sum() - 1.0) < 1e-14
    assert new.outside == pytest.approx(1.0 - 0.9**dim, rel=1e-9)
    assert new.mesh.nodes.min() >= -0.1 - 1e-12  # those that lie beside the mesh are dropped


def test_the_distance_bound_holds():
    """W2 between fine clouds that stand for the two densities, by a linear program."""
    mu = jf.Mesh.disc(1.0, 2, lambda x: np.exp(x[:, 0]))
    new = remesh(mu, jf.Mesh.box([-1.05] * 2, [1.05] * 2, (3, 3)))
    x, a = points(mu)
    y, b = points(new.mesh)
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    found = linprog(cost.ravel(), A_eq=np.vstack(rows), b_eq=np.concatenate([a, b]), method="highs")
    assert found.status == 0
    assert 0.02 < np.sqrt(found.fun) < new.distance_bound < 1.0


def points(mu):
    """Three points a triangle, exact to second order."""
    corners = mu.nodes[mu.simplices]
    near = corners / 2.0 + corners.mean(axis=1, keepdims=True) / 2.0
    return near.reshape(-1, 2), np.repeat(mu.mass / 3.0, 3)


def test_a_flow_goes_on_after_re_meshing():
    """Shear makes a step's mesh degenerate; on the new mesh the next step converges."""
    mu = stretched(12)
    thin = mu.with_nodes(mu.nodes * [20.0, 0.05])
    F = jf.Entropy() + jf.QuadraticPotential(1.0)
    stepper = jf.steppers.MeshNewton(worst_quality=0.2)
    assert stepper.step(F, thin, 1e-4, {}, None).status is jf.Status.DEGENERATE
    new = remesh(mu).mesh
    out = stepper.step(F, new, 0.01, {}, None)
    assert out.status is jf.Status.CONVERGED and out.stats["quality"] > 0.2


@pytest.mark.parametrize("wrong", [
    lambda mu: remesh(mu, spacing=0.0), lambda mu: remesh(mu, spacing=np.nan),
    lambda mu: remesh(mu, spacing="1"), lambda mu: remesh(mu, jf.Mesh.ball(1.0, 1)),
    lambda mu: remesh(mu, jf.Mesh.box([90, 90], [91, 91], (2, 2))),
])  # fmt: skip
def test_senseless_targets(wrong):
    with pytest.raises(InvalidMeasure):
        wrong(stretched(2))


def test_space_needs_a_target():
    with pytest.raises(NotDefined, match="target="):
        remesh(jf.Mesh.ball(1.0, 2))
