"""Figures: what is drawn is what was given, readable without colour, and nothing global changes."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.report import plots, style
from jkoflow.status import InvalidMeasure, MissingExtra


def run_of(mu, steps=5):
    return jf.flow(jf.Problem(jf.QuadraticPotential(1.0), mu, tau=0.1, steps=steps))


MEASURES = [
    jf.Quantiles.normal(0.0, 1.0, 40),
    jf.Radial.normal(0.5, 10, 80),
    jf.Gaussian([0.0], [[2.0]]),
    jf.Gaussian([0.0, 1.0], [[2.0, 0.3], [0.3, 1.0]]),
    jf.Particles(np.linspace(-1, 1, 9)),
    jf.Particles(np.random.default_rng(0).normal(size=(12, 3))),
]


@pytest.mark.parametrize("mu", MEASURES, ids=repr)
def test_every_measure_can_be_drawn(mu):
    ax = plots.plot_density(mu, label="start")
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_legend() is not None
    assert style.png(ax.figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("mu", [m for m in MEASURES if m.kind != "particles"][:3], ids=repr)
def test_the_drawn_density_has_mass_one(mu):
    x, density = plots.density_curve(mu)
    if mu.kind == "gaussian":
        # ±4σ hold all but 6e-5; trapezoid on 401 points adds less.
        assert np.trapezoid(density, x) == pytest.approx(1.0, abs=1e-4)
    else:
        assert density @ np.diff(mu.edges) == pytest.approx(1.0, rel=1e-12)


def test_tails_that_cannot_be_seen_are_not_drawn():
    ax = plots.plot_law(jf.Quantiles.normal(0.0, 1.0, 400), label="ρ")
    x, density = ax.lines[0].get_data()
    # exp(−x²/2) is 1e-4 at 4.3; one more cell is drawn on either side.
    assert 4.2 < x.max() < 5.0 and -5.0 < x.min() < -4.2
    assert density.max() == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-2)


def test_few_cells_are_drawn_from_edge_to_edge():
    ax = plots.plot_law(jf.Quantiles([0.0, 2.0, 3.0, 3.0, 6.0], [0.3, 0.3, 0.1, 0.3]), label="ρ")
    x, density = ax.lines[0].get_data()
    assert x.tolist() == [0.0, 2.0, 2.0, 3.0, 3.0, 6.0]
    assert np.trapezoid(density, x) == pytest.approx(0.9, rel=1e-12)  # all but the atom


def test_laws_of_atoms_alone_draw_nothing():
    assert len(plots.plot_law(jf.Quantiles([1.0, 1.0, 1.0]), label="ρ").lines[0].get_xdata()) == 0


def test_narrow_bars_do_not_vanish_behind_their_outline():
    ax = plots.plot_histogram([1.0, 1.01, 6.0], label="SGD", bins=600)
    (area,) = ax.patches
    assert max(area.get_edgecolor()[:3]) < min(area.get_facecolor()[:3])


def test_a_collapsed_cell_is_left_out():
    x, density = plots.density_curve(jf.Quantiles([0.0, 1.0, 1.0, 2.0]))
    np.testing.assert_allclose(x, [0.5, 1.5])
    assert np.isfinite(density).all()


def test_the_ellipse_is_that_of_the_covariance():
    cov = np.array([[2.0, 0.7], [0.7, 1.0]])
    ax = plots.plot_plane(jf.Gaussian([1.0, -1.0], cov), label="ρ")
    curve = np.stack(ax.lines[0].get_data()) - np.array([[1.0], [-1.0]])
    # Mahalanobis distance 1 all around, to rounding.
    np.testing.assert_allclose(np.sum(curve * np.linalg.solve(cov, curve), axis=0), 1.0, rtol=1e-10)


def test_curves_differ_in_dashes_and_in_lightness():
    ax = plots.plot_energy([0, 1], [1, 0])
    for k in range(3):
        plots.plot_energy([0, 1], [1 + k, 0], ax=ax, label=f"{k}")
    looks = [(line.get_linestyle(), line.get_color()) for line in ax.lines]
    assert len({dash for dash, _ in looks}) == 4
    for a, b in itertools.pairwise(style.COLOURS[:5]):
        assert abs(lightness(a) - lightness(b)) > 0.03


def lightness(colour):
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2


def test_the_floor_is_at_the_bound_and_named():
    ax = plots.plot_energy([0, 1, 2], [3.0, 2.0, 1.5], lower_bound=1.25)
    levels = [line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1]
    assert levels == [1.25]
    assert "1.25" in " ".join(text.get_text() for text in ax.get_legend().get_texts())


def test_clocks_are_named():
    assert "JKO" in plots.plot_energy([0, 1], [1, 0]).get_xlabel()
    assert "SGD" in plots.plot_energy([0, 1], [1, 0], clock=plots.SGD_CLOCK).get_xlabel()


@pytest.mark.parametrize("mu", MEASURES, ids=repr)
def test_a_run_at_a_glance(mu):
    figure = plots.plot_run(run_of(mu), lower_bound=0.0)
    assert [ax.get_title() for ax in figure.axes] == ["measures", "energy", "slope of the energy"]
    x, slope = figure.axes[2].lines[0].get_data()
    assert len(x) == 5 and (np.diff(slope) < 0).all()
    assert style.png(figure).startswith(b"\x89PNG")


def test_a_run_without_steps_can_be_drawn():
    run = jf.flow(jf.Problem(jf.QuadraticPotential(1.0), MEASURES[0], tau=0.1, steps=0))
    assert style.png(plots.plot_run(run)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "call",
    [
        lambda: plots.plot_energy([0, 1], [1.0]),
        lambda: plots.plot_energy([], []),
        lambda: plots.plot_histogram([np.nan], label="x"),
        lambda: plots.plot_histogram([], label="x"),
        lambda: plots.plot_law(MEASURES[3], label="x"),
        lambda: plots.plot_plane(MEASURES[0], label="x"),
    ],
)
def test_senseless_input(call):
    with pytest.raises(InvalidMeasure):
        call()


def test_pyplot_is_never_loaded_and_no_setting_changes():
    code = (
        "import sys, matplotlib as m; before = list(dict.items(m.rcParams))\n"
        "from jkoflow.report import plots, style\n"
        "style.png(plots.plot_energy([0, 1], [1, 0]).figure)\n"
        "assert 'matplotlib.pyplot' not in sys.modules and list(dict.items(m.rcParams)) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"jkoflow\[plots\]"):
        plots.plot_energy([0, 1], [1, 0])
