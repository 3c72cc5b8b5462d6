"""Statistics of points against a law, for many resampled labels or signs at once.

Pairwise sums are quadratic forms vᵀKv, one for each column v of a matrix, and are accumulated tile
by tile, so that memory stays linear in the number of points; everything else is linear in v, hence
one matrix product. Column 0 is what was observed, the others are what chance would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ...measures.base import Array

TOGETHER = 200  # coordinates all pairs of which are looked at; more are taken in groups
TILE = 512  # points: a tile of 2 MB, and a matrix product large enough to be quick
_LEVELS = np.array(
    [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99]
)

Tile = Callable[[slice, slice], Array]
Labels = NDArray[np.int64]
Reals = NDArray[np.floating]  # either precision


def quadratic_forms(kernel: Tile, v: Reals, blocks: Labels | None = None, gap: int = 0) -> Array:
    """Σ_ij v_i K_ij v_j for each column of v (n, B), K symmetric and given by tiles.

    With ``blocks`` (n,), sorted, pairs whose blocks differ by at most ``gap`` are left out; the
    diagonal is left out where each point is a block of its own.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 3.0])
    >>> quadratic_forms(lambda I, J: np.abs(x[I, None] - x[J]), np.ones((3, 1)))
    array([12.])
    """
    n = len(v)
    total = np.zeros(v.shape[1])
    starts = [slice(k, min(k + TILE, n)) for k in range(0, n, TILE)]
    for a, rows in enumerate(starts):
        for columns in starts[a:]:
            tile = kernel(rows, columns)
            if blocks is not None and blocks[columns.start] - blocks[rows.stop - 1] <= gap:
                tile = tile * (np.abs(blocks[rows, None] - blocks[columns]) > gap)
            product = tile.astype(v.dtype, copy=False) @ v[columns]
            twice = 1.0 if rows is columns else 2.0
            total += twice * np.einsum("ib,ib->b", v[rows], product)
    return total


def distances(z: Array) -> Tile:
    """Tiles of −|z_i − z_j|, the kernel of the energy distance."""
    squares = np.einsum("id,id->i", z, z)

    def tile(rows: slice, columns: slice) -> Array:
        r = z[rows] @ (-2.0 * z[columns].T)
        r += squares[rows, None]
        r += squares[columns]
        np.maximum(r, 0.0, out=r)
        np.sqrt(r, out=r)
        return np.negative(r, out=r)

    return tile


def stein_kernel(x: Array, score: Array, length_squared: float) -> Tile:
    """Tiles of the Stein kernel of k(x, y) = (1 + |x−y|²/ℓ²)^{−½}, inverse multiquadric.

    With s = ∇log ρ*, h = s·s' k + s·∇_y k + s'·∇_x k + tr ∇_x∇_y k has mean zero in each argument
    under ρ*. With u = 1 + |x−y|²/ℓ² it is

        u^{−½} s·s' + u^{−3/2} [(s−s')·(x−y) + D]/ℓ² − 3 u^{−5/2} (u−1)/ℓ².

    Source: Gorham and Mackey, Measuring sample quality with kernels (2017).
    """
    z = x / length_squared**0.5
    t = score * length_squared**0.5  # the score in units of ℓ: h is then h·ℓ²
    squares = np.einsum("id,id->i", z, z)
    along = np.einsum("id,id->i", z, t)
    dim = x.shape[1]

    def tile(rows: slice, columns: slice) -> Array:
        u = z[rows] @ (-2.0 * z[columns].T)
        u += squares[rows, None]
        u += squares[columns]
        np.maximum(u, 0.0, out=u)
        u += 1.0
        inverse = 1.0 / u
        slope = along[rows, None] + along[columns]
        slope -= t[rows] @ z[columns].T
        slope -= z[rows] @ t[columns].T
        slope += dim - 3.0
        slope += 3.0 * inverse
        slope *= inverse
        slope += t[rows] @ t[columns].T
        slope *= np.sqrt(inverse, out=inverse)
        return slope

    return tile


def projection_features(z: Array, directions: Array) -> tuple[Array, Array]:
    """Indicators 1(t ≤ quantile) of t = ⟨u_k, z⟩ and of t = |z|, (N, K·L), and their levels.

    The quantiles are those of all points together.
    """
    t = np.concatenate([z @ directions.T, np.linalg.norm(z, axis=1)[:, None]], axis=1)
    cuts = np.quantile(t, _LEVELS, axis=0)  # (L, K)
    below = t[:, :, None] <= cuts.T
    return below.reshape(len(z), -1), below.mean(axis=0)


def projection_statistic(linear: Reals, levels: Array) -> Array:
    """Largest over the projections of Σ_q (F − G)²(q)/(q(1−q)), Anderson–Darling's weight."""
    k, count = levels.shape
    weight = 1.0 / np.maximum(levels * (1.0 - levels), 1e-3)
    terms = (linear.reshape(k, count, -1) ** 2 * weight[:, :, None]).mean(axis=1)
    return np.asarray(terms.max(axis=0))


