"""Image files as their makers distribute them: IDX (MNIST) and the binary version of CIFAR-10."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..measures.base import Array
from ..status import InvalidProblem, JkoflowError

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_MOST = 2**31
"""No file that is read here holds more bytes; a header that promises more is wrong."""


class MissingData(JkoflowError, FileNotFoundError):
    """A data set is not on this machine; the message says how to get it."""


class DamagedData(JkoflowError, ValueError):
    """A file of a data set is not what it should be; the message names it."""


class Labelled(NamedTuple):
    """Images (n, d) as they are stored, 0 … 255, and their classes (n,)."""

    images: Bytes
    labels: Bytes


def idx_pair(folder: Path, part: str, how: str) -> Labelled:
    """``part``-images-idx3-ubyte and ``part``-labels-idx1-ubyte, each with or without .gz.

    Raises
    ------
    MissingData
        With ``how``, if a file is not there.
    DamagedData
        If one is not such a file, or the two do not fit together.
    """
    images = read_idx(_there(folder, f"{part}-images-idx3-ubyte", how), 3)
    labels = read_idx(_there(folder, f"{part}-labels-idx1-ubyte", how), 1)
    if len(images) != len(labels) or not len(images):
        raise DamagedData(
            f"{folder} has {len(images)} images and {len(labels)} labels called {part}: get both "
            "files anew"
        )
    return Labelled(images.reshape(len(images), -1), _classes(labels, folder / part))


def read_idx(path: Path, axes: int) -> Bytes:
    """An array of bytes with so many axes in IDX format: magic number, shape, bytes.

    Raises
    ------
    DamagedData
        If the file is none of that, is cut short, or goes on after its end.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic != bytes((0, 0, 8, axes)):
                raise DamagedData(f"{path} is no IDX file of bytes with {axes} axes: get it anew")
            header = file.read(4 * axes)
            shape = tuple(int(n) for n in np.frombuffer(header, ">u4")) if header else ()
            size = math.prod(shape)
            if len(header) < 4 * axes or size > _MOST:
                raise DamagedData(f"{path} has a damaged header: get it anew")
            content = file.read(size + 1)  # one more, to see whether it ends there
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, DamagedData):
            raise
        raise DamagedData(f"{path} cannot be decompressed ({error}): get it anew") from error
    if len(content) != size:
        raise DamagedData(f"{path} does not hold the {size} bytes that it announces: get it anew")
    return np.frombuffer(content, np.uint8).reshape(shape)


def cifar_batch(path: Path) -> Labelled:
    """A file of CIFAR-10's binary version: rows of a class and 3 planes of 32 × 32 bytes.

    The images come out pixel by pixel, the three colours of a pixel together.

    Raises
    ------
    DamagedData
        If the file is no whole number of rows, or a class is not 0 … 9.
    """
    content = np.fromfile(path, dtype=np.uint8)
    if content.size == 0 or content.size % 3073:
        raise DamagedData(
            f"{path} has {content.size} bytes, which is no positive multiple of 3073: get it anew"
        )
    rows = content.reshape(-1, 3073)
    planes = rows[:, 1:].reshape(-1, 3, 1024)
    return Labelled(planes.transpose(0, 2, 1).reshape(-1, 3072), _classes(rows[:, 0], path))


def a_folder(path: Any, how: str) -> Path:
    """``path`` as a folder that is there."""
    try:
        folder = Path(path).expanduser()
    except TypeError as error:
        raise InvalidProblem(f"a folder must be given as a path, not {path!r:.100}") from error
    if not folder.is_dir():
        raise MissingData(f"there is no folder {folder}. {how}")
    return folder


def as_floats(images: Bytes) -> Array:
    """Pixels between 0 and 1."""
    return np.asarray(images, dtype=float) / 255.0


def _there(folder: Path, name: str, how: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise MissingData(f"there is no {name}(.gz) in {folder}. {how}")


def _classes(labels: Bytes, where: Path) -> Bytes:
    if labels.max(initial=0) > 9:
        raise DamagedData(f"a label of {where} is {labels.max()}, not 0 … 9: get the file anew")
    return labels
