"""The full state after a step, from which a run goes on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..record import StepRecord, Witness
from ..status import StoreError
from .archive import LIMIT, pack, read_archive, storable
from .checked import DEFECTS, measure_of, status_named, whole
from .layout import STEPS, checkpoints, named_arrays, part, told
from .lines import StoredStep
from .text import (
    TEXT_LIMIT,
    Altered,
    Impossible,
    compact,
    decode,
    encode,
    parse,
    presentable,
    read_number,
)


def checkpoint_bytes(record: StepRecord, link: str) -> bytes:
    """A checkpoint's file: measure, witness and state as arrays, the rest as JSON in ``meta``."""
    arrays = named_arrays(record.measure, record.witness)
    arrays.update({f"state.{name}": a for name, a in record.state.items()})
    stored = {name: storable(a, name) for name, a in arrays.items()}
    meta = {
        **told(record), "stats": presentable(record.stats), "rng_state": encode(record.rng_state),
        "link": link,
    }  # fmt: skip
    text = compact(meta).encode()
    if len(text) > TEXT_LIMIT:  # it could not be read again
        text = compact({**meta, "stats": {"omitted": f"{len(text)} bytes"}}).encode()
    return pack({**stored, "meta": np.frombuffer(text, np.uint8)})


def read_checkpoint(path: Path, limit: int = LIMIT) -> tuple[StepRecord, str]:
    """The record to go on from, and the hash chain's link at its step.

    Raises
    ------
    StoreError
        If the file is cut off or damaged.
    """
    arrays = read_archive(path, limit)
    try:
        meta = parse(arrays["meta"].tobytes(), str(path))
        return _record(arrays, meta, str(path)), str(meta["link"])
    except DEFECTS as error:
        raise Impossible(f"{path} lacks or garbles {error}") from error


def _record(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any], where: str) -> StepRecord:
    kind = meta["witness"]
    return StepRecord(
        index=whole(meta["step"], f"{where}: step"),
        time=read_number(meta["time"], where),
        tau=read_number(meta["tau"], where),
        measure=measure_of(meta["kind"], part(arrays, "measure"), where),
        energy=read_number(meta["energy"], where),
        distance_squared=read_number(meta["distance_squared"], where),
        witness=None if kind is None else Witness(kind, part(arrays, "witness")),
        stats=decode(meta["stats"]),
        status=status_named(meta["status"], where),
        state={name: np.array(a) for name, a in part(arrays, "state").items()},
        rng_state=decode(meta["rng_state"]),
    )


def require_that_of(step: StoredStep, record: StepRecord) -> None:
    """That the record of a checkpoint is what its step's line says, measure and witness included.

    Raises
    ------
    Altered
        If it is another one: the chain of the lines is what is judged, and does not cover it.
    """
    kept = step.measure is not None
    same = told(step, kept) == told(record, kept)
    if step.measure is not None:
        said = named_arrays(step.measure, step.witness)
        own = named_arrays(record.measure, record.witness)
        same = same and said.keys() == own.keys()
        same = same and all(np.array_equal(a, own[name]) for name, a in said.items())
    if not same:
        raise Altered(f"the checkpoint of step {record.index} is not that of its line in {STEPS}: "
                      "one of the two was changed")  # fmt: skip


def newest_checkpoint(
    folder: Path, limit: int = LIMIT
) -> tuple[tuple[StepRecord, str] | None, list[StoreError]]:
    """The newest readable checkpoint, if any, and what is wrong with newer ones."""
    troubles: list[StoreError] = []
    for _, path in reversed(checkpoints(folder)):
        try:
            return read_checkpoint(path, limit), troubles
        except StoreError as error:
            troubles.append(error)
    return None, troubles
