"""An animation holds the frames that were drawn, in order."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")
image = pytest.importorskip("PIL.Image")

from jkoflow.report.animation import write_gif  # noqa: E402
from jkoflow.report.style import new_figure  # noqa: E402
from jkoflow.status import InvalidProblem  # noqa: E402


def test_frames_are_those_drawn_and_last_as_long_as_asked(tmp_path):
    figure, (ax,) = new_figure(width=2.0, height=1.5)
    ax.set_axis_off()
    shades = [0.0, 0.5, 1.0]
    file = write_gif(tmp_path / "a.gif", figure, lambda k: figure.set_facecolor([shades[k]] * 3),
                     3, per_second=5.0, dpi=50)
    with image.open(file) as gif:
        assert gif.n_frames == 3 and gif.info["duration"] == 200
        for k, shade in enumerate(shades):
            gif.seek(k)
            corner = np.asarray(gif.convert("RGB"))[2, 2]
            assert np.abs(corner - 255.0 * shade).max() <= 3  # GIF has 256 colours


@pytest.mark.parametrize("frames, speed", [(0, 10.0), (2.5, 10.0), (3, 0.0), (3, np.nan)])
def test_senseless_animations(tmp_path, frames, speed):
    with pytest.raises(InvalidProblem):
        write_gif(tmp_path / "a.gif", new_figure()[0], lambda k: None, frames, per_second=speed)
