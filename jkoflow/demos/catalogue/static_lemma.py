"""The least risk of any law of the weights, of one radius, of N particles, and of SGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...check import Finding
from ...dynamics.sgd.record import Recording, of_radii
from ...dynamics.sgd.run import sgd
from ...equilibrium.convex_programme import ConvexMinimum, minimise_risk, risk_gap
from ...equilibrium.few_particles import (
    FewParticles,
    best_atom,
    lemma_constant,
    minimise_particles,
    sampling_constant,
)
from ...functionals.risk import Risk
from ...measures.base import Array
from ...networks import GaussianClasses, SimpleUnit, radial_risk, truncated_relu
from ...networks.reduced_limit import limit_risk, limit_separation
from ...report.style import COLOURS, new_figure
from ..common import close, finish
from ..registry import Demo, DemoResult
from ..session import Session

FAR = 400.0  # the domain of radii is [0, FAR]


@dataclass(frozen=True)
class Settings:
    """Truncated ReLU, convention std, N = 800, κ = .8 as published; the rest is ours."""

    dims: tuple[int, ...] = (40, 160)
    deltas: tuple[float, ...] = tuple(np.round(np.arange(0.05, 0.851, 0.025), 3))
    sgd_deltas: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
    sgd_times: tuple[float, ...] = (100.0, 40.0)  # for each dimension
    noise: float = 8e-3  # ε·d: each sample's noise is √d for a unit of signal
    neurons: int = 800
    kappa: float = 0.8  # w ~ N(0, κ²/d I)
    threshold_dims: tuple[int, ...] = (20, 40, 80, 160, 320, 640, 1280)
    few: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
    lemma_dim: int = 40
    lemma_delta: float = 0.8
    seed: int = 0


QUICK = Settings(
    dims=(40,), deltas=tuple(np.round(np.arange(0.05, 0.851, 0.1), 3)),
    sgd_deltas=(0.2, 0.4, 0.6), sgd_times=(20.0,), threshold_dims=(40, 160, 640), few=(1, 2, 4, 8),
)  # fmt: skip


def risk_of(dim: int, delta: float) -> Risk:
    """The risk as a functional of the law of |w|."""
    return radial_risk(GaussianClasses.std(dim, delta), truncated_relu)


def train(dim: int, delta: float, end: float, s: Settings, rng: Any) -> dict[str, Array]:
    """SGD to its time ``end``: the risk of the law of |w_i| there."""
    classes, risk = GaussianClasses.std(dim, delta), risk_of(dim, delta)
    theta = s.kappa / np.sqrt(dim) * rng.standard_normal((s.neurons, dim))
    epsilon = s.noise / dim
    run = sgd(
        SimpleUnit(truncated_relu), classes, theta, steps=round(end / epsilon),
        epsilon=epsilon, rng=rng, dtype=np.float32,
        record=Recording([0.0, end], {"risk": of_radii(risk)}),
    )  # fmt: skip
    return {"risk": run.statistics["risk"][-1]}


def threshold(risk: Any, lower: float = 0.3, upper: float = 0.5) -> float:
    """Δ up to which a single radius is optimal among all laws, to 1e-6, by bisection."""
    while upper - lower > 1e-6:
        delta = 0.5 * (lower + upper)
        R = risk(delta)
        atom = best_atom(R, (0.0, FAR))
        gap, _ = risk_gap(R, atom.measure, (0.0, FAR), tolerance=1e-8)
        if gap > 3e-8 * atom.value:  # more than looking for the lowest Ψ leaves undecided
            upper = delta
        else:
            lower = delta
    return 0.5 * (lower + upper)


def limit(delta: float) -> Risk:
    """The risk in infinitely many dimensions."""
    return limit_risk(1.0 + delta, 1.0 - delta, truncated_relu)


def run(session: Session) -> DemoResult:
    """The demo ``static-lemma``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    session.echo(f"convex programmes: d = {s.dims} and ∞, {len(s.deltas)} separations")
    solved = {d: [minimise_risk(risk_of(d, x), (0.0, FAR)) for x in s.deltas] for d in s.dims}
    atoms = {d: [best_atom(risk_of(d, x), (0.0, FAR)) for x in s.deltas] for d in s.dims}
    session.echo(f"separations up to which one radius is optimal: d = {s.threshold_dims} and ∞")
    critical = [threshold(lambda x, d=d: risk_of(d, x)) for d in s.threshold_dims]
    at_limit = threshold(limit)
    session.echo(f"networks of {s.few} spheres")
    lemma_risk = risk_of(s.lemma_dim, s.lemma_delta)
    star = minimise_risk(lemma_risk, (0.0, FAR))
    few = [
        minimise_particles(lemma_risk, n, (0.0, FAR), starts=star.measure, rng=s.seed)
        for n in s.few
    ]
    session.echo(f"SGD of N = {s.neurons} at {len(s.sgd_deltas)} separations, d = {s.dims}")
    cells = [{"dim": d, "delta": x, "end": end, "s": s}
             for d, end in zip(s.dims, s.sgd_times, strict=True) for x in s.sgd_deltas]  # fmt: skip
    trained = session.sweep(train, cells, "sgd", rng=s.seed).array("risk")
    trained = trained.reshape(len(s.dims), -1)

    findings = [
        *static_findings(s, solved, atoms), *threshold_findings(s, critical, at_limit),
        *lemma_findings(s, lemma_risk, star, few), *sgd_findings(s, trained, critical),
    ]  # fmt: skip
    figure = draw(s, solved, atoms, trained, critical, lemma_risk, star, few)
    arrays: dict[str, Any] = {
        "delta": s.deltas, "dims": s.dims, "sgd_delta": s.sgd_deltas, "risk_sgd": trained,
        "least_risk": [[m.value for m in solved[d]] for d in s.dims],
        "gap": [[m.gap for m in solved[d]] for d in s.dims],
        "risk_of_best_radius": [[a.value for a in atoms[d]] for d in s.dims],
        "threshold_dims": s.threshold_dims, "threshold": critical, "N": s.few,
        "risk_of_N": [f.value for f in few], "lemma_least_risk": star.value,
        "lemma_K": lemma_constant(lemma_risk, star.measure),
    }  # fmt: skip
    facts = {
        "Δ_d: " + ", ".join(f"d = {d}" for d in s.threshold_dims) + ", ∞":
            ", ".join(f"{c:.4f}" for c in [*critical, at_limit]),
        f"inf R at d = {s.lemma_dim}, Δ = {s.lemma_delta:g}": f"{star.value:.6f}, {star.measure}",
        "K, and with the variance in its place": f"{lemma_constant(lemma_risk, star.measure):.3f}, "
        f"{sampling_constant(lemma_risk, star.measure):.3f}",
    }  # fmt: skip
    return finish(session.out, "The least risk: all laws, one radius, N particles, SGD", findings,
                  figure, caption(s), facts, [], arrays)  # fmt: skip


