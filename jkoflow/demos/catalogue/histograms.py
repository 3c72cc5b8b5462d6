"""Histograms of |w_i| under SGD at three times, on the law of |w| of the JKO flow of ½R."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding, check_run
from ...dynamics.sgd.record import Recording, of_radii, radii
from ...dynamics.sgd.run import sgd
from ...equilibrium.few_particles import sampling_constant
from ...flows.driver import flow
from ...flows.trajectory import Trajectory
from ...functionals.risk import Risk
from ...measures.base import Array, Measure
from ...measures.radial import Radial
from ...networks import GaussianClasses, SimpleUnit, radial_risk, truncated_relu
from ...problem import Problem
from ...report.plots import SGD_CLOCK
from ...report.style import COLOURS, DASHES, new_figure
from ..common import about, close, finish, three_sigma, within_sampling_error
from ..registry import Demo, DemoResult
from ..session import Session

CONVENTIONS = ("std", "var")


@dataclass(frozen=True)
class Settings:
    """d, N, Δ, κ and the numbers of samples as published (ε recalled); the rest is ours."""

    dim: int = 40
    neurons: int = 800
    delta: float = 0.8
    kappa: float = 0.8  # w ~ N(0, κ²/d I)
    epsilon: float = 1e-6  # of the run that is drawn
    shown: tuple[float, ...] = (0.001, 4.0, 10.0)  # k = 1e3, 4e6, 1e7 at ε = 1e-6
    judged: tuple[float, ...] = (0.001, 0.1, 1.0, 4.0, 10.0)
    judged_epsilon: float = 2e-5  # and ×coarse, because the distance from the flow is O(ε)
    coarse: float = 5.0
    seeds: int = 16
    cells: int = 800
    fine: float = 0.5  # sizes of the steps, relative to about a thousandth of the change

    def taus(self) -> Array:
        """Steps of the flow to T = 2·10, small where the risk falls fast; they end at 2·.001."""
        f = self.fine
        blocks = [(0.002, 0.0005), (0.2, 0.001 * f), (2.0, 0.005 * f), (20.0, 0.01 * f)]
        last = 2.0 * self.judged[-1]
        blocks = [(min(end, last), tau) for end, tau in blocks if end <= last or end == 20.0]
        ends = [0.0, *(end for end, _ in blocks)]
        return np.concatenate([
            np.full(2 * round((end - start) / (2 * tau)), tau)
            for start, (end, tau) in zip(ends, blocks, strict=False)
        ])  # fmt: skip

    def classes(self, convention: str) -> GaussianClasses:
        """τ± = 1 ± Δ (std) or τ±² = 1 ± Δ (var)."""
        make = GaussianClasses.std if convention == "std" else GaussianClasses.var
        return make(self.dim, self.delta)


QUICK = Settings(
    epsilon=2e-5, shown=(0.001, 0.5, 2.0), judged=(0.001, 0.1, 0.5, 2.0), judged_epsilon=2e-5,
    seeds=12, cells=200, fine=2.0,
)  # fmt: skip


def train(
    s: Settings, convention: str, epsilon: float, seed: int, times: tuple[float, ...], rng: Any
) -> dict[str, Array]:
    """SGD to the last of the times: the risk of its law of |w_i|, and the law itself."""
    classes = s.classes(convention)
    risk = radial_risk(classes, truncated_relu)
    theta = s.kappa / np.sqrt(s.dim) * rng.standard_normal((s.neurons, s.dim))
    run = sgd(
        SimpleUnit(truncated_relu), classes, theta, epsilon=epsilon, rng=rng, dtype=np.float32,
        steps=round(max(times) / epsilon),
        record=Recording([0.0, *times], {"risk": of_radii(risk), "radii": radii}),
    )  # fmt: skip
    return dict(run.statistics)


def run(session: Session) -> DemoResult:
    """The demo ``histograms``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    findings: list[Finding] = []
    flows: dict[str, Trajectory] = {}
    drawn: dict[str, Mapping[str, Array]] = {}
    judged: dict[str, Mapping[str, Array]] = {}
    for convention in CONVENTIONS:
        risk = radial_risk(s.classes(convention), truncated_relu)
        start = Radial.normal(s.kappa / np.sqrt(s.dim), s.dim, s.cells)
        problem = Problem(0.5 * risk, start, s.taus())
        session.echo(f"{convention}: JKO flow of ½R to T = {2 * s.judged[-1]:g}, twice")
        name = f"flow-{convention}"
        flows[convention] = session.flow(problem, name)
        twice = flow(Problem(0.5 * risk, start, s.taus()[1::2] + s.taus()[::2]))
        findings += about(f"{convention}, flow of ½R", check_run(problem, session.out / name))
        sizes = (s.judged_epsilon, s.coarse * s.judged_epsilon)
        session.echo(f"{convention}: SGD, {round(s.shown[-1] / s.epsilon)} samples at "
                     f"ε = {s.epsilon:g}; {s.seeds} runs at each of two ε")  # fmt: skip
        drawn[convention] = session.single(
            train, f"sgd-{convention}", rng=1, s=s, convention=convention, epsilon=s.epsilon,
            seed=0, times=s.shown,
        )  # fmt: skip
        cells = [{"s": s, "convention": convention, "epsilon": epsilon, "seed": k,
                  "times": s.judged} for epsilon in sizes for k in range(s.seeds)]  # fmt: skip
        runs = session.sweep(train, cells, f"seeds-{convention}", rng=2)
        shape = (2, s.seeds, -1)
        judged[convention] = {
            "risk": runs.array("risk").reshape(shape),
            "mean": runs.array("radii").mean(axis=2).reshape(shape),
        }
        findings += sgd_findings(
            s, convention, risk, flows[convention], twice, judged[convention]
        )
        findings += law_findings(s, convention, flows[convention], drawn[convention])
    figure = draw(s, flows, drawn)
    return finish(
        session.out, "Histograms of |w_i|: SGD against the JKO flow", findings, figure, caption(s),
        facts(s, flows, judged), [session.out / f"flow-{c}" for c in CONVENTIONS],
        data(s, flows, drawn, judged),
    )  # fmt: skip