def moment_features(z: Array) -> Array:
    """z_j, z_j², |z|² and |z|⁴, each centred and of variance one; (N, 2D+2)."""
    r = np.einsum("id,id->i", z, z)[:, None]
    raw = np.concatenate([z, z * z, r, r * r], axis=1)
    raw = raw - raw.mean(axis=0)
    spread = raw.std(axis=0)
    return np.asarray(raw / np.where(spread > 0, spread, 1.0))


def stein_moments(z: Array, score: Array) -> Array:
    """Functions of mean zero under ρ* by partial integration, ∇·f + ⟨f, s⟩, of the points (n, K).

    f = e_j gives the mean force, f = e_j z_j/(1+z_j²)^½ a scale for each coordinate, f = z the
    virial, and f = z/(1+|z|²/D)^½ what the virial does not see of tails. None grows faster than a
    square for normal laws: sums of higher powers are far from normal at a few hundred points.
    """
    dim = z.shape[1]
    u = 1.0 + z * z
    scale = u**-1.5 + score * z / np.sqrt(u)
    force = np.einsum("id,id->i", z, score)[:, None]
    r = np.einsum("id,id->i", z, z)[:, None] / dim
    radial = (dim + force) / np.sqrt(1.0 + r) - r * (1.0 + r) ** -1.5
    return np.concatenate([score, scale, dim + force, radial], axis=1)


