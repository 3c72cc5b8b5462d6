"""A start from which SGD fails, predicted: all weights shrink to 0 behind a barrier of the risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ...check import Finding, check_run
from ...dynamics.sgd.record import Recording, of_radii
from ...dynamics.sgd.run import sgd
from ...equilibrium.convex_programme import minimise_risk
from ...flows.trajectory import Trajectory
from ...functionals.risk import Risk
from ...measures.base import Array
from ...measures.particles import Particles
from ...measures.radial import Radial
from ...networks import GaussianClasses, SimpleUnit, non_monotone, radial_risk
from ...problem import Problem
from ...report.plots import SGD_CLOCK
from ...report.style import COLOURS, new_figure
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

AT_ZERO = 7.25  # ½[(σ(0) − 1)² + (σ(0) + 1)²], σ(0) = −2.5


@dataclass(frozen=True)
class Settings:
    """d, N, Δ, κ as published; step sizes, cells and times are ours."""

    dim: int = 320
    neurons: int = 800
    delta: float = 0.5
    stuck: float = 0.1  # κ of w ~ N(0, κ²/d I)
    free: float = 0.4
    cells: int = 400
    end: float = 10.0  # SGD time of the start that succeeds
    tau: float = 0.01  # in the end; the first steps are a 20th of it
    short_end: float = 0.025  # SGD time of the flow that collapses: it is over at t = .0174
    early: float = 0.009  # before any cell is at 0 (the first is at t = .0104)
    short_tau: float = 2.5e-4
    sgd_end: float = 0.05
    epsilon: float = 5e-5
    finer: float = 10.0  # one more run at ε/finer,
    finer_until: float = 1.0  # to this SGD time
    epsilons: tuple[float, ...] = (2e-6, 1e-6, 5e-7)  # of SGD from the start that gets stuck

    def taus(self) -> Array:
        """Steps of the flow from the start that succeeds, which falls fast at first."""
        growing = self.tau / 20 * 1.05 ** np.arange(62)
        left = 2.0 * self.end - growing.sum()
        return np.concatenate([growing, np.full(round(left / self.tau), 1.0) * left
                               / round(left / self.tau)])  # fmt: skip


QUICK = Settings(cells=150, end=6.0, tau=0.04, epsilon=1e-4, finer_until=0.3,
                 epsilons=(4e-6, 2e-6, 5e-7))  # fmt: skip


def train(s: Settings, kappa: float, epsilon: float, end: float, rng: Any) -> dict[str, Array]:
    """SGD: the risk of its law of |w_i|, and the radii, at 21 times, even or in proportion."""
    classes = GaussianClasses.std(s.dim, s.delta)
    risk = radial_risk(classes, non_monotone)
    theta = kappa / np.sqrt(s.dim) * rng.standard_normal((s.neurons, s.dim))
    times = np.linspace(0.0, end, 21)
    if kappa == s.free:
        times[1:] = np.geomspace(0.01, end, 20)
    run = sgd(
        SimpleUnit(non_monotone), classes, theta, epsilon=epsilon, steps=round(end / epsilon),
        rng=rng, dtype=np.float32,
        record=Recording(
            epsilon * np.rint(times / epsilon),
            {"risk": of_radii(risk), "radii": lambda th: np.linalg.norm(th, axis=1)},
        ),
    )  # fmt: skip
    return {"t": run.times, **run.statistics}


def run(session: Session) -> DemoResult:
    """The demo ``predicting-failure``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    risk = radial_risk(GaussianClasses.std(s.dim, s.delta), non_monotone)
    flows: dict[float, Trajectory] = {}
    findings: list[Finding] = []
    shrinking = np.full(round(2 * s.short_end / s.short_tau), s.short_tau)
    for kappa, taus in ((s.stuck, shrinking), (s.free, s.taus())):
        session.echo(f"κ = {kappa:g}: JKO flow of ½R to T = {taus.sum():g}")
        start = Radial.normal(kappa / np.sqrt(s.dim), s.dim, s.cells)
        problem = Problem(0.5 * risk, start, taus)
        name = f"flow-{kappa:g}"
        flows[kappa] = session.flow(problem, name)
        findings += about(f"κ = {kappa:g}, flow of ½R", check_run(problem, session.out / name))
    session.echo(f"SGD of N = {s.neurons} at ε = {s.epsilon:g} and {s.epsilons}")
    cells = [{"s": s, "kappa": s.stuck, "epsilon": e, "end": s.sgd_end} for e in s.epsilons]
    cells += [{"s": s, "kappa": s.free, "epsilon": e, "end": end} for e, end in
              ((s.epsilon, s.end), (s.epsilon / s.finer, s.finer_until))]  # fmt: skip
    runs = session.sweep(train, cells, "sgd", rng=3).results
    *stuck, free, finer = [r for r in runs if r is not None]

    barrier = minimize_scalar(
        lambda r: -risk_of_radius(risk, np.array([r]))[0], bounds=(s.stuck, s.free),
        method="bounded", options={"xatol": 1e-8},
    ).x  # fmt: skip
    findings += landscape_findings(s, risk, float(barrier))
    findings += stuck_findings(s, flows[s.stuck], stuck)
    findings += free_findings(s, flows[s.free], free)
    findings.append(nearer(s, flows[s.free], free, finer))
    figure = draw(s, risk, float(barrier), flows, stuck, (free, finer))
    least = minimise_risk(risk, (0.0, 400.0))
    facts = {
        "barrier of the risk of one radius": f"{risk_of_radius(risk, np.array([barrier]))[0]:.4f} "
        f"at r = {barrier:.4f}",
        "risk of δ_0, and at r = .001": f"{AT_ZERO}, "
        f"{risk_of_radius(risk, np.array([0.001]))[0]:.4f} (recalled: 7.257)",
        f"κ = {s.stuck:g}: SGD at ε = " + ", ".join(f"{e:g}" for e in s.epsilons):
            ", ".join(f"R = {r['risk'][-1]:.4f}, mean |w| = {r['radii'][-1].mean():.4f}"
                      for r in stuck),
        f"κ = {s.free:g}: flow | SGD": f"R = {2 * flows[s.free].energies[-1]:.4f}, mean |w| = "
        f"{flows[s.free].final.mean()[0]:.4f} | R = {free['risk'][-1]:.4f}, mean |w| = "
        f"{free['radii'][-1].mean():.4f}",
        "least risk of all laws of |w|": f"{least.value:.5f}, gap {least.gap:.1e}",
    }  # fmt: skip
    arrays = {
        "T_stuck": flows[s.stuck].times, "half_risk_stuck": flows[s.stuck].energies,
        "T_free": flows[s.free].times, "half_risk_free": flows[s.free].energies,
        "epsilon_stuck": s.epsilons, "t_stuck_sgd": stuck[0]["t"],
        "risk_stuck_sgd": [r["risk"] for r in stuck],
        "mean_radius_stuck_sgd": [r["radii"].mean(axis=1) for r in stuck],
        "t_free_sgd": free["t"], "risk_free_sgd": free["risk"],
        "mean_radius_free_sgd": free["radii"].mean(axis=1),
        "t_free_sgd_finer": finer["t"], "risk_free_sgd_finer": finer["risk"],
    }  # fmt: skip
    folders = [session.out / f"flow-{kappa:g}" for kappa in flows]
    return finish(session.out, "A start from which SGD fails, predicted", findings, figure,
                  caption(s), facts, folders, arrays)  # fmt: skip


