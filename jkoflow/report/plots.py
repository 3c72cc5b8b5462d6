"""Figures of laws and of energies; each function draws on given axes or makes a figure.

Every function returns the axes, and drawing on the same axes again adds a curve with the next
colour and dashes. The figure is ``ax.figure``; `style.png` turns it into bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array, Measure
from ..status import InvalidMeasure
from .style import COLOURS, new_figure, next_look

JKO_CLOCK = "JKO time T = Σ τ"
SGD_CLOCK = "SGD time t = kε"
_FEW_CELLS = 60


def plot_energy(
    times: ArrayLike,
    energies: ArrayLike,
    *,
    label: str = "F(ρ_T)",
    lower_bound: float | None = None,
    clock: str = JKO_CLOCK,
    ax: Any = None,
) -> Any:
    """Energy against time, with a lower bound as a shaded floor.

    Parameters
    ----------
    times, energies : array_like, shape (k,)
    label : str
        Name of the curve.
    lower_bound : float, optional
        A number that no measure's energy is below.
    clock : str
        Name of the time axis; `JKO_CLOCK` and `SGD_CLOCK` are the two of the conventions.
    ax : matplotlib axes, optional

    Examples
    --------
    >>> ax = plot_energy([0.0, 1.0, 2.0], [3.0, 1.5, 1.2], lower_bound=1.0)
    >>> ax.get_xlabel()
    'JKO time T = Σ τ'
    """
    t, values = _curve(times, energies)
    ax = new_figure()[1][0] if ax is None else ax
    ax.plot(t, values, label=label, **next_look(ax))
    if lower_bound is not None:
        ax.axhline(lower_bound, color="black", linewidth=0.9, linestyle=(0, (1, 2)))
        floor = min(float(values.min()), lower_bound)
        span = max(float(values.max()) - floor, 1e-12)
        ax.axhspan(floor - 0.08 * span, lower_bound, facecolor="#bbbbbb", alpha=0.5,
                   hatch="///", edgecolor="white", linewidth=0,
                   label=f"excluded: below {lower_bound:.5g}")  # fmt: skip
    ax.set_xlabel(clock)
    ax.set_ylabel("energy")
    ax.legend(frameon=False)
    return ax


def plot_histogram(
    samples: ArrayLike,
    *,
    label: str,
    quantity: str = "x",
    bins: int | str = "fd",
    ax: Any = None,
) -> Any:
    """A normalised histogram of numbers, drawn in grey behind the curves.

    Examples
    --------
    >>> ax = plot_histogram([0.1, 0.2, 0.2, 0.4], label="SGD", quantity="|w|", bins=2)
    >>> ax.get_ylabel()
    'density of |w|'
    """
    x = np.asarray(samples, dtype=float).ravel()
    if x.size == 0 or not np.isfinite(x).all():
        raise InvalidMeasure("a histogram needs finite numbers, at least one")
    ax = new_figure()[1][0] if ax is None else ax
    ax.hist(x, bins=bins, density=True, histtype="stepfilled", facecolor="#cccccc",
            edgecolor="#777777", linewidth=0.7, label=label, zorder=1)  # fmt: skip
    return _law_axes(ax, quantity)


def plot_law(mu: Measure, *, label: str, quantity: str | None = None, ax: Any = None) -> Any:
    """The density of a law on the line: of x, or of the radius for a radial law.

    Parameters
    ----------
    mu : Quantiles, Radial, or a Gaussian or Particles on the line
    label : str
    quantity : str, optional
        What the axis shows; ``x`` or ``|θ|`` by default.
    ax : matplotlib axes, optional

    Raises
    ------
    InvalidMeasure
        If ``mu`` does not live on a line.

    Examples
    --------
    >>> from jkoflow import Radial
    >>> plot_law(Radial.normal(1.0, 3, 50), label="start").get_xlabel()
    '|θ|'
    """
    quantity = quantity or ("|θ|" if mu.kind == "radial" else "x")
    if mu.kind == "particles" and mu.points.shape[1] == 1:
        return plot_histogram(mu.points, label=label, quantity=quantity, ax=ax)
    x, density = _without_tails(*density_curve(mu))
    ax = new_figure()[1][0] if ax is None else ax
    few = 0 < len(x) < _FEW_CELLS
    if few and mu.kind in ("quantiles", "radial"):
        x, density = _from_edge_to_edge(mu.edges, x), np.repeat(density, 2)  # type: ignore[attr-defined]
    style = "steps-mid" if few and mu.kind == "grid" else "default"
    ax.plot(x, density, label=label, drawstyle=style, **next_look(ax))
    return _law_axes(ax, quantity)


def density_curve(mu: Measure) -> tuple[Array, Array]:
    """Points of the line and the density there: cell midpoints, or ±4 standard deviations.

    Examples
    --------
    >>> from jkoflow import Quantiles
    >>> density_curve(Quantiles([0.0, 1.0, 3.0]))
    (array([0.5, 2. ]), array([0.5 , 0.25]))
    """
    if mu.kind in ("quantiles", "radial"):
        edges, mass = np.asarray(mu.edges), np.asarray(mu.mass)  # type: ignore[attr-defined]
        length = np.diff(edges)
        wide = length > 0  # an atom has no density to draw
        return 0.5 * (edges[1:] + edges[:-1])[wide], mass[wide] / length[wide]
    if mu.kind == "gaussian" and mu.dim == 1:
        m, s = float(mu.mean()[0]), float(mu.cov()[0, 0]) ** 0.5
        x = m + s * np.linspace(-4.0, 4.0, 401)
        return x, np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    if mu.kind == "grid" and mu.dim == 1:
        return mu.points[:, 0], np.asarray(mu.density)  # type: ignore[attr-defined]
    raise InvalidMeasure(f"{mu!r} is not a law on the line: use plot_plane")


def _from_edge_to_edge(edges: Array, centres: Array) -> Array:
    """Both ends of the cells, not of length 0, from the first of these centres to the last.

    Examples
    --------
    >>> _from_edge_to_edge(np.array([0.0, 2.0, 3.0, 3.0, 9.0]), np.array([1.0, 2.5]))
    array([0., 2., 2., 3.])
    """
    ends = np.stack([edges[:-1], edges[1:]], axis=1)
    middle = 0.5 * ends.sum(axis=1)
    kept = (middle >= centres[0]) & (middle <= centres[-1]) & (ends[:, 1] > ends[:, 0])
    return np.asarray(ends[kept].ravel())


def _without_tails(x: Array, density: Array) -> tuple[Array, Array]:
    """Drop both ends where nothing could be seen but a line on the axis."""
    seen = np.flatnonzero(density > 1e-4 * density.max(initial=0.0))
    kept = slice(max(seen[0] - 1, 0), seen[-1] + 2) if len(seen) else slice(None)
    return x[kept], density[kept]


def plot_plane(mu: Measure, *, label: str, ax: Any = None) -> Any:
    """The first two coordinates: particles as points, a Gaussian as its 1σ and 2σ ellipses.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> plot_plane(Particles([[0.0, 1.0], [2.0, 0.5]]), label="end").get_ylabel()
    'second coordinate'
    """
    if mu.points.shape[1] < 2:
        raise InvalidMeasure(f"{mu!r} lives on a line: use plot_law")
    ax = new_figure()[1][0] if ax is None else ax
    look = next_look(ax)
    if mu.kind == "gaussian":
        for radius, name in ((1.0, f"{label} (1σ, 2σ)"), (2.0, "_second")):
            ellipse = _ellipse(mu.mean()[:2], mu.cov()[:2, :2], radius)
            ax.plot(*ellipse, label=name, **look)
    else:
        marker = "o^sDv"[len(ax.lines) % 5]
        ax.plot(mu.points[:, 0], mu.points[:, 1], marker, label=label, color=look["color"],
                markersize=4, alpha=0.7, markeredgewidth=0)  # fmt: skip
    ax.set_xlabel("first coordinate")
    ax.set_ylabel("second coordinate")
    ax.legend(frameon=False)
    return ax


def plot_density(mu: Measure, *, label: str = "ρ", ax: Any = None) -> Any:
    """Any measure, as `plot_law` where it lives on a line and as `plot_plane` otherwise."""
    on_a_line = mu.kind in ("quantiles", "radial") or mu.points.shape[1] == 1
    return (plot_law if on_a_line else plot_plane)(mu, label=label, ax=ax)


def in_colours(mu: Measure) -> bool:
    """Whether a density lives in the plane (or above it, on a grid), and is shown as colours."""
    return (mu.kind == "grid" and mu.dim > 1) or (mu.kind == "mesh" and mu.dim == 2)


def plot_run(run: Any, *, lower_bound: float | None = None, shown: int = 4) -> Any:
    """A run at a glance: some of its measures, its energy and its slope W2/τ against time.

    Parameters
    ----------
    run : Trajectory
    lower_bound : float, optional
        Drawn if it is near enough not to flatten the curve.
    shown : int
        How many measures to draw, the first and the last among them.

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = new_figure(3, width=4.2)
    measures, saved = run.measures, run.saved
    chosen = np.unique(np.linspace(0, len(measures) - 1, shown).round().astype(int))
    if in_colours(measures[0]):
        from .plots_2d import plot_density as plot_colours

        plot_colours(measures[-1], axes[0])
        axes[0].set_title(f"density at T = {run.times[saved[-1]]:.4g}")
    else:
        for k in chosen:
            plot_density(measures[k], label=f"T = {run.times[saved[k]]:.4g}", ax=axes[0])
        axes[0].set_title("measures")
    plot_energy(run.times, run.energies, lower_bound=_near(lower_bound, run.energies), ax=axes[1])
    axes[1].set_title("energy")
    _plot_slope(run, axes[2])
    return figure


