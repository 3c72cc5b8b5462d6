"""Steps of particles: evaluations and time on digit images, and the price of a certificate.

Three tables. The flow of half the risk of a tanh network on scikit-learn's digits, by each method;
one step of 2000 particles in 40 dimensions; proving a pairing by potentials, by POT and by SciPy's
assignment. One thread:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/particles.py
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import linear_sum_assignment

import jkoflow as jf
from jkoflow.networks.data_risk import data_risk
from jkoflow.networks.images import digits
from jkoflow.transport.distances import squared_distances
from jkoflow.transport.exact import optimal_coupling
from jkoflow.transport.pairing import pairing_potentials

METHODS = ("auto", "lbfgs", "newton")


def timed(function, *arguments, **options):
    """The result and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - start


def network(inputs, targets):
    """Half the risk of a tanh network on a data set."""
    unit = jf.networks.SimpleUnit(jf.networks.tanh)
    return 0.5 * data_risk(unit, inputs, targets)


def digits_flow(tau, method, steps=10, n=200):
    """Mean seconds, evaluations and final residual/slope of steps on digit images."""
    data = digits()
    x, y = np.concatenate([data.x, data.x_test]), np.concatenate([data.y, data.y_test])
    F = network(x, y)
    start = np.random.default_rng(0).normal(size=(n, x.shape[1])) / np.sqrt(x.shape[1])
    problem = jf.Problem(F, jf.Particles(start), tau, steps)
    run, seconds = timed(jf.flow, problem, jf.steppers.ParticleProximal(method=method))
    evaluations = np.mean([record.stats["evaluations"] for record in run])
    worst = max(record.stats["residual"] / record.stats["slope"] for record in run)
    return seconds / steps, evaluations, worst, {r.stats["certificate"] for r in run}


def large_step(n=2000, d=40, q=1000, tau=1.0):
    """Seconds of one step of many particles."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(q, d)) / np.sqrt(d)
    F = network(x, np.sign(x[:, 0] * x[:, 1]))
    mu = jf.Particles(rng.normal(size=(n, d)))
    return timed(jf.steppers.ParticleProximal().step, F, mu, tau, {}, rng)


def certificates(n, d, noise, seed=0):
    """Seconds to prove x ↔ x + noise optimal (or to find better), by three methods."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = x + noise * rng.normal(size=(n, d))
    proof, sweeps = timed(pairing_potentials, x, y, np.zeros(n))
    cost = squared_distances(x, y)
    best, simplex = timed(optimal_coupling, cost)
    _, assignment = timed(linear_sum_assignment, cost)
    _, warm = timed(optimal_coupling, cost, potentials=(best.f, best.g))
    return proof is not None, sweeps, simplex, warm, assignment


def main():
    print("digits, n=200      tau   s/step  evaluations  residual/slope  certificate")
    for tau in (0.1, 1.0, 10.0):
        for method in METHODS:
            seconds, evaluations, worst, routes = digits_flow(tau, method)
            row = f"{method:>12} {tau:9g} {seconds:8.3f} {evaluations:12.1f} {worst:15.1e}"
            print(row, *routes)
    output, seconds = large_step()
    stats = dict(output.stats)
    print(f"\nn=2000, d=40: {seconds:.2f} s, {output.status.name}, {stats}")
    print("\n    n   d  noise  proved   sweeps      POT   warm POT  assignment (s)")
    optimal_coupling(np.eye(2))  # the first call imports POT
    for n, d, noise in ((200, 3, 0.03), (200, 64, 0.5), (2000, 40, 0.3), (2000, 3, 0.1)):
        proved, *times = certificates(n, d, noise)
        print(f"{n:5} {d:3} {noise:6g}  {proved!s:>6} " + "".join(f"{t:9.4f}" for t in times))


if __name__ == "__main__":
    main()
