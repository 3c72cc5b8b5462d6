"""Steps on grids near their limits: a status or a typed error, and never a wrong mass."""

from __future__ import annotations

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import InvalidFunctional, InvalidMeasure, JkoflowError, Status
from jkoflow.steppers import BackAndForth, ConvexProgram, EntropicScaling

STEPPERS = {"back-and-forth": BackAndForth(), "scaling": EntropicScaling(),
            "programme": ConvexProgram()}  # fmt: skip
ENERGIES = {"entropy": jf.Entropy(), "square": jf.PowerEnergy(2.0), "fast": jf.PowerEnergy(0.7),
            "crowd": jf.Congestion(1.5)}  # fmt: skip
CELLS = {1: 24, 2: 8, 3: 6}


def bell(dim):
    def density(x):
        return np.exp(-0.5 * (x**2).sum(axis=1) / 0.04)

    return jf.Grid.from_function(density, [-1.0] * dim, [1.0] * dim, (CELLS[dim],) * dim)


def two_corners(dim):
    def density(x):
        return (np.abs(x) > 0.5).all(axis=1).astype(float)

    return jf.Grid.from_function(density, [-1.0] * dim, [1.0] * dim, (CELLS[dim],) * dim)


def one_cell(dim):
    rho = np.zeros((CELLS[dim],) * dim)
    rho[(2,) * dim] = (CELLS[dim] / 2.0) ** dim
    return jf.Grid(rho, [-1.0] * dim, [1.0] * dim)


def first(height, where=lambda x: x[:, 0] > 0.5):
    return jf.Potential(lambda x: np.where(where(x), height, 0.0))


POTENTIALS = {
    "none": None, "wall": first(np.inf, lambda x: np.abs(x[:, 0]) < 0.3),
    "everywhere": first(np.inf, lambda x: x[:, 0] < 9.0),
    "nan": first(np.nan), "hole": first(-np.inf), "steep": jf.Potential(lambda x: 1e8 * x[:, 0]),
    "absurd": jf.Potential(lambda x: 1e300 * x[:, 0]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("V", POTENTIALS)
@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize("name", STEPPERS)
def test_a_status_or_a_typed_error(name, energy, V, dim):
    if name == "programme" and (dim == 3 or (dim == 2 and energy != "entropy")):
        pytest.skip("the coupling of so many cells takes a cone solver too long")
    F = ENERGIES[energy] + POTENTIALS[V] if POTENTIALS[V] is not None else ENERGIES[energy]
    starts = (bell, two_corners, one_cell) if V in ("none", "wall") else (bell,)
    for start in starts:
        mu = start(dim)
        for tau in (1e-9, 0.05, 1e6) if V == "none" else (0.05,):
            try:
                out = STEPPERS[name].step(F, mu, tau, {}, None)
            except JkoflowError as error:
                if V in ("nan", "hole"):
                    assert isinstance(error, InvalidFunctional)
                continue
            rho = out.measure
            # sums of some hundred masses, normalised
            assert rho.weights.sum() == pytest.approx(1.0, abs=1e-12) and rho.density.min() >= 0.0
            assert V not in ("nan", "hole")
            if out.status.ok:
                assert np.isfinite(F.value(rho)) and V != "everywhere"


@pytest.mark.parametrize("name", STEPPERS)
def test_no_place_to_be(name):
    F = jf.Entropy() + POTENTIALS["everywhere"]
    out = STEPPERS[name].step(F, bell(1), 0.1, {}, None)
    assert out.status is Status.INFEASIBLE


@pytest.mark.parametrize("name", STEPPERS)
def test_mass_that_starts_in_an_obstacle_leaves_it(name):
    """Its energy was infinite, which a flow refuses; a step leaves no mass there."""
    mu, wall = bell(1), POTENTIALS["wall"]
    out = STEPPERS[name].step(jf.PowerEnergy(2.0) + wall, mu, 0.05, {}, None)
    inside = np.abs(mu.points[:, 0]) < 0.3
    assert out.status.ok and out.measure.weights[inside].sum() == 0.0
    with pytest.raises(InvalidFunctional, match="initial measure"):
        jf.flow(jf.Problem(jf.PowerEnergy(2.0) + wall, mu, 0.05, 1), STEPPERS[name])


def test_inverted_and_flat_simplices():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    two = np.array([[0, 1, 2], [0, 2, 3]])
    folded = square.copy()
    folded[1] = [0.1, 0.9]  # across the diagonal: the first triangle covers a part of the second
    flat = square.copy()
    flat[1] = [0.5, 0.5]
    with pytest.raises(InvalidMeasure):
        jf.Mesh(flat, two, [0.5, 0.5])
    mesh = jf.Mesh(square, two, [0.5, 0.5])
    with pytest.raises(InvalidMeasure):
        mesh.with_nodes(folded)