def law_at(run: Trajectory, t: float) -> Measure:
    """The flow's law at SGD time t, JKO time T = 2t."""
    times = run.times[run.saved]
    return run.measures[int(np.argmin(np.abs(times - 2.0 * t)))]


def sgd_findings(
    s: Settings, convention: str, risk: Risk, run: Trajectory, twice: Trajectory,
    runs: Mapping[str, Array],
) -> list[Finding]:  # fmt: skip
    """Risk and mean radius of independent runs of SGD, against the flow at the same times.

    The flow's numbers are extrapolated to τ = 0 from its steps and from steps twice as long, and
    SGD's to ε = 0 from ε and 5ε: at t = 4 (std), ε = 2e-5, the risk is .0045 lower than the
    flow's, at 8e-5 .018, and for N = 200, 800, 3200 by the same.
    """
    found, at_zero = [], without_epsilon(s, runs)
    for j, t in enumerate(s.judged, start=1):
        law, coarse = law_at(run, t), law_at(twice, t)
        value = 2.0 * risk.value(law) - risk.value(coarse)
        mean = 2.0 * float(law.mean()[0]) - float(coarse.mean()[0])
        expected = value + sampling_constant(risk, law) / s.neurons
        where = f"{convention}, t = {t:g}, T = {2 * t:g}"
        compared = (("risk", "risk of the law of |w|", expected), ("mean", "mean of |w|", mean))
        found += [
            within_sampling_error(
                f"SGD (ε → 0) and flow: {name}", at_zero[key][:, j], limit, where, s.neurons,
                errors=three_sigma(s.seeds),
            )
            for key, name, limit in compared
        ]
    return found


def without_epsilon(s: Settings, runs: Mapping[str, Array]) -> dict[str, Array]:
    """(seeds, times): what is left of the runs at ε and 5ε when the term of order ε is removed."""
    return {key: (s.coarse * x[0] - x[1]) / (s.coarse - 1.0) for key, x in runs.items()}


def law_findings(
    s: Settings, convention: str, of_flow: Trajectory, run: Mapping[str, Array]
) -> list[Finding]:
    """The whole law of |w_i| of the run that is drawn: mean distance of the quantiles."""
    found = []
    levels = (np.arange(s.neurons) + 0.5) / s.neurons
    for j, t in enumerate(s.shown, start=1):
        law = law_at(of_flow, t)
        assert isinstance(law, Radial)
        distance = float(np.mean(np.abs(run["radii"][j] - law.ppf(levels))))
        scale = float(np.sqrt(law.cov()[0, 0]) / np.sqrt(s.neurons))
        noise = 10.0 * np.sqrt(s.epsilon * min(t, 1.0)) + max(s.taus()) * (t > 0.5)
        found.append(close(
            "SGD and flow: W1 of the laws of |w|", distance, 4.0 * scale + noise,
            f"{convention}, t = {t:g}",
            "4 σ/√N for N independent radii, 10 √(ε min(t, 1)) for SGD's noise, and τ",
        ))  # fmt: skip
    return found


