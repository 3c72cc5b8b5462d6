"""Sweeps: every cell once, the same numbers whoever computes them, and nothing lost."""

from __future__ import annotations

import os

import numpy as np
import pytest

import jkoflow as jf
from jkoflow.status import InvalidProblem, Status, StoreError, SweepFailed

GRID = {"n": [3, 50], "seed": [0, 1, 2]}


def by_value():
    """A function that workers need not import this file for: nested ones are sent whole."""

    def mean(n, seed, rng):
        return {"mean": rng.standard_normal(n).mean(), "n": n, "first": rng.standard_normal(2),
                "worker": os.getpid()}  # fmt: skip

    return mean


mean = by_value()


def fails_at_two(seed, rng):
    if seed == 2:
        raise ValueError("two is one too many")
    return {"draw": rng.random()}


def counted(folder, seed, rng):
    (folder / f"call-{seed}-{os.urandom(4).hex()}").touch()
    return {"draw": rng.random()}


def test_axes_are_those_of_the_grid() -> None:
    done = jf.sweep(mean, GRID, rng=1)
    assert done.status is Status.COMPLETE and len(done) == 6
    assert done.array("n").tolist() == [[3] * 3, [50] * 3]
    assert done.array("first").shape == (2, 3, 2)
    assert done.cells[4] == {"n": 50, "seed": 1}
    assert done[4] is done.results[4] and [r["n"] for r in done] == [3] * 3 + [50] * 3
    assert len(np.unique(done.array("mean"))) == 6  # no two cells share a generator


def test_numbers_do_not_depend_on_the_number_of_workers() -> None:
    alone, together = (jf.sweep(mean, GRID, rng=7, n_jobs=k) for k in (1, 2))
    for name in ("mean", "first"):
        assert np.array_equal(alone.array(name), together.array(name))


def test_numbers_are_the_same_on_a_dask_cluster() -> None:
    joblib = pytest.importorskip("joblib")
    distributed = pytest.importorskip("distributed")
    alone = jf.sweep(mean, GRID, rng=7)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        there = jf.sweep(mean, GRID, rng=7)
    assert np.array_equal(alone.array("first"), there.array("first"))
    assert os.getpid() not in there.array("worker")


def test_numbers_remain_when_the_grid_grows_or_is_given_one_by_one() -> None:
    small = jf.sweep(mean, GRID, rng=7)
    large = jf.sweep(mean, {"n": [2, 3, 50], "seed": [2, 0, 1]}, rng=7)
    assert np.array_equal(large.array("mean")[1:, [1, 2, 0]], small.array("mean"))
    listed = jf.sweep(mean, reversed(small.cells), rng=7)
    assert listed.axes is None
    assert np.array_equal(listed.array("mean"), small.array("mean").ravel()[::-1])


def test_another_seed_gives_other_numbers() -> None:
    one, two = (jf.sweep(mean, GRID, rng=seed).array("mean") for seed in (1, 2))
    assert (one != two).all()


def test_a_failed_cell_does_not_lose_the_others(tmp_path) -> None:
    with pytest.raises(SweepFailed, match=r"(?s)1 of 4 cells failed.*two is one") as raised:
        jf.sweep(fails_at_two, {"seed": range(4)}, rng=0, store=tmp_path / "s")
    done = raised.value.sweep
    assert list(done.errors) == [2] and done.results[2] is None
    assert np.isnan(done.array("draw")).tolist() == [False, False, True, False]
    quiet = jf.sweep(fails_at_two, {"seed": range(4)}, rng=0, throw=False)
    assert np.array_equal(quiet.array("draw"), done.array("draw"), equal_nan=True)


def test_only_missing_cells_are_computed_again(tmp_path) -> None:
    from functools import partial

    calls = tmp_path / "calls"
    calls.mkdir()
    function = partial(counted, calls)
    first = jf.sweep(function, {"seed": range(3)}, rng=0, store=tmp_path / "kept")
    again = jf.sweep(function, {"seed": range(5)}, rng=0, store=tmp_path / "kept")
    assert len(list(calls.iterdir())) == 5
    assert np.array_equal(again.array("draw")[:3], first.array("draw"))


def test_ctrl_c_keeps_what_there_is(tmp_path) -> None:
    def interrupted(seed, rng):
        if seed == 2:
            raise KeyboardInterrupt
        return {"draw": rng.random()}

    done = jf.sweep(interrupted, {"seed": range(4)}, rng=0, store=tmp_path / "kept")
    assert done.status is Status.INTERRUPTED
    assert [r is None for r in done.results] == [False, False, True, True]
    assert len(list((tmp_path / "kept").glob("*.npz"))) == 2


def test_a_folder_belongs_to_one_sweep(tmp_path) -> None:
    jf.sweep(mean, GRID, rng=0, store=tmp_path / "kept")
    with pytest.raises(StoreError, match="another function or seed"):
        jf.sweep(mean, GRID, rng=1, store=tmp_path / "kept")
    with pytest.raises(StoreError, match="another function or seed"):
        jf.sweep(fails_at_two, {"seed": [0]}, rng=0, store=tmp_path / "kept")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(StoreError, match="holds no sweep"):
        jf.sweep(mean, GRID, rng=0, store=tmp_path / "other")


def test_a_damaged_result_is_an_error(tmp_path) -> None:
    jf.sweep(mean, GRID, rng=0, store=tmp_path)
    file = next(tmp_path.glob("*.npz"))
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(StoreError):
        jf.sweep(mean, GRID, rng=0, store=tmp_path)


@pytest.mark.parametrize("grid", [
    {}, {"n": []}, [], [{}], {"n": 3}, {"n": "ab"}, {"n": [1, 1]}, 5, [3], {"two words": [1]},
    {"rng": [1]},
])  # fmt: skip
def test_senseless_grids(grid) -> None:
    with pytest.raises(InvalidProblem):
        jf.sweep(mean, grid, rng=0)


@pytest.mark.parametrize("options", [
    {"rng": "x"}, {"rng": 0, "n_jobs": 0}, {"rng": 0, "n_jobs": -2}, {"rng": 0, "n_jobs": 1.5},
])  # fmt: skip
def test_senseless_options(options) -> None:
    with pytest.raises(InvalidProblem):
        jf.sweep(mean, GRID, **options)


def test_senseless_functions_and_names() -> None:
    with pytest.raises(InvalidProblem):
        jf.sweep(3, GRID, rng=0)
    for answer in (3.0, {"a": "text"}, None):
        with pytest.raises(SweepFailed, match="InvalidProblem"):
            jf.sweep(lambda n, seed, rng, a=answer: a, GRID, rng=0)
    with pytest.raises(InvalidProblem, match="the results have"):
        jf.sweep(mean, GRID, rng=0).array("median")
