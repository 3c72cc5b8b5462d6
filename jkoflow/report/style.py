"""Looks shared by all figures: readable without colour, and by colour-blind eyes.

Figures are made by matplotlib's object interface, never by pyplot: no window opens, no global
setting is read or changed, and a figure can be drawn where there is no display.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from ..status import require_extra

# Okabe and Ito's palette, ordered so that neighbours differ in lightness too (grey print).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))


def new_figure(
    columns: int = 1, rows: int = 1, *, width: float = 4.8, height: float = 3.6
) -> tuple[Any, Any]:
    """A figure with rows of axes, each of the given size; returns it and all its axes in a row.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.

    Examples
    --------
    >>> figure, axes = new_figure(2)
    >>> len(axes)
    2
    """
    require_extra("matplotlib", "plots")
    from matplotlib.figure import Figure

    size = (width * columns, height * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#dddddd", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def next_look(ax: Any) -> dict[str, Any]:
    """Colour and dashes for the next curve on ``ax``; no two of the first seven agree in either."""
    count = sum(1 for line in ax.lines if not line.get_label().startswith("_"))
    return {"color": COLOURS[count % 7], "linestyle": DASHES[count % 7], "linewidth": 1.8}


def png(figure: Any, dpi: int = 140) -> bytes:
    """The figure as the bytes of a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
