"""Witnesses for somebody's run that lacks them, so that the judge never has to solve.

Nothing else of the run is changed, and nothing is judged: a wrong step stays wrong, and a witness
that is there, right or wrong, stays as it is.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..measures.base import Array, Measure
from ..measures.gaussian import Gaussian
from ..measures.grid import Grid
from ..measures.many import alike
from ..measures.mesh import Mesh
from ..measures.particles import Particles
from ..problem import Problem
from ..record import Witness
from ..status import InvalidProblem, JkoflowError, NotDefined, TransportFailed
from ..store.directory import Directory
from ..store.format import StoredRun, read_run
from ..transport.bures import optimal_map
from ..transport.distances import distance_blocks
from ..transport.exact import couple
from ..transport.pairing import pairing_potentials
from .stored import Told, load, told, write_run
from .trajectory import Trajectory

Indices = np.ndarray[Any, np.dtype[np.intp]]


TOLD = 10
"""So many steps that lack their witness are named one by one."""

SWEEPS = 200
"""Of shortest paths at most, from the linear program's potentials to those of the pairing: 300
points in a thin cloud needed 60 to 120, which cost about as much as the program did."""


def complete(
    problem: Problem, run: Any, out: str | os.PathLike[str] | None = None
) -> Trajectory | StoredRun:
    """Add the transport witnesses that the steps of a run lack.

    Particles above dimension one get an optimal coupling with dual potentials, by an exact linear
    program whose answer is verified; a pairing or a coupling that came without potentials keeps
    itself and gets them. Gaussians get the optimal map, the nodes of a mesh potentials for their
    pairing. Quantiles, radial laws and particles on the line need no witness. For grids none is
    found: the potential that proves a step is that of the whole step, not of its transport.

    Parameters
    ----------
    problem : Problem
        The asker's question; the first step starts from its initial measure.
    run : Trajectory, path of a stored run, Directory or StoredRun
    out : path, optional
        A new or empty folder for the completed run. A stored run then goes from the one folder to
        the other step by step, in memory that does not grow with their number.

    Returns
    -------
    Trajectory, or StoredRun with ``out``
        The same run, with the same identity, numbers and measures. Warnings name the steps that
        still lack a witness, and why.

    Raises
    ------
    StoreError
        If there is no readable run, or ``out`` is not empty.
    InvalidProblem
        If ``problem`` or ``run`` is none.

    Examples
    --------
    >>> import jkoflow as jf
    >>> start = jf.Gaussian([0.0, 0.0], [[1.0, 0.2], [0.2, 2.0]])
    >>> problem = jf.Problem(jf.QuadraticPotential(1.0), start, tau=0.5, steps=1)
    >>> theirs = jf.flow(problem)
    >>> theirs.records[0] = replace(theirs.records[0], witness=None)
    >>> jf.check_run(problem, theirs).verdict.name
    'UNDECIDED'
    >>> jf.check_run(problem, complete(problem, theirs)).verdict.name
    'ACCEPTED'
    """
    if not isinstance(problem, Problem):
        raise InvalidProblem(f"problem must be a jkoflow.Problem, not {type(problem).__name__}")
    source, lacking = _opened(run, into_memory=out is None), Lacking()
    whole = source
    if isinstance(source, Trajectory):
        lacking.unsaved = len(source) > len(source.records)
        saved = (Told(record, True, True) for record in source.records)
        records = [step.record for step in completed(problem, saved, lacking)]
        whole = replace(source, records=records, last=_last(source, records))
        if out is not None:
            whole = write_run(out, whole, whole.status, told(whole))
    elif out is not None:
        whole = write_run(out, source, source.status, completed(problem, told(source), lacking))
    for sentence in lacking.sentences():
        warnings.warn(sentence, stacklevel=2)
    return whole


def completed(problem: Problem, steps: Iterable[Told], lacking: Lacking) -> Iterator[Told]:
    """The steps, as they come, with their witnesses where there are any."""
    before: tuple[int, Measure] = (0, problem.initial)
    for step in steps:
        record = step.record
        if step.keep:
            (index, old), before = before, (record.index, record.measure)
            try:
                if index == record.index - 1:
                    found = witness(record.measure, old, record.witness)
                    step = step._replace(record=replace(record, witness=found))
            except JkoflowError as error:
                lacking.add(record.index, error)
        else:
            lacking.unsaved = True
        yield step


@dataclass
class Lacking:
    """The steps that still lack evidence: the first without witness by name, the others counted."""

    told: list[str] = field(default_factory=list)
    others: int = 0
    unsaved: bool = False

    def add(self, step: int, reason: Exception) -> None:
        """One more."""
        if len(self.told) < TOLD:
            self.told.append(f"step {step} still lacks its witness: {reason}")
        else:
            self.others += 1

    def sentences(self) -> list[str]:
        """What to warn of."""
        more = [f"{self.others} more steps lack theirs"] * (self.others > 0)
        lost = ["some steps' measures were not saved: nothing proves what they began or ended with"]
        return [*self.told, *more, *(lost if self.unsaved else [])]


def witness(after: Measure, before: Measure, given: Witness | None) -> Witness | None:
    """The witness of one step: the given one, with what it lacks.

    Raises
    ------
    TransportFailed, NotDefined
        If there is none, or none was found.
    """
    if isinstance(after, Gaussian) and isinstance(before, Gaussian) and after.dim == before.dim:
        if given is not None:
            return given
        return Witness("symmetric-map", {"matrix": optimal_map(after, before)})
    if isinstance(after, Grid) and given is None:
        raise NotDefined("on a grid the witness holds the potential of the whole step, which its "
                         "stepper has to write")  # fmt: skip
    if isinstance(after, Mesh) and isinstance(before, Mesh):
        return _of_nodes(after, before, given)
    if not (isinstance(after, Particles) and isinstance(before, Particles)):
        return given
    if after.dim != before.dim or not _lacks_potentials(given, after.dim):
        return given
    if given is not None and given.kind == "pairing":
        proved = _of_pairing(after, before, given.arrays)
        if proved is not None:
            return proved
    found, f, g = _coupled(after, before)
    if given is not None:
        return Witness(given.kind, {**given.arrays, "f": f, "g": g})
    if _stays_paired(after, before, found):
        own: Any = np.arange(len(after.weights))
        found = {"rows": own, "columns": own, "values": after.weights}
        better = pairing_potentials(after.points, before.points, f, SWEEPS)
        if better is not None:  # right to the rounding of the step's costs, and not of all costs
            f, g = better.f, better.g
    return Witness("coupling", {**found, "f": f, "g": g})


def _opened(run: Any, into_memory: bool) -> Trajectory | StoredRun:
    if isinstance(run, Trajectory):
        return run
    if not isinstance(run, (str, os.PathLike, Directory, StoredRun)):
        raise InvalidProblem(f"run must be a Trajectory or a stored run, not {run!r:.100}")
    path = run.path if isinstance(run, (Directory, StoredRun)) else run
    stored = run if isinstance(run, StoredRun) else read_run(path)
    if not into_memory:
        return stored
    return load(path, limit=stored.limit)


def _last(run: Trajectory, records: list[Any]) -> Any:
    """The last step's record, which may have been saved, and then has its witness now."""
    saved = run.last is not None and records and records[-1].index == run.last.index
    return replace(run.last, witness=records[-1].witness) if saved and run.last else run.last


