"""Steps of densities on grids: errors, seconds, parts, growth with the cells, memory.

Baselines of the same run: one pair of SciPy's cosine transforms, a c-transform by comparing all
pairs on each line, and the porous-medium equation itself by explicit finite volumes. The steps are
taken with one thread and with two, each in a process of its own:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/grids.py

Single sections: `python benchmarks/grids.py porous 256`, and so on (the functions below).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

import numpy as np
from scipy import fft
from scipy.special import erf

import jkoflow as jf
from jkoflow.steppers import BackAndForth
from jkoflow.transport.legendre import CTransform
from jkoflow.transport.neumann import Neumann

GAMMA, TAU, RADIUS = 0.05, 0.005, 0.1


def best(action, repeats):
    """The last result and the least wall and CPU seconds of some calls."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        result = action()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return result, min(wall), min(cpu)


def step(F, mu, tau, **options):
    """One step from nothing known."""
    return BackAndForth(**options).step(F, mu, tau, {}, None)


def error(mu, exact):
    return float(np.abs(mu.density - exact).sum() * mu.cell_volume)


def cosine_pair(n):
    """CPU seconds of a cosine transform of n² numbers and back."""
    f = np.random.default_rng(0).random((n, n))
    return best(lambda: fft.idctn(fft.dctn(f)), 5)[2]


def paraboloid(radius, n, sub=4):
    """Barenblatt's profile for m = 2 on the unit square, in cell averages."""
    x = ((np.arange(n * sub) + 0.5) / (n * sub) - 0.5) ** 2
    f = np.maximum(0.0, 1.0 - (x[:, None] + x) / radius**2)
    f = f.reshape(n, sub, n, sub).mean(axis=(1, 3))
    return f / f.mean()


def scale_after_step():
    """s³(s − R) = 8γτ/π: implicit Euler for the scale of the profile."""
    roots = np.roots([1.0, -RADIUS, 0.0, 0.0, -8.0 * GAMMA * TAU / np.pi])
    return float(max(r.real for r in roots if abs(r.imag) < 1e-12))


def porous(n):
    """m = 2, a step from R = .1: error, seconds, looks at the dual, gap over what cells hide."""
    mu, F = jf.Grid(paraboloid(RADIUS, n), 0, 1), jf.PowerEnergy(2.0, GAMMA)
    step(F, jf.Grid(paraboloid(0.3, 16), 0, 1), TAU)  # compiles
    out, wall, cpu = best(lambda: step(F, mu, TAU), 3)
    apart, stats = error(out.measure, paraboloid(scale_after_step(), n)), out.stats
    proved = stats["gap"] / stats["resolution"]
    print(f"{n:5}² {apart:9.2e} {wall:8.3f} {cpu:8.3f} {cpu / cosine_pair(n):8.0f} "
          f"{stats['evaluations']:6} {stats['gap']:10.2e} {proved:8.2f}", flush=True)  # fmt: skip
    return wall


def porous_equation(n):
    """∂ρ = γΔρ² to time τ by explicit finite volumes: seconds, error to Barenblatt's solution."""
    def advanced():
        rho, dt = paraboloid(RADIUS, n), 0.2 / (n * n * 2.0 * GAMMA * 2.0 / (np.pi * RADIUS**2))
        steps = int(np.ceil(TAU / dt))
        ratio = GAMMA * TAU / steps * n * n
        for _ in range(steps):
            p = np.pad(rho * rho, 1, mode="edge")
            rho = rho + ratio * (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]
                                 - 4.0 * p[1:-1, 1:-1])  # fmt: skip
        return rho

    rho, wall, _ = best(advanced, 1)
    # s³ ds/dt = 8γ/π: the scale of the equation's own solution
    exact = paraboloid((RADIUS**4 + 32.0 * GAMMA * TAU / np.pi) ** 0.25, n)
    print(f"{n:5}² {float(np.abs(rho - exact).mean()):9.2e} {wall:8.3f}   (to the equation)")


def normal(std, n):
    """Cell averages of a centred Gaussian on [−½, ½]²."""
    line = np.diff(erf(np.linspace(-0.5, 0.5, n + 1) / std / np.sqrt(2.0)))
    f = np.multiply.outer(line, line)
    return f / f.mean()


def fokker_planck(n, tolerance=1e-7, std=0.08, c=0.05, a=1.0, tau=0.01):
    """cH + (a/2)|x|² from a Gaussian, whose step is a Gaussian."""
    F = c * jf.Entropy() + jf.QuadraticPotential(a)
    mu = jf.Grid(normal(std, n), -0.5, 0.5)
    step(F, jf.Grid(normal(std, 16), -0.5, 0.5), tau)
    out, wall, cpu = best(lambda: step(F, mu, tau, tolerance=tolerance), 2)
    k = 1.0 + a * tau
    exact = normal((std + np.sqrt(std**2 + 4.0 * k * tau * c)) / (2.0 * k), n)
    print(f"{n:5}² {error(out.measure, exact):9.2e} {wall:8.3f} {cpu:8.3f} "
          f"{cpu / cosine_pair(n):8.0f} {out.stats['evaluations']:6} {out.stats['gap']:10.2e}"
          f"   tolerance {tolerance:g}", flush=True)  # fmt: skip


def disc(centre, n, sub=8):
    """The disc of area 1 in [−2, 2]² with density 1."""
    x = 4.0 * (np.arange(n * sub) + 0.5) / (n * sub) - 2.0
    inside = (x[:, None] - centre) ** 2 + x**2 < 1.0 / np.pi
    f = inside.reshape(n, sub, n, sub).mean(axis=(1, 3))
    return f / f.sum() * (n / 4.0) ** 2


