"""Animations as GIF files, frame by frame, without any window or other program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..arguments import is_finite, is_whole
from ..status import InvalidProblem


def write_gif(
    path: Path, figure: Any, draw: Callable[[int], object], frames: int, *,
    per_second: float = 10.0, dpi: int = 90,
) -> Path:  # fmt: skip
    """Call ``draw(k)`` for k = 0 … frames − 1, which changes the figure, and keep each picture.

    Parameters
    ----------
    path : Path
        Written when all frames are there.
    figure : matplotlib Figure
    draw : callable
    frames : int
    per_second : float
    dpi : int

    Raises
    ------
    InvalidProblem
        For a number of frames or a speed that makes no sense.

    Examples
    --------
    >>> import tempfile
    >>> from jkoflow.report.style import new_figure
    >>> figure, (ax,) = new_figure(width=2.0, height=1.5)
    >>> line, = ax.plot([0, 1], [0, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_gif(Path(folder) / "a.gif", figure, lambda k: line.set_ydata([0, k]), 3)
    ...     file.read_bytes()[:3]
    b'GIF'
    """
    if not is_whole(frames) or not (is_finite(per_second) and per_second > 0):
        raise InvalidProblem(
            f"an animation needs at least one frame and a positive speed, not {frames!r:.50} "
            f"frames at {per_second!r:.50} a second"
        )
    from matplotlib.animation import PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    writer = PillowWriter(fps=per_second)  # type: ignore[arg-type]
    with writer.saving(figure, str(path), dpi):
        for k in range(int(frames)):
            draw(k)
            writer.grab_frame()
    return path
