"""Names of a stored run's files, and what the line of a step says.

A line's *core* is what the hash chain covers: step, time, tau, energy, distance_squared, status,
kind of the measure, kind of the witness, and the digest of each array. Where the arrays lie
(segment and places) and the statistics, which may hold timings, are outside the chain, so that a
resumed run has the same chain as an unbroken one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..measures.base import Measure
from ..record import Witness
from .files import explained
from .text import compact, number

NAME = "jkoflow run"
VERSION = 1
RUN = "run.json"
INITIAL = "initial.npz"
STEPS = "steps.jsonl"
SEGMENT = re.compile(r"segment-[0-9]{6,12}\.npz")
KEPT_CHECKPOINTS = 2
CHECKPOINT = re.compile(r"checkpoint-([0-9]{8,16})\.npz")


def segment_name(number: int) -> str:
    """File name of a segment; the first has number 1."""
    return f"segment-{number:06d}.npz"


def checkpoint_name(step: int) -> str:
    """File name of the checkpoint after a step."""
    return f"checkpoint-{step:08d}.npz"


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of each checkpoint in a folder, oldest first."""
    with explained("list", folder):
        matches = [(CHECKPOINT.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in matches if match)


def named_arrays(measure: Measure, witness: Witness | None) -> dict[str, Any]:
    """Arrays of a step under the names that the store gives them.

    Examples
    --------
    >>> from jkoflow import Particles
    >>> sorted(named_arrays(Particles([1.0]), Witness("pairing", {"order": [0]})))
    ['measure.weights', 'measure.x', 'witness.order']
    """
    arrays: dict[str, Any] = {f"measure.{k}": a for k, a in measure.to_arrays().items()}
    if witness is not None:
        arrays.update({f"witness.{k}": a for k, a in witness.arrays.items()})
    return arrays


def part(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The arrays whose names start with ``prefix.``, without it."""
    start = prefix + "."
    return {name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)}


def told(record: Any, kept: bool = True) -> dict[str, Any]:
    """What is written of a step besides its arrays, and their kinds if they are kept."""
    witness = record.witness.kind if kept and record.witness is not None else None
    return {
        "step": record.index,
        "time": number(record.time),
        "tau": number(record.tau),
        "energy": number(record.energy),
        "distance_squared": number(record.distance_squared),
        "status": record.status.name,
        "kind": record.measure.kind if kept else None,
        "witness": witness,
    }


def core(record: Any, kept: bool, digests: Mapping[str, str]) -> dict[str, Any]:
    """What the hash chain covers of a step."""
    return {**told(record, kept), "arrays": dict(digests)}


CORE = frozenset(
    {"step", "time", "tau", "energy", "distance_squared", "status", "kind", "witness", "arrays"}
)


def chained(previous: str, text: str) -> str:
    """Hash of the previous hash and a core's canonical text."""
    return hashlib.sha256((previous + text).encode()).hexdigest()


def first_link(problem_digest: str, initial_energy: float) -> str:
    """Where the chain starts: the question, and the energy at the start."""
    return chained("", compact({"problem": problem_digest, "energy": number(initial_energy)}))
