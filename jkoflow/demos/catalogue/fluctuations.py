"""Fluctuations of trained networks: their variance against n, and batches large enough for SGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding
from ...dynamics.particle_flow import of_batches, particle_flow
from ...measures.base import Array
from ...networks.manifolds import uniform_on_sphere
from ...networks.sphere import SphereUnit, SpinRisk
from ...networks.spin import ThreeSpin
from ...rates import Rate, fit_rate
from ...report.style import COLOURS, DASHES, new_figure
from ..common import close, finish, pseudo_runs
from ..registry import Demo, DemoResult
from ..session import Session


@dataclass(frozen=True)
class Settings:
    """The target and the units are the paper's (recalled); the rest is ours."""

    dim: int = 5
    alpha: float = 1.0
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    runs: int = 32  # independent networks of each width
    groups: int = 8
    times: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
    dt: float = 0.1
    # at smaller ones the noise is so large that it feeds on itself, and falls faster than 1/P
    batches: tuple[int, ...] = (64, 128, 256, 512, 1024)
    sgd_widths: tuple[int, ...] = (32, 64, 128, 256)
    sgd_runs: int = 16


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(widths=(16, 32, 64, 128), runs=16, groups=4, dt=0.2, times=(0.0, 1.0, 4.0),
                        batches=(32, 128, 512), sgd_widths=(32, 64, 128), sgd_runs=8)  # fmt: skip
    return Settings()


def network(dim: int, n: int, rng: Any) -> Array:
    """n iid units: charges N(0, 1), positions uniform on the sphere of radius √d."""
    return np.column_stack([rng.standard_normal(n), uniform_on_sphere(n, dim, np.sqrt(dim), rng)])


def inputs(dim: int) -> Array:
    """1000 fixed inputs, at which predictions are compared."""
    return uniform_on_sphere(1000, dim, np.sqrt(dim), rng=7)


def flow_of_risk(
    seed: int, n: int, dim: int, alpha: float, times: tuple[float, ...], dt: float, rng: Any
) -> dict[str, Any]:
    """Predictions of one network at the given times, along the gradient flow of ½R."""
    unit = SphereUnit(dim, alpha)
    R = SpinRisk(ThreeSpin.draw(dim, rng=0), unit)
    flow = particle_flow(0.5 * R, network(dim, n, rng), dt=dt, steps=round(max(times) / dt),
                         manifold=unit.manifold, record=times)  # fmt: skip
    x = inputs(dim)
    return {"prediction": np.array([unit.value(th, x).mean(axis=1) for th in flow.snapshots])}


def noise_of_sgd(
    seed: int, n: int, dim: int, alpha: float, batches: tuple[int, ...], time: float, dt: float,
    rng: Any,
) -> dict[str, Any]:
    """Mean square distance of SGD's prediction from gradient descent's, the same start and dt."""
    unit, f = SphereUnit(dim, alpha), ThreeSpin.draw(dim, rng=0)
    theta, x, steps = network(dim, n, rng), inputs(dim), round(time / dt)

    def prediction(velocity: Any) -> Array:
        end = particle_flow(velocity, theta, dt=dt, steps=steps, manifold=unit.manifold, rng=rng)
        return unit.value(end.theta, x).mean(axis=1)

    exact = prediction(0.5 * SpinRisk(f, unit))
    away = [np.mean((prediction(of_batches(unit, f, b)) - exact) ** 2) for b in batches]
    return {"noise": np.array(away)}


