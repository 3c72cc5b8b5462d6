"""A run as a labelled dataset of xarray, which writes NetCDF files: HDF5, for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..measures.base import Measure
from ..measures.grid import Grid
from ..status import InvalidProblem, StoreError, require_extra
from ..store.directory import Directory
from ..store.files import write_whole
from ..store.format import StoredRun
from ..store.text import compact
from .stored import load
from .trajectory import Trajectory

AXES = ("x", "y", "z")

_MOVING: dict[str, dict[str, tuple[str, ...]]] = {
    "particles": {"x": ("particle", "axis")},
    "quantiles": {"edges": ("edge",)},
    "radial": {"edges": ("edge",)},
    "gaussian": {"mean": ("axis",), "cov": ("axis", "other_axis")},
    "grid": {"density": AXES},
    "mesh": {"nodes": ("node", "axis")},
}
"""What the axes of a measure's arrays are called, by its kind: of those that steps change,"""
_FIXED: dict[str, dict[str, tuple[str, ...]]] = {
    "particles": {"weights": ("particle",)},
    "quantiles": {"mass": ("cell",)},
    "radial": {"mass": ("cell",), "dim": ()},
    "gaussian": {},
    "grid": {"lower": ("axis",), "upper": ("axis",)},
    "mesh": {"simplices": ("simplex", "corner"), "mass": ("simplex",)},
}  # fmt: skip
"""and of those that they do not. Of kinds that others registered all may change."""


def to_xarray(run: Trajectory | Directory | StoredRun | str | PathLike[str]) -> Any:
    """A run as an `xarray.Dataset`: energies of all steps, arrays of the saved measures.

    Along ``step``, from 0, the start: ``time``, ``energy``, ``distance_squared`` W2² of each step.
    Along ``saved``, the numbers of the saved steps: their ``saved_time``, and what `to_arrays` of
    the measures gives, under its own names; masses and what else no step changes are there once.
    Densities on a grid have its centres as coordinates ``x``, ``y``, ``z``.
    Attributes: ``kind`` of the measures, ``status``, and the ``problem`` as JSON.
    ``dataset.to_netcdf("run.nc")`` writes all of it as HDF5.

    Parameters
    ----------
    run : Trajectory, or a stored run or its folder

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    MissingExtra
        Without ``pip install 'jkoflow[io]'``.
    InvalidProblem
        If ``run`` is no run, or its measures changed their kind or shape on the way.
    StoreError
        If there is no run in the folder, or it is damaged.

    Examples
    --------
    >>> import jkoflow as jf
    >>> problem = jf.Problem(jf.Entropy(), jf.Quantiles.normal(0.0, 1.0, 50), tau=0.1, steps=4)
    >>> data = to_xarray(jf.flow(problem, save=jf.every(2)))
    >>> data.edges.dims, data.mass.dims, data.saved.values.tolist(), data.sizes["step"]
    (('saved', 'edge'), ('cell',), [0, 2, 4], 5)
    """
    xarray: Any = require_extra("xarray", "io")
    run = _in_memory(run)
    measures = run.measures
    variables: dict[str, Any] = {
        "energy": ("step", run.energies),
        "distance_squared": ("step", run.distances_squared),
    }
    variables |= _variables(measures)
    coordinates: dict[str, Any] = {
        "step": np.arange(len(run) + 1),
        "time": ("step", run.times),
        "saved": run.saved,
        "saved_time": ("saved", run.times[run.saved]),
    }
    first = measures[0]
    if isinstance(first, Grid):
        coordinates |= zip(AXES, first.axes(), strict=False)
    spec = compact(run.problem.spec())
    about = {"kind": first.kind, "status": run.status.name, "problem": spec}
    return xarray.Dataset(variables, coordinates, about)


def write_netcdf(
    run: Trajectory | Directory | StoredRun | str | PathLike[str],
    file: str | PathLike[str],
    *,
    replace: bool = False,
) -> Path:
    """Write `to_xarray` of a run as a NetCDF file, whole or not at all; returns its path.

    Raises
    ------
    StoreError
        If there is such a file, and ``replace`` is not set; or it cannot be written.
    MissingExtra, InvalidProblem
        As `to_xarray`.
    """
    require_extra("h5netcdf", "io")
    path = Path(file)
    if path.exists() and not replace:
        raise StoreError(f"{path} exists: name another file, or ask for it to be replaced")
    write_whole(path, bytes(to_xarray(run).to_netcdf(engine="h5netcdf")))
    return path


def _in_memory(run: Any) -> Trajectory:
    if isinstance(run, Trajectory):
        return run
    path = getattr(run, "path", run)
    if not isinstance(path, (str, PathLike)):
        raise InvalidProblem(
            f"to_xarray takes a Trajectory, or a stored run or its folder, not {run!r:.100}"
        )
    return load(path)


def _variables(measures: Sequence[Measure]) -> dict[str, Any]:
    """The arrays of the measures, each with its dimensions."""
    kind, rows = measures[0].kind, [mu.to_arrays() for mu in measures]
    moving, fixed = _MOVING.get(kind, {}), _FIXED.get(kind, {})
    found: dict[str, Any] = {}
    for name, first in rows[0].items():
        column = [row[name] for row in rows if name in row]
        alike = len(column) == len(rows) and all(a.shape == first.shape for a in column)
        if alike and name in fixed:
            alike = all(a is first or np.array_equal(a, first) for a in column)
        if not alike:
            raise InvalidProblem(
                f"the measures' {name} changes on the way, so that one array cannot hold it: "
                "export the parts of the run between the changes"
            )
        if name in fixed:
            found[name] = (fixed[name], first)
        else:
            dims = moving.get(name, tuple(f"{name}_{k}" for k in range(first.ndim)))
            found[name] = (("saved", *dims[: first.ndim]), np.stack(column))
    return found