def _plot_slope(run: Any, ax: Any) -> None:
    times, tau = run.times[1:], np.diff(run.times)
    slope = np.sqrt(run.distances_squared[1:]) / tau
    known = np.isfinite(slope)
    marker = "o" if known.sum() == 1 else None  # a line through one point is not seen
    ax.plot(times[known], slope[known], color=COLOURS[0], linewidth=1.8, marker=marker)
    if known.any() and slope[known].min() > 0:
        ax.set_yscale("log")
    ax.set_title("slope of the energy")
    ax.set_xlabel(JKO_CLOCK)
    ax.set_ylabel("W2(ρ⁺, ρ)/τ")


def _near(bound: float | None, energies: Array) -> float | None:
    if bound is None or not np.isfinite(bound):
        return None
    span = float(np.ptp(energies)) or 1.0
    return bound if bound > float(np.min(energies)) - 3 * span else None


def _curve(times: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    t, v = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    if t.shape != v.shape or t.ndim != 1 or t.size == 0:
        raise InvalidMeasure(
            f"times and energies must be vectors of one length, but have {t.shape} and {v.shape}"
        )
    return t, v


def _ellipse(mean: Array, cov: Array, radius: float) -> Array:
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    values, vectors = np.linalg.eigh(cov)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return mean[:, None] + radius * vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * circle)


def _law_axes(ax: Any, quantity: str) -> Any:
    ax.set_xlabel(quantity)
    ax.set_ylabel(f"density of {quantity}")
    ax.set_ylim(bottom=0.0, auto=True)  # the next curve may still raise the top
    ax.legend(frameon=False)
    return ax
