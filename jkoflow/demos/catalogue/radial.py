"""SGD on two isotropic Gaussian classes, the JKO flow of ½R, and the free energy's fixed point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import networks
from ...check import Finding, check_fixed_point, check_run
from ...dynamics.sgd.record import Recording, of_radii
from ...dynamics.sgd.run import SGDRun, sgd
from ...equilibrium.gibbs import solve_gibbs
from ...equilibrium.parts import Gibbs
from ...flows.trajectory import Trajectory
from ...functionals.free_energy import free_energy
from ...functionals.risk import Risk
from ...measures.base import Array
from ...measures.radial import Radial
from ...problem import Problem
from ...report.plots import SGD_CLOCK, plot_energy, plot_histogram, plot_law
from ...report.style import new_figure
from ..common import about, close, finish, within_sampling_error
from ..registry import Demo, DemoResult
from ..session import Session


@dataclass(frozen=True)
class Settings:
    """The experiment; λ, β and the numbers of seeds and cells are ours, the rest is the paper's."""

    dim: int = 40
    neurons: int = 800
    delta: float = 0.8
    kappa: float = 0.8  # w ~ N(0, κ²/d I)
    epsilon: float = 1e-6
    times: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)  # SGD clock
    seeds: int = 8
    cells: int = 1000
    lam: float = 0.1
    beta: float = 40.0
    long_time: float = 60.0  # JKO clock; with τ = .02 every step is certified as minimal

    @property
    def start(self) -> Radial:
        """The law of |w| at the start."""
        return Radial.normal(self.kappa / np.sqrt(self.dim), self.dim, self.cells)

    def risk_steps(self) -> Array:
        """Steps to T = 2·max(times): small at first, where the risk falls fastest."""
        end = 2.0 * max(self.times)
        fine = 1000.0 / self.cells  # time errors on a par with those of the cells
        first, second = 0.0005 * fine, 0.005 * fine
        early = min(0.2, end)
        return np.concatenate([
            np.full(round(early / first), first), np.full(round((end - early) / second), second)
        ])  # fmt: skip


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(seeds=4, cells=500, epsilon=1e-5, times=(0.1, 0.25), long_time=30.0)
    return Settings()


def run(session: Session) -> DemoResult:
    """The demo ``radial``: compute, judge, draw."""
    s, out = settings(session.quick), session.out
    classes = networks.GaussianClasses.std(s.dim, s.delta)
    risk = networks.radial_risk(classes, networks.truncated_relu)

    session.echo(f"JKO flow of ½R to T = {2 * max(s.times):g}")
    half_risk = Problem(0.5 * risk, s.start, s.risk_steps())
    of_risk = session.flow(half_risk, "flow-of-risk")
    session.echo(f"SGD: {s.seeds} runs of N = {s.neurons} neurons to t = {max(s.times):g}")
    runs = [sgd_run(s, classes, risk, seed) for seed in range(s.seeds)]
    session.echo(f"JKO flow of the free energy, λ = {s.lam:g}, β = {s.beta:g}, and its fixed point")
    F = free_energy(risk, s.lam, s.beta)
    to_gibbs = Problem(F, s.start, tau=0.02, t_end=s.long_time)
    of_energy = session.flow(to_gibbs, "flow-of-free-energy")
    star = solve_gibbs(F, s.start, n=s.cells)

    session.echo("judging")
    findings = [
        *about("flow of ½R", check_run(half_risk, out / "flow-of-risk")),
        *about("flow of F", check_run(to_gibbs, out / "flow-of-free-energy")),
        *about("end of the flow of F", check_fixed_point(F, of_energy.final)),
        *sgd_findings(s, risk, of_risk, runs),
        gibbs_finding(of_energy, star),
    ]
    figure = draw(s, of_risk, runs, of_energy, star)
    return finish(
        out, "SGD, the flow of its risk, and the Gibbs law", findings, figure, caption(s),
        facts(s, of_risk, runs, of_energy, star),
        [out / "flow-of-risk", out / "flow-of-free-energy"], data(of_risk, runs, of_energy),
    )  # fmt: skip


