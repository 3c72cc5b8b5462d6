"""Runs as labelled datasets: nothing is lost on the way, whatever the measures are."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

import jkoflow as jf
from jkoflow import cli
from jkoflow.flows.export import to_xarray, write_netcdf
from jkoflow.measures.base import measure_from_arrays
from jkoflow.record import StepRecord
from jkoflow.status import InvalidProblem, MissingExtra, StoreError

xarray = pytest.importorskip("xarray")

RNG = np.random.default_rng(5)
BOWL = jf.QuadraticPotential(0.8)
SQUARE = jf.Grid.from_function(lambda x: np.exp(-4 * (x**2).sum(axis=1)), [-1, -1], [1, 2], (16, 8))
STARTS = {
    "particles": (BOWL, jf.Particles(RNG.normal(size=(5, 2)))),
    "quantiles": (BOWL + jf.Entropy(), jf.Quantiles.normal(1.0, 0.5, 12)),
    "radial": (BOWL + jf.Entropy(), jf.Radial.normal(0.5, 3, 12)),
    "gaussian": (BOWL + jf.Entropy(), jf.Gaussian([1.0, 0.0], [[1.0, 0.2], [0.2, 0.5]])),
    "grid": (BOWL + 0.1 * jf.Entropy(), SQUARE),
    "line": (BOWL + 0.1 * jf.Entropy(),
             jf.Grid.from_function(lambda x: np.exp(-4 * x[:, 0] ** 2), -1, 1, 20)),
    "mesh": (BOWL + 0.1 * jf.PowerEnergy(2.0), jf.Mesh.disc(1.0, 3)),
}  # fmt: skip


def ran(name, **options):
    F, start = STARTS[name]
    return jf.flow(jf.Problem(F, start, tau=0.1, steps=3), **options)


@pytest.mark.parametrize("name", STARTS)
def test_every_measure_comes_back_from_the_file(name, tmp_path):
    run = ran(name)
    file = write_netcdf(run, tmp_path / "run.nc")
    data = xarray.load_dataset(file)
    np.testing.assert_array_equal(data["energy"], run.energies)
    np.testing.assert_array_equal(data["time"], run.times)
    np.testing.assert_array_equal(data["distance_squared"], run.distances_squared)
    for k, mu in zip(run.saved, run.measures, strict=True):
        one = data.sel(saved=k)
        arrays = {array: one[array].values for array in mu.to_arrays()}
        back = measure_from_arrays(data.attrs["kind"], arrays)
        for array, values in mu.to_arrays().items():
            np.testing.assert_array_equal(back.to_arrays()[array], values)


def test_saved_steps_have_their_own_numbers_and_times():
    data = to_xarray(ran("quantiles", save=jf.every(2)))
    assert data["saved"].values.tolist() == [0, 2, 3]  # the last always
    np.testing.assert_array_equal(data["saved_time"], data["time"][[0, 2, 3]])
    assert data.sizes["step"] == 4


def test_dimensions_do_not_depend_on_what_the_run_did():
    still = jf.flow(jf.Problem(jf.Entropy(), jf.Gaussian(0.0, 1.0), tau=0.1, steps=2))
    assert to_xarray(still)["mean"].dims == ("saved", "axis")
    assert to_xarray(ran("quantiles"))["mass"].dims == ("cell",)


def test_densities_have_the_centres_as_coordinates():
    data = to_xarray(ran("grid"))
    assert data["density"].dims == ("saved", "x", "y")
    for name, centres in zip(("x", "y"), SQUARE.axes(), strict=True):
        np.testing.assert_array_equal(data[name], centres)
    mass = data["density"].sum(("x", "y")) * SQUARE.cell_volume
    np.testing.assert_allclose(mass, 1.0, rtol=1e-12)  # sums of 128 numbers


def test_stores_and_folders_give_the_same_as_memory(tmp_path):
    run = ran("radial", store=tmp_path / "out")
    for given in (tmp_path / "out", str(tmp_path / "out"), jf.Directory(tmp_path / "out")):
        assert to_xarray(given).identical(to_xarray(run))
    assert json.loads(to_xarray(run).attrs["problem"]) == run.problem.spec()


def test_other_kinds_have_numbered_dimensions(monkeypatch):
    monkeypatch.setattr(jf.Particles, "kind", "flock")
    data = to_xarray(ran_by_hand([jf.Particles([[0.0]]), jf.Particles([[1.0]])]))
    assert data["x"].dims == ("saved", "x_0", "x_1")
    assert data["weights"].dims == ("saved", "weights_0")


def ran_by_hand(measures):
    """A run that somebody else wrote, of these measures."""
    first, *others = measures
    run = jf.Trajectory(jf.Problem(BOWL, first, tau=0.1, steps=len(others)), 0.0)
    for k, mu in enumerate(others, 1):
        record = StepRecord.of_start(mu, 0.0)
        run.add(replace(record, index=k, tau=0.1, time=0.1 * k), keep=True)
    return run


def test_measures_that_change_their_shape_are_refused():
    more, other = jf.Particles([[0.0], [1.0]]), jf.Particles([[0.0]])
    with pytest.raises(InvalidProblem, match="x changes on the way"):
        to_xarray(ran_by_hand([more, other]))
    heavier = jf.Particles([[0.0], [1.0]], [0.25, 0.75])
    with pytest.raises(InvalidProblem, match="weights changes on the way"):
        to_xarray(ran_by_hand([more, heavier]))


@pytest.mark.parametrize("wrong", [None, 3, {}, jf.Gaussian(0.0, 1.0)])
def test_what_is_no_run_is_refused(wrong):
    with pytest.raises(InvalidProblem, match="to_xarray takes a Trajectory"):
        to_xarray(wrong)


def test_a_file_is_replaced_only_if_asked_and_written_whole(tmp_path):
    file, run = tmp_path / "run.nc", ran("quantiles")
    file.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        write_netcdf(run, file)
    assert file.read_text() == "mine"
    write_netcdf(run, file, replace=True)
    assert xarray.load_dataset(file).sizes["step"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc"]
    with pytest.raises(StoreError, match="cannot write"):
        write_netcdf(run, tmp_path / "nowhere" / "run.nc")


def test_the_command_writes_the_file_and_says_so(tmp_path, capsys):
    ran("gaussian", store=tmp_path / "out")
    command = ["export", str(tmp_path / "out"), str(tmp_path / "run.nc")]
    with pytest.raises(SystemExit) as left:
        cli.main(command)
    assert left.value.code == 0 and "run.nc" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        cli.main(command)
    assert left.value.code == cli.Exit.UNREADABLE
    with pytest.raises(SystemExit) as left:
        cli.main([*command, "--force"])
    assert left.value.code == 0


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtra, match=r"jkoflow\[io\]"):
        to_xarray(ran("quantiles"))