def run(session: Session) -> DemoResult:
    """The demo ``fluctuations``: compute, judge, draw."""
    s = settings(session.quick)
    fixed = {"dim": [s.dim], "alpha": [s.alpha], "dt": [s.dt]}
    session.echo(f"gradient flow: {s.runs} networks each of n = {s.widths} units")
    flows = session.sweep(
        flow_of_risk, {"n": s.widths, "seed": range(s.runs), "times": [s.times], **fixed},
        "gradient-flow", rng=0,
    )  # fmt: skip
    predictions = flows.array("prediction").reshape(len(s.widths), s.runs, len(s.times), -1)
    session.echo(f"SGD: {s.sgd_runs} networks each of n = {s.sgd_widths}, batches {s.batches}")
    grid = {"n": s.sgd_widths, "seed": range(s.sgd_runs), "batches": [s.batches],
            "time": [s.times[-1]], **fixed}  # fmt: skip
    noise = session.sweep(noise_of_sgd, grid, "sgd", rng=1).array("noise")
    noise = noise.reshape(len(s.sgd_widths), s.sgd_runs, len(s.batches))
    variance = group_variances(predictions, s.groups)
    return finish(
        session.out, "Fluctuations of trained networks", judged(s, variance, noise),
        draw(s, variance, noise), caption(s), facts(s, variance, noise), [],
        {"n": np.array(s.widths), "T": np.array(s.times), "variance_groups": variance,
         "n_sgd": np.array(s.sgd_widths), "batch": np.array(s.batches), "sgd_noise": noise},
    )  # fmt: skip


