"""What order two in time is worth: minimisations and seconds for the same error.

The Ornstein–Uhlenbeck flow on 1000 cells to t = 1, its mean and standard deviation against the
exact ones; then the same on Gaussians, a porous medium, and a double well; and adaptive steps
against equal ones.
For each error aimed at, the smallest number of equal steps that reaches it is searched for.
Figures are ratios between schemes in the same run, CPU seconds of one thread, best of three.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/second_order.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import jkoflow as jf
from jkoflow.measures.profiles import barenblatt
from jkoflow.steppers import SecondOrder
from jkoflow.steppers.choose import default_stepper

ERRORS = (1e-2, 1e-3, 1e-4)
MOST = 20_000


@dataclass(frozen=True)
class Case:
    """A flow with a way to tell the error at its end."""

    name: str
    functional: Any
    start: Any
    t_end: float
    error: Callable[[Any], float]


def ornstein_uhlenbeck(start: Any, name: str) -> Case:
    std = np.sqrt(1 - 0.75 * np.exp(-2.0))

    def error(mu: Any) -> float:
        return float(np.hypot(mu.mean()[0] - np.exp(-1.0), np.sqrt(mu.cov()[0, 0]) - std))

    return Case(name, jf.Entropy() + jf.QuadraticPotential(1.0), start, 1.0, error)


def distance(reference: Any) -> Callable[[Any], float]:
    return lambda mu: float(np.sqrt(mu.weights @ ((mu.points - reference) ** 2).sum(axis=1)))


def cases() -> list[Case]:
    disc = barenblatt(2.0, 0.5, 1000)
    spread = disc.points * (0.5**3 + 9.0) ** (1 / 3) / 0.5
    well = jf.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2, gradient=lambda x: 4 * x * (x**2 - 1),
                        hessian=lambda x: (12 * x**2 - 4)[:, :, None])  # fmt: skip
    F, mu = well + jf.Entropy() / 4, jf.Quantiles.normal(0.2, 0.5, 400)
    fine = jf.flow(jf.Problem(F, mu, 1.0 / 8000, 8000), SecondOrder(), save=jf.only_last()).final
    return [
        ornstein_uhlenbeck(jf.Quantiles.normal(1.0, 0.5, 1000), "Ornstein–Uhlenbeck, quantiles"),
        ornstein_uhlenbeck(jf.Gaussian(1.0, 0.25), "Ornstein–Uhlenbeck, Gaussian"),
        Case("porous medium m = 2, quantiles", jf.PowerEnergy(2.0), disc, 1.0, distance(spread)),
        Case("double well, quantiles", F, mu, 1.0, distance(fine.points)),
    ]


def run(case: Case, steps: int, stepper: Any) -> Any:
    problem = jf.Problem(case.functional, case.start, case.t_end / steps, steps)
    return jf.flow(problem, stepper, save=jf.only_last())


def fewest(case: Case, stepper: Any, error: float) -> int | None:
    """The smallest number of equal steps that is as good, by doubling and bisection."""
    good = 1
    while case.error(run(case, good, stepper).final) > error:
        good *= 2
        if good > MOST:
            return None
    bad = good // 2
    while good - bad > max(1, good // 50):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if case.error(run(case, middle, stepper).final) <= error else (
            good, middle)  # fmt: skip
    return good


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds, the best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    print("| flow | error | steps, first order | steps, second | work | CPU |")
    print("|---|---|---|---|---|---|")
    for case in cases():
        first, second = default_stepper(case.functional, case.start), SecondOrder()
        for error in ERRORS:
            n, m = fewest(case, first, error), fewest(case, second, error)
            if n is None or m is None:
                print(f"| {case.name} | {error:g} | {n or f'> {MOST}'} | {m or f'> {MOST}'} | | |")
                continue
            work = (m + 1) / n  # the start is two minimisations
            cpu = seconds(lambda: run(case, m, second)) / seconds(lambda: run(case, n, first))  # noqa: B023
            print(f"| {case.name} | {error:g} | {n} | {m} | 1/{1 / work:.1f} | 1/{1 / cpu:.1f} |")
    print("\nAdaptive against equal steps, from a law of width 0.01, error at the worst time:\n")
    print("| tolerance | minimisations | worst error | its estimate | equal steps, a power of 2 |")
    print("|---|---|---|---|---|")
    F, mu = jf.Entropy() + jf.QuadraticPotential(1.0), jf.Gaussian(0.0, 1e-4)
    for tolerance in (3e-2, 1e-2):
        found = jf.flow_adaptive(F, mu, 5.0, tolerance=tolerance)
        worst = worst_error(found)
        equal = 16
        while worst_error(jf.flow(jf.Problem(F, mu, 5.0 / equal, equal), SecondOrder())) > worst:
            equal *= 2
        told = f"{found.minimisations} | {worst:.1e} | {found.error:.1e} | {equal}"
        print(f"| {tolerance:g} | {told} |")


def worst_error(found: Any) -> float:
    """The largest error of the standard deviation along a run from N(0, 10⁻⁴)."""
    exact = np.sqrt(1 - (1 - 1e-4) * np.exp(-2 * found.times))
    return float(max(abs(np.sqrt(mu.cov()[0, 0]) - s)
                     for mu, s in zip(found.measures, exact, strict=True)))  # fmt: skip


if __name__ == "__main__":
    main()
