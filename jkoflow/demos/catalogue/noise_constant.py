"""Three constants are printed for the noise of SGD: which Gibbs law does each of them sample?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import networks
from ...check import Finding
from ...dynamics.langevin import euler_stationary, langevin
from ...dynamics.sgd.record import Recording, radii
from ...dynamics.sgd.run import sgd
from ...dynamics.sgd.schedule import NOISE
from ...equilibrium.gibbs import solve_gibbs
from ...equilibrium.parts import Gibbs
from ...flows.sweep import Sweep
from ...functionals.free_energy import free_energy
from ...functionals.internal import Entropy
from ...functionals.potential import Potential
from ...measures.base import Array
from ...measures.radial import Radial
from ...rates import fit_rate
from ...report.plots import plot_law
from ...report.style import COLOURS, DASHES, new_figure
from ...verdict import at_most
from ..common import close, finish
from ..registry import Demo, DemoResult
from ..session import Session
from .radial import kolmogorov

PRINTED = {"default": "√(4s/β)", "literature": "√(2s/β)", "slides": "√(s/β)"}
MULTIPLE = {name: round(NOISE["default"] / factor) for name, factor in NOISE.items()}
LAW = {name: f"exp(−{k if k > 1 else ''}βΨ)" for name, k in MULTIPLE.items()}


@dataclass(frozen=True)
class Settings:
    """The double well's β and s are those of the conventions; the rest is ours."""

    beta: float = 3.0
    s: float = 2e-3
    chains: int = 20_000
    burn_in: float = 1.5  # SGD clock; relaxation within a well takes about 1/16
    end: float = 6.0
    dim: int = 10
    neurons: int = 800
    seeds: int = 8
    lam: float = 0.5
    network_beta: float = 20.0
    epsilon: float = 2e-4
    batch: int = 10  # one sample a step warms by O(ε), which shows at 4β
    t: float = 6.0


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(chains=4000, end=3.0, neurons=400, seeds=2, epsilon=1e-3, t=5.0)
    return Settings()


def double_well(noise: str, s: float, beta: float, chains: int, burn_in: float, end: float,
                rng: Any) -> dict[str, Array]:  # fmt: skip
    """Time averages of x² and x⁴ along many chains in (x² − 1)², and where the chains end."""
    well = Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2, lambda x: 4 * x * (x**2 - 1))
    F = well + Entropy() / beta
    times = np.linspace(burn_in, end, 1 + round(10 * (end - burn_in)))
    powers = {k: (lambda x, k=int(k[1]): x[:, 0] ** k) for k in ("x2", "x4")}
    start = rng.choice([-1.0, 1.0], size=(chains, 1))
    run = langevin(F, start, steps=round(end / s), epsilon=s, rng=rng, noise=noise,
                   record=Recording(times, powers))  # fmt: skip
    return {"x": run.theta[:, 0], **{k: v.mean(axis=0) for k, v in run.statistics.items()}}


def network(noise: str, seed: int, dim: int, neurons: int, lam: float, beta: float,
            epsilon: float, batch: int, t: float, rng: Any) -> dict[str, Array]:  # fmt: skip
    """The radii |w_i| of one network after noisy SGD on two isotropic Gaussian classes."""
    classes = networks.GaussianClasses.std(dim, 0.8)
    theta = 0.8 / np.sqrt(dim) * rng.standard_normal((neurons, dim))
    run = sgd(networks.SimpleUnit(networks.truncated_relu), classes, theta, epsilon=epsilon,
              steps=round(t / epsilon), lam=lam, beta=beta, noise=noise, batch=batch,
              rng=rng)  # fmt: skip
    return {"radii": radii(run.theta)}


def run(session: Session) -> DemoResult:
    """The demo ``noise-constant``: compute, judge, draw."""
    s = settings(session.quick)
    session.echo(f"{s.chains} chains in the double well, s = {s.s:g}, each constant")
    wells = session.sweep(
        double_well,
        [dict(noise=k, s=s.s, beta=s.beta, chains=s.chains, burn_in=s.burn_in, end=s.end)
         for k in NOISE],
        "double-well", rng=1,
    )  # fmt: skip
    session.echo(f"{s.seeds} networks of {s.neurons} neurons to t = {s.t:g}, each constant")
    nets = session.sweep(
        network,
        [dict(noise=k, seed=i, dim=s.dim, neurons=s.neurons, lam=s.lam, beta=s.network_beta,
              epsilon=s.epsilon, batch=s.batch, t=s.t) for k in NOISE for i in range(s.seeds)],
        "networks", rng=2,
    )  # fmt: skip
    samples = dict(zip(NOISE, nets.array("radii").reshape(len(NOISE), -1), strict=True))
    risk = networks.radial_risk(networks.GaussianClasses.std(s.dim, 0.8), networks.truncated_relu)
    where = Radial.normal(0.8 / np.sqrt(s.dim), s.dim, 500)
    stars = {k: solve_gibbs(free_energy(risk, s.lam, MULTIPLE[k] * s.network_beta), where)
             for k in NOISE}  # fmt: skip
    moments = moments_of(wells)
    steps = np.array([4e-3, 2e-3, 1e-3, 5e-4])
    biases = {k: np.array([bias(s.beta, h, k) for h in steps]) for k in NOISE}
    findings = [
        *well_findings(s, moments), *step_findings(steps, biases),
        *network_findings(s, samples, stars),
    ]  # fmt: skip
    data = {"s": steps, **{f"x_{k}": wells.results[i]["x"] for i, k in enumerate(NOISE)},  # type: ignore[index]
            **{f"radii_{k}": v for k, v in samples.items()},
            **{f"total_variation_{k}": v for k, v in biases.items()}}  # fmt: skip
    return finish(
        session.out, "What the printed constants of the noise sample", findings,
        draw(s, wells, steps, biases, samples, stars), caption(s), facts(s, moments),
        [session.out / "double-well", session.out / "networks"], data,
    )  # fmt: skip


