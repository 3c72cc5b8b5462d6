"""Five-layer networks of five widths on isotropic Gaussians: one curve, and what it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...check import Finding, Verdict
from ...dynamics.multilayer_curves import curve_gap, curve_spread
from ...measures.base import Array
from ...networks.multilayer import MultilayerNetwork, equal_widths
from ...networks.multilayer_layers import Dense, Layer
from ...networks.populations import GaussianClasses
from ...rates import Rate, fit_rate
from ...report.style import COLOURS, new_figure
from ..common import close, finish, pseudo_runs
from ..registry import Demo, DemoResult
from ..session import Session
from ..widths import at_widths, draw_widths, learning_curve, not_one_curve, one_curve

STARTS = {"τ2 = 0.1": (1.0, 0.1), "τ2 = 3": (1.0, 3.0), "μ2 = 0.8": (0.8, 0.1)}
"""(μ2, τ2) of the three starts; the first two are the publication's, the third is ours."""


@dataclass(frozen=True)
class Settings:
    """Widths, α and the laws of the starts are published; the rest is ours."""

    widths: tuple[int, ...] = (50, 100, 200, 400, 800)
    seeds: int = 8
    alpha: float = 1e-3
    end: float = 2.0
    dim: int = 40
    delta: float = 0.8  # standard deviations 1 ± Δ
    test: int = 1000
    reference: int = 8000  # first-layer units of the limit
    points: int = 26  # of a curve


QUICK = Settings(widths=(50, 100, 200), seeds=8, end=0.25, test=300, reference=800,
                 points=11)  # fmt: skip


def limit_layers(width: int, mean: float) -> list[Layer]:
    """What five layers become when all of them but the first are infinitely wide.

    The units of a middle layer are all alike then, so that one of them stands for all.
    """
    return [Dense(width, 0.0, 2**0.5), *[Dense(1, mean, 0.0)] * 3, Dense(1, 0.0, 0.0)]


def gaussian_curve(
    width: int, seed: int, mean: float, std: float, fixed_at: int, rng: Any, **settings: Any
) -> Mapping[str, Any]:
    """One run; with ``fixed_at`` at the rates that are right for that width; std 0: the limit."""
    s = Settings(**settings)
    classes = GaussianClasses.std(s.dim, s.delta)
    layers = equal_widths(5, width, middle=(mean, std)) if std else limit_layers(width, mean)
    network = MultilayerNetwork(s.dim, layers)
    narrow = MultilayerNetwork(s.dim, equal_widths(5, fixed_at or width))
    return learning_curve(
        network, classes, test_data(s), end=s.end, alpha=s.alpha, seed=seed,
        points=s.points, rates=narrow.rates if std else network.rates,
    )  # fmt: skip


def test_data(s: Settings) -> tuple[Array, Array]:
    """The same for all runs."""
    return GaussianClasses.std(s.dim, s.delta).sample(s.test, 12345)


test_data.__test__ = False  # type: ignore[attr-defined]


def best_homogeneous(s: Settings) -> float:
    """Least risk on the test data among ŷ = c|x|: all that is both isotropic and homogeneous."""
    x, y = test_data(s)
    r = np.linalg.norm(x, axis=1)
    return float(np.mean((y - r * (y @ r) / (r @ r)) ** 2))


def run(session: Session) -> DemoResult:
    """The demo ``multilayer``: compute, judge, draw."""
    s = QUICK if session.quick else Settings()
    numbers = {key: value for key, value in asdict(s).items() if key not in ("widths", "seeds")}
    found = {}
    for start, (mean, std) in STARTS.items():
        session.echo(f"start with {start}: widths {s.widths}, {s.seeds} seeds")
        name = f"curves-{mean:g}-{std:g}"
        found[start] = at_widths(session, gaussian_curve, name, s.widths, s.seeds, mean=mean,
                                 std=std, fixed_at=0, **numbers)  # fmt: skip
    session.echo(f"the limit: {(*s.widths, s.reference)} units in the first layer")
    limit = at_widths(session, gaussian_curve, "limit", (*s.widths, s.reference), s.seeds,
                      mean=1.0, std=0.0, fixed_at=0, **numbers)["loss"]  # fmt: skip
    session.echo("the control: one set of rates for all widths")
    narrow = s.widths[:3]
    control = at_widths(session, gaussian_curve, "control", narrow, s.seeds, mean=1.0, std=0.1,
                        fixed_at=narrow[0], **numbers)  # fmt: skip
    curves = {start: arrays["loss"] for start, arrays in found.items()}
    t = control["t"][0, 0]
    data = {"t": t, "widths": np.array(s.widths), "risk_tau2_0.1": curves["τ2 = 0.1"],
            "risk_tau2_3": curves["τ2 = 3"], "risk_mu2_0.8": curves["μ2 = 0.8"],
            "risk_control": control["loss"], "risk_limit": limit}  # fmt: skip
    folders = [p for p in sorted(session.out.iterdir()) if p.is_dir()]
    return finish(
        session.out, "Five-layer networks on isotropic Gaussians",
        judged(s, curves, limit, control["loss"], session.quick),
        draw(s, t, curves, limit, control["loss"]), caption(s), facts(s, curves, limit), folders,
        data,
    )  # fmt: skip


