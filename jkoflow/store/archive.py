"""Arrays in one ``.npz`` file that ends in the SHA-256 of its own bytes.

A plain uncompressed zip of ``.npy`` members, which `numpy.load` opens too. The zip's comment is
the hash of all bytes before it, so that every flipped bit is noticed, also in the headers.
Nothing is unpickled, and nothing is allocated that the file itself does not hold.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..status import StoreError
from .files import opened
from .text import Altered

LIMIT = 2**30
"""Largest archive that is read unless a caller says otherwise, in bytes."""

LARGE = 2**25
"""From this size on, the checksum is computed before the file is taken into memory, in bytes."""

DIRECTORY_LIMIT = 2**20
"""Largest directory of a zip, in bytes: some thousand members, where a run has a dozen."""

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,200}")
_HEADER = re.compile(
    rb"\{'descr': '([^']{1,40})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\), ?\} *\n"
)
_NUMBERS = re.compile(rb"[<|][fiubc][0-9]{1,2}")
_HASH = 64
_LOCAL = 30  # bytes before a member's name
_FOREIGN = 0x1 | 0x20 | 0x40  # flags of members that are encrypted or patched
_END = b"PK\x05\x06"
_ZIP64 = b"PK\x06\x07"


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
        _check_directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.comment) != _HASH:
                # A whole zip, so nothing was cut off: somebody wrote it anew.
                raise Altered(f"{where} does not end in its checksum: written anew, or without one")
            if hashlib.sha256(memoryview(data)[:-_HASH]).hexdigest().encode() != archive.comment:
                raise Altered(f"{where} was changed after it was written: checksum does not fit")
            return _members(archive, memoryview(data), where)
    except MemoryError as error:
        raise StoreError(f"{where} does not fit into memory") from error
    except _DAMAGE as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{where} is cut off or damaged: {error}") from error


_DAMAGE = (
    zipfile.BadZipFile, ValueError, TypeError, EOFError, NotImplementedError, RuntimeError,
    struct.error, OverflowError,
)  # fmt: skip


def _check_directory(data: bytes) -> None:
    """That the zip's list of members is small, before anything is made of it."""
    end = next((e for e in (_HASH + 22, 22) if data[-e:][:4] == _END), None)
    if end is None or len(data) < end:
        raise zipfile.BadZipFile("it does not end as a zip does")
    (size,) = struct.unpack("<I", data[-end + 12 :][:4])
    long = data[-end - 20 :][:4] == _ZIP64 and len(data) < 2**31
    if size > DIRECTORY_LIMIT or long:
        raise zipfile.BadZipFile(f"its directory has {size} bytes, the limit is {DIRECTORY_LIMIT}")


def _members(archive: zipfile.ZipFile, data: memoryview, where: str) -> dict[str, NDArray[Any]]:
    """All arrays, as views; no name twice, and together no larger than the file."""
    members = archive.infolist()
    if sum(info.file_size for info in members) > len(data):
        raise StoreError(f"{where}: its members overlap or are compressed")
    arrays = {info.filename[:-4]: _member(data, info, where) for info in members}
    if len(arrays) < len(members):
        raise StoreError(f"{where}: a name occurs twice")
    return arrays


def read_archive(path: Path, limit: int = LIMIT) -> dict[str, NDArray[Any]]:
    """The arrays of an archive on disk; a large one is read once its checksum is known to fit."""
    with opened(path, limit) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGE:
            _check_sum(file, size, str(path))
        return unpack(file.read(size), str(path))


def _check_sum(file: BinaryIO, size: int, where: str) -> None:
    """The checksum in little memory: a file with holes may announce more than there is."""
    total, left = hashlib.sha256(), size - _HASH
    while left > 0:
        chunk = file.read(min(left, 2**20))
        if not chunk:
            break
        total.update(chunk)
        left -= len(chunk)
    if total.hexdigest().encode() != file.read(_HASH):
        raise Altered(f"{where} does not end in its checksum: it was changed, or cut off")
    file.seek(0)


def _member(data: memoryview, info: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not plain or not info.filename.endswith(".npy"):
        raise StoreError(f"{where}: member {info.filename!r} is compressed or no array")
    content = _content(data, info)
    shape, dtype, start = _header(content)
    if start + math.prod(shape) * dtype.itemsize != len(content):
        raise StoreError(f"{where}: {info.filename!r} does not hold what it announces: {shape}")
    array = np.frombuffer(content, dtype, offset=start)
    if not array.flags.aligned:  # members lie at any byte
        array = array.copy()
        array.setflags(write=False)
    return array.reshape(shape)


def _content(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """The bytes of a plain member, where they lie: `zipfile` would copy them several times."""
    at = info.header_offset
    local = bytes(data[at : at + _LOCAL]) if at >= 0 else b""
    if len(local) < _LOCAL or local[:4] != b"PK\x03\x04" or info.flag_bits & _FOREIGN:
        raise zipfile.BadZipFile(f"{info.filename!r} is not where the directory says, or encrypted")
    name, extra = struct.unpack("<HH", local[-4:])
    start = at + _LOCAL + name
    if bytes(data[start - name : start]) != info.orig_filename.encode():
        raise zipfile.BadZipFile(f"{info.filename!r} has another name where it lies")
    content = data[start + extra :][: info.file_size]
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile(f"{info.filename!r} is not as long, or not what, it should be")
    return content


def _header(data: memoryview) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and length of the header; read by a pattern, so that nothing is evaluated."""
    if bytes(data[:8]) != b"\x93NUMPY\x01\x00":
        raise ValueError("an array that is not of npy version 1.0")
    start = 10 + int.from_bytes(data[8:10], "little")
    found = _HEADER.fullmatch(data[10:start])
    if found is None:
        raise ValueError("an npy header that NumPy would not write for an array of numbers")
    if not _NUMBERS.fullmatch(found[1]):
        raise ValueError(f"type {found[1]!r}, but only numbers are read, little-endian ones")
    if found[2] == b"True":
        raise ValueError("an array in Fortran order")
    shape = tuple(int(n) for n in found[3].split(b",") if n.strip())
    return shape, np.dtype(found[1].decode()), start