def draw(
    s: Settings, flows: Mapping[str, Trajectory], drawn: Mapping[str, Mapping[str, Array]]
) -> Any:
    """A row for each convention: histograms of |w_i| and the flow's densities."""
    figure, axes = new_figure(2, 1, width=6.4, height=4.0)
    for ax, convention in zip(axes, CONVENTIONS, strict=True):
        for k, t in enumerate(s.shown):
            r = drawn[convention]["radii"][k + 1]
            bins = np.linspace(0.0, 6.0, 97)
            count = np.histogram(r, bins)[0] / (len(r) * (bins[1] - bins[0]))
            ax.stairs(count, bins, fill=True, color=COLOURS[k], alpha=0.3,
                      label=f"SGD, k = {round(t / s.epsilon):,}, t = {t:g}")  # fmt: skip
            law = law_at(flows[convention], t)
            assert isinstance(law, Radial)
            smooth = np.diff(law.cdf(bins)) / np.diff(bins)
            ax.plot(0.5 * (bins[1:] + bins[:-1]), smooth, color=COLOURS[k], linestyle=DASHES[k],
                    linewidth=1.6, label=f"flow of ½R, T = {2 * t:g}")  # fmt: skip
        square = "τ± = 1 ± Δ" if convention == "std" else "τ±² = 1 ± Δ"
        ax.set(xlabel="|w|", ylabel="density of |w| (mean over a bin, 1/16)",
               title=f"convention {convention}: {square}", ylim=(0, 6.5))  # fmt: skip
        ax.legend(frameon=False, fontsize=8)
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clocks."""
    return (
        f"Law of |w_i|: one run of SGD (histogram; N = {s.neurons}, ε = {s.epsilon:g}, time "
        f"t = kε) and the JKO flow of ½R (lines; T = 2t, averaged over the same bins). Two "
        f"isotropic Gaussian classes in R^{s.dim}, Δ = {s.delta:g}, truncated ReLU, "
        f"w ~ N(0, {s.kappa:g}²/d I). Published with d, N, Δ and k; ε = 1e-6 is recalled, and any "
        f"small ε shows the same at equal t. Both readings of Δ are drawn. "
        f"Judged are means over {s.seeds} other runs, "
        f"extrapolated to ε = 0 from ε = {s.judged_epsilon:g} and {s.coarse:g} times that: the "
        f"distance of SGD from the flow is of order ε, and does not depend on N here. Risks are of "
        f"the law of |w|: that of 800 units in their own directions is higher by .01, of order 1/N."
    )


def facts(
    s: Settings, flows: Mapping[str, Trajectory], judged: Mapping[str, Mapping[str, Array]]
) -> dict[str, Any]:
    """Risk and mean radius at the judged times."""
    rows = {}
    for convention in CONVENTIONS:
        run, runs = flows[convention], judged[convention]
        at_zero = without_epsilon(s, runs)
        for j, t in enumerate((0.0, *s.judged)):
            k, law = int(np.argmin(np.abs(run.times - 2 * t))), law_at(run, t)
            where = f"{convention}, {SGD_CLOCK} = {t:g}"
            rows[f"{where}: risk of the flow | SGD at ε = {s.judged_epsilon:g}, "
                 f"{s.coarse * s.judged_epsilon:g}, → 0"] = (
                f"{2 * run.energies[k]:.4f} | "
                + told(*runs["risk"][:, :, j], at_zero["risk"][:, j])
            )  # fmt: skip
            rows[f"{where}: mean |w|, likewise"] = (
                f"{law.mean()[0]:.4f} | " + told(*runs["mean"][:, :, j], at_zero["mean"][:, j])
            )
    return rows


def told(*samples: Array) -> str:
    """Means with their standard errors."""
    return ", ".join(
        f"{x.mean():.4f} ± {x.std(ddof=1) / np.sqrt(len(x)):.4f}" for x in samples
    )


def data(
    s: Settings, flows: Mapping[str, Trajectory], drawn: Mapping[str, Mapping[str, Array]],
    judged: Mapping[str, Mapping[str, Array]],
) -> dict[str, Any]:  # fmt: skip
    """The arrays of the figure and of the table; t is SGD's clock, T the flow's."""
    arrays: dict[str, Any] = {
        "t_shown": (0.0, *s.shown), "t_judged": (0.0, *s.judged),
        "epsilon_judged": (s.judged_epsilon, s.coarse * s.judged_epsilon),
    }  # fmt: skip
    for c in CONVENTIONS:
        arrays |= {
            f"radii_sgd_{c}": drawn[c]["radii"], f"risk_sgd_{c}": judged[c]["risk"],
            f"mean_radius_sgd_{c}": judged[c]["mean"],
            f"T_{c}": flows[c].times, f"half_risk_flow_{c}": flows[c].energies,
            f"quantiles_flow_{c}": [law_at(flows[c], t).points[:, 0] for t in s.shown],
        }  # fmt: skip
    return arrays


DEMO = Demo(
    "histograms",
    "Histograms of |w_i| under SGD at three times, against the law of the radial JKO flow",
    90, 8,
    "d=40, N=800, Δ=.8, truncated ReLU, k=1e3, 4e6, 1e7: Mei, Montanari and Nguyen 2018; ε=1e-6 is "
    "recalled, the conventions std and var are both drawn; steps and seeds are ours",
    run, "A1",
)  # fmt: skip
