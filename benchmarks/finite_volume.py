"""Finite volumes: seconds a step and orders, against a factorisation in every step.

One thread, processor time:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/finite_volume.py
"""

from __future__ import annotations

import time

import numpy as np
from scipy.sparse.linalg import splu

import jkoflow as jf
from jkoflow.dynamics.finite_volume import finite_volume
from jkoflow.dynamics.finite_volume_solver import Solver, coarsened


def seconds(action):
    """The result and the processor seconds of one call."""
    start = time.process_time()
    result = action()
    return result, time.process_time() - start


def fokker_planck(shape, dt=0.05, steps=10):
    """Seconds of the first step and of each further one, and of one factored anew."""
    d = len(shape)
    rho = jf.Grid.from_function(
        lambda x: np.exp(-0.5 * (x**2).sum(axis=1) / 0.09), [-2.0] * d, [2.0] * d, shape)
    F = jf.QuadraticPotential(1.0) + jf.Entropy()
    _, first = seconds(lambda: finite_volume(F, rho, dt=dt, steps=1))
    _, all_of_them = seconds(lambda: finite_volume(F, rho, dt=dt, steps=steps + 1))
    solver = Solver(F, rho, 1e-12, 40)
    flux = solver.faces.fluxes(rho.density.ravel(), solver.faces.jump(solver.potential), 1.0)
    matrix = solver.faces.matrix(dt * flux.out, dt * flux.back)
    anew = seconds(lambda: splu(matrix).solve(rho.density.ravel()))[1] if d < 3 else np.nan
    return first, (all_of_them - first) / steps, anew


def porous(n, steps=5):
    """Seconds, Newton iterations and factorisations a step: m = 2, γ = .05, τ = .005, R = .1."""
    rho = jf.Grid.from_function(
        lambda x: np.maximum(0.01 - (x**2).sum(axis=1), 0), [-0.5, -0.5], [0.5, 0.5], (n, n))
    run, spent = seconds(lambda: finite_volume(0.05 * jf.PowerEnergy(2.0), rho, dt=0.005,
                                               steps=steps))  # fmt: skip
    return spent / steps, run.iterations / steps, run.factorisations / steps


def errors(F, levels, dt, steps):
    """L1 distances to the density on the finest cells, averaged over the coarse ones."""
    ends = [finite_volume(F, jf.Grid.from_function(
        lambda x: np.exp(-3 * (x[:, 0] - 0.4) ** 2 - 2 * x[:, 1] ** 2), [-2, -2], [2, 2], (n, n),
        rule=4), dt=dt, steps=steps).final for n in levels]  # fmt: skip
    fine, found = ends[-1].density, []
    for end in reversed(ends[:-1]):
        while fine.shape != end.shape:
            fine = coarsened(fine)
        found.insert(0, float(np.abs(end.density - fine).sum() * end.cell_volume))
    return found


def main():
    print("Fokker–Planck         first step s   further s   factored anew s   ratio")
    for shape in [(64, 64), (128, 128), (256, 256), (32, 32, 32), (64, 64, 64)]:
        first, step, anew = fokker_planck(shape, steps=10 if len(shape) == 2 else 2)
        name = "×".join(map(str, shape))
        print(f"{name:20s} {first:13.3f} {step:11.4f} {anew:17.3f} {anew / step:7.1f}")
    print("\nporous medium, m = 2     s a step   Newton   factorisations")
    for n in (64, 128, 256):
        spent, newton, factored = porous(n)
        print(f"{n:4d}²               {spent:13.3f} {newton:8.1f} {factored:16.1f}")
    print("\norder in h: L1 to 256²     16²       32²       64²     orders")
    V = jf.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2 + x[:, 1] ** 2)
    for name, F in [("V + H/2", V + 0.5 * jf.Entropy()), ("V + ρ²", V + jf.PowerEnergy(2.0)),
                    ("V alone", V)]:  # fmt: skip
        found = errors(F, (16, 32, 64, 256), 0.05, 4)
        orders = np.log2(np.divide(found[:-1], found[1:]))
        print(f"{name:20s}", *(f"{e:9.1e}" for e in found), "  ", *(f"{o:.2f}" for o in orders))


if __name__ == "__main__":
    main()
