"""The law of |w_i| and its statistics as an animation: SGD against the JKO flow of ½R."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding, check_run
from ...dynamics.sgd.record import Recording, of_radii, radii
from ...dynamics.sgd.run import sgd
from ...functionals.risk import Risk
from ...measures.base import Array
from ...measures.radial import Radial
from ...networks import GaussianClasses, SimpleUnit, radial_risk, truncated_relu
from ...problem import Problem
from ...report.animation import write_gif
from ...report.plots import SGD_CLOCK
from ...report.style import COLOURS, new_figure
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Settings:
    """d = 80 and N = 200 as published; all else as in the experiment with d = 40, or ours."""

    dim: int = 80
    neurons: int = 200
    delta: float = 0.8
    kappa: float = 0.8  # w ~ N(0, κ²/d I)
    epsilon: float = 2e-6
    end: float = 10.0  # SGD time
    frames: int = 80
    cells: int = 400
    taus: tuple[tuple[int, float], ...] = ((200, 0.001), (400, 0.005), (1780, 0.01))

    def times(self) -> Array:
        """SGD times of the frames: 0, then evenly in the logarithm from .005."""
        return np.concatenate([[0.0], np.geomspace(0.005, self.end, self.frames - 1)])


QUICK = Settings(
    epsilon=1e-5, end=2.0, frames=16, cells=150, taus=((100, 0.002), (190, 0.02))
)


def train(s: Settings, rng: Any) -> dict[str, Array]:
    """SGD: the risk of the law of |w_i|, and the law, at every frame."""
    classes = GaussianClasses.std(s.dim, s.delta)
    theta = s.kappa / np.sqrt(s.dim) * rng.standard_normal((s.neurons, s.dim))
    statistics = {"risk": of_radii(radial_risk(classes, truncated_relu)), "radii": radii}
    run = sgd(
        SimpleUnit(truncated_relu), classes, theta, epsilon=s.epsilon,
        steps=round(s.end / s.epsilon), rng=rng, dtype=np.float32,
        record=Recording(s.times(), statistics),
    )  # fmt: skip
    return {"t": run.times, **run.statistics}


def run(session: Session) -> DemoResult:
    """The demo ``animation``: compute, judge, draw, and write ``figure.gif``."""
    s = QUICK if session.quick else Settings()
    risk = radial_risk(GaussianClasses.std(s.dim, s.delta), truncated_relu)
    taus = np.concatenate([np.full(count, tau) for count, tau in s.taus])
    session.echo(f"JKO flow of ½R to T = {2 * s.end:g}")
    start = Radial.normal(s.kappa / np.sqrt(s.dim), s.dim, s.cells)
    problem = Problem(0.5 * risk, start, taus)
    flow = session.flow(problem, "flow")
    session.echo(f"SGD of N = {s.neurons} to t = {s.end:g}, ε = {s.epsilon:g}")
    of_sgd = session.single(train, "sgd", rng=0, s=s)
    laws = [law_at(flow.times, flow.measures, 2.0 * t) for t in of_sgd["t"]]

    findings = [
        *about("flow of ½R", check_run(problem, session.out / "flow")),
        *frame_findings(s, risk, laws, of_sgd),
    ]
    session.echo(f"{len(laws)} frames")
    figure, frame = stage(s, laws, of_sgd)
    gif = write_gif(session.out / "figure.gif", figure, frame, len(laws))
    frame(2 * len(laws) // 3)
    arrays = {
        "t": of_sgd["t"], "radii_sgd": of_sgd["radii"], "risk_sgd": of_sgd["risk"],
        "quantiles_flow": [law.points[:, 0] for law in laws],
        "risk_flow": [risk.value(law) for law in laws],
    }  # fmt: skip
    facts = {f"{SGD_CLOCK} = {of_sgd['t'][k]:.3g}: mean |w|, risk; flow | SGD": (
        f"{laws[k].mean()[0]:.4f}, {risk.value(laws[k]):.4f} | "
        f"{of_sgd['radii'][k].mean():.4f}, {of_sgd['risk'][k]:.4f}"
    ) for k in (0, len(laws) // 2, -1)}  # fmt: skip
    return finish(session.out, "The law of |w_i|, animated: SGD and the JKO flow", findings, figure,
                  caption(s), facts, [gif, session.out / "flow"], arrays)  # fmt: skip


def law_at(times: Array, measures: Any, T: float) -> Radial:
    """The flow's law at JKO time T, between steps by McCann's interpolation of the quantiles."""
    k = int(np.clip(np.searchsorted(times, T), 1, len(times) - 1))
    part = float(np.clip((T - times[k - 1]) / (times[k] - times[k - 1]), 0.0, 1.0))
    before, after = measures[k - 1], measures[k]
    return Radial((1 - part) * before.edges + part * after.edges, before.dim, before.mass)


def frame_findings(
    s: Settings, risk: Risk, laws: list[Radial], of_sgd: Mapping[str, Array]
) -> list[Finding]:
    """Over all frames: Kolmogorov's distance, the mean radius, and the risk."""
    steps = np.arange(s.neurons + 1) / s.neurons
    distance, means, risks = [], [], []
    for law, r, value in zip(laws, of_sgd["radii"], of_sgd["risk"], strict=True):
        exact = law.cdf(r)
        distance.append(max(np.abs(exact - steps[1:]).max(), np.abs(exact - steps[:-1]).max()))
        means.append(abs(float(r.mean() - law.mean()[0])))
        risks.append(abs(float(value) - risk.value(law)))
    spread = max(float(np.sqrt(law.cov()[0, 0])) for law in laws) / np.sqrt(s.neurons)
    where = f"{len(laws)} frames, t = 0 … {s.end:g}"
    return [
        close("SGD and flow: law of |w|, Kolmogorov's distance in the median frame",
              float(np.median(distance)), 1.63 / np.sqrt(s.neurons), where,
              "1.63/√N is exceeded by 1% of iid samples; the frames are of one run"),
        close("SGD and flow: law of |w|, Kolmogorov's distance in the worst frame",
              float(np.max(distance)), 3.0 / np.sqrt(s.neurons), where,
              "3/√N: a law that is nearly an atom is sensitive to a shift"),
        close("SGD and flow: mean of |w|, worst frame", float(np.max(means)), 5.0 * spread, where,
              "5 σ/√N with the flow's largest σ: the error of the start may grow as σ does"),
        close("SGD and flow: risk of the law of |w|, worst frame", float(np.max(risks)), 0.1, where,
              "a N^-½ of the first risk's scale, 1.7"),
    ]  # fmt: skip


