"""Real images as two classes ±1, or as classes 0 … 9. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arguments import generator, is_finite, is_whole
from ..measures.base import Array
from ..status import InvalidProblem, require_extra
from .image_files import (
    DamagedData,
    Labelled,
    MissingData,
    a_folder,
    as_floats,
    cifar_batch,
    idx_pair,
)

__all__ = ["DamagedData", "Images", "MissingData", "cifar10", "digits", "fashion_mnist", "mnist"]

Groups = tuple[Sequence[int], Sequence[int]]

DEBIAN = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package dataset-fashion-mnist puts its files."""

_EVEN_ODD: Groups = ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9))


class Images(NamedTuple):
    """Inputs (n, d) and labels (n,), −1 and 1 or 0 … 9, for training and for testing."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array


def digits(
    groups: Groups | None = _EVEN_ODD,
    *,
    test_fraction: float = 0.25,
    bias: bool = True,
    rng: Any = 0,
) -> Images:
    """Scikit-learn's 1797 handwritten digits of 8 × 8 pixels.

    Each image loses the mean image of the training set and is divided by one number, so that the
    mean of |x|² over the training set is 1; then a unit with |θ| of order 1 is neither linear nor
    saturated, and derivative bounds that grow with |x| stay moderate. With ``bias`` a coordinate 1
    is appended.

    Parameters
    ----------
    groups : pair of sequences of digits, or None
        Labelled −1 and +1, even and odd unless said otherwise; digits in neither are left out.
        None labels every image with its digit.
    test_fraction : float
        Part of the images kept for testing, in (0, 1).
    bias : bool
    rng : seed or Generator
        Of the split.

    Returns
    -------
    Images
        A named tuple ``(x, y, x_test, y_test)``.

    Raises
    ------
    MissingExtra
        Without scikit-learn: the extra ``images`` brings it.
    MissingData
        If scikit-learn is there but its data are not.
    InvalidProblem
        For groups that overlap, are empty or are no digits, or an impossible fraction.

    Examples
    --------
    >>> data = digits()
    >>> data.x.shape, data.x_test.shape, np.unique(data.y)
    ((1348, 65), (449, 65), array([-1.,  1.]))
    """
    chosen = _checked_groups(groups)
    if not (is_finite(test_fraction) and 0.0 < test_fraction < 1.0):
        raise InvalidProblem(f"test_fraction must lie between 0 and 1, not {test_fraction!r}")
    x, y = _grouped(*_load(), chosen)
    order = generator(rng).permutation(len(x))
    test = round(test_fraction * len(x))
    if not 0 < test < len(x):
        raise InvalidProblem(f"test_fraction={test_fraction} leaves no images for one part")
    train_rows, test_rows = order[test:], order[:test]
    return _scaled(x[train_rows], y[train_rows], x[test_rows], y[test_rows], bias)


def fashion_mnist(
    groups: Groups | None = None,
    *,
    folder: str | PathLike[str] = DEBIAN,
    rows: int | None = None,
    bias: bool = True,
) -> Images:
    """Fashion-MNIST, 60 000 + 10 000 images of 28 × 28 pixels of ten kinds of clothes.

    Centred and scaled as `digits` are.

    Parameters
    ----------
    groups : pair of sequences of classes 0 … 9, or None
        Labelled −1 and +1; None labels every image with its class.
    folder : path
        With the four files, where Debian's package dataset-fashion-mnist puts them.
    rows : int, optional
        Only so many of the training images, the first ones.
    bias : bool
        Whether to append a coordinate 1.

    Raises
    ------
    MissingData
        If the files are not there; the message says how to get them.
    DamagedData
        If a file is cut short or something else.
    InvalidProblem
        For senseless groups or rows.

    Notes
    -----
    Xiao, Rasul, Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms (2017).
    """
    how = (
        "Fashion-MNIST comes with Debian's package dataset-fashion-mnist (apt install "
        "dataset-fashion-mnist); or give the folder of its four .gz files as folder="
    )
    return _from_idx(folder, groups, rows, bias, how)


def mnist(
    folder: str | PathLike[str],
    groups: Groups | None = _EVEN_ODD,
    *,
    rows: int | None = None,
    bias: bool = True,
) -> Images:
    """MNIST's 60 000 + 10 000 handwritten digits of 28 × 28 pixels, from a folder of your own.

    The folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each with or without .gz. Parameters, scaling and errors are those of
    `fashion_mnist`.
    """
    how = (
        "Give the folder of a copy of MNIST: train-images-idx3-ubyte(.gz), "
        "train-labels-idx1-ubyte(.gz), and the same with t10k for train"
    )
    return _from_idx(folder, groups, rows, bias, how)


def cifar10(
    folder: str | PathLike[str],
    groups: Groups | None = None,
    *,
    rows: int | None = None,
    bias: bool = True,
) -> Images:
    """CIFAR-10's 50 000 + 10 000 colour images of 32 × 32 pixels, from a folder of your own.

    The folder holds the binary version, data_batch_1.bin … data_batch_5.bin and test_batch.bin
    (or is above cifar-10-batches-bin, which does). The Python version is a pickle, which can run
    code when it is read, and is never read here. An image is a row of 3072 numbers, the three
    colours of a pixel together. Parameters, scaling and errors are those of `fashion_mnist`.
    """
    how = (
        "Give the folder of a copy of CIFAR-10's binary version, with data_batch_1.bin … "
        "data_batch_5.bin and test_batch.bin; the Python version is a pickle and is not read"
    )
    chosen, count = _checked_groups(groups), _checked_rows(rows)
    place = a_folder(folder, how)
    inner = place / "cifar-10-batches-bin"
    place = inner if inner.is_dir() else place
    paths = [place / f"data_batch_{k}.bin" for k in range(1, 6)]
    for path in (*paths, place / "test_batch.bin"):
        if not path.is_file():
            raise MissingData(f"there is no {path.name} in {place}. {how}")
    parts = [cifar_batch(path) for path in paths]
    train = Labelled(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return _parts(train, cifar_batch(place / "test_batch.bin"), chosen, count, bias)


def _from_idx(folder: Any, groups: Any, rows: Any, bias: bool, how: str) -> Images:
    chosen, count = _checked_groups(groups), _checked_rows(rows)
    place = a_folder(folder, how)
    train, test = (idx_pair(place, part, how) for part in ("train", "t10k"))
    if train.images.shape[1] != test.images.shape[1]:
        raise DamagedData(f"{place}: training and test images differ in size: get them anew")
    return _parts(train, test, chosen, count, bias)


def _parts(
    train: Labelled, test: Labelled, chosen: Any, rows: int | None, bias: bool
) -> Images:
    x, y = _grouped(train.images[:rows], train.labels[:rows], chosen)
    x_test, y_test = _grouped(test.images, test.labels, chosen)
    if not (len(x) and len(x_test)):
        raise InvalidProblem("there are no images of these groups: take more rows")
    return _scaled(as_floats(x), y, as_floats(x_test), y_test, bias)


def _grouped(x: Any, labels: Any, chosen: tuple[set[int], set[int]] | None) -> tuple[Any, Array]:
    """The images in one of the groups, with their labels."""
    if chosen is None:
        return x, labels.astype(float)
    minus, plus = chosen
    used = np.isin(labels, [*minus, *plus])
    return x[used], np.where(np.isin(labels[used], list(plus)), 1.0, -1.0)


def _scaled(x: Array, y: Array, x_test: Array, y_test: Array, bias: bool) -> Images:
    """Less the training set's mean image, and over the root mean square of what is left."""
    centre = x.mean(axis=0)
    size = float(np.sqrt(((x - centre) ** 2).sum(axis=1).mean()))
    if size == 0:
        raise DamagedData("all training images are the same")
    ready = [(part - centre) / size for part in (x, x_test)]
    if bias:
        ready = [np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in ready]
    return Images(ready[0], y, ready[1], y_test)