def congestion(n, steps=4, k=1.0, a=0.8, tau=0.3, b=-0.6):
    """ρ ≤ 1 in V = k|x − a|²/2: the disc moves rigidly; error after each step."""
    mu, F = jf.Grid(disc(b, n), -2.0, 2.0), jf.Congestion(1.0) + jf.QuadraticPotential(k, [a, 0.0])
    state, errors, start = {}, [], time.perf_counter()
    for _ in range(steps):
        out = BackAndForth().step(F, mu, tau, state, None)
        mu, state = out.measure, out.state
        b = (b + k * tau * a) / (1.0 + k * tau)
        errors.append(error(mu, disc(b, n)))
    seconds = (time.perf_counter() - start) / steps
    row = " ".join(f"{e:.1e}" for e in errors)
    print(f"{n:5}² {row}   {seconds:.2f} s a step, largest density 1 + {mu.density.max() - 1:.0e}")


def parts(n):
    """Milliseconds of the c-transform, its transpose, a Poisson solve, and of their baselines."""
    h, tau = np.full(2, 1.0 / n), TAU
    x = (np.arange(n) + 0.5) / n - 0.5
    # as rough as a step's potential is: parabolas of either sign under a wave
    c = -0.3 * (x[:, None] ** 2 + x**2) / tau + 0.2 * np.sin(9.0 * x[:, None]) * np.cos(7.0 * x)
    mass = np.full((n, n), 1.0 / n**2)
    solve = Neumann((n, n), h)
    for refine in (1, 2):
        transform = CTransform(c, h, tau, refine)
        fine = np.repeat(np.repeat(mass, refine, 0), refine, 1)
        transform.transposed(fine)
        for name, action in (
            ("c-transform", lambda r=refine: CTransform(c, h, tau, r)),
            ("transpose", lambda t=transform, m=fine: t.transposed(m)),
        ):
            timed(f"{name}, {refine}² points a cell", action, 9)
    timed("Poisson solve", lambda: solve.solve(mass, 1.0, 1.0), 9)
    timed("SciPy's cosine pair", lambda: fft.idctn(fft.dctn(mass)), 9)
    timed("c-transform by all pairs of a line", lambda: compared(c, h[0], tau), 1)


def timed(name, action, repeats):
    _, wall, cpu = best(action, repeats)
    print(f"{name:>36} {1e3 * wall:8.2f} ms, CPU {1e3 * cpu:8.2f} ms", flush=True)


def compared(c, h, tau):
    """The c-transform of values at the nodes, by all pairs of each line."""
    k = np.arange(len(c))
    cost = (h * (k[:, None] - k)) ** 2 / (2.0 * tau)
    for _ in range(2):
        c = -np.stack([(cost - line).min(axis=1) for line in c]).T
    return -c


def memory(kind):
    """Peak memory of a process that takes one step, in GB; few iterations, since they add none."""
    n, dim = (128, 3) if kind == "128³" else (512, 2)
    shape = (n,) * dim
    mu = jf.Grid.from_function(
        lambda x: np.exp(-0.5 * ((x - 0.5) ** 2).sum(axis=1) / 0.01), np.zeros(dim), 1.0, shape
    )
    F = 0.02 * jf.Entropy() if kind != "512² porous" else jf.PowerEnergy(2.0, GAMMA)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    out = step(F, mu, 0.01, max_iterations=12)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{kind:>14}: peak {peak:5.2f} GB, of them {before:4.2f} before the step; "
          f"coupling of {len(out.witness.arrays['values'])} entries", flush=True)  # fmt: skip


def apart(threads, *arguments):
    """This script in a process of its own."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, __file__, *arguments], env=environment, check=True)


def growth():
    """Exponent of the seconds of a step in the number of cells, 64² to 512²."""
    sizes = (64, 128, 256, 512)
    walls = [porous(n) for n in sizes]
    slope = np.polyfit(np.log([n * n for n in sizes]), np.log(walls), 1)[0]
    print(f"seconds grow like cells^{slope:.2f}")


SECTIONS = {
    "porous": lambda n: porous(int(n)), "growth": growth, "parts": lambda n: parts(int(n)),
    "porous_equation": lambda n: porous_equation(int(n)), "memory": memory,
    "fokker_planck": lambda n, t="1e-7": fokker_planck(int(n), float(t)),
    "congestion": lambda n: congestion(int(n)),
}  # fmt: skip


def main():
    print("m = 2        L1     wall      CPU  pairs of  looks        gap     gap/")
    print("cells     error        s        s   cosines at dual             resolution")
    for threads in (1, 2):
        print(f"{threads} thread{'s' * (threads > 1)}", flush=True)
        apart(threads, "growth")
    for n in (64, 128):
        porous_equation(n)
    print("\nFokker–Planck", flush=True)
    for n, tolerance in ((128, "1e-7"), (256, "1e-5"), (256, "1e-7")):
        apart(1, "fokker_planck", str(n), tolerance)
    print("\nCongestion, L1 error after each step", flush=True)
    for n in (64, 128):
        apart(1, "congestion", str(n))
    print("\nParts", flush=True)
    for threads in (1, 2):
        print(f"{threads} thread{'s' * (threads > 1)}", flush=True)
        apart(threads, "parts", "512")
    print("\nMemory", flush=True)
    for kind in ("512² porous", "512² entropy", "128³"):
        apart(1, "memory", kind)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        SECTIONS[sys.argv[1]](*sys.argv[2:])
    else:
        main()
