"""Arrays in one ``.npz`` file that ends in the SHA-256 of its own bytes.

A plain uncompressed zip of ``.npy`` members, which `numpy.load` opens too. The zip's comment is
the hash of all bytes before it, so that every flipped bit is noticed, also in the headers.
Nothing is unpickled, and nothing is allocated that the file itself does not hold.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..status import StoreError
from .files import read_whole
from .text import Altered

LIMIT = 4 * 2**30
"""Largest archive that is read unless a caller says otherwise, in bytes."""

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_HASH = 64


def storable(value: Any, name: str) -> NDArray[Any]:
    """``value`` as a contiguous little-endian array of numbers, or a `StoreError`."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiubc" or array.dtype.itemsize > 16:
        raise StoreError(
            f"{name} has type {array.dtype} and cannot be stored: states and witnesses are arrays "
            "of numbers"
        )
    if not _NAME.fullmatch(name):
        raise StoreError(f"{name!r} cannot name a stored array: use letters, digits and '_'")
    little = array.dtype.newbyteorder("<")
    return np.asarray(array, dtype=little, order="C")


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an archive.

    Examples
    --------
    >>> unpack(pack({"x": np.arange(3.0)}), "here")
    {'x': array([0., 1., 2.])}
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.comment = b"0" * _HASH
    view = buffer.getbuffer()
    view[-_HASH:] = hashlib.sha256(view[:-_HASH]).hexdigest().encode()
    del view
    return buffer.getvalue()


def unpack(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """Inverse of `pack`.

    Raises
    ------
    StoreError
        If this is no archive; `Altered` if it is one, but its checksum is missing or wrong.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.comment) != _HASH:
                # A whole zip, so nothing was cut off: somebody wrote it anew.
                raise Altered(f"{where} does not end in its checksum: jkoflow did not write it")
            if hashlib.sha256(data[:-_HASH]).hexdigest().encode() != archive.comment:
                raise Altered(f"{where} was changed after it was written: checksum does not fit")
            return {i.filename[:-4]: _member(archive, i, where) for i in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{where} is cut off or damaged: {error}") from error


def read_archive(path: Path, limit: int = LIMIT) -> dict[str, NDArray[Any]]:
    """The arrays of an archive on disk."""
    return unpack(read_whole(path, limit), str(path))


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not plain or not info.filename.endswith(".npy"):
        raise StoreError(f"{where}: member {info.filename!r} is compressed or no array")
    data = archive.read(info)
    shape, dtype, start = _header(data)
    if dtype.hasobject or dtype.kind not in "fiubc":
        raise StoreError(f"{where}: {info.filename} has type {dtype}, but only numbers are read")
    if start + math.prod(shape) * dtype.itemsize != len(data):
        raise StoreError(f"{where}: {info.filename} does not hold the {shape} entries it announces")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"an array of npy version {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran:
        raise ValueError("an array in Fortran order")
    return shape, dtype, stream.tell()