def stein_correlations(z: Array, score: Array) -> Iterator[Array]:
    """Functions of mean zero under ρ* for pairs of coordinates, of the points, in parts (n, K).

    ∇·f + ⟨f, s⟩ = s_j b(z_k) + s_k b(z_j) of f = e_j b(z_k) + e_k b(z_j), b(t) = t/(1+t²)^½. Parts
    are no larger than the points, so that memory is that of these. Each pair occurs once; of more
    than TOGETHER coordinates those in the same of some equal groups, for time to be linear in D.
    On the line there are none.

    Examples
    --------
    >>> z, score = np.array([[0.75, 0.0, 0.75]]), np.array([[1.0, 2.0, 3.0]])      # b = .6, 0, .6
    >>> [part.round(9).tolist() for part in stein_correlations(z, score)]
    [[[1.2, 1.2, 2.4]]]
    """
    for s, b in _groups(z, score):
        dim = s.shape[1]
        for t in range(1, dim // 2 + 1):  # with the t-th after, the first coming after the last
            part = s * np.roll(b, -t, axis=1) + np.roll(s, -t, axis=1) * b
            yield part[:, : t if 2 * t == dim else dim]  # halfway round a pair would come twice


def largest_correlation(z: Array, score: Array) -> float:
    """`largest_t` of all `stein_correlations`, with signs one, by products of matrices.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 20))
    >>> x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    >>> round(largest_correlation(x, -x), 1), round(largest_correlation(x[:, 1:], -x[:, 1:]), 1)
    (12.3, 2.7)
    """
    largest, n = 0.0, len(z)
    for s, b in _groups(z, score):
        pairs = np.triu_indices(s.shape[1], 1)
        total, squares, crossed = s.T @ b, (s * s).T @ (b * b), (s * b).T @ (s * b)
        t = _student(total + total.T, squares + squares.T + 2.0 * crossed, n)[pairs]
        largest = max(largest, float(np.abs(t).max(initial=0.0)))
    return largest


def _groups(z: Array, score: Array) -> Iterator[tuple[Array, Array]]:
    """Scores and bounded coordinates, of at most TOGETHER coordinates at once."""
    dim = z.shape[1]
    for group in np.array_split(np.arange(dim), -(-dim // TOGETHER)):
        some = z[:, group]
        yield score[:, group], some / np.sqrt(1.0 + some * some)


def largest_t(features: Array, signs: Array) -> Array:
    """max_k |t_k| of Student's t_k of v_i g_ik for each column of signs (n, B)."""
    return np.asarray(np.abs(_signed(features, signs)).max(axis=0))


def largest_mean(features: Array, signs: Array) -> Array:
    """The same with an observed t_k, column 0, that is symmetric as the resampled ones are.

    Signs make these symmetric; the observed one is not where g is skewed, and is made so by Hall's
    transformation. That is for few functions: its cube grows large for some of many (of 300 points
    of Gamma(3) coordinates in R^20, 29% were rejected by pairs, and 7% without it).
    """
    t = _signed(features, signs)
    t[:, 0] = symmetric_t(features)
    return np.asarray(np.abs(t).max(axis=0))


def _signed(features: Array, signs: Array) -> Array:
    squares = np.einsum("ik,ik->k", features, features)
    return _student(features.T @ signs, squares[:, None], len(features))


def symmetric_t(features: Array) -> Array:
    """Student's t for mean zero of the columns of (..., n, K), and symmetric to second order.

    Hall's transformation (1992) t + γt²/(3√n) + γ²t³/(27n) + γ/(6√n), γ being the skewness.
    """
    n = features.shape[-2]
    mean = features.mean(axis=-2)
    s = _student(n * mean, np.einsum("...ik,...ik->...k", features, features), n)
    centred = features - mean[..., None, :]
    spread = np.sqrt(np.einsum("...ik,...ik->...k", centred, centred) / n)
    third = np.einsum("...ik,...ik,...ik->...k", centred, centred, centred) / n
    g = third / np.where(spread > 0, spread, 1.0) ** 3 / np.sqrt(n)
    return np.asarray(s + g * s**2 / 3.0 + g**2 * s**3 / 27.0 + g / 6.0)


def _student(total: Array, squares: Array, n: int) -> Array:
    """t = r (1 − r²/n)^(−½) of r = Σ_i g_i / (Σ_i g_i²)^½."""
    r = total / np.sqrt(np.where(squares > 0, squares, 1.0))
    return np.asarray(r / np.sqrt(np.maximum(1.0 - r**2 / n, 1e-9)))


def largest_difference(features: Array, labels: Array) -> Array:
    """max_k |Σ_i v_i g_ik|, for each column of labels (N, B); g has variance one."""
    return np.asarray(np.abs(features.T @ labels).max(axis=0))


def nearest(z: Array, centres: Array) -> Labels:
    """Index of the nearest centre of each point, (n,)."""
    return np.asarray(np.argmax(z @ centres.T - 0.5 * (centres**2).sum(axis=1), axis=1))


def centres_of(z: Array, k: int, rng: np.random.Generator, rounds: int = 8) -> Array:
    """k centres by Lloyd's iteration from distant seeds (k-means++); empty ones are dropped."""
    centres = z[rng.integers(len(z))][None]
    square = ((z - centres[0]) ** 2).sum(axis=1)
    while len(centres) < k and square.sum() > 0:
        new = z[rng.choice(len(z), p=square / square.sum())]
        centres = np.concatenate([centres, new[None]])
        square = np.minimum(square, ((z - new) ** 2).sum(axis=1))
    for _ in range(rounds):
        label = nearest(z, centres)
        count = np.bincount(label, minlength=len(centres))
        total = np.stack([np.bincount(label, c, len(centres)) for c in z.T], axis=1)
        centres = total[count > 0] / count[count > 0, None]
    return centres


def mass_statistic(linear: Reals, shares: Array) -> Array:
    """Σ_k (p_k − q_k)²/share_k over the regions: Pearson's, up to a factor."""
    return np.asarray((linear**2 / shares[:, None]).sum(axis=0))
