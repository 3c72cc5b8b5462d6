"""Null rejection and power of `check_samples`, as tabulated in docs/samples.md.

    python benchmarks/samples.py [--repetitions 400] [--only WORD] [--large]

Targets: N(0, I) in R^D, and two modes N(±3e₁, I) of equal mass; for the null also independent
coordinates of Gumbel's law and of Gamma(3). Each row is one alternative at one
size; each column the share of repetitions in which a test is rejected after the correction for all
tests, the first one that in which anything is. ``--large`` times 10 000 points.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import jkoflow as jf

Sampler = Callable[[np.random.Generator, int, int], np.ndarray]
APART = 3.0


def normal(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return rng.standard_normal((n, dim))


def shifted(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    x = normal(rng, n, dim)
    x[:, 0] += 0.2
    return x


def wider(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return 1.1 * normal(rng, n, dim)


def heavier(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Student's t with 5 degrees of freedom, variance one, coordinates independent."""
    return rng.standard_t(5, (n, dim)) * (3 / 5) ** 0.5


def correlated(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Normal, but for a correlation of .6 between the first two coordinates."""
    x = normal(rng, n, dim)
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    return x


def modes(share: float) -> Sampler:
    def draw(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
        x = normal(rng, n, dim)
        x[:, 0] += np.where(rng.random(n) < share, APART, -APART)
        return x

    return draw


def chain(memory: float) -> Sampler:
    """A stationary AR(1) in every coordinate, with autocorrelation time (1+a)/(1−a)."""

    def draw(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
        from scipy.signal import lfilter

        e = rng.standard_normal((n + 500, dim)) * (1 - memory**2) ** 0.5
        return np.asarray(lfilter([1.0], [1.0, -memory], e, axis=0)[500:])

    return draw


def gumbel(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return rng.gumbel(size=(n, dim))


def gamma(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return rng.gamma(3.0, size=(n, dim))


def gamma_log_density(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.asarray((2.0 * np.log(np.maximum(x, 0.0)) - x).sum(axis=1))


def bimodal_log_density(x: np.ndarray) -> np.ndarray:
    return np.asarray(-0.5 * (x**2).sum(axis=1) + np.logaddexp(APART * x[:, 0], -APART * x[:, 0]))


def bimodal_score(x: np.ndarray) -> np.ndarray:
    s = -np.asarray(x)
    s[:, 0] += APART * np.tanh(APART * x[:, 0])
    return s


NORMAL = jf.QuadraticPotential(1.0) + jf.Entropy()
BIMODAL = jf.KullbackLeibler(bimodal_log_density, bimodal_score)
GUMBEL = jf.KullbackLeibler(lambda x: -(x + np.exp(-x)).sum(axis=1), lambda x: np.exp(-x) - 1.0)
GAMMA = jf.KullbackLeibler(gamma_log_density, lambda x: 2.0 / x - 1.0)
CASES: dict[str, tuple[object, Sampler, Sampler]] = {
    "null, normal": (NORMAL, normal, normal),
    "null, two modes": (BIMODAL, modes(0.5), modes(0.5)),
    "null, Gumbel": (GUMBEL, gumbel, gumbel),
    "null, Gamma(3)": (GAMMA, gamma, gamma),
    "shift 0.2σ": (NORMAL, shifted, normal),
    "scale 10%": (NORMAL, wider, normal),
    "modes 80/20": (BIMODAL, modes(0.8), modes(0.5)),
    "missing mode": (BIMODAL, modes(1.0), modes(0.5)),
    "tails t(5)": (NORMAL, heavier, normal),
    "correlation .6": (NORMAL, correlated, normal),
}


def shares(name: str, n: int, dim: int, given: bool, repetitions: int, seed: int) -> dict:
    """Share of repetitions in which each test is rejected, and in which any is."""
    F, draw, true = CASES[name]
    counts: dict[str, int] = {"any": 0}
    for k in range(repetitions):
        rng = np.random.default_rng([seed, k, n, dim])
        x = draw(rng, n, dim)
        reference = true(rng, 2 * n, dim) if given else None
        report = jf.check_samples(F, x, rng=rng, reference=reference)
        counts["any"] += report.verdict is jf.Verdict.REJECTED
        for finding in report.findings:
            short = finding.claim.removeprefix("not rejected: ")
            counts[short] = counts.get(short, 0) + (finding.verdict is jf.Verdict.REJECTED)
    return {test: count / repetitions for test, count in counts.items()}


def chain_shares(memory: float, n: int, dim: int, given: bool, repetitions: int) -> float:
    rejected = 0
    for k in range(repetitions):
        rng = np.random.default_rng([7, k, n])
        x = chain(memory)(rng, n, dim)
        reference = normal(rng, n, dim) if given else None
        report = jf.check_samples(NORMAL, x, rng=rng, reference=reference, correlated=True)
        rejected += report.verdict is jf.Verdict.REJECTED
    return rejected / repetitions


def time_large() -> None:
    for dim in (2, 40):
        x = normal(np.random.default_rng(0), 10_000, dim)
        for reference in (None, jf.Gaussian(np.zeros(dim), np.eye(dim))):
            begin = time.perf_counter()
            jf.check_samples(NORMAL, x, rng=0, reference=reference)
            seconds = time.perf_counter() - begin
            print(f"10000 points, D={dim}, reference {reference is not None}: {seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--only", default="")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 400, 1600])
    parser.add_argument("--dims", type=int, nargs="*", default=[2, 40])
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    if options.large:
        return time_large()
    for name in (case for case in CASES if options.only in case):
        for dim in options.dims:
            for given in (True, False):
                for n in options.sizes:
                    found = shares(name, n, dim, given, options.repetitions, 1)
                    cells = "  ".join(f"{test} {share:.3f}" for test, share in found.items())
                    print(f"{name:16} D={dim:<3} n={n:<5} reference={given!s:5}  {cells}")
    if options.only in "chain":
        for memory, n in ((0.5, 1000), (0.9, 4000), (0.9, 2000)):
            for given in (True, False):
                share = chain_shares(memory, n, 2, given, options.repetitions)
                print(f"AR(1) {memory} n={n} D=2 reference={given!s:5}  any {share:.3f}")


if __name__ == "__main__":
    main()
