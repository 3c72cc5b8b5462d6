"""Real images as two classes ±1. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..measures.base import Array
from ..status import InvalidProblem, JkoflowError, require_extra


class MissingData(JkoflowError, FileNotFoundError):
    """A data set is not on this machine; the message says how to get it."""


class Images(NamedTuple):
    """Inputs (n, d) and labels (n,) in {−1, 1}, for training and for testing."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array


def digits(
    groups: tuple[Sequence[int], Sequence[int]] = ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9)),
    *,
    test_fraction: float = 0.25,
    bias: bool = True,
    rng: Any = 0,
) -> Images:
    """Scikit-learn's 1797 handwritten digits of 8 × 8 pixels, in two groups.

    Each image loses the mean image of the training set and is divided by one number, so that the
    mean of |x|² over the training set is 1; then a unit with |θ| of order 1 is neither linear nor
    saturated, and derivative bounds that grow with |x| stay moderate. With ``bias`` a coordinate 1
    is appended.

    Parameters
    ----------
    groups : pair of sequences of digits
        Labelled −1 and +1, even and odd unless said otherwise; digits in neither are left out.
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
    minus, plus = _checked_groups(groups)
    if not 0.0 < test_fraction < 1.0:
        raise InvalidProblem(f"test_fraction must lie between 0 and 1, not {test_fraction!r}")
    images, labels = _load()
    used = np.isin(labels, [*minus, *plus])
    x, y = images[used], np.where(np.isin(labels[used], list(plus)), 1.0, -1.0)
    order = np.random.default_rng(rng).permutation(len(x))
    test = round(test_fraction * len(x))
    if not 0 < test < len(x):
        raise InvalidProblem(f"test_fraction={test_fraction} leaves no images for one part")
    train_rows, test_rows = order[test:], order[:test]
    centre = x[train_rows].mean(axis=0)
    size = float(np.sqrt(((x[train_rows] - centre) ** 2).sum(axis=1).mean()))
    x = (x - centre) / size
    if bias:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    return Images(x[train_rows], y[train_rows], x[test_rows], y[test_rows])


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


def _checked_groups(groups: Any) -> tuple[set[int], set[int]]:
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
