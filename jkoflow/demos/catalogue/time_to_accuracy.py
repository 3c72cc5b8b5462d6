"""General convergence: noisy SGD is within η of the infimum after a time that N does not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import networks
from ...check import Finding, check_fixed_point
from ...dynamics.sgd.record import Recording, test_risk
from ...dynamics.sgd.run import sgd
from ...equilibrium.gibbs import solve_gibbs
from ...equilibrium.parts import Gibbs
from ...functionals.free_energy import free_energy
from ...functionals.risk import Risk
from ...measures.base import Array
from ...measures.radial import Radial
from ...rates import Rate, fit_rate
from ...report.style import COLOURS, DASHES, new_figure
from ...verdict import at_most
from ..common import about, finish, has_a_limit
from ..registry import Demo, DemoResult
from ..session import Session

GROWTH = "a time like N^¼ is excluded, one that falls is not: small networks are later"


@dataclass(frozen=True)
class Settings:
    """Ours, all of them."""

    dim: int = 10
    delta: float = 0.8
    kappa: float = 1.5
    lam: float = 0.05
    beta: float = 100.0
    epsilon: float = 1e-3
    end: float = 8.0  # SGD clock
    records: int = 81
    neurons: tuple[int, ...] = (100, 200, 400, 800, 1600, 3200)
    seeds: int = 8
    etas: tuple[float, ...] = (0.3, 0.15)
    rows: int = 4000  # of the sample on which R_N is evaluated

    @property
    def classes(self) -> networks.GaussianClasses:
        """The two classes."""
        return networks.GaussianClasses.std(self.dim, self.delta)


def settings(quick: bool) -> Settings:
    """The full experiment, or one of a few seconds."""
    if quick:
        return Settings(epsilon=2e-3, end=6.5, records=27, neurons=(80, 160, 320, 640), seeds=8,
                        etas=(0.25, 0.2), rows=800)  # fmt: skip
    return Settings()


def noisy_run(neurons: int, seed: int, dim: int, delta: float, kappa: float, lam: float,
              beta: float, epsilon: float, end: float, records: int, rows: int,
              rng: Any) -> dict[str, Array]:  # fmt: skip
    """R_N + λ mean|θ_i|² along one run of noisy SGD, R_N on the same rows for every run.

    Equal seeds have equal samples for all N, and the same neurons as far as they go.
    """
    classes, unit = networks.GaussianClasses.std(dim, delta), networks.SimpleUnit(
        networks.truncated_relu
    )  # fmt: skip
    x, y = classes.sample(rows, np.random.default_rng(99), dtype=np.float32)
    risk = test_risk(unit, x, y)
    theta = kappa / np.sqrt(dim) * np.random.default_rng([seed, 1]).standard_normal((neurons, dim))
    run = sgd(
        unit, classes, theta, steps=round(end / epsilon), epsilon=epsilon, lam=lam, beta=beta,
        rng=seed, dtype=np.float32,
        record=Recording(np.linspace(0.0, end, records), {
            "R": lambda t: risk(t) + lam * float((t**2).sum(axis=1).mean()),  # type: ignore[arg-type, operator]
        }),
    )  # fmt: skip
    return {"t": run.times, "R": run.statistics["R"]}


def run(session: Session) -> DemoResult:
    """The demo ``time-to-accuracy``: compute, judge, draw."""
    s = settings(session.quick)
    risk = networks.radial_risk(s.classes, networks.truncated_relu)
    F = free_energy(risk, s.lam, s.beta)
    start = Radial.normal(s.kappa / np.sqrt(s.dim), s.dim, 500)
    star = solve_gibbs(F, start, n=4000)
    lower, upper = infimum(risk, s, start)
    session.echo(f"{s.seeds} runs each for N in {s.neurons}, to t = {s.end:g}")
    names = ("dim", "delta", "kappa", "lam", "beta", "epsilon", "end", "records", "rows")
    rest = {name: [getattr(s, name)] for name in names}
    grid = {"neurons": s.neurons, "seed": range(s.seeds), **rest}
    done = session.sweep(noisy_run, grid, "runs", rng=3)
    shape = (len(s.neurons), s.seeds, s.records)
    t, values = done.array("t").reshape(shape)[0, 0], done.array("R").reshape(shape)
    times = {eta: hitting_times(t, values, lower + eta) for eta in s.etas}
    findings = [
        *about("ρ* of F", check_fixed_point(F, star.measure)),
        at_most("the infimum is known to a fraction of η", upper - lower, 0.25 * min(s.etas),
                ("inf R_λ lies between a dual bound and the risk of a law",),
                where=f"inf R_λ in [{lower:.4f}, {upper:.4f}]"),
        at_most("ρ* itself is within η", regularised(risk, s.lam, star) - lower, min(s.etas),
                where=f"λ = {s.lam:g}, β = {s.beta:g}"),
        *time_findings(s, times, {
            eta: times_of_means(t, values, lower + eta) for eta in s.etas
        }),
    ]  # fmt: skip
    rates = {eta: rate_of(s, found) for eta, found in times.items()}
    data = {"t_sgd": t, "regularised_risk": values, "N": s.neurons,
            **{f"time_to_{eta:g}": found for eta, found in times.items()}}  # fmt: skip
    return finish(
        session.out, "The time to η does not grow with the number of neurons", findings,
        draw(s, t, values, times, rates, (lower, upper), regularised(risk, s.lam, star)),
        caption(s), facts(times, rates, s), [session.out / "runs"], data,
    )  # fmt: skip


def regularised(risk: Risk, lam: float, star: Gibbs) -> float:
    """R_λ = R + λ∫|θ|² of a Gibbs law."""
    law = star.measure
    return risk.value(law) + lam * float(law.weights @ law.points[:, 0] ** 2)


def infimum(risk: Risk, s: Settings, start: Radial) -> tuple[float, float]:
    """Bounds of inf R_λ over rotation-invariant laws, which by convexity is that over all laws.

    From above, R_λ of the Gibbs law at β = 10⁵. From below, with its residuals e:
    R_λ(ρ) ≥ Σ w(2ey − e²) + min_r [λr² − 2Σ w e φ(r)] for every ρ.
    """
    cold = solve_gibbs(free_energy(risk, s.lam, 1e5), start)
    e = risk.targets - risk.features(cold.measure.points) @ cold.measure.weights
    # R_λ ≤ R_λ(δ_0) at the minimum, so no more than (1 + max|σ|)²/λ of |w|² need be looked at
    r = np.linspace(0.0, 60.0, 60_001)[:, None]
    least = (s.lam * r[:, 0] ** 2 - 2.0 * (risk.weights * e) @ risk.features(r)).min()
    below = float(risk.weights @ (2.0 * e * risk.targets - e**2) + least)
    return below, regularised(risk, s.lam, cold)


def hitting_times(t: Array, values: Array, level: float) -> Array:
    """The first time at or below a level, linear between records; ∞ if never. Last axis: time."""
    below = values <= level
    k = np.argmax(below, axis=-1)
    before = np.maximum(k - 1, 0)
    after_value = np.take_along_axis(values, k[..., None], -1)[..., 0]
    value = np.take_along_axis(values, before[..., None], -1)[..., 0]
    drop = np.where(value > after_value, value - after_value, 1.0)
    at = np.where(k > 0, t[before] + (t[k] - t[before]) * (value - level) / drop, t[0])
    return np.where(below.any(axis=-1), at, np.inf)


def rate_of(s: Settings, times: Array) -> Rate | None:
    """Time against N, if all runs arrived."""
    return fit_rate(s.neurons, times.T, level=0.99) if np.isfinite(times).all() else None


def times_of_means(t: Array, values: Array, level: float) -> Array:
    """The times at which the mean over runs gets to a level: pseudo-values (runs, N).

    A run's first time comes early by its fluctuations, and the less of them the more neurons.
    """
    runs, total = values.shape[1], values.sum(axis=1)
    one = hitting_times(t, total / runs, level)
    others = hitting_times(t, (total[:, None] - values) / (runs - 1), level)
    return np.asarray(runs * one - (runs - 1) * others.T)


def time_findings(
    s: Settings, times: dict[float, Array], of_means: dict[float, Array]
) -> list[Finding]:
    """All runs arrive, no later for larger N, after a time that has a limit."""
    found = []
    for eta, values in times.items():
        where = f"η = {eta:g}, {s.seeds} runs each"
        found.append(at_most("every run gets within η", float(values.max()), s.end, where=where))
        rate = rate_of(s, values)
        if rate is not None:
            found.append(at_most(
                "time to η against N: no growth", rate.high, 0.1,
                (f"upper end of the 99% interval of log time against log N; {GROWTH}",),
                where=f"{where}: {rate}",
            ))  # fmt: skip
        # R_N exceeds R of its limit by O(1/N), which delays small networks
        found.append(has_a_limit("time of the mean R to η", s.neurons, of_means[eta], where))
    return found


def draw(
    s: Settings, t: Array, values: Array, times: dict[float, Array],
    rates: dict[float, Rate | None], inf: tuple[float, float], at_star: float,
) -> Any:
    """R_λ against time for every N, and the times against N."""
    figure, (curves, hits) = new_figure(2, width=5.4, height=3.9)
    for i, N in enumerate(s.neurons):
        look = {"color": COLOURS[i % 7], "linestyle": DASHES[i % 7]}
        curves.plot(t, values[i].mean(axis=0), linewidth=1.5, label=f"N = {N}", **look)
    curves.axhspan(*inf, color="black", alpha=0.6, linewidth=0.5, label="inf R_λ lies here")
    curves.axhline(at_star, color="black", linestyle=":", linewidth=1.0, label="R_λ(ρ*)")
    for eta in s.etas:
        curves.axhline(inf[0] + eta, color="#888888", linestyle="--", linewidth=0.8)
        curves.annotate(f"inf + {eta:g}", (0.0, inf[0] + eta), ha="left", va="bottom", fontsize=7)
    curves.set(xlabel="SGD time t = kε", ylabel="R_N + λ mean|θ_i|²", ylim=(inf[0] - 0.03, None),
               title="regularised risk of noisy SGD")  # fmt: skip
    sizes = np.array(s.neurons, dtype=float)
    for i, (eta, found) in enumerate(times.items()):
        hits.plot(np.repeat(sizes, s.seeds), found.ravel(), "os"[i % 2], color=COLOURS[i],
                  alpha=0.4, markersize=4)  # fmt: skip
        rate = rates[eta]
        label = f"η = {eta:g}"
        label += f": slope {rate.slope:.3f} ± {rate.half_width:.3f} (99%)" if rate else ""
        hits.plot(sizes, found.mean(axis=1), color=COLOURS[i], linestyle=DASHES[i], label=label)
        hits.plot(sizes, found[0].mean() * (sizes / sizes[0]) ** 0.25, color="#999999",
                  linewidth=0.8, label="_" if i else "what N^¼ would be")  # fmt: skip
    hits.set(xscale="log", yscale="log", xlabel="neurons N", ylabel="SGD time to inf R_λ + η",
             title="no growth with N")  # fmt: skip
    hits.set_xticks(sizes, [f"{v:g}" for v in sizes])
    hits.yaxis.set_major_formatter("{x:g}")
    hits.yaxis.set_minor_formatter("{x:g}")
    hits.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    curves.legend(fontsize=7, frameon=False, loc="upper right", ncol=2)
    hits.legend(fontsize=7, framealpha=1.0, edgecolor="white")
    return figure


def caption(s: Settings) -> str:
    """What the figure shows, with its settings."""
    return (
        f"Noisy SGD (λ = {s.lam:g}, β = {s.beta:g}, ε = {s.epsilon:g}, noise √(4s/β)) on two "
        f"isotropic Gaussian classes in R^{s.dim} with standard deviations 1 ± {s.delta:g} "
        f"(convention std), truncated ReLU, w ~ N(0, {s.kappa:g}²/d I); means of {s.seeds} runs "
        "with equal samples for all N. "
        f"R_N is the mean over {s.rows} rows, the same for all. inf R_λ is bounded from below by a "
        "dual and from above by a law. Right: each run's first time within η; SGD clock, half the "
        "JKO time. All settings are ours; the theorem is Mei, Montanari and Nguyen's (2018)."
    )


def facts(
    times: dict[float, Array], rates: dict[float, Rate | None], s: Settings
) -> dict[str, Any]:
    """Mean times, and slopes."""
    rows: dict[str, Any] = {}
    for eta, found in times.items():
        pairs = zip(s.neurons, found.mean(axis=1), strict=True)
        means = ", ".join(f"{N}: {v:.3g}" for N, v in pairs)
        rows[f"mean time to η = {eta:g} by N"] = means
        rows[f"log time against log N, η = {eta:g}"] = str(rates[eta])
    return rows


DEMO = Demo(
    "time-to-accuracy",
    "Noisy SGD is within η of the infimum after a time that does not grow with N",
    170, 8,
    "settings ours; the statement is the general convergence theorem of Mei, Montanari and Nguyen "
    "2018, which names no numbers",
    run, "A8",
)  # fmt: skip
