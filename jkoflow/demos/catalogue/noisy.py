"""Noisy, regularised SGD against the flow of its free energy, and against the law both end in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ... import networks
from ...check import Finding, check_fixed_point, check_run, check_samples
from ...dynamics.sgd.record import Recording, radii
from ...dynamics.sgd.run import sgd
from ...equilibrium.gibbs import solve_gibbs
from ...equilibrium.parts import Gibbs
from ...flows.driver import flow as jko_flow
from ...flows.sweep import Sweep
from ...flows.trajectory import Trajectory
from ...functionals.base import Functional
from ...functionals.free_energy import free_energy
from ...functionals.risk import Risk
from ...measures.base import Array
from ...measures.cells import Cells
from ...measures.conversion import sample
from ...measures.particles import Particles
from ...measures.radial import Radial
from ...problem import Problem
from ...rates import Rate, fit_rate
from ...report.plots import plot_energy, plot_histogram, plot_law
from ...report.style import COLOURS, DASHES, new_figure
from ...transport.one_dimensional import distance_squared
from ...verdict import at_most
from ..common import about, close, finish
from ..registry import Demo, DemoResult
from ..session import Session

UNIT = networks.SimpleUnit(networks.truncated_relu)


@dataclass(frozen=True)
class Settings:
    """Classes and unit as in the paper; λ, β and all the rest are ours."""

    dim: int = 40
    delta: float = 0.8
    lam: float = 0.5
    beta: float = 20.0
    starts: tuple[float, ...] = (0.8, 3.0)  # κ of w ~ N(0, κ²/d I)
    cells: int = 1000
    tau: float = 0.0125  # as large as lets each step be certified as minimal
    T: float = 12.0  # JKO clock
    halvings: int = 4
    neurons: int = 800
    epsilon: float = 2e-4
    batch: int = 8
    seeds: int = 5

    @property
    def classes(self) -> networks.GaussianClasses:
        """The two classes."""
        return networks.GaussianClasses.std(self.dim, self.delta)

    def start(self, kappa: float) -> Radial:
        """The law of |w| for w ~ N(0, κ²/d I)."""
        return Radial.normal(kappa / np.sqrt(self.dim), self.dim, self.cells)

    @property
    def times(self) -> Array:
        """Records of SGD, on its own clock t = T/2."""
        end = 0.5 * self.T
        return np.array([t for t in (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0) if t < end] + [end])


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(cells=400, T=6.0, halvings=3, neurons=300, epsilon=5e-4, batch=4,
                        seeds=3)  # fmt: skip
    return Settings()


def noisy_run(seed: int, kappa: float, dim: int, delta: float, lam: float, beta: float,
              neurons: int, epsilon: float, batch: int, times: list[float],
              rng: Any) -> dict[str, Array]:  # fmt: skip
    """Radii along one run of noisy SGD in R^dim, its last particles and their risk."""
    classes = networks.GaussianClasses.std(dim, delta)
    theta = kappa / np.sqrt(dim) * rng.standard_normal((neurons, dim))
    run = sgd(
        UNIT, classes, theta, steps=round(times[-1] / epsilon), epsilon=epsilon, lam=lam,
        beta=beta, batch=batch, rng=rng, dtype=np.float32,
        record=Recording(times, {"radii": radii}),
    )  # fmt: skip
    x, y = classes.sample(20_000, np.random.default_rng(5), dtype=np.float32)
    risk = np.mean((y - UNIT.value(run.theta, x).mean(axis=1)) ** 2)
    return {"radii": run.statistics["radii"], "theta": run.theta.astype(float), "risk": risk}


def run(session: Session) -> DemoResult:
    """The demo ``noisy``: compute, judge, draw."""
    s = settings(session.quick)
    risk = networks.radial_risk(s.classes, networks.truncated_relu)
    F = free_energy(risk, s.lam, s.beta)
    session.echo(f"JKO flows of F in R^{s.dim} from {len(s.starts)} starts, to T = {s.T:g}")
    problems = [Problem(F, s.start(k), tau=s.tau, t_end=s.T) for k in s.starts]
    flows = [session.flow(p, f"flow-{i}") for i, p in enumerate(problems)]
    stars = [solve_gibbs(F, s.start(k), n=s.cells) for k in (0.1, *s.starts)]
    session.echo(f"noisy SGD: {s.seeds} runs of {s.neurons} neurons to t = {s.T / 2:g}")
    grid = [dict(seed=i, kappa=s.starts[0], dim=s.dim, delta=s.delta, lam=s.lam, beta=s.beta,
                 neurons=s.neurons, epsilon=s.epsilon, batch=s.batch, times=s.times.tolist())
            for i in range(s.seeds)]  # fmt: skip
    runs = session.sweep(noisy_run, grid, "sgd", rng=11)
    session.echo("judging")
    taus, gaps, rate = dissipation(s, F)
    findings = [
        *(f for i, p in enumerate(problems)
          for f in about(f"flow {i}", check_run(p, session.out / f"flow-{i}"))),
        *equilibrium_findings(s, F, flows, stars),
        rate.finding("dissipation: F(0) − F(T) − Σ W2²/τ vanishes like τ", 1.0, (0.0, 0.5, 2.0),
                     margin=0.15, where="T = 1"),
        *sgd_findings(s, F, risk, flows[0], runs, stars[0]),
    ]  # fmt: skip
    curves = distances(s, flows[0], runs, stars[0])
    data = {"t_sgd": s.times, "W2_sgd_to_gibbs": curves["SGD"], "T_flow": flows[0].times,
            "free_energy": np.array([f.energies for f in flows]), "tau": taus,
            "dissipation_gap": gaps}  # fmt: skip
    figure = draw(s, flows, runs, stars[0], curves, (taus, gaps, rate))
    return finish(
        session.out, "Noisy SGD, the flow of its free energy, and the Gibbs law", findings, figure,
        caption(s), facts(s, flows, runs, stars[0], risk),
        [session.out / name for name in ("flow-0", "flow-1", "sgd")], data,
    )  # fmt: skip


def w2(values: Array, law: Cells) -> float:
    """W2 between equally weighted radii and a law of the radius."""
    return float(np.sqrt(distance_squared(Particles(values), law)))


@lru_cache(maxsize=4)
def floor(law: Cells, n: int, draws: int = 200) -> Array:
    """W2 to ρ* of n independent radii drawn from it, sorted: what chance alone leaves."""
    rng = np.random.default_rng(17)
    return np.sort([w2(np.asarray(law.ppf(rng.random(n))), law) for _ in range(draws)])


def distances(s: Settings, flow: Trajectory, runs: Sweep, star: Gibbs) -> dict[str, Array]:
    """W2 of the law of |w| to ρ*: along the flow, and of SGD's particles (runs, times)."""
    every = range(0, len(flow.times), max(1, len(flow.times) // 60))
    along = [np.sqrt(distance_squared(flow.measures[k], star.measure)) for k in every]
    of_sgd = [[w2(r, star.measure) for r in row] for row in runs.array("radii")]
    return {"T": flow.times[list(every)], "flow": np.array(along), "SGD": np.array(of_sgd),
            "floor": floor(star.measure, s.neurons)}  # fmt: skip


def dissipation(s: Settings, F: Functional) -> tuple[Array, Array, Rate]:
    """|F(0) − F(T) − Σ W2²/τ| for halved τ: the slope squared is W2²/τ² at each new point."""
    taus = 0.04 * 0.5 ** np.arange(s.halvings)
    gaps = []
    for tau in taus:
        run = jko_flow(Problem(F, s.start(s.starts[0]), tau=float(tau), t_end=1.0))
        moved = [distance_squared(a, b) for a, b in pairwise(run.measures)]
        gaps.append(abs(run.energies[0] - run.energies[-1] - sum(moved) / tau))
    return np.asarray(taus, dtype=float), np.array(gaps), fit_rate(taus, gaps)


def equilibrium_findings(
    s: Settings, F: Functional, flows: list[Trajectory], stars: list[Gibbs]
) -> list[Finding]:
    """One fixed point, from wherever it is looked for; the flows end there."""
    first = stars[0].measure
    apart = max(np.sqrt(distance_squared(g.measure, first)) for g in stars[1:])
    found = [
        close("ρ* is the same from several starts: W2", float(apart), 1e-6, "3 starts",
              "the same dual, strictly concave, solved on axes found from different laws"),
        *about("ρ*", check_fixed_point(F, first)),
    ]  # fmt: skip
    for i, flow in enumerate(flows):
        found += about(f"end of flow {i}", check_fixed_point(F, flow.final))
        found.append(close(
            f"flow {i} ends at ρ*: W2", float(np.sqrt(distance_squared(flow.final, first))), 0.01,
            f"T = {flow.times[-1]:g}", "a hundredth of the law's own width, .3, is .003; cells "
            "and time leave less than three of these",
        ))  # fmt: skip
    return found


def sgd_findings(
    s: Settings, F: Functional, risk: Risk, flow: Trajectory, runs: Sweep, star: Gibbs
) -> list[Finding]:
    """Particles against the flow on the way, and against ρ* at the end."""
    every = runs.array("radii")
    found = []
    for j, t in enumerate(s.times[1:-1], start=1):
        law = flow.measures[int(np.argmin(np.abs(flow.times - 2 * t)))]
        means, exact = every[:, j].mean(axis=1), float(law.mean()[0])
        error = 5.0 * float(means.std(ddof=1)) / np.sqrt(s.seeds)
        error += 0.25 * s.dim * (1.0 / s.neurons + s.epsilon)
        found.append(close(
            "SGD and flow: mean of |w|", abs(float(means.mean()) - exact), error, f"t = {t:g}",
            "5 standard errors of independent runs, and D(1/N + ε)/4 for biases, which are of the "
            "order of the squares of the fluctuations √(D/N), √(Dε)",
        ))  # fmt: skip
    chance = floor(star.measure, s.neurons)
    worst = max(w2(r, star.measure) for r in every[:, -1])
    found.append(close(
        "SGD ends at ρ*: W2 of |w|, the worst run", worst, 1.5 * float(chance[-1]),
        f"N = {s.neurons}, t = {s.times[-1]:g}",
        "1.5 times the largest of 200 samples of N independent radii: ε and neurons' interaction "
        "are allowed half of what chance does",
    ))  # fmt: skip
    found.append(at_most(
        "the start is not ρ*: W2", 3.0 * float(chance[-1]), w2(every[0, 0], star.measure),
    ))  # fmt: skip
    found += risk_findings(s, risk, runs, star)
    theta = runs.results[0]["theta"]  # type: ignore[index]
    report = check_samples(F, theta, reference=star, rng=3, alpha=0.01)
    return [*found, *about(f"particles in R^{s.dim}", report)]


def risk_findings(s: Settings, risk: Risk, runs: Sweep, star: Gibbs) -> list[Finding]:
    """R_N is above R(ρ*), by less than that of N independent neurons: theirs repel each other."""
    values, excess = runs.array("risk"), iid_excess(s, star.measure)
    at_star, error = risk.value(star.measure), 5.0 * float(values.std(ddof=1)) / np.sqrt(s.seeds)
    error += 0.02  # 20 000 rows: five standard errors of the mean of (y − ŷ)²
    where = f"R(ρ*) = {at_star:.4f}, iid: + {excess:.4f}, SGD {values.mean():.4f}"
    reason = ("5 standard errors of the runs, .02 for the rows on which R_N is evaluated",)
    return [
        at_most("R_N ≥ R(ρ*)", at_star - float(values.mean()), error, reason, where=where),
        at_most("R_N ≤ R(ρ*) + (∫U(θ,θ)dρ* − ∬U)/N", float(values.mean()) - at_star - excess, error,
                reason, where=where),
    ]  # fmt: skip


@lru_cache(maxsize=4)
def iid_excess(s: Settings, law: Cells) -> float:
    """(∫U(θ,θ)dρ − ∬U dρdρ)/N, exact for independent neurons; 2000 of them, 4000 rows."""
    x, _ = s.classes.sample(4000, np.random.default_rng(6))
    outputs = UNIT.value(sample(law, 2000, rng=7).points, x)
    return float(outputs.var(axis=1, ddof=1).mean()) / s.neurons


def draw(
    s: Settings, flows: list[Trajectory], runs: Sweep, star: Gibbs, curves: dict[str, Array],
    identity: tuple[Array, Array, Rate],
) -> Any:
    """Laws, energies, distances, and the dissipation."""
    figure, (laws, energies, far, identities) = new_figure(2, 2, width=5.4, height=3.6)
    plot_histogram(runs.array("radii")[0, -1], label=f"SGD, t = {s.times[-1]:g}", quantity="|w|",
                   bins=25, ax=laws)  # fmt: skip
    for T in (0.0, 0.5, 2.0):
        law = flows[0].measures[int(np.argmin(np.abs(flows[0].times - T)))]
        plot_law(law, label=f"flow of F, T = {T:g}", quantity="|w|", ax=laws)
    plot_law(star.measure, label="ρ*", quantity="|w|", ax=laws)
    laws.set(title=f"noisy network in R^{s.dim}, N = {s.neurons}", ylim=(0, 4.5))
    risk = networks.radial_risk(s.classes, networks.truncated_relu)
    # of ρ* on as many cells, which is below F(ρ*) by O(cells⁻²)
    least = free_energy(risk, s.lam, s.beta).value(star.measure)
    for kappa, flow in zip(s.starts, flows, strict=True):
        excess = flow.energies - least
        excess[excess < 1e-9] = np.nan  # below what is known of F(ρ*)
        plot_energy(flow.times, excess, label=f"from κ = {kappa:g}", ax=energies)
    energies.set(yscale="log", ylabel="F(ρ_T) − F(ρ*)", title="the free energy falls to its least")
    far.semilogy(0.5 * curves["T"], curves["flow"], color=COLOURS[0], label="flow")
    values = curves["SGD"]
    far.errorbar(s.times, values.mean(axis=0), yerr=values.std(axis=0, ddof=1), fmt="o", capsize=3,
                 color="black", markersize=4, label=f"SGD, {s.seeds} runs ± 1 s.d.")  # fmt: skip
    far.axhspan(*np.quantile(curves["floor"], [0.005, 0.995]), color="#999999", alpha=0.4,
                label=f"{s.neurons} independent samples of ρ*, 99%")  # fmt: skip
    far.set(xlabel="SGD time t = kε = T/2", ylabel="W2 of the law of |w| to ρ*", ylim=(1e-3, None),
            title="N neurons get as near as chance lets them")  # fmt: skip
    taus, gaps, rate = identity
    identities.loglog(taus, gaps, "o", color=COLOURS[0], label="|F(0) − F(T) − Σ W2²/τ|, T = 1")
    identities.loglog(taus, rate(taus), color=COLOURS[1], linestyle=DASHES[1],
                      label=f"slope {rate.slope:.3f} ± {rate.half_width:.3f}")  # fmt: skip
    identities.set(xlabel="step τ (JKO time)", ylabel="missing dissipation",
                   title="dF/dT = −∫|∇δF/δρ|² dρ")  # fmt: skip
    identities.set_xticks(taus, [f"{tau:g}" for tau in taus])
    identities.set_xticks([], minor=True)
    for ax in (laws, energies, far, identities):
        ax.legend(frameon=False, fontsize=7)
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clocks."""
    return (
        f"Noisy SGD (λ = {s.lam:g}, β = {s.beta:g}, noise √(4s/β), ε = {s.epsilon:g}, batches of "
        f"{s.batch}) on two isotropic Gaussian classes in R^{s.dim}, standard deviations 1 ± "
        f"{s.delta:g} (convention std), truncated ReLU, against the JKO flow of F = ½R + "
        "(λ/2)∫|w|² + H/β in the law of |w|, and its fixed point ρ* by quadrature. The flow's "
        "clock T is twice SGD's t. Above: the law of |w|, and the free energy of flows from two "
        "starts above its least value (as far as 1e-9). Below: the distance to ρ*, which N neurons "
        "keep by chance (grey); what the steps of size τ leave of the dissipation, of first order "
        "in τ. "
        "Classes and unit as in Mei, Montanari and Nguyen (2018); λ, β and the rest are ours."
    )


def facts(
    s: Settings, flows: list[Trajectory], runs: Sweep, star: Gibbs, risk: Risk
) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    values, chance = runs.array("risk"), floor(star.measure, s.neurons)
    ends = [w2(r, star.measure) for r in runs.array("radii")[:, -1]]
    return {
        "F(ρ*), and its gap": f"{star.free_energy:.7f}, {star.gap:.1e}",
        "F at the ends of the flows": ", ".join(f"{f.energies[-1]:.7f}" for f in flows),
        "R(ρ*); R_N of SGD; excess of iid neurons": f"{risk.value(star.measure):.4f}; "
        f"{values.mean():.4f} ± {values.std(ddof=1) / np.sqrt(s.seeds):.4f}; "
        f"{iid_excess(s, star.measure):.4f}",
        "W2 to ρ* of SGD's |w|; of iid samples": f"{np.mean(ends):.4f}; {chance.mean():.4f}",
    }


DEMO = Demo(
    "noisy",
    "Noisy SGD, the flow of its free energy, and the Gibbs law both end in",
    60, 8,
    "isotropic Gaussian classes (std) and truncated ReLU in R^40 as in Mei, Montanari and Nguyen "
    "2018; λ, β, N and ε are ours",
    run, "A5",
)  # fmt: skip