def _load() -> tuple[Array, Array]:
    datasets: Any = require_extra("sklearn.datasets", "images")
    try:
        images, labels = datasets.load_digits(return_X_y=True)
    except OSError as error:
        raise MissingData(
            "scikit-learn is installed without its digit images: reinstall it with "
            "pip install --force-reinstall scikit-learn"
        ) from error
    return np.asarray(images, dtype=float), np.asarray(labels)


def found_fashion_mnist() -> bool:
    """Whether Debian's package of Fashion-MNIST is installed."""
    return (Path(DEBIAN) / "train-images-idx3-ubyte.gz").is_file()


def _checked_rows(rows: Any) -> int | None:
    if rows is not None and not is_whole(rows):
        raise InvalidProblem(f"rows must be a positive number of images, not {rows!r:.100}")
    return None if rows is None else int(rows)


def _checked_groups(groups: Any) -> tuple[set[int], set[int]] | None:
    if groups is None:
        return None
    try:
        minus, plus = ({int(digit) for digit in group} for group in groups)
    except (TypeError, ValueError) as error:
        raise InvalidProblem(
            f"groups must be two sequences of digits, as ((0, 1), (2, 3)), not {groups!r}"
        ) from error
    if not minus or not plus or minus & plus or not (minus | plus) <= set(range(10)):
        raise InvalidProblem(
            f"groups must be two disjoint, non-empty sets of digits 0 … 9, not {groups!r}"
        )
    return minus, plus