def risk_of_radius(risk: Risk, r: Array) -> Array:
    """R(δ_r) for radii (n,)."""
    errors = risk.targets[:, None] - risk.features(r[:, None])
    return np.asarray(risk.weights @ errors**2)


def landscape_findings(s: Settings, risk: Risk, barrier: float) -> list[Finding]:
    """Why: δ_0 attracts, and a barrier lies between the two starts."""
    here = Particles(np.zeros((1, 1)))
    r = np.linspace(1e-3, 0.5 * barrier, 200)[:, None]
    variation = risk.first_variation(here, np.concatenate([[[0.0]], r]))
    slope = float(np.min((variation[1:] - variation[0]) / r[:, 0]))
    top, ends = risk_of_radius(risk, np.array([barrier])), np.array([s.stuck, s.free])
    return [
        close("risk of δ_0 is 7.25", abs(risk_of_radius(risk, np.zeros(1))[0] - AT_ZERO), 1e-6,
              "all w = 0", "ŷ = σ(0) = −2.5 whatever x is; the table's accuracy"),
        close("δ_0 attracts: −(δR/δρ(r) − δR/δρ(0))/r, largest", -slope, 0.0,
              f"at δ_0, 0 < r < {0.5 * barrier:.3f}", "then every small weight is drawn to 0"),
        close("a barrier lies between the starts: R(δ_κ) − R(δ_barrier)",
              float(np.max(risk_of_radius(risk, ends) - top)), -0.1, f"r = {barrier:.4f}",
              "nearly all |w_i| equal κ at the start, so that R(δ_r) tells where they go"),
    ]  # fmt: skip


