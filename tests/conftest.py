"""What all tests share: where the project's folders are, and one thread for small matrices."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Before numpy is loaded: at the tests' sizes, threads only wait for each other.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

# A shell's background jobs ignore Ctrl-C, and so would the runs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def taylor_rates():
    """Orders of F(x + hv) − F, less its first and its first two Taylor terms: they are 2 and 3.

    h is ``largest``, and a half and a quarter of it; ``relative`` displacements keep the signs of
    coordinates.
    """

    def rates(F, mu, largest=4e-2, relative=False):
        x, w = mu.points, mu.weights
        v = np.random.default_rng(3).normal(size=x.shape) * (x if relative else 1.0)
        value, slope, bend = F.expansion(x, w)
        steps = largest / np.array([1.0, 2.0, 4.0])
        first, second = np.sum(w[:, None] * slope * v), 0.5 * np.sum(v * bend.apply(v))
        change = np.array([F.value_at_points(x + h * v, w) - value for h in steps])
        left = np.abs([change - steps * first, change - steps * first - steps**2 * second])
        return np.diff(np.log(left)) / np.log(0.5)

    return rates
