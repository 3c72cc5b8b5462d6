"""Steps on moving meshes: error of the map to the exact step, order, Newton iterations, CPU time.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/mesh.py

Porous medium from Barenblatt profiles, Fokker–Planck from a normal law cut at 6σ (on meshes in
rings only: see docs/meshes.md).
The last column is the time of a whole step over that of one sparse factorisation (SuperLU) of its
Hessian at the old nodes, which Newton's method with a direct solver pays at every iteration.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from scipy import sparse
from scipy.optimize import brentq
from scipy.sparse.linalg import splu

import jkoflow as jf
from jkoflow.steppers import MeshNewton
from jkoflow.steppers.mesh.newton import Assembly, System
from jkoflow.steppers.mesh.objective import MeshObjective

TAU = 0.1
LARGEST_FACTORED = 13000  # unknowns times dimension; in R^3 fill makes more of no use


def barenblatt(shape, dim, m, size):
    """The mesh, the energy, and the factor by which the exact step stretches."""
    mu = shape(1.0, size, lambda x: np.maximum(1 - (x**2).sum(axis=1), 0.0) ** (1 / (m - 1)))
    r = (np.arange(20000) + 0.5) / 20000
    sphere = 2 * np.pi if dim == 2 else 4 * np.pi
    top = 1 / (sphere * np.mean(r ** (dim - 1) * (1 - r**2) ** (1 / (m - 1))))
    c = 2 * m / (m - 1) * top ** (m - 1)
    scale = brentq(lambda s: s - 1 - TAU * c * s ** (-dim * (m - 1) - 1), 1, 9)
    return mu, jf.PowerEnergy(m), scale


def fokker_planck(shape, dim, size, std=0.5):
    mu = shape(6 * std, size, lambda x: np.exp(-(x**2).sum(axis=1) / (2 * std**2)))
    after = (std + np.sqrt(std**2 + 4 * (1 + TAU) * TAU)) / (2 * (1 + TAU))
    return mu, jf.Entropy() + jf.QuadraticPotential(1.0), after / std


def cpu(work):
    begin = time.process_time()
    answer = work()
    return answer, time.process_time() - begin


def factorisation(F, mu):
    """CPU seconds of SuperLU on the Hessian at the old nodes."""
    objective = MeshObjective(F, mu, TAU)
    system = System(objective, objective.at(mu.nodes), Assembly(mu))
    matrix = sparse.csc_matrix(system.assembly.matrix(system.exact))
    options = {"SymmetricMode": True}
    return cpu(lambda: splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                            options=options))[1]  # fmt: skip


def main():
    print(f"{'problem':>22} {'nodes':>6} {'map error':>9} {'order':>5} {'Newton':>6} "
          f"{'CG':>4} {'CPU s':>6} {'/ LU':>5}")  # fmt: skip
    for grading, ball, dim, sizes in [
        (None, jf.Mesh.disc, 2, (8, 16, 32, 64)), (0.0, jf.Mesh.disc, 2, (8, 16, 32, 64)),
        (0.9, jf.Mesh.disc, 2, (8, 16, 32, 64)), (None, jf.Mesh.ball, 3, (4, 8, 12, 18)),
        (0.5, jf.Mesh.ball, 3, (4, 8, 12, 16)),
    ]:  # fmt: skip
        shape = partial(ball, grading=grading)
        problems = {
            f"porous medium, m = {m:g}": lambda s, c=shape, d=dim, m=m: barenblatt(c, d, m, s)
            for m in (1.5, 2.0, 3.0)
        }
        if grading is None:
            problems["Fokker–Planck"] = lambda s, c=shape, d=dim: fokker_planck(c, d, s)
        print("in rings" if grading is None else f"grading {grading}")
        for name, make in problems.items():
            last = None
            for size in sizes:
                mu, F, scale = make(size)
                step = MeshNewton(proved=0)
                runs = [cpu(lambda: step.step(F, mu, TAU, {}, None)) for _ in range(2)]  # noqa: B023
                out, seconds = runs[0][0], min(t for _, t in runs)
                assert out.status.ok, out.status
                away = ((out.measure.nodes - scale * mu.nodes) ** 2).sum(axis=1)
                error, n = float(np.sqrt(mu.weights @ away)), len(mu.nodes)
                order = dim * np.log(last[0] / error) / np.log(n / last[1]) if last else np.nan
                small = n <= (LARGEST_FACTORED if dim == 2 else 3000)
                ratio = f"{seconds / factorisation(F, mu):5.2f}" if small else "    –"
                print(f"{name:>22} {n:6d} {error:9.2e} {order:5.2f} {out.stats['iterations']:6d} "
                      f"{out.stats['rounds']:4d} {seconds:6.2f} {ratio}", flush=True)  # fmt: skip
                last = error, n


if __name__ == "__main__":
    main()
