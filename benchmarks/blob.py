"""Blob energies and splitting: all pairs against a matrix formula, and the way to a double well.

One thread, processor time, best of several:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/blob.py
"""

from __future__ import annotations

import time

import numpy as np

import jkoflow as jf
from jkoflow.dynamics.langevin import langevin
from jkoflow.functionals import BlobEntropy
from jkoflow.steppers import ParticleProximal, Splitting


def best(action, repeats=7):
    """The last result and the least processor milliseconds of some calls."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        result = action()
        spent.append(time.process_time() - start)
    return result, 1e3 * min(spent)


def with_matrices(x, w, eps):
    """The gradient of ∫log(k*ρ)dρ by n × n matrices, which is what one writes in NumPy."""
    squares = (x**2).sum(axis=1)
    distance = squares[:, None] + squares - 2 * x @ x.T
    k = np.exp(-0.5 * distance / eps**2) * w
    p = k.sum(axis=1)
    pull = k * (1 / p[:, None] + 1 / p)
    return -(x * pull.sum(axis=1)[:, None] - pull @ x) / eps**2


def gradients():
    print("gradient of the blob entropy   n     d   compiled ms   matrices ms   ratio   ns a pair")
    for n, d in [(1000, 2), (1000, 3), (4000, 2), (300, 1)]:
        x, w = np.random.default_rng(0).normal(size=(n, d)), np.full(n, 1 / n)
        F = BlobEntropy(0.2)
        mine, fast = best(lambda F=F, x=x, w=w: F.gradient_at_points(x, w))
        plain, slow = best(lambda x=x, w=w: with_matrices(x, w, 0.2), 3)
        assert np.abs(mine - plain).max() < 1e-9 * np.abs(plain).max()
        print(f"{n:32d} {d:5d} {fast:13.2f} {slow:13.1f} {slow / fast:7.1f} "
              f"{1e6 * fast / (2 * n * n):11.2f}")  # fmt: skip


def well(x):
    return (x[:, 0] ** 2 - 1) ** 2 + 0.5 * x[:, 1] ** 2


def well_gradient(x):
    return np.stack([4 * x[:, 0] * (x[:, 0] ** 2 - 1), x[:, 1]], axis=1)


def to_the_well(n=1000, beta=3.0, T=8.0):
    """Seconds to T, and the distance to independent points, by three methods."""
    V, x = jf.Potential(well, well_gradient), np.random.default_rng(1).normal(size=(n, 2))
    F = V + jf.Entropy() / beta
    star = jf.solve_gibbs(F, ([-3.0, -3.0], [3.0, 3.0])).measure
    rng = np.random.default_rng(2)
    width = star.spacing

    def draws():
        chosen = star.points[rng.choice(len(star.weights), n, p=star.weights)]
        return chosen + width * (rng.random((n, 2)) - 0.5)

    def off(points):
        from jkoflow.transport.distances import squared_distances
        from jkoflow.transport.exact import optimal_coupling

        return np.mean([np.sqrt(optimal_coupling(squared_distances(points, y)).cost)
                        for y in (draws(), draws())])  # fmt: skip

    blob = V + BlobEntropy(0.12) / beta
    taus = np.minimum(0.05 * 1.5 ** np.arange(40), 1.0)
    taus = taus[np.cumsum(taus) < T]
    cases = {
        "Langevin, 400 steps": lambda: langevin(F, x, steps=400, epsilon=T / 800, rng=3).theta,
        "Splitting, 40 steps": lambda: jf.flow(
            jf.Problem(F, jf.Particles(x), T / 40, 40), Splitting(), rng=3).final.points,
        f"blob JKO, {len(taus)} steps": lambda: jf.flow(
            jf.Problem(blob, jf.Particles(x), taus),
            ParticleProximal(tolerance=1e-4, certify=False)).final.points,
    }  # fmt: skip
    print(f"\ndouble well, n = {n}, β = {beta:g}, to T = {T:g}      seconds   W2 to {n} draws")
    print(f"{'(two sets of draws)':42s} {'':8s} {off(draws()):14.4f}")
    for name, run in cases.items():
        points, milliseconds = best(run, 1)
        print(f"{name:42s} {milliseconds / 1e3:8.3f} {off(points):14.4f}")


if __name__ == "__main__":
    gradients()
    to_the_well()
