"""Where the data (x, y) come from: populations that can be sampled."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import generator, is_finite, is_whole
from ..functionals.identity import array_digest
from ..measures.base import Array, finite_array, frozen
from ..status import InvalidProblem


@runtime_checkable
class Population(Protocol):
    """A law of (x, y): ``sample(n, rng)`` draws x (n, d) and y (n,).

    ``sample`` may take a keyword ``dtype`` to draw in float32. A population that can be gone
    through only once says how many rows it has in an attribute ``one_pass_size``.
    """

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]: ...


class GaussianClasses:
    """Two Gaussian classes with the same mean: y = ±1 with probability ½, x|y=± ~ N(0, Σ±).

    Σ± = diag(τ±², …, τ±², 1, …, 1) with τ±² on the first ``active`` of ``dim`` coordinates.

    Parameters
    ----------
    dim : int
        Dimension d of x.
    std_plus, std_minus : float
        Standard deviations τ+ and τ− (not variances).
    active : int, optional
        Number s0 of coordinates that tell the classes apart; all of them if not given.

    Raises
    ------
    InvalidProblem
        For a dimension or a standard deviation that is not positive, or active > dim.

    Examples
    --------
    >>> GaussianClasses.var(40, 0.36)
    GaussianClasses(dim=40, std_plus=1.16619, std_minus=0.8, active=40, convention='var')
    >>> x, y = GaussianClasses(3, 2.0, 0.5).sample(5, np.random.default_rng(0))
    >>> x.shape, y.shape
    ((5, 3), (5,))
    """

    def __init__(
        self,
        dim: int,
        std_plus: float,
        std_minus: float,
        active: int | None = None,
        *,
        convention: str = "given",
    ) -> None:
        self.dim = _positive_integer(dim, "dim")
        self.active = self.dim if active is None else _positive_integer(active, "active")
        if self.active > self.dim:
            raise InvalidProblem(
                f"active={self.active} coordinates cannot be more than dim={self.dim}"
            )
        for name, std in (("std_plus", std_plus), ("std_minus", std_minus)):
            if not (is_finite(std) and std > 0):
                raise InvalidProblem(f"{name} must be a positive standard deviation, not {std!r}")
        self.std_plus = float(std_plus)
        self.std_minus = float(std_minus)
        self.convention = convention

    @classmethod
    def std(cls, dim: int, delta: float, active: int | None = None) -> GaussianClasses:
        """τ± = 1 ± Δ: Δ separates standard deviations (Mei, Montanari, Nguyen's paper)."""
        _separation(delta)
        return cls(dim, 1.0 + delta, 1.0 - delta, active, convention="std")

    @classmethod
    def var(cls, dim: int, delta: float, active: int | None = None) -> GaussianClasses:
        """τ±² = 1 ± Δ: Δ separates variances (as the talk's slides print it)."""
        _separation(delta)
        return cls(dim, (1.0 + delta) ** 0.5, (1.0 - delta) ** 0.5, active, convention="var")

    @property
    def isotropic(self) -> bool:
        """Whether both laws of x are rotation invariant."""
        return self.active == self.dim or self.std_plus == self.std_minus == 1.0

    def sample(
        self, n: int, rng: Any = None, *, dtype: DTypeLike = np.float64
    ) -> tuple[Array, Array]:
        """n independent rows x (n, d) and labels y (n,) in {−1, 1}, in ``dtype``."""
        n, rng = _count(n), generator(rng)
        kind = np.dtype(dtype)
        plus = rng.integers(0, 2, size=n, dtype=np.uint8).astype(bool)
        x = rng.standard_normal((n, self.dim), dtype=kind.type)
        scale = np.where(plus, self.std_plus, self.std_minus).astype(kind)
        x[:, : self.active] *= scale[:, None]
        return x, np.where(plus, 1.0, -1.0).astype(kind)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        return {
            "population": "GaussianClasses",
            "dim": self.dim,
            "std_plus": self.std_plus,
            "std_minus": self.std_minus,
            "active": self.active,
            "convention": self.convention,
        }

    def __repr__(self) -> str:
        return (
            f"GaussianClasses(dim={self.dim}, std_plus={self.std_plus:g}, "
            f"std_minus={self.std_minus:g}, active={self.active}, "
            f"convention={self.convention!r})"
        )


class EmpiricalData:
    """The empirical law of given rows (x_i, y_i).

    Parameters
    ----------
    x : array_like, shape (m, d) or (m,)
    y : array_like, shape (m,)
    replace : bool
        With replacement (the default) rows are independent and there is no end to them. Without,
        the rows come in random order, each once, and asking for more than m is an error.

    Raises
    ------
    InvalidMeasure
        For NaN or wrong shapes.
    InvalidProblem
        From `sample`, when one pass has not as many rows.

    Examples
    --------
    >>> data = EmpiricalData([[1.0], [2.0], [3.0]], [1.0, -1.0, 1.0], replace=False)
    >>> sorted(data.sample(3, np.random.default_rng(0))[0][:, 0].tolist())
    [1.0, 2.0, 3.0]
    """

    def __init__(self, x: ArrayLike, y: ArrayLike, *, replace: bool = True) -> None:
        rows = finite_array(x, "data x")
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or rows.size == 0:
            raise InvalidProblem(f"data x must have shape (m, d) with m ≥ 1, not {rows.shape}")
        self.x = frozen(rows)
        self.y = frozen(finite_array(y, "data y", shape=(len(rows),)))
        self.replace = bool(replace)

    @property
    def dim(self) -> int:
        """Dimension d of x."""
        return int(self.x.shape[1])

    @property
    def one_pass_size(self) -> int | None:
        """Number of rows, where they can be drawn only once; else None."""
        return None if self.replace else len(self.x)

    def sample(
        self, n: int, rng: Any = None, *, dtype: DTypeLike = np.float64
    ) -> tuple[Array, Array]:
        """n rows x (n, d) with their y (n,), in ``dtype``."""
        n, rng = _count(n), generator(rng)
        m = len(self.x)
        if self.replace:
            chosen = rng.integers(0, m, size=n)
        elif n > m:
            raise InvalidProblem(
                f"one pass over {m} rows cannot give {n}: take fewer steps, or replace=True"
            )
        else:
            chosen = rng.permutation(m)[:n]
        kind = np.dtype(dtype)
        return self.x[chosen].astype(kind, copy=False), self.y[chosen].astype(kind, copy=False)

    def spec(self) -> dict[str, Any]:
        """Identity as JSON."""
        return {
            "population": "EmpiricalData",
            "x": array_digest(self.x),
            "y": array_digest(self.y),
            "replace": self.replace,
        }

    def __repr__(self) -> str:
        return f"EmpiricalData(rows={len(self.x)}, dim={self.dim}, replace={self.replace})"


def _positive_integer(value: Any, name: str) -> int:
    if not is_whole(value):
        raise InvalidProblem(f"{name} must be a positive integer, not {value!r}")
    return int(value)


def _count(n: Any) -> int:
    if not is_whole(n, least=0):
        raise InvalidProblem(f"the number of samples must be an integer ≥ 0, not {n!r:.100}")
    return int(n)


def _separation(delta: float) -> None:
    if not (is_finite(delta) and abs(delta) < 1):
        raise InvalidProblem(f"the separation Δ must lie in (−1, 1), not {delta!r}")