def static_findings(
    s: Settings, solved: dict[int, list[ConvexMinimum]], atoms: dict[int, list[FewParticles]]
) -> list[Finding]:
    """The programme's gap is proved; it is no worse than what a radius alone can do."""
    found = []
    for d in s.dims:
        gaps = [m.gap if m.proved else np.inf for m in solved[d]]
        better = [m.value - a.value for m, a in zip(solved[d], atoms[d], strict=True)]
        found += [
            close("least risk over all laws: proved gap", max(gaps), 1e-7, f"d = {d}, all Δ",
                  "the tolerance is 1e-9 of the first measure's risk, which is below 10"),
            close("least risk over all laws − risk of the best radius", max(better), 1e-10,
                  f"d = {d}, all Δ", "a single radius is one of the laws; rounding"),
        ]  # fmt: skip
    return found


def threshold_findings(s: Settings, critical: list[float], at_limit: float) -> list[Finding]:
    """Δ_d tends to Δ_∞, which another derivation gives, at the rate 1/d."""
    derived = limit_separation(truncated_relu)
    defects = derived - np.array(critical)
    log_d = np.log(np.array(s.threshold_dims, dtype=float))
    slope = float(np.polyfit(log_d, np.log(defects), 1)[0])
    return [
        close("Δ_∞: programme against q(τ_± r) = ±1", abs(at_limit - derived), 1e-5, "d = ∞",
              "bisection to 1e-6, and the optimality of an atom is decided to 3e-8"),
        close("Δ_∞ = .4742", abs(derived - 0.4742), 6e-5, "d = ∞", "published to four digits"),
        close("Δ_∞ − Δ_d falls like 1/d: slope + 1", abs(slope + 1.0), 0.1,
              f"d = {s.threshold_dims[0]} … {s.threshold_dims[-1]}",
              "the next term of the expansion in 1/d bends the line by a few percent"),
    ]  # fmt: skip


