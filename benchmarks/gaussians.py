"""One closed step of a Gaussian in d dimensions, against one eigendecomposition of its covariance.

The eigenvectors travel in the stepper's state, so that a step costs two matrix products. Figures
are ratios to `numpy.linalg.eigh` in the same run, one thread, best of several.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/gaussians.py
"""

from __future__ import annotations

import time

import numpy as np

import jkoflow as jf

F, TAU, STEPS = jf.Entropy() + jf.QuadraticPotential(1.0), 0.1, 5


def best(action, repeats=7):
    """The shortest of several times, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def steps_from(first):
    """Some steps that go on from one, each from the state of the one before."""
    stepper, out = jf.steppers.BuresProximal(), first
    for _ in range(STEPS):
        out = stepper.step(F, out.measure, TAU, out.state, None)
    return out


def main():
    rng = np.random.default_rng(0)
    print(f"{'d':>6} {'eigh ms':>9} {'step':>6}   (ratio to eigh)")
    for d in (50, 100, 200, 500, 1000):
        factor = rng.normal(size=(d, d))
        mu = jf.Gaussian(rng.normal(size=d), factor @ factor.T / d + 0.05 * np.eye(d))
        first = jf.steppers.BuresProximal().step(F, mu, TAU, {}, None)
        step = best(lambda: steps_from(first)) / STEPS  # noqa: B023
        bare = best(lambda: np.linalg.eigh(mu.cov()))  # noqa: B023
        print(f"{d:6d} {1e3 * bare:9.2f} {step / bare:6.2f}")


if __name__ == "__main__":
    main()
