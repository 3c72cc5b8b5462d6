"""Milliseconds for a step of the flow of ½R in R^40, and for importing the package.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/radial_network.py
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

import jkoflow as jf


def milliseconds_a_step(cells, tau, t_end=2.0, repeats=3):
    """Median over repeats, and Newton iterations a step."""
    classes = jf.networks.GaussianClasses.std(40, 0.8)
    risk = jf.networks.radial_risk(classes, jf.networks.truncated_relu)
    start = jf.Radial.normal(0.8 / np.sqrt(40), 40, cells)
    problem = jf.Problem(0.5 * risk, start, tau, t_end=t_end)
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run = jf.flow(problem)
        times.append(1e3 * (time.perf_counter() - begin) / len(run))
    iterations = np.mean([record.stats["iterations"] for record in run])
    return np.median(times), iterations, len(run)


def seconds_to_import(module):
    """Median over fresh interpreters."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(5)]
    return float(np.median([float(run) for run in runs]))


def main():
    print(f"{'cells':>6} {'tau':>7} {'steps':>6} {'ms/step':>8} {'Newton/step':>12}")
    for cells in (250, 1000, 4000):
        for tau in (0.005, 0.02):
            ms, iterations, steps = milliseconds_a_step(cells, tau)
            print(f"{cells:6d} {tau:7.3f} {steps:6d} {ms:8.2f} {iterations:12.1f}")
    numpy, both = seconds_to_import("numpy"), seconds_to_import("numpy, jkoflow")
    print(f"import numpy {numpy:.3f} s, import numpy and jkoflow {both:.3f} s")


if __name__ == "__main__":
    main()