def lemma_findings(
    s: Settings, risk: Risk, star: ConvexMinimum, few: list[FewParticles]
) -> list[Finding]:
    """inf R ≤ inf R_N ≤ inf R + K/N, and with the variance in K's place."""
    constant = sampling_constant(risk, star.measure)
    where = f"d = {s.lemma_dim}, Δ = {s.lemma_delta:g}, N = {s.few[0]} … {s.few[-1]}"
    below = max(star.lower_bound - f.value for f in few)
    above = max((f.value - star.value) * n / constant for n, f in zip(s.few, few, strict=True))
    return [
        close("static lemma: (inf R − gap) − R_N", below, 1e-12, where,
              "no N radii may be below a proved bound; rounding"),
        close("static lemma: (R_N − inf R)·N/K', K' = Σ w Var φ ≤ K", above, 1.0, where,
              "some N points of ρ* do no worse than their mean, inf R + K'/N"),
        close("N matters: the lemma's infimum / R at N = 1", star.value / few[0].value, 0.1, where,
              "three radii are needed here: a law that one radius could be would test nothing"),
    ]  # fmt: skip


def sgd_findings(s: Settings, trained: Array, critical: list[float]) -> list[Finding]:
    """Up to Δ_d SGD reaches the least risk; beyond, it does better than any single radius."""
    found = []
    for d, risks in zip(s.dims, trained, strict=True):
        up_to = critical[s.threshold_dims.index(d)]
        for delta, value in zip(s.sgd_deltas, risks, strict=True):
            R = risk_of(d, delta)
            least, atom = minimise_risk(R, (0.0, FAR)), best_atom(R, (0.0, FAR))
            where = f"d = {d}, Δ = {delta:g}, N = {s.neurons}"
            if delta <= up_to:
                bound = self_energy(delta, least.measure.points[:, 0]) @ least.measure.weights
                found.append(close(
                    "SGD's law of |w| reaches inf R", float(value) - least.value,
                    float(bound) / s.neurons, where, "K/N of the lemma, K = ∫U(θ,θ)dρ* in R^d",
                ))  # fmt: skip
            elif delta > 1.15 * up_to:  # nearer to it there is nothing to be told apart
                found.append(close(
                    "SGD's law of |w| against the best single radius", float(value), atom.value,
                    where, "no single radius does so well: SGD spreads them",
                ))  # fmt: skip
            found.append(close(
                "SGD is not below inf R", least.lower_bound - float(value), 1e-9, where,
                "proved for every law of |w|; rounding",
            ))  # fmt: skip
    return found


def self_energy(delta: float, r: Array) -> Array:
    """U(w,w) = ½Σ_± E σ(τ_± r G)², by the trapezoidal rule in G."""
    g = np.linspace(-9.0, 9.0, 20001)
    weight = np.exp(-0.5 * g * g) * (g[1] - g[0]) / np.sqrt(2 * np.pi)
    square = [truncated_relu(tau * np.outer(r, g)) ** 2 @ weight for tau in (1 + delta, 1 - delta)]
    return np.asarray(0.5 * (square[0] + square[1]))


