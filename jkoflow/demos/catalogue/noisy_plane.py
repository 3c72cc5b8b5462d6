"""Noisy SGD of networks with one and two parameters a neuron, against Gibbs laws on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import networks
from ...check import Finding, check_fixed_point, check_samples
from ...dynamics.sgd.run import sgd
from ...equilibrium.box import GibbsDensity, solve_gibbs_density
from ...flows.sweep import Sweep
from ...functionals.free_energy import free_energy
from ...measures.base import Array
from ...report.style import COLOURS, new_figure
from ...verdict import Report, Verdict
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

SMALL = networks.SimpleUnit(networks.tanh)
KAPPAS = (0.3, 3.0)
ALPHA = 0.0125
"""Level of each of the four batteries of tests, so that all of them together have 5%."""


@dataclass(frozen=True)
class Settings:
    """All of them ours."""

    neurons: int = 1500
    beta: float = 20.0
    lam: float = 0.1
    epsilon: float = 2e-3
    batch: int = 40  # a sample's noise moves all neurons together, which the tests would see
    t: float = 25.0  # SGD clock


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    return Settings(neurons=400, epsilon=4e-3, batch=20) if quick else Settings()


def small_run(D: int, kappa: float, neurons: int, lam: float, beta: float, epsilon: float,
              batch: int, t: float, rng: Any) -> dict[str, Array]:  # fmt: skip
    """The particles of a network with D parameters a neuron, after noisy SGD."""
    x, y = small_data(D)
    theta = kappa * rng.standard_normal((neurons, D))
    run = sgd(SMALL, networks.EmpiricalData(x, y), theta, steps=round(t / epsilon), lam=lam,
              epsilon=epsilon, beta=beta, batch=batch, rng=rng)  # fmt: skip
    return {"theta": run.theta}


def small_data(D: int) -> tuple[Array, Array]:
    """Nine inputs on the line, with a constant beside them for D = 2, and targets."""
    x = np.linspace(-2.0, 2.0, 9)
    return np.stack([x, np.ones(9)], axis=1)[:, :D], 0.8 * np.sin(1.5 * x) + 0.3 * (D - 1)


def run(session: Session) -> DemoResult:
    """The demo ``noisy-plane``: compute, judge, draw."""
    s = settings(session.quick)
    cells = [dict(D=D, kappa=k, neurons=s.neurons, lam=s.lam, beta=s.beta, epsilon=s.epsilon,
                  batch=s.batch, t=s.t) for D in (1, 2) for k in KAPPAS]  # fmt: skip
    session.echo(f"noisy SGD of N = {s.neurons} neurons with θ in R and R², two starts each")
    small = session.sweep(small_run, cells, "sgd", rng=12)
    session.echo("judging")
    densities, findings = small_findings(s, small)
    data = {f"theta_D{D}_kappa{k:g}": result["theta"]  # type: ignore[index]
            for (D, k), result in zip([(D, k) for D in (1, 2) for k in KAPPAS], small.results,
                                      strict=True)}  # fmt: skip
    for D, star in enumerate(densities, start=1):
        data |= {f"points_D{D}": star.box.points, f"log_density_D{D}": star.log_density}
    figure, (line, plane) = new_figure(2, width=5.0, height=4.0)
    draw_small(s, line, plane, densities, small)
    line.legend(frameon=False, fontsize=8)
    return finish(
        session.out, "Noisy SGD with one and two parameters a neuron", findings, figure,
        caption(s), facts(densities), [session.out / "sgd"], data,
    )  # fmt: skip


def small_findings(s: Settings, small: Sweep) -> tuple[list[GibbsDensity], list[Finding]]:
    """Networks with θ in R and R²: ρ* on a grid, the judge of it, and the particles."""
    densities, found = [], []
    for D in (1, 2):
        F = free_energy(networks.data_risk(SMALL, *small_data(D)), s.lam, s.beta)
        rng = np.random.default_rng(D)
        stars = [solve_gibbs_density(F, -np.ones(D), np.ones(D), start=e)
                 for e in (None, *rng.normal(size=(3, 9)))]  # fmt: skip
        star = stars[0]
        densities.append(star)
        apart = max(abs(g(star.box.points) - star.log_density).max() for g in stars)
        found.append(close(
            f"D = {D}: ρ* is the same from several starts: log density", float(apart), 1e-4,
            "4 starts", "gaps of 1e-12 bound KL/β, and with it densities to 1e-5 or so",
        ))  # fmt: skip
        found += about(f"D = {D}: ρ*", check_fixed_point(F, star, domain=star.domain))
        for k, result in zip(KAPPAS, small.results[2 * D - 2 : 2 * D], strict=True):
            assert result is not None
            kept = result["theta"]
            found += about(f"D = {D}, start κ = {k:g}", check_samples(
                F, kept, reference=star.sample(3000, rng=4), rng=5, alpha=ALPHA))  # fmt: skip
        found += about(f"D = {D}", Report("", (too_hot(F, star, kept),)))
    return densities, found


def too_hot(F: Any, star: GibbsDensity, theta: Array) -> Finding:
    """Whether the same tests notice particles 15% too wide: else they would say nothing."""
    mean = theta.mean(axis=0)
    report: Report = check_samples(
        F, mean + 1.15 * (theta - mean), reference=star.sample(3000, rng=4), rng=5, alpha=ALPHA
    )
    noticed = report.verdict is Verdict.REJECTED
    reason = "" if noticed else "the battery has no power against particles 15% too wide"
    return Finding("the tests notice particles 15% too wide",
                   Verdict.ACCEPTED if noticed else Verdict.UNDECIDED, reason=reason)  # fmt: skip


def draw_small(
    s: Settings, line: Any, plane: Any, densities: list[GibbsDensity], small: Sweep
) -> None:
    """θ in R: histograms from two starts on the density; θ in R²: points on its contours."""
    x = densities[0].box.points[:, 0]
    for i, k in enumerate(KAPPAS):
        theta, bins = small.results[i]["theta"][:, 0], 20 if s.neurons < 1000 else 35  # type: ignore[index]
        height, edges = np.histogram(theta, bins=bins, density=True)
        line.plot(0.5 * (edges[1:] + edges[:-1]), height, "os"[i], color=COLOURS[1 + i],
                  markersize=3.5, label=f"SGD from κ = {k:g}")  # fmt: skip
    line.plot(x, np.exp(densities[0].log_density), color=COLOURS[0], label="ρ*")
    line.set(xlabel="θ", ylabel="density", title=f"D = 1, N = {s.neurons}", xlim=(-4, 4))
    box = densities[1].box
    grid = [np.unique(box.points[:, i]) for i in (0, 1)]
    height = np.exp(densities[1].log_density).reshape(box.n, box.n)
    theta = small.results[3]["theta"][:800]  # type: ignore[index]
    plane.plot(theta[:, 0], theta[:, 1], ".", color="#888888", markersize=2)
    plane.contour(grid[0], grid[1], height.T, levels=6, colors=[COLOURS[0]], linewidths=1.0)
    plane.set(xlabel="w", ylabel="b", xlim=(-4, 4), ylim=(-3, 3),
              title="D = 2: SGD from κ = 3 (dots), ρ* (lines)")  # fmt: skip


def caption(s: Settings) -> str:
    """What the figure shows, with its settings and clock."""
    return (
        f"Noisy SGD (λ = {s.lam:g}, β = {s.beta:g}, noise √(4s/β), ε = {s.epsilon:g}, batches of "
        f"{s.batch}) of N = {s.neurons} neurons tanh(wx) (left, θ = w) and tanh(wx + b) (right, "
        f"θ = (w, b)) on nine inputs, after SGD time t = {s.t:g} (JKO time {2 * s.t:g}), from "
        "θ ~ N(0, κ²I); ρ* of ½R + (λ/2)∫|θ|² + H/β on a grid, by Newton's method in the nine "
        "residuals. All settings are ours."
    )


def facts(densities: list[GibbsDensity]) -> dict[str, Any]:
    """F(ρ*) and its gap."""
    return {f"D = {D}: F(ρ*), and its gap": f"{star.free_energy:.9f}, {star.gap:.1e}"
            for D, star in enumerate(densities, start=1)}  # fmt: skip


DEMO = Demo(
    "noisy-plane",
    "Noisy SGD with one and two parameters a neuron, against Gibbs laws on a grid",
    45, 8,
    "all settings ours",
    run, "A5b",
)  # fmt: skip
