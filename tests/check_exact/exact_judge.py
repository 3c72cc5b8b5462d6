"""The judge's arithmetic a second time, in exact rationals, written from docs/acceptance.md.

It shares no line with `jkoflow.check`. A functional is a list of terms with rational numbers; a
measure is points with weights (particles), edges with masses (cells of the line), or mean and
covariance. All answers are `Fraction`s: nothing is rounded, so no margins are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, pairwise, permutations

Q = Fraction
Vector = list[Fraction]
ZERO, ONE = Q(0), Q(1)


def dot(u: Vector, v: Vector) -> Fraction:
    return sum((a * b for a, b in zip(u, v, strict=True)), Q(0))


def minus(u: Vector, v: Vector) -> Vector:
    return [a - b for a, b in zip(u, v, strict=True)]


def distance(u: Vector, v: Vector) -> Fraction:
    return dot(minus(u, v), minus(u, v))


@dataclass(frozen=True)
class Terms:
    """a/2 ∫|x−c|² + ∫Σ_k p(x_k) + (κ/2) tr cov + coefficient/(m−1) ∫ρ^m."""

    a: Fraction = ZERO
    centre: tuple[Fraction, ...] = ()
    p: tuple[Fraction, ...] = ()
    kappa: Fraction = ZERO
    m: int = 0
    coefficient: Fraction = ZERO

    def potential(self, x: Vector) -> Fraction:
        c = list(self.centre) or [Q(0)] * len(x)
        powers = sum((b * t**k for t in x for k, b in enumerate(self.p)), Q(0))
        return self.a / 2 * distance(x, c) + powers

    def force(self, x: Vector, mean: Vector) -> Vector:
        """∇δS at x, of the smooth part S."""
        c = list(self.centre) or [Q(0)] * len(x)
        return [
            self.a * (t - s) + self.kappa * (t - e)
            + sum((k * b * t ** (k - 1) for k, b in enumerate(self.p) if k), Q(0))
            for t, s, e in zip(x, c, mean, strict=True)
        ]  # fmt: skip


@dataclass(frozen=True)
class Points:
    """Weighted points; cells of the line are their edges, with the masses next to them."""

    x: list[Vector]
    w: Vector
    mass: Vector = field(default_factory=list)

    @classmethod
    def cells(cls, edges: Vector, mass: Vector) -> Points:
        halves = [(u + v) / 2 for u, v in zip([*mass, Q(0)], [Q(0), *mass], strict=True)]
        return cls([[e] for e in edges], halves, mass)

    def mean(self) -> Vector:
        return [dot(self.w, [x[k] for x in self.x]) for k in range(len(self.x[0]))]

    def densities(self) -> Vector:
        return [m / (b[0] - a[0]) for m, (a, b) in zip(self.mass, pairwise(self.x), strict=True)]

    def value(self, F: Terms) -> Fraction:
        mean = self.mean()
        smooth = sum((w * F.potential(x) for w, x in zip(self.w, self.x, strict=True)), Q(0))
        spread = sum((w * distance(x, mean) for w, x in zip(self.w, self.x, strict=True)), Q(0))
        smooth += F.kappa / 2 * spread
        if not F.m:
            return smooth
        power = sum((m * r ** (F.m - 1) for m, r in zip(self.mass, self.densities(), strict=True)),
                    Q(0))  # fmt: skip
        return smooth + F.coefficient / (F.m - 1) * power

    def gradient(self, F: Terms) -> list[Vector]:
        """∇δF at the points. The pressure of a cell is coefficient·ρ^m; it pushes at both ends."""
        mean = self.mean()
        forces = [F.force(x, mean) for x in self.x]
        if F.m:
            p = [Q(0), *(F.coefficient * r**F.m for r in self.densities()), Q(0)]
            for j, w in enumerate(self.w):
                forces[j][0] += (p[j + 1] - p[j]) / w
        return forces


@dataclass(frozen=True)
class Judged:
    """What the table of docs/acceptance.md measures, exactly."""

    squared: Fraction
    transport: Fraction  # max(violation, gap), to be at most 1e-9 squared
    excess: Fraction  # F(ρ⁺) + W2²/(2τ) − F(ρ_k), to be at most 0
    residual_squared: Fraction  # to be at most 1e-8 squared/τ², also with spread/τ²
    slope_squared: Fraction
    lost: Fraction  # F(ρ_k) − F(ρ⁺)
    spread: Fraction = ZERO

    def stationary(self, factor: Fraction = ONE) -> bool:
        return self.residual_squared <= (factor * Q(1, 10**4)) ** 2 * self.slope_squared

    def gap(self, tau: Fraction, modulus: Fraction) -> Fraction | None:
        kappa = 1 / tau + modulus
        full = self.residual_squared + self.spread / tau**2
        return full / (2 * kappa) if kappa > 0 else None


def judge_line(F: Terms, old: Points, new: Points, tau: Fraction) -> Judged:
    """Cells with the same masses: edge i comes from edge i."""
    return _judged(F, old, new, tau, old.x, Q(0), Q(0))


Entry = tuple[int, int, Fraction]


def judge_coupling(
    F: Terms, old: Points, new: Points, tau: Fraction, entries: list[Entry], f: Vector, g: Vector
) -> Judged | None:
    """Points with a coupling of new (i) and old (j) and potentials; None if it is no coupling."""
    rows, columns = [Q(0)] * len(new.x), [Q(0)] * len(old.x)
    for i, j, mass in entries:
        if mass < 0:
            return None
        rows[i] += mass
        columns[j] += mass
    off = max(abs(a - b) for a, b in zip([*rows, *columns], [*new.w, *old.w], strict=True))
    if off > Q(1, 10**12):
        return None
    target = [[Q(0)] * len(new.x[0]) for _ in new.x]
    for i, j, mass in entries:
        target[i] = [t + mass * y / new.w[i] for t, y in zip(target[i], old.x[j], strict=True)]
    spread = sum((m * distance(old.x[j], target[i]) for i, j, m in entries), Q(0))
    squared = sum((m * distance(new.x[i], old.x[j]) for i, j, m in entries), Q(0))
    excess = (max(a + b - distance(x, y) for b, y in zip(g, old.x, strict=True))
              for a, x in zip(f, new.x, strict=True))  # fmt: skip
    # each f_i lowered by its own excess is feasible
    violation = sum((w * max(e, Q(0)) for w, e in zip(new.w, excess, strict=True)), Q(0))
    gap = squared - dot(new.w, f) - dot(old.w, g) + violation
    return _judged(F, old, new, tau, target, max(gap, violation), spread, squared)


def _judged(
    F: Terms, old: Points, new: Points, tau: Fraction, target: list[Vector], transport: Fraction,
    spread: Fraction, squared: Fraction | None = None,
) -> Judged:  # fmt: skip
    if squared is None:
        moved = (w * distance(x, y) for w, x, y in zip(new.w, new.x, target, strict=True))
        squared = sum(moved, Q(0))
    before, after = old.value(F), new.value(F)
    residual = Q(0)
    for w, x, t, v in zip(new.w, new.x, target, new.gradient(F), strict=True):
        xi = [a + (b - c) / tau for a, b, c in zip(v, x, t, strict=True)]
        residual += w * dot(xi, xi)
    excess = after + squared / (2 * tau) - before
    return Judged(squared, transport, excess, residual, squared / tau**2, before - after, spread)


def best_pairing(new: Points, old: Points) -> Fraction:
    """W2² between clouds of n points of weight 1/n, by all n! pairings."""
    n = len(new.x)
    cost = [[distance(x, y) for y in old.x] for x in new.x]
    return min(sum((cost[i][j] for i, j in enumerate(p)), Q(0)) for p in permutations(range(n))) / n


Matrix = list[Vector]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[dot(row, list(column)) for column in zip(*b, strict=True)] for row in a]


def determinant(a: Matrix) -> Fraction:
    if len(a) == 1:
        return a[0][0]
    minors = ([row[:k] + row[k + 1 :] for row in a[1:]] for k in range(len(a)))
    return sum(((-1) ** k * a[0][k] * determinant(m) for k, m in enumerate(minors)), Q(0))


def positive(a: Matrix) -> bool:
    """Symmetric and positive semidefinite: all principal minors are ≥ 0."""
    n = len(a)
    symmetric = all(a[i][j] == a[j][i] for i in range(n) for j in range(n))
    chosen = (s for k in range(1, n + 1) for s in combinations(range(n), k))
    return symmetric and all(determinant([[a[i][j] for j in s] for i in s]) >= 0 for s in chosen)


@dataclass(frozen=True)
class Normal:
    """N(mean, cov)."""

    mean: Vector
    cov: Matrix

    def value(self, F: Terms) -> Fraction:
        c = list(F.centre) or [Q(0)] * len(self.mean)
        trace = sum((self.cov[k][k] for k in range(len(c))), Q(0))
        return F.a / 2 * (distance(self.mean, c) + trace) + F.kappa / 2 * trace


def judge_normal(F: Terms, old: Normal, new: Normal, tau: Fraction, A: Matrix) -> Judged | None:
    """Gaussians with the map A from new to old; None if A is no optimal map's matrix.

    ξ is affine, b + H(x − m) with b = a(m − c) + (m − m_k)/τ and H = (a + κ)I + (I − A)/τ, and
    its squared norm is |b|² + tr HΣHᵀ. `transport` is the squared Frobenius norm of AΣ⁺A − Σ.
    """
    if not positive(A):
        return None
    d, image = len(A), times(times(A, new.cov), A)
    error = sum((distance(u, v) for u, v in zip(image, old.cov, strict=True)), Q(0))
    c = list(F.centre) or [Q(0)] * d
    eye = [[Q(int(i == j)) for j in range(d)] for i in range(d)]
    move = [minus(u, v) for u, v in zip(eye, A, strict=True)]
    squared = distance(new.mean, old.mean) + trace_of(move, new.cov)
    b = [F.a * (m - t) + (m - k) / tau for m, t, k in zip(new.mean, c, old.mean, strict=True)]
    H = [[(F.a + F.kappa) * e + v / tau for e, v in zip(*rows, strict=True)]
         for rows in zip(eye, move, strict=True)]  # fmt: skip
    residual = dot(b, b) + trace_of(H, new.cov)
    before, after = old.value(F), new.value(F)
    excess = after + squared / (2 * tau) - before
    return Judged(squared, error, excess, residual, squared / tau**2, before - after)


def trace_of(H: Matrix, S: Matrix) -> Fraction:
    """tr HSHᵀ."""
    return sum((dot(u, v) for u, v in zip(times(H, S), H, strict=True)), Q(0))
