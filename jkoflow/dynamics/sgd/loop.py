"""The loop of SGD: take the steps up to the next record, look at what came out, go on."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...arguments import is_among, is_finite, is_real
from ...measures.base import Array
from ...status import InvalidProblem, Status
from .data import Piece, Stream
from .engines import Engine, Forcing
from .record import Recorder
from .schedule import NOISE
from .store import Position, SGDFolder, generator_state


class Broken(Exception):
    """The loop ended by an error, its cause, after so many steps."""

    def __init__(self, done: int) -> None:
        super().__init__(done)
        self.done = done


class Force:
    """Regularisation and noise."""

    def __init__(self, lam: float, beta: float, noise: str, theta: Array) -> None:
        if not (is_finite(lam) and lam >= 0):
            raise InvalidProblem(f"lam must be finite and not negative, but is {lam!r}")
        if not (is_real(beta) and beta > 0 and (is_finite(beta) or beta == math.inf)):
            raise InvalidProblem(f"beta must be positive (inf for no noise), but is {beta!r:.90}")
        if not is_among(noise, NOISE):
            raise InvalidProblem(f"noise must be one of {sorted(NOISE)}, but is {noise!r}")
        self.lam, self.beta, self.factor = float(lam), float(beta), NOISE[noise]
        self.shape, self.dtype = theta.shape[::-1], theta.dtype

    def steps_at_once(self, batch: int) -> int:
        """Steps between two looks at Ctrl-C: some tenths of a second."""
        return max(1, 5 * 10**9 // (batch * math.prod(self.shape)))

    def run(self, engine: Engine, piece: Piece, rng: np.random.Generator) -> None:
        """Take the steps of ``piece``; with noise, a megabyte of it at a time."""
        decay = (2 * self.lam * piece.s).astype(self.dtype)
        amplitude = np.sqrt(self.factor * piece.s / self.beta).astype(self.dtype)
        k = len(piece.s)
        if math.isinf(self.beta):
            engine.run(piece, Forcing(decay, amplitude, np.empty((0, *self.shape), self.dtype)))
            return
        batch, once = len(piece.y) // k, max(1, 2**18 // math.prod(self.shape))
        for i in range(0, k, once):
            now, rows = slice(i, i + once), slice(i * batch, (i + once) * batch)
            part = Piece(piece.x[rows], piece.y[rows], piece.s[now])
            z = rng.standard_normal((len(part.s), *self.shape), dtype=self.dtype.type)
            engine.run(part, Forcing(decay[now], amplitude[now], z))


def run_steps(
    engine: Engine,
    stream: Stream,
    force: Force,
    rng: np.random.Generator,
    recorder: Recorder,
    steps: int,
    progress: bool,
    done: int = 0,
    folder: SGDFolder | None = None,
) -> tuple[int, Status]:
    """The loop: steps taken and how it ended; the engine is left with the last finite θ.

    It goes on after ``done`` steps, and ``folder`` gets checkpoints now and then and at the end.
    """
    most, whole = force.steps_at_once(stream.batch), True  # whole: not in the middle of a piece
    with engine.ready(), deferred_interrupt() as interrupted, progress_bar(steps, progress) as bar:
        bar(done)
        try:
            while True:
                if recorder.next_due(-1) == done:
                    recorder.record(engine.theta)
                if done >= steps or interrupted():
                    break
                target = min(recorder.next_due(steps), steps, done + most)
                piece, before = stream.take(target - done), engine.save()
                whole = False
                try:
                    force.run(engine, piece, rng)
                except BaseException:  # of a user's unit, or a second Ctrl-C
                    engine.restore(before)
                    raise
                if not engine.finite():
                    engine.restore(before)
                    return done, Status.NON_FINITE
                done, whole = done + len(piece.s), True
                bar(len(piece.s))
                if folder is not None and folder.due():
                    folder.write(position(done, engine, stream, rng))
        except KeyboardInterrupt:
            return done, Status.INTERRUPTED
        except Exception as error:
            raise Broken(done) from error
        finally:
            if folder is not None and whole:
                folder.write(position(done, engine, stream, rng))
    return done, Status.COMPLETE if done >= steps else Status.INTERRUPTED


def position(done: int, engine: Engine, stream: Stream, rng: np.random.Generator) -> Position:
    """Where the run is, between two pieces."""
    return Position(done, engine.theta, stream.state(), generator_state(rng))


@contextmanager
def deferred_interrupt() -> Iterator[Any]:
    """Within, Ctrl-C raises a flag, so that no step is cut in half; a second one interrupts."""
    flag = threading.Event()

    def handler(signum: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield flag.is_set
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def progress_bar(steps: int, show: bool) -> Iterator[Any]:
    """A progress bar's update function, or one that does nothing."""
    if not show:
        yield lambda k: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, unit="step", unit_scale=True) as bar:
        yield bar.update
