"""Networks that learn a 3-spin energy: the settings, and runs of several widths at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dynamics.particle_flow import particle_flow
from ..dynamics.sgd.record import Recording, test_risk
from ..dynamics.sgd.run import sgd
from ..measures.base import Array
from ..networks.activations import sigmoid
from ..networks.manifolds import uniform_on_sphere
from ..networks.sphere import SphereUnit, SpinRisk
from ..networks.spin import ThreeSpin
from ..networks.units import ScaledUnit

TARGET = 0  # seed of the coefficients a_pqr, one target for each dimension


@dataclass(frozen=True)
class Sigmoid:
    """One experiment with sigmoid units and SGD."""

    dim: int
    widths: tuple[int, ...]
    runs: int
    steps: int
    batch: int
    epsilon: float = 0.2
    spread: float = 0.3  # w ~ N(0, spread² I), charge and bias N(0, 1)
    records: int = 4


@dataclass(frozen=True)
class Settings:
    """Targets, units and dimensions are the paper's; the rest is ours."""

    dim: int = 5
    alpha: float = 1.0
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    runs: int = 16
    times: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0)
    judged: tuple[float, ...] = (0.0, 1.0, 2.0)
    dt: float = 0.1
    draws: int = 4000
    level: float = 0.7  # risk, of E f² = 3.9, that the convergence time is until
    sigmoids: tuple[Sigmoid, ...] = (
        Sigmoid(10, (16, 32, 64, 128, 256), 16, 200, 200, 1.0),
        # with n = 16 … 256 the slope is −0.53 ± 0.20: the asymptotic law begins later in R^25
        Sigmoid(25, (64, 128, 256, 512, 1024), 12, 200, 200, 1.0),
    )


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(
            widths=(16, 32, 64, 128), runs=8, draws=1000, dt=0.2,
            sigmoids=(Sigmoid(10, (16, 32, 64, 128, 256), 12, 40, 200, 1.0, records=1),),
        )  # fmt: skip
    return Settings()


def parts_of(theta: Array, width: int) -> list[Array]:
    """All particles, in groups of ``width``."""
    return [theta[k : k + width] for k in range(0, len(theta), width)]


def gaussian_run(
    seed: int, dim: int, alpha: float, widths: tuple[int, ...], times: tuple[float, ...],
    dt: float, level: float, rng: Any,
) -> dict[str, Any]:
    """The same particles as one network, as two of half the width, and so on: mean risks.

    To first order the fluctuations of the halves cancel in the mean of their risks minus that of
    the whole, which leaves the excess C/n − C/2n with little noise.
    """
    unit = SphereUnit(dim, alpha)
    R = SpinRisk(ThreeSpin.draw(dim, rng=TARGET), unit)
    n = max(widths)
    z = uniform_on_sphere(n, dim, np.sqrt(dim), rng)
    theta = np.column_stack([rng.standard_normal(n), z])
    grid = np.unique([*times, *np.linspace(0.0, max(times), 33)])
    steps = round(max(times) / dt)
    rows = []
    for width in widths:
        flows = [particle_flow(0.5 * R, part, dt=dt, steps=steps, manifold=unit.manifold,
                               record=grid) for part in parts_of(theta, width)]  # fmt: skip
        rows.append(np.mean([flow.values(R) for flow in flows], axis=0))
    risks, at = np.array(rows), flows[0].times
    never = [row.min() > level for row in risks]
    reached = [np.interp(-np.log(level), -np.log(row), at) for row in risks]
    kept = np.argmin(np.abs(at[:, None] - np.array(times)), axis=0)
    return {"risk": risks[:, kept], "time": np.where(never, np.nan, reached)}


def sigmoid_run(
    seed: int, dim: int, widths: tuple[int, ...], steps: int, batch: int, epsilon: float,
    spread: float, records: int, rng: Any,
) -> dict[str, Any]:
    """The same by SGD, all networks on the same samples; risks on 3000 other points."""
    f, unit = ThreeSpin.draw(dim, rng=TARGET), ScaledUnit(sigmoid)
    x, y = f.sample(3000, rng)
    theta = rng.standard_normal((max(widths), dim + 2))
    theta[:, 2:] *= spread
    samples = int(rng.integers(2**31))
    times = epsilon * np.rint(np.linspace(0, steps, records + 1))
    record = Recording(times, {"risk": test_risk(unit, x, y)})
    rows = []
    for width in widths:
        runs = [
            sgd(unit, f, part, steps=steps, epsilon=epsilon, batch=batch, rng=samples,
                record=record).statistics["risk"]
            for part in parts_of(theta, width)
        ]  # fmt: skip
        rows.append(np.mean(runs, axis=0))
    return {"risk": np.array(rows), "t": times}