def _lacks_potentials(given: Witness | None, dim: int) -> bool:
    if given is None:
        return dim > 1
    return given.kind in ("pairing", "coupling") and not {"f", "g"} <= given.arrays.keys()


def _of_nodes(after: Mesh, before: Mesh, given: Witness | None) -> Witness | None:
    """Node i comes from node i, which is all that a step of one mesh can be; with potentials."""
    order: Any = np.arange(len(after.nodes))
    pairing = Witness("pairing", {"order": order}) if given is None else given
    if pairing.kind != "pairing" or not _lacks_potentials(pairing, after.dim):
        return given
    if not alike(after, before):
        return given
    proved = _of_pairing(after, before, pairing.arrays)
    if proved is not None:
        return proved
    found, f, g = _coupled(after, before)
    if not _stays_paired(after, before, found):
        raise TransportFailed("node to node is not the cheapest coupling of the two meshes")
    return Witness("pairing", {**pairing.arrays, "f": f, "g": g})


def _of_pairing(after: Measure, before: Measure, arrays: Mapping[str, Any]) -> Witness | None:
    """A bare pairing, proved without a linear program; None where that fails."""
    order, n = np.asarray(arrays.get("order")), len(after.weights)
    if order.dtype.kind not in "iu" or order.shape != (n,):
        return None
    if n != len(before.weights) or not np.array_equal(np.sort(order), np.arange(n)):
        return None
    moved = after.points - before.points[order]
    guess = np.einsum("ij,ij->i", moved, moved)
    found = pairing_potentials(after.points, before.points[order], guess)
    if found is None:
        return None
    g = np.empty(n)
    g[order] = found.g
    return Witness("pairing", {"order": order, "f": found.f, "g": g})


def _stays_paired(after: Measure, before: Measure, found: Mapping[str, Array]) -> bool:
    """Whether each point with itself costs no more than what the solver found.

    Of short steps the solver sees the costs between all points, and leaves as much as their
    rounding; what it proves of its own coupling, it proves of a cheaper one.
    """
    if not np.array_equal(after.weights, before.weights):
        return False
    x, y, rows, columns = after.points, before.points, found["rows"], found["columns"]
    moved, apart = x - y, x[rows] - y[columns]
    own = after.weights @ np.einsum("ij,ij->i", moved, moved)
    return bool(own <= found["values"] @ np.einsum("ij,ij->i", apart, apart))


def _coupled(after: Measure, before: Measure) -> tuple[dict[str, Any], Array, Array]:
    """An optimal coupling of the points with mass, and potentials of all points."""
    x, y = after.points, before.points
    rows, columns = np.flatnonzero(after.weights), np.flatnonzero(before.weights)
    best = couple(x[rows], y[columns], after.weights[rows], before.weights[columns])
    f, g = np.zeros(len(x)), np.zeros(len(y))
    f[rows], g[columns] = best.f, best.g
    dead_y, dead_x = np.flatnonzero(before.weights == 0), np.flatnonzero(after.weights == 0)
    if len(dead_y):
        g[dead_y] = _transform(y[dead_y], x[rows], f[rows])
    if len(dead_x):
        f[dead_x] = _transform(x[dead_x], y, g)
    entries = {"rows": rows[best.rows], "columns": columns[best.columns], "values": best.values}
    return entries, f, g


def _transform(x: Array, y: Array, g: Array) -> Array:
    """min_j |x_i − y_j|² − g_j, shape (n,)."""
    return np.concatenate([(block - g).min(axis=1) for _, block in distance_blocks(x, y)])