def gibbs_moment(beta: float, power: int) -> float:
    """⟨x^power⟩ under exp(−β(x² − 1)²)."""
    x = np.linspace(-4.0, 4.0, 8001)  # the trapezoidal rule is exact for what vanishes at the ends
    weight = np.exp(-beta * (x**2 - 1) ** 2)
    return float(weight @ x**power / weight.sum())


def chain_law(beta: float, s: float, noise: str) -> tuple[Array, Array]:
    """The stationary density of the chain in the double well, without sampling."""
    spread = float(np.sqrt(NOISE[noise] * s / beta))
    n = int(np.ceil(2.2 * 6.0 / spread))
    return euler_stationary(lambda x: x - 8 * s * x * (x**2 - 1), spread, -3.0, 3.0, max(n, 400))


def bias(beta: float, s: float, noise: str) -> float:
    """Total variation between the chain's law and the Gibbs law that it approximates."""
    x, p = chain_law(beta, s, noise)
    h = x[1] - x[0]
    gibbs = np.exp(-MULTIPLE[noise] * beta * (x**2 - 1) ** 2)
    return float(0.5 * h * np.abs(p - gibbs / (gibbs.sum() * h)).sum())


def moments_of(wells: Sweep) -> dict[str, list[tuple[int, float, float]]]:
    """(power, mean, standard error) by constant. Chains are independent, times in a chain not."""
    found = {}
    for noise, result in zip(NOISE, wells.results, strict=True):
        assert result is not None
        rows = [(2, result["x2"]), (4, result["x4"])]
        found[noise] = [
            (k, float(v.mean()), float(v.std(ddof=1) / np.sqrt(len(v)))) for k, v in rows
        ]
    return found


def well_findings(s: Settings, moments: dict[str, list[tuple[int, float, float]]]) -> list[Finding]:
    """Each constant has its own law's moments, and neither of the other two laws'."""
    found = []
    for noise, rows in moments.items():
        x, p = chain_law(s.beta, s.s, noise)
        for power, mean, error in rows:
            exact = float(p @ x**power * (x[1] - x[0]))
            found.append(close(
                f"{PRINTED[noise]}: ⟨x^{power}⟩", abs(mean - exact), 4.0 * error,
                f"double well, s = {s.s:g}",
                f"{s.chains} independent chains, 4 standard errors; held against the chain's own "
                f"stationary law, which is O(s) off {LAW[noise]}",
            ))  # fmt: skip
            for other in (k for k in NOISE if k != noise and power == 2):  # ⟨x⁴⟩ hardly differs
                apart = abs(mean - gibbs_moment(MULTIPLE[other] * s.beta, power))
                found.append(at_most(
                    f"{PRINTED[noise]}: ⟨x^{power}⟩ is not that of {LAW[other]}", 10.0 * error,
                    apart, ("10 standard errors are less than the difference",),
                ))  # fmt: skip
    return found


def step_findings(steps: Array, biases: dict[str, Array]) -> list[Finding]:
    """The chain's law tends to the claimed Gibbs law like s, for no other reason than s."""
    return [
        fit_rate(steps, values).finding(
            f"{PRINTED[k]}: distance to {LAW[k]} falls like s", 1.0, (0.0, 0.5, 2.0), margin=0.05,
            where="double well, total variation, by quadrature",
        )
        for k, values in biases.items()
    ]  # fmt: skip


