"""The state of a random generator as a value, so that a run can go on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arguments import generator
from ..status import InvalidProblem

__all__ = ["generator", "restored", "snapshot"]

_KNOWN = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_SEED = ("entropy", "spawn_key", "pool_size", "n_children_spawned")


def snapshot(rng: np.random.Generator) -> dict[str, Any]:
    """All that decides what ``rng`` gives from here on, its future children included."""
    bits = rng.bit_generator
    state = dict(bits.state)
    seed = getattr(bits, "seed_seq", None)
    if isinstance(seed, np.random.SeedSequence):
        state["seed_sequence"] = {name: getattr(seed, name) for name in _SEED}
    return state


def restored(state: Mapping[str, Any], rng: Any = None) -> np.random.Generator:
    """The generator whose `snapshot` this is; ``rng`` where the snapshot is empty.

    Raises
    ------
    InvalidProblem
        If the generator is not one of NumPy's.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> state = snapshot(rng)
    >>> bool(rng.random() == restored(state).random())
    True
    """
    if not state:
        return generator(rng)
    name = state.get("bit_generator")
    if name not in _KNOWN:
        raise InvalidProblem(f"cannot restore a random generator of kind {name!r}: use {_KNOWN}")
    seed = dict(state.get("seed_sequence", {}))
    if "spawn_key" in seed:
        seed["spawn_key"] = tuple(seed["spawn_key"])
    bits = getattr(np.random, name)(np.random.SeedSequence(**seed))
    bits.state = {key: value for key, value in state.items() if key != "seed_sequence"}
    return np.random.Generator(bits)
