"""A stepper that needs its state and its random generator, and a run of it that can be killed.

As a script: ``noisy_run.py FOLDER STEPS PAUSE`` runs or continues.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

import jkoflow as jf
from jkoflow.record import Witness
from jkoflow.status import Status
from jkoflow.steppers.base import StepOutput, Stepper
from jkoflow.store.book import Flush


@dataclass(frozen=True)
class Noisy(Stepper):
    """Contraction with inertia (a state) and noise from a spawned child (the generator)."""

    def init(self, F, mu, tau, rng):
        return {"velocity": rng.standard_normal(mu.points.shape), "count": np.array(0)}

    def step(self, F, mu, tau, state, rng):
        child = rng.spawn(1)[0]
        velocity = 0.9 * state["velocity"] + 0.1 * child.standard_normal(mu.points.shape)
        velocity = velocity + 0.01 * rng.random()
        x = (mu.points + tau * velocity) / (1.0 + tau)
        count = state["count"] + 1
        witness = Witness("pairing", {"order": np.roll(np.arange(len(x)), int(count))})
        moved = float(mu.weights @ ((x - mu.points) ** 2).sum(axis=1))
        state = {"velocity": velocity, "count": count}
        stats = {"count": int(count), "gap": float("nan"), "seconds": time.perf_counter()}
        return StepOutput(jf.Particles(x), state, witness, stats, Status.CONVERGED, moved)


def problem(steps: int, strength: float = 1.0) -> jf.Problem:
    points = np.linspace(-1.0, 2.0, 12).reshape(6, 2) ** 3
    return jf.Problem(jf.QuadraticPotential(strength), jf.Particles(points), 0.05, steps=steps)


def main(folder: str, steps: int, pause: float) -> None:
    def announce(record):
        time.sleep(pause)

    store = jf.Directory(folder, Flush(seconds=0.01))
    run = jf.flow(problem(steps), Noisy(), store=store, rng=7, observers=[announce],
                  save=jf.every(2))  # fmt: skip
    print(run.status.name, len(run), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