def network_findings(
    s: Settings, samples: dict[str, Array], stars: dict[str, Gibbs]
) -> list[Finding]:
    """The law of |w| under each constant is the Gibbs law at its own temperature, and no other."""
    found = []
    for noise, values in samples.items():
        # 1.95/√n: exceeded by .1% of iid samples; 1.5% for the steps' size and the interaction
        bound = 1.95 / np.sqrt(values.size) + 0.015
        for law, star in stars.items():
            k, where = kolmogorov(values, star.measure), f"network, Kolmogorov, n = {values.size}"  # type: ignore[arg-type]
            if law == noise:
                reason = "1.95/√n, and 0.015 for ε and the interaction of the neurons"
                found.append(close(f"{PRINTED[noise]}: law of |w| at {MULTIPLE[law]}β", k, bound,
                                   where, reason))  # fmt: skip
            else:
                found.append(at_most(f"{PRINTED[noise]}: law of |w| is not that at "
                                     f"{MULTIPLE[law]}β", 2.0 * bound, k, where=where))  # fmt: skip
    return found


def draw(
    s: Settings, wells: Sweep, steps: Array, biases: dict[str, Array], samples: dict[str, Array],
    stars: dict[str, Gibbs],
) -> Any:
    """The double well's three laws, the steps' bias, and the network's three laws."""
    figure, (well, slope, net) = new_figure(3, width=4.9, height=3.7)
    x = np.linspace(-2.0, 2.0, 801)
    for i, noise in enumerate(NOISE):
        result = wells.results[i]
        assert result is not None
        look = {"color": COLOURS[i], "linestyle": DASHES[i]}
        draw_sample(well, result["x"], i, f"sampled with {PRINTED[noise]}", 80)
        gibbs = np.exp(-MULTIPLE[noise] * s.beta * (x**2 - 1) ** 2)
        well.plot(x, gibbs / (gibbs.sum() * (x[1] - x[0])), label=LAW[noise], **look)
        slope.loglog(steps, biases[noise], marker="osv"[i], label=PRINTED[noise], **look)
        plot_law(stars[noise].measure, label=f"ρ* at β = {MULTIPLE[noise] * s.network_beta:g}",
                 quantity="|w|", ax=net)  # fmt: skip
    for i, noise in enumerate(NOISE):
        draw_sample(net, samples[noise], i, f"sampled with {PRINTED[noise]}", 25)
    slope.loglog(steps, biases["default"][0] * steps / steps[0], color="black", linewidth=0.8,
                 label="slope 1")  # fmt: skip
    well.set(xlabel="x", ylabel="density", title=f"Ψ = (x² − 1)², β = {s.beta:g}, s = {s.s:g}")
    slope.set_xticks(steps, [f"{h:g}" for h in steps])
    slope.minorticks_off()
    slope.set(xlabel="step size s", ylabel="total variation to its Gibbs law",
              title="what remains is the size of the step")  # fmt: skip
    net.set_title(f"two-layer network in R^{s.dim}, β = {s.network_beta:g}")
    for ax in (well, slope, net):
        ax.legend(frameon=False, fontsize=7)
    return figure


def draw_sample(ax: Any, values: Array, i: int, label: str, bins: int) -> None:
    """A histogram as the i-th kind of marker, so that three can be told apart."""
    height, edges = np.histogram(values, bins=bins, density=True)
    ax.plot(0.5 * (edges[1:] + edges[:-1]), height, "osv"[i], color=COLOURS[i], markersize=3.5,
            alpha=0.7, label=label)  # fmt: skip


def caption(s: Settings) -> str:
    """What the figure shows, with its settings."""
    return (
        f"Noise of standard deviation √(4s/β), √(2s/β), √(s/β) per step of size s, on SGD's clock "
        f"t = Σs. Left: {s.chains} chains in a double well after t = {s.end:g}, and the Gibbs laws "
        f"at β, 2β, 4β. Middle: the chain's exact stationary law against that Gibbs law. Right: "
        f"|w_i| of {s.seeds} networks of {s.neurons} truncated ReLU neurons after t = {s.t:g} of "
        f"noisy SGD, ε = {s.epsilon:g}, batches of {s.batch}, λ = {s.lam:g}, on two Gaussian "
        f"classes with standard deviations 1 ± 0.8 (convention std), against ρ* of the free energy "
        "at β, 2β, 4β. The first constant is this library's; the second is printed in the "
        "literature, the third on the slides of a talk. All parameters are ours."
    )


def facts(s: Settings, moments: dict[str, list[tuple[int, float, float]]]) -> dict[str, Any]:
    """Moments, measured and exact."""
    return {
        f"{PRINTED[noise]}: ⟨x^{k}⟩ sampled; at β, 2β, 4β": f"{mean:.4f} ± {error:.4f}; "
        + ", ".join(f"{gibbs_moment(m * s.beta, k):.4f}" for m in MULTIPLE.values())
        for noise, rows in moments.items()
        for k, mean, error in rows
    }


DEMO = Demo(
    "noise-constant",
    "What noise of √(4s/β), √(2s/β) and √(s/β) really samples",
    90, 5,
    "the three constants are as printed here, in the literature and on slides; the double well's "
    "β = 3, s = 2e-3 are this project's conventions, everything else is ours",
    run, "N1",
)  # fmt: skip
