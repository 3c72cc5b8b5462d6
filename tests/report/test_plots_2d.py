"""Densities in the plane: the colours are the densities, on one scale, with equal axes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")
image = pytest.importorskip("PIL.Image")

from matplotlib import colormaps  # noqa: E402

import jkoflow as jf  # noqa: E402
from jkoflow.report import plots_2d, style  # noqa: E402
from jkoflow.status import InvalidMeasure  # noqa: E402

RNG = np.random.default_rng(0)


def grid(shape=(6, 4), lower=(-1.0, 0.0), upper=(2.0, 1.0)):
    rho = RNG.uniform(0.5, 2.0, shape)
    lower, upper = np.array(lower), np.array(upper)
    return jf.Grid(rho / (rho.mean() * np.prod(upper - lower)), lower, upper)


def test_cells_are_drawn_where_they_are_with_their_density():
    mu = grid()
    ax = plots_2d.plot_density(mu, unit="m")
    mesh = ax.collections[0]
    # matplotlib's rows run along y
    assert np.allclose(np.asarray(mesh.get_array()).reshape(4, 6).T, mu.density)
    corners = np.asarray(mesh.get_coordinates())
    assert np.allclose([corners[0, 0], corners[-1, -1]], [mu.lower, mu.upper])
    assert mesh.get_clim() == (0.0, pytest.approx(mu.density.max()))
    assert ax.get_aspect() == 1.0
    assert ax.get_ylabel() == "y, m" and ax.figure.axes[1].get_ylabel() == "density, 1/m²"


def test_triangles_have_the_density_of_their_mass():
    mu = jf.Mesh.disc(2.0, 5, lambda x: np.exp(-(x**2).sum(axis=1)))
    picture = plots_2d.plot_density(mu).collections[0]
    assert picture.get_array() @ mu.volumes == pytest.approx(1.0, rel=1e-12)
    assert len(picture.get_paths()) == len(mu.simplices)


def test_space_is_seen_along_its_third_axis():
    mu = grid((3, 4, 5), (0.0, 0.0, -2.0), (1.0, 1.0, 2.0))
    seen = plots_2d.plane_density(mu)
    area = 1.0 / 12.0
    assert seen.shape == (3, 4) and seen.sum() * area == pytest.approx(1.0, rel=1e-12)
    assert style.png(plots_2d.plot_density(mu).figure).startswith(b"\x89PNG")


def test_denser_is_lighter_without_colour():
    shades = colormaps[plots_2d.COLOURMAP](np.linspace(0, 1, 50))[:, :3]
    grey = shades @ [0.2126, 0.7152, 0.0722]  # luminance of the sRGB primaries
    assert (np.diff(grey) > 0).all()


def test_a_row_has_one_scale():
    measures = [grid(), jf.Grid(np.eye(3) * 3.0, 0.0, 1.0)]
    figure = plots_2d.plot_row(measures, ["a", "b"])
    first, second = (ax.collections[0].get_clim() for ax in figure.axes[:2])
    assert first == second == (0.0, pytest.approx(3.0))
    assert len(figure.axes) == 3  # and one bar
    cut = plots_2d.plot_row(measures, ["a", "b"], top=1.5)
    assert {ax.collections[0].get_clim() for ax in cut.axes[:2]} == {(0.0, 1.5)}


def test_obstacles_are_hatched():
    mu = jf.Grid([[0.0, 2.0], [1.0, 1.0]], 0.0, 1.0)
    for blocked in ([[True, False], [False, False]], [True, False, False, False]):
        ax = plots_2d.plot_density(mu, obstacle=blocked)
        cover = ax.collections[1]
        assert cover.get_hatch() and len(cover.get_paths()) == 1
        assert cover.get_paths()[0].vertices.mean(axis=0) == pytest.approx([0.2, 0.2], abs=0.06)


def test_an_animation_shows_every_measure_at_one_size(tmp_path):
    measures = [jf.Mesh.disc(r, 3) for r in (1.0, 1.5, 2.0)]
    file = plots_2d.write_animation(tmp_path / "a.gif", measures, ["1", "2", "3"], per_second=4.0)
    with image.open(file) as gif:
        assert gif.n_frames == 3 and gif.info["duration"] == 250
        frames = []
        for k in range(3):
            gif.seek(k)
            frames.append(np.asarray(gif.convert("RGB"), dtype=float))
    # the wider disc is thinner, and covers more of the same axes
    covered = [(abs(f - 255.0).sum(axis=2) > 60.0).mean() for f in frames]
    assert covered[0] < covered[1] < covered[2]


def test_what_has_no_density_in_the_plane():
    for mu in (jf.Grid([1.0, 1.0], 0.0, 1.0), jf.Particles(np.zeros((2, 2))), jf.Mesh.ball(1.0, 2)):
        with pytest.raises(InvalidMeasure, match="plane"):
            plots_2d.plot_density(mu)
    for wrong in (np.zeros((6, 4)), np.zeros((3, 3), dtype=bool)):
        with pytest.raises(InvalidMeasure, match="obstacle"):
            plots_2d.plot_density(grid(), obstacle=wrong)
    for measures, titles in (([], []), ([grid()], [])):
        with pytest.raises(InvalidMeasure, match="titles"):
            plots_2d.plot_row(measures, titles)
        with pytest.raises(InvalidMeasure, match="titles"):
            plots_2d.write_animation(None, measures, titles)


def test_a_run_in_the_plane_is_drawn_in_colours_and_one_on_the_line_as_a_curve():
    import jkoflow as jf
    from jkoflow.report.plots import density_curve, plot_run

    mu = jf.Grid.from_function(lambda x: np.exp(-8 * (x**2).sum(axis=1)), -1, 1, (16, 16))
    figure = plot_run(jf.flow(jf.Problem(0.2 * jf.Entropy(), mu, tau=0.1, steps=2)))
    assert figure.axes[0].get_title() == "density at T = 0.2"
    assert any("density" in ax.get_ylabel() for ax in figure.axes)
    line = jf.Grid([0.5, 1.5], 0.0, 1.0)
    x, density = density_curve(line)
    assert x.tolist() == [0.25, 0.75] and density.tolist() == [0.5, 1.5]
