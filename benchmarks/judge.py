"""What judging a run costs against computing it, from memory and from disk.

Milliseconds a step, and their ratio to those of `flow`, in the same process, one thread, the least
over repeats. ``once`` is what a run costs however long it is, most of it the attack on F at its
first and last measure; it is in the ratios. From disk, the judge also reads and verifies the
store (``read``). ``V alone`` is what V and its gradient cost once a step, where they are functions
in Python: no judge that computes every number again can do with less.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/judge.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import jkoflow as jf
from jkoflow.check import check_run
from jkoflow.store.format import read_run

OU = jf.Entropy() + jf.QuadraticPotential(1.0)


def nearly_gaussian(dim: int) -> jf.Problem:
    """A potential that is not quadratic, so that steps are iterative."""
    V = jf.Potential(
        lambda x: np.log(np.cosh(x)).sum(axis=1) + 0.5 * (x * x).sum(axis=1),
        gradient=lambda x: np.tanh(x) + x,
        hessian=lambda x: (1.0 / np.cosh(x) ** 2 + 1.0)[:, :, None] * np.eye(x.shape[1]),
        convexity=1.0,
    )
    start = jf.Gaussian(np.ones(dim), np.diag(np.geomspace(0.2, 4.0, dim)))
    return jf.Problem(jf.Entropy() + V, start, tau=0.05, steps=30)


def anisotropic(dim: int) -> jf.Problem:
    """Ornstein–Uhlenbeck from a Gaussian that is not round."""
    start = jf.Gaussian(np.ones(dim), np.diag(np.geomspace(0.2, 4.0, dim)))
    return jf.Problem(OU, start, tau=0.005, steps=1000)


def quartic(n: int) -> jf.Problem:
    """A double well with noise, on the line; V'' ≥ −1 is claimed."""
    V = jf.Potential(
        lambda x: 0.25 * x[:, 0] ** 4 - 0.5 * x[:, 0] ** 2,
        gradient=lambda x: x**3 - x,
        hessian=lambda x: (3.0 * x**2 - 1.0)[:, :, None],
        convexity=-1.0,
    )
    start = jf.Quantiles.normal(0.3, 0.5, n)
    return jf.Problem(V + 0.5 * jf.Entropy(), start, tau=0.005, steps=1000)


def network(n: int, dim: int, tau: float, steps: int) -> jf.Problem:
    """Weights of a tanh network on 64 random inputs, with weight decay."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(64, dim)) / np.sqrt(dim), rng.normal(size=64)
    size = np.linalg.norm(x, axis=1)
    risk = jf.Risk(
        lambda theta: np.tanh(x @ theta.T), y,
        gradient=lambda theta: (1.0 - np.tanh(x @ theta.T) ** 2)[:, :, None] * x[:, None, :],
        slope_bounds=size, curvature_bound=0.77 * size**2,
    )  # fmt: skip
    start = jf.Particles(rng.normal(size=(n, dim)))
    F = 0.5 * risk + jf.QuadraticPotential(0.1)
    return jf.Problem(F, start, tau=tau, steps=steps)


def problems() -> dict[str, jf.Problem]:
    """By what is printed."""
    return {
        "1-D OU, n=200": jf.Problem(OU, jf.Quantiles.normal(0.0, 0.5, 200), tau=0.005, steps=1000),
        "1-D OU, n=1000": jf.Problem(
            OU, jf.Quantiles.normal(0.0, 0.5, 1000), tau=0.005, steps=1000
        ),
        "1-D double well, n=1000": quartic(1000),
        "radial OU in R^40, n=500": jf.Problem(
            OU, jf.Radial.normal(0.5, 40, 500), tau=0.002, steps=1000
        ),
        "Gaussian, d=1": jf.Problem(OU, jf.Gaussian(1.0, 0.25), tau=0.005, steps=1000),
        "Gaussian, d=10": anisotropic(10),
        "Gaussian, d=40": anisotropic(40),
        "Gaussian, d=10, log cosh": nearly_gaussian(10),
        "particles n=2000, D=40": network(2000, 40, 0.5, 10),
    }


def least(action, repeats: int) -> float:
    """Seconds of the fastest of several repeats."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return min(found)


def evaluate_potentials(run: jf.Trajectory) -> None:
    """V and ∇V at the points of all measures, a hundred measures at a time."""
    asked = [f for _, f in run.problem.functional.terms if isinstance(f, jf.Potential)]
    for k in range(0, len(run.records) if asked else 0, 100):
        x = np.concatenate([record.measure.points for record in run.records[k : k + 100]])
        for f in asked:
            f.V(x), f.V_gradient(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="part of the name of a problem")
    options = parser.parse_args()
    head = ("compute", "judge", "read", "once", "in memory", "on disk", "V alone")
    print(" " * 26 + "".join(f"{name:>11}" for name in head))
    for name, problem in problems().items():
        if options.only in name:
            print(f"{name:26}" + row(problem, options.repeats), flush=True)


def row(problem: jf.Problem, repeats: int) -> str:
    """Times a step and ratios for one problem."""
    run = jf.flow(problem)
    short = jf.Problem(problem.functional, problem.initial, problem.taus[:1])
    first = jf.flow(short)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        jf.flow(problem, store=path)
        compute = least(lambda: jf.flow(problem), repeats)
        judge = least(lambda: check_run(problem, run), repeats)
        once = least(lambda: check_run(short, first), repeats)
        read = least(lambda: list(read_run(path)), repeats)
        stored = least(lambda: check_run(problem, path), repeats)
    alone = least(lambda: evaluate_potentials(run), repeats)
    times = [1e3 * t / problem.steps for t in (compute, judge, read)] + [1e3 * once]
    ratios = (judge / compute, stored / compute, alone / compute)
    return "".join(f"{t:9.3f}ms" for t in times) + "".join(f"{r:11.2f}" for r in ratios)


if __name__ == "__main__":
    main()