def stuck_findings(s: Settings, flow: Trajectory, runs: list[Any]) -> list[Finding]:
    """The flow and SGD shrink; SGD's noise keeps it from 0 by something of order ε."""
    edges = np.array([m.points[:, 0] for m in flow.measures])
    means = np.array([m.mean()[0] for m in flow.measures])
    times = flow.times[flow.saved]
    middle = runs[-1]
    t = middle["t"][middle["t"] <= s.short_end]
    apart = np.abs(middle["radii"][: len(t)].mean(axis=1) - np.interp(2 * t, times, means))
    early = float(apart[t <= s.early].max())
    noise = float(np.sqrt(s.epsilons[-1] * s.dim))
    risks = np.array([r["risk"][len(r["risk"]) // 2 :].mean() for r in runs])
    intercept = np.polyfit(np.array(s.epsilons), risks, 1)[1]
    return [
        close("all radii shrink: largest step outwards", float(np.diff(edges, axis=0).max()), 0.0,
              f"κ = {s.stuck:g}, t ≤ {s.short_end:g}", "no quantile ever grows"),
        close("the flow collapses in finite time: largest radius", float(edges[-1, -1]), 0.0,
              f"κ = {s.stuck:g}, t = {s.short_end:g}", "all cells are at r = 0 exactly"),
        close("the flow is stuck: R against 7.25", abs(2 * float(flow.energies[-1]) - AT_ZERO),
              1e-6, f"κ = {s.stuck:g}, t = {s.short_end:g}", "the table's accuracy"),
        close("SGD and flow: mean of |w| before the collapse", early, 0.005,
              f"κ = {s.stuck:g}, t ≤ {s.early:g}, ε = {s.epsilons[-1]:g}",
              "5% of the start; SGD's noise is of order √(εd)"),
        close("SGD and flow: mean of |w| through the collapse", float(apart.max()), noise,
              f"κ = {s.stuck:g}, t ≤ {s.short_end:g}, ε = {s.epsilons[-1]:g}",
              "√(εd): where |w| is that small, noise is all that SGD sees"),
        close("SGD is stuck: R extrapolated to ε = 0, against 7.25", abs(intercept - AT_ZERO), 0.01,
              f"t = {s.sgd_end / 2:g} … {s.sgd_end:g}", "linear in ε; 0.1% of the risk"),
        close("SGD is stuck: largest mean |w| of the smallest ε", float(
            middle["radii"][len(middle["t"]) // 2 :].mean(axis=1).max()), 0.01,
            f"κ = {s.stuck:g}, ε = {s.epsilons[-1]:g}", "a tenth of where it began"),
    ]  # fmt: skip


def free_findings(s: Settings, flow: Trajectory, run: Any) -> list[Finding]:
    """κ = .4 comes over the barrier: R = .0143 at r = 2.088."""
    where = f"κ = {s.free:g}, t = {s.end:g}"
    return [
        close("R = .0143", abs(2 * float(flow.energies[-1]) - 0.0143), 6e-5, where,
              "published to three digits"),
        close("mean of |w| = 2.088", abs(float(flow.final.mean()[0]) - 2.088), 1e-3, where,
              "known to four digits; the approach is exponential, and the steps are first order"),
        close("SGD and flow: risk", abs(float(run["risk"][-1]) - 2 * float(flow.energies[-1])),
              0.005, where, "SGD's noise widens the law: of order εd = .016 … .064 in |w|²"),
        close("SGD and flow: mean of |w|", abs(float(run["radii"][-1].mean())
              - float(flow.final.mean()[0])), s.epsilon * s.dim, where, "εd: it is of that order"),
    ]  # fmt: skip


def nearer(s: Settings, flow: Trajectory, run: Any, finer: Any) -> Finding:
    """On the way down SGD is ahead of the flow by its ε."""

    def distance(of_sgd: Any) -> float:
        looked = of_sgd["t"] <= s.finer_until
        at = np.interp(2.0 * of_sgd["t"][looked], flow.times, 2.0 * flow.energies)
        return float(np.abs(of_sgd["risk"][looked] - at).max())

    return close(
        f"distance of SGD's risk from the flow's on the way down: at ε/{s.finer:g} as part of "
        "that at ε", distance(finer) / distance(run), 0.4,
        f"κ = {s.free:g}, t ≤ {s.finer_until:g}, ε = {s.epsilon:g}",
        f"1/{s.finer:g} if of first order in ε, 1 if not of ε, 1/√{s.finer:g} = .32 if noise",
    )  # fmt: skip


def draw(
    s: Settings, risk: Risk, barrier: float, flows: dict[float, Trajectory], stuck: list[Any],
    free: tuple[Any, Any],
) -> Any:  # fmt: skip
    """Risk of one radius; mean radius of the run that shrinks; risk of both."""
    figure, (land, shrink, risks) = new_figure(3, width=4.6, height=3.8)
    r = np.linspace(0.0, 3.0, 600)
    land.plot(r, risk_of_radius(risk, r), color="black", label="R(δ_r)")
    for k, (kappa, name) in enumerate(((s.stuck, "start κ"), (s.free, "start κ"))):
        land.plot(kappa, risk_of_radius(risk, np.array([kappa]))[0], "os"[k], color=COLOURS[k],
                  label=f"{name} = {kappa:g}")  # fmt: skip
    land.axvline(barrier, color="#777777", linestyle=":", label=f"barrier, r = {barrier:.3f}")
    land.set(xlabel="radius r = |w|", ylabel="risk of a single radius", title="the landscape")
    land.legend(frameon=False)
    of_flow = flows[s.stuck]
    mean = np.array([m.mean()[0] for m in of_flow.measures])
    shrink.plot(0.5 * of_flow.times[of_flow.saved], mean, color="black", linewidth=2.5,
                label="JKO flow of ½R")  # fmt: skip
    for k, (e, result) in enumerate(zip(s.epsilons, stuck, strict=True)):
        shrink.plot(result["t"], result["radii"].mean(axis=1), ["--", "-.", ":"][k % 3],
                    marker="osv"[k % 3], markersize=3, color=COLOURS[k],
                    label=f"SGD, ε = {e:g}")  # fmt: skip
    shrink.set(xlabel=f"{SGD_CLOCK} = T/2", ylabel="mean of |w|",
               title=f"κ = {s.stuck:g}: all weights shrink")  # fmt: skip
    shrink.legend(frameon=False)
    for k, (kappa, result) in enumerate(((s.stuck, stuck[-1]), (s.free, free[0]))):
        run = flows[kappa]
        risks.plot(0.5 * run.times[1:], 2 * run.energies[1:], "-" if k else "--",
                   color=COLOURS[k], label=f"flow of ½R, κ = {kappa:g}")  # fmt: skip
        risks.plot(result["t"][1:], result["risk"][1:], "os"[k], markersize=4, color=COLOURS[k],
                   markerfacecolor="white", label=f"SGD, κ = {kappa:g}")  # fmt: skip
    risks.plot(free[1]["t"][1:], free[1]["risk"][1:], "x", markersize=5, color="black",
               label=f"SGD at ε/{s.finer:g}, κ = {s.free:g}")  # fmt: skip
    risks.axhline(AT_ZERO, color="#777777", linestyle=":", label="R(δ_0) = 7.25")
    risks.set(xscale="log", yscale="log", xlabel=f"{SGD_CLOCK} = T/2", ylabel="R of the law of |w|",
              title="risk")  # fmt: skip
    risks.legend(frameon=False, fontsize=8)
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clocks."""
    return (
        f"Two isotropic Gaussian classes in R^{s.dim}, standard deviations 1 ± {s.delta:g} "
        f"(convention std), non-monotone activation, N = {s.neurons}, w ~ N(0, κ²/d I): as "
        f"published, with R = 7.257 and .0143 at the end, recalled. From κ = {s.stuck:g} all |w| "
        f"go to 0 in finite time; there R = 7.25, and 7.257 is the risk at |w| = .001: SGD's noise "
        f"keeps |w| off 0 by an amount proportional to ε. From κ = {s.free:g} SGD has "
        f"ε = {s.epsilon:g}, and is ahead of the flow on the way down; crosses: a {s.finer:g}th of "
        f"that ε takes most of it away. The flow's clock is T = 2t; step sizes are ours."
    )


DEMO = Demo(
    "predicting-failure",
    "A start from which SGD fails and one from which it succeeds, predicted by the flow",
    30, 7,
    "d=320, N=800, Δ=.5 (std), non-monotone activation, κ=.1 and .4: Mei, Montanari and Nguyen "
    "2018; the risks 7.257 and .0143 are recalled, steps and times are ours",
    run, "A4",
)  # fmt: skip