def stage(s: Settings, laws: list[Radial], of_sgd: Mapping[str, Array]) -> Any:
    """The figure, and the function that shows frame k in it."""
    figure, (law_ax, ax) = new_figure(2, width=4.8, height=3.6)
    far = 1.05 * max(float(r.max()) for r in of_sgd["radii"])
    bins = np.linspace(0.0, far, 61)
    middle, width = 0.5 * (bins[1:] + bins[:-1]), np.diff(bins)
    bars = law_ax.stairs(np.zeros(60), bins, fill=True, color="#bbbbbb",
                         label=f"SGD, N = {s.neurons}")  # fmt: skip
    (line,) = law_ax.plot(middle, 0 * middle, color=COLOURS[0], linewidth=1.8,
                          label="JKO flow of ½R")  # fmt: skip
    densities = [np.diff(law.cdf(bins)) / width for law in laws]
    top = 1.2 * max(float(density.max()) for density in densities)
    law_ax.set(xlabel="|w|", ylabel="density of |w|", ylim=(0, top))
    law_ax.legend(frameon=False, loc="upper right")
    t = of_sgd["t"]
    for level, dashes, mark, colour in zip(LEVELS, ("--", "-", ":"), "vo^", COLOURS, strict=False):
        ax.plot(t[1:], [float(law.ppf(np.array([level]))[0]) for law in laws[1:]], dashes,
                color=colour, label=f"flow, {level:.0%} quantile")  # fmt: skip
        ax.plot(t[1:], np.quantile(of_sgd["radii"][1:], level, axis=1), mark, color=colour,
                markersize=3, markerfacecolor="white",
                label=f"SGD, {level:.0%} quantile")  # fmt: skip
    now = ax.axvline(t[1], color="black", linewidth=0.9)
    ax.set(xscale="log", xlabel=f"{SGD_CLOCK} = T/2", ylabel="quantiles of |w|")
    ax.legend(frameon=False, fontsize=7.5)

    def frame(k: int) -> None:
        bars.set_data(np.histogram(of_sgd["radii"][k], bins)[0] / (s.neurons * width))
        line.set_ydata(densities[k])
        now.set_xdata([max(t[k], t[1])] * 2)
        law_ax.set_title(f"law of |w|: t = {t[k]:.3f}, T = {2 * t[k]:.3f}")

    return figure, frame


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clocks."""
    return (
        f"One frame of figure.gif. Two isotropic Gaussian classes in R^{s.dim}, standard "
        f"deviations 1 ± {s.delta:g} (convention std), truncated ReLU, N = {s.neurons}, "
        f"w ~ N(0, {s.kappa:g}²/d I). Left: |w_i| of one run of SGD (ε = {s.epsilon:g}) and the "
        f"law of |w| of the JKO flow at T = 2t. Right: quantiles. d and N are the talk's; Δ, "
        f"the activation and κ are taken from the experiment with d = 40; ε, frames are ours."
    )


DEMO = Demo(
    "animation",
    "The law of |w_i| and its quantiles as an animation: SGD against the JKO flow",
    60, 8,
    "d=80, N=200: Mei's talk of 2018; Δ=.8 (std), truncated ReLU and κ=.8 are taken from the "
    "experiment with d=40 (recalled); ε, frames and steps are ours",
    run, "A2",
)  # fmt: skip