def data(of_risk: Trajectory, runs: list[SGDRun], of_energy: Trajectory) -> dict[str, Array]:
    """The curves, each with its clock: T of the flow, t = T/2 of SGD."""
    return {
        "T_risk": of_risk.times, "half_risk": of_risk.energies,
        "T_free_energy": of_energy.times, "free_energy": of_energy.energies,
        "t_sgd": runs[0].times, "risk_sgd": np.array([r.statistics["risk"] for r in runs]),
        "radii_sgd": np.array([r.statistics["radii"] for r in runs]),
    }  # fmt: skip


def sgd_run(s: Settings, classes: networks.GaussianClasses, risk: Risk, seed: int) -> SGDRun:
    """One pass of SGD from iid Gaussian weights, recorded at the settings' times."""
    rng = np.random.default_rng(seed)
    theta = s.kappa / np.sqrt(s.dim) * rng.standard_normal((s.neurons, s.dim))
    statistics = {"risk": of_radii(risk), "radii": lambda th: np.linalg.norm(th, axis=1)}
    return sgd(
        networks.SimpleUnit(networks.truncated_relu), classes, theta, epsilon=s.epsilon,
        steps=round(max(s.times) / s.epsilon), rng=rng, dtype=np.float32,
        record=Recording([0.0, *s.times], statistics),
    )  # fmt: skip


def at_time(flow: Trajectory, t: float) -> int:
    """The step that ends at SGD time t, JKO time T = 2t."""
    return int(np.argmin(np.abs(flow.times - 2.0 * t)))


def sgd_findings(
    s: Settings, risk: Risk, flow: Trajectory, runs: list[SGDRun]
) -> list[Finding]:
    """SGD's risk, mean radius and law of |w| against the flow at the same times."""
    found = []
    for j, t in enumerate(s.times, start=1):
        law = flow.measures[at_time(flow, t)]
        assert isinstance(law, Radial)
        where = f"t = {t:g}, T = {2 * t:g}"
        expected = risk.value(law) + finite_size(risk, law, s.neurons)
        risks = [run.statistics["risk"][j] for run in runs]
        radii = [run.statistics["radii"][j] for run in runs]
        found += [
            within_sampling_error("SGD and flow: risk", risks, expected, where, s.neurons),
            within_sampling_error(
                "SGD and flow: mean of |w|", np.mean(radii, axis=1), float(law.mean()[0]), where,
                s.neurons,
            ),
            close(
                "SGD and flow: law of |w|", kolmogorov(radii[0], law), 1.95 / np.sqrt(s.neurons),
                where, "Kolmogorov's distance; 1.95/√N is exceeded by 0.1% of iid samples",
            ),
        ]  # fmt: skip
    return found


def finite_size(risk: Risk, law: Radial, neurons: int) -> float:
    """E R(ρ̂_N) − R(ρ) for N iid radii: Σ w_q Var_ρ(φ_q)/N, exactly."""
    phi = risk.features(law.points)
    variance = phi**2 @ law.weights - (phi @ law.weights) ** 2
    return float(risk.weights @ variance) / neurons


def kolmogorov(radii: Array, law: Radial) -> float:
    """sup |F_N − F| between a sample and a law on cells."""
    r = np.sort(radii)
    exact, steps = law.cdf(r), np.arange(len(r) + 1) / len(r)
    return float(max(np.abs(exact - steps[1:]).max(), np.abs(exact - steps[:-1]).max()))


def gibbs_finding(flow: Trajectory, star: Gibbs) -> Finding:
    """The energy where the flow ended, against the fixed point solved for by another method."""
    n = len(flow.final.points) - 1
    return close(
        "flow of F ends at solve_gibbs's energy",
        abs(float(flow.energies[-1]) - star.free_energy), 20.0 / n**2, f"{n} cells",
        "the energy of n cells is second order, 20/n²",
    )  # fmt: skip


