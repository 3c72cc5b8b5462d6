"""A folder from which an SGD run goes on, bit for bit: its particles, generators and records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...functionals.identity import spec_digest
from ...measures.base import Array
from ...measures.particles import Particles
from ...status import StoreError
from ...store.archive import pack, read_archive, storable
from ...store.files import FolderLock, explained, folder_path, read_whole, write_whole
from ...store.text import Impossible, compact, decode, encode, parse, seal, unseal
from .record import Recorder

_HEAD, _STATE, _RECORDS = "sgd.json", "checkpoint.npz", "records-{:09d}.npz"
_LIMIT = 2**20  # bytes of the head
SECONDS = 10.0
"""Between two checkpoints: what a run that is killed has to do again."""


class Position(NamedTuple):
    """Where a run is: θ after ``done`` steps, and all that decides what comes next."""

    done: int
    theta: Array
    data: Mapping[str, Any]
    noise: Mapping[str, Any]


class SGDFolder:
    """A run of SGD on disk, for one process at a time.

    Parameters
    ----------
    path : str or Path
        A folder that is new, empty, or holds a run of the same arguments.
    arguments : mapping
        Name → description of everything the numbers depend on; None matches anything.
    recorder : Recorder
        Filled with what was recorded up to the checkpoint.

    Raises
    ------
    StoreError
        If the folder holds something else or a damaged run, or is written by another process.
    """

    def __init__(self, path: Any, arguments: Mapping[str, Any], recorder: Recorder) -> None:
        self.path: Path = folder_path(path)
        self._recorder = recorder
        with explained("make the folder", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.path)
        try:
            self._claim({name: _identity(value) for name, value in arguments.items()})
        except BaseException:
            self.close()
            raise
        self._written = 0  # records on disk
        self._last = time.monotonic()

    def close(self) -> None:
        """Let other processes use the folder."""
        self._lock.release()

    def _claim(self, arguments: dict[str, str | None]) -> None:
        head = self.path / _HEAD
        if not head.exists():
            foreign = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            if foreign and foreign != [_HEAD + ".tmp"]:
                raise StoreError(
                    f"{self.path} holds {foreign[0]} but no run of SGD: choose a new folder"
                )
            write_whole(head, seal(compact({"format": 1, "arguments": arguments})))
            return
        stored = unseal(read_whole(head, _LIMIT), str(head)).get("arguments")
        if not isinstance(stored, dict):
            raise Impossible(f"{head} names no arguments: jkoflow did not write it")
        names = sorted(stored.keys() | arguments.keys())
        changed = [
            n for n in names
            if arguments.get(n, "") is not None and stored.get(n) != arguments.get(n)
        ]  # fmt: skip
        if changed:
            raise StoreError(
                f"{self.path} holds a run of SGD with other arguments ({', '.join(changed)}): "
                "choose another folder, or remove this one"
            )

    def resume(self) -> Position | None:
        """Where the last checkpoint is, with the recorder filled up to there; None at a start."""
        path = self.path / _STATE
        if not path.exists():
            return None
        arrays = read_archive(path)
        try:
            meta = decode(parse(arrays["meta"].tobytes(), str(path)))
            position = Position(
                int(meta["done"]), arrays["theta"].copy(), meta["data"], meta["noise"]
            )
            self._read_records(int(meta["records"]))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Impossible(f"{path} lacks or garbles {error}") from error
        return position

    def _read_records(self, count: int) -> None:
        recorder = self._recorder
        names = list(recorder.values)
        while recorder.count < count:
            found = read_archive(self.path / _RECORDS.format(recorder.count))
            for k, name in enumerate(names):
                recorder.values[name] += [np.array(row) for row in found[f"statistic{k}"]]
            recorder.snapshots += [Particles(points) for points in found.get("snapshots", [])]
            recorder.count += int(found["count"])
        if recorder.count != count:  # a later file, of which the checkpoint knows nothing
            raise ValueError("the number of its records")
        self._written = count

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._last >= SECONDS

    def write(self, position: Position) -> None:
        """Write new records, then the checkpoint that counts them: whole, or the old one stays."""
        recorder = self._recorder
        new = slice(self._written, recorder.count)
        if recorder.count > self._written:
            arrays: dict[str, Any] = {"count": np.array(recorder.count - self._written)}
            for k, rows in enumerate(recorder.values.values()):
                arrays[f"statistic{k}"] = np.array(rows[new])
            if recorder.recording.snapshots:
                arrays["snapshots"] = np.array([mu.points for mu in recorder.snapshots[new]])
            name = self.path / _RECORDS.format(self._written)
            write_whole(name, pack({key: storable(a, key) for key, a in arrays.items()}))
        meta = {"done": position.done, "records": recorder.count, "data": position.data,
                "noise": position.noise}  # fmt: skip
        text = np.frombuffer(compact(encode(meta)).encode(), np.uint8)
        theta = storable(position.theta, "theta")
        write_whole(self.path / _STATE, pack({"theta": theta, "meta": text}))
        self._written, self._last = recorder.count, time.monotonic()


def _identity(value: Any) -> str | None:
    return None if value is None else spec_digest(value)


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """All that decides what ``rng`` gives, its children included, as `encode` takes it."""
    seed: Any = rng.bit_generator.seed_seq
    return {
        "bits": dict(rng.bit_generator.state),
        "seed": {
            "entropy": seed.entropy, "spawn_key": list(seed.spawn_key),
            "pool_size": seed.pool_size, "n_children_spawned": seed.n_children_spawned,
        },
    }  # fmt: skip


def generator_at(state: Mapping[str, Any]) -> np.random.Generator:
    """The generator of this state.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> again = generator_at(generator_state(rng))
    >>> bool(rng.random() == again.random()), bool(rng.spawn(1)[0].random() == again.random())
    (True, False)
    """
    seed = dict(state["seed"])
    seed["spawn_key"] = tuple(seed["spawn_key"])
    kind = getattr(np.random, str(state["bits"]["bit_generator"]))
    bits: np.random.BitGenerator = kind(np.random.SeedSequence(**seed))
    bits.state = state["bits"]
    return np.random.Generator(bits)
