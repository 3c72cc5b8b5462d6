"""One function at many parameters: in processes here, or on a Dask cluster, with equal results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from ..arguments import generator, is_whole
from ..functionals.identity import describe, spec_digest
from ..measures.base import Array
from ..status import InvalidProblem, Status, SweepFailed, require_extra
from .progress import progress_bar
from .sweep_cell import Cell, Outcome, compute
from .sweep_store import SweepFolder

Result = dict[str, Array]


@dataclass(frozen=True)
class Sweep:
    """What `sweep` returns: for cell k its parameters and its result, None if it has none.

    ``axes`` are the values that each parameter runs through, where the grid was a product.
    ``sweep[k]`` is ``sweep.results[k]``, and iterating goes through the results.
    """

    cells: list[dict[str, Any]]
    results: list[Result | None] = field(repr=False)
    errors: dict[int, str] = field(repr=False)
    axes: dict[str, list[Any]] | None
    status: Status

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, k: int) -> Result | None:
        return self.results[k]

    def __iter__(self) -> Iterator[Result | None]:
        return iter(self.results)

    def array(self, name: str) -> Array:
        """One entry of the results, with an axis for each parameter; NaN where there is none.

        Raises
        ------
        InvalidProblem
            If no result has that name, or results differ in shape.
        """
        found = [r[name] for r in self.results if r is not None and name in r]
        if not found:
            known = sorted({key for r in self.results if r is not None for key in r})
            raise InvalidProblem(f"no result is called {name!r}: the results have {known}")
        shapes = {np.shape(value) for value in found}
        if len(shapes) > 1:
            raise InvalidProblem(f"results {name!r} have different shapes {sorted(shapes)}: take "
                                 "them one by one from .results")  # fmt: skip
        shape = shapes.pop()
        absent = np.full(shape, math.nan)
        rows = np.array([absent if r is None else r.get(name, absent) for r in self.results])
        if self.axes is None:
            return rows
        return rows.reshape(*(len(values) for values in self.axes.values()), *shape)


def sweep(
    function: Callable[..., Mapping[str, Any]],
    grid: Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]],
    *,
    rng: Any,
    n_jobs: int = 1,
    store: Any = None,
    progress: bool = False,
    throw: bool = True,
) -> Sweep:
    """Call ``function(**cell, rng=...)`` for every cell of a grid of parameters.

    A cell's random generator depends on ``rng`` and on the cell's parameters alone. So results
    are the same for any number of workers, in any order, and remain so when the grid grows.

    Parameters
    ----------
    function : callable
        Returns a mapping from names to numbers or arrays. For other processes it must be
        picklable with all that it captures; the module that it comes from must be one that they
        can import too (scripts and nested functions are sent whole).
    grid : mapping of sequences, or iterable of mappings
        ``{"neurons": [100, 200], "seed": range(5)}`` means all 10 combinations, the last
        parameter running fastest; an iterable gives the cells one by one.
    rng : seed or Generator
    n_jobs : int
        Processes, by joblib; −1 means all cores. Inside
        ``joblib.parallel_config(backend="dask")`` the cells run on that Dask cluster.
    store : path, optional
        A folder that keeps each result as soon as it is there. Called again with the same
        function, seed and folder, only the cells that are missing are computed.
    progress : bool
    throw : bool
        Whether failed cells raise at the end, or are only told in ``errors``.

    Returns
    -------
    Sweep
        After Ctrl-C too, with status INTERRUPTED and what there is.

    Raises
    ------
    InvalidProblem
        For a grid that is empty, or has a cell twice, and other senseless arguments.
    StoreError
        If the folder cannot be used, or belongs to another sweep.
    MissingExtra
        Without joblib.
    SweepFailed
        After all cells were tried, if some failed; its ``sweep`` holds all the others.

    Examples
    --------
    >>> def error(n, seed, rng):
    ...     return {"mean": rng.standard_normal(n).mean()}
    >>> result = sweep(error, {"n": [10, 1000], "seed": range(3)}, rng=0)
    >>> result.status.name, len(result), result.array("mean").shape
    ('COMPLETE', 6, (2, 3))
    """
    if not callable(function):
        raise InvalidProblem(f"a sweep needs a function to call, not {function!r:.80}")
    if not (is_whole(n_jobs, -1) and n_jobs != 0):
        raise InvalidProblem(f"n_jobs must be a positive number of processes, or −1: {n_jobs!r}")
    axes, parameters = _grid(grid)
    cells = _cells(parameters, generator(rng))
    results: list[Result | None] = [None] * len(cells)
    folder = None
    if store is not None:
        folder = SweepFolder(store, {"function": describe(function), "seed": cells[0].root})
        for cell in cells:
            results[cell.index] = folder.read(cell.key)
    missing = [cell for cell in cells if results[cell.index] is None]
    errors: dict[int, str] = {}
    status = Status.COMPLETE
    bar = progress_bar(progress, len(cells), len(cells) - len(missing), unit="cell")
    try:
        for outcome in _outcomes(function, missing, int(n_jobs)):
            if outcome.error:
                errors[outcome.index] = outcome.error
            else:
                results[outcome.index] = outcome.result
                if folder is not None and outcome.result is not None:
                    folder.write(cells[outcome.index].key, outcome.result)
            bar.update(1)
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    finally:
        bar.close()
    done = Sweep(parameters, results, dict(sorted(errors.items())), axes, status)
    if errors and throw:
        raise SweepFailed(_told(done), done)
    return done


def _grid(grid: Any) -> tuple[dict[str, list[Any]] | None, list[dict[str, Any]]]:
    """The axes, if it is a product, and the parameters of every cell."""
    if isinstance(grid, Mapping):
        axes = {str(name): list(_sequence(name, values)) for name, values in grid.items()}
        cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    else:
        axes = None
        try:
            cells = [dict(cell) for cell in grid]
        except (TypeError, ValueError) as error:
            raise InvalidProblem("a grid is a mapping from names to sequences of values, or "
                                 f"mappings one by one, not {grid!r:.80}") from error  # fmt: skip
    if not cells or not cells[0]:
        raise InvalidProblem("the grid has no cells: give every parameter at least one value")
    wrong = {name for cell in cells for name in cell if not str(name).isidentifier()}
    if wrong or any("rng" in cell for cell in cells):
        raise InvalidProblem(
            "parameters are named as the function's arguments are, and rng is given to it by the "
            f"sweep: {sorted(map(str, wrong)) or 'rng'} cannot be one"
        )
    return axes, cells


def _sequence(name: Any, values: Any) -> Iterable[Any]:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidProblem(f"the values of {name!r} must be a sequence, not {values!r:.80}")
    return (v.item() if isinstance(v, np.generic) else v for v in values)


def _cells(parameters: list[dict[str, Any]], rng: np.random.Generator) -> list[Cell]:
    """Each with its own seed; two alike would be the same computation twice."""
    root: Any = rng.spawn(1)[0].bit_generator.seed_seq
    cells: dict[str, Cell] = {}
    for index, values in enumerate(parameters):
        key = spec_digest(describe(values))[:32]
        if key in cells:
            raise InvalidProblem(f"the cell {values} occurs twice: add a parameter, such as seed, "
                                 "that tells the two apart")  # fmt: skip
        cells[key] = Cell(index, key, values, int(root.entropy), tuple(root.spawn_key))
    return list(cells.values())


def _outcomes(
    function: Callable[..., Any], cells: list[Cell], n_jobs: int
) -> Iterator[Outcome]:
    """The outcomes as they come."""
    joblib: Any = require_extra("joblib", "distributed")
    if cells:
        pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
        yield from pool(joblib.delayed(compute)(function, cell) for cell in cells)


def _told(done: Sweep) -> str:
    index, error = next(iter(done.errors.items()))
    return (
        f"{len(done.errors)} of {len(done)} cells failed; the first, {done.cells[index]}, with\n"
        f"{error}\nThe others are in this error's attribute sweep, and throw=False returns them."
    )
