"""Entropic steps on grids: time and error against the exact JKO step, beside other methods.

Fokker–Planck, porous medium of exponent 2, and a crowd, each with a closed form. Beside
`EntropicScaling`: the same iteration as it is usually written, with exponentials and without
mixing, to its own tolerance of 1e-4, and `BackAndForth`. One thread:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scaling.py [largest n, 512]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.special import erf, wrightomega

import jkoflow as jf
from jkoflow.steppers import BackAndForth, EntropicScaling

TEXTBOOK_ITERATIONS = 300


def timed(function, repeats):
    """The result, and the least CPU seconds of some repeats."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return result, best


def l1(a, b):
    return float(np.abs(a.density - b.density).sum() * a.cell_volume)


def normal(std, n):
    edges = np.linspace(-0.5, 0.5, n + 1)
    factor = np.diff(erf(edges / std / np.sqrt(2)))
    return jf.Grid(np.outer(factor, factor) / factor.sum() ** 2 * n * n, -0.5, 0.5)


def averaged(f, n, half, sub=6):
    """Cell averages of a function of (x, y) on [−half, half]², normalised."""
    x = half * (2 * (np.arange(n * sub) + 0.5) / (n * sub) - 1)
    rho = f(x[:, None], x).reshape(n, sub, n, sub).mean(axis=(1, 3))
    return jf.Grid(rho / rho.sum() * (n / (2 * half)) ** 2, -half, half)


def paraboloid(radius, n):
    return averaged(lambda x, y: np.maximum(0, 1 - (x * x + y * y) / radius**2), n, 0.5)


def disc(centre, n):
    return averaged(lambda x, y: 1.0 * ((x - centre) ** 2 + y * y < 1 / np.pi), n, 2.0)


def problems(n):
    """name: functional, start, τ, exact step, and the textbook's map of s for σ."""
    std, c, tau = 0.08, 0.05, 0.01
    k = 1 + tau
    new = (std + np.sqrt(std**2 + 4 * k * tau * c)) / (2 * k)
    F, mu = c * jf.Entropy() + jf.QuadraticPotential(1.0), normal(std, n)
    V = F.smooth.first_variation(mu, mu.points).reshape(mu.shape)
    yield ("Fokker–Planck", F, mu, tau, normal(new, n),
           lambda s, sigma: (s * np.exp(-sigma * (V + c))) ** (1 / (1 + sigma * c)))  # fmt: skip
    radius, gamma, tau = 0.1, 0.05, 0.005
    roots = np.roots([1.0, -radius, 0, 0, -8 * gamma * tau / np.pi])
    new = max(r.real for r in roots if abs(r.imag) < 1e-12)
    yield ("porous medium", jf.PowerEnergy(2.0, gamma), paraboloid(radius, n), tau,
           paraboloid(new, n),
           lambda s, sigma: wrightomega(np.log(s) + np.log(2 * gamma * sigma))
           / (2 * gamma * sigma))  # fmt: skip
    tau, b, a = 0.3, -0.6, 0.8
    F, mu = jf.Congestion(1.0) + jf.QuadraticPotential(1.0, [a, 0.0]), disc(b, n)
    U = F.smooth.first_variation(mu, mu.points).reshape(mu.shape)
    yield ("crowd", F, mu, tau, disc((b + tau * a) / (1 + tau), n),
           lambda s, sigma: np.minimum(s * np.exp(-sigma * U), 1.0))  # fmt: skip


def textbook(mu, tau, prox, tolerance=1e-4):
    """Scaling with exponentials and the kernel width h; the density, and whether it ended."""
    n, h = mu.shape[0], float(mu.spacing[0])
    x = mu.axes()[0]
    K = np.exp(-((x[:, None] - x) ** 2) / (2 * h * h)) * h / np.sqrt(2 * np.pi * h * h)
    a, sigma = np.ones((n, n)), tau / (h * h)
    with np.errstate(all="ignore"):
        k, change = 0, np.inf
        while change >= tolerance and k < TEXTBOOK_ITERATIONS:
            k += 1
            b = mu.density / (K @ a @ K)
            s = K @ b @ K
            rho = prox(s, sigma)
            change = np.abs(rho - a * s).sum() * h * h
            a = rho / s
    return rho, k, change


def described(name, seconds, error, iterations, baseline):
    print(f"  {name:28s} {seconds:8.3f} s  ×{seconds / baseline:6.2f}  L1 {error:.1e}"
          f"  {iterations} iterations", flush=True)  # fmt: skip


STEPPERS = {
    "scaling, debiased": EntropicScaling(),
    "scaling, debiased, no witness": EntropicScaling(witnessed=False),
    "scaling, Lebesgue, no witness": EntropicScaling(debiased=False, witnessed=False),
}


def compare(F, mu, tau, exact, prox):
    """Every method's time, error and iterations on one step."""
    repeats = 3 if mu.shape[0] <= 128 else 1
    out, base = timed(lambda: BackAndForth().step(F, mu, tau, {}, None), repeats)
    described("BackAndForth", base, l1(out.measure, exact), out.stats["iterations"], base)
    for name, stepper in STEPPERS.items():
        out, seconds = timed(lambda s=stepper: s.step(F, mu, tau, {}, None), repeats)
        ended = f"{out.stats['iterations']} {out.status.name}"
        described(name, seconds, l1(out.measure, exact), ended, base)
    (rho, k, change), seconds = timed(lambda: textbook(mu, tau, prox), 1)
    error = float(np.abs(rho - exact.density).sum() * mu.cell_volume)
    described("scaling, textbook", seconds, error, f"{k} (left {change:.0e})", base)


def main(largest):
    n = 32  # compiles
    while n <= largest:
        for name, *problem in problems(n):
            print(f"{name}, {n}²")
            compare(*problem)
        n *= 2


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 512)