def group_variances(predictions: Array, groups: int) -> Array:
    """Unbiased variances over the networks of a group, mean over inputs: (groups, n, times)."""
    widths, runs, times, points = predictions.shape
    split = predictions.reshape(widths, groups, runs // groups, times, points)
    return np.moveaxis(split.var(axis=2, ddof=1).mean(axis=-1), 1, 0)


def sufficient_batch(s: Settings, variance: Array, noise: Array) -> Array:
    """P*(n) with which SGD's noise, c/P, equals the variance between networks at the last time."""
    at = [s.widths.index(n) for n in s.sgd_widths]
    between = variance[:, at, -1].mean(axis=0)
    per_sample = np.mean(noise * np.array(s.batches), axis=-1).mean(axis=1)
    return np.asarray(per_sample / between)


def judged(s: Settings, variance: Array, noise: Array) -> list[Finding]:
    """Variance ~ 1/n at every time; noise ~ 1/P whatever n; hence P* ~ n, times dt.

    At T = 4 n·variance is 1.99, 1.62, 1.57, 1.37, 1.42 for n = 32 … 512, which is 1.35 (1 + 14/n):
    a line has the slope −1.12 there, and −1.00 ± .14 next to a term of relative order 1/n. Four
    widths cannot tell the two apart: the quick version has a line, and a margin.
    """
    enough_widths = len(s.widths) > 4 and len(s.sgd_widths) > 3
    told = ", next to a term of relative order 1/n" if enough_widths else ""
    margin = 0.0 if enough_widths else 0.15

    def in_width(widths: tuple[int, ...], rows: Array) -> Rate:
        return fit_rate(widths, pseudo_runs(rows), correction=-1.0 if enough_widths else None)

    found = []
    for k, t in enumerate(s.times):
        found.append(in_width(s.widths, variance[:, :, k]).finding(
            f"variance of the prediction falls like 1/n{told}", -1.0, (-0.5, -1.5),
            margin=margin, where=f"T = {t:g}",
        ))  # fmt: skip
    for j, n in enumerate(s.sgd_widths):
        found.append(fit_rate(s.batches, noise[j]).finding(
            "SGD's noise falls like 1/P", -1.0, (-0.5, -1.5), margin=0.1, where=f"n = {n}",
        ))  # fmt: skip
    by_width = np.moveaxis(noise.mean(axis=2), 1, 0)
    found.append(in_width(s.sgd_widths, by_width).finding(
        f"SGD's noise at a fixed batch does not depend on n{told}", 0.0, (-0.5, 0.5), margin=margin,
        where=f"T = {s.times[-1]:g}",
    ))  # fmt: skip
    enough = sufficient_batch(s, variance, noise) / np.array(s.sgd_widths)
    found.append(close(
        "batch at which the noise equals the variance, over n: largest by smallest",
        float(enough.max() / enough.min()), 2.0, f"n = {s.sgd_widths}",
        "P* grows like n, while n grows by more than 2; a fixed P would not do",
    ))  # fmt: skip
    return found


def draw(s: Settings, variance: Array, noise: Array) -> Any:
    """Variance against n; SGD's noise against P; both together, and where they meet."""
    figure, (left, middle, right) = new_figure(3, width=4.8, height=3.9)
    for k, t in enumerate(s.times):
        _line(left, np.array(s.widths), variance[:, :, k], k, f"T = {t:g}")
    left.set_xlabel("number n of units")
    left.set_ylabel("variance of the prediction")
    left.set_title("gradient flow from independent starts")
    for j, n in enumerate(s.sgd_widths):
        _line(middle, np.array(s.batches), noise[j], j, f"n = {n}")
    middle.set_xlabel("batch size P")
    middle.set_ylabel("mean |SGD − gradient descent|²")
    middle.set_title(f"SGD's noise at T = {s.times[-1]:g}, dt = {s.dt:g}")
    enough = sufficient_batch(s, variance, noise)
    units = np.array(s.sgd_widths)
    right.loglog(units, enough, "o", color=COLOURS[0], label="batch P* with noise = variance")
    slope = float(np.exp(np.mean(np.log(enough / units))))
    right.loglog(units, slope * units, color=COLOURS[1], linestyle="--", label=f"{slope:.2g}·n")
    right.set_xlabel("number n of units")
    right.set_ylabel("batch size P*")
    right.set_title(f"enough at dt = {s.dt:g}")
    for ax in (left, middle, right):
        ax.set_xscale("log", base=2)
        ax.legend(frameon=False, fontsize="small")
    return figure


def _line(ax: Any, x: Array, rows: Array, k: int, label: str) -> None:
    mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    ax.loglog(x, mean, color=COLOURS[k], linestyle=DASHES[k], marker="os^Dv"[k], markersize=4,
              label=label)  # fmt: skip
    ax.vlines(x, np.maximum(mean - error, 0.3 * mean), mean + error, color=COLOURS[k])


def caption(s: Settings) -> str:
    """What the figure shows, and what is whose."""
    return (
        f"3-spin target in d = {s.dim}, Gaussian units on the sphere (α = {s.alpha:g}, mean 1), "
        f"c ~ N(0, 1), exact population risk. Left: variance over {s.runs} independent networks "
        f"of the prediction, mean over inputs, along the gradient flow of ½R (clock T, explicit "
        f"steps dt = {s.dt:g}). Middle: what batches of P samples add, from the same start with "
        f"the same dt, {s.sgd_runs} networks. Right: the batch at which both are equal, which "
        f"grows like n and is proportional to dt (at smaller batches than shown the noise feeds on "
        f"itself and falls faster than 1/P). Bars: one standard error. Target and units: "
        f"Rotskoff and Vanden-Eijnden 2018 (recalled); α, starts and sizes are ours."
    )


def facts(s: Settings, variance: Array, noise: Array) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    rows: dict[str, Any] = {}
    for k, t in enumerate(s.times):
        scaled = np.array(s.widths) * variance[:, :, k].mean(axis=0)
        rows[f"n·variance at T = {t:g}, by n"] = ", ".join(f"{v:.3g}" for v in scaled)
    scaled = np.array(s.batches) * noise.mean(axis=1)
    rows["P·noise of SGD, by n (mean over P)"] = ", ".join(f"{v:.3g}" for v in scaled.mean(axis=1))
    enough = sufficient_batch(s, variance, noise)
    rows["batch P* with noise = variance, by n"] = ", ".join(f"{v:.3g}" for v in enough)
    return rows


DEMO = Demo(
    "fluctuations",
    "Trained networks vary like 1/n; SGD's noise stays below that if batches grow like n",
    60, 3,
    "3-spin energy and Gaussian units on the sphere: Rotskoff and Vanden-Eijnden 2018 (recalled); "
    "α, starts, widths, batches and steps are ours",
    run, "B2",
)  # fmt: skip
