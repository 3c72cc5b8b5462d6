"""One JKO step of the Ornstein–Uhlenbeck flow: against a bare Newton method and against cvxpy.

The bare Newton method below is the least that takes such a step: no objects, no statuses, no
witness, no energies. Figures are ratios to it in the same run, one thread, medians over repeats.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/ornstein_uhlenbeck.py
"""

from __future__ import annotations

import time

import numpy as np
from scipy.linalg import solveh_banded
from scipy.special import ndtri

import jkoflow as jf

TAU, STEPS, START = 0.1, 30, 0.5
F = jf.Entropy() + jf.QuadraticPotential(1.0)


def bare_newton(x, w, m, steps):
    """The step with NumPy and a banded solver, stopped on the Newton decrement."""
    for _ in range(steps):
        y = x
        for _ in range(30):
            length = np.diff(x)
            p = m / length
            g = w * (x - y) / TAU + w * x
            g[:-1] += p
            g[1:] -= p
            bands = np.empty((2, len(x)))
            bands[1] = w / TAU + w
            h = p / length
            bands[1, :-1] += h
            bands[1, 1:] += h
            bands[0, 1:] = -h
            d = solveh_banded(bands, -g, check_finite=False)
            t = 1.0
            while (np.diff(x + t * d) <= 0).any():
                t *= 0.5
            x = x + t * d
            if -(g @ d) < 1e-10:
                break
    return x


def stepper_alone(mu, steps):
    """QuantileNewton without the loop around it."""
    stepper, state, rng = jf.steppers.QuantileNewton(), {}, None
    for _ in range(steps):
        output = stepper.step(F, mu, TAU, state, rng)
        mu, state = output.measure, output.state
    return mu.edges


def whole_flow(mu, steps):
    """`flow`, with records, witnesses, energies and checks."""
    return jf.flow(jf.Problem(F, mu, TAU, steps)).final.edges


def convex_program(mu, steps):
    """cvxpy with parameters, solved by Clarabel."""
    import cvxpy as cp

    x, y = cp.Variable(len(mu.edges)), cp.Parameter(len(mu.edges))
    w, m = mu.weights, mu.mass
    energy = -(m @ cp.log(cp.diff(x))) + cp.sum(cp.multiply(0.5 * w, cp.square(x)))
    distance = cp.sum(cp.multiply(w / (2 * TAU), cp.square(x - y)))
    problem = cp.Problem(cp.Minimize(energy + distance))
    y.value = np.array(mu.edges)
    problem.solve(solver=cp.CLARABEL)  # the compilation is not counted
    start = time.perf_counter()
    for _ in range(steps):
        problem.solve(solver=cp.CLARABEL)
        y.value = x.value
    return (time.perf_counter() - start) / steps, x.value


def seconds(function, *arguments, repeats=7):
    """Median seconds a step."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*arguments, STEPS)
        times.append((time.perf_counter() - start) / STEPS)
    return float(np.median(times))


def exact_std(steps):
    """Closed form, iterated."""
    s = START
    for _ in range(steps):
        c = 1.0 + TAU
        s = (s + np.sqrt(s * s + 4 * c * TAU)) / (2 * c)
    return s


def w2_to_normal(edges, mass, std):
    """W2 between the piecewise linear quantile function and the normal one, by quadrature."""
    levels = np.concatenate([[0.0], np.cumsum(mass)])
    s = np.sin(0.5 * np.pi * np.linspace(0, 1, 400_001)[1:-1]) ** 2
    gap = np.interp(s, levels / levels[-1], edges) - std * ndtri(s)
    return float(np.sqrt(np.gradient(s) @ gap**2))


def accuracy():
    print("\nerror after 10 steps, against the exact Gaussian steps")
    print(f"{'grading':>8} {'n':>6} {'std':>10} {'W2':>10}")
    for grading in ("uniform", "cosine", "tails"):
        for n in (250, 500, 1000, 2000):
            mu = jf.Quantiles.normal(0.0, START, n, grading)
            end = jf.flow(jf.Problem(F, mu, TAU, 10)).final
            std = exact_std(10)
            error = abs(end.cov()[0, 0] ** 0.5 - std)
            w2 = w2_to_normal(end.edges, end.mass, std)
            print(f"{grading:>8} {n:6d} {error:10.2e} {w2:10.2e}")


def main():
    print(f"{'n':>8} {'bare ms':>9} {'step':>7} {'flow':>7}   (ratios to bare Newton)")
    sizes, costs = (200, 1000, 5000, 100_000, 1_000_000), []
    for n in sizes:
        mu = jf.Quantiles.normal(0.0, START, n, "uniform")
        repeats = 7 if n <= 5000 else 1
        start = np.array(mu.edges)
        bare = seconds(bare_newton, start, mu.weights, mu.mass, repeats=repeats)
        step = seconds(stepper_alone, mu, repeats=repeats)
        whole = seconds(whole_flow, mu, repeats=repeats)
        costs.append(step)
        print(f"{n:8d} {1e3 * bare:9.3f} {step / bare:7.2f} {whole / bare:7.2f}")
    slope = np.polyfit(np.log(sizes[2:]), np.log(costs[2:]), 1)[0]
    print(f"fitted slope of the step's cost from n = {sizes[2]} to {sizes[-1]}: {slope:.2f}")

    mu = jf.Quantiles.normal(0.0, START, 1000, "uniform")
    cone, x = convex_program(mu, 3)
    print(f"cvxpy + Clarabel at n = 1000: {1e3 * cone:.1f} ms, {cone / costs[1]:.0f}x ours, "
          f"largest difference {np.abs(x - stepper_alone(mu, 3)).max():.1e}")  # fmt: skip
    accuracy()


if __name__ == "__main__":
    main()
