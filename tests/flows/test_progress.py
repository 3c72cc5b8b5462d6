"""The progress bar shows steps, and only when it is asked to."""

from __future__ import annotations

import jkoflow as jf


def test_silence_by_default(problem, contraction, capsys):
    jf.flow(problem, contraction())
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_counts_to_the_end(problem, contraction, capsys):
    jf.flow(problem, contraction(), progress=True)
    assert "8/8" in capsys.readouterr().err


def test_a_resumed_bar_starts_where_the_run_is(problem, contraction, tmp_path, capsys):
    jf.flow(problem, contraction(), store=tmp_path, max_steps=5)
    jf.flow(problem, contraction(), store=tmp_path, progress=True)
    shown = capsys.readouterr().err
    assert "5/8" in shown and "8/8" in shown and "1/8" not in shown
