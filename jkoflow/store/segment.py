"""Arrays of consecutive steps in one file: gathered for writing, taken out one by one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..functionals.identity import digest
from ..status import StoreError
from .archive import read_archive
from .checked import whole
from .layout import SEGMENT
from .text import Altered, Impossible

Place = tuple[int, tuple[int, ...]]

AXES = 8
"""More axes than any stored array has."""

SMALL = 2**15
"""Up to this size, in bytes, it is quicker to copy than to hash in two calls."""

AGAIN = 4
"""How many times the bytes of a segment may be hashed. Lines hash what they name unless the line
before named the same; lines of places that overlap could make hours of a small file."""


class _Latest(NamedTuple):
    """The array last put under a name, so that an equal one need not be put again."""

    array: NDArray[Any]
    data: bytes
    place: Place
    digest: str


class Segment:
    """Flat arrays, one for each name, to which each step appends.

    Examples
    --------
    >>> segment = Segment(1)
    >>> for edges in ([0.0, 1.0], [0.0, 2.0]):
    ...     places, _ = segment.add({"edges": np.array(edges), "mass": np.ones(1)})
    >>> places
    {'edges': (2, (2,)), 'mass': (0, (1,))}
    >>> segment.arrays()["edges"]
    array([0., 1., 0., 2.])
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.steps = 0
        self.bytes = 0
        self._chunks: dict[str, list[bytes]] = {}
        self._entries: dict[str, int] = {}
        self._latest: dict[str, _Latest] = {}

    def fits(self, arrays: dict[str, NDArray[Any]]) -> bool:
        """Whether the arrays have the types of those already here under the same names."""
        known = ((self._latest.get(name), a) for name, a in arrays.items())
        return all(old is None or old.array.dtype == a.dtype for old, a in known)

    def add(self, arrays: dict[str, NDArray[Any]]) -> tuple[dict[str, Place], dict[str, str]]:
        """Append a step's arrays (as `storable` gives them); where each lies, and its digest."""
        self.steps += 1
        put = {name: self._put(name, a) for name, a in arrays.items()}
        return (
            {name: latest.place for name, latest in put.items()},
            {name: latest.digest for name, latest in put.items()},
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The flat arrays, as they are written."""
        return {
            name: np.frombuffer(b"".join(chunks), self._latest[name].array.dtype)
            for name, chunks in self._chunks.items()
        }

    def _put(self, name: str, array: NDArray[Any]) -> _Latest:
        old = self._latest.get(name)
        if old is not None and array is old.array and _constant(array):
            return old
        data = array.tobytes()
        if old is not None and data == old.data and array.shape == old.array.shape:
            return old
        place = (self._entries.get(name, 0), array.shape)
        self._chunks.setdefault(name, []).append(data)
        self._entries[name] = place[0] + array.size
        self.bytes += len(data)
        said = digest(str(array.dtype).encode(), str(array.shape).encode(), data)
        self._latest[name] = _Latest(array, data, place, said)
        return self._latest[name]


def _constant(array: NDArray[Any]) -> bool:
    """Whether nobody can have changed the array: it is read-only and no view of another."""
    return not array.flags.writeable and array.base is None


class Segments:
    """Takes arrays out of segments, of which it holds one at a time.

    Where an array is equal to the one before it under its name, the same object is given again, so
    that measures share their masses. Segments are read in order, each once. A measure's arrays may
    have ``largest`` entries, a witness's as many as pairs of those.
    """

    def __init__(self, folder: Path, limit: int, largest: float = math.inf) -> None:
        self._folder, self._limit, self._largest = folder, limit, largest
        self._members: dict[str, _Member] = {}
        self._left = 0
        self.name = ""

    def arrays(self, line: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
        """The arrays that a line names, each compared with its digest."""
        digests, places = line["arrays"], line["places"]
        if digests.keys() != places.keys():
            raise Impossible(f"{where}: arrays and places do not name the same")
        if not digests:
            if line["segment"] is not None:
                raise Impossible(f"{where}: names a segment but no arrays")
            return {}
        if line["segment"] != self.name:
            self._open(line["segment"], where)
        found = {}
        for name, said in digests.items():
            member, place = self._members.get(name), places[name]
            if member is None or said != member.digest or place != member.place:
                member = self._found(name, place, said, where)
            found[name] = member.given
        return found

    def _open(self, name: Any, where: str) -> None:
        if not isinstance(name, str) or not SEGMENT.fullmatch(name):
            raise Impossible(f"{where}: {name!r:.80} is no name of a segment")
        if self.name and int(name[8:-4]) <= int(self.name[8:-4]):
            raise StoreError(f"{where} goes back from {self.name} to {name}")
        self._read(name)

    def _read(self, name: str) -> None:
        self._members = {}
        arrays = read_archive(self._folder / name, self._limit)
        self._members = {k: _Member(a) for k, a in arrays.items() if a.ndim == 1}
        self._left = AGAIN * sum([a.nbytes for a in arrays.values()])
        self.name = name

    def _found(self, name: str, place: Any, digest: Any, where: str) -> _Member:
        """The member, where the array of this place has been found to have this digest."""
        start, shape = _place(place, where, name)
        size = math.prod(shape)
        stop = start + size
        if size > (self._largest if name.startswith("measure.") else self._largest**2):
            raise StoreError(f"{where}: {name} has {size} entries, far more than were asked about")
        if not self._holds(name, stop):  # a run that is going on has written more by now
            self._read(self.name)
        if not self._holds(name, stop):
            raise StoreError(f"{where}: {self.name} does not hold all of {name}")
        member = self._members[name]
        self._left -= max(0, size * member.flat.itemsize - SMALL)
        if self._left < 0:
            raise StoreError(
                f"{where}: lines take {AGAIN} times as much out of {self.name} as it holds"
            )
        if member.hash(start, stop, shape) != digest:
            raise Altered(f"{where}: {name} in {self.name} does not have the digest of the line")
        if digest != member.digest:
            member.given = member.flat[start:stop].reshape(shape)
        member.place, member.digest = place, digest
        return member

    def _holds(self, name: str, stop: int) -> bool:
        member = self._members.get(name)
        return member is not None and stop <= len(member.flat)


class _Member:
    """A flat array of a segment, and what was last taken out of it: place, digest, array."""

    __slots__ = ("bytes", "digest", "flat", "given", "place", "prefix", "shape")

    def __init__(self, flat: NDArray[Any]) -> None:
        self.flat, self.bytes = flat, flat.view(np.uint8).data
        self.place: Any = None
        self.digest: str | None = None
        self.given = flat
        self.shape: tuple[int, ...] | None = None
        self.prefix = b""

    def hash(self, start: int, stop: int, shape: tuple[int, ...]) -> str:
        """`array_digest` of a part."""
        size = self.flat.itemsize
        if shape != self.shape:
            self.shape = shape
            self.prefix = _before_bytes(self.flat.dtype, shape, size * (stop - start))
        content = self.bytes[size * start : size * stop]
        if len(content) < SMALL:
            return hashlib.sha256(self.prefix + content).hexdigest()
        h = hashlib.sha256(self.prefix)
        h.update(content)
        return h.hexdigest()


def _before_bytes(dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> bytes:
    """What is hashed before the array's bytes: its type, its shape, and how many they are."""
    said = (str(dtype).encode(), str(shape).encode())
    return b"".join(len(c).to_bytes(8, "little") + c for c in said) + size.to_bytes(8, "little")


def _place(place: Any, where: str, name: str) -> Place:
    """[offset, [shape]] as a line gives it."""
    if not (isinstance(place, list) and len(place) == 2 and isinstance(place[1], list)):
        raise Impossible(
            f"{where}: place of {name} must be [offset, [lengths]], but is {place!r:.80}"
        )
    start, shape = place
    if len(shape) > AXES:
        raise Impossible(
            f"{where}: place of {name} has {len(shape)} axes, the limit is {AXES}"
        )
    for n in (start, *shape):
        if type(n) is not int or not 0 <= n < 2**62:
            whole(n, f"{where}: place of {name}")
    return start, tuple(shape)
