"""Networks that learn a 3-spin energy: the loss and the time against the number of units."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...check import Finding
from ...functionals.finite_size import finite_size_correction
from ...measures.base import Array
from ...measures.particles import Particles
from ...networks.manifolds import uniform_on_sphere
from ...networks.sphere import SphereUnit, SpinRisk
from ...networks.spin import ThreeSpin
from ...rates import fit_rate
from ...report.style import COLOURS, DASHES, new_figure
from ..common import close, finish, has_a_limit, pseudo_runs
from ..registry import Demo, DemoResult
from ..session import Session
from ..three_spin_runs import (
    TARGET,
    Settings,
    Sigmoid,
    gaussian_run,
    settings,
    sigmoid_run,
)


def run(session: Session) -> DemoResult:
    """The demo ``three-spin``: compute, judge, draw."""
    s = settings(session.quick)
    session.echo(f"Gaussian units, d = {s.dim}: {s.runs} runs, up to n = {max(s.widths)} units")
    grid = {"seed": range(s.runs), "dim": [s.dim], "alpha": [s.alpha], "widths": [s.widths],
            "times": [s.times], "dt": [s.dt], "level": [s.level]}  # fmt: skip
    done = session.sweep(gaussian_run, grid, "gaussian-units", rng=1)
    risk = done.array("risk").reshape(s.runs, len(s.widths), len(s.times))
    time = done.array("time").reshape(s.runs, len(s.widths))
    findings = [*identity(s), *gaussian_findings(s, risk, time)]
    sigmoids = []
    for g in s.sigmoids:
        session.echo(f"sigmoid units, d = {g.dim}: {g.runs} runs of SGD, {g.steps} steps")
        axes = {"seed": range(g.runs), "dim": [g.dim], "widths": [g.widths], "steps": [g.steps],
                "batch": [g.batch], "epsilon": [g.epsilon], "spread": [g.spread],
                "records": [g.records]}  # fmt: skip
        table = session.sweep(sigmoid_run, axes, f"sigmoid-units-{g.dim}", rng=2)
        values = table.array("risk").reshape(g.runs, len(g.widths), g.records + 1)
        sigmoids.append((g, values, table.array("t").reshape(g.runs, -1)[0]))
        findings.append(sigmoid_finding(*sigmoids[-1]))
    return finish(
        session.out, "3-spin energies learned by networks of n units", findings,
        draw(s, risk, time, sigmoids), caption(s), facts(s, risk, time, sigmoids), [],
        data(s, risk, time, sigmoids),
    )  # fmt: skip


def excess(risk: Array) -> Array:
    """Risk at n minus at 2n for each run: (runs, widths − 1, times)."""
    return np.asarray(risk[:, :-1] - risk[:, 1:])


def identity(s: Settings) -> list[Finding]:
    """E R(ρ̂_N) − R(ρ) for N independent draws out of a discrete law of (c, z)."""
    rng = np.random.default_rng(3)
    R = SpinRisk(ThreeSpin.draw(s.dim, rng=TARGET), SphereUnit(s.dim, s.alpha))
    z = uniform_on_sphere(200, s.dim, np.sqrt(s.dim), rng)
    mu = Particles(np.column_stack([2 * rng.standard_normal(200) + 1, z]))
    found = []
    for n in (2, 8, 32):
        w = np.full(n, 1.0 / n)
        chosen = rng.integers(0, 200, size=(s.draws, n))
        values = [R.value_at_points(mu.points[row], w) for row in chosen]
        exact = finite_size_correction(R, mu, n)
        error = float(np.std(values, ddof=1)) / np.sqrt(s.draws)
        off = abs(float(np.mean(values)) - R.value(mu) - exact) / exact
        found.append(close(
            "E R of N iid units − R = (∫U dρ − ∬U dρdρ)/N, relative", off, 4 * error / exact,
            f"N = {n}", f"four standard errors of {s.draws} draws; the right side is {exact:.4g}",
        ))  # fmt: skip
    return found


def gaussian_findings(s: Settings, risk: Array, time: Array) -> list[Finding]:
    """Slopes −1 at early times, an excess that the flow reduces, a time that does not grow."""
    widths = np.array(s.widths)
    differences = excess(risk)
    found = []
    for t in s.judged:
        rate = fit_rate(widths[:-1], pseudo_runs(differences[:, :, s.times.index(t)]))
        found.append(rate.finding("Gaussian units: R(n) − R(2n) falls like 1/n", -1.0,
                                  (-0.5, -2.0), margin=0.15, where=f"T = {t:g}"))  # fmt: skip
    start, end = widths[-2] * differences[:, -1, 0], widths[-2] * differences[:, -1, -1]
    found.append(close(
        "Gaussian units: the flow has reduced n·excess", float(end.mean() / start.mean()), 0.7,
        f"n = {widths[-2]}, T = {s.times[-1]:g}", "of its value at the start; errors heal",
    ))  # fmt: skip
    found.append(has_a_limit(
        f"Gaussian units: time to R = {s.level:g}", widths, time, f"n = {widths[0]} … {widths[-1]}"
    ))  # fmt: skip
    return found


def sigmoid_finding(g: Sigmoid, values: Array, t: Array) -> Finding:
    """Slope −1 at the last time."""
    return fit_rate(g.widths[:-1], pseudo_runs(excess(values)[:, :, -1])).finding(
        f"sigmoid units, d = {g.dim}: R(n) − R(2n) falls like 1/n", -1.0, (-0.5, -2.0),
        margin=0.2, where=f"t = {t[-1]:g}",
    )  # fmt: skip


def draw(s: Settings, risk: Array, time: Array, sigmoids: list[Any]) -> Any:
    """Excess loss against n, Gaussian and sigmoid units; loss against time; time against n."""
    figure, axes = new_figure(2, 2, width=5.2, height=3.7)
    widths = np.array(s.widths)
    shown = [t for t in s.times if t in (*s.judged, 8.0, s.times[-1])]
    for k, t in enumerate(shown):
        rows = excess(risk)[:, :, s.times.index(t)]
        _draw_line(axes[0], widths[:-1], rows, k, f"T = {t:g}")
    axes[0].set_title(f"Gaussian units, d = {s.dim}, gradient flow")
    for k, (g, values, t) in enumerate(sigmoids):
        rows = excess(values)[:, :, -1]
        _draw_line(axes[1], np.array(g.widths[:-1]), rows, k, f"d = {g.dim}, t = {t[-1]:g}")
    axes[1].set_title("sigmoid units, SGD")
    for ax in axes[:2]:
        low, high = ax.get_xlim()
        x = np.array([low, high])
        ax.plot(x, ax.lines[0].get_ydata()[0] * ax.lines[0].get_xdata()[0] / x, color="#888888",
                linewidth=0.8, label="slope −1")  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_xlabel("number n of units")
        ax.set_ylabel("mean of R(n) − R(2n)")
        ax.legend(frameon=False, fontsize="small")
    for k, width in enumerate(widths):
        axes[2].semilogy(s.times, risk[:, k].mean(axis=0), color=COLOURS[k % 7],
                         linestyle=DASHES[k % 7], label=f"n = {width}")  # fmt: skip
    axes[2].axhline(s.level, color="#888888", linewidth=0.8)
    axes[2].set_xlabel("JKO time T")
    axes[2].set_ylabel("mean risk R")
    axes[2].set_title(f"Gaussian units, d = {s.dim}")
    axes[2].legend(frameon=False, fontsize="small")
    axes[3].errorbar(widths, time.mean(axis=0), yerr=time.std(axis=0, ddof=1), fmt="o-",
                     color=COLOURS[0], capsize=3, label=f"{s.runs} runs ± 1 s.d.")  # fmt: skip
    axes[3].set_xscale("log", base=2)
    axes[3].set_ylim(0, None)
    axes[3].set_xlabel("number n of units")
    axes[3].set_ylabel(f"JKO time T until R = {s.level:g}")
    axes[3].set_title("time to learn")
    axes[3].legend(frameon=False)
    return figure


def _draw_line(ax: Any, widths: Array, rows: Array, k: int, label: str) -> None:
    """Means of the runs with their standard errors, on logarithmic axes."""
    mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    up = np.maximum(mean, 1e-12)
    ax.loglog(widths, up, color=COLOURS[k], linestyle=DASHES[k], marker="os^Dv"[k], markersize=4,
              label=label)  # fmt: skip
    ax.vlines(widths, np.maximum(mean - error, 0.3 * up), mean + error, color=COLOURS[k])


def caption(s: Settings) -> str:
    """What the figure shows, and what is whose."""
    told = "; ".join(f"d = {g.dim}: ε = {g.epsilon:g}, batches of {g.batch}, {g.runs} runs"
                     for g in s.sigmoids)  # fmt: skip
    wide = any(g.dim == 25 for g in s.sigmoids)
    late = "At d = 25 fewer units than shown are not yet in the 1/n regime. " if wide else ""
    return (
        f"f(x) = (1/d) Σ a_pqr x_p x_q x_r on the sphere of radius √d, a iid N(0, 1), one target "
        f"for each d. Above left and below: d = {s.dim}, units c·exp(−α|x − z|²/2), "
        f"α = {s.alpha:g}, normalised to mean 1 over x, z on the sphere, c ~ N(0, 1); "
        f"gradient flow of ½R for the exact risk (dt = {s.dt:g}), "
        f"{s.runs} runs, JKO clock T. Above right: units c·σ(⟨w, x⟩ + b), σ the "
        f"logistic function, SGD ({told}), clock t = kε. The loss excess is measured between n "
        f"and 2n units with the same particles, which cancels most of the noise; C/n has the "
        f"difference C/2n. Bars: one standard error. {late}"
        f"Target, units and d = 5, 10, 25: Rotskoff and Vanden-Eijnden 2018 "
        f"(recalled); starts, steps, α and n are ours."
    )


def facts(s: Settings, risk: Array, time: Array, sigmoids: list[Any]) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    widths = np.array(s.widths)
    rows: dict[str, Any] = {}
    for t in s.times:
        values = excess(risk)[:, :, s.times.index(t)].mean(axis=0)
        rows[f"2n·(R(n) − R(2n)) at T = {t:g}, n = {widths[0]} … {widths[-2]}"] = ", ".join(
            f"{v:.2f}" for v in 2 * widths[:-1] * values
        )
    rows[f"T until R = {s.level:g}, by n"] = ", ".join(f"{v:.2f}" for v in time.mean(axis=0))
    last = 2.0 * time[:, -1] - time[:, -2]
    rows[f"T until R = {s.level:g}, n → ∞"] = (
        f"{last.mean():.2f} ± {last.std(ddof=1) / np.sqrt(s.runs):.2f}"
    )
    for g, values, t in sigmoids:
        rows[f"sigmoid units, d = {g.dim}: R at t = {t[-1]:g}, by n"] = ", ".join(
            f"{v:.3f}" for v in values[:, :, -1].mean(axis=0)
        )
    return rows


def data(s: Settings, risk: Array, time: Array, sigmoids: list[Any]) -> dict[str, Array]:
    """All risks: (runs, widths, times)."""
    arrays = {"widths": np.array(s.widths), "T": np.array(s.times), "risk": risk,
              "T_until_level": time}  # fmt: skip
    for g, values, t in sigmoids:
        arrays |= {f"widths_d{g.dim}": np.array(g.widths), f"t_d{g.dim}": t,
                   f"risk_d{g.dim}": values}  # fmt: skip
    return arrays


DEMO = Demo(
    "three-spin",
    "Learning 3-spin energies: the loss falls like 1/n, the time does not depend on n",
    300, 9,
    "3-spin energies on the sphere, Gaussian units at d=5, sigmoid units at d=10 and 25: Rotskoff "
    "and Vanden-Eijnden 2018 (recalled); starts, steps, α and widths are ours",
    run, "B1",
)  # fmt: skip
