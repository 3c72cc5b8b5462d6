"""Figures of densities in the plane: one picture, a row of pictures on one scale, an animation.

Colours are those of `COLOURMAP`, whose lightness grows with the density: they can be told apart
by colour-blind eyes and in grey print. Both axes have the same scale, and the colour bar its unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..measures.base import Array, Measure, a_measure
from ..measures.grid import Grid
from ..measures.mesh import Mesh
from ..status import InvalidMeasure
from .animation import write_gif
from .style import new_figure

COLOURMAP = "cividis"
_HIDDEN = "#d9d9d9"  # obstacles, hatched so that they are not taken for a density


def plot_density(
    mu: Measure, ax: Any = None, *, top: float | None = None, unit: str = "length",
    obstacle: ArrayLike | None = None, colourbar: bool = True,
) -> Any:  # fmt: skip
    """The density of a `Grid` or `Mesh` in the plane, as colours with a colour bar.

    Parameters
    ----------
    mu : Grid or Mesh
        Of R^2; in R^3 the density is integrated over the third coordinate of a Grid.
    ax : matplotlib axes, optional
    top : float, optional
        Density of the lightest colour; the largest one if not given.
    unit : str
        Unit of the axes; densities are per its square.
    obstacle : array_like of bool, optional
        Cells of a Grid in the plane that hold no mass, hatched.
    colourbar : bool

    Raises
    ------
    InvalidMeasure
        If ``mu`` is no such measure, or ``obstacle`` has not its shape.

    Examples
    --------
    >>> ax = plot_density(Grid([[1.0, 3.0], [2.0, 2.0]], [0, 0], [1, 0.5]), unit="m")
    >>> ax.get_xlabel(), ax.get_aspect(), ax.figure.axes[1].get_ylabel()
    ('x, m', 1.0, 'density, 1/m²')
    """
    values = plane_density(mu)
    ax = new_figure()[1][0] if ax is None else ax
    ax.grid(False)
    look = {"cmap": COLOURMAP, "vmin": 0.0, "vmax": _top(values) if top is None else top}
    if isinstance(mu, Mesh):
        picture = ax.tripcolor(*mu.nodes.T, mu.simplices, facecolors=values, **look)
    else:
        picture = ax.pcolormesh(*_edges(mu), values.T, rasterized=True, **look)
        if obstacle is not None:
            _hatched(mu, obstacle, ax)
    ax.set_aspect("equal")
    ax.set_xlabel(f"x, {unit}")
    ax.set_ylabel(f"y, {unit}")
    if colourbar:
        ax.figure.colorbar(picture, ax=ax, label=f"density, 1/{unit}²", shrink=0.8)
    return ax


def plane_density(mu: Measure) -> Array:
    """What `plot_density` shows: of cells, (n_1, n_2), or of triangles, (k,).

    Examples
    --------
    >>> plane_density(Grid(np.ones((2, 2, 4)), 0, 1))
    array([[1., 1.],
           [1., 1.]])
    """
    a_measure(mu)
    if isinstance(mu, Mesh) and mu.dim == 2:
        return np.asarray(mu.mass / mu.volumes)
    if isinstance(mu, Grid) and mu.dim == 2:
        return mu.density
    if isinstance(mu, Grid) and mu.dim == 3:
        return np.asarray(mu.density.sum(axis=2) * mu.spacing[2])
    raise InvalidMeasure(
        f"{mu!r} has no density in the plane: use plots.plot_law on the line, plots.plot_plane "
        "for points and Gaussians"
    )


def plot_row(
    measures: Sequence[Measure], titles: Sequence[str], *, unit: str = "length",
    obstacle: ArrayLike | None = None, top: float | None = None,
) -> Any:  # fmt: skip
    """Several densities side by side, on one scale of colours; returns the figure.

    What is denser than ``top`` (the largest density if not given) looks like that.

    Examples
    --------
    >>> two = [Grid(np.ones((2, 2)), 0, 1), Grid([[4.0, 0.0], [0.0, 0.0]], 0, 1)]
    >>> figure = plot_row(two, ["before", "after"])
    >>> [ax.get_title() for ax in figure.axes]
    ['before', 'after', '']
    """
    if not measures or len(measures) != len(titles):
        raise InvalidMeasure(
            f"as many titles as measures are needed, at least one, not {len(titles)} and "
            f"{len(measures)}"
        )
    densest = max(_top(plane_density(mu)) for mu in measures)
    top = densest if top is None else top
    wide, high = np.ptp([_corners(mu) for mu in measures], axis=(0, 1))
    height = min(max(2.6 * high / wide, 1.2), 4.0) + 0.8
    figure, axes = new_figure(len(measures), width=3.4, height=height)
    for mu, title, ax in zip(measures, titles, axes, strict=True):
        plot_density(mu, ax, top=top, unit=unit, obstacle=obstacle, colourbar=False)
        ax.set_title(title)
    figure.colorbar(axes[-1].collections[0], ax=list(axes), label=f"density, 1/{unit}²",
                    extend="max" if densest > top else "neither")  # fmt: skip
    return figure


def write_animation(
    path: Path, measures: Sequence[Measure], titles: Sequence[str], *, unit: str = "length",
    obstacle: ArrayLike | None = None, per_second: float = 8.0,
) -> Path:  # fmt: skip
    """A GIF of the densities in turn, on one scale of colours and one frame of axes.

    Examples
    --------
    >>> import tempfile
    >>> two = [Grid(np.ones((2, 2)), 0, 1), Grid([[4.0, 0.0], [0.0, 0.0]], 0, 1)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_animation(Path(folder) / "two.gif", two, ["before", "after"]).name
    'two.gif'
    """
    if not measures or len(measures) != len(titles):
        raise InvalidMeasure(
            f"as many titles as measures are needed, at least one, not {len(titles)} and "
            f"{len(measures)}"
        )
    top = max(_top(plane_density(mu)) for mu in measures)
    low = np.min([_corners(mu)[0] for mu in measures], axis=0)
    high = np.max([_corners(mu)[1] for mu in measures], axis=0)
    figure, (ax,) = new_figure()

    def draw(k: int) -> None:
        ax.clear()
        plot_density(measures[k], ax, top=top, unit=unit, obstacle=obstacle, colourbar=k == 0)
        ax.set(title=titles[k], xlim=(low[0], high[0]), ylim=(low[1], high[1]))

    return write_gif(path, figure, draw, len(measures), per_second=per_second)


def _top(values: Array) -> float:
    return float(values.max())


def _edges(mu: Any) -> list[Array]:
    """Walls between the cells on the first two axes."""
    ends = zip(mu.lower[:2], mu.upper[:2], mu.shape[:2], strict=True)
    return [np.linspace(a, b, n + 1) for a, b, n in ends]


def _corners(mu: Any) -> tuple[Array, Array]:
    if isinstance(mu, Mesh):
        return mu.nodes.min(axis=0), mu.nodes.max(axis=0)
    return mu.lower[:2], mu.upper[:2]


def _hatched(mu: Any, obstacle: ArrayLike, ax: Any) -> None:
    blocked = np.asarray(obstacle)
    if blocked.size != np.prod(mu.shape[:2]) or blocked.dtype != bool or mu.dim != 2:
        raise InvalidMeasure(
            f"obstacle must be true or false for each of the cells {mu.shape} of the plane, but "
            f"has shape {blocked.shape} and type {blocked.dtype}"
        )
    covered = np.ma.masked_where(~blocked.reshape(mu.shape), np.ones(mu.shape))
    from matplotlib.colors import ListedColormap

    ax.pcolor(*_edges(mu), covered.T, cmap=ListedColormap([_HIDDEN]), hatch="////",
              edgecolor="#888888", linewidth=0.0)  # fmt: skip
