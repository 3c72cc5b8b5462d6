"""A step of the flow in (a, b, r1, r2), and an iteration of SGD that it stands for.

    OMP_NUM_THREADS=1 python benchmarks/four_parameters.py [--quick]

CPU time, best of three; d = 320, s0 = 60, Δ = .6. A step is a whole JKO step through `flow`:
minimised to 1e-9 of its slope, and its pairing proved optimal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, ScaledUnit, reduced_relu_risk, relu
from jkoflow.networks.four_parameters import normal_four_parameters
from jkoflow.steppers.particle.stepper import ParticleProximal

DIM, ACTIVE, KAPPA, EPSILON, TAU = 320, 60, 0.8, 2e-4, 0.05
CLASSES = GaussianClasses.std(DIM, 0.6, active=ACTIVE)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, the best of three after a first call."""
    work()
    found = []
    for _ in range(3):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def flow(n: int, steps: int, certify: bool) -> None:
    half_risk = 0.5 * reduced_relu_risk(CLASSES, terms=2)
    start = normal_four_parameters(n, DIM, ACTIVE, KAPPA)
    jf.flow(jf.Problem(half_risk, start, np.full(steps, TAU)), ParticleProximal(certify=certify))


def sgd(n: int, steps: int, dtype: type) -> None:
    w = KAPPA / DIM**0.5 * np.random.default_rng(0).standard_normal((n, DIM))
    theta = np.concatenate([np.ones((n, 2)), w], axis=1)
    jf.sgd(ScaledUnit(relu), CLASSES, theta, steps=steps, epsilon=EPSILON, xi=lambda t: t**-0.25,
           rng=0, dtype=dtype)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    part = 10 if parser.parse_args().quick else 1
    print("particles, ms a step:          with the proof      without")
    for n in (200, 1000, 4000):
        steps = max(2, 100 // part if n <= 1000 else 20 // part)
        costs = [1e3 * seconds(lambda n=n, c=c, k=steps: flow(n, k, c)) / steps  # type: ignore[misc]
                 for c in (True, False)]  # fmt: skip
        print(f"{n:>9} {costs[0]:>33.2f} {costs[1]:>12.2f}", flush=True)
    steps = 10_000 // part
    for dtype in (np.float32, np.float64):
        cost = 1e6 * seconds(lambda t=dtype: sgd(800, steps, t)) / steps  # type: ignore[misc]
        print(f"SGD, N = 800, {dtype.__name__}: {cost:.1f} µs an iteration; 10⁷ in "
              f"{cost / 6:.1f} min")  # fmt: skip


if __name__ == "__main__":
    main()
