"""One run of a demo: where it writes, how large it is, and what an earlier run left there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..flows.driver import flow
from ..flows.sweep import Sweep, sweep
from ..flows.trajectory import Trajectory
from ..problem import Problem
from ..status import Status

Whole = TypeVar("Whole", Trajectory, Sweep)


@dataclass(frozen=True)
class Session:
    """What a demo is given.

    ``quick`` asks for a small version by the same code. With ``resume``, flows and sweeps that
    are already in ``out`` are gone on with, otherwise they are computed anew. ``n_jobs`` are
    processes for sweeps.
    """

    out: Path
    quick: bool = False
    resume: bool = False
    progress: bool = False
    n_jobs: int = 1
    echo: Callable[[str], object] = print

    def flow(self, problem: Problem, name: str, stepper: Any = None, **options: Any) -> Trajectory:
        """Run a problem into the store ``out/name``."""
        folder = self.folder(name)
        run = flow(problem, stepper, store=str(folder), progress=self.progress, **options)
        return self._whole(run)

    def sweep(
        self, function: Callable[..., Any], grid: Any, name: str, *, rng: Any, **options: Any
    ) -> Sweep:
        """Call a function of module level for every cell of a grid, kept in ``out/name``.

        A single long computation is a sweep of one cell.
        """
        done = sweep(
            function, grid, rng=rng, n_jobs=self.n_jobs, store=self.folder(name),
            progress=self.progress, **options,
        )  # fmt: skip
        return self._whole(done)

    def single(
        self, function: Callable[..., Any], name: str, *, rng: Any, **parameters: Any
    ) -> Mapping[str, Any]:
        """The result of one call ``function(**parameters, rng=...)``, kept in ``out/name``."""
        result = self.sweep(function, [parameters], name, rng=rng).results[0]
        assert result is not None  # a failed cell has raised
        return result

    @staticmethod
    def _whole(run: Whole) -> Whole:
        """The run, unless Ctrl-C ended it: then the demo ends too, and what there is is kept."""
        if run.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return run

    def folder(self, name: str) -> Path:
        """The folder ``out/name``: emptied, unless this session resumes."""
        folder = self.out / name
        if folder.exists() and not self.resume:
            shutil.rmtree(folder)
        return folder