def draw(
    s: Settings, solved: dict[int, list[ConvexMinimum]], atoms: dict[int, list[FewParticles]],
    trained: Array, critical: list[float], risk: Risk, star: ConvexMinimum,
    few: list[FewParticles],
) -> Any:  # fmt: skip
    """Risk against Δ; Δ_d against d; R_N against N; where the mass of the best law is."""
    figure, (risks, edges, lemma, places) = new_figure(2, 2, width=5.6, height=3.8)
    for k, d in enumerate(s.dims):
        colour = COLOURS[k]
        risks.plot(s.deltas, [m.value for m in solved[d]], "-", color=colour,
                   label=f"all laws, d = {d}")  # fmt: skip
        risks.plot(s.deltas, [a.value for a in atoms[d]], "--", color=colour,
                   label=f"best single radius, d = {d}")  # fmt: skip
        risks.plot(s.sgd_deltas, trained[k], "os"[k % 2], color=colour, markerfacecolor="white",
                   label=f"SGD, N = {s.neurons}, t = {s.sgd_times[k]:g}, d = {d}")  # fmt: skip
    limits = [minimise_risk(limit(x), (0.0, FAR)).value for x in s.deltas]
    risks.plot(s.deltas, np.maximum(limits, 1e-9), ":", color="black", label="all laws, d = ∞")
    risks.set(yscale="log", ylim=(2e-4, 3), xlabel="separation Δ (convention std)",
              ylabel="risk R", title="least risk")  # fmt: skip
    risks.legend(frameon=False, fontsize=7.5, loc="lower left")
    edges.loglog(s.threshold_dims, limit_separation(truncated_relu) - np.array(critical), "o-",
                 color=COLOURS[0], label="Δ_∞ − Δ_d")  # fmt: skip
    first = s.threshold_dims[0]
    defect = limit_separation(truncated_relu) - critical[0]
    edges.loglog(s.threshold_dims, [defect * first / d for d in s.threshold_dims], "--",
                 color="black", label="slope −1")  # fmt: skip
    edges.set_xticks(s.threshold_dims, [f"{d}" for d in s.threshold_dims])
    edges.minorticks_off()
    edges.set(xlabel="dimension d", ylabel="Δ_∞ − Δ_d",
              title="one radius is optimal up to Δ_d; Δ_∞ = .4742")  # fmt: skip
    edges.legend(frameon=False)
    n = np.array(s.few, dtype=float)
    excess = np.maximum([f.value - star.value for f in few], 1e-12)
    lemma.loglog(n, excess, "o-", color=COLOURS[0], label="best of 8 descents")
    for name, constant, dashes in (
        ("K/N", lemma_constant(risk, star.measure), "--"),
        ("K'/N, K' = Σ w Var φ", sampling_constant(risk, star.measure), ":"),
    ):
        lemma.loglog(n, constant / n, dashes, color="black", label=name)
    lemma.set_xticks(s.few, [f"{k}" for k in s.few])
    lemma.minorticks_off()
    lemma.set(xlabel="number N of radii", ylabel="R_N − inf R",
              title=f"static lemma: d = {s.lemma_dim}, Δ = {s.lemma_delta:g}")  # fmt: skip
    lemma.legend(frameon=False)
    d = s.dims[0]
    for delta, m in zip(s.deltas, solved[d], strict=True):
        r, mass = m.measure.points[:, 0], m.measure.weights
        places.scatter(np.full(len(r), delta), r / (1 + r), s=60 * mass, color=COLOURS[1])
    ticks = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 4.0, np.inf])
    places.set_yticks([*ticks[:-1] / (1 + ticks[:-1]), 1.0], [*map("{:g}".format, ticks[:-1]), "∞"])
    places.set(xlabel="separation Δ (convention std)", ylabel="radius r, on the scale r/(1 + r)",
               title=f"atoms of the best law, d = {d}; area is mass")  # fmt: skip
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings, convention and clock."""
    return (
        f"Two isotropic Gaussian classes, standard deviations 1 ± Δ (convention std), truncated "
        f"ReLU. Above left: the infimum of R over all laws of |w| on [0, {FAR:g}], with a proved "
        f"gap below 1e-7; the best single radius; SGD, w ~ N(0, {s.kappa:g}²/d I), "
        f"ε = {s.noise:g}/d, the risk of its law of |w| at SGD time t. Beyond Δ_d part of the best "
        f"law lies at infinity, which SGD approaches slowly. Above right: Δ_d by bisection on the "
        f"proved gap. Below left: N equal radii; right: "
        f"the best law of all. Activation, N = {s.neurons} and the statement "
        f"are the paper's, ε and t are ours."
    )


DEMO = Demo(
    "static-lemma",
    "The least risk over all laws, certified, against one radius, N particles, and SGD",
    80, 7,
    "truncated ReLU, N=800, κ=.8, convention std, Δ_∞=.4742: Mei, Montanari and Nguyen 2018; the "
    "grid of Δ, the dimensions, ε and the times of SGD are ours",
    run, "A7",
)  # fmt: skip