def gaps(curves: Array, limit: Array) -> Array:
    """Root mean square distance of the curves from the limit's: (seeds, widths).

    Equal seeds have equal samples and equal first layers.
    """
    difference = curves - limit[: len(curves)]
    return np.asarray(np.sqrt((difference**2).mean(axis=2)).T)


def closing(s: Settings, curves: Array, limit: Array) -> Rate:
    """The power of n in the root of the mean square gap."""
    return fit_rate(s.widths, np.sqrt(pseudo_runs(gaps(curves, limit) ** 2)))


def judged(
    s: Settings, curves: Mapping[str, Array], limit: Array, control: Array, quick: bool
) -> list[Finding]:
    """One curve for each start; what the limit keeps of a start, and what it forgets."""
    findings = [one_curve(f"start {start}", c, s.widths) for start, c in curves.items()]
    findings.append(not_one_curve(f"rates of n = {s.widths[0]} at all widths", control, s.widths))
    for k in (0, len(s.widths) - 1):
        findings.append(apart(curves["τ2 = 0.1"][k], curves["μ2 = 0.8"][k], s.widths[k]))
    for start in ("τ2 = 0.1", "τ2 = 3"):
        rate = closing(s, curves[start], limit)
        findings.append(rate.finding(
            f"{start}: the gap to middle layers all of whose weights are equal closes like 1/n",
            -1.0, 0.0 if quick or start == "τ2 = 0.1" else (0.0, -0.5),
            where="equal samples and first layers",
        ))  # fmt: skip
        findings.append(on_the_limit(start, curves[start][-1], limit[-1], s))
    end = curves["τ2 = 0.1"][-1][:, -1]
    best = best_homogeneous(s)
    if not quick:  # which ends before the curves do
        findings.append(close(
            "the widest networks end at the best c|x|", abs(float(end.mean()) - best), 0.01 * best,
            f"t = {s.end:g}",
            "1%: of finite width, 1/800 of U − ∫U, and of SGD's noise",
        ))  # fmt: skip
    return findings


def on_the_limit(start: str, widest: Array, limit: Array, s: Settings) -> Finding:
    """The widest networks against the limit, with other first layers: within the band."""
    gap, within = curve_gap(widest, limit)[0], curve_spread(np.stack([widest, limit])).within
    return close(
        f"{start}: n = {s.widths[-1]} is on the limit's curve", abs(gap), within,
        f"{s.reference} units in the limit's first layer",
        "the band of one standard deviation over seeds; equal seeds have equal samples",
    )


def apart(first: Array, second: Array, width: int) -> Finding:
    """Two starts that the limit tells apart: their gap is more than twice the band."""
    gap, _ = curve_gap(first, second)
    within = curve_spread(np.stack([first, second])).within
    verdict = Verdict.ACCEPTED if abs(gap) >= 2.0 * within else Verdict.REJECTED
    return Finding(
        f"μ2 = 0.8 and 1: apart, n = {width}", verdict, within / abs(gap), 0.5,
        (f"the measured number is the band over the gap, {within:.2g}/{abs(gap):.2g}",),
    )