def draw(
    s: Settings, of_risk: Trajectory, runs: list[SGDRun], of_energy: Trajectory, star: Gibbs
) -> Any:
    """Laws of |w| under SGD and the flow of ½R, and of F; risk and free energy against time."""
    figure, (short, long, risks, energies) = new_figure(2, 2, width=5.6, height=3.5)
    for k in sorted({0, 1, len(s.times)}):
        t = runs[0].times[k]
        radii = runs[0].statistics["radii"][k]
        label = "SGD, t = T/2" if k == 0 else "_again"
        plot_histogram(radii, label=label, quantity="|w|", bins=25, ax=short)
        law = of_risk.measures[at_time(of_risk, t)]
        plot_law(law, label=f"flow of ½R, T = {2 * t:g}", quantity="|w|", ax=short)
    short.set_title(f"law of |w|: one run of SGD, N = {s.neurons}, and the flow of ½R")
    for T in (0.0, 1.0, 4.0, s.long_time):
        law = of_energy.measures[int(np.argmin(np.abs(of_energy.times - T)))]
        plot_law(law, label=f"flow of F, T = {T:g}", quantity="|w|", ax=long)
    plot_law(star.measure, label="Gibbs law ρ*", quantity="|w|", ax=long)
    long.set_title(f"law of |w|: the flow of F, λ = {s.lam:g}, β = {s.beta:g}")
    plot_energy(0.5 * of_risk.times, 2.0 * of_risk.energies, label="flow of ½R", ax=risks,
                clock=f"{SGD_CLOCK} = T/2")  # fmt: skip
    values = np.array([run.statistics["risk"] for run in runs])
    risks.errorbar(runs[0].times, values.mean(axis=0), yerr=values.std(axis=0, ddof=1), fmt="o",
                   color="black", markersize=4, capsize=3,
                   label=f"SGD, mean of {len(runs)} runs ± 1 s.d.")  # fmt: skip
    risks.set_ylabel("risk R")
    risks.set_title("risk of the law of |w|")
    risks.legend(frameon=False)
    plot_energy(of_energy.times[1:], of_energy.energies[1:], label="F along its flow",
                lower_bound=star.free_energy - star.gap, ax=energies)  # fmt: skip
    energies.set_xscale("log")
    energies.set_ylabel("free energy F")
    energies.set_title(f"free energy, λ = {s.lam:g}, β = {s.beta:g}, and its certified bound")
    energies.legend(frameon=False)
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clocks."""
    return (
        f"Two isotropic Gaussian classes in R^{s.dim}, standard deviations 1 ± {s.delta:g} "
        f"(convention std), truncated ReLU, w ~ N(0, {s.kappa:g}²/d I). Left: law of |w| under "
        f"SGD (ε = {s.epsilon:g}) and the JKO flow of ½R at the same times; the flow's clock is "
        f"T = 2t. Right: the flow of the free energy and its fixed point. Below: risk of the law "
        f"of |w| against SGD time (that of 800 units in their own directions is higher by .01, of "
        f"order 1/N); free energy against JKO time, and the dual bound that no law is below. d, "
        f"N, Δ, κ and the unit: Mei, Montanari and Nguyen 2018; λ, β, ε and the steps are ours."
    )


def facts(
    s: Settings, of_risk: Trajectory, runs: list[SGDRun], of_energy: Trajectory, star: Gibbs
) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    rows: dict[str, Any] = {}
    values = np.array([run.statistics["risk"] for run in runs])
    for j, t in enumerate((0.0, *s.times)):
        k = at_time(of_risk, t)
        rows[f"R at t = {t:g}: flow, SGD"] = (
            f"{2 * of_risk.energies[k]:.4f}, {values[:, j].mean():.4f} ± "
            f"{values[:, j].std(ddof=1) / np.sqrt(len(runs)):.4f}"
        )
    rows["F at the end of its flow"] = f"{of_energy.energies[-1]:.7f}"
    rows["F at the fixed point, and its gap"] = f"{star.free_energy:.7f}, {star.gap:.1e}"
    return rows


DEMO = Demo(
    "radial",
    "SGD on a two-layer network against the JKO flow of its risk and free energy",
    30, 8,
    "isotropic Gaussian classes, d=40, N=800, Δ=.8 (std), truncated ReLU: Mei, Montanari and "
    "Nguyen 2018; ε=1e-6 is recalled, λ and β are ours",
    run, "A1",
)  # fmt: skip
