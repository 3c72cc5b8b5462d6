"""SGD of a two-layer network against plain NumPy, plain numba and jax's scan, in one run.

    python benchmarks/sgd.py [--quick] [--large]

µs an iteration, sampling of the data included everywhere, best of several repetitions; d = 40,
truncated ReLU, two Gaussian classes. jax is measured where it can be imported. Threads: every
library as it comes, unless OMP_NUM_THREADS or the like says otherwise.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numba
import numpy as np

import jkoflow as jf
from jkoflow.networks import GaussianClasses, SimpleUnit, truncated_relu

DIM, EPSILON = 40, 2e-5
CLASSES = GaussianClasses.std(DIM, 0.8)
UNIT = SimpleUnit(truncated_relu)


def start(n: int, dtype: type) -> np.ndarray:
    return (0.8 / DIM**0.5 * np.random.default_rng(0).standard_normal((n, DIM))).astype(dtype)


def run_jkoflow(n: int, batch: int, steps: int, dtype: type) -> None:
    jf.sgd(UNIT, CLASSES, start(n, dtype), steps=steps, epsilon=EPSILON, batch=batch, rng=0,
           dtype=dtype)  # fmt: skip


def run_numpy(n: int, batch: int, steps: int, dtype: type) -> None:
    """What one writes first: θ (N, d), one matrix product there and one back."""
    theta, rng = start(n, dtype), np.random.default_rng(0)
    for _ in range(steps):
        x, y = CLASSES.sample(batch, rng, dtype=dtype)
        t = x @ theta.T
        residual = y - (np.clip(t, 0.5, 1.5) * 10 - 7.5).mean(axis=1)
        slope = np.where((t > 0.5) & (t <= 1.5), dtype(10), dtype(0))
        c = (dtype(2 * EPSILON / batch) * residual)[:, None] * slope
        theta += c.T @ x


@numba.njit(fastmath=True)
def plain_numba_chunk(theta, x, y, batch, step):  # type: ignore[no-untyped-def]
    n, d = theta.shape
    t = np.empty((batch, n), theta.dtype)
    for start_row in range(0, len(y), batch):
        change = np.zeros_like(theta)
        for r in range(batch):
            row, total = start_row + r, 0.0
            for i in range(n):
                s = theta[i, 0] * 0
                for j in range(d):
                    s += theta[i, j] * x[row, j]
                t[r, i] = s
                total += min(max(s, 0.5), 1.5) * 10 - 7.5
            c = theta.dtype.type(20 * step / batch * (y[row] - total / n))
            for i in range(n):
                if t[r, i] > 0.5 and t[r, i] <= 1.5:
                    for j in range(d):
                        change[i, j] += c * x[row, j]
        theta += change


def run_numba(n: int, batch: int, steps: int, dtype: type) -> None:
    """Plain loops over θ (N, d), compiled; it skips the inactive units."""
    theta, rng = start(n, dtype), np.random.default_rng(0)
    chunk = max(1, 2048 // batch)
    for k in range(0, steps, chunk):
        x, y = CLASSES.sample(min(chunk, steps - k) * batch, rng, dtype=dtype)
        plain_numba_chunk(theta, x, y, batch, dtype(EPSILON))


def make_jax() -> Callable[[int, int, int, type], None]:
    """`lax.scan` over the steps, data drawn in the scan by jax's own generator."""
    import functools

    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)

    @functools.partial(jax.jit, static_argnums=(2, 3))
    def scan(theta, key, batch, steps):  # type: ignore[no-untyped-def]
        def step(theta, key):  # type: ignore[no-untyped-def]
            one, two = jax.random.split(key)
            plus = jax.random.bernoulli(one, shape=(batch,))
            y = jnp.where(plus, 1, -1).astype(theta.dtype)
            std = jnp.where(plus, CLASSES.std_plus, CLASSES.std_minus).astype(theta.dtype)
            x = jax.random.normal(two, (batch, DIM), theta.dtype) * std[:, None]
            t = x @ theta.T
            residual = y - (jnp.clip(t, 0.5, 1.5) * 10 - 7.5).mean(axis=1)
            c = residual[:, None] * jnp.where((t > 0.5) & (t <= 1.5), 10, 0).astype(theta.dtype)
            return theta + theta.dtype.type(2 * EPSILON / batch) * (c.T @ x), None

        return jax.lax.scan(step, theta, jax.random.split(key, steps))[0]

    def run(n: int, batch: int, steps: int, dtype: type) -> None:
        scan(jnp.asarray(start(n, dtype)), jax.random.key(0), batch, steps).block_until_ready()

    return run


def microseconds(
    run: Callable[..., None], n: int, batch: int, steps: int, dtype: type, most: int
) -> float:
    """µs an iteration: the best of at most ``most`` runs, compiled before."""
    run(n, batch, steps, dtype)
    best = np.inf
    for _ in range(most):
        began = time.perf_counter()
        run(n, batch, steps, dtype)
        best = min(best, time.perf_counter() - began)
    return best / steps * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--large", action="store_true", help="N = 100 000 too")
    options = parser.parse_args()
    runs = {"jkoflow": run_jkoflow, "numba": run_numba, "numpy": run_numpy}
    try:
        runs["jax scan"] = make_jax()
    except ImportError:
        print("jax is not installed: its column is left out")
    cases = [(800, 1, 50_000), (800, 100, 1000), *([(100_000, 100, 24)] if options.large else [])]
    print(f"{os.cpu_count()} processors, numba {numba.get_num_threads()} threads, "
          f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")  # fmt: skip
    print(f"{'µs an iteration':<34}" + "".join(f"{name:>22}" for name in runs))
    for dtype in (np.float32, np.float64):
        for n, batch, steps in cases:
            steps = max(4, steps // 10) if options.quick else steps
            repetitions = 3 if n < 10_000 else 1
            line, ours = f"{dtype.__name__} N={n} batch={batch}".ljust(34), None
            for run in runs.values():
                fewer = steps if run is run_jkoflow else max(4, steps // 10)
                cost = microseconds(run, n, batch, fewer, dtype, repetitions)
                ours = ours or cost
                line += f"{cost:>13.1f} ({cost / ours:5.2f}×)"
            print(line, flush=True)


if __name__ == "__main__":
    main()