def draw(
    s: Settings, t: Array, curves: Mapping[str, Array], limit: Array, control: Array
) -> Any:
    """A panel for each start; the gap against n; the control."""
    figure, axes = new_figure(3, 2, width=4.2, height=3.3)
    for ax, (start, c) in zip(axes, curves.items(), strict=False):
        draw_widths(ax, t, c, s.widths, "risk R")
        if STARTS[start][0] == 1.0:
            ax.plot(t, limit[-1].mean(axis=0), ":", color="black", linewidth=1.8, label="limit")
            ax.legend(frameon=False, fontsize=8)
        ax.axhline(best_homogeneous(s), color="black", linewidth=0.8, linestyle=(0, (1, 2)))
        ax.set_title(f"start {start}")
    draw_widths(axes[3], t, control, s.widths[:3], "risk R")
    axes[3].set_title(f"control: rates of n = {s.widths[0]} for all")
    for k, (start, c) in enumerate(curves.items()):
        mean, deviation = c[-1].mean(axis=0), c[-1].std(axis=0, ddof=1)
        axes[4].plot(t, mean, color=COLOURS[k], linestyle=("-", "--", "-.")[k], label=start)
        axes[4].fill_between(t, mean - deviation, mean + deviation, color=COLOURS[k], alpha=0.2,
                             linewidth=0)  # fmt: skip
    axes[4].set_xlabel("SGD time t = kα")
    axes[4].set_ylabel("risk R")
    axes[4].set_title(f"the three starts at n = {s.widths[-1]}")
    axes[4].legend(frameon=False)
    _draw_gaps(axes[5], s, curves, limit)
    return figure


def _draw_gaps(ax: Any, s: Settings, curves: Mapping[str, Array], limit: Array) -> None:
    n = np.array(s.widths, dtype=float)
    for k, start in enumerate(("τ2 = 3", "τ2 = 0.1")):
        g = gaps(curves[start], limit)
        mean = np.sqrt((g**2).mean(axis=0))
        ax.plot(n, mean, "o^"[k] + "-", color=COLOURS[2 * k], label=f"{start}, root mean square")
        ax.plot(n, mean[0] * n[0] / n, "--", color="black", linewidth=1,
                label="_" if k else "∝ 1/n")  # fmt: skip
    other = np.sqrt((gaps(curves["μ2 = 0.8"], limit) ** 2).mean(axis=0))
    ax.plot(n, other, "s-.", color=COLOURS[1], label="μ2 = 0.8")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom=ax.get_ylim()[0] / 30)  # room for the legend
    ax.set_xticks(n, labels=[f"{width}" for width in s.widths])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("width n")
    ax.set_ylabel("gap to the limit from μ2 = 1")
    ax.set_title("what the limit forgets, and what not")
    ax.legend(frameon=False, fontsize=8)


def caption(s: Settings) -> str:
    """Settings, conventions, and what is recalled."""
    return (
        f"Five layers of weights, ReLU, no biases, y = ±1, x | y ~ N(0, (1 ± Δ)² I) in R^{s.dim}, "
        f"Δ = {s.delta:g} (separation of standard deviations, “std”); square loss, one sample a "
        f"step, α = {s.alpha:g}, t = kα. First layer N(0, τ1²/d), τ1 = √2; three middle ones "
        "N(μ2, τ2²), μ2 = 1 and τ2 = 0.1 unless said; outputs start at 0 (μ3 = τ3 = 0). Which "
        "layer each law is of is recalled; d, Δ, batch and end are ours. Lines are means, bands "
        f"one standard deviation, over {s.seeds} seeds; equal seeds have equal samples. Below "
        "left: what becomes of the first picture if all widths take the rates of the narrowest. "
        "Thin dotted: least risk of c|x|, 1/(1 + Δ²) for large d. The limit knows middle weights "
        f"by their means only: it is computed with {s.reference} units in the first layer and one "
        "for all in each other (thick dotted). The gaps of τ2 = 3 and 0.1 to it, on equal samples "
        "and first layers, close like 1/n, while a start with another μ2 stays apart."
    )


def facts(s: Settings, curves: Mapping[str, Array], limit: Array) -> dict[str, Any]:
    """Numbers worth a line at the top of the page."""
    rows = {}
    for start in ("τ2 = 0.1", "τ2 = 3"):
        g = gaps(curves[start], limit)
        rows[f"gap of {start} to the limit at each width"] = ", ".join(
            f"{v:.2g}" for v in np.sqrt((g**2).mean(axis=0))
        )
        rows[f"its rate, {start}"] = str(closing(s, curves[start], limit))
    return {
        **rows,
        "band over seeds": f"{curve_spread(curves['τ2 = 0.1']).within:.4f}",
        "end of the widest, of the limit, and best c|x|":
            f"{curves['τ2 = 0.1'][-1][:, -1].mean():.4f}, {limit[-1][:, -1].mean():.4f}, "
            f"{best_homogeneous(s):.4f}",
    }  # fmt: skip


DEMO = Demo(
    "multilayer",
    "Five-layer networks of widths 50 … 800 on Gaussians: one learning curve",
    180, 10,
    "Nguyen 2019: widths, α, laws of the start known, which layer they are of recalled; data ours",
    run, "D1",
)  # fmt: skip
